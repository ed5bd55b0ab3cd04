//! What data to add, as a sweep file that runs: the same sweep with longer axes, so that finished jobs are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use domain::{Value, json};

use super::are;
use crate::scaling::{Survey, Variant};
use crate::statistics::Crossing;
use crate::study::{Group, Statistic, Study, Trial};

/// A sweep file, and why it would help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    pub group: String,
    pub reasons: Vec<String>,
    pub file: String,
}

const SEEDS_MIN: usize = 5;
/// The line above a path that only the place of the sweep's own file gives a meaning.
const RELATIVE: &str = "# relative to the folder of the sweep's own file";
const VALUES_MIN: usize = 3;

/// Where data files lie, as the sweep's own file says: paths by the digest of their content.
pub type DataPaths = BTreeMap<String, String>;

/// What would help a group; none where nothing is missing, or where its data lie no path says.
pub fn advise(study: &Study, group: &Group, survey: &Survey, paths: &DataPaths) -> Option<Advice> {
    let mut axes = Axes::of(group)?;
    // What there is, whatever the reasons before have added to it.
    let dim_count = axes.dims.len();
    let mut reasons = Vec::new();
    let plain = survey.variants.iter().filter(|variant| variant.is_plain());
    let plain: Vec<_> = plain.collect();
    let rows: Vec<_> = plain.iter().flat_map(|variant| &variant.rows).collect();
    let share = |of: fn(&Crossing) -> bool| {
        rows.iter().filter(|row| of(&row.crossing)).count() as f64 / rows.len().max(1) as f64
    };
    let (beyond, before) = (
        share(|crossing| matches!(crossing, Crossing::MoreThan(_))),
        share(|crossing| matches!(crossing, Crossing::AtMost(_))),
    );
    if beyond > 0.2 {
        reasons.push(format!("{:.0} % of the rows never cross: deeper networks", 100.0 * beyond));
        axes.deeper();
    }
    if before > 0.2 {
        let early = rows.iter().filter(|row| matches!(row.crossing, Crossing::AtMost(_)));
        let lowest = axes.dims.first().map_or(0.0, |dim| *dim as f64);
        let (at_lowest, all) =
            early.fold((0, 0), |(own, all), row| (own + usize::from(row.dim == lowest), all + 1));
        let by_inputs = axes.has_free_dim && cross_by_their_inputs(&plain);
        let what = if !by_inputs && axes.shallower() {
            "shallower networks"
        } else if by_inputs || axes.has_free_dim && 2 * at_lowest >= all {
            let count = axes.dims.len() + 1;
            extend(&mut axes.dims, fourfold, count);
            if dim_count > 1 {
                "most of them at the lowest dim, so a higher one"
            } else {
                "a higher dim"
            }
        } else {
            axes.wider();
            "wider networks"
        };
        reasons.push(format!(
            "{:.0} % of the rows have crossed at the first depth: {what}",
            100.0 * before
        ));
    }
    for (name, values) in [("widths", &mut axes.widths), ("depths", &mut axes.depths)] {
        if values.len() < VALUES_MIN {
            let name = &name[..name.len() - 1];
            reasons.push(format!("{} too few for a slope", are(values.len(), name)));
            match (name, axes.is_conv) {
                ("depth", true) => extend(values, deeper_network, VALUES_MIN),
                _ => extend(values, twice, VALUES_MIN),
            }
        }
    }
    if dim_count < VALUES_MIN && axes.has_free_dim {
        let dims = if dim_count == 1 { "one dim".to_owned() } else { format!("{dim_count} dims") };
        reasons.push(format!("{dims} cannot show how the boundary moves with d"));
        extend(&mut axes.dims, fourfold, VALUES_MIN);
    }
    if axes.seed_count < SEEDS_MIN {
        reasons.push(format!("{} too few for a region", are(axes.seed_count, "seed")));
        axes.more_seeds();
    }
    if reasons.is_empty() {
        return None;
    }
    let file = axes.sweep_file(study, group, paths)?;
    if file.contains(RELATIVE) {
        reasons.push(
            "keep the file beside the sweep's own, where its data.path is relative to".to_owned(),
        );
    }
    Some(Advice { group: study.label(group), reasons, file })
}

/// Whether most rows of rms cosines that have crossed at the first depth would have with any network: gradients of random inputs
/// have cosines of about 1/√d, which neither width nor depth lowers.
fn cross_by_their_inputs(plain: &[&Variant]) -> bool {
    let rms = plain.iter().filter(|variant| variant.statistic == Statistic::RmsCos);
    let early = rms.flat_map(|variant| {
        let early = variant.rows.iter().filter(|row| matches!(row.crossing, Crossing::AtMost(_)));
        early.map(|row| row.dim * variant.boundary.threshold.powi(2) <= 1.0)
    });
    let (by_inputs, all) = early.fold((0, 0), |(own, all), is| (own + usize::from(is), all + 1));
    2 * by_inputs > all
}

/// The axes of a group, as a sweep file would list them.
struct Axes {
    widths: Vec<i64>,
    depths: Vec<i64>,
    dims: Vec<i64>,
    has_free_dim: bool,
    /// A convolutional network, whose depths are 6n + 4.
    is_conv: bool,
    /// Where all streams share a seed, only `seeds`; else the seeds of data and of initial weights.
    seeds: Vec<i64>,
    /// Distinct pairs of data and initial seed.
    seed_count: usize,
    data_seeds: Vec<i64>,
    init_seeds: Vec<i64>,
}

impl Axes {
    /// None for models without width and depth.
    fn of(group: &Group) -> Option<Self> {
        let is_conv = group.is("model_kind", "cnn") || group.is("model_kind", "wrn");
        let is_known = is_conv || group.is("model_kind", "mlp");
        let streams = |stream: usize| group.values(|trial: &Trial| Some(trial.streams[stream]));
        let is_shared = |trial: &Trial| {
            let [data, init, order, measure, _] = trial.streams;
            [init, order, measure] == [data; 3]
        };
        let shared = group.trials.iter().all(is_shared);
        let found = Self {
            widths: group.values(|trial| trial.width),
            depths: group.values(|trial| trial.depth),
            dims: group.values(|trial| trial.dim),
            has_free_dim: group.is("data_kind", "sphere") || group.is("data_kind", "gaussian"),
            is_conv,
            seed_count: group.trials.iter().map(|trial| trial.seeds).collect::<BTreeSet<_>>().len(),
            seeds: if shared { streams(0) } else { Vec::new() },
            data_seeds: if shared { Vec::new() } else { streams(0) },
            init_seeds: if shared { Vec::new() } else { streams(1) },
        };
        (is_known && !found.widths.is_empty() && !found.depths.is_empty()).then_some(found)
    }

    fn deeper(&mut self) {
        let count = self.depths.len() + 1;
        extend(&mut self.depths, if self.is_conv { deeper_network } else { twice }, count);
    }

    /// Halves the first depth; not where it is the least already.
    fn shallower(&mut self) -> bool {
        let first = self.depths[0];
        let next = if self.is_conv { 6 * ((first - 4) / 12) + 4 } else { first / 2 };
        let least = if self.is_conv { SHALLOWEST_NETWORK } else { 1 };
        let is_less = (least..first).contains(&next);
        if is_less {
            self.depths.insert(0, next);
        }
        is_less
    }

    fn wider(&mut self) {
        let count = self.widths.len() + 1;
        extend(&mut self.widths, twice, count);
    }

    fn more_seeds(&mut self) {
        for seeds in [&mut self.seeds, &mut self.data_seeds, &mut self.init_seeds] {
            let mut next = 0;
            while !seeds.is_empty() && seeds.len() < SEEDS_MIN {
                if !seeds.contains(&next) {
                    seeds.push(next);
                }
                next += 1;
            }
            seeds.sort_unstable();
        }
    }

    fn sweep_file(&self, study: &Study, group: &Group, paths: &DataPaths) -> Option<String> {
        let Ok(Value::Table(spec)) = json::read(group.spec.as_ref()?) else { return None };
        let section = |name: &str| match spec.get(name) {
            Some(Value::Table(fields)) => Some(fields),
            _ => None,
        };
        // A digest names data by content; where the files lie, only the sweep's own file says. What follows from them
        // (entries of an input, output units) is theirs to say.
        let data_path = match section("data")?.get("digest") {
            Some(Value::Text(digest)) => Some(paths.get(digest)?),
            Some(_) => return None,
            None => None,
        };
        let follows = ["data.digest", "data.dim", "model.outputs"];
        let mut text = format!("name = \"{}\"\n", study.sweep);
        // Seeds that were not drawn together and are no axis here stay what they were.
        for name in ["order_seed", "measure_seed", "augment_seed"] {
            if let Some(Value::Int(seed)) = spec.get(name).filter(|_| self.seeds.is_empty()) {
                let _ = writeln!(text, "{name} = {seed}");
            }
        }
        text.push_str("\n[axes]\n");
        for (name, values) in [
            ("\"model.width\"", &self.widths),
            ("\"model.depth\"", &self.depths),
            ("\"data.dim\"", &self.dims),
            ("seed", &self.seeds),
            ("data_seed", &self.data_seeds),
            ("init_seed", &self.init_seeds),
        ] {
            let is_given = data_path.is_some() && name == "\"data.dim\"";
            if !values.is_empty() && !is_given {
                let _ = writeln!(text, "{name} = {values:?}");
            }
        }
        for name in ["model", "data", "train", "measure"] {
            let _ = writeln!(text, "\n[{name}]");
            if let Some(path) = data_path.filter(|_| name == "data") {
                if Path::new(path).is_relative() {
                    let _ = writeln!(text, "{RELATIVE}");
                }
                let _ = writeln!(text, "path = {}", toml(&Value::Text(path.clone())));
            }
            for (key, value) in section(name)? {
                let axis = format!("{name}.{key}");
                let is_given = data_path.is_some() && follows.contains(&axis.as_str());
                if !["model.width", "model.depth", "data.dim"].contains(&axis.as_str()) && !is_given
                {
                    let _ = writeln!(text, "{key} = {}", toml(value));
                }
            }
        }
        Some(text)
    }
}

/// Puts what comes after the last value behind it until there are `count`.
fn extend(values: &mut Vec<i64>, next: fn(i64) -> i64, count: usize) {
    while let Some(last) = values.last().filter(|_| values.len() < count) {
        let next = next(*last).max(last + 1);
        values.push(next);
    }
}

fn twice(value: i64) -> i64 {
    value.saturating_mul(2)
}

fn fourfold(value: i64) -> i64 {
    value.saturating_mul(4)
}

/// Of a convolutional network: 6n + 4 with n = 1.
const SHALLOWEST_NETWORK: i64 = 10;

/// Half as many blocks again: 10, 16, 22, 34, 52, 76, among them the depths that were published.
fn deeper_network(depth: i64) -> i64 {
    let n = (depth - 4) / 6;
    6 * ((3 * n + 1) / 2).max(n + 1) + 4
}

/// A value as TOML, on one line.
fn toml(value: &Value) -> String {
    let join = |parts: Vec<String>| parts.join(", ");
    match value {
        Value::Bool(flag) => flag.to_string(),
        Value::Int(number) => number.to_string(),
        // Rust writes floats so that they read back, and with a point.
        Value::Float(number) => format!("{number:?}"),
        Value::Text(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        Value::List(items) => format!("[{}]", join(items.iter().map(toml).collect())),
        Value::Table(fields) => inline(fields, join),
    }
}

fn inline(fields: &BTreeMap<String, Value>, join: impl Fn(Vec<String>) -> String) -> String {
    let parts = fields.iter().map(|(key, value)| format!("{key} = {}", toml(value)));
    format!("{{ {} }}", join(parts.collect()))
}

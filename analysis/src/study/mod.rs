//! The results of a sweep as the analysis sees them: trials in groups that differ in width, depth, dim and seeds alone.

mod panel;
mod read;
mod statistic;
mod unusable;

use domain::SweepName;
use domain::table::HISTOGRAM_BINS;

use crate::results::{Difference, Incomplete};
use crate::summary::Setting;

pub use panel::{Cell, Panel};
pub use statistic::{Moment, Statistic};
pub use unusable::Unusable;

/// All trials of a sweep.
#[derive(Clone, Debug)]
pub struct Study {
    pub sweep: SweepName,
    /// What gradients were compared: `samples`, or `batches` or `batch-pairs` where only those were measured.
    pub scope: Option<&'static str>,
    pub groups: Vec<Group>,
    pub differences: Vec<Difference>,
    /// Values that were left out, by column.
    pub unusable: Vec<Unusable>,
    /// Where files are missing.
    pub incomplete: Option<Incomplete>,
}

/// Trials of the same settings. Groups are never pooled: an initialisation can turn a slope around.
#[derive(Clone, Debug)]
pub struct Group {
    /// Every setting but width, depth, dim and seeds, by column name, in the order of the columns.
    pub settings: Vec<(&'static str, Setting)>,
    pub trials: Vec<Trial>,
    /// The whole spec of one of the trials, canonical JSON.
    pub spec: Option<String>,
}

/// One job with a result.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trial {
    pub job: String,
    /// Null for models without hidden layers, like the depth.
    pub width: Option<i64>,
    pub depth: Option<i64>,
    pub dim: Option<i64>,
    /// The seeds of the data and of the initial weights. Trials that share both are one draw, whatever their order of examples:
    /// at the initial weights they are the same number.
    pub seeds: (i64, i64),
    /// Seeds of data, initial weights, order, measured examples, augmentation.
    pub streams: [i64; 5],
    pub is_diverged: bool,
    pub final_risk: Option<f64>,
    pub optimum_risk: Option<f64>,
    pub strong_convexity: Option<f64>,
    pub smoothness: Option<f64>,
    /// In the order of their steps, of the whole network.
    pub measurements: Vec<Measurement>,
    /// In the order of their steps.
    pub curve: Vec<CurvePoint>,
    /// Counts of cosines where last measured.
    pub histogram: Option<Vec<i64>>,
}

/// Confusion at one step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measurement {
    pub step: i64,
    /// Gradients compared.
    pub count: Option<i64>,
    pub eta: Option<f64>,
    pub relative_eta: Option<f64>,
    pub min_inner: Option<f64>,
    pub min_cos: Option<f64>,
    pub mean_cos: Option<f64>,
    pub rms_cos: Option<f64>,
    pub cos_q01: Option<f64>,
    pub cos_q05: Option<f64>,
    pub cos_q50: Option<f64>,
}

/// The training curve at one step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CurvePoint {
    pub step: i64,
    pub epoch: Option<f64>,
    pub risk: Option<f64>,
    pub excess_risk: Option<f64>,
    /// |∇F(w)|.
    pub gradient_norm: Option<f64>,
    /// The step size in force.
    pub step_size: Option<f64>,
}

/// The setting that no column of `jobs` holds: how many gradients were compared.
pub const MEASURE_COUNT: &str = "measure_count";

impl Group {
    /// The value of a setting.
    pub fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Whether a setting has this text.
    pub fn is(&self, name: &str, text: &str) -> bool {
        matches!(self.setting(name), Some(Setting::Text(found)) if found == text)
    }

    /// A setting that is a number.
    pub fn number(&self, name: &str) -> Option<f64> {
        match self.setting(name)? {
            Setting::Int(number) => Some(*number as f64),
            Setting::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// The distinct values of a coordinate, sorted.
    pub fn values(&self, of: impl Fn(&Trial) -> Option<i64>) -> Vec<i64> {
        let mut values: Vec<_> = self.trials.iter().filter_map(of).collect();
        values.sort_unstable();
        values.dedup();
        values
    }

    /// Whether two groups have the same settings but for those in `free`.
    pub fn differs_only_in(&self, other: &Self, free: &[&str]) -> bool {
        let of = |group: &Self| -> Vec<_> {
            let fixed = group.settings.iter().filter(|(name, _)| !free.contains(name));
            fixed.cloned().collect()
        };
        of(self) == of(other)
    }

    /// A statistic of every cell and seed at one moment of training.
    pub fn panel(&self, statistic: Statistic, moment: Moment) -> Panel {
        Panel::of(&self.trials, |trial| statistic.of(moment.of(&trial.measurements)?))
    }
}

impl Study {
    /// Distinct jobs: one that compared several numbers of gradients is a trial of several groups.
    pub fn job_count(&self) -> usize {
        let jobs = self.groups.iter().flat_map(|group| &group.trials).map(|trial| &trial.job);
        jobs.collect::<std::collections::BTreeSet<_>>().len()
    }

    /// The groups less those that differ from an earlier one in the number of gradients compared alone: of their curves and
    /// losses, they say the same twice.
    pub fn distinct_groups(&self) -> impl Iterator<Item = &Group> {
        self.groups
            .iter()
            .enumerate()
            .filter(|(place, group)| {
                let mut earlier = self.groups[..*place].iter();
                !earlier.any(|other| other.differs_only_in(group, &[MEASURE_COUNT]))
            })
            .map(|(_, group)| group)
    }

    /// What tells a group from the others of the study, as `init = lecun, loss = squared`; empty for the only one.
    pub fn label(&self, group: &Group) -> String {
        self.label_but(group, &[])
    }

    /// The label without the settings in `free`.
    pub fn label_but(&self, group: &Group, free: &[&str]) -> String {
        let varies = |name: &str, value: &Setting| {
            self.groups.iter().any(|other| other.setting(name) != Some(value))
        };
        let told = group.settings.iter().filter(|(name, value)| varies(name, value));
        let told = told.filter(|(name, _)| !free.contains(name));
        let told = told.map(|(name, value)| format!("{} = {value}", name.replacen('_', ".", 1)));
        told.collect::<Vec<_>>().join(", ")
    }
}

/// The middle of a bin of a histogram of cosines.
pub fn bin_middle(bin: usize) -> f64 {
    -1.0 + 2.0 * (bin as f64 + 0.5) / HISTOGRAM_BINS as f64
}

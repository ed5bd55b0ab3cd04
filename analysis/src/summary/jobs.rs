//! The jobs of a sweep as the closing table needs them: one entry a job, with what was last measured of it.

use std::collections::BTreeMap;

use domain::table::IDENTITY;
use domain::{SweepName, Table};

use super::setting::Setting;
use crate::results::{Difference, Frame, Results, ResultsError};

/// Columns of the identity that do not tell blocks apart: the job itself, its seeds, the axes of the table, and what
/// follows from the other settings.
const NO_SETTING: [&str; 12] = [
    "job_id",
    "stage",
    "seed",
    "data_seed",
    "init_seed",
    "order_seed",
    "measure_seed",
    "augment_seed",
    "model_width",
    "model_depth",
    "weight_matrices",
    "parameters",
];

/// The five seeds that make a job one of several at its point.
const SEEDS: [&str; 5] = ["data_seed", "init_seed", "order_seed", "measure_seed", "augment_seed"];

/// What cosines may be over, the most telling first: per-example gradients, then those of mini-batches.
const SCOPES: [&str; 3] = ["samples", "batches", "batch-pairs"];
const SAMPLES: usize = 0;

/// The jobs that have a result, by id, and the settings they have between them.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    pub jobs: BTreeMap<String, Job>,
    /// Every combination of settings, by number.
    pub combinations: Vec<Vec<Setting>>,
    pub differences: Vec<Difference>,
}

#[derive(Debug)]
pub(super) struct Job {
    /// Which of the combinations it has.
    pub combination: usize,
    pub width: Option<i64>,
    pub depth: Option<i64>,
    pub seeds: [Option<i64>; SEEDS.len()],
    pub is_diverged: bool,
    pub final_risk: Option<f64>,
    /// For each of the scopes, the last measurement of the whole network.
    cosines: [Option<Cosines>; SCOPES.len()],
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Cosines {
    step: i64,
    pub rms: Option<f64>,
    pub min: Option<f64>,
}

impl Job {
    pub(super) fn cosines(&self, scope: &str) -> Option<Cosines> {
        self.cosines[scope_index(scope)?]
    }
}

/// The settings that tell blocks apart, in the order of the columns.
pub(super) fn setting_names() -> Vec<&'static str> {
    let names = IDENTITY.iter().map(|column| column.name);
    names.filter(|name| !NO_SETTING.contains(name)).collect()
}

impl Jobs {
    /// Every job of the sweep that has a result. One that several segments hold counts once.
    pub(super) fn read(results: &Results, sweep: &SweepName) -> Result<Self, ResultsError> {
        let mut found = Self::default();
        let settings = setting_names();
        let mut numbers = BTreeMap::new();
        let own = ["job_id", "stage", "model_width", "model_depth", "status", "final_risk"];
        let columns = [&own[..], &SEEDS, &settings].concat();
        found.differences = results.scan(Table::Jobs, sweep, &columns, |frame| {
            found.add_jobs(frame, &settings, &mut numbers);
        })?;
        let columns = ["job_id", "step", "scope", "layer", "measure_batch", "rms_cos", "min_cos"];
        let differences = results.scan(Table::Confusion, sweep, &columns, |frame| {
            found.add_cosines(frame);
        })?;
        found.differences.extend(differences);
        Ok(found)
    }

    /// The first of the scopes that anything was measured in.
    pub(super) fn scope(&self) -> Option<&'static str> {
        let is_used = |scope: &&&str| self.jobs.values().any(|job| job.cosines(scope).is_some());
        SCOPES.iter().find(is_used).copied()
    }

    fn add_jobs(
        &mut self,
        frame: &Frame,
        settings: &[&str],
        numbers: &mut BTreeMap<Vec<Setting>, usize>,
    ) {
        let ids = frame.texts("job_id");
        let stages = frame.texts("stage");
        let (widths, depths) = (frame.ints("model_width"), frame.ints("model_depth"));
        let statuses = frame.texts("status");
        let risks = frame.floats("final_risk");
        let seeds = SEEDS.map(|name| frame.ints(name));
        let columns: Vec<_> = settings.iter().map(|name| Setting::column(frame, name)).collect();
        for (row, id) in ids.into_iter().enumerate() {
            // Jobs that only chose a step size belong to no cell of the result.
            let Some(id) = id.filter(|_| stages[row] != Some("tune")) else { continue };
            if self.jobs.contains_key(id) {
                continue;
            }
            let values: Vec<_> = columns.iter().map(|column| column[row].clone()).collect();
            let combination = *numbers.entry(values).or_insert_with_key(|values| {
                self.combinations.push(values.clone());
                self.combinations.len() - 1
            });
            let job = Job {
                combination,
                width: widths[row],
                depth: depths[row],
                seeds: std::array::from_fn(|index| seeds[index][row]),
                is_diverged: statuses[row] == Some("diverged"),
                final_risk: risks[row],
                cosines: [None; SCOPES.len()],
            };
            self.jobs.insert(id.to_owned(), job);
        }
    }

    fn add_cosines(&mut self, frame: &Frame) {
        let ids = frame.texts("job_id");
        let scopes = frame.texts("scope");
        let [steps, layers, batches] =
            ["step", "layer", "measure_batch"].map(|name| frame.ints(name));
        let (rms, min) = (frame.floats("rms_cos"), frame.floats("min_cos"));
        for row in 0..frame.row_count() {
            let (Some(id), Some(scope), Some(step)) = (ids[row], scopes[row], steps[row]) else {
                continue;
            };
            // Rows of a job without a `jobs` row are of one that is not committed yet.
            let (Some(scope), Some(job)) = (scope_index(scope), self.jobs.get_mut(id)) else {
                continue;
            };
            // Averages over minibatches are told under the scope of their examples.
            let is_averaged = scope == SAMPLES && batches[row].is_some_and(|batch| batch > 1);
            let is_shown = layers[row].is_none() && !is_averaged;
            let kept = &mut job.cosines[scope];
            if is_shown && kept.is_none_or(|kept| kept.step < step) {
                *kept = Some(Cosines { step, rms: rms[row], min: min[row] });
            }
        }
    }
}

fn scope_index(scope: &str) -> Option<usize> {
    SCOPES.iter().position(|known| *known == scope)
}

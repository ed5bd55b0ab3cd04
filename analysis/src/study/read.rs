//! Reading a study from the files of a sweep.

use std::collections::BTreeMap;

use domain::table::IDENTITY;
use domain::{SweepName, Table};

use super::unusable::{Checked, Numbers};
use super::{CurvePoint, Group, MEASURE_COUNT, Measurement, Study, Trial};
use crate::results::{Frame, Incomplete, Results, ResultsError};
use crate::summary::Setting;

/// Columns of the identity that do not tell groups apart: the job, its seeds, the coordinates of its cell, and what
/// follows from them.
const NO_SETTING: [&str; 13] = [
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
    "data_dim",
    "weight_matrices",
    "parameters",
];

/// What gradients may be compared, the most telling first. Those of single examples alone are the definition's.
const SCOPES: [&str; 3] = ["samples", "batches", "batch-pairs"];
const SAMPLES: usize = 0;

/// The seeds besides that of the data.
const OTHER_SEEDS: [&str; 4] = ["init_seed", "order_seed", "measure_seed", "augment_seed"];

#[derive(Default)]
struct Found {
    trials: BTreeMap<String, Trial>,
    settings: BTreeMap<String, Vec<(&'static str, Setting)>>,
    specs: BTreeMap<String, String>,
    /// By scope, job and number of gradients compared.
    measured: BTreeMap<(usize, String, Option<i64>), Vec<Measured>>,
    checked: Checked,
}

/// A measurement, and its histogram while it is the last.
type Measured = (Measurement, Option<Vec<i64>>);

/// The measurements of one number of gradients.
type Counted = (Option<i64>, Vec<Measured>);

impl Study {
    /// Every job of the sweep that has a result, with its curve and what was measured of the whole network. A job that
    /// several segments hold counts once; jobs that only chose a step size belong to no cell.
    ///
    /// # Errors
    /// If there is no such sweep or its results cannot be read.
    pub fn read(results: &Results, sweep: &SweepName) -> Result<Self, ResultsError> {
        let mut found = Found::default();
        // Listed once, so that what is told to be missing is what was not read.
        let files = |table| results.segments(table, sweep);
        let jobs = files(Table::Jobs)?;
        let (steps, confusion) = (files(Table::Steps)?, files(Table::Confusion)?);
        if jobs.is_empty() {
            results.sweep(sweep.as_str())?;
        }
        let measured = [(Table::Steps, &*steps), (Table::Confusion, &*confusion)];
        let incomplete = Incomplete::among(sweep, &jobs, measured);
        let settings: Vec<_> = IDENTITY.iter().map(|column| column.name).collect();
        let settings: Vec<_> =
            settings.into_iter().filter(|name| !NO_SETTING.contains(name)).collect();
        let own = [
            "job_id",
            "stage",
            "data_seed",
            "model_width",
            "model_depth",
            "data_dim",
            "status",
            "final_risk",
            "optimum_risk",
            "strong_convexity",
            "smoothness",
            "spec",
        ];
        let columns = [&own[..], &OTHER_SEEDS, &settings].concat();
        let mut differences = results.scan_files(Table::Jobs, &jobs, &columns, |frame| {
            found.add_jobs(frame, &settings);
        })?;
        let columns =
            ["job_id", "step", "epoch", "risk", "excess_risk", "gradient_norm", "step_size"];
        differences.extend(results.scan_files(Table::Steps, &steps, &columns, |frame| {
            found.add_steps(frame);
        })?);
        let columns = [
            "job_id",
            "step",
            "scope",
            "layer",
            "count",
            "measure_batch",
            "eta",
            "relative_eta",
            "min_inner",
            "min_cos",
            "mean_cos",
            "rms_cos",
            "cos_q01",
            "cos_q05",
            "cos_q50",
            "histogram",
        ];
        differences.extend(results.scan_files(
            Table::Confusion,
            &confusion,
            &columns,
            |frame| {
                found.add_confusion(frame);
            },
        )?);
        let unusable = std::mem::take(&mut found.checked).left_out();
        let (scope, groups) = found.into_groups();
        Ok(Self { sweep: sweep.clone(), scope, groups, differences, unusable, incomplete })
    }
}

impl Found {
    fn add_jobs(&mut self, frame: &Frame, settings: &[&'static str]) {
        let [ids, stages, statuses, specs] =
            ["job_id", "stage", "status", "spec"].map(|name| frame.texts(name));
        let [widths, depths, dims] =
            ["model_width", "model_depth", "data_dim"].map(|name| frame.ints(name));
        let data_seeds = frame.ints("data_seed");
        let others = OTHER_SEEDS.map(|name| frame.ints(name));
        let [risks, optima, convexities, smoothnesses] =
            ["final_risk", "optimum_risk", "strong_convexity", "smoothness"]
                .map(|name| frame.floats(name));
        let columns: Vec<_> = settings.iter().map(|name| Setting::column(frame, name)).collect();
        for (row, id) in ids.into_iter().enumerate() {
            let Some(id) = id.filter(|_| stages[row] != Some("tune")) else { continue };
            let [init, order, measure, augment] =
                [0, 1, 2, 3].map(|stream: usize| others[stream][row].unwrap_or(0));
            let streams = [data_seeds[row].unwrap_or(0), init, order, measure, augment];
            let trial = Trial {
                job: id.to_owned(),
                width: widths[row],
                depth: depths[row],
                dim: dims[row],
                seeds: (streams[0], init),
                streams,
                is_diverged: statuses[row] == Some("diverged"),
                final_risk: risks[row],
                optimum_risk: optima[row],
                strong_convexity: convexities[row],
                smoothness: smoothnesses[row],
                ..Trial::default()
            };
            let values =
                settings.iter().zip(&columns).map(|(name, column)| (*name, column[row].clone()));
            self.settings.entry(id.to_owned()).or_insert_with(|| values.collect());
            if let Some(spec) = specs[row] {
                self.specs.insert(id.to_owned(), spec.to_owned());
            }
            self.trials.entry(id.to_owned()).or_insert(trial);
        }
    }

    fn add_steps(&mut self, frame: &Frame) {
        let (ids, steps) = (frame.texts("job_id"), frame.ints("step"));
        let numbers = ["epoch", "risk", "excess_risk", "gradient_norm", "step_size"];
        let numbers = Numbers::read(frame, numbers);
        for row in 0..frame.row_count() {
            let (Some(id), Some(step)) = (ids[row], steps[row]) else { continue };
            // Rows of a job without a `jobs` row are of one that is not committed yet.
            let Some(trial) = self.trials.get_mut(id) else { continue };
            let [epoch, risk, excess_risk, gradient_norm, step_size] =
                numbers.row(row, None, trial, &mut self.checked);
            let point = CurvePoint { step, epoch, risk, excess_risk, gradient_norm, step_size };
            trial.curve.push(point);
        }
    }

    fn add_confusion(&mut self, frame: &Frame) {
        let (ids, scopes) = (frame.texts("job_id"), frame.texts("scope"));
        let [steps, layers, counts, batches] =
            ["step", "layer", "count", "measure_batch"].map(|name| frame.ints(name));
        let numbers = [
            "eta",
            "relative_eta",
            "min_inner",
            "min_cos",
            "mean_cos",
            "rms_cos",
            "cos_q01",
            "cos_q05",
            "cos_q50",
        ];
        let numbers = Numbers::read(frame, numbers);
        let mut histograms = frame.counts("histogram");
        for row in 0..frame.row_count() {
            let (Some(id), Some(scope), Some(step), None) =
                (ids[row], scopes[row], steps[row], layers[row])
            else {
                continue;
            };
            let Some(scope) = SCOPES.iter().position(|known| *known == scope) else { continue };
            // Averages over minibatches are told under the scope of their examples.
            let is_averaged = scope == SAMPLES && batches[row].is_some_and(|batch| batch > 1);
            let Some(trial) = self.trials.get(id).filter(|_| !is_averaged) else { continue };
            let count = counts[row];
            let [
                eta,
                relative_eta,
                min_inner,
                min_cos,
                mean_cos,
                rms_cos,
                cos_q01,
                cos_q05,
                cos_q50,
            ] = numbers.row(row, count, trial, &mut self.checked);
            let measurement = Measurement {
                step,
                count,
                eta,
                relative_eta,
                min_inner,
                min_cos,
                mean_cos,
                rms_cos,
                cos_q01,
                cos_q05,
                cos_q50,
            };
            let kept = self.measured.entry((scope, id.to_owned(), count)).or_default();
            let histogram = histograms[row].take();
            let is_last = kept.iter().all(|(other, _)| other.step < step);
            if is_last {
                kept.iter_mut().for_each(|(_, histogram)| *histogram = None);
            }
            kept.push((measurement, histogram.filter(|_| is_last)));
        }
    }

    /// The groups, by settings. The number of gradients compared is a setting here: minima over different numbers must
    /// never meet in one fit. A job that compared several numbers at once is a trial of several groups.
    fn into_groups(mut self) -> (Option<&'static str>, Vec<Group>) {
        let scope = self.measured.keys().map(|(scope, ..)| *scope).min();
        let mut measured: BTreeMap<String, Vec<Counted>> = BTreeMap::new();
        for ((of, id, count), rows) in std::mem::take(&mut self.measured) {
            if Some(of) == scope {
                measured.entry(id).or_default().push((count, rows));
            }
        }
        let mut groups: BTreeMap<Vec<(&'static str, Setting)>, Vec<Trial>> = BTreeMap::new();
        for (id, mut trial) in self.trials {
            trial.curve.sort_by_key(|point| point.step);
            trial.curve.dedup_by_key(|point| point.step);
            let settings = self.settings.remove(&id).unwrap_or_default();
            let counted = measured.remove(&id).unwrap_or_else(|| vec![(None, Vec::new())]);
            for (count, rows) in counted {
                let mut trial = trial.clone();
                for (measurement, histogram) in rows {
                    trial.measurements.push(measurement);
                    trial.histogram = histogram.or(trial.histogram.take());
                }
                trial.measurements.sort_by_key(|measurement| measurement.step);
                trial.measurements.dedup_by_key(|measurement| measurement.step);
                let mut settings = settings.clone();
                settings.push((MEASURE_COUNT, count.map_or(Setting::Null, Setting::Int)));
                groups.entry(settings).or_default().push(trial);
            }
        }
        let groups = groups.into_iter().map(|(settings, trials)| {
            let spec = trials.iter().find_map(|trial: &Trial| self.specs.get(&trial.job).cloned());
            Group { settings, trials, spec }
        });
        (scope.map(|scope| SCOPES[scope]), groups.collect())
    }
}

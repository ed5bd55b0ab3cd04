//! The table that ends a run: for each width and depth, the loss, the cosines between gradients, and how many jobs.
//!
//! A number is the median over the jobs of a cell that did not diverge: it does not move because one seed went wrong,
//! and how many diverged is said beside it. This is a look at the results, not a test of any claim.

mod jobs;
mod setting;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use domain::SweepName;

use crate::results::{Results, ResultsError};
use jobs::{Job, Jobs, setting_names};

pub use setting::Setting;

/// The closing table of a sweep. `Display` writes it for a person at a terminal of 100 columns.
#[derive(Clone, Debug)]
pub struct ClosingTable {
    sweep: SweepName,
    /// Sorted by settings, width, depth.
    rows: Vec<SummaryRow>,
    scope: Option<&'static str>,
    notes: Vec<String>,
}

/// One cell: the jobs that differ in their seeds only.
#[derive(Clone, Debug, PartialEq)]
pub struct SummaryRow {
    /// The settings that differ between the sweep's jobs, by column name, without seeds, width and depth.
    pub settings: Vec<(&'static str, Setting)>,
    /// Null for models without hidden layers, like the depth.
    pub width: Option<i64>,
    pub depth: Option<i64>,
    /// Jobs with a result, the diverged ones among them.
    pub job_count: usize,
    pub diverged_count: usize,
    /// Median final training loss; like the other medians over the jobs that did not diverge, null without any.
    pub final_risk: Option<f64>,
    /// Medians of the root mean square and of the least cosine, where last measured, of the whole network.
    pub rms_cos: Option<f64>,
    pub min_cos: Option<f64>,
}

impl ClosingTable {
    /// The closing table of the sweep's jobs that have a result.
    ///
    /// # Errors
    /// If there is no such sweep or its results cannot be read.
    pub fn of(results: &Results, sweep: &SweepName) -> Result<Self, ResultsError> {
        let found = Jobs::read(results, sweep)?;
        let scope = found.scope();
        let varied = varied_settings(&found.combinations);
        let names = setting_names();

        let mut cells: BTreeMap<_, Vec<&Job>> = BTreeMap::new();
        for job in found.jobs.values() {
            let values = &found.combinations[job.combination];
            let settings: Vec<_> = varied.iter().map(|&index| values[index].clone()).collect();
            cells.entry((settings, job.width, job.depth)).or_default().push(job);
        }
        let mut notes: Vec<_> = found.differences.iter().map(ToString::to_string).collect();
        if cells.values().any(|jobs| has_twins(jobs)) {
            notes.push(
                "some cells mix jobs that differ in more than seeds: compare `spec` in table jobs"
                    .to_owned(),
            );
        }
        let rows = cells.into_iter().map(|((settings, width, depth), jobs)| {
            let settings = varied.iter().map(|&index| names[index]).zip(settings).collect();
            let valid = || jobs.iter().filter(|job| !job.is_diverged);
            let cosines = || valid().filter_map(|job| job.cosines(scope?));
            SummaryRow {
                settings,
                width,
                depth,
                job_count: jobs.len(),
                diverged_count: jobs.iter().filter(|job| job.is_diverged).count(),
                final_risk: median(valid().filter_map(|job| job.final_risk).collect()),
                rms_cos: median(cosines().filter_map(|cosines| cosines.rms).collect()),
                min_cos: median(cosines().filter_map(|cosines| cosines.min).collect()),
            }
        });
        Ok(Self { sweep: sweep.clone(), rows: rows.collect(), scope, notes })
    }

    /// Every cell, sorted by settings, width and depth, however many: for programs.
    pub fn rows(&self) -> &[SummaryRow] {
        &self.rows
    }

    /// What the cosines are over: `samples`, or `batches` or `batch-pairs` where only those were measured.
    pub fn scope(&self) -> Option<&'static str> {
        self.scope
    }

    /// What a reader of the numbers must know besides: columns that older segments lack, cells that mix settings.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// The places of the settings that are not the same everywhere.
fn varied_settings(combinations: &[Vec<Setting>]) -> Vec<usize> {
    let Some((first, rest)) = combinations.split_first() else { return Vec::new() };
    let varies = |index: &usize| rest.iter().any(|other| other[*index] != first[*index]);
    (0..first.len()).filter(varies).collect()
}

/// Whether two jobs of a cell have the same seeds, and so differ in a setting that has no column.
fn has_twins(jobs: &[&Job]) -> bool {
    jobs.iter().map(|job| job.seeds).collect::<BTreeSet<_>>().len() < jobs.len()
}

/// The middle value; of an even number, the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        1 => Some(values[middle]),
        _ => {
            let (low, high) = (values.get(middle.checked_sub(1)?)?, values.get(middle)?);
            Some(low / 2.0 + high / 2.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_both_middles() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0]), Some(3.0));
        assert_eq!(median(vec![4.0, -1.0]), Some(1.5));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0, 4.0]), Some(3.0));
        assert_eq!(median(vec![f64::MAX, f64::MAX]), Some(f64::MAX));
    }

    #[test]
    fn only_settings_that_differ_are_varied() {
        let row =
            |init: &str, dim| vec![Setting::Text(init.into()), Setting::Null, Setting::Int(dim)];
        assert_eq!(varied_settings(&[]), Vec::<usize>::new());
        assert_eq!(varied_settings(&[row("he", 1)]), Vec::<usize>::new());
        assert_eq!(varied_settings(&[row("he", 1), row("lecun", 1)]), [0]);
        assert_eq!(varied_settings(&[row("he", 1), row("he", 2), row("lecun", 2)]), [0, 2]);
    }
}

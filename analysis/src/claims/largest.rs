//! The largest value of a statistic over trials, and on how many seeds and measurements it rests.

use std::collections::BTreeSet;

use crate::study::{Measurement, Trial};

/// What was looked at.
pub(super) struct Largest {
    /// 0 where no value is above it.
    pub value: f64,
    /// Seeds with any value.
    pub seeds: usize,
    /// Measurements with a finite value, and those without.
    pub found: usize,
    pub missing: usize,
}

impl Largest {
    pub(super) fn of<'t>(
        trials: impl IntoIterator<Item = &'t Trial>,
        statistic: impl Fn(&Measurement) -> Option<f64>,
    ) -> Self {
        let mut seeds = BTreeSet::new();
        let mut largest = Self { value: 0.0, seeds: 0, found: 0, missing: 0 };
        for trial in trials {
            for measurement in &trial.measurements {
                match statistic(measurement).filter(|value| value.is_finite()) {
                    Some(value) => {
                        largest.value = largest.value.max(value);
                        largest.found += 1;
                        seeds.insert(trial.seeds);
                    }
                    None => largest.missing += 1,
                }
            }
        }
        Self { seeds: seeds.len(), ..largest }
    }
}

//! What numbers the columns of measurements can hold. Others are damage, or another program's: they are left out, and told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::Trial;
use crate::results::Frame;
use crate::words::counted;

/// Values of a column that were left out, because they cannot be what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    pub column: &'static str,
    pub value_count: usize,
    pub trial_count: usize,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { column, value_count, trial_count } = self;
        let range = match Range::of(column) {
            Range::Number => "a finite number",
            Range::Positive => "a finite number, 0 or more",
            Range::Share => "from 0 to 1",
            Range::Cosine => "from −1 to 1",
            Range::UpToCount => "from 0 to the number of gradients compared",
        };
        let (values, trials) = (counted(*value_count, "value"), counted(*trial_count, "trial"));
        write!(f, "{values} of {column} in {trials} left out: it must be {range}")
    }
}

/// By how much rounding may carry a number out of its range, as a share of the range's end.
const ROUNDING: f64 = 1e-3;

#[derive(Clone, Copy)]
enum Range {
    Number,
    Positive,
    Share,
    Cosine,
    /// eta ≤ max |gᵢ||gⱼ| ≤ N/2 mean |g|², of N gradients.
    UpToCount,
}

impl Range {
    fn of(column: &str) -> Self {
        match column {
            "rms_cos" => Self::Share,
            "relative_eta" => Self::UpToCount,
            "min_cos" | "mean_cos" | "cos_q01" | "cos_q05" | "cos_q50" => Self::Cosine,
            "eta" | "risk" | "gradient_norm" | "epoch" | "step_size" => Self::Positive,
            _ => Self::Number,
        }
    }

    fn holds(self, value: f64, count: Option<i64>) -> bool {
        let one = 1.0 + ROUNDING;
        value.is_finite()
            && match self {
                Self::Number => true,
                Self::Positive => value >= 0.0,
                Self::Share => (0.0..=one).contains(&value),
                Self::Cosine => value.abs() <= one,
                Self::UpToCount => {
                    value >= 0.0 && count.is_none_or(|count| value <= one * count as f64)
                }
            }
    }
}

/// Counts what is left out.
#[derive(Default)]
pub(super) struct Checked(BTreeMap<&'static str, (usize, BTreeSet<String>)>);

impl Checked {
    pub(super) fn left_out(self) -> Vec<Unusable> {
        let all = self.0.into_iter();
        all.map(|(column, (value_count, trials))| Unusable {
            column,
            value_count,
            trial_count: trials.len(),
        })
        .collect()
    }
}

/// Some columns of numbers, as a file has them.
pub(super) struct Numbers<const N: usize>([(&'static str, Range, Vec<Option<f64>>); N]);

impl<const N: usize> Numbers<N> {
    pub(super) fn read(frame: &Frame, names: [&'static str; N]) -> Self {
        Self(names.map(|name| (name, Range::of(name), frame.floats_as_stored(name))))
    }

    /// The values of a row that can be what their columns say, over `count` gradients; the others are counted. Of trials that
    /// diverged none is counted: there numbers end.
    pub(super) fn row(
        &self,
        row: usize,
        count: Option<i64>,
        trial: &Trial,
        checked: &mut Checked,
    ) -> [Option<f64>; N] {
        self.0.each_ref().map(|(column, range, values)| {
            let value = values[row]?;
            let is_usable = range.holds(value, count);
            if !is_usable && !trial.is_diverged {
                let (values, trials) = checked.0.entry(column).or_default();
                *values += 1;
                trials.insert(trial.job.clone());
            }
            is_usable.then_some(value)
        })
    }
}

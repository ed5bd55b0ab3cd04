//! One statistic over cells and seeds: the table that every fit and test starts from.

use std::collections::BTreeMap;

use super::Trial;
use crate::statistics::mean;

/// The values of a statistic: cells sorted by dim, width and depth, and in each one value a seed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Panel {
    pub cells: Vec<Cell>,
    /// `(data seed, initial seed)` of those with any value, sorted; the columns of the table.
    pub seeds: Vec<(i64, i64)>,
}

/// One width, depth and dim.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    pub width: i64,
    pub depth: i64,
    pub dim: i64,
    /// By seed, the mean over its trials (orders of the examples); none where all diverged, are missing, or have no such number.
    pub values: Vec<Option<f64>>,
    /// Trials that have such a number.
    pub trial_count: usize,
}

impl Cell {
    /// Weighted mean over the seeds that have a value, and the sum of their weights; none where that is 0.
    pub fn mean(&self, weights: &[f64]) -> Option<(f64, f64)> {
        let pairs = self.values.iter().zip(weights);
        let present = pairs.filter_map(|(value, weight)| Some((value.as_ref()?, weight)));
        let (sum, total) = present.fold((0.0, 0.0), |(s, t), (v, w)| (s + v * w, t + w));
        (total > 0.0).then_some((sum / total, total))
    }

    /// The values there are.
    pub fn present(&self) -> Vec<f64> {
        self.values.iter().flatten().copied().collect()
    }
}

impl Panel {
    /// A number of every trial with a width, a depth and a dim. Diverged trials have none: their cosines are those of
    /// weights that nobody would keep.
    pub fn of(trials: &[Trial], value: impl Fn(&Trial) -> Option<f64>) -> Self {
        let mut seeds: Vec<_> = trials.iter().map(|trial| trial.seeds).collect();
        seeds.sort_unstable();
        seeds.dedup();
        let mut cells: BTreeMap<_, Vec<Vec<f64>>> = BTreeMap::new();
        for trial in trials {
            let (Some(width), Some(depth), Some(dim)) = (trial.width, trial.depth, trial.dim)
            else {
                continue;
            };
            let values =
                cells.entry((dim, width, depth)).or_insert_with(|| vec![Vec::new(); seeds.len()]);
            if let Ok(column) = seeds.binary_search(&trial.seeds)
                && !trial.is_diverged
            {
                values[column].extend(value(trial).filter(|value| value.is_finite()));
            }
        }
        // A seed without any value is none that an answer rests on.
        let has_any = |column: &usize| cells.values().any(|values| !values[*column].is_empty());
        let columns: Vec<_> = (0..seeds.len()).filter(has_any).collect();
        let cells = cells.iter().map(|(&(dim, width, depth), values)| {
            let trial_count = values.iter().map(Vec::len).sum();
            let values = columns.iter().map(|column| mean(&values[*column])).collect();
            Cell { width, depth, dim, values, trial_count }
        });
        Self {
            cells: cells.collect(),
            seeds: columns.iter().map(|column| seeds[*column]).collect(),
        }
    }

    /// Every seed once.
    pub fn even_weights(&self) -> Vec<f64> {
        vec![1.0; self.seeds.len()]
    }

    /// The share of cells and seeds that have a value.
    pub fn filled(&self) -> f64 {
        let present: usize = self.cells.iter().map(|cell| cell.present().len()).sum();
        present as f64 / (self.cells.len() * self.seeds.len()).max(1) as f64
    }

    /// The panel without the cells that `keep` refuses.
    pub fn filter(&self, keep: impl Fn(&Cell) -> bool) -> Self {
        let cells = self.cells.iter().filter(|cell| keep(cell)).cloned().collect();
        Self { cells, seeds: self.seeds.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(width: i64, seed: i64, risk: f64) -> Trial {
        let (width, depth, dim) = (Some(width), Some(2), Some(16));
        Trial { width, depth, dim, seeds: (seed, 0), final_risk: Some(risk), ..Trial::default() }
    }

    #[test]
    fn trials_of_one_data_and_one_initial_seed_are_one_value_their_mean() {
        let trials = [trial(8, 1, 3.0), trial(8, 1, 5.0), trial(8, 0, 1.0)];
        let panel = Panel::of(&trials, |trial| trial.final_risk);
        assert_eq!(panel.cells[0].values, [Some(1.0), Some(4.0)]);
    }

    #[test]
    fn what_diverged_is_missing_or_not_finite_has_no_value() {
        let diverged = Trial { is_diverged: true, ..trial(8, 2, 1.0) };
        let bare = Trial { width: None, ..trial(8, 3, 1.0) };
        let trials = [trial(8, 1, 3.0), trial(4, 1, f64::NAN), diverged, trial(8, 0, 1.0), bare];
        let panel = Panel::of(&trials, |trial| trial.final_risk);
        assert_eq!(panel.seeds, [(0, 0), (1, 0)]);
        assert_eq!(panel.cells[0].values, [None; 2]);
        assert_eq!(panel.cells[1].values, [Some(1.0), Some(3.0)]);
        assert_eq!(panel.cells[1].mean(&[1.0, 3.0]), Some((2.5, 4.0)));
        assert_eq!(panel.cells[0].mean(&panel.even_weights()), None);
        assert_eq!(panel.filled(), 0.5);
        assert_eq!(Panel::of(&[], |_| None).filled(), 0.0);
    }
}

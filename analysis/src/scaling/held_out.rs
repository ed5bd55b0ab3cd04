//! Which law predicts cells that it was not fitted to.

use std::collections::BTreeMap;

use super::law::Law;
use crate::statistics::isotonic::Curve;
use crate::statistics::{gaussian, standard_error};
use crate::study::Panel;

/// How a law predicts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    pub law: Law,
    /// Mean predictive log-likelihood of a held-out cell, nats.
    pub per_cell: f64,
    /// How much less than that of the best law, nats a cell.
    pub behind: f64,
    /// The standard error of that difference over held-out rows; 0 for the best.
    pub behind_error: f64,
    /// Root mean squared error of the predictions, in units of the statistic.
    pub error: f64,
}

impl Score {
    /// Whether the best law predicts better by more than two standard errors.
    pub fn is_beaten(&self) -> bool {
        self.behind > 2.0 * self.behind_error && self.behind > 0.0
    }
}

/// Every law's score, the best first. Each row (one width and dim, all depths) is held out in turn: an increasing curve
/// in the law's index is fitted to the others, and read off, straight between its points, at the cells left out.
///
/// ```text
/// score = mean over cells of ln N(y; ŷ₋ᵣ, σ²₋ᵣ),   σ²₋ᵣ the mean squared error in the other held-out rows
/// ```
///
/// Only the law differs between scores: each has its own monotone curve, none has a threshold, and no cell is censored.
/// None with fewer than four rows.
pub fn compare(panel: &Panel, weights: &[f64]) -> Vec<Score> {
    let mut rows: BTreeMap<(i64, i64), Vec<(f64, f64)>> = BTreeMap::new();
    for cell in panel.cells.iter().filter(|cell| cell.depth > 0) {
        if let Some((mean, _)) = cell.mean(weights) {
            rows.entry((cell.width, cell.dim)).or_default().push((cell.depth as f64, mean));
        }
    }
    if rows.len() < 4 {
        return Vec::new();
    }
    let rows: Vec<_> = rows.into_iter().collect();
    let laws = Law::ALL.map(|law| (law, likelihoods(law, &rows)));
    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
    let best = laws.iter().max_by(|a, b| mean(&a.1.0).total_cmp(&mean(&b.1.0)));
    let Some((_, (best, _))) = best else { return Vec::new() };
    let mut scores: Vec<_> = laws
        .iter()
        .map(|(law, (of, error))| {
            let gaps: Vec<_> = best.iter().zip(of).map(|(best, own)| best - own).collect();
            Score {
                law: *law,
                per_cell: mean(of),
                behind: mean(&gaps),
                behind_error: standard_error(&gaps).unwrap_or(0.0),
                error: *error,
            }
        })
        .collect();
    scores.sort_by(|a, b| b.per_cell.total_cmp(&a.per_cell));
    scores
}

type KnownRow = ((i64, i64), Vec<(f64, f64)>);

/// The mean predictive log-likelihood of each row's cells, and the error over all.
fn likelihoods(law: Law, rows: &[KnownRow]) -> (Vec<f64>, f64) {
    let index = |(width, dim): (i64, i64), depth: f64| law.index(width as f64, depth, dim as f64);
    let squares: Vec<Vec<f64>> = (0..rows.len())
        .map(|out| {
            let others = rows.iter().enumerate().filter(|(place, _)| *place != out);
            let known = others.flat_map(|(_, (at, cells))| {
                cells.iter().map(|(depth, value)| (index(*at, *depth), *value, 1.0))
            });
            let curve = Curve::through(known.collect());
            let (at, cells) = &rows[out];
            let miss = |(depth, value): &(f64, f64)| {
                curve.at(index(*at, *depth)).map(|level| (value - level).powi(2))
            };
            cells.iter().filter_map(miss).collect()
        })
        .collect();
    let sums: Vec<(f64, f64)> =
        squares.iter().map(|row| (row.iter().sum(), row.len() as f64)).collect();
    let (sum, count) = sums.iter().fold((0.0, 0.0), |(s, n), (a, b)| (s + a, n + b));
    // Below this a law would be called infinitely better for rounding alone.
    const VARIANCE_MIN: f64 = 1e-12;
    let likelihood = |(row, (own, own_count)): (&Vec<f64>, &(f64, f64))| {
        let variance = ((sum - own) / (count - own_count)).max(VARIANCE_MIN);
        let ln =
            |square: &f64| gaussian::ln_density((square / variance).sqrt()) - 0.5 * variance.ln();
        row.iter().map(ln).sum::<f64>() / row.len() as f64
    };
    (squares.iter().zip(&sums).map(likelihood).collect(), (sum / count).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::Cell;

    /// Four rows of one cell each, at ln β − ln l = 0, 1, 2 and 3 times ln 2; of any law with d in it the order is another.
    fn panel() -> Panel {
        let cells = [(8, 1, 0.0), (4, 1000, 1.0), (2, 1, 2.0), (1, 1000, 3.0)];
        let cell = |(width, dim, value)| Cell {
            width,
            depth: 8,
            dim,
            values: vec![Some(value)],
            trial_count: 1,
        };
        Panel { cells: cells.map(cell).to_vec(), seeds: vec![(0, 0)] }
    }

    /// `mean over rows of ln N(y; ŷ, σ²)`, σ² the mean of the other rows' squares.
    fn per_cell(squares: [f64; 4]) -> [f64; 4] {
        let sum: f64 = squares.iter().sum();
        squares.map(|own| {
            let variance = (sum - own) / 3.0;
            -0.5 * (std::f64::consts::TAU * variance).ln() - own / (2.0 * variance)
        })
    }

    /// 0, 1, 2, 3 on a line: the rows at the ends are given the level of their neighbour, those between the middle of theirs. In a law
    /// of d alone 1 and 3 share the lower index, 0 and 2 the higher one: 0 is given the mean of 1, 3 and 2, as those do not rise;
    /// 1 that of 3, 0 and 2; 2 that of 1, 3 and 0; and 3 the level of 1, which is the mean of 0 and 2 too.
    #[test]
    fn each_row_is_predicted_from_the_others_and_their_errors() {
        let scores = compare(&panel(), &[1.0]);
        let of = |law| *scores.iter().find(|score| score.law == law).unwrap();
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        let mean = |of: [f64; 4]| of.iter().sum::<f64>() / 4.0;
        let line = per_cell([1.0, 0.0, 0.0, 1.0]);
        let by_dim = per_cell([4.0, 4.0 / 9.0, 4.0 / 9.0, 4.0]);
        // Of an exponent of 2/5 the cells lie closer together, in the same order: the same curve.
        for law in [Law::RandomMatrix, Law::IcmlWide] {
            let found = of(law);
            assert!(near(found.per_cell, mean(line)) && near(found.behind, 0.0), "{found:?}");
            assert!(near(found.error, 0.5_f64.sqrt()), "{found:?}");
        }
        let found = of(Law::Iclr);
        let gaps: Vec<_> = line.iter().zip(by_dim).map(|(best, own)| best - own).collect();
        assert!(near(found.per_cell, mean(by_dim)), "{found:?}");
        assert!(near(found.behind, mean(line) - mean(by_dim)), "{found:?}");
        assert!(near(found.behind_error, standard_error(&gaps).unwrap()), "{found:?}");
    }

    #[test]
    fn fewer_than_four_rows_are_not_compared_and_two_errors_make_a_law_beaten() {
        let mut few = panel();
        few.cells.pop();
        assert_eq!(compare(&few, &[1.0]), []);
        let score = |behind| Score {
            law: Law::Poster,
            per_cell: 0.0,
            behind,
            behind_error: 0.5,
            error: 0.0,
        };
        assert!(score(1.01).is_beaten() && !score(0.99).is_beaten());
        assert!(!Score { behind_error: 0.0, ..score(0.0) }.is_beaten());
    }
}

//! Where a monotone curve over depth crosses a threshold: the critical depth of one row of cells.

use super::isotonic;

/// Where a row of cells crosses. The censored cases are kept: to drop them would bias every slope fitted to the rest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Crossing {
    /// It is at the threshold at its first depth already: the critical depth is at most this one.
    AtMost(f64),
    /// The critical depth, between two neighbouring depths of the row.
    At { depth: f64, above: f64, up_to: f64 },
    /// It never reaches the threshold: the critical depth is more than this one.
    MoreThan(f64),
}

/// The critical depth of a row of points `(depth, value, weight)`, depths increasing and positive; none of no points.
///
/// ```text
/// f  = isotonic fit of the values
/// β* = exp(ln βₖ₋₁ + (ln βₖ − ln βₖ₋₁) (τ − fₖ₋₁) / (fₖ − fₖ₋₁)),   k the first with fₖ ≥ τ
/// ```
pub fn critical_depth(points: &[(f64, f64, f64)], threshold: f64) -> Option<Crossing> {
    let values: Vec<_> = points.iter().map(|point| point.1).collect();
    let weights: Vec<_> = points.iter().map(|point| point.2).collect();
    let fit = isotonic::increasing(&values, &weights);
    let last = points.last()?.0;
    let Some(k) = fit.iter().position(|&level| level >= threshold) else {
        return Some(Crossing::MoreThan(last));
    };
    let Some(before) = k.checked_sub(1) else { return Some(Crossing::AtMost(points[0].0)) };
    let (above, up_to) = (points[before].0, points[k].0);
    let share = (threshold - fit[before]) / (fit[k] - fit[before]);
    let depth = (above.ln() + (up_to.ln() - above.ln()) * share).exp();
    Some(Crossing::At { depth, above, up_to })
}

impl Crossing {
    /// Whether the critical depth lies outside the depths of the row.
    pub fn is_censored(self) -> bool {
        !matches!(self, Self::At { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[f64]) -> Vec<(f64, f64, f64)> {
        values.iter().enumerate().map(|(k, &y)| (f64::from(1 << k), y, 1.0)).collect()
    }

    #[test]
    fn it_interpolates_in_the_logarithm_of_depth() {
        // Half way between 2 and 4 in the logarithm.
        let found = critical_depth(&row(&[0.1, 0.2, 0.4, 0.8]), 0.3).unwrap();
        let Crossing::At { depth, above, up_to } = found else { panic!("{found:?}") };
        assert!((depth - 8_f64.sqrt()).abs() < 1e-12, "{depth}");
        assert_eq!((above, up_to), (2.0, 4.0));
        // A dip is pooled first: 0.3 at depths 2 and 4 both.
        let found = critical_depth(&row(&[0.1, 0.4, 0.2, 0.5]), 0.3).unwrap();
        assert!(matches!(found, Crossing::At { depth, .. } if (depth - 2.0).abs() < 1e-12));
    }

    #[test]
    fn rows_that_cross_outside_their_depths_are_censored() {
        assert_eq!(critical_depth(&row(&[0.1, 0.2]), 0.3), Some(Crossing::MoreThan(2.0)));
        assert_eq!(critical_depth(&row(&[0.3, 0.4]), 0.3), Some(Crossing::AtMost(1.0)));
        assert_eq!(critical_depth(&[], 0.3), None);
    }
}

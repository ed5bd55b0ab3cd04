//! Ties: numbers that differ by rounding alone, as means of 7 and of 10 equal ones do.

/// Numbers this close, relatively, are equal.
const TIE: f64 = 1e-12;

/// The place of each value among the distinct ones, from 0; none where one is NaN.
pub fn levels(values: &[f64]) -> Option<Vec<usize>> {
    let mut order: Vec<_> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let (mut levels, mut level) = (vec![0; values.len()], 0);
    for pair in order.windows(2) {
        let (low, high) = (values[pair[0]], values[pair[1]]);
        level += usize::from(high - low > TIE * low.abs().max(high.abs()));
        levels[pair[1]] = level;
    }
    values.iter().all(|value| !value.is_nan()).then_some(levels)
}

/// Whether all of these are equal.
pub fn all_tie(values: &[f64]) -> bool {
    levels(values).is_some_and(|levels| levels.iter().all(|level| *level == 0))
}

/// Whether a sum of squares about a mean is rounding, beside the sum of squares about 0.
pub fn is_rounding(about_mean: f64, about_zero: f64) -> bool {
    about_mean <= TIE * TIE * about_zero
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_in_the_last_bit_ties_and_what_differs_does_not() {
        let third = |count: usize| vec![0.1; count].iter().sum::<f64>() / count as f64;
        assert_ne!(third(3), third(10));
        assert_eq!(levels(&[third(3), 0.2, third(10), -0.1]), Some(vec![1, 2, 1, 0]));
        assert!(all_tie(&[third(3), third(10)]) && all_tie(&[]) && !all_tie(&[0.1, 0.1 + 1e-9]));
        assert_eq!(levels(&[1.0, f64::NAN]), None);
        assert!(is_rounding(1e-32, 1.0) && !is_rounding(1e-16, 1.0) && is_rounding(0.0, 0.0));
    }
}

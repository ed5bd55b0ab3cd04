//! Exact quantiles.

/// The quantiles `shares` of `values`, which are left in another order; `None` of no values.
///
/// ```text
/// h = (n − 1) q,   x₍⌊h⌋₎ + (h − ⌊h⌋) (x₍⌊h⌋₊₁₎ − x₍⌊h⌋₎)
/// ```
///
/// Linear interpolation between order statistics: definition 7 of Hyndman and Fan (1996), the default of numpy and R.
///
/// # Numerics
/// The order statistics are exact; no value is NaN.
///
/// # Cost
/// O(n) comparisons a quantile.
pub fn quantile<const Q: usize>(values: &mut [f64], shares: [f64; Q]) -> Option<[f64; Q]> {
    let last = values.len().checked_sub(1)?;
    Some(shares.map(|q| {
        let place = last as f64 * q;
        let below = (place as usize).min(last);
        let (_, &mut low, above) = values.select_nth_unstable_by(below, f64::total_cmp);
        let high = above.iter().copied().min_by(f64::total_cmp).unwrap_or(low);
        low + (place - below as f64) * (high - low)
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_interpolate_between_order_statistics() {
        assert_eq!(quantile(&mut [], [0.5]), None);
        assert_eq!(quantile(&mut [3.0], [0.0, 0.3, 1.0]), Some([3.0; 3]));
        assert_eq!(
            quantile(&mut [4.0, 1.0, 2.0], [0.0, 0.25, 0.5, 1.0]),
            Some([1.0, 1.5, 2.0, 4.0])
        );
    }

    proptest! {
        #[test]
        fn a_quantile_is_that_of_the_sorted_values(
            mut values in proptest::collection::vec(-1.0..1.0f64, 1..200),
            q in 0.0..=1.0f64,
        ) {
            let found = quantile(&mut values, [q]).expect("there are values")[0];
            values.sort_by(f64::total_cmp);
            let place = (values.len() - 1) as f64 * q;
            let (low, high) = (place.floor() as usize, place.ceil() as usize);
            let expected = values[low] + (place - place.floor()) * (values[high] - values[low]);
            prop_assert!((found - expected).abs() < 1e-15);
        }
    }
}

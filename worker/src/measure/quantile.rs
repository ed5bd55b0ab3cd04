//! Exact quantiles.

/// Buckets by which order statistics are looked for.
const BUCKETS: usize = 1 << 14;

/// The quantiles `shares` of `values`; `None` of no values.
///
/// ```text
/// h = (n − 1) q,   x₍⌊h⌋₎ + (h − ⌊h⌋) (x₍⌊h⌋₊₁₎ − x₍⌊h⌋₎)
/// ```
///
/// Linear interpolation between order statistics: definition 7 of Hyndman and Fan (1996), the default of numpy and R.
///
/// # Numerics
/// The order statistics are exact; no value is NaN or infinite.
///
/// # Cost
/// Three passes: the range, a count by buckets of equal width, and the values of the few buckets that hold a wanted order
/// statistic, which are sorted.
pub fn quantile<const Q: usize>(values: &[f64], shares: [f64; Q]) -> Option<[f64; Q]> {
    let last = values.len().checked_sub(1)?;
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // Monotone in the value, whatever it rounds to: no value of a lower bucket is above one of a higher. The division comes
    // after the difference, so that a range which overflows or is 0 only costs time.
    let scale = BUCKETS as f64 / (most - least);
    let bucket = |x: f64| (((x - least) * scale) as usize).min(BUCKETS - 1);
    let mut counts = vec![0u64; BUCKETS];
    for &x in values {
        counts[bucket(x)] += 1;
    }
    let places = shares.map(|q| last as f64 * q);
    let mut wanted: Vec<u64> = Vec::with_capacity(2 * Q);
    for place in places {
        let below = (place as u64).min(last as u64);
        wanted.extend([below, (below + 1).min(last as u64)]);
    }
    // The bucket of each wanted rank, and how many values lie in lower ones.
    let (mut is_wanted, mut before) = (vec![false; BUCKETS], vec![0u64; BUCKETS]);
    let mut sum = 0;
    for b in 0..BUCKETS {
        before[b] = sum;
        sum += counts[b];
        is_wanted[b] = wanted.iter().any(|rank| (before[b]..sum).contains(rank));
    }
    let mut held: Vec<f64> = values.iter().copied().filter(|&x| is_wanted[bucket(x)]).collect();
    held.sort_unstable_by(f64::total_cmp);
    // `held` has whole buckets: the rank within it is what of it lies in lower buckets, plus the rank within the bucket.
    let at = |rank: u64| {
        let b = (0..BUCKETS).rfind(|&b| is_wanted[b] && before[b] <= rank && counts[b] > 0);
        let b = b.unwrap_or_default();
        let lower: u64 = (0..b).filter(|&b| is_wanted[b]).map(|b| counts[b]).sum();
        held[(lower + rank - before[b]) as usize]
    };
    Some(std::array::from_fn(|i| {
        let (low, high) = (at(wanted[2 * i]), at(wanted[2 * i + 1]));
        between(low, high, places[i])
    }))
}

/// The value at `place` between its two order statistics.
pub fn between(low: f64, high: f64, place: f64) -> f64 {
    low + place.fract() * (high - low)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_interpolate_between_order_statistics() {
        assert_eq!(quantile(&[], [0.5]), None);
        assert_eq!(quantile(&[3.0], [0.0, 0.3, 1.0]), Some([3.0; 3]));
        assert_eq!(quantile(&[4.0, 1.0, 2.0], [0.0, 0.25, 0.5, 1.0]), Some([1.0, 1.5, 2.0, 4.0]));
    }

    proptest! {
        #[test]
        fn a_quantile_is_that_of_the_sorted_values(
            mut values in proptest::collection::vec(-1.0..1.0f64, 1..200),
            q in 0.0..=1.0f64,
        ) {
            let found = quantile(&values, [q]).expect("there are values")[0];
            values.sort_by(f64::total_cmp);
            let place = (values.len() - 1) as f64 * q;
            let (low, high) = (place.floor() as usize, place.ceil() as usize);
            let expected = values[low] + (place - place.floor()) * (values[high] - values[low]);
            prop_assert!((found - expected).abs() < 1e-15);
        }
    }
}

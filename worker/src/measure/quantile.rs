//! Exact quantiles.

use super::pairs::fine_bin;

/// The quantiles `shares` of cosines, `counts` being how many there are in each fine bin; `None` of no cosines.
///
/// ```text
/// h = (n − 1) q,   x₍⌊h⌋₎ + (h − ⌊h⌋) (x₍⌊h⌋₊₁₎ − x₍⌊h⌋₎)
/// ```
///
/// Linear interpolation between order statistics: definition 7 of Hyndman and Fan (1996), the default of numpy and R.
///
/// # Numerics
/// The order statistics are exact; no cosine is NaN.
///
/// # Cost
/// One pass, and sorting the cosines of the few bins that hold a wanted order statistic.
pub fn counted_quantiles<const Q: usize>(
    cosines: &[f64],
    counts: &[u32],
    shares: [f64; Q],
) -> Option<[f64; Q]> {
    let last = cosines.len().checked_sub(1)? as u64;
    let places = shares.map(|q| last as f64 * q);
    let ranks = places.map(|place| {
        let below = (place as u64).min(last);
        [below, (below + 1).min(last)]
    });
    // The bin of each wanted rank; how many cosines lie in lower bins, and how many in lower wanted ones.
    let mut is_wanted = vec![false; counts.len()];
    let mut wanted = Vec::new();
    let (mut before, mut kept) = (0, 0);
    for (bin, &count) in counts.iter().enumerate() {
        let end = before + u64::from(count);
        if ranks.as_flattened().iter().any(|rank| (before..end).contains(rank)) {
            is_wanted[bin] = true;
            wanted.push((before..end, kept));
            kept += u64::from(count);
        }
        before = end;
    }
    let mut held: Vec<f64> = Vec::with_capacity(kept as usize);
    held.extend(cosines.iter().filter(|&&cosine| is_wanted[fine_bin(cosine)]));
    held.sort_unstable_by(f64::total_cmp);
    let at = |rank: u64| {
        let bin = wanted.iter().find(|(ranks, _)| ranks.contains(&rank));
        let (ranks, kept) = bin.expect("every wanted rank has its bin");
        held[(kept + rank - ranks.start) as usize]
    };
    Some(std::array::from_fn(|i| {
        let [low, high] = ranks[i].map(at);
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

    use super::super::pairs::FINE;
    use super::*;

    fn quantiles<const Q: usize>(cosines: &[f64], shares: [f64; Q]) -> Option<[f64; Q]> {
        let mut counts = vec![0; FINE];
        cosines.iter().for_each(|&cosine| counts[fine_bin(cosine)] += 1);
        counted_quantiles(cosines, &counts, shares)
    }

    #[test]
    fn quantiles_interpolate_between_order_statistics() {
        assert_eq!(quantiles(&[], [0.5]), None);
        assert_eq!(quantiles(&[0.75], [0.0, 0.3, 1.0]), Some([0.75; 3]));
        let found = quantiles(&[1.0, -1.0, 0.0], [0.0, 0.25, 0.5, 1.0]);
        assert_eq!(found, Some([-1.0, -0.5, 0.0, 1.0]));
    }

    proptest! {
        /// Some of the cosines are all in one bin.
        #[test]
        fn a_quantile_is_that_of_the_sorted_cosines(
            mut cosines in proptest::collection::vec(
                prop_oneof![-1.0..=1.0f64, 0.25..0.2501f64, Just(0.25)],
                1..200,
            ),
            q in 0.0..=1.0f64,
        ) {
            let found = quantiles(&cosines, [q]).expect("there are cosines")[0];
            cosines.sort_by(f64::total_cmp);
            let place = (cosines.len() - 1) as f64 * q;
            let (low, high) = (place.floor() as usize, place.ceil() as usize);
            let expected = cosines[low] + (place - place.floor()) * (cosines[high] - cosines[low]);
            prop_assert!((found - expected).abs() < 1e-15);
        }
    }
}

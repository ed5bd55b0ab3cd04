//! Isotonic regression: the non-decreasing sequence nearest to given values.

/// The non-decreasing `f` that minimises `Σ wᵢ (yᵢ − fᵢ)²`, for values in the order of their argument.
///
/// Pool adjacent violators (Barlow, Bartholomew, Bremner and Brunk, *Statistical Inference under Order Restrictions*,
/// 1972, section 1.2). A value of weight 0 takes the level of its neighbours.
///
/// # Panics
/// If there are not as many weights as values.
///
/// # Cost
/// Linear in the number of values.
pub fn increasing(values: &[f64], weights: &[f64]) -> Vec<f64> {
    assert_eq!(values.len(), weights.len(), "one weight a value");
    // Blocks of equal level: its mean, its weight, how many values it holds.
    let mut blocks: Vec<(f64, f64, usize)> = Vec::with_capacity(values.len());
    for (&value, &weight) in values.iter().zip(weights) {
        let mut block = (value, weight, 1);
        while let Some(&(level, heft, count)) = blocks.last()
            && (level >= block.0 || heft == 0.0 || block.1 == 0.0)
        {
            let total = heft + block.1;
            let level = match total {
                0.0 => block.0,
                total => (level * heft + block.0 * block.1) / total,
            };
            block = (level, total, count + block.2);
            blocks.pop();
        }
        blocks.push(block);
    }
    blocks.iter().flat_map(|&(level, _, count)| std::iter::repeat_n(level, count)).collect()
}

/// An increasing curve: straight between its points, level beyond them.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    points: Vec<(f64, f64)>,
}

impl Curve {
    /// The curve through the isotonic fit to points `(x, y, weight)`.
    ///
    /// Points of one `x`, to rounding, are one point first: a curve has one level there, and to order them by their
    /// values would let it follow their noise.
    pub fn through(mut points: Vec<(f64, f64, f64)>) -> Self {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let is_same =
            |a: &(f64, f64, f64), b: &(f64, f64, f64)| b.0 - a.0 <= TIE * b.0.abs().max(1.0);
        let pooled = points.chunk_by(is_same).map(|tied| {
            let weight: f64 = tied.iter().map(|point| point.2).sum();
            let sum: f64 = tied.iter().map(|point| point.1 * point.2).sum();
            (tied[0].0, sum / weight, weight)
        });
        let pooled: Vec<_> = pooled.collect();
        let values: Vec<_> = pooled.iter().map(|point| point.1).collect();
        let weights: Vec<_> = pooled.iter().map(|point| point.2).collect();
        let levels = increasing(&values, &weights);
        Self { points: pooled.iter().zip(levels).map(|(point, level)| (point.0, level)).collect() }
    }

    /// The level at `x`; none of a curve without points.
    pub fn at(&self, x: f64) -> Option<f64> {
        let after = self.points.partition_point(|point| point.0 < x);
        let before = after.checked_sub(1).and_then(|place| self.points.get(place));
        match (before, self.points.get(after)) {
            (Some(a), Some(b)) => Some(a.1 + (b.1 - a.1) * (x - a.0) / (b.0 - a.0)),
            (end, None) | (None, end) => end.map(|end| end.1),
        }
    }
}

/// Arguments this close, relatively, differ by rounding only.
const TIE: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[f64], weights: &[f64], expected: &[f64]) {
        let found = increasing(values, weights);
        let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(found.len() == expected.len() && near, "{found:?}, not {expected:?}");
    }

    /// scipy.optimize.isotonic_regression, `analysis/tests/reference.py`.
    #[test]
    fn it_agrees_with_scipy() {
        check(
            &[1.5, 1.0, 4.0, 6.0, 5.7, 5.0, 7.8, 9.0, 7.5, 9.5, 9.0],
            &[1.0; 11],
            &[1.25, 1.25, 4.0, 16.7 / 3.0, 16.7 / 3.0, 16.7 / 3.0, 7.8, 8.25, 8.25, 9.25, 9.25],
        );
        let level = 5.4 / 2.5;
        check(&[3.0, 1.8, 2.0, 5.0], &[0.5, 1.0, 1.0, 2.0], &[2.12, 2.12, 2.12, 5.0]);
        check(&[3.0, 1.8, 2.1, 5.0], &[0.5, 1.0, 1.0, 2.0], &[level, level, level, 5.0]);
    }

    #[test]
    fn points_of_one_argument_are_one_point_of_the_curve() {
        let curve = Curve::through(vec![(2.0, 9.0, 1.0), (1.0, 4.0, 1.0), (1.0 + 1e-13, 0.0, 3.0)]);
        assert_eq!(
            [0.0, 1.0, 1.5, 2.0, 7.0].map(|x| curve.at(x)),
            [1.0, 1.0, 5.0, 9.0, 9.0].map(Some)
        );
        assert_eq!(Curve::through(Vec::new()).at(1.0), None);
    }

    #[test]
    fn what_increases_stays_and_what_decreases_becomes_its_mean() {
        check(&[], &[], &[]);
        check(&[1.0, 2.0, 2.0, 3.0], &[1.0; 4], &[1.0, 2.0, 2.0, 3.0]);
        check(&[3.0, 2.0, 1.0], &[1.0; 3], &[2.0; 3]);
        check(&[1.0, 9.0, 2.0], &[1.0, 0.0, 1.0], &[1.0, 1.0, 2.0]);
    }
}

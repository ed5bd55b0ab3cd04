//! The slope of a line through points, by ordinary least squares.

/// The slope of points `(x, y)`; none of fewer than two different x.
///
/// ```text
/// b = Σ (x − x̄)(y − ȳ) / Σ (x − x̄)²
/// ```
///
/// Of all lines, the one with this slope through the means leaves the least sum of squares of y (Gauss, *Theoria
/// combinationis observationum*, 1821). Centred first, so that no digits are lost where x is far from 0.
pub fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let n = points.len() as f64;
    let sum = |of: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>();
    let (x, y) = (sum(&|point| point.0) / n, sum(&|point| point.1) / n);
    let spread = sum(&|point| (point.0 - x).powi(2));
    let slope = sum(&|point| (point.0 - x) * (point.1 - y)) / spread;
    (spread > 0.0 && slope.is_finite()).then_some(slope)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scipy.stats.linregress, `analysis/tests/reference.py`.
    #[test]
    fn it_agrees_with_scipy() {
        let points = [(1.0, 2.0), (2.0, 1.5), (3.0, 4.0), (5.0, 3.5), (8.0, 7.25)];
        let found = slope(&points).unwrap();
        assert!((found - 0.751_623_376_623_376_7).abs() < 1e-12, "{found}");
    }

    #[test]
    fn lines_have_their_slope_and_points_above_one_another_none() {
        let line = [1e6, 1e6 + 1.0, 1e6 + 3.0].map(|x| (x, 2.0 - 0.5 * x));
        assert!((slope(&line).unwrap() + 0.5).abs() < 1e-9);
        assert_eq!(slope(&[(1.0, 2.0), (1.0, 3.0)]), None);
        assert_eq!(slope(&[(1.0, 2.0)]), None);
        assert_eq!(slope(&[]), None);
        assert_eq!(slope(&[(1.0, f64::NAN), (2.0, 1.0)]), None);
    }
}

//! A joint confidence region for one or two exponents: an ellipse around the estimate, from its resamples.

use super::student::two_sided_quantile;

/// The points `θ` with `(θ − θ̂)ᵀ S⁻¹ (θ − θ̂) ≤ c`.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    pub center: [f64; 2],
    /// S. Where only the first exponent was estimated, all entries of the second are 0.
    covariance: [[f64; 2]; 2],
    radius_squared: f64,
}

impl Region {
    /// The region of coverage `1 − alpha` around `center`, from resampled estimates.
    ///
    /// ```text
    /// S = inflation · Σ (θₛ − θ̄)(θₛ − θ̄)ᵀ / (B − 1)
    /// c = ν (α^(−2/(ν−1)) − 1)        two exponents: Hotelling's T², 2ν/(ν−1) · F(2, ν−1)
    /// c = t(1 − α/2, ν)²              one exponent
    /// ```
    ///
    /// A percentile interval from five clusters is too short: the resamples know only the five. The quantile of
    /// Hotelling's T² with the clusters' degrees of freedom ν widens it by what five clusters leave unknown about S.
    /// None with less than two (one) degrees of freedom, or a degenerate S.
    pub fn new(
        center: [f64; 2],
        resamples: &[[f64; 2]],
        (freedom, inflation): (usize, f64),
        alpha: f64,
    ) -> Option<Self> {
        let n = resamples.len() as f64;
        let mean = [0, 1].map(|i| resamples.iter().map(|theta| theta[i]).sum::<f64>() / n);
        let covariance = [0, 1].map(|i| {
            [0, 1].map(|j| {
                let product = |theta: &[f64; 2]| (theta[i] - mean[i]) * (theta[j] - mean[j]);
                inflation * resamples.iter().map(product).sum::<f64>() / (n - 1.0)
            })
        });
        let region = Self { center, covariance, radius_squared: 0.0 };
        let radius_squared = if region.is_flat() {
            (freedom >= 1).then(|| two_sided_quantile(alpha, freedom).powi(2))?
        } else {
            let nu = freedom as f64;
            (freedom >= 2).then(|| nu * (alpha.powf(-2.0 / (nu - 1.0)) - 1.0))?
        };
        let has_size = covariance[0][0] > 0.0 && (region.is_flat() || region.determinant() > 0.0);
        (has_size && radius_squared.is_finite()).then_some(Self { radius_squared, ..region })
    }

    fn is_flat(&self) -> bool {
        self.covariance[1][1] == 0.0
    }

    fn determinant(&self) -> f64 {
        let [[a, b], [_, d]] = self.covariance;
        a * d - b * b
    }

    /// Whether the region holds this point; of one exponent, whether it holds the first.
    pub fn contains(&self, point: [f64; 2]) -> bool {
        let [[a, b], [_, d]] = self.covariance;
        let [x, y] = [point[0] - self.center[0], point[1] - self.center[1]];
        let distance = match self.is_flat() {
            true => x * x / a,
            false => (d * x * x - 2.0 * b * x * y + a * y * y) / self.determinant(),
        };
        distance <= self.radius_squared
    }

    /// From where to where the region goes along one exponent. Two such intervals hold more than the region does.
    pub fn extent(&self, exponent: usize) -> (f64, f64) {
        let half = (self.radius_squared * self.covariance[exponent][exponent]).sqrt();
        (self.center[exponent] - half, self.center[exponent] + half)
    }

    /// `count` points along the edge, for a figure; none where the region is an interval.
    pub fn outline(&self, count: usize) -> Vec<[f64; 2]> {
        if self.is_flat() {
            return Vec::new();
        }
        let [[a, b], [_, d]] = self.covariance;
        // Cholesky of S carries the circle onto the ellipse.
        let first = a.sqrt();
        let (shear, second) = (b / first, (d - b * b / a).max(0.0).sqrt());
        let radius = self.radius_squared.sqrt();
        let point = |k: usize| {
            let (sin, cos) = (std::f64::consts::TAU * k as f64 / count as f64).sin_cos();
            let [x, y] = self.center;
            [x + radius * first * cos, y + radius * (shear * cos + second * sin)]
        };
        (0..count).map(point).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CROSS: [[f64; 2]; 4] = [[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]];

    /// scipy.stats.f, `analysis/tests/reference.py`: the factor at 4 and 20 degrees of freedom.
    #[test]
    fn the_radius_is_that_of_hotelling() {
        for (freedom, expected) in [(4, 25.472_251_989_123_07), (20, 7.414_512_127_534_369)] {
            let region = Region::new([0.5, 0.5], &CROSS, (freedom, 1.0), 0.05).unwrap();
            assert!((region.radius_squared / expected - 1.0).abs() < 1e-12, "{region:?}");
            // S = diag(2, 8) / 3.
            let half = (expected * 2.0 / 3.0).sqrt();
            assert!((region.extent(0).1 - 0.5 - half).abs() < 1e-12);
            assert!(region.contains([0.5 + 0.999 * half, 0.5]));
            assert!(!region.contains([0.5 + 1.001 * half, 0.5]));
            let on_edge = region.outline(12);
            let near = |point: &[f64; 2], scale: f64| {
                region.contains([0, 1].map(|i| 0.5 + scale * (point[i] - 0.5)))
            };
            assert!(on_edge.iter().all(|point| near(point, 0.999) && !near(point, 1.001)));
        }
    }

    #[test]
    fn one_exponent_has_an_interval_and_few_seeds_have_nothing() {
        let line = CROSS.map(|theta| [theta[0], 0.0]);
        let region = Region::new([0.0, 0.0], &line, (4, 1.0), 0.05).unwrap();
        let half = 2.776_445_105_197_793 * (2.0_f64 / 3.0).sqrt();
        assert!((region.extent(0).1 - half).abs() < 1e-8, "{region:?}");
        assert!(region.contains([0.9 * half, 77.0]) && region.outline(9).is_empty());
        assert_eq!(Region::new([0.0; 2], &CROSS, (1, 1.0), 0.05), None);
        assert_eq!(Region::new([0.0; 2], &line, (0, 1.0), 0.05), None);
        assert_eq!(Region::new([0.0; 2], &[], (9, 1.0), 0.05), None);
        assert_eq!(Region::new([0.0; 2], &[[1.0, 1.0]; 5], (9, 1.0), 0.05), None);
    }
}

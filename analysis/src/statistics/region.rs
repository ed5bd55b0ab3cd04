//! A joint confidence region for one or two exponents: an ellipse around the estimate, from its resamples.

use super::student::two_sided_quantile;
use super::two_way::{Matrix, counted_once};

/// The points `θ` with `(θ − θ̂)ᵀ S⁻¹ (θ − θ̂) ≤ c`.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    pub center: [f64; 2],
    /// S. Where only the first exponent was estimated, all entries of the second are 0.
    covariance: Matrix,
    radius_squared: f64,
}

/// Resampled estimates of each source of variation.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    pub sources: Vec<Part>,
    /// Where two sources are crossed, what each trial resampled by itself gives: both sources count what trials add alone.
    pub trials: Option<Part>,
}

/// Resampled estimates of one source of variation.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub resamples: Vec<[f64; 2]>,
    /// Degrees of freedom ν: clusters less strata.
    pub freedom: usize,
    /// By how much the variance of the resamples is too small.
    pub inflation: f64,
}

impl Part {
    /// `inflation · Σ (θₛ − θ̄)(θₛ − θ̄)ᵀ / (B − 1)`.
    fn covariance(&self) -> Matrix {
        let n = self.resamples.len() as f64;
        let mean = [0, 1].map(|i| self.resamples.iter().map(|theta| theta[i]).sum::<f64>() / n);
        [0, 1].map(|i| {
            [0, 1].map(|j| {
                let product = |theta: &[f64; 2]| (theta[i] - mean[i]) * (theta[j] - mean[j]);
                self.inflation * self.resamples.iter().map(product).sum::<f64>() / (n - 1.0)
            })
        })
    }
}

impl Region {
    /// The region of coverage `1 − alpha` around `center`, from resampled estimates of each source of variation.
    ///
    /// ```text
    /// S = Σₖ Sₖ − E, see `two_way`;  E = (nₜ Sₜ − Σₖ νₖ Sₖ) / (nₜ − Σₖ νₖ),   Sₜ from single trials, nₜ their number less one
    /// c = ν (α^(−2/(ν−1)) − 1)        two exponents: Hotelling's T², 2ν/(ν−1) · F(2, ν−1)
    /// c = t(1 − α/2, ⌊ν⌋)²            one exponent
    /// ν = (p + p²) / Σₖ (tr Rₖ² + (tr Rₖ)²)/νₖ,   Rₖ = (Σ Sₖ)⁻¹Sₖ,   p exponents
    /// ```
    ///
    /// A percentile interval from five clusters is too short: the resamples know only the five. The quantile of
    /// Hotelling's T² with the clusters' degrees of freedom ν widens it by what five clusters leave unknown about S.
    /// Where sources add up, ν is that of the sum (Krishnamoorthy and Yu, *Statistics & Probability Letters* 66, 2004; with one
    /// exponent Satterthwaite's): between the least νₖ and their sum; what is taken off adds no freedom, since the estimate
    /// of E is no better known than they are. None with less than two (one) degrees of freedom in a source, or a degenerate S.
    pub fn new(center: [f64; 2], parts: &Parts, alpha: f64) -> Option<Self> {
        let Parts { sources: parts, trials } = parts;
        let each: Vec<_> = parts.iter().map(Part::covariance).collect();
        let sum = |i: usize, j: usize| each.iter().map(|part| part[i][j]).sum::<f64>();
        let covariance = [[sum(0, 0), sum(0, 1)], [sum(1, 0), sum(1, 1)]];
        let region = Self { center, covariance, radius_squared: 0.0 };
        let least = parts.iter().map(|part| part.freedom).min()?;
        let has_size = covariance[0][0] > 0.0 && (region.is_flat() || region.determinant() > 0.0);
        if !has_size || least < if region.is_flat() { 1 } else { 2 } {
            return None;
        }
        let nu = region.freedom(&each, parts);
        let covariance = match trials.as_ref().and_then(|trials| alone(trials, &each, parts)) {
            Some(trials) => counted_once(covariance, trials),
            None => covariance,
        };
        let radius_squared = match region.is_flat() {
            true => two_sided_quantile(alpha, (nu + 1e-9) as usize).powi(2),
            false => nu * (alpha.powf(-2.0 / (nu - 1.0)) - 1.0),
        };
        radius_squared.is_finite().then_some(Self { center, covariance, radius_squared })
    }

    /// ν of the sum of covariances.
    fn freedom(&self, each: &[Matrix], parts: &[Part]) -> f64 {
        let [[a, b], [_, d]] = self.covariance;
        let spent = |(of, part): (&Matrix, &Part)| {
            let (trace, square) = if self.is_flat() {
                let share = of[0][0] / a;
                (share, share * share)
            } else {
                let det = self.determinant();
                let rows = [[d / det, -b / det], [-b / det, a / det]];
                let r = rows.map(|row| [0, 1].map(|j| row[0] * of[0][j] + row[1] * of[1][j]));
                let square = r[0][0] * r[0][0] + 2.0 * r[0][1] * r[1][0] + r[1][1] * r[1][1];
                (r[0][0] + r[1][1], square)
            };
            (square + trace * trace) / part.freedom as f64
        };
        let p = if self.is_flat() { 1.0 } else { 2.0 };
        (p + p * p) / each.iter().zip(parts).map(spent).sum::<f64>()
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

/// E: what single trials add, of the covariance `trials` of trials resampled by themselves. None without any freedom left.
fn alone(trials: &Part, each: &[Matrix], parts: &[Part]) -> Option<Matrix> {
    let all = trials.freedom as f64;
    let left = all - parts.iter().map(|part| part.freedom as f64).sum::<f64>();
    let whole = trials.covariance();
    let entry = |i: usize, j: usize| {
        let of_seeds = each.iter().zip(parts).map(|(of, part)| part.freedom as f64 * of[i][j]);
        (all * whole[i][j] - of_seeds.sum::<f64>()) / left
    };
    (left > 0.0).then(|| [0, 1].map(|i| [0, 1].map(|j| entry(i, j))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CROSS: [[f64; 2]; 4] = [[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]];

    fn part(resamples: &[[f64; 2]], freedom: usize) -> Part {
        Part { resamples: resamples.to_vec(), freedom, inflation: 1.0 }
    }

    fn region(center: [f64; 2], resamples: &[[f64; 2]], freedom: usize) -> Option<Region> {
        Region::new(center, &sources(&[part(resamples, freedom)]), 0.05)
    }

    fn sources(parts: &[Part]) -> Parts {
        Parts { sources: parts.to_vec(), trials: None }
    }

    /// Two alike sources of 4 degrees of freedom have 8 together, one that adds nothing has no say, and the freedom does not
    /// move with the units of an exponent.
    #[test]
    fn sources_that_add_up_have_the_freedom_of_their_sum() {
        let radius =
            |parts: &[Part]| Region::new([0.0; 2], &sources(parts), 0.05).unwrap().radius_squared;
        let of = |nu: f64| nu * (0.05_f64.powf(-2.0 / (nu - 1.0)) - 1.0);
        let near = |found: f64, nu: f64| (found / of(nu) - 1.0).abs() < 1e-9;
        assert!(near(radius(&[part(&CROSS, 4), part(&CROSS, 4)]), 8.0));
        let nothing = part(&[[0.0; 2]; 4], 4);
        assert!(near(radius(&[part(&CROSS, 7), nothing]), 7.0));
        let scaled = |scale: f64, all: &[[f64; 2]]| -> Vec<_> {
            all.iter().map(|theta| [theta[0], scale * theta[1]]).collect()
        };
        let other = [[0.5, 0.1], [-0.5, 0.3], [0.2, -0.4], [-0.2, 0.0]];
        let at = |scale: f64| {
            radius(&[part(&scaled(scale, &CROSS), 4), part(&scaled(scale, &other), 9)])
        };
        assert!((at(1.0) / at(1e3) - 1.0).abs() < 1e-9 && at(1.0) < of(4.0) && at(1.0) > of(13.0));
        let line = CROSS.map(|theta| [theta[0], 0.0]);
        let t = two_sided_quantile(0.05, 8).powi(2);
        assert!((radius(&[part(&line, 4), part(&line, 4)]) / t - 1.0).abs() < 1e-9);
    }

    /// A layout of 5 by 5 seeds in which trials alone vary: both kinds have all of it, and one of the two is left.
    #[test]
    fn what_single_trials_add_is_counted_once() {
        let parts = [part(&CROSS, 4), part(&CROSS, 4)];
        let of = |trials: Option<Part>| {
            Region::new([0.0; 2], &Parts { sources: parts.to_vec(), trials }, 0.05).unwrap()
        };
        let (twice, once) = (of(None), of(Some(part(&CROSS, 24))));
        assert_eq!(twice.radius_squared, once.radius_squared);
        let ratio = [0, 1].map(|k| once.covariance[k][k] / twice.covariance[k][k]);
        assert!(ratio.iter().all(|ratio| (ratio - 0.5).abs() < 1e-12), "{ratio:?}");
        // Seeds alone: of trials by themselves a third of each kind's variance shows, 8 of 24 degrees of freedom.
        let third = CROSS.map(|theta| theta.map(|x| x / 3.0_f64.sqrt()));
        let none = of(Some(part(&third, 24)));
        assert!((none.covariance[0][0] / twice.covariance[0][0] - 1.0).abs() < 1e-12, "{none:?}");
        assert_eq!(of(Some(part(&CROSS, 8))), twice);
    }

    /// scipy.stats.f, `analysis/tests/reference.py`: the factor at 4 and 20 degrees of freedom.
    #[test]
    fn the_radius_is_that_of_hotelling() {
        for (freedom, expected) in [(4, 25.472_251_989_123_07), (20, 7.414_512_127_534_369)] {
            let region = region([0.5, 0.5], &CROSS, freedom).unwrap();
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
        let region = region([0.0, 0.0], &line, 4).unwrap();
        let half = 2.776_445_105_197_793 * (2.0_f64 / 3.0).sqrt();
        assert!((region.extent(0).1 - half).abs() < 1e-8, "{region:?}");
        assert!(region.contains([0.9 * half, 77.0]) && region.outline(9).is_empty());
        let none = |resamples: &[[f64; 2]], freedom| {
            assert_eq!(Region::new([0.0; 2], &sources(&[part(resamples, freedom)]), 0.05), None);
        };
        none(&CROSS, 1);
        none(&line, 0);
        none(&[], 9);
        none(&[[1.0, 1.0]; 5], 9);
        assert_eq!(Region::new([0.0; 2], &sources(&[]), 0.05), None);
    }
}

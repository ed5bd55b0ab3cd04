//! Regression of a quantity of which some values are known only to lie in an interval, or beyond a bound.

use super::gaussian;
use super::linear::solve;

/// What is known of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Observation {
    Exact(f64),
    AtMost(f64),
    AtLeast(f64),
    Between(f64, f64),
}

impl Observation {
    fn middle(self) -> f64 {
        match self {
            Self::Exact(y) | Self::AtMost(y) | Self::AtLeast(y) => y,
            Self::Between(low, high) => 0.5 * (low + high),
        }
    }
}

/// A fitted regression `y = x·b + σε`.
#[derive(Clone, Debug, PartialEq)]
pub struct CensoredFit {
    /// b, in the order of the columns of `x`.
    pub coefficients: Vec<f64>,
    pub sigma: f64,
    pub log_likelihood: f64,
}

/// Why there is no fit. It says something of the data, and nothing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    #[error("{rows} rows are too few for {parameters} parameters")]
    TooFew { rows: usize, parameters: usize },
    #[error("the rows do not tell the parameters apart")]
    Singular,
    #[error("more than one line passes within all bounds")]
    Undetermined,
    #[error("every row is censored")]
    AllCensored,
    #[error("the likelihood has no maximum that {steps} steps reach")]
    NoMaximum { steps: usize },
}

/// The least residual deviation: rows on an exact line would otherwise have none, and no likelihood.
const SIGMA_MIN: f64 = 1e-6;
/// Newton steps. The likelihood is concave here, so a maximum takes about eight.
const STEPS_MAX: usize = 100;

/// The fit of most likelihood to rows of `(x, what is known of y)`, with normal errors of one σ.
///
/// ```text
/// θ = 1/σ, γ = b/σ, z(y) = θy − x·γ
/// ln L = Σ  ln θ + ln φ(z(y))                 y known
///         + ln Φ(z(h))                        y ≤ h
///         + ln Φ(−z(l))                       y ≥ l
///         + ln (Φ(z(h)) − Φ(z(l)))            l ≤ y ≤ h
/// ```
///
/// Tobin's likelihood in the parameters of Olsen (*Econometrica* 46, 1978), in which it is concave, for intervals too
/// (Burridge, *JRSS B* 43, 1981): Newton's method with halved steps finds the one maximum.
///
/// # Errors
/// [`FitError`]: too few rows, columns that depend on each other, nothing but bounds.
pub fn fit(rows: &[(Vec<f64>, Observation)]) -> Result<CensoredFit, FitError> {
    let columns = rows.first().map_or(0, |row| row.0.len());
    if rows.len() <= columns {
        return Err(FitError::TooFew { rows: rows.len(), parameters: columns + 1 });
    }
    let is_bound = |y: &Observation| matches!(y, Observation::AtMost(_) | Observation::AtLeast(_));
    if rows.iter().all(|(_, y)| is_bound(y)) {
        return Err(FitError::AllCensored);
    }
    let mut at = start(rows, columns)?;
    let mut here = Likelihood::at(rows, &at);
    for _ in 0..STEPS_MAX {
        // At the floor of σ only a smaller σ is left to gain from: known values fix a line, bounds alone do not.
        if at[columns] >= 0.999_999 / SIGMA_MIN {
            let known = rows.iter().filter(|(_, y)| matches!(y, Observation::Exact(_))).count();
            let is_fixed = known >= columns;
            return is_fixed
                .then(|| CensoredFit::at(&at, here.value))
                .ok_or(FitError::Undetermined);
        }
        let (step, _) = solve(&here.curvature, &here.slope).ok_or(FitError::Undetermined)?;
        if dot(&step, &here.slope) < 1e-12 {
            return Ok(CensoredFit::at(&at, here.value));
        }
        match improved(rows, &at, &step, here.value) {
            Some(next) => (at, here) = next,
            // No step gains what a f64 can tell: this is the maximum.
            None => return Ok(CensoredFit::at(&at, here.value)),
        }
    }
    Err(FitError::NoMaximum { steps: STEPS_MAX })
}

impl CensoredFit {
    /// The fit at Olsen's parameters `(γ, θ)`.
    fn at(parameters: &[f64], log_likelihood: f64) -> Self {
        let (theta, gammas) = parameters.split_last().expect("theta is always there");
        let coefficients = gammas.iter().map(|gamma| gamma / theta).collect();
        Self { coefficients, sigma: 1.0 / theta, log_likelihood }
    }
}

/// The point along `step`, halved as often as it takes, at which the likelihood is no less than `value`.
fn improved(
    rows: &[(Vec<f64>, Observation)],
    at: &[f64],
    step: &[f64],
    value: f64,
) -> Option<(Vec<f64>, Likelihood)> {
    (0..40).map(|halvings| 0.5_f64.powi(halvings)).find_map(|share| {
        let mut next: Vec<_> = at.iter().zip(step).map(|(a, s)| a + share * s).collect();
        let theta = *next.last()?;
        if theta * SIGMA_MIN > 1.0 {
            next.iter_mut().for_each(|parameter| *parameter /= theta * SIGMA_MIN);
        }
        let there = (theta > 0.0).then(|| Likelihood::at(rows, &next))?;
        (there.value.is_finite() && there.value >= value).then_some((next, there))
    })
}

/// Least squares through the middles and bounds, in Olsen's parameters.
fn start(rows: &[(Vec<f64>, Observation)], columns: usize) -> Result<Vec<f64>, FitError> {
    let mut normal = vec![vec![0.0; columns]; columns];
    let mut right = vec![0.0; columns];
    for (x, y) in rows {
        for i in 0..columns {
            right[i] += x[i] * y.middle();
            (0..columns).for_each(|j| normal[i][j] += x[i] * x[j]);
        }
    }
    let (b, _) = solve(&normal, &right).ok_or(FitError::Singular)?;
    let residual = |(x, y): &(Vec<f64>, Observation)| (y.middle() - dot(x, &b)).powi(2);
    let mean = rows.iter().map(residual).sum::<f64>() / rows.len() as f64;
    let theta = 1.0 / mean.sqrt().max(SIGMA_MIN);
    Ok(b.iter().map(|b| b * theta).chain([theta]).collect())
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The log-likelihood at a point, its slope, and minus its second derivatives.
struct Likelihood {
    value: f64,
    slope: Vec<f64>,
    curvature: Vec<Vec<f64>>,
}

impl Likelihood {
    fn at(rows: &[(Vec<f64>, Observation)], at: &[f64]) -> Self {
        let n = at.len();
        let mut sum = Self { value: 0.0, slope: vec![0.0; n], curvature: vec![vec![0.0; n]; n] };
        let theta = at[n - 1];
        for (x, observation) in rows {
            // ∂z/∂(γ, θ) at y.
            let direction = |y: f64| x.iter().map(|x| -x).chain([y]).collect::<Vec<_>>();
            let z = |y: f64| theta * y - dot(x, at);
            match *observation {
                Observation::Exact(y) => {
                    let (z, v) = (z(y), direction(y));
                    sum.value += theta.ln() - 0.5 * z * z - 0.5 * std::f64::consts::TAU.ln();
                    sum.add(&v, -z, 1.0);
                    sum.slope[n - 1] += 1.0 / theta;
                    sum.curvature[n - 1][n - 1] += theta.powi(-2);
                }
                Observation::AtMost(high) => sum.add_bound(z(high), &direction(high), 1.0),
                Observation::AtLeast(low) => sum.add_bound(-z(low), &direction(low), -1.0),
                Observation::Between(low, high) => {
                    let (zl, zh) = (z(low), z(high));
                    let ln_mass = gaussian::ln_between(zl, zh);
                    let share = |z: f64| (gaussian::ln_density(z) - ln_mass).exp();
                    let (a, b) = (share(zh), share(zl));
                    let (vl, vh) = (direction(low), direction(high));
                    let pull: Vec<_> = vh.iter().zip(&vl).map(|(h, l)| a * h - b * l).collect();
                    sum.value += ln_mass;
                    sum.add(&vh, 0.0, a * zh);
                    sum.add(&vl, 0.0, -b * zl);
                    sum.add(&pull, 1.0, 1.0);
                }
            }
        }
        sum
    }

    /// Adds `slope · v` and `curvature · v vᵀ`.
    fn add(&mut self, v: &[f64], slope: f64, curvature: f64) {
        for (i, &vi) in v.iter().enumerate() {
            self.slope[i] += slope * vi;
            for (j, &vj) in v.iter().enumerate() {
                self.curvature[i][j] += curvature * vi * vj;
            }
        }
    }

    /// Adds `ln Φ(z)` with `∂z = sign · v`.
    fn add_bound(&mut self, z: f64, v: &[f64], sign: f64) {
        let ln_mass = gaussian::ln_below(z);
        let mills = (gaussian::ln_density(z) - ln_mass).exp();
        self.value += ln_mass;
        self.add(v, sign * mills, mills * (mills + z));
    }
}

#[cfg(test)]
mod tests {
    use super::Observation::{AtLeast, AtMost, Between, Exact};
    use super::*;

    fn rows(ys: &[Observation]) -> Vec<(Vec<f64>, Observation)> {
        ys.iter().enumerate().map(|(k, &y)| (vec![1.0, k as f64], y)).collect()
    }

    #[track_caller]
    fn check(ys: &[Observation], b: [f64; 2], sigma: f64, log_likelihood: f64) {
        let found = fit(&rows(ys)).unwrap();
        let pairs = [
            (found.coefficients[0], b[0]),
            (found.coefficients[1], b[1]),
            (found.sigma, sigma),
            (found.log_likelihood, log_likelihood),
        ];
        assert!(pairs.iter().all(|(a, b)| (a - b).abs() < 2e-6), "{found:?}");
    }

    /// Without censoring the maximum is least squares: b = Sxy/Sxx, σ² = RSS/n.
    #[test]
    fn known_values_give_least_squares() {
        let ys = [0.0, 1.0, 2.4, 2.4, 3.7].map(Exact);
        // x̄ = 2, ȳ = 1.9, Sxy = 8.8, Sxx = 10, Syy = 8.16; RSS = 8.16 − 7.744.
        let rss: f64 = 8.16 - 7.744;
        let sigma = (rss / 5.0).sqrt();
        let value = -2.5 * ((std::f64::consts::TAU * rss / 5.0).ln() + 1.0);
        check(&ys, [1.9 - 2.0 * 0.88, 0.88], sigma, value);
    }

    /// Maximum found by scipy.optimize over the likelihood written with scipy.stats.norm, `analysis/tests/reference.py`.
    #[test]
    fn bounds_and_intervals_agree_with_scipy() {
        let ys = [AtMost(0.0), Exact(0.7), Exact(2.4), Between(2.0, 3.0), Exact(4.4), AtLeast(4.5)];
        check(&ys, [-0.371_325_53, 1.176_866_67], 0.273_335_96, -1.498_653_71);
    }

    #[test]
    fn an_exact_line_has_the_least_deviation_and_its_own_slope() {
        let found = fit(&rows(&[1.0, 3.0, 5.0, 7.0].map(Exact))).unwrap();
        assert!((found.coefficients[1] - 2.0).abs() < 1e-6 && found.sigma < 2e-6, "{found:?}");
    }

    #[test]
    fn what_cannot_be_fitted_says_why() {
        let few = fit(&rows(&[Exact(1.0), Exact(2.0)]));
        assert_eq!(few, Err(FitError::TooFew { rows: 2, parameters: 3 }));
        assert_eq!(fit(&rows(&[AtMost(1.0); 4])), Err(FitError::AllCensored));
        let same = vec![(vec![1.0, 2.0], Exact(1.0)); 4];
        assert_eq!(fit(&same), Err(FitError::Singular));
        let wide = [0.0, 1.0, 2.0, 3.0].map(|y| Between(y, y + 5.0));
        assert_eq!(fit(&rows(&wide)), Err(FitError::Undetermined));
        assert_eq!(fit(&[]), Err(FitError::TooFew { rows: 0, parameters: 1 }));
    }

    /// Far outside the bounds nothing overflows: the start is a poor one here.
    #[test]
    fn far_bounds_stay_finite() {
        let ys = [Exact(0.0), Exact(0.1), AtLeast(500.0), Exact(0.2), AtMost(-300.0), Exact(0.5)];
        let found = fit(&rows(&ys)).unwrap();
        assert!(found.sigma.is_finite() && found.log_likelihood.is_finite(), "{found:?}");
    }
}

//! Student's t distribution with a whole number of degrees of freedom.

use std::f64::consts::FRAC_2_PI;

/// The mass outside `[−|t|, |t|]`, two-sided, of `freedom` ≥ 1 degrees of freedom.
///
/// ```text
/// 1 − (2/π)(θ + sin θ (cos θ + 2/3 cos³θ + … + (2·4⋯(ν−3))/(3·5⋯(ν−2)) cos^(ν−2) θ))    ν odd; of 1 without the sum
/// 1 − sin θ (1 + 1/2 cos²θ + … + (1·3⋯(ν−3))/(2·4⋯(ν−2)) cos^(ν−2) θ)                  ν even
/// θ = atan(|t| / √ν)
/// ```
///
/// Zelen and Severo, *Probability Functions*, in Abramowitz and Stegun, *Handbook of Mathematical Functions*, 1964, formulas
/// 26.7.3 and 26.7.4.
pub fn two_sided(t: f64, freedom: usize) -> f64 {
    let theta = (t.abs() / (freedom as f64).sqrt()).atan();
    let (sin, cos) = theta.sin_cos();
    let is_odd = freedom % 2 == 1;
    let mut term = if is_odd { cos } else { 1.0 };
    let mut sum = 0.0;
    // Odd: cos + 2/3 cos³ + ...; even: 1 + 1/2 cos² + ...; both up to cos^(ν−2).
    let mut power = if is_odd { 1 } else { 0 };
    while power + 2 <= freedom {
        sum += term;
        term *= cos * cos * (power + 1) as f64 / (power + 2) as f64;
        power += 2;
    }
    let inside = if is_odd { FRAC_2_PI * (theta + sin * sum) } else { sin * sum };
    (1.0 - inside).clamp(0.0, 1.0)
}

/// The `t` with `two_sided(t, freedom) = alpha`, by bisection to the last digit but few.
pub fn two_sided_quantile(alpha: f64, freedom: usize) -> f64 {
    let (mut low, mut high) = (0.0, 1e6);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if two_sided(middle, freedom) > alpha { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scipy.stats.t.isf(0.025, ν), `analysis/tests/reference.py`.
    #[test]
    fn quantiles_are_those_of_scipy() {
        for (freedom, expected) in [
            (1, 12.706204736174694),
            (2, 4.302652729749462),
            (4, 2.7764451051977934),
            (7, 2.364_624_251_592_784_4),
            (20, 2.0859634472658364),
        ] {
            let found = two_sided_quantile(0.05, freedom);
            assert!((found / expected - 1.0).abs() < 1e-9, "ν = {freedom}: {found}");
        }
    }
}

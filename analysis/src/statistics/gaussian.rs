//! The normal distribution: density, tail, and the logarithm of the mass of an interval however far out.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// Where `erfc` nears its smallest number and the tail's series is exact to all digits that count.
const FAR: f64 = -30.0;

/// The logarithm of the density: `−z²/2 − ½ ln 2π`.
pub fn ln_density(z: f64) -> f64 {
    -0.5 * z * z - 0.5 * (2.0 * PI).ln()
}

/// The mass above `z`: `½ erfc(z / √2)`.
pub fn above(z: f64) -> f64 {
    0.5 * libm::erfc(z * FRAC_1_SQRT_2)
}

/// The logarithm of the mass below `z`.
///
/// # Numerics
/// Below −30 by the series `φ(z)/|z| · (1 − 1/z² + 3/z⁴ − 15/z⁶ + 105/z⁸)` (Abramowitz and Stegun 26.2.12), so it is finite for every
/// finite `z`.
pub fn ln_below(z: f64) -> f64 {
    if z > FAR {
        return above(-z).ln();
    }
    let series = 1.0 - z.powi(-2) + 3.0 * z.powi(-4) - 15.0 * z.powi(-6) + 105.0 * z.powi(-8);
    ln_density(z) - (-z).ln() + series.ln()
}

/// The logarithm of the mass between `low` and `high`; −∞ where `low ≥ high`.
pub fn ln_between(low: f64, high: f64) -> f64 {
    // On the side where both masses are small, so that their difference keeps its digits.
    let (low, high) = if low > 0.0 { (-high, -low) } else { (low, high) };
    let (outer, inner) = (ln_below(high), ln_below(low));
    outer + (-(inner - outer).exp()).ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 2e-12, "{found:e}, not {expected:e}");
    }

    /// scipy.stats.norm, `analysis/tests/reference.py`.
    #[test]
    fn tails_are_those_of_scipy() {
        check(above(1.959963984540054), 0.025);
        check(ln_below(-5.0), -15.064998393988727);
        check(ln_below(-29.9), -451.3229124585287);
        check(ln_below(-30.1), -457.32956441638237);
        check(ln_below(-100.0), -5005.524208694205);
        check(ln_between(-1.0, 1.0), -0.38171514630212616);
        check(ln_between(8.0, 9.0), -35.01361859343716);
        check(ln_between(-9.0, -8.0), ln_between(8.0, 9.0));
        assert_eq!(ln_between(1.0, 1.0), f64::NEG_INFINITY);
    }
}

//! The rival laws of the boundary: what each says cells have in common that are equally confused.

/// A law, published or derived. Constants are never part of one: all are statements on proportions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// `β ∝ l^(1/2) d^(1/4)`: the poster, from `l/β² ≥ Ω̃(1/√d)`.
    Poster,
    /// `β ∝ d^(1/6)`: the text of the ICLR submission, Theorem 4.1.
    Iclr,
    /// `β⁶ ∝ l d + l² β`: ICML 2020, Theorem 4.1, as two second-hand notes give it.
    Icml,
    /// `β ∝ l^(1/6) d^(1/6)`: that law for `lβ ≪ d`.
    IcmlNarrow,
    /// `β ∝ l^(2/5)`: that law for `lβ ≫ d`.
    IcmlWide,
    /// `β ∝ l`: random matrices with layers of equal weight.
    RandomMatrix,
    /// `β ∝ l^(−1/3) d^(2/3)`: the first layer outweighs the others, `lβ ≪ d`; width hurts.
    FirstLayer,
    /// `E cos² = 1/d + (β + 2)/(3l)`: the random-matrix law with its offset in d.
    BalancedCosine,
    /// `E cos² = 1/d + q²m³/(3l)/(1 + mq)²`, `q = l/d`, `m = β + 1`: the same for weights scaled by fan-in.
    FanInCosine,
}

impl Law {
    /// Every law.
    pub const ALL: [Self; 9] = [
        Self::Poster,
        Self::Iclr,
        Self::Icml,
        Self::IcmlNarrow,
        Self::IcmlWide,
        Self::RandomMatrix,
        Self::FirstLayer,
        Self::BalancedCosine,
        Self::FanInCosine,
    ];

    /// The exponents `(p, q)` of `β ∝ l^p d^q`, of a law that has such.
    pub fn exponents(self) -> Option<[f64; 2]> {
        match self {
            Self::Poster => Some([0.5, 0.25]),
            Self::Iclr => Some([0.0, 1.0 / 6.0]),
            Self::IcmlNarrow => Some([1.0 / 6.0, 1.0 / 6.0]),
            Self::IcmlWide => Some([0.4, 0.0]),
            Self::RandomMatrix => Some([1.0, 0.0]),
            Self::FirstLayer => Some([-1.0 / 3.0, 2.0 / 3.0]),
            Self::Icml | Self::BalancedCosine | Self::FanInCosine => None,
        }
    }

    /// The index that rises with confusion: cells of equal index are equally confused, if the law is true.
    pub fn index(self, width: f64, depth: f64, dim: f64) -> f64 {
        match self {
            Self::Icml => depth.ln() - (width * dim + width * width * depth).ln() / 6.0,
            Self::BalancedCosine => 1.0 / dim + (depth + 2.0) / (3.0 * width),
            Self::FanInCosine => {
                let (q, m) = (width / dim, depth + 1.0);
                1.0 / dim + q * q * m.powi(3) / (3.0 * width) / (1.0 + m * q).powi(2)
            }
            law => {
                let [p, q] = law.exponents().unwrap_or_default();
                depth.ln() - p * width.ln() - q * dim.ln()
            }
        }
    }

    /// What to call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Poster => "poster: β ∝ l^½ d^¼",
            Self::Iclr => "ICLR text: β ∝ d^⅙",
            Self::Icml => "ICML: β⁶ ∝ l d + l² β",
            Self::IcmlNarrow => "ICML, l β ≪ d: β ∝ l^⅙ d^⅙",
            Self::IcmlWide => "ICML, l β ≫ d: β ∝ l^⅖",
            Self::RandomMatrix => "random matrices: β ∝ l",
            Self::FirstLayer => "first layer dominates: β ∝ l^−⅓ d^⅔",
            Self::BalancedCosine => "1/d + (β+2)/(3l), balanced layers",
            Self::FanInCosine => "1/d + q²m³/(3l)/(1+mq)², fan-in scaling",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On the boundary that a law states, its index is the same everywhere.
    #[test]
    fn each_index_is_constant_on_its_own_boundary() {
        for law in Law::ALL {
            let Some([p, q]) = law.exponents() else { continue };
            let at = |l: f64, d: f64| law.index(l, 1.7 * l.powf(p) * d.powf(q), d);
            assert!((at(8.0, 64.0) - at(512.0, 16.0)).abs() < 1e-12, "{law:?}");
        }
        // ICML's law has its two published limits: 2 more for a 2⁶-fold l d, and l² β alone where d is small.
        let ratio = |b: f64, l: f64, d: f64| Law::Icml.index(l, b, d);
        assert!((ratio(2.0, 64.0, 1e12) - ratio(1.0, 1.0, 1e12)).abs() < 1e-6);
        assert!((ratio(4.0, 32.0, 1e-9) - ratio(1.0, 1.0, 1e-9)).abs() < 1e-6);
        assert!(
            (Law::BalancedCosine.index(64.0, 4.0, 64.0) - (1.0 / 64.0 + 6.0 / 192.0)).abs() < 1e-15
        );
    }

    /// l = 64, β = 3, d = 256: q = 1/4 and m = 4, so q²m³ = 4 over 3l = 192 and (1 + mq)² = 4. With l β ≫ d the first layer has no say
    /// and m/(3l) is left; with l β ≪ d the others have little, q²m³/(3l).
    #[test]
    fn the_law_of_fan_in_scaling_has_its_value_and_its_limits() {
        let index = |l: f64, b: f64, d: f64| Law::FanInCosine.index(l, b, d);
        assert!((index(64.0, 3.0, 256.0) - (1.0 / 256.0 + 1.0 / 192.0)).abs() < 1e-15);
        let (width, dim) = (1_048_576.0, 4.0);
        let (found, expected) = (index(width, 4.0, dim) - 1.0 / dim, 5.0 / (3.0 * width));
        assert!((found / expected - 1.0).abs() < 1e-5, "{found}");
        let (width, dim) = (4.0, 16_384.0);
        let q: f64 = width / dim;
        let (found, expected) = (index(width, 4.0, dim) - 1.0 / dim, q * q * 125.0 / (3.0 * width));
        assert!((found / expected - 1.0).abs() < 0.01, "{found}");
    }

    #[test]
    fn confusion_rises_with_depth_under_every_law() {
        for law in Law::ALL {
            assert!(law.index(32.0, 8.0, 64.0) > law.index(32.0, 4.0, 64.0), "{law:?}");
        }
    }
}

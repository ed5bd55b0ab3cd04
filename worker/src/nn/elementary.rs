//! exp, tanh, sigmoid and ln(1 + exp): our own, so that their bits do not depend on the platform's libm.
//!
//! The functions are free of branches; LLVM turns a loop over a slice into vector code, with the same bits at every width.
//! Errors are below 2 units in the last place where the result is a normal number.

/// The functions of one format. `$series` is 1/n! … 1/3!: Taylor's series of (eʳ − 1 − r − r²/2) / r³ on |r| <= ln 2 / 2, cut
/// where the first term left out is below a tenth of a rounding error.
macro_rules! functions {
    (
        $(#[$doc:meta])* $module:ident, $float:ident, $bits:ident,
        rounder: $rounder:literal, bias: $bias:literal, mantissa: $mantissa:literal,
        ln2: $ln2_high:expr, $ln2_low:expr,
        exp: $exp_min:literal, $exp_max:literal, tanh: $tanh_min:literal, series: $series:expr,
    ) => {
        $(#[$doc])*
        pub mod $module {
            const LOG2_E: $float = std::$float::consts::LOG2_E;
            /// Adding it rounds to an integer and leaves that integer in the low bits.
            const ROUNDER: $float = $rounder;
            /// ln 2, and what is missing from it.
            const LN2_HIGH: $float = $float::from_bits($ln2_high);
            const LN2_LOW: $float = $float::from_bits($ln2_low);

            /// (k, its bits, eʳ − 1) with x = k ln 2 + r and |r| <= ln 2 / 2. `x` is where k is a small integer, or NaN.
            #[inline(always)]
            fn reduce(x: $float) -> ($float, $bits, $float) {
                let shifted = x.mul_add(LOG2_E, ROUNDER);
                let k = shifted - ROUNDER;
                let r = (-k).mul_add(LN2_LOW, (-k).mul_add(LN2_HIGH, x));
                let series: &[$float] = &$series;
                let mut tail = series[0];
                for &coefficient in &series[1..] {
                    tail = tail.mul_add(r, coefficient);
                }
                (k, shifted.to_bits(), (r * r).mul_add(r.mul_add(tail, 0.5), r))
            }

            /// 2ᵏ for the k whose bits `reduce` gave, where that is a normal number.
            #[inline(always)]
            fn power_of_two(bits: $bits) -> $float {
                $float::from_bits(bits.wrapping_add($bias) << $mantissa)
            }

            /// eˣ.
            ///
            /// # Numerics
            /// Within 1 unit in the last place; results below the smallest normal number are rounded twice. NaN stays NaN.
            #[inline(always)]
            pub fn exp(x: $float) -> $float {
                let x = if x > $exp_max { $exp_max } else { x };
                let x = if x < $exp_min { $exp_min } else { x };
                let (k, _, p) = reduce(x);
                // Two factors, because 2ᵏ itself may be out of range.
                let half = (k * 0.5 + ROUNDER) - ROUNDER;
                let first = power_of_two((half + ROUNDER).to_bits());
                let second = power_of_two(((k - half) + ROUNDER).to_bits());
                (1.0 + p) * first * second
            }

            /// tanh x, as −m / (m + 2) with m = exp(−2|x|) − 1.
            ///
            /// # Numerics
            /// Within 2 units in the last place; odd; exact at ±0 and ±∞. NaN stays NaN.
            #[inline(always)]
            pub fn tanh(x: $float) -> $float {
                let y = -2.0 * x.abs();
                // Beyond this tanh is 1 to rounding; 2ᵏ stays normal.
                let y = if y < $tanh_min { $tanh_min } else { y };
                let (_, bits, p) = reduce(y);
                let scale = power_of_two(bits);
                // 2ᵏ − 1 is exact or rounds to −1, and for k = 0 the sum is p itself: nothing cancels.
                let m = scale.mul_add(p, scale - 1.0);
                (-m / (m + 2.0)).copysign(x)
            }

            /// 1 / (1 + e⁻ˣ), without cancellation or overflow on either side.
            ///
            /// # Numerics
            /// Within 2 units in the last place.
            #[inline(always)]
            pub fn sigmoid(x: $float) -> $float {
                let e = exp(-x.abs());
                let numerator = if x < 0.0 { e } else { 1.0 };
                numerator / (1.0 + e)
            }

            /// ln(1 + eˣ) = max(x, 0) + ln(1 + e^−|x|).
            ///
            /// # Numerics
            /// Within 2 units in the last place. The logarithm is `libm`'s portable one in f64, so this one does not
            /// vectorise; it is called once an output, not once a weight.
            #[inline(always)]
            pub fn softplus(x: $float) -> $float {
                let positive = if x > 0.0 { x } else { 0.0 };
                let small = libm::log1p(f64::from(exp(-x.abs()))) as $float;
                // A NaN is lost by the comparison above but not by this sum.
                positive + small
            }
        }
    };
}

functions! {
    /// In f64.
    double, f64, u64,
    rounder: 6_755_399_441_055_744.0, bias: 1023, mantissa: 52,
    ln2: 0x3fe6_2e42_fefa_39ef, 0x3c7a_bc9e_3b39_803f,
    exp: -746.0, 710.0, tanh: -80.0,
    series: [
        1.0 / 6_227_020_800.0,
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
    ],
}

functions! {
    /// In f32.
    single, f32, u32,
    rounder: 12_582_912.0, bias: 127, mantissa: 23,
    ln2: 0x3f31_7218, 0xb102_e308,
    exp: -105.0, 89.0, tanh: -40.0,
    series: [1.0 / 40_320.0, 1.0 / 5_040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0],
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::double::{exp, sigmoid, softplus, tanh};
    use super::single;

    /// Distance in units in the last place.
    fn ulps(found: f64, expected: f64) -> u64 {
        if found == expected { 0 } else { found.to_bits().abs_diff(expected.to_bits()) }
    }

    #[track_caller]
    fn check(name: &str, function: fn(f64) -> f64, reference: &[(f64, f64)], ulps_max: u64) {
        for &(x, expected) in reference {
            let found = function(x);
            assert!(ulps(found, expected) <= ulps_max, "{name}({x}): {found:e} for {expected:e}");
        }
    }

    /// References to the last bit, from 60-digit arithmetic.
    #[test]
    fn the_functions_agree_with_high_precision_reference_points() {
        check("exp", exp, EXP, 1);
        check("tanh", tanh, TANH, 2);
        check("sigmoid", sigmoid, SIGMOID, 2);
        check("softplus", softplus, SOFTPLUS, 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        /// libm's own error is below 1 unit, so ours is below one less than what is allowed.
        #[test]
        fn the_functions_agree_with_libm(x in -745.0..709.0f64, y in -22.0..22.0f64, z in -1.0..1.0f64) {
            prop_assert!(ulps(exp(x), libm::exp(x)) <= 2 || libm::exp(x) < f64::MIN_POSITIVE);
            for y in [y, z, z * z * z * z] {
                prop_assert!(ulps(tanh(y), libm::tanh(y)) <= 3, "tanh {y}");
                prop_assert!(ulps(exp(y), libm::exp(y)) <= 2, "exp {y}");
                prop_assert!(ulps(sigmoid(y), 1.0 / (1.0 + libm::exp(-y))) <= 4, "sigmoid {y}");
            }
        }
    }

    /// Distance in units in the last place from the rounded f64 result.
    fn single_ulps(found: f32, expected: f64) -> u32 {
        found.to_bits().abs_diff((expected as f32).to_bits())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn the_functions_of_f32_agree_with_those_of_f64(x in -87.0..88.7f32, y in -11.0..11.0f32, z in -1.0..1.0f32) {
            prop_assert!(single_ulps(single::exp(x), exp(f64::from(x))) <= 1, "exp {x}");
            for y in [y, z, z * z * z * z * z * z] {
                prop_assert!(single_ulps(single::tanh(y), tanh(f64::from(y))) <= 2, "tanh {y}");
                prop_assert!(single_ulps(single::sigmoid(y), sigmoid(f64::from(y))) <= 2, "sigmoid {y}");
                prop_assert!(single_ulps(single::softplus(y), softplus(f64::from(y))) <= 2, "softplus {y}");
            }
        }
    }

    #[test]
    fn extreme_input_of_f32_gives_the_limits() {
        for (x, e, t, s) in [
            (f32::INFINITY, f32::INFINITY, 1.0, 1.0),
            (89.0, f32::INFINITY, 1.0, 1.0),
            (0.0, 1.0, 0.0, 0.5),
            (-120.0, 0.0, -1.0, 0.0),
            (f32::NEG_INFINITY, 0.0, -1.0, 0.0),
        ] {
            assert_eq!((single::exp(x), single::tanh(x), single::sigmoid(x)), (e, t, s), "at {x}");
        }
        assert!(single::tanh(-0.0).is_sign_negative());
        assert_eq!(single::tanh(1e-45), 1e-45);
        for function in [single::exp, single::tanh, single::sigmoid, single::softplus] {
            assert!(function(f32::NAN).is_nan());
        }
    }

    #[test]
    fn extreme_input_gives_the_limits() {
        for (x, e, t, s) in [
            (f64::INFINITY, f64::INFINITY, 1.0, 1.0),
            (f64::MAX, f64::INFINITY, 1.0, 1.0),
            (710.0, f64::INFINITY, 1.0, 1.0),
            (0.0, 1.0, 0.0, 0.5),
            (-800.0, 0.0, -1.0, 0.0),
            (f64::NEG_INFINITY, 0.0, -1.0, 0.0),
        ] {
            assert_eq!((exp(x), tanh(x), sigmoid(x)), (e, t, s), "at {x}");
        }
        assert!(tanh(-0.0).is_sign_negative());
        assert_eq!(tanh(5e-324), 5e-324);
        assert_eq!((softplus(1e300), softplus(-1e300)), (1e300, 0.0));
        for function in [exp, tanh, sigmoid, softplus] {
            assert!(function(f64::NAN).is_nan());
        }
    }

    const EXP: &[(f64, f64)] = &[
        (-700.5, 5.980196118639791e-305),
        (-100.25, 2.897198083210148e-44),
        (-20.75, 9.736200313009565e-10),
        (-1.0, 0.36787944117144233),
        (-0.34657, 0.7071093199024199),
        (-0.3, 0.7408182206817179),
        (-1e-05, 0.9999900000499998),
        (-1e-300, 1.0),
        (0.1, 1.1051709180756477),
        (0.5, 1.6487212707001282),
        (0.69, 1.9937155332430823),
        (1.0, std::f64::consts::E),
        (2.5, 12.182493960703473),
        (10.0, 22026.465794806718),
        (88.7, 3.325986980250579e+38),
        (300.0, 1.9424263952412558e+130),
        (709.5, 1.3549863193146328e+308),
    ];
    const TANH: &[(f64, f64)] = &[
        (1e-300, 1e-300),
        (1e-09, 1e-09),
        (0.001, 0.0009999996666668),
        (0.1, 0.09966799462495582),
        (0.17, 0.16838104587081473),
        (0.1733, 0.17158569137000115),
        (0.25, 0.24491866240370913),
        (0.3, 0.2913126124515909),
        (0.5, 0.46211715726000974),
        (0.549, 0.4997703566046211),
        (0.8, 0.664036770267849),
        (1.0, 0.7615941559557649),
        (1.7, 0.935409070603099),
        (3.0, 0.9950547536867305),
        (7.5, 0.9999993881955461),
        (15.0, 0.9999999999998128),
        (19.0, 0.9999999999999999),
        (25.0, 1.0),
    ];
    const SIGMOID: &[(f64, f64)] = &[
        (-700.0, 9.85967654375977e-305),
        (-50.0, 1.9287498479639178e-22),
        (-5.5, 0.004070137715896128),
        (-1.0, 0.2689414213699951),
        (-0.1, 0.47502081252106),
        (-1e-09, 0.49999999975),
        (1e-09, 0.50000000025),
        (0.3, 0.574442516811659),
        (2.0, 0.8807970779778824),
        (11.0, 0.9999832985781519),
        (36.0, 0.9999999999999998),
        (50.0, 1.0),
    ];
    const SOFTPLUS: &[(f64, f64)] = &[
        (-700.0, 9.85967654375977e-305),
        (-50.0, 1.9287498479639178e-22),
        (-5.5, 0.0040784432705707205),
        (-1.0, 0.3132616875182228),
        (-0.1, 0.6443966600735709),
        (-1e-09, 0.6931471800599454),
        (1e-09, 0.6931471810599453),
        (0.3, 0.8543552444685271),
        (2.0, 2.1269280110429727),
        (11.0, 11.000016701561318),
        (36.0, 36.0),
        (50.0, 50.0),
    ];
}

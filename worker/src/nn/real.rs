//! The two number formats that a trial computes in.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

use super::elementary;
use super::lanes::{self, Lanes};

/// `f32` or `f64`, with transcendental functions that have the same bits on every platform.
///
/// # Numerics
/// exp, tanh, sigmoid and softplus are computed in the format itself, within 2 units in its last place; ln(1 + x) in f64,
/// rounded once.
pub trait Real:
    Copy
    + Debug
    + Default
    + PartialEq
    + PartialOrd
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
{
    /// Sixteen of them in the registers of AVX2 and AVX-512.
    #[cfg(target_arch = "x86_64")]
    type Avx2: Lanes<Self>;
    #[cfg(target_arch = "x86_64")]
    type Avx512: Lanes<Self>;

    const ZERO: Self;
    const ONE: Self;
    /// The smallest positive normal number.
    const MIN_POSITIVE: f64;
    /// Bytes of one number.
    const BYTES: usize;

    /// The nearest number of this format.
    fn from_f64(x: f64) -> Self;
    /// The same number, exactly.
    fn to_f64(self) -> f64;
    /// Whether it is neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// self · factor + term, rounded once.
    fn mul_add(self, factor: Self, term: Self) -> Self;
    /// eˣ.
    fn exp(self) -> Self;
    /// tanh x.
    fn tanh(self) -> Self;
    /// 1 / (1 + e⁻ˣ).
    fn sigmoid(self) -> Self;
    /// ln(1 + eˣ).
    fn softplus(self) -> Self;
    /// ln(1 + x).
    fn ln_1p(self) -> Self;
    /// Appends the little-endian bytes of `numbers`.
    fn write(numbers: &[Self], bytes: &mut Vec<u8>);
    /// Reads little-endian `bytes`, as many as fill `numbers`.
    fn read(bytes: &[u8], numbers: &mut [Self]);
}

macro_rules! real {
    ($type:ident, $bytes:literal, $functions:ident, $avx2:ident, $avx512:ident) => {
        impl Real for $type {
            #[cfg(target_arch = "x86_64")]
            type Avx2 = lanes::$avx2;
            #[cfg(target_arch = "x86_64")]
            type Avx512 = lanes::$avx512;

            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const MIN_POSITIVE: f64 = $type::MIN_POSITIVE as f64;
            const BYTES: usize = $bytes;

            #[inline(always)]
            fn from_f64(x: f64) -> Self {
                x as Self
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                $type::is_finite(self)
            }
            #[inline(always)]
            fn mul_add(self, factor: Self, term: Self) -> Self {
                $type::mul_add(self, factor, term)
            }
            #[inline(always)]
            fn exp(self) -> Self {
                elementary::$functions::exp(self)
            }
            #[inline(always)]
            fn tanh(self) -> Self {
                elementary::$functions::tanh(self)
            }
            #[inline(always)]
            fn sigmoid(self) -> Self {
                elementary::$functions::sigmoid(self)
            }
            #[inline(always)]
            fn softplus(self) -> Self {
                elementary::$functions::softplus(self)
            }
            #[inline(always)]
            fn ln_1p(self) -> Self {
                libm::log1p(f64::from(self)) as Self
            }
            fn write(numbers: &[Self], bytes: &mut Vec<u8>) {
                numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
            }
            fn read(bytes: &[u8], numbers: &mut [Self]) {
                for (number, bytes) in numbers.iter_mut().zip(bytes.as_chunks().0) {
                    *number = Self::from_le_bytes(*bytes);
                }
            }
        }
    };
}

real!(f32, 4, single, Avx2F32, Avx512F32);
real!(f64, 8, double, Avx2F64, Avx512F64);

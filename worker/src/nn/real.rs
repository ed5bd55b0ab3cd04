//! The two number formats that a trial computes in.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

use super::elementary;

/// `f32` or `f64`, with transcendental functions that have the same bits on every platform.
///
/// # Numerics
/// The functions of `f32` are those of `f64`, rounded once: correctly rounded in all but about one case in 10⁸.
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
    ($type:ident, $bytes:literal) => {
        impl Real for $type {
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
            fn exp(self) -> Self {
                elementary::exp(f64::from(self)) as Self
            }
            #[inline(always)]
            fn tanh(self) -> Self {
                elementary::tanh(f64::from(self)) as Self
            }
            #[inline(always)]
            fn sigmoid(self) -> Self {
                elementary::sigmoid(f64::from(self)) as Self
            }
            #[inline(always)]
            fn softplus(self) -> Self {
                elementary::softplus(f64::from(self)) as Self
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

real!(f32, 4);
real!(f64, 8);

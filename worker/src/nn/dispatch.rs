//! Runs a kernel compiled for the widest vectors that the processor has. The one file with `unsafe` in it.
//!
//! A [`Kernel`] is generic safe code marked `#[inline(always)]`; it is compiled once for each [`Level`] by being inlined
//! into a function with that level's target features. The source is the same, its fused multiply-adds are written out and
//! rounded once everywhere (in software where the processor has none), so every level gives the same bits.

use std::marker::PhantomData;
use std::sync::OnceLock;

use super::Real;
use super::lanes::{Lanes, Portable};

/// A computation that is worth compiling for several instruction sets.
pub trait Kernel {
    /// What it returns.
    type Output;

    /// Does the work. Implementations, and everything they call, are `#[inline(always)]`: what is not inlined is
    /// compiled for the baseline.
    fn run(self) -> Self::Output;
}

/// A computation on [`Lanes`], compiled for the vectors of each level.
pub trait LaneKernel<T: Real> {
    /// Does the work on vectors `L`; `#[inline(always)]`, like all that it calls.
    fn run<L: Lanes<T>>(self);
}

/// A lane kernel for the vectors `L`.
struct On<K, T, L>(K, PhantomData<(T, L)>);

impl<T: Real, L: Lanes<T>, K: LaneKernel<T>> Kernel for On<K, T, L> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.0.run::<L>();
    }
}

/// An instruction set that this processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(Set);

/// The sets for which kernels are compiled. Private: a [`Level`] is proof that the processor has its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// Every level of this processor, the widest last.
    pub fn available() -> Vec<Self> {
        #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, reason = "no wider set"))]
        let mut levels = vec![Self(Set::Baseline)];
        #[cfg(target_arch = "x86_64")]
        {
            let has_fused = is_x86_feature_detected!("fma");
            if is_x86_feature_detected!("avx2") && has_fused {
                levels.push(Self(Set::Avx2));
            }
            if has_fused
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
            {
                levels.push(Self(Set::Avx512));
            }
        }
        levels
    }

    /// The widest level of this processor.
    #[inline]
    pub fn best() -> Self {
        static BEST: OnceLock<Level> = OnceLock::new();
        *BEST.get_or_init(|| Self::available().pop().expect("the baseline is always there"))
    }

    /// The name recorded with results.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Baseline => "x86-64",
            #[cfg(not(target_arch = "x86_64"))]
            Set::Baseline => std::env::consts::ARCH,
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "x86-64-avx2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "x86-64-avx512",
        }
    }

    /// Runs `kernel` as compiled for this level.
    #[inline(always)]
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Set::Baseline => kernel.run(),
            #[cfg(target_arch = "x86_64")]
            #[expect(
                unsafe_code,
                reason = "a function with target features, called where it may be"
            )]
            // SAFETY: `Level(Set::Avx2)` is made in `available` only, after the processor was asked for avx2 and fma.
            Set::Avx2 => unsafe { run_avx2(kernel) },
            #[cfg(target_arch = "x86_64")]
            #[expect(
                unsafe_code,
                reason = "a function with target features, called where it may be"
            )]
            // SAFETY: `Level(Set::Avx512)` is made in `available` only, after the processor was asked for the five
            // features that the function enables.
            Set::Avx512 => unsafe { run_avx512(kernel) },
        }
    }
}

impl Level {
    /// Runs `kernel` on the vectors of this level.
    #[inline(always)]
    pub fn run_lanes<T: Real, K: LaneKernel<T>>(self, kernel: K) {
        match self.0 {
            Set::Baseline => self.run(On::<K, T, Portable<T>>(kernel, PhantomData)),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => self.run(On::<K, T, T::Avx2>(kernel, PhantomData)),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => self.run(On::<K, T, T::Avx512>(kernel, PhantomData)),
        }
    }
}

/// Runs `kernel` at the widest level of this processor.
#[inline]
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    Level::best().run(kernel)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "fma,avx512f,avx512bw,avx512dq,avx512vl")]
fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_baseline_comes_first_and_the_best_level_last() {
        let levels = Level::available();
        assert_eq!(levels[0], Level(Set::Baseline));
        assert_eq!(levels.last(), Some(&Level::best()));
    }
}

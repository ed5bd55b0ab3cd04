//! Runs a kernel compiled for the widest vectors that the processor has. The one file with `unsafe` in it.
//!
//! A [`Kernel`] is generic safe code marked `#[inline(always)]`; it is compiled once for each [`Level`] by being inlined
//! into a function with that level's target features. The source is the same and holds no fused multiply-add, so every
//! level gives the same bits.

use std::sync::OnceLock;

/// A computation that is worth compiling for several instruction sets.
pub trait Kernel {
    /// What it returns.
    type Output;

    /// Does the work. Implementations, and everything they call, are `#[inline(always)]`: what is not inlined is
    /// compiled for the baseline.
    fn run(self) -> Self::Output;
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
            if is_x86_feature_detected!("avx2") {
                levels.push(Self(Set::Avx2));
            }
            if is_x86_feature_detected!("avx512f")
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
            // SAFETY: `Level(Set::Avx2)` is made in `available` only, after the processor was asked for avx2.
            Set::Avx2 => unsafe { run_avx2(kernel) },
            #[cfg(target_arch = "x86_64")]
            #[expect(
                unsafe_code,
                reason = "a function with target features, called where it may be"
            )]
            // SAFETY: `Level(Set::Avx512)` is made in `available` only, after the processor was asked for the four
            // features that the function enables.
            Set::Avx512 => unsafe { run_avx512(kernel) },
        }
    }
}

/// Runs `kernel` at the widest level of this processor.
#[inline]
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    Level::best().run(kernel)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
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

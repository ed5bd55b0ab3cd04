//! Activations over the units of a layer, and their derivatives from the outputs alone.

use domain::spec::Activation;

use super::Real;
use super::dispatch::{Kernel, dispatch};

/// Replaces pre-activations z by a = σ(z), one example after the other.
///
/// ```text
/// tanh, sigmoid, identity; relu: max(0, z); softmax: exp(zₖ) / Σⱼ exp(zⱼ) over the units of a row
/// ```
///
/// # Shapes
/// `rows`: `[n, units]`, overwritten.
///
/// # Numerics
/// Softmax subtracts the row's maximum, so finite input never overflows. NaN stays NaN, through relu as well, so that a
/// diverged network cannot look healthy.
pub fn activate<T: Real>(activation: Activation, rows: &mut [T], units: usize) {
    match activation {
        Activation::Identity => {}
        Activation::Tanh => dispatch(Map { function: Tanh, rows }),
        Activation::Sigmoid => dispatch(Map { function: Sigmoid, rows }),
        Activation::Relu => dispatch(Map { function: Relu, rows }),
        Activation::Softmax => dispatch(Softmax { rows, units }),
    }
}

/// Replaces ∂f/∂a by ∂f/∂z, given a = σ(z).
///
/// ```text
/// tanh: (1 − a²) da;  sigmoid: a (1 − a) da;  relu: 1[a > 0] da;  softmax: aₖ (daₖ − Σⱼ aⱼ daⱼ)
/// ```
///
/// The derivative of relu at 0 is 0.
///
/// # Shapes
/// `outputs` (a) and `gradient` (∂f/∂a): `[n, units]`; `gradient` is overwritten.
pub fn pull_back<T: Real>(activation: Activation, outputs: &[T], gradient: &mut [T], units: usize) {
    match activation {
        Activation::Identity => {}
        Activation::Tanh => dispatch(Pull { function: Tanh, outputs, gradient }),
        Activation::Sigmoid => dispatch(Pull { function: Sigmoid, outputs, gradient }),
        Activation::Relu => dispatch(Pull { function: Relu, outputs, gradient }),
        Activation::Softmax => {
            let rows = outputs.chunks_exact(units).zip(gradient.chunks_exact_mut(units));
            for (a, da) in rows {
                let mean = a.iter().zip(&*da).fold(T::ZERO, |sum, (&a, &da)| sum + a * da);
                for (da, &a) in da.iter_mut().zip(a) {
                    *da = a * (*da - mean);
                }
            }
        }
    }
}

struct Softmax<'a, T> {
    rows: &'a mut [T],
    units: usize,
}

impl<T: Real> Kernel for Softmax<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for row in self.rows.chunks_exact_mut(self.units) {
            softmax(row);
        }
    }
}

#[inline(always)]
fn softmax<T: Real>(row: &mut [T]) {
    let largest = row.iter().copied().fold(row[0], |m, z| if z > m { z } else { m });
    let mut sum = T::ZERO;
    for z in &mut *row {
        *z = (*z - largest).exp();
        sum += *z;
    }
    for z in row {
        *z = *z / sum;
    }
}

/// An activation of each unit apart.
trait Pointwise: Copy {
    /// σ(z).
    fn value<T: Real>(self, z: T) -> T;
    /// σ'(z), from a = σ(z).
    fn slope<T: Real>(self, a: T) -> T;
}

#[derive(Clone, Copy)]
struct Tanh;
#[derive(Clone, Copy)]
struct Sigmoid;
#[derive(Clone, Copy)]
struct Relu;

impl Pointwise for Tanh {
    #[inline(always)]
    fn value<T: Real>(self, z: T) -> T {
        z.tanh()
    }
    #[inline(always)]
    fn slope<T: Real>(self, a: T) -> T {
        T::ONE - a * a
    }
}

impl Pointwise for Sigmoid {
    #[inline(always)]
    fn value<T: Real>(self, z: T) -> T {
        z.sigmoid()
    }
    #[inline(always)]
    fn slope<T: Real>(self, a: T) -> T {
        a * (T::ONE - a)
    }
}

impl Pointwise for Relu {
    #[inline(always)]
    fn value<T: Real>(self, z: T) -> T {
        if z <= T::ZERO { T::ZERO } else { z }
    }
    #[inline(always)]
    fn slope<T: Real>(self, a: T) -> T {
        if a > T::ZERO { T::ONE } else { T::ZERO }
    }
}

struct Map<'a, F, T> {
    function: F,
    rows: &'a mut [T],
}

impl<F: Pointwise, T: Real> Kernel for Map<'_, F, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for z in self.rows {
            *z = self.function.value(*z);
        }
    }
}

struct Pull<'a, F, T> {
    function: F,
    outputs: &'a [T],
    gradient: &'a mut [T],
}

impl<F: Pointwise, T: Real> Kernel for Pull<'_, F, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (da, &a) in self.gradient.iter_mut().zip(self.outputs) {
            *da *= self.function.slope(a);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::dispatch::Level;

    #[test]
    fn softmax_of_extreme_input_stays_finite_and_sums_to_one() {
        let mut row = [1e300, -1e300, 1e300];
        activate(Activation::Softmax, &mut row, 3);
        assert_eq!(row, [0.5, 0.0, 0.5]);
    }

    #[test]
    fn nothing_turns_a_nan_into_a_number() {
        for word in Activation::WORDS {
            let activation = Activation::from_word(word).expect("a listed word");
            let mut row = [f32::NAN, 1.0];
            activate(activation, &mut row, 2);
            assert!(row[0].is_nan(), "{word}");
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let z: Vec<f64> = (0..1003).map(|i| f64::from(i).sin() * 30.0).collect();
        let run = |level: Level| {
            let (mut tanh, mut sigmoid) = (z.clone(), z.clone());
            level.run(Map { function: Tanh, rows: &mut tanh });
            level.run(Map { function: Sigmoid, rows: &mut sigmoid });
            let mut single: Vec<f32> = z.iter().map(|&z| z as f32).collect();
            level.run(Map { function: Tanh, rows: &mut single });
            (tanh, sigmoid, single)
        };
        let levels = Level::available();
        assert!(levels.iter().all(|&level| run(level) == run(levels[0])));
    }
}

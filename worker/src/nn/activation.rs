//! Activations over the units of a layer, and their derivatives from the outputs alone.

use domain::spec::Activation;

use super::Real;
use super::dispatch::{Kernel, dispatch};

/// Replaces z by a = σ(z + b), one example after the other, in one pass over the numbers.
///
/// ```text
/// tanh, sigmoid, identity; relu: max(0, z); softmax: exp(zₖ) / Σⱼ exp(zⱼ) over the units of a row
/// ```
///
/// # Shapes
/// `rows`: `[n, units]`, overwritten; `biases` (b): `[units]`, or empty.
///
/// # Numerics
/// Softmax subtracts the row's maximum, so finite input never overflows. NaN stays NaN, through relu as well, so that a
/// diverged network cannot look healthy.
pub fn activate<T: Real>(activation: Activation, biases: &[T], rows: &mut [T], units: usize) {
    if activation != Activation::Identity || !biases.is_empty() {
        dispatch(Activate { activation, biases, rows, units });
    }
}

struct Activate<'a, T> {
    activation: Activation,
    biases: &'a [T],
    rows: &'a mut [T],
    units: usize,
}

impl<T: Real> Kernel for Activate<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { activation, biases, rows, units } = self;
        if biases.is_empty() {
            return activate_here(activation, rows, units);
        }
        for row in rows.chunks_exact_mut(units) {
            row.iter_mut().zip(biases).for_each(|(z, &b)| *z += b);
            activate_here(activation, row, units);
        }
    }
}

/// [`activate`] as part of a kernel.
#[inline(always)]
pub(super) fn activate_here<T: Real>(activation: Activation, rows: &mut [T], units: usize) {
    match activation {
        Activation::Identity => {}
        Activation::Tanh => map(Tanh, rows),
        Activation::Sigmoid => map(Sigmoid, rows),
        Activation::Relu => map(Relu, rows),
        Activation::Softmax => {
            for row in rows.chunks_exact_mut(units) {
                softmax(row);
            }
        }
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
    if activation != Activation::Identity {
        dispatch(PullBack { activation, outputs, gradient, units });
    }
}

struct PullBack<'a, T> {
    activation: Activation,
    outputs: &'a [T],
    gradient: &'a mut [T],
    units: usize,
}

impl<T: Real> Kernel for PullBack<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        pull_back_here(self.activation, self.outputs, self.gradient, self.units);
    }
}

/// [`pull_back`] as part of a kernel.
#[inline(always)]
pub(super) fn pull_back_here<T: Real>(
    activation: Activation,
    outputs: &[T],
    gradient: &mut [T],
    units: usize,
) {
    match activation {
        Activation::Identity => {}
        Activation::Tanh => pull(Tanh, outputs, gradient),
        Activation::Sigmoid => pull(Sigmoid, outputs, gradient),
        Activation::Relu => pull(Relu, outputs, gradient),
        Activation::Softmax => {
            let rows = outputs.chunks_exact(units).zip(gradient.chunks_exact_mut(units));
            for (a, da) in rows {
                let mut mean = T::ZERO;
                for (&a, &da) in a.iter().zip(&*da) {
                    mean += a * da;
                }
                for (da, &a) in da.iter_mut().zip(a) {
                    *da = a * (*da - mean);
                }
            }
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

#[inline(always)]
fn map<F: Pointwise, T: Real>(function: F, rows: &mut [T]) {
    for z in rows {
        *z = function.value(*z);
    }
}

#[inline(always)]
fn pull<F: Pointwise, T: Real>(function: F, outputs: &[T], gradient: &mut [T]) {
    for (da, &a) in gradient.iter_mut().zip(outputs) {
        *da *= function.slope(a);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::dispatch::Level;

    #[test]
    fn softmax_of_extreme_input_stays_finite_and_sums_to_one() {
        let mut row = [1e300, -1e300, 1e300];
        activate(Activation::Softmax, &[], &mut row, 3);
        assert_eq!(row, [0.5, 0.0, 0.5]);
    }

    #[test]
    fn nothing_turns_a_nan_into_a_number() {
        for word in Activation::WORDS {
            let activation = Activation::from_word(word).expect("a listed word");
            let mut row = [f32::NAN, 1.0];
            activate(activation, &[], &mut row, 2);
            assert!(row[0].is_nan(), "{word}");
        }
    }

    #[test]
    fn biases_are_added_before_the_activation() {
        for word in Activation::WORDS {
            let activation = Activation::from_word(word).expect("a listed word");
            let (z, biases) = ([0.5, -1.5, 0.25, 2.0, 0.0, -0.125], [0.125, 1.0, -3.0]);
            let mut expected = z;
            expected.iter_mut().zip(biases.iter().cycle()).for_each(|(z, b)| *z += b);
            activate(activation, &[], &mut expected, 3);
            let mut found = z;
            activate(activation, &biases, &mut found, 3);
            assert_eq!(found, expected, "{word}");
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let z: Vec<f64> = (0..1003).map(|i| f64::from(i).sin() * 30.0).collect();
        let run = |level: Level| {
            let (mut tanh, mut sigmoid) = (z.clone(), z.clone());
            level.run(Activate {
                activation: Activation::Tanh,
                biases: &[],
                rows: &mut tanh,
                units: 1,
            });
            level.run(Activate {
                activation: Activation::Sigmoid,
                biases: &[],
                rows: &mut sigmoid,
                units: 1,
            });
            let mut single: Vec<f32> = z.iter().map(|&z| z as f32).collect();
            level.run(Activate {
                activation: Activation::Tanh,
                biases: &[],
                rows: &mut single,
                units: 1,
            });
            (tanh, sigmoid, single)
        };
        let levels = Level::available();
        assert!(levels.iter().all(|&level| run(level) == run(levels[0])));
    }
}

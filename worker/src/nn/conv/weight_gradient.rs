//! The gradient of a convolution in its weights.

use super::LANES;
use super::walks::Walks;
use crate::nn::Real;
use crate::nn::dispatch::{Kernel, dispatch};

/// Adds `Σ over images and pixels p of input[p + offset(tap), c] · delta[p, k]` to `gradient[tap, c, k]`.
///
/// # Shapes
/// `input` and `delta`: the images that the forward walk `walks` reads and writes; `gradient`: `[taps, inputs, outputs]`.
///
/// # Numerics
/// The pixels of an image are added one after the other, from 0; then images, in order, to what is there.
///
/// # Cost
/// 2 taps inputs outputs flop a pixel.
pub fn add_weight_gradient<T: Real>(
    walks: &Walks,
    images: usize,
    (input, delta): (&[T], &[T]),
    gradient: &mut [T],
) {
    dispatch(WeightGradient { walks, images, input, delta, gradient });
}

/// The arguments of the kernel.
pub(super) struct WeightGradient<'a, T> {
    pub(super) walks: &'a Walks,
    pub(super) images: usize,
    pub(super) input: &'a [T],
    pub(super) delta: &'a [T],
    pub(super) gradient: &'a mut [T],
}

impl<T: Real> Kernel for WeightGradient<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { walks, images, input, delta, gradient } = self;
        for image in 0..images {
            let input = &input[image * walks.input.image..(image + 1) * walks.input.image];
            let delta = &delta[image * walks.out.image..(image + 1) * walks.out.image];
            for &(offset, tap) in &walks.taps {
                let from = walks.input.start + offset;
                let mut channel = 0;
                while channel + 8 <= walks.inputs {
                    channels::<T, 8>(walks, (input, delta), (from, tap, channel), gradient);
                    channel += 8;
                }
                while channel < walks.inputs {
                    channels::<T, 1>(walks, (input, delta), (from, tap, channel), gradient);
                    channel += 1;
                }
            }
        }
    }
}

/// The weights of one tap from `C` input channels, 16 output channels at a time, over the pixels of one image.
#[inline(always)]
fn channels<T: Real, const C: usize>(
    walks: &Walks,
    (input, delta): (&[T], &[T]),
    (from, tap, channel): (usize, usize, usize),
    gradient: &mut [T],
) {
    for block in 0..walks.outputs / LANES {
        let mut sums = [[T::ZERO; LANES]; C];
        for row in 0..walks.rows {
            let mut at = from + channel + row * walks.input.row;
            let mut to = walks.out.start + block * LANES + row * walks.out.row;
            for _ in 0..walks.columns {
                let x = &input[at..at + C];
                let d = &delta[to..to + LANES];
                for c in 0..C {
                    for l in 0..LANES {
                        sums[c][l] += x[c] * d[l];
                    }
                }
                at += walks.input.step;
                to += walks.out.step;
            }
        }
        for (c, sums) in sums.iter().enumerate() {
            let at = (tap * walks.inputs + channel + c) * walks.outputs + block * LANES;
            for (g, &sum) in gradient[at..at + LANES].iter_mut().zip(sums) {
                *g += sum;
            }
        }
    }
}

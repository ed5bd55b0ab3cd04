//! The gradient of a convolution in its weights.

use super::LANES;
use super::walks::Walks;
use crate::nn::Real;
use crate::nn::dispatch::{LaneKernel, Level};
use crate::nn::lanes::Lanes;

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
    Level::best().run_lanes(WeightGradient { walks, images, input, delta, gradient });
}

/// The arguments of the kernel.
pub(super) struct WeightGradient<'a, T> {
    pub(super) walks: &'a Walks,
    pub(super) images: usize,
    pub(super) input: &'a [T],
    pub(super) delta: &'a [T],
    pub(super) gradient: &'a mut [T],
}

impl<T: Real> LaneKernel<T> for WeightGradient<'_, T> {
    #[inline(always)]
    fn run<L: Lanes<T>>(mut self) {
        let walks = self.walks;
        for image in 0..self.images {
            for &(offset, tap) in &walks.taps {
                let start = walks.input.start + offset + image * walks.input.image;
                let mut channel = 0;
                while L::SUMS >= 16 && channel + 16 <= walks.inputs {
                    self.channels::<L, 16>((start, image, tap), channel);
                    channel += 16;
                }
                while L::SUMS >= 8 && channel + 8 <= walks.inputs {
                    self.channels::<L, 8>((start, image, tap), channel);
                    channel += 8;
                }
                while channel + 2 <= walks.inputs {
                    self.channels::<L, 2>((start, image, tap), channel);
                    channel += 2;
                }
                while channel < walks.inputs {
                    self.channels::<L, 1>((start, image, tap), channel);
                    channel += 1;
                }
            }
        }
    }
}

impl<T: Real> WeightGradient<'_, T> {
    /// The weights of one tap from `C` input channels, 16 output channels at a time, over the pixels of one image.
    #[inline(always)]
    fn channels<L: Lanes<T>, const C: usize>(
        &mut self,
        (start, image, tap): (usize, usize, usize),
        channel: usize,
    ) {
        let walks = self.walks;
        for block in 0..walks.outputs / LANES {
            let mut sums = [L::splat(T::ZERO); C];
            for row in 0..walks.rows {
                let from = start + channel + row * walks.input.row;
                let to =
                    walks.out.start + image * walks.out.image + block * LANES + row * walks.out.row;
                let (step_in, step_out) = (walks.input.step, walks.out.step);
                let x = &self.input[from..][..(walks.columns - 1) * step_in + C];
                let d = &self.delta[to..][..(walks.columns - 1) * step_out + LANES];
                for column in 0..walks.columns {
                    let x = &x[column * step_in..][..C];
                    let (d, _) = d[column * step_out..][..LANES].as_chunks();
                    let d = L::load(&d[0]);
                    for c in 0..C {
                        sums[c] = L::splat(x[c]).mul_add(d, sums[c]);
                    }
                }
            }
            for (c, &sum) in sums.iter().enumerate() {
                let at = (tap * walks.inputs + channel + c) * walks.outputs + block * LANES;
                let (gradient, _) = self.gradient[at..][..LANES].as_chunks_mut();
                let one = L::splat(T::ONE);
                one.mul_add(sum, L::load(&gradient[0])).store(&mut gradient[0]);
            }
        }
    }
}

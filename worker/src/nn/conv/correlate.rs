//! The kernel of convolutions and of their gradients in the input.

use super::LANES;
use super::walks::{Walk, Walks};
use crate::nn::Real;
use crate::nn::dispatch::{LaneKernel, Level};
use crate::nn::lanes::Lanes;

/// `out[p] = Σ over taps and channels c of input[p + offset, c] · weights[tap, c]`, or added to what is there.
///
/// # Shapes
/// `input` and `out`: images as `walks` says; `weights`: `[outputs / 16, walks.weights, inputs, 16]`.
///
/// # Numerics
/// Terms are added one after the other, channels within taps, beginning with what is there or 0.
///
/// # Cost
/// 2 taps inputs outputs flop a pixel.
pub fn correlate<T: Real>(
    walks: &Walks,
    images: usize,
    accumulate: bool,
    (input, weights): (&[T], &[T]),
    out: &mut [T],
) {
    Level::best().run_lanes(Correlate { walks, images, accumulate, input, weights, out });
}

/// Puts weights `[taps, inputs, outputs]` into blocks of output channels: `[outputs / 16, taps, inputs, 16]`.
pub fn pack_forward<T: Real>(weights: &[T], inputs: usize, outputs: usize, packed: &mut [T]) {
    let size = weights.len() / outputs * LANES;
    for (b, block) in packed[..weights.len()].chunks_exact_mut(size).enumerate() {
        let rows = weights.chunks_exact(outputs).map(|row| &row[b * LANES..(b + 1) * LANES]);
        block.chunks_exact_mut(LANES).zip(rows).for_each(|(to, from)| to.copy_from_slice(from));
    }
    debug_assert_eq!(weights.len() % (inputs * outputs), 0);
}

/// Puts weights `[taps, inputs, outputs]` the other way round: `[inputs / 16, taps, outputs, 16]`.
pub fn pack_backward<T: Real>(weights: &[T], inputs: usize, outputs: usize, packed: &mut [T]) {
    let size = weights.len() / inputs * LANES;
    for (b, block) in packed[..weights.len()].chunks_exact_mut(size).enumerate() {
        let taps = weights.chunks_exact(inputs * outputs);
        for (to, tap) in block.chunks_exact_mut(outputs * LANES).zip(taps) {
            let rows = &tap[b * LANES * outputs..(b + 1) * LANES * outputs];
            for (o, lanes) in to.chunks_exact_mut(LANES).enumerate() {
                let column = rows.iter().skip(o).step_by(outputs);
                lanes.iter_mut().zip(column).for_each(|(lane, &w)| *lane = w);
            }
        }
    }
}

/// The arguments of the kernel.
pub(super) struct Correlate<'a, T> {
    pub(super) walks: &'a Walks,
    pub(super) images: usize,
    pub(super) accumulate: bool,
    pub(super) input: &'a [T],
    pub(super) weights: &'a [T],
    pub(super) out: &'a mut [T],
}

impl<T: Real> LaneKernel<T> for Correlate<'_, T> {
    #[inline(always)]
    fn run<L: Lanes<T>>(mut self) {
        let blocks = self.walks.outputs / LANES;
        for image in 0..self.images {
            let mut block = 0;
            // Two blocks share what they read of the input where the registers hold the sums of both.
            while L::SUMS >= 16 && block + 2 <= blocks {
                self.rows::<L, 2>(image, block);
                block += 2;
            }
            while block < blocks {
                self.rows::<L, 1>(image, block);
                block += 1;
            }
        }
    }
}

impl<T: Real> Correlate<'_, T> {
    /// `B` blocks of channels of one image.
    #[inline(always)]
    fn rows<L: Lanes<T>, const B: usize>(&mut self, image: usize, block: usize) {
        let walks = self.walks;
        for row in 0..walks.rows {
            let place = |walk: &Walk| walk.start + image * walk.image + row * walk.row;
            let (from, to) = (place(&walks.input), place(&walks.out) + block * LANES);
            let at = |column| (from + column * walks.input.step, to + column * walks.out.step);
            let mut column = 0;
            while L::SUMS >= 8 * B && column + 8 <= walks.columns {
                self.pixels::<L, 8, B>(block, at(column));
                column += 8;
            }
            while L::SUMS >= 4 * B && column + 4 <= walks.columns {
                self.pixels::<L, 4, B>(block, at(column));
                column += 4;
            }
            while column + 2 <= walks.columns {
                self.pixels::<L, 2, B>(block, at(column));
                column += 2;
            }
            while column < walks.columns {
                self.pixels::<L, 1, B>(block, at(column));
                column += 1;
            }
        }
    }

    /// `B` times 16 channels of `P` pixels of a row, their sums in registers.
    #[inline(always)]
    fn pixels<L: Lanes<T>, const P: usize, const B: usize>(
        &mut self,
        block: usize,
        (from, to): (usize, usize),
    ) {
        let walks = self.walks;
        let inputs = walks.inputs;
        let (weights, _) = self.weights.as_chunks::<LANES>();
        let size = walks.weights * inputs;
        let mut sums = [[L::splat(T::ZERO); B]; P];
        if self.accumulate {
            for (p, sums) in sums.iter_mut().enumerate() {
                let (chunks, _) = self.out[to + p * walks.out.step..][..B * LANES].as_chunks();
                for b in 0..B {
                    sums[b] = L::load(&chunks[b]);
                }
            }
        }
        for &(offset, tap) in &walks.taps {
            let mut w: [&[[T; LANES]]; B] = [&[]; B];
            for b in 0..B {
                w[b] = &weights[(block + b) * size + tap * inputs..][..inputs];
            }
            // A slice a pixel, each as long as the loop: nothing is left to be checked within it.
            let mut x: [&[T]; P] = [&[]; P];
            for (p, x) in x.iter_mut().enumerate() {
                *x = &self.input[from + offset + p * walks.input.step..][..inputs];
            }
            for c in 0..inputs {
                let mut row = [L::splat(T::ZERO); B];
                for b in 0..B {
                    row[b] = L::load(&w[b][c]);
                }
                for p in 0..P {
                    let x = L::splat(x[p][c]);
                    for b in 0..B {
                        sums[p][b] = x.mul_add(row[b], sums[p][b]);
                    }
                }
            }
        }
        for (p, sums) in sums.iter().enumerate() {
            let (chunks, _) = self.out[to + p * walks.out.step..][..B * LANES].as_chunks_mut();
            for b in 0..B {
                sums[b].store(&mut chunks[b]);
            }
        }
    }
}

//! The kernel of convolutions and of their gradients in the input.

use super::LANES;
use super::walks::{Walk, Walks};
use crate::nn::Real;
use crate::nn::dispatch::{Kernel, dispatch};

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
    dispatch(Correlate { walks, images, accumulate, input, weights, out });
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

impl<T: Real> Kernel for Correlate<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { walks, images, accumulate, input, weights, out } = self;
        let (blocks, _) = weights.as_chunks::<LANES>();
        let block_size = walks.weights * walks.inputs;
        for image in 0..images {
            for block in 0..walks.outputs / LANES {
                let weights = &blocks[block * block_size..(block + 1) * block_size];
                for row in 0..walks.rows {
                    let place = |walk: &Walk| walk.start + image * walk.image + row * walk.row;
                    let (from, to) = (place(&walks.input), place(&walks.out) + block * LANES);
                    let mut column = 0;
                    while column + 8 <= walks.columns {
                        let at = (from + column * walks.input.step, to + column * walks.out.step);
                        pixels::<T, 8>(walks, accumulate, (input, weights), out, at);
                        column += 8;
                    }
                    while column + 4 <= walks.columns {
                        let at = (from + column * walks.input.step, to + column * walks.out.step);
                        pixels::<T, 4>(walks, accumulate, (input, weights), out, at);
                        column += 4;
                    }
                    while column < walks.columns {
                        let at = (from + column * walks.input.step, to + column * walks.out.step);
                        pixels::<T, 1>(walks, accumulate, (input, weights), out, at);
                        column += 1;
                    }
                }
            }
        }
    }
}

/// 16 channels of `P` pixels of a row, their sums in registers.
#[inline(always)]
fn pixels<T: Real, const P: usize>(
    walks: &Walks,
    accumulate: bool,
    (input, weights): (&[T], &[[T; LANES]]),
    out: &mut [T],
    (from, to): (usize, usize),
) {
    let inputs = walks.inputs;
    let mut sums = [[T::ZERO; LANES]; P];
    if accumulate {
        for (p, sums) in sums.iter_mut().enumerate() {
            let at = to + p * walks.out.step;
            sums.copy_from_slice(&out[at..at + LANES]);
        }
    }
    for &(offset, tap) in &walks.taps {
        let weights = &weights[tap * inputs..(tap + 1) * inputs];
        let mut x: [&[T]; P] = [&[]; P];
        for (p, x) in x.iter_mut().enumerate() {
            let at = from + offset + p * walks.input.step;
            *x = &input[at..at + inputs];
        }
        for c in 0..inputs {
            let w = weights[c];
            for p in 0..P {
                let a = x[p][c];
                for l in 0..LANES {
                    sums[p][l] += a * w[l];
                }
            }
        }
    }
    for (p, sums) in sums.iter().enumerate() {
        let at = to + p * walks.out.step;
        out[at..at + LANES].copy_from_slice(sums);
    }
}

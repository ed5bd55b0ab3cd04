//! The kernel of convolutions and of their gradients in the input.

use std::ops::Range;

use super::LANES;
use super::walks::Walks;
use crate::nn::Real;
use crate::nn::dispatch::{LaneKernel, Level};
use crate::nn::lanes::Lanes;

/// What the sums of a convolution begin with.
#[derive(Clone, Copy)]
pub enum Begin<'a, T> {
    Zero,
    /// What is there.
    There,
    /// The numbers of a buffer that is laid out like the output.
    With(&'a [T]),
}

/// `out[p] = Σ over taps and channels c of input[p + offset, c] · weights[tap, c]`, or added to what `begin` says.
///
/// # Shapes
/// `input` and `out`: images as `walks` says, of which those in `images` are taken; `weights`: `[outputs / 16, walks.terms(), 16]`.
///
/// # Numerics
/// Terms are added one after the other, channels within taps, beginning with what is there or 0.
///
/// # Cost
/// 2 taps inputs outputs flop a pixel.
pub fn correlate<T: Real>(
    walks: &Walks,
    images: Range<usize>,
    begin: Begin<'_, T>,
    (input, weights): (&[T], &[T]),
    out: &mut [T],
) {
    Level::best().run_lanes(Correlate { walks, images, begin, input, weights, out });
}

/// Puts weights `[taps, inputs, outputs]` into blocks of output channels, in the order of the forward walk: `[outputs / 16,
/// taps, inputs, 16]`.
pub fn pack_forward<T: Real>(weights: &[T], outputs: usize, packed: &mut [T]) {
    let size = weights.len() / outputs * LANES;
    for (b, block) in packed[..weights.len()].chunks_exact_mut(size).enumerate() {
        let rows = weights.chunks_exact(outputs).map(|row| &row[b * LANES..(b + 1) * LANES]);
        block.chunks_exact_mut(LANES).zip(rows).for_each(|(to, from)| to.copy_from_slice(from));
    }
}

/// Puts weights `[taps, inputs, outputs]` the other way round, in the order of `walks`, one of the backward ones:
/// `[inputs / 16, walks.taps, outputs, 16]`.
pub fn pack_backward<T: Real>(weights: &[T], walks: &Walks, packed: &mut [T]) {
    // What the layer gives is what its backward walks read.
    let (inputs, outputs) = (walks.outputs, walks.inputs);
    for (b, block) in
        packed[..walks.terms() * inputs].chunks_exact_mut(walks.terms() * LANES).enumerate()
    {
        for (to, &tap) in block.chunks_exact_mut(outputs * LANES).zip(&walks.taps) {
            let rows = &weights[(tap * inputs + b * LANES) * outputs..][..LANES * outputs];
            for (lane, row) in rows.chunks_exact(outputs).enumerate() {
                to.chunks_exact_mut(LANES).zip(row).for_each(|(lanes, &w)| lanes[lane] = w);
            }
        }
    }
}

/// The arguments of the kernel.
pub(super) struct Correlate<'a, T> {
    pub(super) walks: &'a Walks,
    pub(super) images: Range<usize>,
    pub(super) begin: Begin<'a, T>,
    pub(super) input: &'a [T],
    pub(super) weights: &'a [T],
    pub(super) out: &'a mut [T],
}

impl<T: Real> LaneKernel<T> for Correlate<'_, T> {
    #[inline(always)]
    fn run<L: Lanes<T>>(mut self) {
        let blocks = self.walks.outputs / LANES;
        for image in self.images.clone() {
            let mut block = 0;
            // Two blocks share what they read of the input where the registers hold the sums of both.
            while L::SUMS >= 16 && block + 2 <= blocks {
                self.tiles::<L, 2>(image, block);
                block += 2;
            }
            while block < blocks {
                self.tiles::<L, 1>(image, block);
                block += 1;
            }
        }
    }
}

/// Pixels whose sums are in registers at the same time, at most.
const PIXELS: usize = 8;

impl<T: Real> Correlate<'_, T> {
    /// `B` blocks of channels of one image, its pixels one after the other in as large tiles as the registers hold.
    #[inline(always)]
    fn tiles<L: Lanes<T>, const B: usize>(&mut self, image: usize, block: usize) {
        let walks = self.walks;
        let from = walks.input.start + image * walks.input.image;
        let to = walks.out.start + image * walks.out.image + block * LANES;
        let (mut row, mut column) = (0, 0);
        let mut left = walks.rows * walks.columns;
        while left > 0 {
            let mut places = [(0, 0); PIXELS];
            let sums = L::SUMS / B;
            let count = match left {
                8.. if sums >= 8 => 8,
                6.. if sums >= 6 => 6,
                4.. if sums >= 4 => 4,
                3.. if sums >= 3 => 3,
                2.. => 2,
                _ => 1,
            };
            for place in &mut places[..count] {
                *place = (
                    from + row * walks.input.row + column * walks.input.step,
                    to + row * walks.out.row + column * walks.out.step,
                );
                column += 1;
                if column == walks.columns {
                    (row, column) = (row + 1, 0);
                }
            }
            match count {
                8 => self.pixels::<L, 8, B>(block, &places),
                6 => self.pixels::<L, 6, B>(block, &places),
                4 => self.pixels::<L, 4, B>(block, &places),
                3 => self.pixels::<L, 3, B>(block, &places),
                2 => self.pixels::<L, 2, B>(block, &places),
                _ => self.pixels::<L, 1, B>(block, &places),
            }
            left -= count;
        }
    }

    /// `B` times 16 channels of `P` pixels, their sums in registers; `places` has where each reads and writes.
    #[inline(always)]
    fn pixels<L: Lanes<T>, const P: usize, const B: usize>(
        &mut self,
        block: usize,
        places: &[(usize, usize); PIXELS],
    ) {
        let walks = self.walks;
        let (weights, _) = self.weights.as_chunks::<LANES>();
        let size = walks.terms();
        let mut sums = [[L::splat(T::ZERO); P]; B];
        let begin = match self.begin {
            Begin::Zero => None,
            Begin::There => Some(&*self.out),
            Begin::With(begin) => Some(begin),
        };
        if let Some(begin) = begin {
            for p in 0..P {
                let (chunks, _) = begin[places[p].1..][..B * LANES].as_chunks();
                for b in 0..B {
                    sums[b][p] = L::load(&chunks[b]);
                }
            }
        }
        for run in &walks.runs {
            let len = run.len;
            let mut w: [&[[T; LANES]]; B] = [&[]; B];
            for b in 0..B {
                w[b] = &weights[(block + b) * size + run.weight..][..len];
            }
            // A slice a pixel, each as long as the loop: nothing is left to be checked within it.
            let mut x: [&[T]; P] = [&[]; P];
            for p in 0..P {
                x[p] = &self.input[places[p].0 + run.offset..][..len];
            }
            for c in 0..len {
                let mut factors = [T::ZERO; P];
                for p in 0..P {
                    factors[p] = x[p][c];
                }
                for b in 0..B {
                    L::add_products(&mut sums[b], factors, &w[b][c]);
                }
            }
        }
        for p in 0..P {
            let (chunks, _) = self.out[places[p].1..][..B * LANES].as_chunks_mut();
            for b in 0..B {
                sums[b][p].store(&mut chunks[b]);
            }
        }
    }
}

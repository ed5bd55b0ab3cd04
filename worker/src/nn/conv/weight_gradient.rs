//! The gradient of a convolution in its weights.

use std::ops::Range;

use super::LANES;
use super::grid::Grid;
use super::layout::ConvLayer;
use super::walks::{Run, Walks};
use crate::nn::Real;
use crate::nn::dispatch::{LaneKernel, Level};
use crate::nn::lanes::Lanes;

/// Adds `Σ over pixels p of input[p + offset(tap), c] · delta[p, k]` of image number `image` to `gradient[tap, c, k]`.
///
/// # Shapes
/// `input` and `delta`: the images that the forward walk `walks` reads and writes; `gradient`: `[taps, inputs, outputs]`, of
/// whose rows `[outputs]` those in `part` are there; `copies`: [`copies_len`] numbers, overwritten.
///
/// # Numerics
/// The pixels of the image are added one after the other, from 0; then their sum to what is there.
///
/// # Cost
/// 2 taps inputs outputs flop a pixel.
pub fn add_weight_gradient<T: Real>(
    walks: &Walks,
    image: usize,
    (input, delta): (&[T], &[T]),
    copies: &mut [T],
    (part, gradient): (Range<usize>, &mut [T]),
) {
    Level::best().run_lanes(WeightGradient { walks, image, input, delta, copies, part, gradient });
}

/// Numbers that the copies of one image take: its channels and those of its delta, sixteen after sixteen, and the sums for the weights
/// between two sixteens.
pub fn copies_len(layer: &ConvLayer, from: Grid, to: Grid) -> usize {
    let sums = layer.kernel * layer.kernel * LANES * LANES;
    sums + from.image() + to.side * to.width()
}

/// The arguments of the kernel.
pub(super) struct WeightGradient<'a, T> {
    pub(super) walks: &'a Walks,
    pub(super) image: usize,
    pub(super) input: &'a [T],
    pub(super) delta: &'a [T],
    pub(super) copies: &'a mut [T],
    /// The rows of the gradient that are there.
    pub(super) part: Range<usize>,
    pub(super) gradient: &'a mut [T],
}

/// Bytes of the rows of pixels, sixteen channels on either side, that are gone over again and again: they stay in the first-level
/// cache beside the sums. Where the sums wait in between shows in no bit.
const ROWS_BYTES: usize = 24 << 10;

/// An image as blocks of channels: those of one block lie together, pixel after pixel.
#[derive(Clone, Copy)]
struct Blocks<'a, T> {
    numbers: &'a [T],
    /// From one block to the next, from a row of pixels to the next, and from a pixel to the next.
    block: usize,
    row: usize,
    step: usize,
}

impl<'a, T: Real> Blocks<'a, T> {
    /// `rows` rows of `columns` pixels, which lie `row` and `step` apart from the first number of `image` on. The channels of one block are
    /// taken where they lie, those of several are copied.
    #[inline(always)]
    fn of<L: Lanes<T>>(
        image: &'a [T],
        (row, step): (usize, usize),
        (rows, columns, channels): (usize, usize, usize),
        copies: &'a mut [T],
    ) -> Self {
        if channels <= LANES {
            return Self { numbers: image, block: 0, row, step };
        }
        let block = rows * columns * LANES;
        for r in 0..rows {
            let pixels = image[r * row..][..(columns - 1) * step + channels].chunks(step);
            for (c, pixel) in pixels.enumerate() {
                let at = (r * columns + c) * LANES;
                for (b, from) in pixel.as_chunks().0.iter().enumerate() {
                    let (to, _) = copies[b * block + at..][..LANES].as_chunks_mut();
                    L::load(from).store(&mut to[0]);
                }
            }
        }
        Self { numbers: copies, block, row: columns * LANES, step: LANES }
    }
}

impl<T: Real> LaneKernel<T> for WeightGradient<'_, T> {
    #[inline(always)]
    fn run<L: Lanes<T>>(self) {
        let Self { walks, image, input, delta, copies, part, gradient } = self;
        let (inputs, outputs) = (walks.inputs, walks.outputs);
        // The few channels of a stem are one block.
        let width = inputs.min(LANES);
        let (sums, copies) = copies.split_at_mut(walks.taps.len() * width * LANES);
        let (of_input, of_delta) = copies.split_at_mut(walks.input.image);
        // All pixels of the input, the border included, of which a stride passes over some.
        let stride = walks.input.step / inputs;
        let row = walks.input.row / stride;
        let side = walks.input.image / row;
        let input = &input[image * walks.input.image..][..walks.input.image];
        let mut x = Blocks::of::<L>(input, (row, inputs), (side, row / inputs, inputs), of_input);
        (x.row, x.step) = (x.row * stride, x.step * stride);
        let delta = &delta[walks.out.start + image * walks.out.image..];
        let shape = (walks.rows, walks.columns, outputs);
        let d = Blocks::of::<L>(delta, (walks.out.row, walks.out.step), shape, of_delta);
        let bytes = (x.row + d.row) * T::BYTES;
        let border = 2 * x.row / stride * T::BYTES;
        let parts = (bytes * walks.rows).div_ceil(ROWS_BYTES.saturating_sub(border).max(bytes));
        let count = walks.rows.div_ceil(parts);
        let mut work = Work { walks, x, d, width, sums, part, gradient };
        for to in 0..outputs / LANES {
            for from in 0..inputs / width {
                for first in (0..walks.rows).step_by(count) {
                    let rows = first..walks.rows.min(first + count);
                    let mut waiting = 0;
                    for run in &walks.runs {
                        work.run::<L>(rows.clone(), run, (from, to), waiting);
                        waiting += run.len / inputs * width * LANES;
                    }
                }
            }
        }
    }
}

/// What the tiles of one image work on.
struct Work<'a, T> {
    walks: &'a Walks,
    x: Blocks<'a, T>,
    d: Blocks<'a, T>,
    /// Channels of a block of the input.
    width: usize,
    /// Of the weights between two blocks: `[taps, width, 16]`.
    sums: &'a mut [T],
    part: Range<usize>,
    gradient: &'a mut [T],
}

/// Some terms of a run.
struct Terms {
    /// The rows of pixels.
    rows: Range<usize>,
    /// Where the first row of pixels has the first of them on the left, and the right.
    left: usize,
    right: usize,
    /// Their sums.
    waiting: usize,
    /// The first of their rows in the gradient, its channel, and the block in the row.
    row: usize,
    channel: usize,
    to: usize,
}

impl<T: Real> Work<'_, T> {
    /// The weights of one run between the blocks `from` and `to`, over some rows of pixels.
    #[inline(always)]
    fn run<L: Lanes<T>>(
        &mut self,
        rows: Range<usize>,
        run: &Run,
        (from, to): (usize, usize),
        waiting: usize,
    ) {
        let inputs = self.walks.inputs;
        let mut terms = Terms {
            left: from * self.x.block + run.offset / inputs * self.width + rows.start * self.x.row,
            right: to * self.d.block + rows.start * self.d.row,
            rows,
            waiting,
            row: run.weight + from * self.width,
            channel: 0,
            to: to * LANES,
        };
        let mut left = run.len / inputs * self.width;
        while left > 0 {
            let count = match left {
                16.. if L::SUMS >= 16 => self.terms::<L, 16>(&terms),
                8.. if L::SUMS >= 8 => self.terms::<L, 8>(&terms),
                6.. if L::SUMS >= 6 => self.terms::<L, 6>(&terms),
                4.. if L::SUMS >= 4 => self.terms::<L, 4>(&terms),
                3.. if L::SUMS >= 3 => self.terms::<L, 3>(&terms),
                2.. => self.terms::<L, 2>(&terms),
                _ => self.terms::<L, 1>(&terms),
            };
            left -= count;
            terms.left += count;
            terms.waiting += count * LANES;
            (terms.row, terms.channel) = (terms.row + count, terms.channel + count);
            while terms.channel >= self.width {
                terms.channel -= self.width;
                terms.row += inputs - self.width;
            }
        }
    }

    /// `C` terms, of whose sums those with a place in the gradient are added to it in the end. Returns `C`.
    #[expect(
        clippy::needless_range_loop,
        reason = "vectors are made and used in loops over indices, never in closures"
    )]
    #[inline(always)]
    fn terms<L: Lanes<T>, const C: usize>(&mut self, terms: &Terms) -> usize {
        let Self { walks, x, d, width, .. } = *self;
        let (mut row, mut channel) = (terms.row, terms.channel);
        let mut places = [None; C];
        for c in 0..C {
            let is_there = self.part.contains(&row);
            places[c] = is_there.then(|| (row - self.part.start) * walks.outputs + terms.to);
            (row, channel) = (row + 1, channel + 1);
            if channel == width {
                (row, channel) = (row + walks.inputs - width, 0);
            }
        }
        if places == [None; C] {
            return C;
        }
        let mut sums = [L::splat(T::ZERO); C];
        let (kept, _) = self.sums[terms.waiting..][..C * LANES].as_chunks_mut::<LANES>();
        if terms.rows.start > 0 {
            for c in 0..C {
                sums[c] = L::load(&kept[c]);
            }
        }
        for row in 0..terms.rows.len() {
            let a = &x.numbers[terms.left + row * x.row..][..(walks.columns - 1) * x.step + C];
            let b = &d.numbers[terms.right + row * d.row..][..walks.columns * d.step];
            // Pixels of few channels overlap: a stem's.
            if C > x.step {
                for (a, b) in a.windows(C).step_by(x.step).zip(b.chunks_exact(d.step)) {
                    let (Some(a), Some(b)) = (a.first_chunk::<C>(), b.first_chunk()) else { break };
                    L::add_products(&mut sums, *a, b);
                }
                continue;
            }
            for (a, b) in a.chunks(x.step).zip(b.chunks_exact(d.step)) {
                let (Some(a), Some(b)) = (a.first_chunk::<C>(), b.first_chunk()) else { break };
                L::add_products(&mut sums, *a, b);
            }
        }
        if terms.rows.end < walks.rows {
            for c in 0..C {
                sums[c].store(&mut kept[c]);
            }
            return C;
        }
        for c in 0..C {
            if let Some(at) = places[c] {
                let (gradient, _) = self.gradient[at..][..LANES].as_chunks_mut();
                L::load(&gradient[0]).add(sums[c]).store(&mut gradient[0]);
            }
        }
        C
    }
}

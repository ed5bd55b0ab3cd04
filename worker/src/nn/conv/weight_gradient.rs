//! The gradient of a convolution in its weights.

use std::ops::Range;

use super::LANES;
use super::walks::{Run, Walks};
use crate::nn::Real;
use crate::nn::dispatch::{LaneKernel, Level};
use crate::nn::lanes::Lanes;

/// Adds `Σ over pixels p of input[p + offset(tap), c] · delta[p, k]` of image number `image` to `gradient[tap, c, k]`.
///
/// # Shapes
/// `input` and `delta`: the images that the forward walk `walks` reads and writes; `gradient`: `[taps, inputs, outputs]`, of
/// whose rows `[outputs]` those in `part` are there; `sums`: as large as the whole, overwritten.
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
    sums: &mut [T],
    (part, gradient): (Range<usize>, &mut [T]),
) {
    Level::best().run_lanes(WeightGradient { walks, image, input, delta, sums, part, gradient });
}

/// The arguments of the kernel.
pub(super) struct WeightGradient<'a, T> {
    pub(super) walks: &'a Walks,
    pub(super) image: usize,
    pub(super) input: &'a [T],
    pub(super) delta: &'a [T],
    pub(super) sums: &'a mut [T],
    /// The rows of the gradient that are there.
    pub(super) part: Range<usize>,
    pub(super) gradient: &'a mut [T],
}

/// Bytes of the rows of pixels that are gone over again and again, for the second-level cache to stay out of it. Where
/// the sums wait in between shows in no bit.
const ROWS_BYTES: usize = 32 << 10;

impl<T: Real> LaneKernel<T> for WeightGradient<'_, T> {
    #[inline(always)]
    fn run<L: Lanes<T>>(mut self) {
        let walks = self.walks;
        let count = self.rows_at_a_time();
        let mut first = 0;
        while first < walks.rows {
            let rows = first..walks.rows.min(first + count);
            first = rows.end;
            for run in &walks.runs {
                let mut term = self.part.start.saturating_sub(run.weight);
                let end = self.part.end.saturating_sub(run.weight).min(run.len);
                while term < end {
                    let left = end - term;
                    term += match left {
                        16.. if L::SUMS >= 16 => self.terms::<L, 16>(rows.clone(), run, term),
                        8.. if L::SUMS >= 8 => self.terms::<L, 8>(rows.clone(), run, term),
                        6.. if L::SUMS >= 6 => self.terms::<L, 6>(rows.clone(), run, term),
                        4.. if L::SUMS >= 4 => self.terms::<L, 4>(rows.clone(), run, term),
                        3.. if L::SUMS >= 3 => self.terms::<L, 3>(rows.clone(), run, term),
                        2.. => self.terms::<L, 2>(rows.clone(), run, term),
                        _ => self.terms::<L, 1>(rows.clone(), run, term),
                    };
                }
            }
        }
    }
}

impl<T: Real> WeightGradient<'_, T> {
    fn rows_at_a_time(&self) -> usize {
        let walks = self.walks;
        let row = (walks.input.row + walks.out.row) * T::BYTES;
        // The rows above and below are read too.
        let border = 2 * walks.input.row * T::BYTES;
        if walks.rows * row <= ROWS_BYTES * 3 / 2 {
            return walks.rows;
        }
        let most = (ROWS_BYTES.saturating_sub(border) / row).max(1);
        walks.rows.div_ceil(walks.rows.div_ceil(most))
    }

    /// The weights of `C` terms of a run from `term` on, 16 output channels at a time, over some rows of pixels.
    /// Returns `C`.
    #[expect(
        clippy::needless_range_loop,
        reason = "vectors are made and used in loops over indices, never in closures"
    )]
    #[inline(always)]
    fn terms<L: Lanes<T>, const C: usize>(
        &mut self,
        rows: Range<usize>,
        run: &Run,
        term: usize,
    ) -> usize {
        let walks = self.walks;
        let start = walks.input.start + self.image * walks.input.image + run.offset + term;
        let (step_in, step_out) = (walks.input.step, walks.out.step);
        for block in 0..walks.outputs / LANES {
            let place = |c: usize| (run.weight + term + c) * walks.outputs + block * LANES;
            let mut sums = [L::splat(T::ZERO); C];
            if rows.start > 0 {
                for c in 0..C {
                    let (waiting, _) = self.sums[place(c)..][..LANES].as_chunks();
                    sums[c] = L::load(&waiting[0]);
                }
            }
            for row in rows.clone() {
                let from = start + row * walks.input.row;
                let image = walks.out.start + self.image * walks.out.image;
                let to = image + block * LANES + row * walks.out.row;
                let x = &self.input[from..][..(walks.columns - 1) * step_in + C];
                let d = &self.delta[to..][..(walks.columns - 1) * step_out + LANES];
                // Pixels of few channels overlap: a stem's.
                if C > step_in {
                    let x = x.windows(C).step_by(step_in);
                    for (x, d) in x.zip(d.chunks(step_out)) {
                        let (d, _) = d.as_chunks();
                        if let Some(x) = x.first_chunk::<C>() {
                            L::add_products(&mut sums, *x, &d[0]);
                        }
                    }
                    continue;
                }
                for (x, d) in x.chunks(step_in).zip(d.chunks(step_out)) {
                    let (Some(x), Some(d)) = (x.first_chunk::<C>(), d.first_chunk()) else { break };
                    L::add_products(&mut sums, *x, d);
                }
            }
            let is_last = rows.end == walks.rows;
            for c in 0..C {
                if is_last {
                    let at = place(c) - self.part.start * walks.outputs;
                    let (gradient, _) = self.gradient[at..][..LANES].as_chunks_mut();
                    L::load(&gradient[0]).add(sums[c]).store(&mut gradient[0]);
                } else {
                    let (waiting, _) = self.sums[place(c)..][..LANES].as_chunks_mut();
                    sums[c].store(&mut waiting[0]);
                }
            }
        }
        C
    }
}

//! Products of small dense matrices in a fixed order of summation.
//!
//! Two orders are used. A **dot product** keeps [`LANES`] partial sums, lane l over the indices ≡ l mod `LANES`, and adds
//! them up as a balanced tree. A **combination** of rows adds them one after the other. Blocking over rows and columns
//! only decides what is in registers, so a row's bits do not depend on the rows beside it: an example alone and in a
//! minibatch gives the same numbers.
//!
//! Vectors are made and used in loops, never in closures: a closure is not always inlined, and what is not inlined is not
//! compiled for the level.

use super::Real;
use super::dispatch::{LaneKernel, Level};
use super::lanes::{LANES, Lanes};

/// `out[i, j] = ⟨aᵢ, bⱼ⟩` for all rows of `a` and `b`.
///
/// # Shapes
/// `a`: `[n, k]`, `b`: `[m, k]`, `out`: `[n, m]`, row-major; `out` is overwritten.
///
/// # Numerics
/// Each entry is a dot product in the order above, up to the sign of zeros.
///
/// # Cost
/// 2 n m k flop.
#[inline]
pub fn dots<T: Real>(a: &[T], b: &[T], k: usize, out: &mut [T]) {
    debug_assert_eq!((a.len() / k) * (b.len() / k), out.len());
    Level::best().run_lanes(Dots { a, b, k, out });
}

/// The arguments of [`dots`].
pub(crate) struct Dots<'a, T> {
    pub a: &'a [T],
    pub b: &'a [T],
    pub k: usize,
    pub out: &'a mut [T],
}

impl<T: Real> LaneKernel<T> for Dots<'_, T> {
    #[inline(always)]
    fn run<L: Lanes<T>>(self) {
        // A single row cannot share what it reads; more sums of the other side make up for it.
        let is_single = self.a.len() == self.k;
        match L::SUMS {
            16.. if is_single => self.blocks::<L, 1, 16>(),
            16.. => self.blocks::<L, 4, 4>(),
            8.. if is_single => self.blocks::<L, 1, 8>(),
            8.. => self.blocks::<L, 2, 4>(),
            6.. if is_single => self.blocks::<L, 1, 6>(),
            6.. => self.blocks::<L, 2, 3>(),
            _ => self.blocks::<L, 1, 2>(),
        }
    }
}

impl<T: Real> Dots<'_, T> {
    /// Blocks of `R` by `C` products. The shape decides what is in registers, never a bit.
    #[inline(always)]
    fn blocks<L: Lanes<T>, const R: usize, const C: usize>(self) {
        let Self { a, b, k, out } = self;
        let (n, m) = (a.len() / k, b.len() / k);
        if k == 1 {
            // A dot product of one term: all lanes but the first are 0.
            for (&a, out) in a.iter().zip(out.chunks_exact_mut(m)) {
                for (out, &b) in out.iter_mut().zip(b) {
                    *out = a * b;
                }
            }
            return;
        }
        let row = |i: usize| &a[i * k..][..k];
        let column = |j: usize| &b[j * k..][..k];
        // The rows of b are outside: there are more of them, and each is then read from memory once.
        let mut j = 0;
        while j + C <= m {
            let columns: [&[T]; C] = std::array::from_fn(|c| column(j + c));
            let mut i = 0;
            while i + R <= n {
                let block = dot_block::<T, L, R, C>(std::array::from_fn(|r| row(i + r)), columns);
                for r in 0..R {
                    out[(i + r) * m + j..][..C].copy_from_slice(&block[r]);
                }
                i += R;
            }
            while i < n {
                let [sums] = dot_block::<T, L, 1, C>([row(i)], columns);
                out[i * m + j..][..C].copy_from_slice(&sums);
                i += 1;
            }
            j += C;
        }
        while j < m {
            for i in 0..n {
                let [[sum]] = dot_block::<T, L, 1, 1>([row(i)], [column(j)]);
                out[i * m + j] = sum;
            }
            j += 1;
        }
    }
}

/// Dot products of `R` rows with `C` rows, their partial sums in registers.
#[inline(always)]
fn dot_block<T: Real, L: Lanes<T>, const R: usize, const C: usize>(
    a: [&[T]; R],
    b: [&[T]; C],
) -> [[T; C]; R] {
    let k = a[0].len();
    let (chunk_count, rest) = (k / LANES, k % LANES);
    let x: [&[[T; LANES]]; R] = std::array::from_fn(|r| &a[r].as_chunks().0[..chunk_count]);
    let y: [&[[T; LANES]]; C] = std::array::from_fn(|c| &b[c].as_chunks().0[..chunk_count]);
    let mut sums = [[L::splat(T::ZERO); C]; R];
    // Four columns at a time: more would not have their addresses in registers.
    let group = if C.is_multiple_of(4) { 4 } else { C };
    for g in 0..C / group {
        for chunk in 0..chunk_count {
            for r in 0..R {
                let x = L::load(&x[r][chunk]);
                for c in g * group..(g + 1) * group {
                    sums[r][c] = x.mul_add(L::load(&y[c][chunk]), sums[r][c]);
                }
            }
        }
    }
    if rest > 0 {
        // Lanes are added whole; what is missing counts as 0.
        for r in 0..R {
            let x = padded::<T, L>(&a[r][k - rest..]);
            for c in 0..C {
                sums[r][c] = x.mul_add(padded::<T, L>(&b[c][k - rest..]), sums[r][c]);
            }
        }
    }
    let mut out = [[T::ZERO; C]; R];
    if R * C == LANES {
        let mut rows = [L::splat(T::ZERO); LANES];
        for r in 0..R {
            for c in 0..C {
                rows[r * C + c] = sums[r][c];
            }
        }
        let added = L::add_lanes_of_all(rows);
        for r in 0..R {
            out[r].copy_from_slice(&added[r * C..(r + 1) * C]);
        }
    } else if R * C == 8 {
        let mut rows = [L::splat(T::ZERO); 8];
        for r in 0..R {
            for c in 0..C {
                rows[r * C + c] = sums[r][c];
            }
        }
        let added = L::add_lanes_of_eight(rows);
        for r in 0..R {
            out[r].copy_from_slice(&added[r * C..(r + 1) * C]);
        }
    } else {
        for r in 0..R {
            for c in 0..C {
                out[r][c] = sums[r][c].add_lanes();
            }
        }
    }
    out
}

/// The rest of a row, filled up with zeros.
#[inline(always)]
fn padded<T: Real, L: Lanes<T>>(rest: &[T]) -> L {
    let mut lanes = [T::ZERO; LANES];
    lanes[..rest.len()].copy_from_slice(rest);
    L::load(&lanes)
}

/// ⟨a, b⟩ in the order of [`dots`]; 0 of nothing.
#[inline]
pub fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    let mut sum = [T::ZERO];
    if !a.is_empty() {
        dots(a, b, a.len(), &mut sum);
    }
    sum[0]
}

/// Where the coefficients of a combination lie: `(row stride, term stride)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strides {
    /// From the coefficient of one output row to that of the next.
    pub row: usize,
    /// From one term's coefficient to the next term's.
    pub term: usize,
}

/// `out[r] = Σₛ c[r, s] · rows[s]`, the terms added in order from 0.
///
/// With the coefficients of minibatch deltas `[n, m]` it gives, by strides, both the deltas below (`rows` the weights)
/// and the weight gradient (`rows` the inputs).
///
/// # Shapes
/// `rows`: `[s, k]`; `out`: `[r, k]`, overwritten; `coefficients[r · strides.row + s · strides.term]`.
///
/// # Cost
/// 2 r s k flop.
#[inline]
pub fn combine<T: Real>(coefficients: &[T], strides: Strides, rows: &[T], k: usize, out: &mut [T]) {
    Level::best().run_lanes(Combine { coefficients, strides, rows, k, out });
}

/// The arguments of [`combine`].
pub(crate) struct Combine<'a, T> {
    pub coefficients: &'a [T],
    pub strides: Strides,
    pub rows: &'a [T],
    pub k: usize,
    pub out: &'a mut [T],
}

/// Terms of a combination whose rows are taken together, so that they stay in the cache for all output rows.
const TERMS: usize = 128;

impl<T: Real> LaneKernel<T> for Combine<'_, T> {
    #[inline(always)]
    fn run<L: Lanes<T>>(self) {
        match L::SUMS {
            16.. => self.blocks::<L, 4, 4>(),
            8.. => self.blocks::<L, 4, 2>(),
            6.. => self.blocks::<L, 3, 2>(),
            _ => self.blocks::<L, 2, 1>(),
        }
    }
}

impl<T: Real> Combine<'_, T> {
    /// Blocks of `R` rows by `C` times [`LANES`] columns.
    #[inline(always)]
    fn blocks<L: Lanes<T>, const R: usize, const C: usize>(self) {
        let Self { coefficients, strides, rows, k, out } = self;
        for (block, rows) in rows.chunks(TERMS * k).enumerate() {
            let coefficients = &coefficients[block * TERMS * strides.term..];
            let terms = Terms { coefficients, strides, rows, k, is_first: block == 0 };
            let mut column = 0;
            while column + C * LANES <= k {
                terms.columns::<L, R, C>(column, out);
                column += C * LANES;
            }
            while column + LANES <= k {
                terms.columns::<L, R, 1>(column, out);
                column += LANES;
            }
            for (r, out) in out.chunks_exact_mut(k).enumerate() {
                for column in column..k {
                    let mut sum = if terms.is_first { T::ZERO } else { out[column] };
                    for (s, row) in rows.chunks_exact(k).enumerate() {
                        let coefficient = coefficients[r * strides.row + s * strides.term];
                        sum = coefficient.mul_add(row[column], sum);
                    }
                    out[column] = sum;
                }
            }
        }
    }
}

/// Some terms of a combination; all but the first add to what is there.
#[derive(Clone, Copy)]
struct Terms<'a, T> {
    coefficients: &'a [T],
    strides: Strides,
    rows: &'a [T],
    k: usize,
    is_first: bool,
}

impl<T: Real> Terms<'_, T> {
    /// `C · LANES` columns of all rows, from column `column` on.
    #[inline(always)]
    fn columns<L: Lanes<T>, const R: usize, const C: usize>(self, column: usize, out: &mut [T]) {
        let mut blocks = out.chunks_exact_mut(R * self.k);
        let mut r = 0;
        for block in blocks.by_ref() {
            self.block::<L, R, C>(r, column, block);
            r += R;
        }
        for row in blocks.into_remainder().chunks_exact_mut(self.k) {
            self.block::<L, 1, C>(r, column, row);
            r += 1;
        }
    }

    /// `R` rows from row `first` on of `C · LANES` columns, their sums in registers.
    #[inline(always)]
    fn block<L: Lanes<T>, const R: usize, const C: usize>(
        self,
        first: usize,
        column: usize,
        out: &mut [T],
    ) {
        let Self { coefficients, strides, rows, k, is_first } = self;
        let mut sums = [[L::splat(T::ZERO); C]; R];
        if !is_first {
            for r in 0..R {
                let (chunks, _) = out[r * k + column..][..C * LANES].as_chunks();
                for c in 0..C {
                    sums[r][c] = L::load(&chunks[c]);
                }
            }
        }
        for (s, row) in rows.chunks_exact(k).enumerate() {
            let (chunks, _) = row[column..][..C * LANES].as_chunks();
            let mut x = [L::splat(T::ZERO); C];
            for c in 0..C {
                x[c] = L::load(&chunks[c]);
            }
            for r in 0..R {
                let coefficient =
                    L::splat(coefficients[(first + r) * strides.row + s * strides.term]);
                for c in 0..C {
                    sums[r][c] = coefficient.mul_add(x[c], sums[r][c]);
                }
            }
        }
        for r in 0..R {
            let (chunks, _) = out[r * k + column..][..C * LANES].as_chunks_mut();
            for c in 0..C {
                sums[r][c].store(&mut chunks[c]);
            }
        }
    }
}

/// One pass over a weight matrix for one example: the deltas below from the old weights, and the SGD update.
///
/// ```text
/// below = Wᵀ δ
/// W    ← (1 − α λ) W − (α δ) aᵀ
/// ```
///
/// # Shapes
/// `weights`: `[m, k]`, read and updated; `delta`: `[m]`; `input` (a): `[k]`; `below`: `[k]`, overwritten, or empty where
/// there is no layer below.
///
/// # Numerics
/// `below` has the bits of [`combine`]: rows are taken in order. The update rounds α δ, then (1 − α λ) W where λ is not 0,
/// then the fused sum.
#[inline]
pub fn descend<T: Real>(
    weights: &mut [T],
    delta: &[T],
    input: &[T],
    below: &mut [T],
    rate: Rate<T>,
) {
    Level::best().run_lanes(Descend { weights, delta, input, below, rate });
}

/// How far an update goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate<T> {
    /// α.
    pub step_size: T,
    /// λ.
    pub weight_decay: T,
}

impl<T: Real> Rate<T> {
    /// 1 − α λ, or `None` without decay.
    #[inline(always)]
    fn keep(self) -> Option<T> {
        (self.weight_decay != T::ZERO).then(|| T::ONE - self.step_size * self.weight_decay)
    }

    /// `w` after a step along the gradient `d · a`, whose α d is `scaled`.
    #[inline(always)]
    fn step(self, w: T, scaled: T, a: T) -> T {
        let kept = self.keep().map_or(w, |keep| keep * w);
        (-scaled).mul_add(a, kept)
    }

    /// `bias` after a step along its gradient `d`.
    #[inline(always)]
    pub fn step_bias(self, bias: T, d: T) -> T {
        self.step(bias, self.step_size * d, T::ONE)
    }
}

/// A step along the mean of gradients, of which there is the sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanStep<T> {
    /// 1/B, for B gradients.
    pub share: T,
    pub rate: Rate<T>,
}

impl<T: Real> MeanStep<T> {
    /// `share · sum + λ w`: the mean gradient at the weight `w`.
    #[inline(always)]
    pub fn slope(self, w: T, sum: T) -> T {
        let mean = sum * self.share;
        let decay = self.rate.weight_decay;
        if decay == T::ZERO { mean } else { decay.mul_add(w, mean) }
    }

    /// `w` after the step: `w − α (share · sum + λ w)`.
    #[inline(always)]
    pub fn step(self, w: T, sum: T) -> T {
        (-self.rate.step_size).mul_add(self.slope(w, sum), w)
    }

    /// [`Self::step`] in each lane.
    #[inline(always)]
    pub(super) fn step_lanes<L: Lanes<T>>(self, w: L, sums: L) -> L {
        let mut slope = sums.mul(L::splat(self.share));
        if self.rate.weight_decay != T::ZERO {
            slope = L::splat(self.rate.weight_decay).mul_add(w, slope);
        }
        L::splat(-self.rate.step_size).mul_add(slope, w)
    }
}

/// The arguments of [`descend`].
pub(crate) struct Descend<'a, T> {
    pub weights: &'a mut [T],
    pub delta: &'a [T],
    pub input: &'a [T],
    pub below: &'a mut [T],
    pub rate: Rate<T>,
}

impl<T: Real> LaneKernel<T> for Descend<'_, T> {
    #[inline(always)]
    fn run<L: Lanes<T>>(self) {
        // Registers hold the inputs and the sums of the columns.
        match L::SUMS {
            16.. => self.columns::<L, 8>(),
            8.. => self.columns::<L, 4>(),
            6.. => self.columns::<L, 2>(),
            _ => self.columns::<L, 1>(),
        }
    }
}

impl<T: Real> Descend<'_, T> {
    #[inline(always)]
    fn columns<L: Lanes<T>, const C: usize>(self) {
        match (self.rate.keep().is_some(), self.below.is_empty()) {
            (false, false) => self.blocks::<L, C, false, true>(),
            (false, true) => self.blocks::<L, C, false, false>(),
            (true, false) => self.blocks::<L, C, true, true>(),
            (true, true) => self.blocks::<L, C, true, false>(),
        }
    }

    #[inline(always)]
    fn blocks<L: Lanes<T>, const C: usize, const DECAY: bool, const BELOW: bool>(mut self) {
        let k = self.input.len();
        let mut column = 0;
        if k > C * LANES {
            column = k / LANES * LANES;
            self.rows::<L, DECAY, BELOW>(column);
        } else if k == C * LANES {
            self.block::<L, C, DECAY, BELOW>(column);
            column = k;
        }
        while column + 4 * LANES <= k {
            self.block::<L, 4, DECAY, BELOW>(column);
            column += 4 * LANES;
        }
        while column + 2 * LANES <= k {
            self.block::<L, 2, DECAY, BELOW>(column);
            column += 2 * LANES;
        }
        while column + LANES <= k {
            self.block::<L, 1, DECAY, BELOW>(column);
            column += LANES;
        }
        if column == k {
            return;
        }
        let Self { weights, delta, input, below, rate } = self;
        if BELOW {
            below[column..].fill(T::ZERO);
        }
        for (row, &d) in weights.chunks_exact_mut(k).zip(delta) {
            for j in column..k {
                if BELOW {
                    below[j] = d.mul_add(row[j], below[j]);
                }
                row[j] = rate.step(row[j], rate.step_size * d, input[j]);
            }
        }
    }

    /// The columns before `columns`, four rows at a time: long rows are read as they lie in memory.
    #[inline(always)]
    fn rows<L: Lanes<T>, const DECAY: bool, const BELOW: bool>(&mut self, columns: usize) {
        let k = self.input.len();
        let rate = self.rate;
        let keep = L::splat(T::ONE - rate.step_size * rate.weight_decay);
        let (input, _) = self.input[..columns].as_chunks::<LANES>();
        if BELOW {
            self.below[..columns].fill(T::ZERO);
        }
        let mut quads = self.weights.chunks_exact_mut(4 * k);
        let mut deltas = self.delta.chunks_exact(4);
        for (quad, d) in quads.by_ref().zip(deltas.by_ref()) {
            let (w0, rest) = quad.split_at_mut(k);
            let (w1, rest) = rest.split_at_mut(k);
            let (w2, w3) = rest.split_at_mut(k);
            let w0 = &mut w0.as_chunks_mut::<LANES>().0[..input.len()];
            let w1 = &mut w1.as_chunks_mut::<LANES>().0[..input.len()];
            let w2 = &mut w2.as_chunks_mut::<LANES>().0[..input.len()];
            let w3 = &mut w3.as_chunks_mut::<LANES>().0[..input.len()];
            let scaled = |r: usize| -(rate.step_size * d[r]);
            let (s0, s1) = (L::splat(scaled(0)), L::splat(scaled(1)));
            let (s2, s3) = (L::splat(scaled(2)), L::splat(scaled(3)));
            let (d0, d1, d2, d3) = (L::splat(d[0]), L::splat(d[1]), L::splat(d[2]), L::splat(d[3]));
            for chunk in 0..input.len() {
                let a = L::load(&input[chunk]);
                let (v0, v1) = (L::load(&w0[chunk]), L::load(&w1[chunk]));
                let (v2, v3) = (L::load(&w2[chunk]), L::load(&w3[chunk]));
                if BELOW {
                    let below = &mut self.below.as_chunks_mut::<LANES>().0[chunk];
                    let sum = d0.mul_add(v0, L::load(below));
                    let sum = d2.mul_add(v2, d1.mul_add(v1, sum));
                    d3.mul_add(v3, sum).store(below);
                }
                s0.mul_add(a, if DECAY { keep.mul(v0) } else { v0 }).store(&mut w0[chunk]);
                s1.mul_add(a, if DECAY { keep.mul(v1) } else { v1 }).store(&mut w1[chunk]);
                s2.mul_add(a, if DECAY { keep.mul(v2) } else { v2 }).store(&mut w2[chunk]);
                s3.mul_add(a, if DECAY { keep.mul(v3) } else { v3 }).store(&mut w3[chunk]);
            }
        }
        for (row, &d) in quads.into_remainder().chunks_exact_mut(k).zip(deltas.remainder()) {
            let (scaled, d) = (L::splat(-(rate.step_size * d)), L::splat(d));
            let (chunks, _) = row.as_chunks_mut::<LANES>();
            for chunk in 0..input.len() {
                let v = L::load(&chunks[chunk]);
                if BELOW {
                    let below = &mut self.below.as_chunks_mut::<LANES>().0[chunk];
                    d.mul_add(v, L::load(below)).store(below);
                }
                let kept = if DECAY { keep.mul(v) } else { v };
                scaled.mul_add(L::load(&input[chunk]), kept).store(&mut chunks[chunk]);
            }
        }
    }

    /// `C · LANES` columns from column `column` on, whose inputs and sums stay in registers.
    #[inline(always)]
    fn block<L: Lanes<T>, const C: usize, const DECAY: bool, const BELOW: bool>(
        &mut self,
        column: usize,
    ) {
        let k = self.input.len();
        let rate = self.rate;
        let span = column..column + C * LANES;
        let keep = L::splat(T::ONE - rate.step_size * rate.weight_decay);
        let (input, _) = self.input[span.clone()].as_chunks();
        let mut a = [L::splat(T::ZERO); C];
        for c in 0..C {
            a[c] = L::load(&input[c]);
        }
        let mut sums = [L::splat(T::ZERO); C];
        for (row, &d) in self.weights.chunks_exact_mut(k).zip(self.delta) {
            let scaled = L::splat(-(rate.step_size * d));
            let d = L::splat(d);
            let (chunks, _) = row[span.clone()].as_chunks_mut();
            for c in 0..C {
                let w = L::load(&chunks[c]);
                if BELOW {
                    sums[c] = d.mul_add(w, sums[c]);
                }
                let kept = if DECAY { keep.mul(w) } else { w };
                scaled.mul_add(a[c], kept).store(&mut chunks[c]);
            }
        }
        if BELOW {
            let (below, _) = self.below[span].as_chunks_mut();
            for c in 0..C {
                sums[c].store(&mut below[c]);
            }
        }
    }
}

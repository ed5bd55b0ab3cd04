//! Products of small dense matrices in a fixed order of summation.
//!
//! Two orders are used. A **dot product** keeps [`LANES`] partial sums, lane l over the indices ≡ l mod `LANES`, and adds
//! them up as a balanced tree. A **combination** of rows adds them one after the other. Blocking over rows and columns
//! only decides what is in registers, so a row's bits do not depend on the rows beside it: an example alone and in a
//! minibatch gives the same numbers.

use super::Real;
use super::dispatch::{Kernel, dispatch};

/// Partial sums of a dot product: a constant of the engine, part of every result's bits.
pub const LANES: usize = 16;

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
    dispatch(Dots { a, b, k, out });
}

/// The arguments of [`dots`].
pub(crate) struct Dots<'a, T> {
    pub a: &'a [T],
    pub b: &'a [T],
    pub k: usize,
    pub out: &'a mut [T],
}

impl<T: Real> Kernel for Dots<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { a, b, k, out } = self;
        let m = b.len() / k;
        if k == 1 {
            // A dot product of one term: all lanes but the first are 0.
            for (&a, out) in a.iter().zip(out.chunks_exact_mut(m)) {
                for (out, &b) in out.iter_mut().zip(b) {
                    *out = a * b;
                }
            }
            return;
        }
        let mut a_pairs = a.chunks_exact(2 * k);
        let mut out_pairs = out.chunks_exact_mut(2 * m);
        for (a, out) in a_pairs.by_ref().zip(out_pairs.by_ref()) {
            let (a0, a1) = a.split_at(k);
            let (out0, out1) = out.split_at_mut(m);
            dot_rows([a0, a1], b, k, [out0, out1]);
        }
        if !a_pairs.remainder().is_empty() {
            dot_rows([a_pairs.remainder()], b, k, [out_pairs.into_remainder()]);
        }
    }
}

/// Dot products of `R` rows with every row of `b`.
#[inline(always)]
fn dot_rows<T: Real, const R: usize>(a: [&[T]; R], b: &[T], k: usize, mut out: [&mut [T]; R]) {
    const C: usize = 4;
    let mut quads = b.chunks_exact(C * k);
    let mut j = 0;
    for quad in quads.by_ref() {
        let (b0, rest) = quad.split_at(k);
        let (b1, rest) = rest.split_at(k);
        let (b2, b3) = rest.split_at(k);
        let block = dot_block(a, [b0, b1, b2, b3]);
        for (out, sums) in out.iter_mut().zip(block) {
            out[j..j + C].copy_from_slice(&sums);
        }
        j += C;
    }
    for row in quads.remainder().chunks_exact(k) {
        let block = dot_block(a, [row]);
        for (out, [sum]) in out.iter_mut().zip(block) {
            out[j] = sum;
        }
        j += 1;
    }
}

/// Dot products of `R` rows with `C` rows, their partial sums in registers.
///
/// Plain loops over fixed bounds: `array::map` is not inlined here and would take the sums through memory.
#[inline(always)]
fn dot_block<T: Real, const R: usize, const C: usize>(a: [&[T]; R], b: [&[T]; C]) -> [[T; C]; R] {
    let (chunk_count, rest) = (a[0].len() / LANES, a[0].len() % LANES);
    let mut x: [&[[T; LANES]]; R] = [&[]; R];
    let mut y: [&[[T; LANES]]; C] = [&[]; C];
    for r in 0..R {
        x[r] = &a[r].as_chunks().0[..chunk_count];
    }
    for c in 0..C {
        y[c] = &b[c].as_chunks().0[..chunk_count];
    }
    let mut sums = [[[T::ZERO; LANES]; C]; R];
    for chunk in 0..chunk_count {
        for r in 0..R {
            for c in 0..C {
                add_products(&mut sums[r][c], &x[r][chunk], &y[c][chunk]);
            }
        }
    }
    if rest > 0 {
        // Lanes are added whole, so that the sums stay in registers; what is missing counts as 0.
        for r in 0..R {
            let x = padded(&a[r][chunk_count * LANES..]);
            for c in 0..C {
                add_products(&mut sums[r][c], &x, &padded(&b[c][chunk_count * LANES..]));
            }
        }
    }
    let mut out = [[T::ZERO; C]; R];
    for r in 0..R {
        for c in 0..C {
            out[r][c] = add_lanes(&sums[r][c]);
        }
    }
    out
}

/// `sums[l] += x[l] y[l]`.
#[inline(always)]
fn add_products<T: Real>(sums: &mut [T; LANES], x: &[T; LANES], y: &[T; LANES]) {
    for l in 0..LANES {
        sums[l] += x[l] * y[l];
    }
}

/// The rest of a row, filled up with zeros.
#[inline(always)]
fn padded<T: Real>(rest: &[T]) -> [T; LANES] {
    let mut lanes = [T::ZERO; LANES];
    lanes[..rest.len()].copy_from_slice(rest);
    lanes
}

/// The sum of the lanes: l and l + 8, then l and l + 4, l and l + 2, l and l + 1.
#[inline(always)]
fn add_lanes<T: Real>(lanes: &[T; LANES]) -> T {
    let mut eight = [T::ZERO; 8];
    for l in 0..8 {
        eight[l] = lanes[l] + lanes[l + 8];
    }
    let mut four = [T::ZERO; 4];
    for l in 0..4 {
        four[l] = eight[l] + eight[l + 4];
    }
    (four[0] + four[2]) + (four[1] + four[3])
}

/// ⟨a, b⟩ in the order of [`dots`], inlined into the caller's loop.
#[inline(always)]
pub fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    let [[sum]] = dot_block([a], [b]);
    sum
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
    dispatch(Combine { coefficients, strides, rows, k, out });
}

/// The arguments of [`combine`].
pub(crate) struct Combine<'a, T> {
    pub coefficients: &'a [T],
    pub strides: Strides,
    pub rows: &'a [T],
    pub k: usize,
    pub out: &'a mut [T],
}

impl<T: Real> Kernel for Combine<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { coefficients, strides, rows, k, out } = self;
        let mut quads = out.chunks_exact_mut(4 * k);
        let mut r = 0;
        for quad in quads.by_ref() {
            combine_rows::<T, 4>(&coefficients[r * strides.row..], strides, rows, k, quad);
            r += 4;
        }
        for row in quads.into_remainder().chunks_exact_mut(k) {
            combine_rows::<T, 1>(&coefficients[r * strides.row..], strides, rows, k, row);
            r += 1;
        }
    }
}

/// `R` rows of a combination, `LANES` columns at a time.
#[inline(always)]
fn combine_rows<T: Real, const R: usize>(
    coefficients: &[T],
    strides: Strides,
    rows: &[T],
    k: usize,
    out: &mut [T],
) {
    let mut column = 0;
    while column + LANES <= k {
        let mut sums = [[T::ZERO; LANES]; R];
        for (s, row) in rows.chunks_exact(k).enumerate() {
            let (x, _) = row[column..column + LANES].as_chunks::<LANES>();
            let x = x[0];
            for (r, sums) in sums.iter_mut().enumerate() {
                let c = coefficients[r * strides.row + s * strides.term];
                for l in 0..LANES {
                    sums[l] += c * x[l];
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            out[r * k + column..r * k + column + LANES].copy_from_slice(sums);
        }
        column += LANES;
    }
    for column in column..k {
        for r in 0..R {
            let mut sum = T::ZERO;
            for (s, row) in rows.chunks_exact(k).enumerate() {
                sum += coefficients[r * strides.row + s * strides.term] * row[column];
            }
            out[r * k + column] = sum;
        }
    }
}

/// One pass over a weight matrix for one example: the deltas below from the old weights, and the SGD update.
///
/// ```text
/// below = Wᵀ δ
/// W    ← W − α (δ aᵀ + λ W)
/// ```
///
/// # Shapes
/// `weights`: `[m, k]`, read and updated; `delta`: `[m]`; `input` (a): `[k]`; `below`: `[k]`, overwritten, or empty where
/// there is no layer below.
///
/// # Numerics
/// The bits of [`combine`] followed by a separate update, up to the sign of zeros: rows are taken in order.
#[inline]
pub fn descend<T: Real>(
    weights: &mut [T],
    delta: &[T],
    input: &[T],
    below: &mut [T],
    rate: Rate<T>,
) {
    if rate.weight_decay == T::ZERO {
        dispatch(Descend::<T, false> { weights, delta, input, below, rate });
    } else {
        dispatch(Descend::<T, true> { weights, delta, input, below, rate });
    }
}

/// How far an update goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate<T> {
    /// α.
    pub step_size: T,
    /// λ.
    pub weight_decay: T,
}

/// The arguments of [`descend`].
pub(crate) struct Descend<'a, T, const DECAY: bool> {
    pub weights: &'a mut [T],
    pub delta: &'a [T],
    pub input: &'a [T],
    pub below: &'a mut [T],
    pub rate: Rate<T>,
}

impl<T: Real, const DECAY: bool> Kernel for Descend<'_, T, DECAY> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { weights, delta, input, below, rate } = self;
        let k = input.len();
        below.fill(T::ZERO);
        // Four rows at a time stay in the first-level cache between being read and being updated. The two loops are
        // apart because each then has few slices that the compiler must check for overlap.
        for (quad, d) in weights.chunks_mut(4 * k).zip(delta.chunks(4)) {
            if !below.is_empty() {
                add_rows(quad, d, below);
            }
            for (row, &d) in quad.chunks_exact_mut(k).zip(d) {
                for (w, &a) in row.iter_mut().zip(input) {
                    let gradient = d * a;
                    let gradient = if DECAY { gradient + rate.weight_decay * *w } else { gradient };
                    *w -= rate.step_size * gradient;
                }
            }
        }
    }
}

/// `sums += Σᵣ d[r] · rows[r]` for up to four rows, in order.
#[inline(always)]
fn add_rows<T: Real>(rows: &[T], d: &[T], sums: &mut [T]) {
    let k = sums.len();
    if let &[d0, d1, d2, d3] = d {
        let (w0, w1, w2, w3) =
            (&rows[..k], &rows[k..2 * k], &rows[2 * k..3 * k], &rows[3 * k..4 * k]);
        for j in 0..k {
            let mut sum = sums[j] + d0 * w0[j];
            sum += d1 * w1[j];
            sum += d2 * w2[j];
            sum += d3 * w3[j];
            sums[j] = sum;
        }
        return;
    }
    for (row, &d) in rows.chunks_exact(k).zip(d) {
        for (sum, &w) in sums.iter_mut().zip(row) {
            *sum += d * w;
        }
    }
}

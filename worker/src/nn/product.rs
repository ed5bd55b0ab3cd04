//! Products of matrices, blocked for the registers and the caches, with the terms of every sum in order.
//!
//! ```text
//! out[r, c] = Σₛ left[r, s] · right[s, c]
//! ```
//!
//! `right` is copied into panels of sixteen columns, a few hundred terms at a time, so that it is read from the first-level
//! cache; `left` is read as it lies. Blocks decide what is in registers and caches, never a bit: each sum takes one term
//! after the other, so a row has the same bits whatever rows are beside it.

use std::ops::Range;

use super::Real;
use super::dispatch::{LaneKernel, Level};
use super::kernel::MeanStep;
use super::lanes::{LANES, Lanes};

/// A matrix whose rows, or whose columns, lie `stride` apart.
#[derive(Clone, Copy, Debug)]
pub enum Matrix<'a, T> {
    /// Entry (i, j) is number i · stride + j.
    Rows { numbers: &'a [T], stride: usize },
    /// Entry (i, j) is number j · stride + i.
    Columns { numbers: &'a [T], stride: usize },
}

impl<'a, T> Matrix<'a, T> {
    /// A matrix that lies row after row.
    pub fn rows(numbers: &'a [T], stride: usize) -> Self {
        Self::Rows { numbers, stride }
    }

    /// A matrix that lies column after column.
    pub fn columns(numbers: &'a [T], stride: usize) -> Self {
        Self::Columns { numbers, stride }
    }
}

/// Sizes of a product: rows, terms of a sum, columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub rows: usize,
    pub terms: usize,
    pub columns: usize,
}

/// What becomes of the sums of a product.
#[derive(Clone, Copy, Debug)]
pub enum Sums<T> {
    /// They overwrite `out`.
    Written,
    /// They begin with what is there.
    Added,
    /// They are gradients of the weights in `out`, which take the step: what a gradient of its own and a second pass over the weights
    /// would give, bit for bit. Of up to [`TERMS`] terms.
    Descended(MeanStep<T>),
}

/// Does with the entries of `left · right` what `sums` says.
///
/// # Shapes
/// `left`: `[rows, terms]`; `right`: `[terms, columns]`; `out`: `[rows, columns]`, row after row. `panels` is for copies, and grows
/// to what the largest product needs.
///
/// # Numerics
/// Terms are added in order, beginning with what is there or 0, each with one rounding.
///
/// # Cost
/// 2 rows terms columns flop.
pub fn multiply<T: Real>(
    size: Size,
    left: Matrix<'_, T>,
    right: Matrix<'_, T>,
    sums: Sums<T>,
    panels: &mut Vec<T>,
    out: &mut [T],
) {
    debug_assert_eq!(size.rows * size.columns, out.len());
    debug_assert!(size.terms <= TERMS || !matches!(sums, Sums::Descended(_)));
    let needed = panels_len::<T>(size);
    if panels.len() < needed {
        panels.resize(needed, T::ZERO);
    }
    Level::best().run_lanes(Product { size, left, right, sums, panels, out });
}

/// Overwrites `out` with `left · right` of matrices that lie in panels already, of whose terms those in `range` are taken.
///
/// # Shapes
/// `left`: `[rows / 16, terms, 16]`, panels of sixteen rows; `right`: `[columns / 16, terms, 16]`, panels of sixteen columns; `out`:
/// `[rows, columns]`. Of a triangle, panels of rows after those of the columns are left as they are.
///
/// # Numerics
/// As [`multiply`].
pub fn multiply_panels<T: Real>(
    terms: usize,
    range: Range<usize>,
    (left, right): (&[T], &[T]),
    is_triangle: bool,
    out: &mut [T],
) {
    Level::best().run_lanes(PanelProduct { terms, range, left, right, is_triangle, out });
}

/// The arguments of [`multiply_panels`].
struct PanelProduct<'a, T> {
    terms: usize,
    range: Range<usize>,
    left: &'a [T],
    right: &'a [T],
    is_triangle: bool,
    out: &'a mut [T],
}

impl<T: Real> LaneKernel<T> for PanelProduct<'_, T> {
    #[inline(always)]
    fn run<L: Lanes<T>>(self) {
        let Self { terms: all, range, left, right, is_triangle, out } = self;
        let columns = right.len() / all;
        let length = terms_at_a_time(range.len());
        let mut term = range.start;
        while term < range.end {
            let terms = length.min(range.end - term);
            for (panel, right) in right.chunks_exact(all * LANES).enumerate() {
                let panels = &right[term * LANES..][..terms * LANES];
                let rows = out.chunks_exact_mut(LANES * columns);
                let most = if is_triangle { panel + 1 } else { usize::MAX };
                for (left, out) in left.chunks_exact(all * LANES).zip(rows).take(most) {
                    let block = Block {
                        left: &left[term * LANES..],
                        stride: LANES,
                        first: 0,
                        terms,
                        panels,
                        column: panel * LANES,
                        columns,
                        sums: if term > range.start { Sums::Added } else { Sums::Written },
                    };
                    block.rows::<L, 1, true>(0..LANES, out);
                }
            }
            term += terms;
        }
    }
}

/// Copies up to sixteen rows `[n, terms]`, each times its factor, into one panel `[terms, 16]`; what there is no row for is 0.
pub fn interleave<T: Real>(rows: &[T], factors: &[T], panel: &mut [T]) {
    Level::best().run_lanes(Interleave { rows, factors, panel });
}

/// The arguments of [`interleave`].
struct Interleave<'a, T> {
    rows: &'a [T],
    factors: &'a [T],
    panel: &'a mut [T],
}

impl<T: Real> LaneKernel<T> for Interleave<'_, T> {
    #[inline(always)]
    fn run<L: Lanes<T>>(self) {
        let Self { rows, factors, panel } = self;
        let (panel, _) = panel.as_chunks_mut::<LANES>();
        let terms = panel.len();
        for (block, to) in panel.chunks_mut(LANES).enumerate() {
            let mut columns = [L::splat(T::ZERO); LANES];
            for (r, &factor) in factors.iter().enumerate() {
                let row = &rows[r * terms + block * LANES..][..to.len()];
                columns[r] = load::<T, L>(row).mul(L::splat(factor));
            }
            let lanes = L::transposed(columns);
            for (s, to) in to.iter_mut().enumerate() {
                lanes[s].store(to);
            }
        }
    }
}

/// Numbers that the copies of a product take.
pub fn panels_len<T: Real>(size: Size) -> usize {
    let length = terms_at_a_time(size.terms);
    right_len::<T>(size) + size.rows.min(rows_max::<T>(length)) * length
}

/// Those of them that hold the panels of the right.
fn right_len<T: Real>(size: Size) -> usize {
    size.columns.min(columns_max::<T>()).next_multiple_of(LANES) * terms_at_a_time(size.terms)
}

/// Terms that are taken together: a panel of them stays in the first-level cache.
pub const TERMS: usize = 256;
/// Bytes of the panels that are made at a time, and of the rows that are taken with them: both stay in a second-level cache of
/// 512 KiB.
const BYTES: usize = 192 << 10;

/// From how many bytes between its rows or columns on the left is copied: what lies that far apart falls into a few sets of the caches, and
/// pushes itself out.
const FAR: usize = 2048;

/// Of so many terms, how many are taken together: blocks of about equal length.
const fn terms_at_a_time(terms: usize) -> usize {
    match terms {
        0 => 1,
        _ => terms.div_ceil(terms.div_ceil(TERMS)),
    }
}

/// Columns whose panels are made at a time.
const fn columns_max<T: Real>() -> usize {
    BYTES / (TERMS * T::BYTES)
}

/// Rows that are taken at a time with so many terms: a whole number of tiles of any height.
const fn rows_max<T: Real>(terms: usize) -> usize {
    (BYTES / (terms * T::BYTES)).next_multiple_of(24)
}

/// The arguments of [`multiply`].
pub(crate) struct Product<'a, T> {
    pub size: Size,
    pub left: Matrix<'a, T>,
    pub right: Matrix<'a, T>,
    pub sums: Sums<T>,
    pub panels: &'a mut [T],
    pub out: &'a mut [T],
}

impl<T: Real> LaneKernel<T> for Product<'_, T> {
    #[inline(always)]
    fn run<L: Lanes<T>>(self) {
        match self.left {
            Matrix::Rows { numbers, stride } => self.run_on::<L, false>(numbers, stride),
            Matrix::Columns { numbers, stride } => self.run_on::<L, true>(numbers, stride),
        }
    }
}

/// One block of terms and columns of a product.
struct Block<'a, T> {
    /// `left` from the first of its terms on.
    left: &'a [T],
    stride: usize,
    /// The row that `left` begins with.
    first: usize,
    terms: usize,
    panels: &'a [T],
    /// The first of its columns, and how many there are in all.
    column: usize,
    columns: usize,
    sums: Sums<T>,
}

impl<T: Real> Product<'_, T> {
    #[inline(always)]
    fn run_on<L: Lanes<T>, const BY_COLUMNS: bool>(self, left: &[T], stride: usize) {
        let Self { size, right, sums, panels, out, .. } = self;
        if size.terms == 0 {
            if let Sums::Written = sums {
                out.fill(T::ZERO);
            }
            return;
        }
        let length = terms_at_a_time(size.terms);
        let rows_max = rows_max::<T>(length);
        let (panels, copies) = panels.split_at_mut(right_len::<T>(size));
        let is_copied = stride * T::BYTES >= FAR && size.columns.min(size.terms) > 2 * LANES;
        let mut term = 0;
        while term < size.terms {
            let terms = length.min(size.terms - term);
            let left = &left[if BY_COLUMNS { term * stride } else { term }..];
            let sums = if term > 0 { Sums::Added } else { sums };
            // The rows that `copies` holds the terms of.
            let mut copied = 0..0;
            let mut column = 0;
            while column < size.columns {
                let columns = columns_max::<T>().min(size.columns - column);
                pack::<T, L>(right, (term, terms), (column, columns), panels);
                let mut row = 0;
                while row < size.rows {
                    let rows = row..size.rows.min(row + rows_max);
                    let mut block = Block {
                        left,
                        stride,
                        first: 0,
                        terms,
                        panels: &*panels,
                        column,
                        columns: size.columns,
                        sums,
                    };
                    if is_copied {
                        let (n, length) =
                            if BY_COLUMNS { (terms, rows.len()) } else { (rows.len(), terms) };
                        if copied != rows {
                            let from = &left[if BY_COLUMNS { row } else { row * stride }..];
                            for (to, from) in
                                copies.chunks_exact_mut(length).zip(from.chunks(stride)).take(n)
                            {
                                to.copy_from_slice(&from[..length]);
                            }
                            copied = rows.clone();
                        }
                        (block.left, block.stride, block.first) = (&*copies, length, row);
                    }
                    let mut panel = 0;
                    while panel * LANES < columns {
                        block.panels = &panels[panel * terms * LANES..];
                        block.column = column + panel * LANES;
                        // Two panels share what they read of the left where the registers hold the sums of both.
                        if L::SUMS >= 16 && (panel + 2) * LANES <= columns {
                            block.rows::<L, 2, BY_COLUMNS>(rows.clone(), out);
                            panel += 2;
                        } else {
                            block.rows::<L, 1, BY_COLUMNS>(rows.clone(), out);
                            panel += 1;
                        }
                    }
                    row = rows.end;
                }
                column += columns;
            }
            term += terms;
        }
    }
}

impl<T: Real> Block<'_, T> {
    /// Some rows of `C` panels.
    #[inline(always)]
    fn rows<L: Lanes<T>, const C: usize, const BY_COLUMNS: bool>(
        &self,
        rows: Range<usize>,
        out: &mut [T],
    ) {
        let sums = L::SUMS / C;
        let mut row = rows.start;
        while row < rows.end {
            row += match rows.end - row {
                // Seven or eight are better halved than done as six and what is left.
                7 | 8 if sums == 6 => self.tile::<L, 4, C, BY_COLUMNS>(row, out),
                8.. if sums >= 8 => self.tile::<L, 8, C, BY_COLUMNS>(row, out),
                6.. if sums >= 6 => self.tile::<L, 6, C, BY_COLUMNS>(row, out),
                4.. if sums >= 4 => self.tile::<L, 4, C, BY_COLUMNS>(row, out),
                3.. if sums >= 3 => self.tile::<L, 3, C, BY_COLUMNS>(row, out),
                2.. => self.tile::<L, 2, C, BY_COLUMNS>(row, out),
                _ => self.tile::<L, 1, C, BY_COLUMNS>(row, out),
            };
        }
    }

    /// `R` rows from `row` on of `C` panels, their sums in registers. Returns `R`.
    #[inline(always)]
    fn tile<L: Lanes<T>, const R: usize, const C: usize, const BY_COLUMNS: bool>(
        &self,
        row: usize,
        out: &mut [T],
    ) -> usize {
        let Self { left, stride, first, terms, columns, .. } = *self;
        let (panels, _) = self.panels.as_chunks::<LANES>();
        let mut y: [&[[T; LANES]]; C] = [&[]; C];
        for c in 0..C {
            y[c] = &panels[c * terms..][..terms];
        }
        let width = (columns - self.column).min(C * LANES);
        let mut sums = [[L::splat(T::ZERO); R]; C];
        if let Sums::Added = self.sums {
            for r in 0..R {
                let out = &out[(row + r) * columns + self.column..][..width];
                for c in 0..C {
                    sums[c][r] = load(&out[c * LANES..]);
                }
            }
        }
        if BY_COLUMNS {
            // The last term apart, as its column may end with the tile: steps of one length keep the sums in registers.
            let (steps, last) = left[row - first..].split_at((terms - 1) * stride);
            for (s, x) in steps.chunks_exact(stride).enumerate() {
                let Some(x) = x.first_chunk::<R>() else { break };
                for c in 0..C {
                    L::add_products(&mut sums[c], *x, &y[c][s]);
                }
            }
            if let Some(x) = last.first_chunk::<R>() {
                for c in 0..C {
                    L::add_products(&mut sums[c], *x, &y[c][terms - 1]);
                }
            }
        } else {
            let mut x: [&[T]; R] = [&[]; R];
            for r in 0..R {
                x[r] = &left[(row - first + r) * stride..][..terms];
            }
            for s in 0..terms {
                let mut factors = [T::ZERO; R];
                for r in 0..R {
                    factors[r] = x[r][s];
                }
                for c in 0..C {
                    L::add_products(&mut sums[c], factors, &y[c][s]);
                }
            }
        }
        if let Sums::Descended(step) = self.sums {
            // By way of memory: where the step takes the sums from registers, the compiler keeps none of them there before.
            let mut kept = [[[T::ZERO; LANES]; R]; C];
            for c in 0..C {
                for r in 0..R {
                    sums[c][r].store(&mut kept[c][r]);
                }
            }
            for r in 0..R {
                let out = &mut out[(row + r) * columns + self.column..][..width];
                for c in 0..C {
                    let to = &mut out[c * LANES..];
                    store(step.step_lanes(load::<T, L>(to), L::load(&kept[c][r])), to);
                }
            }
            return R;
        }
        for r in 0..R {
            let out = &mut out[(row + r) * columns + self.column..][..width];
            for c in 0..C {
                store(sums[c][r], &mut out[c * LANES..]);
            }
        }
        R
    }
}

/// Copies some terms of some columns of `right` into panels of sixteen, the last filled up with zeros.
#[expect(
    clippy::needless_range_loop,
    reason = "vectors are made and used in loops over indices, never in closures"
)]
#[inline(always)]
fn pack<T: Real, L: Lanes<T>>(
    right: Matrix<'_, T>,
    (term, terms): (usize, usize),
    (column, columns): (usize, usize),
    panels: &mut [T],
) {
    let panels = panels.chunks_exact_mut(terms * LANES).enumerate();
    for (panel, to) in panels.take(columns.div_ceil(LANES)) {
        let first = column + panel * LANES;
        let width = LANES.min(columns - panel * LANES);
        let (to, _) = to.as_chunks_mut::<LANES>();
        match right {
            Matrix::Rows { numbers, stride } => {
                for (s, to) in to.iter_mut().enumerate() {
                    let from = &numbers[(term + s) * stride + first..][..width];
                    load::<T, L>(from).store(to);
                }
            }
            Matrix::Columns { numbers, stride } => {
                let column = |c: usize| &numbers[(first + c) * stride + term..][..terms];
                let mut whole = 0;
                if width == LANES {
                    while whole + LANES <= terms {
                        let mut rows = [L::splat(T::ZERO); LANES];
                        for c in 0..LANES {
                            rows[c] = load(&column(c)[whole..][..LANES]);
                        }
                        let rows = L::transposed(rows);
                        for s in 0..LANES {
                            rows[s].store(&mut to[whole + s]);
                        }
                        whole += LANES;
                    }
                }
                for (s, to) in to.iter_mut().enumerate().skip(whole) {
                    *to = [T::ZERO; LANES];
                    for c in 0..width {
                        to[c] = column(c)[s];
                    }
                }
            }
        }
    }
}

/// The first sixteen numbers, filled up with zeros.
#[inline(always)]
fn load<T: Real, L: Lanes<T>>(from: &[T]) -> L {
    if let Some(whole) = from.first_chunk() {
        return L::load(whole);
    }
    let mut lanes = [T::ZERO; LANES];
    lanes[..from.len()].copy_from_slice(from);
    L::load(&lanes)
}

/// Puts the lanes into the first sixteen numbers, or as many as there are.
#[inline(always)]
fn store<T: Real, L: Lanes<T>>(lanes: L, to: &mut [T]) {
    if let Some(whole) = to.first_chunk_mut() {
        return lanes.store(whole);
    }
    let mut numbers = [T::ZERO; LANES];
    lanes.store(&mut numbers);
    let len = to.len();
    to.copy_from_slice(&numbers[..len]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::nn::kernel::Rate;
    use crate::nn::testing::Wide;
    use crate::random::Stream;

    fn numbers<T: Real>(count: usize, seed: u64) -> Vec<T> {
        let mut stream = Stream::new(seed, "test numbers", 0);
        (0..count).map(|_| T::from_f64(stream.normal())).collect()
    }

    /// Every layout and level against the plainest loop, bit for bit.
    fn check<T: Real>(size: Size, sums: Sums<T>) {
        let Size { rows, terms, columns } = size;
        let (a, b) = (numbers::<T>(rows * terms, 1), numbers::<T>(terms * columns, 2));
        let turned = |x: &[T], rows: usize, columns: usize| -> Vec<T> {
            (0..rows * columns).map(|i| x[i % rows * columns + i / rows]).collect()
        };
        let (a_turned, b_turned) = (turned(&a, rows, terms), turned(&b, terms, columns));
        let begin = numbers::<T>(rows * columns, 3);
        let mut expected = begin.clone();
        for r in 0..rows {
            for c in 0..columns {
                let out = &mut expected[r * columns + c];
                let mut sum = if let Sums::Added = sums { *out } else { T::ZERO };
                for s in 0..terms {
                    sum = a[r * terms + s].mul_add(b[s * columns + c], sum);
                }
                *out = if let Sums::Descended(step) = sums { step.step(*out, sum) } else { sum };
            }
        }
        let lefts = [Matrix::rows(&a, terms), Matrix::columns(&a_turned, rows)];
        let rights = [Matrix::rows(&b, columns), Matrix::columns(&b_turned, terms)];
        for level in Level::available() {
            for (left, right) in
                lefts.into_iter().flat_map(|left| rights.map(|right| (left, right)))
            {
                let mut out = begin.clone();
                let mut panels = vec![T::ONE; panels_len::<T>(size)];
                let (panels, found) = (&mut *panels, &mut *out);
                level.run_lanes(Product { size, left, right, sums, panels, out: found });
                assert_eq!(out, expected, "{size:?} {level:?}");
            }
        }
        // The blocking of the widest vectors, on a machine that may not have them.
        let (mut out, mut panels) = (begin.clone(), vec![T::ONE; panels_len::<T>(size)]);
        let (panels, found, [left, _]) = (&mut *panels, &mut *out, lefts);
        let right = rights[1];
        Product { size, left, right, sums, panels, out: found }.run::<Wide<T>>();
        assert_eq!(out, expected, "{size:?} wide");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn a_product_has_the_bits_of_three_loops(
            rows in 1..20usize, terms in 0..40usize, columns in 1..40usize,
        ) {
            let size = Size { rows, terms, columns };
            check::<f32>(size, Sums::Written);
            check::<f32>(size, Sums::Added);
            check::<f64>(size, Sums::Written);
            check::<f64>(size, Sums::Added);
            for decay in [0.0, 0.25].into_iter().filter(|_| terms > 0) {
                check::<f32>(size, Sums::Descended(step(decay)));
                check::<f64>(size, Sums::Descended(step(decay)));
            }
        }
    }

    fn step<T: Real>(decay: f64) -> MeanStep<T> {
        let rate = Rate { step_size: T::from_f64(0.1), weight_decay: T::from_f64(decay) };
        MeanStep { share: T::from_f64(1.0 / 3.0), rate }
    }

    #[test]
    fn so_has_one_of_panels() {
        for terms in [1, 5, 256, 600] {
            let size = Size { rows: 64, terms, columns: 64 };
            let (a, b) = (numbers::<f32>(64 * terms, 1), numbers::<f32>(64 * terms, 2));
            let (mut expected, mut found) = (vec![0.0; 64 * 64], vec![1.0; 64 * 64]);
            let (left, right) = (Matrix::columns(&a, 64), Matrix::rows(&b, 64));
            multiply(size, left, right, Sums::Written, &mut Vec::new(), &mut expected);
            let in_panels = |x: &[f32]| -> Vec<f32> {
                let place =
                    |i: usize| (i / LANES % terms) * 64 + i / (LANES * terms) * LANES + i % LANES;
                (0..x.len()).map(|i| x[place(i)]).collect()
            };
            let (a, b) = (in_panels(&a), in_panels(&b));
            multiply_panels(terms, 0..terms, (&a, &b), false, &mut found);
            assert_eq!(found, expected, "{terms}");
            let mut upper = vec![2.0; 64 * 64];
            multiply_panels(terms, 0..terms, (&a, &b), true, &mut upper);
            for (i, (&found, &expected)) in upper.iter().zip(&expected).enumerate() {
                let is_there = i / 64 / LANES <= i % 64 / LANES;
                assert_eq!(found, if is_there { expected } else { 2.0 }, "{terms}: {i}");
            }
            multiply_panels(terms, 0..0, (&a, &b), false, &mut found);
            multiply_panels(terms, terms - 1..terms, (&a, &b), false, &mut found);
            let last = |of: &[f32], i: usize| {
                of[i / LANES * terms * LANES + (terms - 1) * LANES + i % LANES]
            };
            assert_eq!(found[63 * 64 + 17], last(&a, 63) * last(&b, 17), "{terms}");
        }
    }

    #[test]
    fn rows_are_interleaved_with_their_factors() {
        for (count, terms) in [(16, 32), (5, 7), (1, 40), (16, 1)] {
            let rows = numbers::<f64>(count * terms, 1);
            let factors: Vec<f64> = (0..count).map(|r| 0.5f64.powi(r as i32)).collect();
            let mut panel = vec![f64::NAN; terms * LANES];
            interleave(&rows, &factors, &mut panel);
            for (i, &x) in panel.iter().enumerate() {
                let (s, r) = (i / LANES, i % LANES);
                let expected = if r < count { rows[r * terms + s] * factors[r] } else { 0.0 };
                assert_eq!(x, expected, "{count} {terms}: {s} {r}");
            }
        }
    }

    #[test]
    fn so_has_one_of_many_blocks() {
        check::<f32>(Size { rows: 9, terms: 600, columns: 530 }, Sums::Written);
        check::<f64>(Size { rows: 5, terms: 257, columns: 1030 }, Sums::Added);
    }

    /// Rows or columns on the left that lie far apart are copied, a few rows at a time; again for the next columns where not all fit.
    #[test]
    fn so_has_one_of_what_lies_far_apart() {
        check::<f32>(Size { rows: 530, terms: 40, columns: 35 }, Sums::Written);
        check::<f64>(Size { rows: 409, terms: 257, columns: 33 }, Sums::Added);
        check::<f32>(Size { rows: 230, terms: 520, columns: 200 }, Sums::Written);
        check::<f32>(Size { rows: 525, terms: 256, columns: 195 }, Sums::Descended(step(0.5)));
    }
}

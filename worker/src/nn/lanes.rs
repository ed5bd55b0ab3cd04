//! Sixteen numbers that are worked on together, in the vector registers of each instruction set.
//!
//! Arrays and loops leave it to the compiler what is a vector, and it keeps no sums in registers; these types do. Every
//! implementation computes the same bits as [`Portable`]. Beside `dispatch`, the one file with `unsafe` in it.

use super::Real;

/// Numbers of a vector: a constant of the engine, part of every result's bits.
pub const LANES: usize = 16;

/// A vector of [`LANES`] numbers.
pub trait Lanes<T: Real>: Copy {
    /// Eight lanes, in half the registers.
    type Half: Copy;

    /// Vectors of sums that fit into the registers, beside what is added to them.
    const SUMS: usize;

    /// `x` in every lane.
    fn splat(x: T) -> Self;
    /// The numbers of `from`, in order.
    fn load(from: &[T; LANES]) -> Self;
    /// Puts the lanes into `to`, in order.
    fn store(self, to: &mut [T; LANES]);
    /// self · factor + term in each lane, rounded once.
    fn mul_add(self, factor: Self, term: Self) -> Self;
    /// self · factor in each lane.
    fn mul(self, factor: Self) -> Self;
    /// self + term in each lane.
    fn add(self, term: Self) -> Self;
    /// self − term in each lane.
    fn sub(self, term: Self) -> Self;
    /// max(0, self) in each lane; what is not a number stays so.
    fn rectified(self) -> Self;
    /// self in each lane where `gate` is above 0, elsewhere 0.
    fn where_positive(self, gate: Self) -> Self;

    /// Adds x[r] · row to each of the sums.
    #[inline(always)]
    fn add_products<const R: usize>(sums: &mut [Self; R], x: [T; R], row: &[T; LANES]) {
        let row = Self::load(row);
        for r in 0..R {
            sums[r] = Self::splat(x[r]).mul_add(row, sums[r]);
        }
    }

    /// The sum of the lanes: l and l + 8, then l and l + 4, l and l + 2, l and l + 1.
    #[inline(always)]
    fn add_lanes(self) -> T {
        let mut lanes = [T::ZERO; LANES];
        self.store(&mut lanes);
        add_lanes(&lanes)
    }

    /// Column c of the sixteen rows, for each c.
    #[inline(always)]
    fn transposed(rows: [Self; LANES]) -> [Self; LANES] {
        let mut numbers = [[T::ZERO; LANES]; LANES];
        for r in 0..LANES {
            rows[r].store(&mut numbers[r]);
        }
        let mut columns = [Self::splat(T::ZERO); LANES];
        for c in 0..LANES {
            let mut column = [T::ZERO; LANES];
            for r in 0..LANES {
                column[r] = numbers[r][c];
            }
            columns[c] = Self::load(&column);
        }
        columns
    }

    /// The lanes l + 8 added to the lanes l: the first step of [`Self::add_lanes`].
    fn halved(self) -> Self::Half;

    /// The other steps for each of eight rows.
    fn add_halves(rows: [Self::Half; 8]) -> [T; 8];

    /// [`Self::add_lanes`] of each of eight rows.
    #[inline(always)]
    fn add_lanes_of_eight(rows: [Self; 8]) -> [T; 8] {
        let mut halves = [rows[0].halved(); 8];
        for r in 1..8 {
            halves[r] = rows[r].halved();
        }
        Self::add_halves(halves)
    }

    /// [`Self::add_lanes`] of each of sixteen rows.
    #[inline(always)]
    fn add_lanes_of_all(rows: [Self; LANES]) -> [T; LANES] {
        let mut sums = [T::ZERO; LANES];
        for r in 0..LANES {
            sums[r] = rows[r].add_lanes();
        }
        sums
    }
}

#[inline(always)]
fn add_lanes<T: Real>(lanes: &[T; LANES]) -> T {
    let mut eight = [T::ZERO; 8];
    for l in 0..8 {
        eight[l] = lanes[l] + lanes[l + 8];
    }
    add_eight_lanes(eight)
}

#[inline(always)]
fn add_eight_lanes<T: Real>(eight: [T; 8]) -> T {
    let mut four = [T::ZERO; 4];
    for l in 0..4 {
        four[l] = eight[l] + eight[l + 4];
    }
    (four[0] + four[2]) + (four[1] + four[3])
}

/// Lanes in an array, on any processor.
#[derive(Clone, Copy)]
pub struct Portable<T>([T; LANES]);

impl<T: Real> Lanes<T> for Portable<T> {
    type Half = [T; 8];

    const SUMS: usize = 2;

    #[expect(
        clippy::needless_range_loop,
        reason = "vectors are made and used in loops over indices, never in closures"
    )]
    #[inline(always)]
    fn halved(self) -> [T; 8] {
        let mut eight = [T::ZERO; 8];
        for l in 0..8 {
            eight[l] = self.0[l] + self.0[l + 8];
        }
        eight
    }
    #[inline(always)]
    fn add_halves(rows: [[T; 8]; 8]) -> [T; 8] {
        let mut sums = [T::ZERO; 8];
        for r in 0..8 {
            sums[r] = add_eight_lanes(rows[r]);
        }
        sums
    }

    #[inline(always)]
    fn splat(x: T) -> Self {
        Self([x; LANES])
    }
    #[inline(always)]
    fn load(from: &[T; LANES]) -> Self {
        Self(*from)
    }
    #[inline(always)]
    fn store(self, to: &mut [T; LANES]) {
        *to = self.0;
    }
    #[inline(always)]
    fn mul_add(mut self, factor: Self, term: Self) -> Self {
        for l in 0..LANES {
            self.0[l] = self.0[l].mul_add(factor.0[l], term.0[l]);
        }
        self
    }
    #[inline(always)]
    fn mul(mut self, factor: Self) -> Self {
        for l in 0..LANES {
            self.0[l] *= factor.0[l];
        }
        self
    }
    #[inline(always)]
    fn add(mut self, term: Self) -> Self {
        for l in 0..LANES {
            self.0[l] += term.0[l];
        }
        self
    }
    #[inline(always)]
    fn sub(mut self, term: Self) -> Self {
        for l in 0..LANES {
            self.0[l] -= term.0[l];
        }
        self
    }
    #[inline(always)]
    fn rectified(mut self) -> Self {
        for l in 0..LANES {
            self.0[l] = if self.0[l] < T::ZERO { T::ZERO } else { self.0[l] };
        }
        self
    }
    #[inline(always)]
    fn where_positive(mut self, gate: Self) -> Self {
        for l in 0..LANES {
            self.0[l] = if gate.0[l] > T::ZERO { self.0[l] } else { T::ZERO };
        }
        self
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2F32, Avx2F64, Avx512F32, Avx512F64};

/// Registers of x86-64.
///
/// Each function is inlined into a kernel that `Level` compiles with the instruction set; none is called elsewhere, which
/// is what makes the intrinsics sound. Loads and stores go through references to whole arrays.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "intrinsics of the level that the kernel was dispatched to")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{LANES, Lanes};

    /// Lanes in `$parts` registers of `$width` numbers.
    macro_rules! lanes {
        (
            $(#[$doc:meta])* $name:ident, $float:ident, $register:ident, $parts:literal x $width:literal, half: $half:ty, sums: $sums:literal,
            $set1:ident, $load:ident, $store:ident, $fmadd:ident, $mul:ident, $add:ident, $sub:ident, $max:ident, $gate:ident, { $($rest:tt)* }
        ) => {
            $(#[$doc])*
            #[derive(Clone, Copy)]
            pub struct $name([$register; $parts]);

            impl Lanes<$float> for $name {
                type Half = $half;

                const SUMS: usize = $sums;

                #[inline(always)]
                fn splat(x: $float) -> Self {
                    // SAFETY: only code compiled for this instruction set gets here, as the module says.
                    Self([unsafe { $set1(x) }; $parts])
                }
                #[inline(always)]
                fn load(from: &[$float; LANES]) -> Self {
                    let from = from.as_ptr();
                    // SAFETY: as above; part p reads the numbers p · width to (p + 1) · width of sixteen.
                    let mut parts = [unsafe { $load(from) }; $parts];
                    for p in 0..$parts {
                        // SAFETY: as above.
                        parts[p] = unsafe { $load(from.add(p * $width)) };
                    }
                    Self(parts)
                }
                #[inline(always)]
                fn store(self, to: &mut [$float; LANES]) {
                    let to = to.as_mut_ptr();
                    for p in 0..$parts {
                        // SAFETY: as above; part p writes the numbers p · width to (p + 1) · width of sixteen.
                        unsafe { $store(to.add(p * $width), self.0[p]) };
                    }
                }
                #[inline(always)]
                fn mul_add(mut self, factor: Self, term: Self) -> Self {
                    for p in 0..$parts {
                        // SAFETY: as above.
                        self.0[p] = unsafe { $fmadd(self.0[p], factor.0[p], term.0[p]) };
                    }
                    self
                }
                #[inline(always)]
                fn mul(mut self, factor: Self) -> Self {
                    for p in 0..$parts {
                        // SAFETY: as above.
                        self.0[p] = unsafe { $mul(self.0[p], factor.0[p]) };
                    }
                    self
                }
                #[inline(always)]
                fn add(mut self, term: Self) -> Self {
                    for p in 0..$parts {
                        // SAFETY: as above.
                        self.0[p] = unsafe { $add(self.0[p], term.0[p]) };
                    }
                    self
                }
                #[inline(always)]
                fn sub(mut self, term: Self) -> Self {
                    for p in 0..$parts {
                        // SAFETY: as above.
                        self.0[p] = unsafe { $sub(self.0[p], term.0[p]) };
                    }
                    self
                }
                #[inline(always)]
                fn rectified(mut self) -> Self {
                    for p in 0..$parts {
                        // SAFETY: as above. Of two zeros, and where one is not a number, the second operand is taken.
                        self.0[p] = unsafe { $max($set1(0.0), self.0[p]) };
                    }
                    self
                }
                #[inline(always)]
                fn where_positive(mut self, gate: Self) -> Self {
                    for p in 0..$parts {
                        // SAFETY: as above.
                        self.0[p] = unsafe { $gate(self.0[p], gate.0[p]) };
                    }
                    self
                }
                $($rest)*
            }
        };
    }

    lanes! {
        /// Sixteen f32 in one register of AVX-512.
        Avx512F32, f32, __m512, 1 x 16, half: __m256, sums: 16,
        _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps, _mm512_mul_ps, _mm512_add_ps, _mm512_sub_ps, _mm512_max_ps, above_512_ps, {
            #[inline(always)]
            fn add_lanes(self) -> f32 {
                let [x] = self.0;
                // SAFETY: as above.
                unsafe {
                    let eight = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps::<1>(x));
                    add_eight(eight)
                }
            }

            #[inline(always)]
            fn halved(self) -> __m256 {
                let [x] = self.0;
                // SAFETY: as above.
                unsafe { _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps::<1>(x)) }
            }

            #[inline(always)]
            fn add_halves(rows: [__m256; 8]) -> [f32; 8] {
                // SAFETY: as above.
                unsafe { add_eight_of_eight(rows) }
            }

            /// Each step halves the lanes of a row and puts two rows into one register, so that every addition uses a
            /// whole one.
            #[inline(always)]
            fn add_lanes_of_all(rows: [Self; LANES]) -> [f32; LANES] {
                let mut sums = [0.0; LANES];
                // SAFETY: as above; the store fills the sixteen numbers of `sums`.
                unsafe {
                    let mut eights = [_mm512_setzero_ps(); 8];
                    for r in 0..8 {
                        let (x, y) = (rows[r].0[0], rows[r + 8].0[0]);
                        eights[r] = _mm512_add_ps(_mm512_shuffle_f32x4::<0x44>(x, y), _mm512_shuffle_f32x4::<0xee>(x, y));
                    }
                    let low = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27);
                    let high = _mm512_setr_epi32(4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31);
                    let mut fours = [_mm512_setzero_ps(); 4];
                    for r in 0..4 {
                        let (x, y) = (eights[r], eights[r + 4]);
                        fours[r] = _mm512_add_ps(_mm512_permutex2var_ps(x, low, y), _mm512_permutex2var_ps(x, high, y));
                    }
                    let mut twos = [_mm512_setzero_ps(); 2];
                    for r in 0..2 {
                        let (x, y) = (fours[r], fours[r + 2]);
                        twos[r] = _mm512_add_ps(_mm512_shuffle_ps::<0x44>(x, y), _mm512_shuffle_ps::<0xee>(x, y));
                    }
                    let low = _mm512_setr_epi32(0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30);
                    let high = _mm512_setr_epi32(1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31);
                    let [x, y] = twos;
                    let one = _mm512_add_ps(_mm512_permutex2var_ps(x, low, y), _mm512_permutex2var_ps(x, high, y));
                    _mm512_storeu_ps(sums.as_mut_ptr(), one);
                }
                sums
            }

            #[inline(always)]
            fn transposed(rows: [Self; LANES]) -> [Self; LANES] {
                let mut columns = [Self::splat(0.0); LANES];
                for half in 0..2 {
                    // SAFETY: as above.
                    unsafe {
                        let (mut upper, mut lower) = ([_mm256_setzero_ps(); 8], [_mm256_setzero_ps(); 8]);
                        for r in 0..8 {
                            let (x, y) = (rows[r].0[0], rows[r + 8].0[0]);
                            (upper[r], lower[r]) = if half == 0 {
                                (_mm512_castps512_ps256(x), _mm512_castps512_ps256(y))
                            } else {
                                (_mm512_extractf32x8_ps::<1>(x), _mm512_extractf32x8_ps::<1>(y))
                            };
                        }
                        let (upper, lower) = (transposed_eight(upper), transposed_eight(lower));
                        for c in 0..8 {
                            let low = _mm512_castps256_ps512(upper[c]);
                            columns[half * 8 + c] = Self([_mm512_insertf32x8::<1>(low, lower[c])]);
                        }
                    }
                }
                columns
            }
        }
    }

    lanes! {
        /// Sixteen f64 in two registers of AVX-512.
        Avx512F64, f64, __m512d, 2 x 8, half: __m512d, sums: 8,
        _mm512_set1_pd, _mm512_loadu_pd, _mm512_storeu_pd, _mm512_fmadd_pd, _mm512_mul_pd, _mm512_add_pd, _mm512_sub_pd, _mm512_max_pd, above_512_pd, {
            #[inline(always)]
            fn add_lanes(self) -> f64 {
                let [x, y] = self.0;
                // SAFETY: as above.
                unsafe {
                    let eight = _mm512_add_pd(x, y);
                    let four = _mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd::<1>(eight));
                    add_four(four)
                }
            }

            #[inline(always)]
            fn halved(self) -> __m512d {
                let [x, y] = self.0;
                // SAFETY: as above.
                unsafe { _mm512_add_pd(x, y) }
            }

            /// Each step halves the lanes of a row and puts two rows into one register.
            #[inline(always)]
            fn add_halves(rows: [__m512d; 8]) -> [f64; 8] {
                let mut sums = [0.0; 8];
                // SAFETY: as above; the store fills the eight numbers of `sums`.
                unsafe {
                    let mut fours = [_mm512_setzero_pd(); 4];
                    for r in 0..4 {
                        let (x, y) = (rows[r], rows[r + 4]);
                        let low = _mm512_shuffle_f64x2::<0x44>(x, y);
                        fours[r] = _mm512_add_pd(low, _mm512_shuffle_f64x2::<0xee>(x, y));
                    }
                    let low = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
                    let high = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
                    let mut twos = [_mm512_setzero_pd(); 2];
                    for r in 0..2 {
                        let (x, y) = (fours[r], fours[r + 2]);
                        let low = _mm512_permutex2var_pd(x, low, y);
                        twos[r] = _mm512_add_pd(low, _mm512_permutex2var_pd(x, high, y));
                    }
                    let [x, y] = twos;
                    let one = _mm512_add_pd(_mm512_unpacklo_pd(x, y), _mm512_unpackhi_pd(x, y));
                    _mm512_storeu_pd(sums.as_mut_ptr(), one);
                }
                sums
            }
        }
    }

    lanes! {
        /// Sixteen f32 in two registers of AVX.
        Avx2F32, f32, __m256, 2 x 8, half: __m256, sums: 6,
        _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps, _mm256_mul_ps, _mm256_add_ps, _mm256_sub_ps, _mm256_max_ps, above_256_ps, {
            #[inline(always)]
            fn add_lanes(self) -> f32 {
                let [x, y] = self.0;
                // SAFETY: as above.
                unsafe { add_eight(_mm256_add_ps(x, y)) }
            }

            #[inline(always)]
            fn halved(self) -> __m256 {
                let [x, y] = self.0;
                // SAFETY: as above.
                unsafe { _mm256_add_ps(x, y) }
            }

            #[inline(always)]
            fn add_halves(rows: [__m256; 8]) -> [f32; 8] {
                // SAFETY: as above.
                unsafe { add_eight_of_eight(rows) }
            }

            #[inline(always)]
            fn transposed(rows: [Self; LANES]) -> [Self; LANES] {
                let mut columns = [Self::splat(0.0); LANES];
                for above in 0..2 {
                    for half in 0..2 {
                        let mut eight = [rows[0].0[0]; 8];
                        for r in 0..8 {
                            eight[r] = rows[above * 8 + r].0[half];
                        }
                        // SAFETY: as above.
                        let eight = unsafe { transposed_eight(eight) };
                        for c in 0..8 {
                            columns[half * 8 + c].0[above] = eight[c];
                        }
                    }
                }
                columns
            }
        }
    }

    lanes! {
        /// Sixteen f64 in four registers of AVX.
        Avx2F64, f64, __m256d, 4 x 4, half: [__m256d; 2], sums: 3,
        _mm256_set1_pd, _mm256_loadu_pd, _mm256_storeu_pd, _mm256_fmadd_pd, _mm256_mul_pd, _mm256_add_pd, _mm256_sub_pd, _mm256_max_pd, above_256_pd, {
            /// Register by register: a whole row beside three sums would be one register too many.
            #[inline(always)]
            fn add_products<const R: usize>(sums: &mut [Self; R], x: [f64; R], row: &[f64; LANES]) {
                let mut factors = [sums[0].0[0]; R];
                for r in 0..R {
                    // SAFETY: as above.
                    factors[r] = unsafe { _mm256_set1_pd(x[r]) };
                }
                let (row, _) = row.as_chunks::<4>();
                for part in 0..4 {
                    // SAFETY: as above; the load reads the four numbers of the chunk.
                    let row = unsafe { _mm256_loadu_pd(row[part].as_ptr()) };
                    for r in 0..R {
                        let sum = sums[r].0[part];
                        // SAFETY: as above.
                        sums[r].0[part] = unsafe { _mm256_fmadd_pd(factors[r], row, sum) };
                    }
                }
            }

            #[inline(always)]
            fn add_lanes(self) -> f64 {
                let [a, b, c, d] = self.0;
                // SAFETY: as above.
                unsafe { add_four(_mm256_add_pd(_mm256_add_pd(a, c), _mm256_add_pd(b, d))) }
            }

            #[inline(always)]
            fn halved(self) -> [__m256d; 2] {
                let [a, b, c, d] = self.0;
                // SAFETY: as above.
                unsafe { [_mm256_add_pd(a, c), _mm256_add_pd(b, d)] }
            }

            #[inline(always)]
            fn add_halves(rows: [[__m256d; 2]; 8]) -> [f64; 8] {
                let mut sums = [0.0; 8];
                for group in 0..2 {
                    // SAFETY: as above; the store fills four numbers of `sums`.
                    unsafe {
                        let mut four = [_mm256_setzero_pd(); 4];
                        for r in 0..4 {
                            let [low, high] = rows[group * 4 + r];
                            four[r] = _mm256_add_pd(low, high);
                        }
                        let mut twos = [_mm256_setzero_pd(); 2];
                        for r in 0..2 {
                            let (x, y) = (four[r], four[r + 2]);
                            let low = _mm256_permute2f128_pd::<0x20>(x, y);
                            twos[r] = _mm256_add_pd(low, _mm256_permute2f128_pd::<0x31>(x, y));
                        }
                        let [x, y] = twos;
                        let one = _mm256_add_pd(_mm256_unpacklo_pd(x, y), _mm256_unpackhi_pd(x, y));
                        _mm256_storeu_pd(sums.as_mut_ptr().add(group * 4), one);
                    }
                }
                sums
            }

            #[inline(always)]
            fn transposed(rows: [Self; LANES]) -> [Self; LANES] {
                let mut columns = [Self::splat(0.0); LANES];
                for above in 0..4 {
                    for part in 0..4 {
                        let mut four = [rows[0].0[0]; 4];
                        for r in 0..4 {
                            four[r] = rows[above * 4 + r].0[part];
                        }
                        // SAFETY: as above.
                        let four = unsafe { transposed_four(four) };
                        for c in 0..4 {
                            columns[part * 4 + c].0[above] = four[c];
                        }
                    }
                }
                columns
            }
        }
    }

    /// `x` where `gate` is above 0, elsewhere 0, for the registers of each set.
    ///
    /// # Safety
    /// The processor has the set.
    macro_rules! above {
        ($name:ident, $register:ident, |$x:ident, $gate:ident| $body:expr) => {
            #[inline(always)]
            unsafe fn $name($x: $register, $gate: $register) -> $register {
                // SAFETY: the caller's.
                unsafe { $body }
            }
        };
    }

    above!(above_512_ps, __m512, |x, gate| {
        _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(gate, _mm512_setzero_ps()), x)
    });
    above!(above_512_pd, __m512d, |x, gate| {
        _mm512_maskz_mov_pd(_mm512_cmp_pd_mask::<_CMP_GT_OQ>(gate, _mm512_setzero_pd()), x)
    });
    above!(above_256_ps, __m256, |x, gate| {
        _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(gate, _mm256_setzero_ps()), x)
    });
    above!(above_256_pd, __m256d, |x, gate| {
        _mm256_and_pd(_mm256_cmp_pd::<_CMP_GT_OQ>(gate, _mm256_setzero_pd()), x)
    });

    /// The sums of the lanes of eight rows: each step halves the lanes of a row and puts two rows into one register.
    ///
    /// # Safety
    /// The processor has AVX.
    #[inline(always)]
    unsafe fn add_eight_of_eight(rows: [__m256; 8]) -> [f32; 8] {
        let mut sums = [0.0; 8];
        // SAFETY: the caller's; the store fills the eight numbers of `sums`.
        unsafe {
            let mut fours = [_mm256_setzero_ps(); 4];
            for r in 0..4 {
                let (x, y) = (rows[r], rows[r + 4]);
                let low = _mm256_permute2f128_ps::<0x20>(x, y);
                fours[r] = _mm256_add_ps(low, _mm256_permute2f128_ps::<0x31>(x, y));
            }
            let mut twos = [_mm256_setzero_ps(); 2];
            for r in 0..2 {
                let (x, y) = (fours[2 * r], fours[2 * r + 1]);
                twos[r] =
                    _mm256_add_ps(_mm256_shuffle_ps::<0x44>(x, y), _mm256_shuffle_ps::<0xee>(x, y));
            }
            let [x, y] = twos;
            let one =
                _mm256_add_ps(_mm256_shuffle_ps::<0x88>(x, y), _mm256_shuffle_ps::<0xdd>(x, y));
            _mm256_storeu_ps(sums.as_mut_ptr(), one);
        }
        sums
    }

    /// Column c of eight rows, for each c.
    ///
    /// # Safety
    /// The processor has AVX.
    #[inline(always)]
    unsafe fn transposed_eight(rows: [__m256; 8]) -> [__m256; 8] {
        let mut columns = rows;
        // SAFETY: the caller's.
        unsafe {
            let mut pairs = rows;
            for r in 0..4 {
                pairs[2 * r] = _mm256_unpacklo_ps(rows[2 * r], rows[2 * r + 1]);
                pairs[2 * r + 1] = _mm256_unpackhi_ps(rows[2 * r], rows[2 * r + 1]);
            }
            let mut quads = pairs;
            for half in 0..2 {
                for part in 0..2 {
                    let (x, y) = (pairs[4 * half + part], pairs[4 * half + part + 2]);
                    quads[4 * half + 2 * part] = _mm256_shuffle_ps::<0x44>(x, y);
                    quads[4 * half + 2 * part + 1] = _mm256_shuffle_ps::<0xee>(x, y);
                }
            }
            for c in 0..4 {
                columns[c] = _mm256_permute2f128_ps::<0x20>(quads[c], quads[c + 4]);
                columns[c + 4] = _mm256_permute2f128_ps::<0x31>(quads[c], quads[c + 4]);
            }
        }
        columns
    }

    /// Column c of four rows, for each c.
    ///
    /// # Safety
    /// The processor has AVX.
    #[inline(always)]
    unsafe fn transposed_four([a, b, c, d]: [__m256d; 4]) -> [__m256d; 4] {
        // SAFETY: the caller's.
        unsafe {
            let (x, y) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
            let (z, w) = (_mm256_unpacklo_pd(c, d), _mm256_unpackhi_pd(c, d));
            [
                _mm256_permute2f128_pd::<0x20>(x, z),
                _mm256_permute2f128_pd::<0x20>(y, w),
                _mm256_permute2f128_pd::<0x31>(x, z),
                _mm256_permute2f128_pd::<0x31>(y, w),
            ]
        }
    }

    /// The sum of eight lanes, halving.
    ///
    /// # Safety
    /// The processor has AVX.
    #[inline(always)]
    unsafe fn add_eight(x: __m256) -> f32 {
        // SAFETY: the caller's.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }

    /// The sum of four lanes, halving.
    ///
    /// # Safety
    /// The processor has AVX.
    #[inline(always)]
    unsafe fn add_four(x: __m256d) -> f64 {
        // SAFETY: the caller's.
        unsafe {
            let two = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd::<1>(x));
            _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
        }
    }
}

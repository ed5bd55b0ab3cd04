//! What the inner products and the cosines of all pairs of gradients amount to, read tile by tile.

use super::quantile::{between, counted_quantiles};
use super::ranks::{Leading, of_ranks};
use crate::nn::dispatch::{Kernel, dispatch};

/// Edge of the square tiles in which pairs are visited: a constant of the engine, part of every result's bits.
pub const TILE: usize = 64;

/// Bins of the histogram of cosines over [−1, 1].
pub const BINS: usize = 200;

/// Bins in which cosines are counted at first, 64 to one of the histogram.
pub const FINE: usize = 64 * BINS;

/// The fine bin of a cosine.
#[inline(always)]
pub fn fine_bin(cosine: f64) -> usize {
    let bin = ((cosine + 1.0) * (FINE as f64 / 2.0)) as u32 as usize;
    bin.min(FINE - 1)
}

/// Most pairs whose cosines are held in memory, 256 MiB of them: all pairs of 8,192 gradients.
pub const HELD: usize = 1 << 25;

/// The quantiles that are told of the cosines.
const SHARES: [f64; 4] = [0.001, 0.01, 0.05, 0.5];

/// What the pairs i < j of N gradients amount to.
#[derive(Clone, Debug, PartialEq)]
pub struct PairStatistics {
    pub pairs: u64,
    /// The smallest ⟨gᵢ, gⱼ⟩, and the first pair that has it.
    pub min_inner: f64,
    pub argmin: (usize, usize),
    pub inner_sum: f64,
    /// Pairs with ⟨gᵢ, gⱼ⟩ < 0.
    pub negative: u64,
    /// Cosines of the pairs of non-zero gradients; `None` where there is no such pair.
    pub cosines: Option<Cosines>,
}

/// What the cosines amount to. Each is clamped to [−1, 1], which rounding may leave by 1e-16.
#[derive(Clone, Debug, PartialEq)]
pub struct Cosines {
    pub min: f64,
    pub mean: f64,
    pub rms: f64,
    /// Quantiles 0.001, 0.01, 0.05 and 0.5.
    pub quantiles: [f64; 4],
    /// Bin b counts cosines in [−1 + b/100, −1 + (b+1)/100); 1 itself is in the last.
    pub histogram: Vec<i64>,
}

/// Where the inner products of pairs come from, tile by tile.
pub trait PairSource {
    /// ⟨gᵢ, gⱼ⟩ for i in block `first` and j in block `second` of [`TILE`] gradients: `[TILE, TILE]`. Where i >= j, or where
    /// there is no such gradient, any number will do.
    fn inner(&mut self, first: usize, second: usize) -> &[f64];
}

/// The statistics of all pairs from `source`, `sq_norms` being |gᵢ|².
///
/// ```text
/// cos = ⟨gᵢ, gⱼ⟩ / |gᵢ| / |gⱼ|
/// ```
///
/// # Numerics
/// Tiles are visited in row-major order, pairs within a tile too; sums are per tile in sixteen lanes, then over tiles. Cosines are
/// multiplied with the inverses of the norms one after the other, so that gradients of length 1e-150 still have some.
///
/// # Cost
/// 8 bytes a pair, for the exact quantiles. Beyond [`HELD`] pairs the cosines are not held: `source` is asked for each tile twice or more, and memory stays bounded.
pub fn statistics_of(source: &mut impl PairSource, sq_norms: &[f64]) -> PairStatistics {
    statistics_within(source, sq_norms, HELD)
}

/// The same with at most `held` cosines in memory, beside those of one tile.
fn statistics_within(
    source: &mut impl PairSource,
    sq_norms: &[f64],
    held: usize,
) -> PairStatistics {
    let count = sq_norms.len();
    let inverse = |square: &f64| if *square > 0.0 { 1.0 / square.sqrt() } else { 0.0 };
    let inverses: Vec<f64> = sq_norms.iter().map(inverse).collect();
    let pairs = count * (count - 1) / 2;
    let mut scan = Scan::new();
    if pairs <= held {
        scan.cosines.reserve_exact(pairs);
        scan.all(source, &inverses, &mut |_| {});
        return scan.finish(pairs as u64);
    }
    let mut leading = Leading::default();
    scan.all(source, &inverses, &mut |cosines| {
        leading.count(cosines);
        cosines.clear();
    });
    let quantiles = quantiles_of_told(scan.counted(), &leading, held as u64, |told| {
        Scan::new().all(source, &inverses, &mut |cosines| {
            told(cosines);
            cosines.clear();
        });
    });
    scan.finish_with(pairs as u64, quantiles)
}

/// The statistics of pairs that are listed: ⟨a, b⟩, and |a|² and |b|². The pair with the least product is named by its
/// place in the list, twice.
///
/// # Numerics
/// Pairs are added in order.
pub fn listed_statistics(inner: &[f64], sq_norms: &[[f64; 2]]) -> PairStatistics {
    let mut scan = Scan::new();
    for (p, (&product, squares)) in inner.iter().zip(sq_norms).enumerate() {
        scan.inner_sum += product;
        scan.negative += u64::from(product < 0.0);
        if product < scan.min_inner {
            (scan.min_inner, scan.argmin) = (product, (p, p));
        }
        let [a, b] = squares.map(f64::sqrt);
        if a > 0.0 && b > 0.0 {
            scan.take_cosine(cosine(product, 1.0 / a, 1.0 / b));
        }
    }
    scan.finish(inner.len() as u64)
}

/// What has been seen of the pairs so far.
struct Scan {
    min_inner: f64,
    argmin: (usize, usize),
    inner_sum: f64,
    negative: u64,
    /// The cosines, or those of the last tile.
    cosines: Vec<f64>,
    cosine_sum: f64,
    cosine_squares: f64,
    min_cosine: f64,
    /// Cosines by fine bin; there are less than 2³² pairs.
    counts: Vec<u32>,
}

/// The arguments of [`Scan::tile`].
struct ScanTile<'a> {
    scan: &'a mut Scan,
    inner: &'a [f64],
    first: usize,
    second: usize,
    /// 1/|gᵢ|, and 0 where that is 0.
    inverses: &'a [f64],
}

/// Sums of a row are kept in this many lanes, entry j of the tile in lane j mod `LANES`: part of every result's bits.
const LANES: usize = 16;

impl Kernel for ScanTile<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { scan, inner, first, second, inverses } = self;
        let width = TILE.min(inverses.len() - second);
        let mut columns = [0.0; TILE];
        columns[..width].copy_from_slice(&inverses[second..second + width]);
        let is_whole = width == TILE && second > first && columns.iter().all(|&n| n > 0.0);
        let mut sums = [[0.0; LANES]; 3];
        for (i, row) in inner.chunks_exact(TILE).enumerate() {
            let i = first + i;
            if i >= inverses.len() {
                break;
            }
            if is_whole && inverses[i] > 0.0 {
                scan.whole_row(row, (i, second), inverses[i], &columns, &mut sums);
                continue;
            }
            for j in (i + 1).saturating_sub(second)..width {
                let (product, lane) = (row[j], j % LANES);
                sums[0][lane] += product;
                scan.negative += u64::from(product < 0.0);
                if product < scan.min_inner {
                    (scan.min_inner, scan.argmin) = (product, (i, second + j));
                }
                if inverses[i] > 0.0 && columns[j] > 0.0 {
                    let cosine = cosine(product, inverses[i], columns[j]);
                    sums[1][lane] += cosine;
                    sums[2][lane] += cosine * cosine;
                    scan.note(cosine);
                }
            }
        }
        let [inner, cosine, squares] = sums.map(|lanes| lanes.iter().sum::<f64>());
        scan.inner_sum += inner;
        scan.cosine_sum += cosine;
        scan.cosine_squares += squares;
    }
}

/// ⟨gᵢ, gⱼ⟩ / |gᵢ| / |gⱼ|, clamped, from the inverses of the norms.
#[inline(always)]
fn cosine(product: f64, a: f64, b: f64) -> f64 {
    let cosine = product * a * b;
    let cosine = if cosine > 1.0 { 1.0 } else { cosine };
    if cosine < -1.0 { -1.0 } else { cosine }
}

/// The quantiles of `count` cosines as [`counted_quantiles`](super::quantile::counted_quantiles) defines them; `tell` tells all of them again.
fn quantiles_of_told(
    count: u64,
    leading: &Leading,
    held: u64,
    tell: impl FnMut(&mut dyn FnMut(&[f64])),
) -> Option<[f64; 4]> {
    let last = count.checked_sub(1)?;
    let places = SHARES.map(|share| last as f64 * share);
    let below = places.map(|place| (place as u64).min(last));
    let [a, b, c, d] = below;
    let [e, f, g, h] = below.map(|rank| (rank + 1).min(last));
    let [a, b, c, d, e, f, g, h] = of_ranks([a, b, c, d, e, f, g, h], leading, held, tell);
    let [p, q, r, s] = places;
    Some([between(a, e, p), between(b, f, q), between(c, g, r), between(d, h, s)])
}

impl Scan {
    fn new() -> Self {
        Self {
            min_inner: f64::INFINITY,
            argmin: (0, 0),
            inner_sum: 0.0,
            negative: 0,
            cosines: Vec::new(),
            cosine_sum: 0.0,
            cosine_squares: 0.0,
            min_cosine: f64::INFINITY,
            counts: vec![0; FINE],
        }
    }

    /// Takes in every tile of `source`, and tells `after` of the cosines that are held after each.
    fn all(
        &mut self,
        source: &mut impl PairSource,
        inverses: &[f64],
        after: &mut dyn FnMut(&mut Vec<f64>),
    ) {
        let blocks = inverses.len().div_ceil(TILE);
        for first in 0..blocks {
            for second in first..blocks {
                let inner = source.inner(first, second);
                let (first, second) = (first * TILE, second * TILE);
                dispatch(ScanTile { scan: self, inner, first, second, inverses });
                after(&mut self.cosines);
            }
        }
    }

    /// Row `i` of a tile that has every pair: what the loop of single pairs does, in vectors.
    #[inline(always)]
    fn whole_row(
        &mut self,
        row: &[f64],
        (i, second): (usize, usize),
        inverse: f64,
        inverses: &[f64; TILE],
        sums: &mut [[f64; LANES]; 3],
    ) {
        let mut cosines = [0.0; TILE];
        for ((to, &product), &other) in cosines.iter_mut().zip(row).zip(inverses) {
            *to = cosine(product, inverse, other);
        }
        let (mut least, mut negative) = ([f64::INFINITY; LANES], [0u64; LANES]);
        let mut least_cosine = [f64::INFINITY; LANES];
        let chunks = row.as_chunks::<LANES>().0.iter().zip(cosines.as_chunks::<LANES>().0);
        for (products, cosines) in chunks {
            for l in 0..LANES {
                sums[0][l] += products[l];
                sums[1][l] += cosines[l];
                sums[2][l] += cosines[l] * cosines[l];
                negative[l] += u64::from(products[l] < 0.0);
                least[l] = if products[l] < least[l] { products[l] } else { least[l] };
                let low = least_cosine[l];
                least_cosine[l] = if cosines[l] < low { cosines[l] } else { low };
            }
        }
        self.negative += negative.iter().sum::<u64>();
        let fold = |lanes: [f64; LANES]| lanes.iter().copied().fold(f64::INFINITY, f64::min);
        let least = fold(least);
        if least < self.min_inner
            && let Some(j) = row.iter().position(|&product| product == least)
        {
            (self.min_inner, self.argmin) = (least, (i, second + j));
        }
        self.min_cosine = self.min_cosine.min(fold(least_cosine));
        let mut bins = [0u32; TILE];
        for (bin, cosine) in bins.iter_mut().zip(&cosines) {
            *bin = fine_bin(*cosine) as u32;
        }
        for bin in bins {
            self.counts[bin as usize] += 1;
        }
        self.cosines.extend_from_slice(&cosines);
    }

    /// Takes in one cosine, its sums apart.
    #[inline(always)]
    fn note(&mut self, cosine: f64) {
        self.min_cosine = if cosine < self.min_cosine { cosine } else { self.min_cosine };
        self.counts[fine_bin(cosine)] += 1;
        self.cosines.push(cosine);
    }

    fn take_cosine(&mut self, cosine: f64) {
        self.cosine_sum += cosine;
        self.cosine_squares += cosine * cosine;
        self.note(cosine);
    }

    /// Cosines so far.
    fn counted(&self) -> u64 {
        self.counts.iter().map(|&count| u64::from(count)).sum()
    }

    fn finish(self, pairs: u64) -> PairStatistics {
        let quantiles = counted_quantiles(&self.cosines, &self.counts, SHARES);
        self.finish_with(pairs, quantiles)
    }

    fn finish_with(self, pairs: u64, quantiles: Option<[f64; 4]>) -> PairStatistics {
        let count = self.counted() as f64;
        let (mean, rms) = (self.cosine_sum / count, (self.cosine_squares / count).sqrt());
        let bins = self.counts.chunks_exact(FINE / BINS);
        let histogram = bins.map(|fine| fine.iter().map(|&count| i64::from(count)).sum()).collect();
        let min = self.min_cosine;
        PairStatistics {
            pairs,
            min_inner: self.min_inner,
            argmin: self.argmin,
            inner_sum: self.inner_sum,
            negative: self.negative,
            cosines: quantiles.map(|quantiles| Cosines { min, mean, rms, quantiles, histogram }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    /// The products of plain vectors.
    struct Vectors(Vec<[f64; 3]>, Vec<f64>);

    impl PairSource for Vectors {
        fn inner(&mut self, first: usize, second: usize) -> &[f64] {
            self.1.clear();
            self.1.resize(TILE * TILE, 0.0);
            for (i, a) in self.0.iter().enumerate().skip(first * TILE).take(TILE) {
                for (j, b) in self.0.iter().enumerate().skip(second * TILE).take(TILE) {
                    let inner = a.iter().zip(b).map(|(a, b)| a * b).sum();
                    self.1[i % TILE * TILE + j % TILE] = inner;
                }
            }
            &self.1
        }
    }

    #[test]
    fn statistics_are_the_same_whether_or_not_the_cosines_are_held() {
        let mut stream = Stream::new(3, "vectors", 0);
        let mut vectors: Vec<[f64; 3]> =
            (0..200).map(|_| [0; 3].map(|_| stream.normal())).collect();
        vectors[17] = [0.0; 3];
        let equal = vec![[1.0, 2.0, 2.0]; 130];
        let zero = vec![[0.0; 3]; 70];
        for vectors in [vectors, equal, zero] {
            let sq_norms: Vec<f64> =
                vectors.iter().map(|v| v.iter().map(|x| x * x).sum()).collect();
            let mut source = Vectors(vectors, Vec::new());
            let expected = statistics_within(&mut source, &sq_norms, HELD);
            for held in [0, 3, 500] {
                let found = statistics_within(&mut source, &sq_norms, held);
                assert_eq!(found, expected, "{held}");
            }
        }
    }
}

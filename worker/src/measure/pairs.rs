//! Inner products and cosines of all pairs of per-example gradients, without forming a gradient.

use super::capture::LayerCapture;
use super::quantile::{between, quantile};
use super::ranks::{Leading, of_ranks};
use crate::nn::Aligned;
use crate::nn::dispatch::{Kernel, dispatch};
use crate::nn::kernel::{Strides, combine};

/// Edge of the square tiles in which pairs are visited: a constant of the engine, part of every result's bits.
pub const TILE: usize = 64;

/// Bins of the histogram of cosines over [−1, 1].
pub const BINS: usize = 200;

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

/// The inner products of all pairs of gradients whose factors are `layers`, by tiles.
///
/// ```text
/// ⟨gᵢ, gⱼ⟩ = Σ_p (⟨a_pⁱ, a_pʲ⟩ + 1[bias]) ⟨δ_pⁱ, δ_pʲ⟩
/// ```
///
/// # Cost
/// N² (fan_in + fan_out) flop a layer.
pub fn tiles_of(layers: &[&LayerCapture]) -> impl PairSource {
    Tiles::of(layers)
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
/// Tiles are visited in row-major order, pairs within a tile too; sums are per tile in sixteen lanes, then over tiles. Norms divide one
/// after the other, so that gradients of length 1e-160 still have cosines.
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
    let norms: Vec<f64> = sq_norms.iter().map(|square| square.sqrt()).collect();
    let pairs = count * (count - 1) / 2;
    if pairs <= held {
        let mut scan = Scan { cosines: Vec::with_capacity(pairs), ..Scan::new() };
        scan.all(source, &norms, &mut |_| {});
        return scan.finish(pairs as u64);
    }
    let (mut seen, mut leading) = (Seen::new(), Leading::default());
    let mut scan = Scan::new();
    scan.all(source, &norms, &mut |cosines| {
        seen.take(cosines);
        leading.count(cosines);
        cosines.clear();
    });
    let quantiles = quantiles_of_told(seen.count, &leading, held as u64, |told| {
        Scan::new().all(source, &norms, &mut |cosines| {
            told(cosines);
            cosines.clear();
        });
    });
    scan.finish_seen(pairs as u64, seen, quantiles)
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
            let cosine = cosine(product, a, b);
            scan.cosine_sum += cosine;
            scan.cosine_squares += cosine * cosine;
            scan.cosines.push(cosine);
        }
    }
    scan.finish(inner.len() as u64)
}

/// Factors of one layer in blocks of [`TILE`] examples, each block `[k, TILE]`: products of two blocks then need no sum
/// across the lanes of a vector.
struct Blocks {
    k: usize,
    numbers: Aligned<f64>,
}

impl Blocks {
    /// The blocks of `vectors`, `[N, k]`; the last is filled up with zeros.
    fn of(vectors: &[f64], k: usize) -> Self {
        let count = (vectors.len() / k).div_ceil(TILE);
        let mut numbers = Aligned::zeros(count * k * TILE);
        for (block, rows) in numbers.chunks_exact_mut(k * TILE).zip(vectors.chunks(k * TILE)) {
            for (i, row) in rows.chunks_exact(k).enumerate() {
                for (column, &x) in block.chunks_exact_mut(TILE).zip(row) {
                    column[i] = x;
                }
            }
        }
        Self { k, numbers }
    }

    /// ⟨xᵢ, xⱼ⟩ for i in block `first` and j in block `second`: `[TILE, TILE]`.
    ///
    /// # Numerics
    /// Terms are added in order.
    fn products(&self, first: usize, second: usize, out: &mut [f64]) {
        let block = |b: usize| &self.numbers[b * self.k * TILE..][..self.k * TILE];
        combine(block(first), Strides { row: 1, term: TILE }, block(second), TILE, out);
    }
}

/// The blocks of some layers, and the buffers of one tile.
struct Tiles {
    /// Blocks of inputs and of deltas, and 1[bias].
    layers: Vec<(Blocks, Blocks, f64)>,
    inputs: Aligned<f64>,
    deltas: Aligned<f64>,
    inner: Aligned<f64>,
}

impl Tiles {
    fn of(layers: &[&LayerCapture]) -> Self {
        let blocks = |layer: &&LayerCapture| {
            let inputs = Blocks::of(&layer.inputs, layer.fan_in);
            (inputs, Blocks::of(&layer.deltas, layer.fan_out), f64::from(layer.has_bias))
        };
        let buffer = || Aligned::zeros(TILE * TILE);
        let layers = layers.iter().map(blocks).collect();
        Self { layers, inputs: buffer(), deltas: buffer(), inner: buffer() }
    }
}

impl PairSource for Tiles {
    fn inner(&mut self, first: usize, second: usize) -> &[f64] {
        self.inner.fill(0.0);
        for (inputs, deltas, bias) in &self.layers {
            inputs.products(first, second, &mut self.inputs);
            deltas.products(first, second, &mut self.deltas);
            let factors = self.inputs.iter().zip(&*self.deltas);
            for (sum, (a, d)) in self.inner.iter_mut().zip(factors) {
                *sum += (a + bias) * d;
            }
        }
        &self.inner
    }
}

/// What has been seen of the pairs so far.
#[derive(Default)]
struct Scan {
    min_inner: f64,
    argmin: (usize, usize),
    inner_sum: f64,
    negative: u64,
    cosines: Vec<f64>,
    cosine_sum: f64,
    cosine_squares: f64,
}

/// The arguments of [`Scan::tile`].
struct ScanTile<'a> {
    scan: &'a mut Scan,
    inner: &'a [f64],
    first: usize,
    second: usize,
    norms: &'a [f64],
}

/// Sums of a row are kept in this many lanes, entry j of the tile in lane j mod `LANES`: part of every result's bits.
const LANES: usize = 16;

impl Kernel for ScanTile<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { scan, inner, first, second, norms } = self;
        let width = TILE.min(norms.len() - second);
        let mut column_norms = [0.0; TILE];
        column_norms[..width].copy_from_slice(&norms[second..second + width]);
        let is_whole = width == TILE && second > first && column_norms.iter().all(|&n| n > 0.0);
        let mut sums = [[0.0; LANES]; 3];
        for (i, row) in inner.chunks_exact(TILE).enumerate() {
            let i = first + i;
            if i >= norms.len() {
                break;
            }
            if is_whole && norms[i] > 0.0 {
                scan.whole_row(row, (i, second), norms[i], &column_norms, &mut sums);
                continue;
            }
            for j in (i + 1).saturating_sub(second)..width {
                let (product, lane) = (row[j], j % LANES);
                sums[0][lane] += product;
                scan.negative += u64::from(product < 0.0);
                if product < scan.min_inner {
                    (scan.min_inner, scan.argmin) = (product, (i, second + j));
                }
                if norms[i] > 0.0 && column_norms[j] > 0.0 {
                    let cosine = cosine(product, norms[i], column_norms[j]);
                    sums[1][lane] += cosine;
                    sums[2][lane] += cosine * cosine;
                    scan.cosines.push(cosine);
                }
            }
        }
        let [inner, cosine, squares] = sums.map(|lanes| lanes.iter().sum::<f64>());
        scan.inner_sum += inner;
        scan.cosine_sum += cosine;
        scan.cosine_squares += squares;
    }
}

/// ⟨gᵢ, gⱼ⟩ / |gᵢ| / |gⱼ|, clamped.
#[inline(always)]
fn cosine(product: f64, a: f64, b: f64) -> f64 {
    let cosine = product / a / b;
    let cosine = if cosine > 1.0 { 1.0 } else { cosine };
    if cosine < -1.0 { -1.0 } else { cosine }
}

/// What is known of cosines beside their sums and quantiles.
struct Seen {
    count: u64,
    min: f64,
    histogram: Vec<i64>,
}

impl Seen {
    fn new() -> Self {
        Self { count: 0, min: f64::INFINITY, histogram: vec![0; BINS] }
    }

    fn take(&mut self, cosines: &[f64]) {
        self.count += cosines.len() as u64;
        self.min = cosines.iter().copied().fold(self.min, f64::min);
        for cosine in cosines {
            let bin = ((cosine + 1.0) * (BINS as f64 / 2.0)) as usize;
            self.histogram[bin.min(BINS - 1)] += 1;
        }
    }
}

/// The quantiles of `count` cosines as [`quantile`] defines them; `tell` tells all of them again.
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
        Self { min_inner: f64::INFINITY, ..Self::default() }
    }

    /// Takes in every tile of `source`, and tells `after` of the cosines that are held after each.
    fn all(
        &mut self,
        source: &mut impl PairSource,
        norms: &[f64],
        after: &mut dyn FnMut(&mut Vec<f64>),
    ) {
        let blocks = norms.len().div_ceil(TILE);
        for first in 0..blocks {
            for second in first..blocks {
                let inner = source.inner(first, second);
                self.tile(inner, (first * TILE, second * TILE), norms);
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
        norm: f64,
        norms: &[f64; TILE],
        sums: &mut [[f64; LANES]; 3],
    ) {
        let mut cosines = [0.0; TILE];
        for ((cosine_out, &product), &other) in cosines.iter_mut().zip(row).zip(norms) {
            *cosine_out = cosine(product, norm, other);
        }
        let (mut least, mut negative) = ([f64::INFINITY; LANES], [0u64; LANES]);
        let chunks = row.as_chunks::<LANES>().0.iter().zip(cosines.as_chunks::<LANES>().0);
        for (products, cosines) in chunks {
            for l in 0..LANES {
                sums[0][l] += products[l];
                sums[1][l] += cosines[l];
                sums[2][l] += cosines[l] * cosines[l];
                negative[l] += u64::from(products[l] < 0.0);
                least[l] = if products[l] < least[l] { products[l] } else { least[l] };
            }
        }
        self.negative += negative.iter().sum::<u64>();
        let least = least.iter().copied().fold(f64::INFINITY, f64::min);
        if least < self.min_inner
            && let Some(j) = row.iter().position(|&product| product == least)
        {
            (self.min_inner, self.argmin) = (least, (i, second + j));
        }
        self.cosines.extend_from_slice(&cosines);
    }
    /// Takes in the pairs i < j of the tile at (`first`, `second`), `[TILE, TILE]`.
    fn tile(&mut self, inner: &[f64], (first, second): (usize, usize), norms: &[f64]) {
        dispatch(ScanTile { scan: self, inner, first, second, norms });
    }

    fn finish(self, pairs: u64) -> PairStatistics {
        let mut seen = Seen::new();
        seen.take(&self.cosines);
        let quantiles = quantile(&self.cosines, SHARES);
        self.finish_seen(pairs, seen, quantiles)
    }

    fn finish_seen(
        self,
        pairs: u64,
        Seen { count, min, histogram }: Seen,
        quantiles: Option<[f64; 4]>,
    ) -> PairStatistics {
        let count = count as f64;
        let (mean, rms) = (self.cosine_sum / count, (self.cosine_squares / count).sqrt());
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

//! Inner products and cosines of all pairs of per-example gradients, without forming a gradient.

use super::capture::LayerCapture;
use super::quantile;
use crate::nn::kernel::dots;

/// Edge of the square tiles in which pairs are visited: a constant of the engine, part of every result's bits.
const TILE: usize = 64;

/// Bins of the histogram of cosines over [−1, 1].
pub const BINS: usize = 200;

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

/// The statistics of all pairs of gradients whose factors are `layers`, `sq_norms` being |gᵢ|².
///
/// ```text
/// ⟨gᵢ, gⱼ⟩ = Σ_p (⟨a_pⁱ, a_pʲ⟩ + 1[bias]) ⟨δ_pⁱ, δ_pʲ⟩
/// cos = ⟨gᵢ, gⱼ⟩ / |gᵢ| / |gⱼ|
/// ```
///
/// # Numerics
/// Tiles are visited in row-major order, pairs within a tile too; sums are per tile, then over tiles. Norms divide one
/// after the other, so that gradients of length 1e-160 still have cosines.
///
/// # Cost
/// N² (fan_in + fan_out) flop a layer; 8 bytes a pair, for the exact quantiles.
pub fn pair_statistics(layers: &[&LayerCapture], sq_norms: &[f64]) -> PairStatistics {
    statistics_of(&mut LayerTiles { layers, tile: Tile::default() }, sq_norms)
}

/// Where the inner products of pairs come from, tile by tile.
pub trait PairSource {
    /// ⟨gᵢ, gⱼ⟩ for i in `rows` and j in `columns`, row-major; where i >= j any number will do.
    fn inner(&mut self, rows: &Rows, columns: &Rows) -> &[f64];
}

/// Layers, and a buffer for a tile of them.
struct LayerTiles<'a> {
    layers: &'a [&'a LayerCapture],
    tile: Tile,
}

impl PairSource for LayerTiles<'_> {
    fn inner(&mut self, rows: &Rows, columns: &Rows) -> &[f64] {
        self.tile.inner(self.layers, rows, columns)
    }
}

/// The statistics of all pairs from `source`, `sq_norms` being |gᵢ|²; numerics as in [`pair_statistics`].
pub fn statistics_of(source: &mut impl PairSource, sq_norms: &[f64]) -> PairStatistics {
    let count = sq_norms.len();
    let norms: Vec<f64> = sq_norms.iter().map(|square| square.sqrt()).collect();
    let pairs = count * (count - 1) / 2;
    let mut scan = Scan { cosines: Vec::with_capacity(pairs), ..Scan::default() };
    scan.min_inner = f64::INFINITY;
    for first in (0..count).step_by(TILE) {
        let rows = first..count.min(first + TILE);
        for second in (first..count).step_by(TILE) {
            let columns = second..count.min(second + TILE);
            let inner = source.inner(&rows, &columns);
            scan.tile(inner, (first, second), columns.len(), &norms);
        }
    }
    scan.finish(pairs as u64)
}

/// Buffers of one tile.
#[derive(Default)]
struct Tile {
    inputs: Vec<f64>,
    deltas: Vec<f64>,
    inner: Vec<f64>,
}

/// Which gradients, by their numbers.
pub type Rows = std::ops::Range<usize>;

impl Tile {
    /// ⟨gᵢ, gⱼ⟩ for i in `rows` and j in `columns`.
    fn inner(&mut self, layers: &[&LayerCapture], rows: &Rows, columns: &Rows) -> &[f64] {
        let size = rows.len() * columns.len();
        self.inputs.resize(size, 0.0);
        self.deltas.resize(size, 0.0);
        self.inner.clear();
        self.inner.resize(size, 0.0);
        for layer in layers {
            products(&layer.inputs, layer.fan_in, (rows, columns), &mut self.inputs);
            products(&layer.deltas, layer.fan_out, (rows, columns), &mut self.deltas);
            let bias = f64::from(layer.has_bias);
            let factors = self.inputs.iter().zip(&self.deltas);
            for (sum, (a, d)) in self.inner.iter_mut().zip(factors) {
                *sum += (a + bias) * d;
            }
        }
        &self.inner
    }
}

fn products(vectors: &[f64], k: usize, (rows, columns): (&Rows, &Rows), out: &mut [f64]) {
    let part = |range: &Rows| &vectors[range.start * k..range.end * k];
    dots(part(rows), part(columns), k, out);
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

impl Scan {
    /// Takes in the pairs i < j of the tile at (`first`, `second`), whose rows have `width` entries.
    fn tile(
        &mut self,
        inner: &[f64],
        (first, second): (usize, usize),
        width: usize,
        norms: &[f64],
    ) {
        let (mut sum, mut cosine_sum, mut squares) = (0.0, 0.0, 0.0);
        for (i, row) in inner.chunks_exact(width).enumerate().map(|(i, row)| (first + i, row)) {
            let from = (i + 1).saturating_sub(second);
            for (j, &product) in row.iter().enumerate().skip(from).map(|(j, p)| (second + j, p)) {
                sum += product;
                self.negative += u64::from(product < 0.0);
                if product < self.min_inner {
                    (self.min_inner, self.argmin) = (product, (i, j));
                }
                if norms[i] > 0.0 && norms[j] > 0.0 {
                    let cosine = (product / norms[i] / norms[j]).clamp(-1.0, 1.0);
                    cosine_sum += cosine;
                    squares += cosine * cosine;
                    self.cosines.push(cosine);
                }
            }
        }
        self.inner_sum += sum;
        self.cosine_sum += cosine_sum;
        self.cosine_squares += squares;
    }

    fn finish(mut self, pairs: u64) -> PairStatistics {
        let mut histogram = vec![0; BINS];
        for cosine in &self.cosines {
            let bin = ((cosine + 1.0) * (BINS as f64 / 2.0)) as usize;
            histogram[bin.min(BINS - 1)] += 1;
        }
        let count = self.cosines.len() as f64;
        let (mean, rms) = (self.cosine_sum / count, (self.cosine_squares / count).sqrt());
        let quantiles = quantile(&mut self.cosines, [0.001, 0.01, 0.05, 0.5]);
        let min = self.cosines.iter().copied().fold(f64::INFINITY, f64::min);
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

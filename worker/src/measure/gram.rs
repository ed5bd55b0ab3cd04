//! Inner products of all pairs of per-example gradients, without forming a gradient.

use super::capture::LayerCapture;
use super::pairs::PairSource;
use super::tiles::TILE;
use crate::nn::dispatch::{LaneKernel, Level};
use crate::nn::lanes::{LANES, Lanes};
use crate::nn::product::multiply_panels;
use crate::nn::{Aligned, Real};

/// Vectors in blocks of [`TILE`], each block in panels `[TILE / 16, k, 16]`: products of two blocks then need no sum across
/// lanes, and no copy.
///
/// # Numerics
/// Each vector is divided by a power of two, so that its largest entry is in [1, 2): exactly, and then no product of two
/// underflows though the vectors are of length 1e-30.
pub struct Blocks<T> {
    k: usize,
    numbers: Aligned<T>,
    /// The power of two of each vector; 1 of a zero.
    scales: Vec<f64>,
}

impl<T: Real> Blocks<T> {
    /// Room for `count` vectors of `k` numbers; what is not put is 0.
    pub fn new(count: usize, k: usize) -> Self {
        let blocks = count.div_ceil(TILE);
        let scales = vec![1.0; blocks * TILE];
        Self { k, numbers: Aligned::zeros(blocks * k * TILE), scales }
    }

    /// Puts `vectors`, `[n, k]`, into block number `block`.
    pub fn put(&mut self, block: usize, vectors: &[T]) {
        let numbers = &mut self.numbers[block * self.k * TILE..][..self.k * TILE];
        for (i, row) in vectors.chunks_exact(self.k).enumerate() {
            let scale = power_of_two(row);
            self.scales[block * TILE + i] = scale;
            let inverse = T::from_f64(1.0 / scale);
            let panel = &mut numbers[i / LANES * self.k * LANES..][..self.k * LANES];
            for (lanes, &x) in panel.as_chunks_mut::<LANES>().0.iter_mut().zip(row) {
                lanes[i % LANES] = x * inverse;
            }
        }
    }

    /// ⟨xᵢ, xⱼ⟩ of the divided vectors, i in block `first` and j in block `second`: `[TILE, TILE]`. Within one block those of i <= j.
    fn products(&self, first: usize, second: usize, out: &mut [T]) {
        let block = |b: usize| &self.numbers[b * self.k * TILE..][..self.k * TILE];
        let blocks = (block(first), block(second));
        multiply_panels(self.k, 0..self.k, blocks, first == second, out);
    }
}

/// The power of two that the largest entry of `row` is at least, and less than twice: 1 where it is 0 or not finite, and where
/// its inverse is no number of the precision.
pub fn power_of_two<T: Real>(row: &[T]) -> f64 {
    let largest = row.iter().map(|x| x.to_f64().abs()).fold(0.0, f64::max);
    let scale = f64::from_bits(largest.to_bits() & 0x7ff0_0000_0000_0000);
    let inverse = T::from_f64(1.0 / scale);
    if scale.is_normal() && inverse.is_finite() && inverse != T::ZERO { scale } else { 1.0 }
}

/// The inner products of all pairs of gradients whose factors are `layers`, `sq_norms` being |gᵢ|².
///
/// ```text
/// ⟨gᵢ, gⱼ⟩ = Σ_p (⟨a_pⁱ, a_pʲ⟩ + 1[bias]) ⟨δ_pⁱ, δ_pʲ⟩
/// ```
///
/// # Numerics
/// In the network's precision, relative to |gᵢ| |gⱼ|: in f32 an inner product errs by some 1e-7 of that, in f64 by some 1e-16.
/// Products and the sum over layers are of numbers near 1 whatever the gradients' length; only the last factor is not.
///
/// # Cost
/// N² (fan_in + fan_out) flop a layer.
pub fn tiles_of<T: Real>(layers: &[&LayerCapture<T>], sq_norms: &[f64]) -> impl PairSource {
    let count = sq_norms.len().next_multiple_of(TILE);
    let mut norms: Vec<f64> = sq_norms.iter().map(|square| square.sqrt()).collect();
    norms.resize(count, 0.0);
    let shares = |scales: &dyn Fn(usize) -> f64| -> Vec<T> {
        let share = |(i, &norm): (usize, &f64)| {
            T::from_f64(if norm > 0.0 { scales(i) / norm } else { 0.0 })
        };
        norms.iter().enumerate().map(share).collect()
    };
    let layers = layers
        .iter()
        .map(|layer| {
            let (a, d) = (&layer.inputs.scales, &layer.deltas.scales);
            let biases = layer.has_bias.then(|| shares(&|i| d[i]));
            Layer {
                inputs: &layer.inputs,
                deltas: &layer.deltas,
                weights: shares(&|i| a[i] * d[i]),
                biases,
            }
        })
        .collect();
    let buffer = || Aligned::zeros(TILE * TILE);
    DenseTiles {
        layers,
        norms,
        inputs: buffer(),
        deltas: buffer(),
        cosines: buffer(),
        inner: Aligned::zeros(TILE * TILE),
    }
}

/// One layer's factors, and what each example's powers of two are relative to its whole gradient.
struct Layer<'a, T> {
    inputs: &'a Blocks<T>,
    deltas: &'a Blocks<T>,
    weights: Vec<T>,
    /// The same of the biases' part, where there is one.
    biases: Option<Vec<T>>,
}

/// The layers, and the buffers of one tile.
struct DenseTiles<'a, T> {
    layers: Vec<Layer<'a, T>>,
    norms: Vec<f64>,
    inputs: Aligned<T>,
    deltas: Aligned<T>,
    cosines: Aligned<T>,
    inner: Aligned<f64>,
}

impl<T: Real> PairSource for DenseTiles<'_, T> {
    fn inner(&mut self, first: usize, second: usize) -> &[f64] {
        let Self { layers, norms, inputs, deltas, cosines, inner } = self;
        cosines.fill(T::ZERO);
        for layer in layers {
            layer.inputs.products(first, second, inputs);
            layer.deltas.products(first, second, deltas);
            let weights = [first, second].map(|b| &layer.weights[b * TILE..(b + 1) * TILE]);
            let biases = layer.biases.as_ref();
            let biases =
                biases.map(|biases| [first, second].map(|b| &biases[b * TILE..(b + 1) * TILE]));
            Level::best().run_lanes(Join { inputs, deltas, weights, biases, cosines });
        }
        let (rows, columns) = (&norms[first * TILE..], &norms[second * TILE..][..TILE]);
        for ((inner, cosines), row) in
            inner.chunks_exact_mut(TILE).zip(cosines.chunks_exact(TILE)).zip(rows)
        {
            for ((inner, cosine), column) in inner.iter_mut().zip(cosines).zip(columns) {
                *inner = cosine.to_f64() * row * column;
            }
        }
        &self.inner
    }
}

/// `cosines[i, j] += deltas[i, j] (inputs[i, j] wᵢ wⱼ + uᵢ uⱼ)`, all `[TILE, TILE]`, the last term only with biases.
struct Join<'a, T> {
    inputs: &'a [T],
    deltas: &'a [T],
    /// w of the rows and of the columns.
    weights: [&'a [T]; 2],
    /// u of the rows and of the columns.
    biases: Option<[&'a [T]; 2]>,
    cosines: &'a mut [T],
}

impl<T: Real> LaneKernel<T> for Join<'_, T> {
    #[inline(always)]
    fn run<L: Lanes<T>>(self) {
        let Self { inputs, deltas, weights: [rows, columns], biases, cosines } = self;
        let tiles = inputs.chunks_exact(TILE).zip(deltas.chunks_exact(TILE));
        let tiles = tiles.zip(cosines.chunks_exact_mut(TILE)).zip(rows).enumerate();
        for (i, (((a, d), to), &row)) in tiles {
            let (a, d) = (a.as_chunks::<LANES>().0, d.as_chunks::<LANES>().0);
            let (to, column) = (to.as_chunks_mut::<LANES>().0, columns.as_chunks::<LANES>().0);
            for (chunk, (((a, d), to), column)) in a.iter().zip(d).zip(to).zip(column).enumerate() {
                let mut factor = L::load(a).mul(L::splat(row)).mul(L::load(column));
                if let Some([rows, columns]) = biases {
                    let column = &columns.as_chunks::<LANES>().0[chunk];
                    factor = L::splat(rows[i]).mul_add(L::load(column), factor);
                }
                L::load(d).mul_add(factor, L::load(to)).store(to);
            }
        }
    }
}

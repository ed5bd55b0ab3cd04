//! Gradients that are formed, of single examples or of minibatches, and the inner products of all their pairs: where a
//! gradient is smaller than the factors it is made of.
//!
//! Gradients are formed in panels of bounded size. Where they do not all fit, the panels after a panel are formed again
//! for it, so that memory stays bounded whatever their number.

use std::ops::Range;

use super::gram::power_of_two;
use super::pairs::{PairSource, TILE};
use super::tiles::{Former, Tiles};
use crate::data::Examples;
use crate::nn::Real;
use crate::nn::lanes::LANES;
use crate::nn::product::{interleave, multiply_panels};

/// Bytes of the gradients of one panel; two are held at a time.
pub const PANEL_BYTES: usize = 256 << 20;
/// Entries that are multiplied at a time: a constant of the engine.
pub const ENTRIES: usize = 256;

/// What is known of N gradients once they are gone.
#[derive(Clone, Debug)]
pub struct Formed {
    /// ⟨gᵢ, gⱼ⟩ for i <= j, row after row.
    gram: Vec<f64>,
    sq_norms: Vec<f64>,
    is_touched: Vec<bool>,
    sq_norm_of_sum: f64,
    min_positive: f64,
}

/// How many gradients of `bytes` each are formed at a time: a multiple of [`LANES`].
pub fn panel_len(bytes: usize) -> usize {
    (PANEL_BYTES / bytes.max(1) / LANES * LANES).max(LANES)
}

/// Buffers that gradients are formed in. Kept from one measurement to the next, they are made once.
#[derive(Clone, Debug, Default)]
pub struct Workspace<T> {
    former: Former<T>,
    /// Up to [`LANES`] gradients as they are formed.
    some: Vec<T>,
    rows: Panel<T>,
    columns: Panel<T>,
    product: Product<T>,
    /// The summed gradient.
    sum: Vec<f64>,
}

/// One part of the gradients, and what is known of it so far.
struct Part {
    range: Range<usize>,
    gram: Vec<f64>,
    is_touched: Vec<bool>,
}

impl Formed {
    /// The mean gradients at `network` of the groups of examples that `groups` names, in that order: whole, then the parts
    /// of them that `layers` names.
    ///
    /// # Numerics
    /// Gradients are of the network's precision, and so are the sums of 256 products after 256, which are added in f64. Each
    /// gradient is divided by a power of two first, so that no product underflows that matters.
    ///
    /// # Cost
    /// N forward and backward passes of a group where all fit in a panel of p gradients, else about N²/2p more; N² P flop,
    /// and as many again for the layers; 4 N² bytes for the whole and for each layer.
    pub fn take<T: Real>(
        network: &mut impl Tiles<T>,
        examples: &Examples<T>,
        groups: &[&[u32]],
        layers: &[Range<usize>],
        workspace: &mut Workspace<T>,
    ) -> Vec<Self> {
        let panel = panel_len(network.parameters() * T::BYTES);
        Self::in_panels(network, examples, groups, layers, (panel, workspace))
    }

    fn in_panels<T: Real>(
        network: &mut impl Tiles<T>,
        examples: &Examples<T>,
        groups: &[&[u32]],
        layers: &[Range<usize>],
        (panel, workspace): (usize, &mut Workspace<T>),
    ) -> Vec<Self> {
        let (count, parameters) = (groups.len(), network.parameters());
        let Workspace { former, some, rows, columns, product, sum } = workspace;
        sum.clear();
        sum.resize(parameters, 0.0);
        // Forms gradients, sixteen at a time, puts them into `panel`, and shows them to `see`.
        let mut form = |groups: &[&[u32]], panel: &mut Panel<T>, see: &mut dyn FnMut(&[T])| {
            panel.clear(groups.len(), parameters);
            for groups in groups.chunks(LANES) {
                some.resize(groups.len() * parameters, T::ZERO);
                if groups.iter().all(|group| group.len() == 1) {
                    former.form_each(network, examples, &groups.concat(), some);
                } else {
                    for (group, gradient) in groups.iter().zip(some.chunks_exact_mut(parameters)) {
                        former.form(network, examples, group, gradient);
                    }
                }
                see(some);
                panel.push(some);
            }
        };
        let part = |range| {
            let gram = vec![0.0; count * (count + 1) / 2];
            Part { range, gram, is_touched: Vec::with_capacity(count) }
        };
        let whole = 0..parameters;
        let mut parts: Vec<Part> =
            std::iter::once(whole).chain(layers.iter().cloned()).map(part).collect();
        for first in (0..count).step_by(panel) {
            form(&groups[first..count.min(first + panel)], rows, &mut |gradients| {
                add_rows_up(gradients, sum);
                for Part { range, is_touched, .. } in &mut parts {
                    let is_zero = |gradient: &[T]| gradient.iter().all(|&g| g == T::ZERO);
                    let gradients = gradients.chunks_exact(parameters);
                    is_touched.extend(gradients.map(|gradient| !is_zero(&gradient[range.clone()])));
                }
            });
            for Part { range, gram, .. } in &mut parts {
                product.multiply((rows, rows), range.clone(), (first, first), (count, gram));
            }
            for second in (first + panel..count).step_by(panel) {
                form(&groups[second..count.min(second + panel)], columns, &mut |_| {});
                for Part { range, gram, .. } in &mut parts {
                    let read = (&*rows, &*columns);
                    product.multiply(read, range.clone(), (first, second), (count, gram));
                }
            }
        }
        let finish = |part: Part| {
            let sq_norms = (0..count).map(|i| part.gram[place(count, i, i)]).collect();
            let sq_norm_of_sum = sum[part.range].iter().fold(0.0, |square, x| square + x * x);
            let (gram, is_touched) = (part.gram, part.is_touched);
            Self { gram, sq_norms, is_touched, sq_norm_of_sum, min_positive: T::MIN_POSITIVE }
        };
        parts.into_iter().map(finish).collect()
    }

    /// |gᵢ|².
    pub fn sq_norms(&self) -> &[f64] {
        &self.sq_norms
    }

    /// Whether some entry of gᵢ is not 0.
    pub fn is_touched(&self, i: usize) -> bool {
        self.is_touched[i]
    }

    /// |Σ gᵢ|², from the summed gradient itself.
    pub fn sq_norm_of_sum(&self) -> f64 {
        self.sq_norm_of_sum
    }

    /// The smallest positive normal number of the network's precision.
    pub fn min_positive(&self) -> f64 {
        self.min_positive
    }

    /// Whether every gradient is finite.
    pub fn is_finite(&self) -> bool {
        self.sq_norms.iter().all(|square| square.is_finite())
    }

    /// The inner products, by tiles.
    pub fn tiles(&self) -> impl PairSource {
        GramTiles { formed: self, tile: Vec::new() }
    }
}

/// Where ⟨gᵢ, gⱼ⟩, i <= j, lies among those of `count` gradients.
fn place(count: usize, i: usize, j: usize) -> usize {
    i * count - i * (i + 1) / 2 + j
}

/// Adds the rows of `rows` `[n, k]` to `sums` `[k]`, in order, in f64.
fn add_rows_up<T: Real>(rows: &[T], sums: &mut [f64]) {
    let k = sums.len();
    // A few entries of all rows at a time: their sums stay in the cache.
    for (block, sums) in sums.chunks_mut(ENTRIES).enumerate() {
        for row in rows.chunks_exact(k) {
            let row = &row[block * ENTRIES..][..sums.len()];
            sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x.to_f64());
        }
    }
}

/// Some gradients, each divided by a power of two, as products want them.
#[derive(Clone, Debug, Default)]
struct Panel<T> {
    /// Trained numbers, P.
    parameters: usize,
    /// Sixteen gradients after sixteen, the last ones filled up with zeros: `[n / 16]` times `[P, 16]`.
    numbers: Vec<T>,
    scales: Vec<f64>,
}

impl<T: Real> Panel<T> {
    /// Forgets its gradients; there will be `count`.
    fn clear(&mut self, count: usize, parameters: usize) {
        self.parameters = parameters;
        self.scales.clear();
        self.numbers.resize(count.next_multiple_of(LANES) * parameters, T::ZERO);
    }

    /// Adds up to sixteen gradients, `[n, P]`; only the last ones are fewer.
    fn push(&mut self, gradients: &[T]) {
        let stride = self.parameters;
        let at = self.scales.len() / LANES;
        let scales: Vec<f64> = gradients.chunks_exact(stride).map(power_of_two).collect();
        let factors: Vec<T> = scales.iter().map(|&scale| T::from_f64(1.0 / scale)).collect();
        let panel = &mut self.numbers[at * stride * LANES..][..stride * LANES];
        interleave(gradients, &factors, panel);
        self.scales.extend(scales);
    }

    /// The sixteens of tile number `tile`, and their powers of two.
    fn tile(&self, tile: usize) -> (&[T], &[f64]) {
        let scales = &self.scales[tile * TILE..self.scales.len().min((tile + 1) * TILE)];
        let first = tile * TILE * self.parameters;
        let len = scales.len().next_multiple_of(LANES) * self.parameters;
        (&self.numbers[first..first + len], scales)
    }
}

/// Buffers of one product of tiles.
#[derive(Clone, Debug, Default)]
struct Product<T> {
    part: Vec<T>,
    sums: Vec<f64>,
}

impl<T: Real> Product<T> {
    /// Puts the inner products of the entries `range` of the gradients in `rows`, which begin with number `first`, and in
    /// `columns`, which begin with number `second`, into the Gram matrix of `count` gradients.
    fn multiply(
        &mut self,
        (rows, columns): (&Panel<T>, &Panel<T>),
        range: Range<usize>,
        (first, second): (usize, usize),
        (count, gram): (usize, &mut [f64]),
    ) {
        for row_tile in 0..rows.scales.len().div_ceil(TILE) {
            for column_tile in 0..columns.scales.len().div_ceil(TILE) {
                let (i, j) = (first + row_tile * TILE, second + column_tile * TILE);
                if j < i {
                    continue;
                }
                let (these, row_scales) = rows.tile(row_tile);
                let (those, column_scales) = columns.tile(column_tile);
                let sums = self.tile(rows.parameters, (these, those), i == j, range.clone());
                let width = column_scales.len().next_multiple_of(LANES);
                let lines = sums.chunks_exact(width).zip(row_scales).zip(i..);
                for ((row, row_scale), i) in lines {
                    let entries = row.iter().zip(column_scales).zip(j..);
                    for ((&inner, scale), j) in entries.filter(|&(_, j)| j >= i) {
                        gram[place(count, i, j)] = inner * row_scale * scale;
                    }
                }
            }
        }
    }

    /// Inner products of two tiles; of one with itself, a triangle, those of i <= j.
    fn tile(
        &mut self,
        parameters: usize,
        (rows, columns): (&[T], &[T]),
        is_triangle: bool,
        range: Range<usize>,
    ) -> &[f64] {
        let size = rows.len() / parameters * (columns.len() / parameters);
        self.sums.clear();
        self.sums.resize(size, 0.0);
        self.part.resize(size, T::ZERO);
        for from in range.clone().step_by(ENTRIES) {
            let entries = from..range.end.min(from + ENTRIES);
            multiply_panels(parameters, entries, (rows, columns), is_triangle, &mut self.part);
            self.sums.iter_mut().zip(&self.part).for_each(|(sum, part)| *sum += part.to_f64());
        }
        &self.sums
    }
}

struct GramTiles<'a> {
    formed: &'a Formed,
    tile: Vec<f64>,
}

impl PairSource for GramTiles<'_> {
    fn inner(&mut self, first: usize, second: usize) -> &[f64] {
        let count = self.formed.sq_norms.len();
        self.tile.clear();
        self.tile.resize(TILE * TILE, 0.0);
        let rows = first * TILE..count.min((first + 1) * TILE);
        for (row, i) in self.tile.chunks_exact_mut(TILE).zip(rows) {
            let columns = second * TILE..count.min((second + 1) * TILE);
            for (inner, j) in row.iter_mut().zip(columns).filter(|&(_, j)| i <= j) {
                *inner = self.formed.gram[place(count, i, j)];
            }
        }
        &self.tile
    }
}

#[cfg(test)]
mod tests;

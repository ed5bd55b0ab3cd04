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
use crate::nn::product::{Matrix, Size, multiply};

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

/// How many gradients of `bytes` each are formed at a time.
pub fn panel_len(bytes: usize) -> usize {
    (PANEL_BYTES / bytes.max(1)).max(8)
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
    ) -> Vec<Self> {
        let panel = panel_len(network.parameters() * T::BYTES);
        Self::in_panels(network, examples, groups, layers, panel)
    }

    fn in_panels<T: Real>(
        network: &mut impl Tiles<T>,
        examples: &Examples<T>,
        groups: &[&[u32]],
        layers: &[Range<usize>],
        panel: usize,
    ) -> Vec<Self> {
        let (count, parameters) = (groups.len(), network.parameters());
        let mut former = Former::default();
        let mut form = |groups: &[&[u32]], panel: &mut Panel<T>| {
            let gradients = &mut panel.gradients;
            gradients.resize(groups.len() * parameters, T::ZERO);
            if groups.iter().all(|group| group.len() == 1) {
                former.form_each(network, examples, &groups.concat(), gradients);
            } else {
                for (group, gradient) in groups.iter().zip(gradients.chunks_exact_mut(parameters)) {
                    former.form(network, examples, group, gradient);
                }
            }
            panel.scale(parameters);
        };
        let part = |range| {
            let gram = vec![0.0; count * (count + 1) / 2];
            Part { range, gram, is_touched: Vec::with_capacity(count) }
        };
        let whole = 0..parameters;
        let mut parts: Vec<Part> =
            std::iter::once(whole).chain(layers.iter().cloned()).map(part).collect();
        let mut sum = vec![0.0; parameters];
        let (mut rows, mut columns) = (Panel::default(), Panel::default());
        let mut product = Product { part: Vec::new(), sums: Vec::new(), panels: Vec::new() };
        for first in (0..count).step_by(panel) {
            form(&groups[first..count.min(first + panel)], &mut rows);
            for (gradient, scale) in rows.gradients.chunks_exact(parameters).zip(&rows.scales) {
                sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g.to_f64() * scale);
            }
            for Part { range, gram, is_touched } in &mut parts {
                let gradients = rows.gradients.chunks_exact(parameters);
                let is_zero = |gradient: &[T]| gradient.iter().all(|&g| g == T::ZERO);
                is_touched.extend(gradients.map(|gradient| !is_zero(&gradient[range.clone()])));
                let read = (&rows, &rows, parameters);
                product.multiply(read, range.clone(), (first, first), (count, gram));
            }
            for second in (first + panel..count).step_by(panel) {
                form(&groups[second..count.min(second + panel)], &mut columns);
                let read = (&rows, &columns, parameters);
                for Part { range, gram, .. } in &mut parts {
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

/// Some gradients, each divided by a power of two.
#[derive(Default)]
struct Panel<T> {
    /// `[n, parameters]`.
    gradients: Vec<T>,
    scales: Vec<f64>,
}

impl<T: Real> Panel<T> {
    /// Divides each gradient by a power of two, so that its largest entry is in [1, 2).
    fn scale(&mut self, parameters: usize) {
        self.scales.clear();
        for gradient in self.gradients.chunks_exact_mut(parameters) {
            let scale = power_of_two(gradient);
            let inverse = T::from_f64(1.0 / scale);
            gradient.iter_mut().for_each(|g| *g *= inverse);
            self.scales.push(scale);
        }
    }
}

/// Buffers of one product of tiles.
struct Product<T> {
    part: Vec<T>,
    sums: Vec<f64>,
    panels: Vec<T>,
}

impl<T: Real> Product<T> {
    /// Puts the inner products of the entries `range` of the gradients in `rows`, which begin with number `first`, and in
    /// `columns`, which begin with number `second`, into the Gram matrix of `count` gradients.
    fn multiply(
        &mut self,
        (rows, columns, parameters): (&Panel<T>, &Panel<T>, usize),
        range: Range<usize>,
        (first, second): (usize, usize),
        (count, gram): (usize, &mut [f64]),
    ) {
        let tiles = |panel: &'_ Panel<T>| panel.scales.len().div_ceil(TILE);
        for row_tile in 0..tiles(rows) {
            for column_tile in 0..tiles(columns) {
                let (i, j) = (first + row_tile * TILE, second + column_tile * TILE);
                if j < i {
                    continue;
                }
                let of = |panel: &'_ Panel<T>, tile: usize| {
                    tile * TILE..panel.scales.len().min((tile + 1) * TILE)
                };
                let (these, those) = (of(rows, row_tile), of(columns, column_tile));
                let numbers =
                    |panel: &'_ Range<usize>| panel.start * parameters..panel.end * parameters;
                let row_gradients = &rows.gradients[numbers(&these)];
                let column_gradients = &columns.gradients[numbers(&those)];
                let sums = self.tile(row_gradients, column_gradients, parameters, range.clone());
                let row_scales = &rows.scales[these];
                let column_scales = &columns.scales[those];
                let lines = sums.chunks_exact(column_scales.len()).zip(row_scales).zip(i..);
                for ((row, row_scale), i) in lines {
                    let entries = row.iter().zip(column_scales).zip(j..);
                    for ((&inner, scale), j) in entries.filter(|&(_, j)| j >= i) {
                        gram[place(count, i, j)] = inner * row_scale * scale;
                    }
                }
            }
        }
    }

    fn tile(
        &mut self,
        rows: &[T],
        columns: &[T],
        parameters: usize,
        range: Range<usize>,
    ) -> &[f64] {
        let (n, m) = (rows.len() / parameters, columns.len() / parameters);
        self.sums.clear();
        self.sums.resize(n * m, 0.0);
        self.part.resize(n * m, T::ZERO);
        for from in range.clone().step_by(ENTRIES) {
            let terms = range.end.min(from + ENTRIES) - from;
            let size = Size { rows: n, terms, columns: m };
            let left = Matrix::rows(&rows[from..], parameters);
            let right = Matrix::columns(&columns[from..], parameters);
            multiply(size, left, right, false, &mut self.panels, &mut self.part);
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

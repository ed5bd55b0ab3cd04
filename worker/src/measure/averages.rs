//! Minibatches whose mean gradients are never formed: their inner products are block averages of those of their examples.

use domain::spec::Confusion;

use super::pairs::{PairSource, TILE};
use crate::random::Stream;

/// How N compared examples go into minibatches.
///
/// They are put into one order that has nothing to do with that of the data set, whose files may be sorted by class; the
/// minibatches of B are its runs of B, and the last N mod B examples are left out. So it is the same at every step, for the
/// whole network and its layers, and a minibatch of 16 is four of 4.
#[derive(Clone, Debug, PartialEq)]
pub struct Averages {
    order: Vec<u32>,
    batches: Vec<u32>,
}

impl Averages {
    /// Those that `confusion` asks for of `count` examples.
    pub fn of(confusion: &Confusion, count: usize, seed: u64) -> Self {
        let batches = match confusion {
            Confusion::Samples { average, .. } => average.clone(),
            Confusion::Batches { .. } | Confusion::BatchPairs { .. } | Confusion::CrossIterate => {
                Vec::new()
            }
        };
        let drawn = if batches.is_empty() { 0 } else { count as u32 };
        Self { order: Stream::new(seed, "confusion averages", 0).choose(drawn, drawn), batches }
    }

    /// The sizes of the minibatches, in the order of the rows.
    pub fn batches(&self) -> &[u32] {
        &self.batches
    }

    /// The one order, as places among the examples that are compared; empty where no averages are asked for.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// The minibatches of `batch`: the places of their examples among those compared.
    pub fn minibatches(&self, batch: u32) -> impl Iterator<Item = &[u32]> {
        self.order.chunks_exact(batch as usize)
    }
}

/// The inner products of `source`, tile by tile, added up by minibatches on their way.
///
/// # Cost
/// An addition for each pair and size; 8 n² bytes for each size with n minibatches.
pub struct Averaging<S> {
    source: S,
    /// Gradients, N.
    count: usize,
    sums: Vec<Sums>,
    /// The tile whose pairs are not yet in the sums though those of all before it are.
    next: (usize, usize),
}

/// Sums over the pairs of examples of every two minibatches.
struct Sums {
    batch: u32,
    /// Minibatches, n.
    count: usize,
    /// The minibatch of every example; n, which is none, for those that are left out.
    of: Vec<usize>,
    /// `[n + 1, n + 1]`: at (I, J) the sum of ⟨gᵢ, gⱼ⟩ over i in I and j in J with i < j.
    products: Vec<f64>,
}

impl<S: PairSource> Averaging<S> {
    /// `source` of `count` gradients, to be added up by `averages`.
    pub fn new(source: S, count: usize, averages: Option<&Averages>) -> Self {
        let sums = |averages: &Averages| {
            averages.batches.iter().map(|&batch| Sums::new(averages, batch, count)).collect()
        };
        Self { source, count, sums: averages.map_or(Vec::new(), sums), next: (0, 0) }
    }

    /// The mean gradients of the minibatches of each size, `sq_norms` being |gᵢ|².
    ///
    /// # Panics
    /// If the source was not asked for every tile with `first` <= `second`, in row-major order, though other tiles may have
    /// come between.
    pub fn finish(self, sq_norms: &[f64]) -> Vec<Means> {
        let blocks = self.count.div_ceil(TILE);
        assert!(self.sums.is_empty() || self.next.0 == blocks, "every pair has been seen");
        self.sums.into_iter().map(|sums| sums.finish(sq_norms)).collect()
    }
}

impl<S: PairSource> PairSource for Averaging<S> {
    fn inner(&mut self, first: usize, second: usize) -> &[f64] {
        let inner = self.source.inner(first, second);
        // Where cosines are not held, every tile is asked for again.
        if self.next == (first, second) {
            self.sums.iter_mut().for_each(|sums| sums.take(inner, (first * TILE, second * TILE)));
            let is_last = (second + 1) * TILE >= self.count;
            self.next = if is_last { (first + 1, first + 1) } else { (first, second + 1) };
        }
        inner
    }
}

impl Sums {
    fn new(averages: &Averages, batch: u32, examples: usize) -> Self {
        let count = averages.minibatches(batch).count();
        let mut of = vec![count; examples];
        for (minibatch, places) in averages.minibatches(batch).enumerate() {
            places.iter().for_each(|&place| of[place as usize] = minibatch);
        }
        Self { batch, count, of, products: vec![0.0; (count + 1) * (count + 1)] }
    }

    /// Adds the pairs i < j of the tile at (`first`, `second`), `[TILE, TILE]`.
    fn take(&mut self, inner: &[f64], (first, second): (usize, usize)) {
        let columns = &self.of[second..self.of.len().min(second + TILE)];
        let rows = self.of[first..].iter().zip(first..);
        for (row, (&minibatch, i)) in inner.chunks_exact(TILE).zip(rows) {
            let stride = self.count + 1;
            let line = &mut self.products[minibatch * stride..][..stride];
            let pairs = row.iter().zip(columns).skip((i + 1).saturating_sub(second));
            pairs.for_each(|(product, &other)| line[other] += product);
        }
    }

    fn finish(self, sq_norms: &[f64]) -> Means {
        let Self { batch, count, of, mut products } = self;
        let stride = count + 1;
        let mut squares = vec![0.0; stride];
        of.iter().zip(sq_norms).for_each(|(&minibatch, square)| squares[minibatch] += square);
        let size = f64::from(batch);
        let mut means = Vec::with_capacity(count);
        for i in 0..count {
            let square = (squares[i] + 2.0 * products[i * stride + i]) / size / size;
            let is_rounding = square <= f64::EPSILON * squares[i] / size;
            means.push(if is_rounding { 0.0 } else { square });
            for j in i + 1..count {
                let sum = products[i * stride + j] + products[j * stride + i];
                products[i * stride + j] = sum / size / size;
            }
        }
        let is_whole = count * batch as usize == sq_norms.len();
        Means { batch, is_whole, sq_norms: means, products, tile: vec![0.0; TILE * TILE] }
    }
}

/// The mean gradients of n minibatches of B examples, known by their inner products:
///
/// ```text
/// ⟨g_I, g_J⟩ = (1/B²) Σ_{i ∈ I, j ∈ J} ⟨gᵢ, gⱼ⟩
/// ```
///
/// # Numerics
/// Sums are f64. For every two minibatches the pairs of examples i < j are added tile by tile and each tile row by row,
/// those with i in I and those with j in I apart. |g_I|² is the squares of the examples, in their order, and twice the pairs.
/// Its error is about 1e-16 of the mean |gᵢ|², however small it is itself; where it is no larger than 2⁻⁵² of that, the mean
/// gradient is taken for 0.
#[derive(Clone, Debug)]
pub struct Means {
    batch: u32,
    /// Whether every example is in a minibatch.
    is_whole: bool,
    sq_norms: Vec<f64>,
    /// `[n + 1, n + 1]`: those of I < J; the last row and column are of no minibatch.
    products: Vec<f64>,
    tile: Vec<f64>,
}

impl Means {
    /// |g_I|².
    pub fn sq_norms(&self) -> &[f64] {
        &self.sq_norms
    }

    /// |Σ g_I|², where |Σ gᵢ|² over all compared examples is `sum_sq`: by that, which cancels less, unless some are left out.
    pub fn sq_norm_of_sum(&self, sum_sq: f64) -> f64 {
        if self.is_whole {
            let size = f64::from(self.batch);
            return sum_sq / size / size;
        }
        let pairs: f64 = self.lines().flatten().sum();
        (self.sq_norms.iter().sum::<f64>() + 2.0 * pairs).max(0.0)
    }

    /// Whether every product is finite.
    pub fn is_finite(&self) -> bool {
        let mut products = self.sq_norms.iter().chain(self.lines().flatten());
        products.all(|product| product.is_finite())
    }

    /// Whether some square is below the smallest normal number though its gradient is not zero.
    pub fn is_subnormal(&self) -> bool {
        self.sq_norms.iter().any(|square| square.is_subnormal())
    }

    /// ⟨g_I, g_J⟩ for I < J, a line for each I.
    fn lines(&self) -> impl Iterator<Item = &[f64]> {
        let count = self.sq_norms.len();
        let lines = self.products.chunks_exact(count + 1).take(count);
        lines.enumerate().map(move |(i, line)| &line[i + 1..count])
    }
}

impl PairSource for Means {
    fn inner(&mut self, first: usize, second: usize) -> &[f64] {
        let count = self.sq_norms.len();
        let columns = second * TILE..count.min((second + 1) * TILE);
        let lines = self.products.chunks_exact(count + 1).take(count).skip(first * TILE);
        for (row, line) in self.tile.chunks_exact_mut(TILE).zip(lines) {
            row[..columns.len()].copy_from_slice(&line[columns.clone()]);
        }
        &self.tile
    }
}

#[cfg(test)]
mod tests;

//! Gradients that are compared in listed pairs: pairs of minibatches, and one step against the examples that it left out.

use std::ops::Range;

use domain::ConfusionRow;
use domain::spec::Mode;

use super::confusion::{Compared, Occasion, batch_pair, blank, name, put_listed};
use super::formed::ENTRIES;
use super::tiles::{Former, Tiles, losses};
use crate::data::{Examples, Label};
use crate::nn::Real;
use crate::nn::kernel::dot;

/// Products and squared norms of pairs of gradients.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listed {
    /// ⟨a, b⟩ of every pair.
    pub inner: Vec<f64>,
    /// |a|² and |b|².
    pub sq_norms: Vec<[f64; 2]>,
    /// Whether some square is below the smallest normal number though its gradient is not zero.
    pub is_lost: bool,
}

impl Listed {
    /// Adds the pair of `a` and `b`.
    ///
    /// # Numerics
    /// Products and their sums are f64, 1,024 entries after 1,024.
    fn push<T: Real>(&mut self, a: &[T], b: &[T]) {
        let (mut inner, mut squares) = (0.0, [0.0; 2]);
        let (mut wide_a, mut wide_b) = ([0.0; ENTRIES], [0.0; ENTRIES]);
        for (a, b) in a.chunks(ENTRIES).zip(b.chunks(ENTRIES)) {
            wide_a.iter_mut().zip(a).for_each(|(wide, a)| *wide = a.to_f64());
            wide_b.iter_mut().zip(b).for_each(|(wide, b)| *wide = b.to_f64());
            let (a, b) = (&wide_a[..a.len()], &wide_b[..b.len()]);
            inner += dot(a, b);
            squares[0] += dot(a, a);
            squares[1] += dot(b, b);
        }
        let is_lost = |gradient: &[T], square: f64| {
            square < T::MIN_POSITIVE && gradient.iter().any(|&g| g != T::ZERO)
        };
        self.is_lost |= is_lost(a, squares[0]) || is_lost(b, squares[1]);
        self.inner.push(inner);
        self.sq_norms.push(squares);
    }

    /// Whether every gradient is finite.
    pub fn is_finite(&self) -> bool {
        self.sq_norms.as_flattened().iter().all(|square| square.is_finite())
    }
}

/// The rows of `count` pairs of minibatches of `batch` examples, each pair drawn by itself from `seed`: whole, then the parts of the
/// gradients that `layers` names.
///
/// # Cost
/// 2 `count` forward and backward passes of a minibatch; two gradients are held at a time.
pub fn batch_pair_rows<T: Real>(
    network: &mut impl Tiles<T>,
    examples: &Examples<T>,
    (count, batch): (u32, u32),
    mode: Mode,
    seed: u64,
    occasion: Occasion,
    layers: &[Range<usize>],
) -> Vec<ConfusionRow> {
    let parameters = network.parameters();
    let whole = 0..parameters;
    let parts: Vec<_> = std::iter::once(whole).chain(layers.iter().cloned()).collect();
    let mut listed = vec![Listed::default(); parts.len()];
    let [mut a, mut b] = [0; 2].map(|_| vec![T::ZERO; parameters]);
    let mut former = Former::default();
    for p in 0..count {
        let pair = batch_pair(p, batch, examples.len() as u32, seed);
        let (one, other) = pair.split_at(pair.len() / 2);
        former.form(network, examples, one, &mut a);
        former.form(network, examples, other, &mut b);
        for (listed, part) in listed.iter_mut().zip(&parts) {
            listed.push(&a[part.clone()], &b[part.clone()]);
        }
    }
    let is_finite = listed.iter().all(Listed::is_finite);
    let compared = Compared { scope: "batch-pairs", mode, batch, examples: None, averages: None };
    let layers = std::iter::once(None).chain((0..).map(Some));
    let row = |(listed, layer): (&Listed, Option<u32>)| {
        let mut row = blank(compared, occasion, layer, 2 * count as usize);
        row.pairs = u64::from(count);
        if is_finite {
            let squares = listed.sq_norms.as_flattened();
            let mean = squares.iter().sum::<f64>() / squares.len() as f64;
            put_listed(&mut row, listed, mean);
        }
        row
    };
    listed.iter().zip(layers).map(row).collect()
}

/// A step from w to w₊, seen from w.
#[derive(Clone, Debug)]
pub struct StepTaken<T> {
    batch: Vec<u32>,
    gradient: Vec<T>,
    losses: Vec<f64>,
}

impl<T: Real> StepTaken<T> {
    /// The step along the mean gradient at `network` of the examples that `batch` names.
    pub fn from(network: &mut impl Tiles<T>, examples: &Examples<T>, mut batch: Vec<u32>) -> Self {
        let mut gradient = vec![T::ZERO; network.parameters()];
        Former::default().form(network, examples, &batch, &mut gradient);
        batch.sort_unstable();
        Self { batch, gradient, losses: losses(network, examples) }
    }

    /// The row of the step, `network` being at w₊ and `step_size` α.
    ///
    /// ```text
    /// η                      max(0, −min_j ⟨∇f_B(w), ∇f_j(w₊)⟩),       relative: η / mean_j |∇f_j(w₊)|²
    /// realised interference  max_j (f_j(w₊) − f_j(w)) / α
    /// ```
    ///
    /// over all examples j that are not in the minibatch B: the poster's strengthened bound, and the part of it that the step
    /// makes true.
    ///
    /// # Numerics
    /// Losses are of the network's precision, so the realised interference has an error of about 1e-7 f/α in f32.
    pub fn row(
        self,
        network: &mut impl Tiles<T>,
        examples: &Examples<T>,
        (step_size, occasion): (f64, Occasion),
    ) -> ConfusionRow {
        let Self { batch, gradient, losses: before } = self;
        let after = losses(network, examples);
        let is_other = |j: &u32| batch.binary_search(j).is_err();
        let others: Vec<u32> = (0..examples.len() as u32).filter(is_other).collect();
        let mut listed = Listed::default();
        let mut former = Former::default();
        let mut other = vec![T::ZERO; gradient.len()];
        for &j in &others {
            former.form(network, examples, &[j], &mut other);
            listed.push(&gradient, &other);
        }
        let (size, mode) = (batch.len() as u32, Mode::Eval);
        let compared =
            Compared { scope: "cross-iterate", mode, batch: size, examples: None, averages: None };
        let mut row = blank(compared, occasion, None, 1 + others.len());
        let mean = listed.sq_norms.iter().map(|[_, square]| square).sum::<f64>();
        let least = put_listed(&mut row, &listed, mean / others.len() as f64);
        if let (Some(least), &[i]) = (least, &*batch) {
            let labels = [i, others[least]].map(|index| examples.labels[index as usize]);
            name(&mut row, (0, 1), (&[i, others[least]], &labels as &[Label]));
        }
        let rises = others.iter().map(|&j| after[j as usize] - before[j as usize]);
        let most = rises.fold(f64::NEG_INFINITY, f64::max) / step_size;
        row.realised_interference = most.is_finite().then_some(most);
        row
    }
}

#[cfg(test)]
mod tests;

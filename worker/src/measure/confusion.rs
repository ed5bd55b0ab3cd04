//! Confusion rows: the poster's η and its relatives, for the whole network and for each layer.

use domain::ConfusionRow;
use domain::spec::{Confusion, Mode};

use super::averages::{Averages, Averaging};
use super::capture::{Capture, LayerCapture};
use super::formed::Formed;
use super::gram::tiles_of;
use super::listed::Listed;
use super::pairs::{PairSource, PairStatistics, listed_statistics, statistics_of};
use crate::data::Label;
use crate::nn::Real;
use crate::random::Stream;

/// When a measurement is made, as its rows say it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Occasion {
    pub step: u64,
    pub epoch: f64,
    pub risk: Option<f64>,
}

/// What a measurement compares, as its rows say it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared<'a> {
    pub scope: &'static str,
    pub mode: Mode,
    /// Examples in each gradient.
    pub batch: u32,
    /// The training-set index and the label of the example of each gradient; `None` where there are more in one.
    pub examples: Option<(&'a [u32], &'a [Label])>,
    /// The minibatches whose mean gradients are compared too.
    pub averages: Option<&'a Averages>,
}

/// The training examples that `confusion` compares, the same at every step.
///
/// ```text
/// samples      all of them, or the first of a permutation of the measure seed; ascending
/// batches      the first of another permutation, minibatch after minibatch
/// ```
///
/// Pairs of minibatches are drawn one by one, see [`batch_pair`]; the examples across a step are those of the step.
pub fn chosen_examples(confusion: &Confusion, samples: u32, seed: u64) -> Vec<u32> {
    match *confusion {
        Confusion::Samples { count, .. } if count >= samples => (0..samples).collect(),
        Confusion::Samples { count, .. } => {
            let mut chosen = Stream::new(seed, "confusion samples", 0).choose(samples, count);
            chosen.sort_unstable();
            chosen
        }
        Confusion::Batches { count, batch } => {
            Stream::new(seed, "confusion batches", 0).choose(samples, count.saturating_mul(batch))
        }
        Confusion::BatchPairs { .. } | Confusion::CrossIterate => Vec::new(),
    }
}

/// The examples of pair number `p` of minibatches of `batch`, the same at every step: those of the one, then those of the other.
pub fn batch_pair(p: u32, batch: u32, samples: u32, seed: u64) -> Vec<u32> {
    let mut stream = Stream::new(seed, "confusion batch pairs", u64::from(p));
    stream.choose(samples, batch.saturating_mul(2))
}

/// The rows of one measurement: the whole network's, then, with `layers`, one for each weight matrix; then the same of the
/// mean gradients of minibatches, size after size.
///
/// ```text
/// η = max(0, −min_{i<j} ⟨gᵢ, gⱼ⟩)        relative: η / mean |g|²
/// diversity   Σ|gᵢ|² / |Σ gᵢ|²            coherence: its inverse
/// noise scale mean |g|² / |mean g|² − 1   (trace of the gradients' covariance over these N, divided by N)
/// ```
///
/// A gradient that is exactly zero, because the residual or the input is, is legal: its pairs count, with inner product
/// 0, and are left out of the cosines. Where some |gᵢ|² is below the smallest normal number of the network's precision
/// without being such a zero, the row is marked `subnormal` and holds no figure that needs |gᵢ|²: what underflowed must
/// not read as absence of confusion. A network whose gradients are not finite has no figures either.
///
/// Minibatches have no figures either where their examples have none; their inner products follow from those of the
/// examples, see [`Means`](super::averages::Means).
pub fn confusion_rows<T: Real>(
    capture: &Capture<'_, T>,
    compared: Compared<'_>,
    occasion: Occasion,
    layers: bool,
) -> Vec<ConfusionRow> {
    let whole: Vec<&LayerCapture<T>> = capture.layers.iter().collect();
    let mut parts = vec![(None, &whole[..])];
    if layers {
        parts.extend((0..).zip(whole.chunks(1)).map(|(p, part)| (Some(p), part)));
    }
    let rows = |(layer, part): (Option<u32>, &[&LayerCapture<T>])| {
        let mut rows = blanks(compared, occasion, layer, capture.count);
        fill(&mut rows, capture, (layer, part), compared);
        rows
    };
    by_size(parts.into_iter().map(rows).collect())
}

/// The rows of one part of the gradients without their figures: of the gradients, then of the minibatches of each size.
fn blanks(
    compared: Compared<'_>,
    occasion: Occasion,
    layer: Option<u32>,
    count: usize,
) -> Vec<ConfusionRow> {
    let averaged = compared.averages.map_or(&[][..], Averages::batches).iter().map(|&batch| {
        let compared = Compared { batch, examples: None, ..compared };
        blank(compared, occasion, layer, count / batch as usize)
    });
    std::iter::once(blank(compared, occasion, layer, count)).chain(averaged).collect()
}

/// The rows of all parts, those of each size together.
fn by_size(parts: Vec<Vec<ConfusionRow>>) -> Vec<ConfusionRow> {
    let mut parts: Vec<_> = parts.into_iter().map(Vec::into_iter).collect();
    let mut rows = Vec::new();
    loop {
        let before = rows.len();
        rows.extend(parts.iter_mut().filter_map(Iterator::next));
        if rows.len() == before {
            return rows;
        }
    }
}

/// The row of all pairs of `count` gradients, without their figures.
pub fn blank(
    compared: Compared<'_>,
    occasion: Occasion,
    layer: Option<u32>,
    count: usize,
) -> ConfusionRow {
    ConfusionRow {
        step: occasion.step,
        epoch: occasion.epoch,
        risk: occasion.risk,
        scope: compared.scope,
        mode: compared.mode.as_str(),
        layer,
        count: count as u32,
        measure_batch: compared.batch,
        pairs: count as u64 * (count as u64 - 1) / 2,
        ..ConfusionRow::default()
    }
}

/// Puts the figures of the gradients in `part` of the layers, and of their averages, into `rows`.
fn fill<T: Real>(
    rows: &mut [ConfusionRow],
    capture: &Capture<'_, T>,
    (layer, part): (Option<u32>, &[&LayerCapture<T>]),
    compared: Compared<'_>,
) {
    if !capture.is_finite {
        return;
    }
    let sq_norm = |i: usize| part.iter().fold(0.0, |sum, layer| sum + layer.sq_norms[i]);
    let sq_norms: Vec<f64> = (0..capture.count).map(sq_norm).collect();
    let is_lost = |(i, &square): (usize, &f64)| {
        square < capture.min_positive
            && (capture.is_live[i] || part.iter().any(|layer| layer.is_touched[i]))
    };
    if sq_norms.iter().enumerate().any(is_lost) {
        return rows.iter_mut().for_each(|row| row.subnormal = true);
    }
    let summed = |sum_of_products: f64| {
        // Where little has cancelled the products tell it; else the summed gradient does.
        if sum_of_products >= RESOLVED * sq_norms.iter().sum::<f64>() {
            return sum_of_products;
        }
        let layers = capture.sq_norms_of_sum();
        layer.map_or(layers.iter().sum(), |layer| layers[layer as usize])
    };
    put_averaged(rows, tiles_of(part, &sq_norms), (&sq_norms, summed), compared);
}

/// Share of Σ|gᵢ|² that |Σ gᵢ|² must have to be taken from the inner products: in f32 it is then good to 1e-4.
const RESOLVED: f64 = 1.0 / 1024.0;

/// Puts the figures of all pairs from `source` into the first of `rows`, and those of the averages into the others. `summed`
/// tells |Σ gᵢ|², or improves what the inner products say of it.
fn put_averaged(
    rows: &mut [ConfusionRow],
    source: impl PairSource,
    (sq_norms, summed): (&[f64], impl FnOnce(f64) -> f64),
    compared: Compared<'_>,
) {
    let [row, averaged @ ..] = rows else { return };
    let mut source = Averaging::new(source, sq_norms.len(), compared.averages);
    let pairs = statistics_of(&mut source, sq_norms);
    if let Some(examples) = compared.examples {
        name(row, pairs.argmin, examples);
    }
    let sum_sq = summed(sq_norms.iter().sum::<f64>() + 2.0 * pairs.inner_sum);
    put_all(row, sq_norms, sum_sq, pairs);
    for (row, mut means) in averaged.iter_mut().zip(source.finish(sq_norms)) {
        row.subnormal = means.is_subnormal();
        if row.subnormal || !means.is_finite() {
            continue;
        }
        let sq_norms = means.sq_norms().to_vec();
        let pairs = statistics_of(&mut means, &sq_norms);
        put_all(row, &sq_norms, means.sq_norm_of_sum(sum_sq), pairs);
    }
}

/// The rows of gradients that were formed: whole, then the layers apart; then the same of the mean gradients of minibatches,
/// size after size.
///
/// A gradient that is zero in every entry is legal here too; one that is not, but whose squared norm is below the
/// smallest normal number, marks the row `subnormal`. Where a whole gradient is not finite, no row has figures.
pub fn formed_rows(
    formed: &[Formed],
    compared: Compared<'_>,
    occasion: Occasion,
) -> Vec<ConfusionRow> {
    let is_finite = formed.iter().all(Formed::is_finite);
    let layers = std::iter::once(None).chain((0..).map(Some));
    let rows = |(formed, layer): (&Formed, Option<u32>)| {
        let sq_norms = formed.sq_norms();
        let mut rows = blanks(compared, occasion, layer, sq_norms.len());
        if !is_finite {
            return rows;
        }
        let is_lost =
            |(i, &square): (usize, &f64)| square < formed.min_positive() && formed.is_touched(i);
        if sq_norms.iter().enumerate().any(is_lost) {
            rows.iter_mut().for_each(|row| row.subnormal = true);
        } else {
            let squares = (sq_norms, |_| formed.sq_norm_of_sum());
            put_averaged(&mut rows, formed.tiles(), squares, compared);
        }
        rows
    };
    by_size(formed.iter().zip(layers).map(rows).collect())
}

/// Puts the figures of pairs that are listed into `row`, `mean_sq_norm` being that of the gradients that the scope is
/// relative to. There is no mean gradient, so nothing that would need one. Returns the place of the least product.
pub fn put_listed(row: &mut ConfusionRow, listed: &Listed, mean_sq_norm: f64) -> Option<usize> {
    row.pairs = listed.inner.len() as u64;
    row.subnormal = listed.is_lost;
    if row.subnormal || !listed.is_finite() {
        return None;
    }
    let pairs = listed_statistics(&listed.inner, &listed.sq_norms);
    let (least, _) = pairs.argmin;
    put(row, mean_sq_norm, pairs);
    Some(least)
}

/// Names the pair of the least product by the training-set indices and the classes of its examples.
pub fn name(row: &mut ConfusionRow, (i, j): (usize, usize), examples: (&[u32], &[Label])) {
    let (chosen, labels) = examples;
    let class = |i: usize| match labels[i] {
        Label::Class(class) => Some(class),
        Label::Real(_) => None,
    };
    (row.argmin_i, row.argmin_j) = (Some(chosen[i]), Some(chosen[j]));
    (row.class_i, row.class_j) = (class(i), class(j));
}

/// Puts the figures that follow from all pairs, from |gᵢ|² and from `sum_sq` = |Σ gᵢ|² into `row`.
fn put_all(row: &mut ConfusionRow, sq_norms: &[f64], sum_sq: f64, pairs: PairStatistics) {
    let n = sq_norms.len() as f64;
    let mean_sq_norm = sq_norms.iter().sum::<f64>() / n;
    let sq_norm_of_mean = sum_sq / n / n;
    row.sq_norm_of_mean = finite(sq_norm_of_mean);
    row.diversity = finite(mean_sq_norm / (n * sq_norm_of_mean));
    row.coherence = finite(n * sq_norm_of_mean / mean_sq_norm);
    row.noise_scale = finite((mean_sq_norm / sq_norm_of_mean - 1.0).max(0.0));
    put(row, mean_sq_norm, pairs);
}

/// Puts the figures that follow from any pairs into `row`.
fn put(row: &mut ConfusionRow, mean_sq_norm: f64, pairs: PairStatistics) {
    let eta = if pairs.min_inner < 0.0 { -pairs.min_inner } else { 0.0 };
    row.eta = finite(eta);
    row.relative_eta = finite(eta / mean_sq_norm);
    row.min_inner = finite(pairs.min_inner);
    row.mean_inner = finite(pairs.inner_sum / pairs.pairs as f64);
    row.negative_fraction = finite(pairs.negative as f64 / pairs.pairs as f64);
    row.mean_sq_norm = finite(mean_sq_norm);
    if let Some(cosines) = pairs.cosines {
        row.min_cos = Some(cosines.min);
        row.mean_cos = Some(cosines.mean);
        row.rms_cos = Some(cosines.rms);
        [row.cos_q001, row.cos_q01, row.cos_q05, row.cos_q50] = cosines.quantiles.map(Some);
        row.histogram = Some(cosines.histogram);
    }
}

fn finite(number: f64) -> Option<f64> {
    number.is_finite().then_some(number)
}

#[cfg(test)]
mod tests;

//! Minibatches and steps against gradients of single examples.

use domain::spec::{Activation, Loss};

use super::*;
use crate::measure::{Compared, Curve, Formed, Workspace, chosen_examples, formed_rows};
use crate::nn::Network;
use crate::nn::testing::{examples, gradient_of, mlp, network};

const OCCASION: Occasion = Occasion { step: 3, epoch: 0.0, risk: None };
const COUNT: usize = 150;
const SEED: u64 = 8;

fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn setting() -> (Network<f64>, Examples<f64>, Curve<f64>) {
    let network = network::<f64>(&mlp(6, 1, Activation::Tanh, Activation::Identity), 5, 3);
    let set = examples::<f64>(COUNT, 5, 1, Loss::Squared, 1);
    let curve = Curve::new(&network, Loss::Squared);
    (network, set, curve)
}

/// The mean of the gradients of single examples.
fn mean_of(network: &Network<f64>, set: &Examples<f64>, group: &[u32]) -> Vec<f64> {
    let mut mean = vec![0.0; network.parameters().len()];
    for &i in group {
        let gradient = gradient_of(network, set, Loss::Squared, i as usize);
        mean.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g / group.len() as f64);
    }
    mean
}

/// f_j, as the risk of a set of one example.
fn loss_of(curve: &mut Curve<f64>, network: &Network<f64>, set: &Examples<f64>, j: usize) -> f64 {
    let one = Examples {
        inputs: set.inputs[j * network.dim()..(j + 1) * network.dim()].to_vec(),
        targets: set.targets[j * network.outputs()..(j + 1) * network.outputs()].to_vec(),
        labels: vec![set.labels[j]],
    };
    curve.without_gradient(network, &one).expect("one example").risk
}

#[track_caller]
fn close(found: Option<f64>, expected: f64) {
    let found = found.expect("there is a figure");
    assert!((found - expected).abs() <= 1e-12 * (1.0 + expected.abs()), "{found} for {expected}");
}

/// Minibatches of 70 take two tiles; without batch norm their inner products are the block averages of those of their
/// examples.
#[test]
fn disjoint_minibatches_have_the_mean_gradients_of_their_examples() {
    let (network, set, mut curve) = setting();
    for (count, batch) in [(2, 70), (7, 20), (150, 1)] {
        let asked = domain::spec::Confusion::Batches { count, batch };
        let chosen = chosen_examples(&asked, COUNT as u32, 9);
        let mut sorted = chosen.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), (count * batch) as usize, "no example is in two");
        let groups: Vec<&[u32]> = chosen.chunks(batch as usize).collect();
        let layers = network.layer_ranges();
        let mut tiles = curve.tiles(&network);
        let formed = Formed::take(&mut tiles, &set, &groups, &layers, &mut Workspace::default());
        let compared =
            Compared { scope: "batches", mode: Mode::Eval, batch, examples: None, averages: None };
        let rows = formed_rows(&formed, compared, OCCASION);
        assert_eq!((rows.len(), rows[0].count, rows[0].measure_batch), (4, count, batch));
        assert_eq!((rows[0].argmin_i, rows[0].class_j), (None, None));

        let means: Vec<Vec<f64>> =
            groups.iter().map(|group| mean_of(&network, &set, group)).collect();
        let parts = std::iter::once(0..network.parameters().len()).chain(layers);
        for (row, part) in rows.iter().zip(parts) {
            let mut least = f64::INFINITY;
            for i in 0..means.len() {
                for j in 0..i {
                    least = least.min(inner(&means[i][part.clone()], &means[j][part.clone()]));
                }
            }
            close(row.min_inner, least);
            let square = means.iter().map(|g| inner(&g[part.clone()], &g[part.clone()]));
            close(row.mean_sq_norm, square.sum::<f64>() / means.len() as f64);
        }
    }
}

#[test]
fn pairs_of_minibatches_are_compared_within_the_pair_alone() {
    let (network, set, mut curve) = setting();
    let mut tiles = curve.tiles(&network);
    let layers = network.layer_ranges();
    let rows = batch_pair_rows(&mut tiles, &set, (5, 30), Mode::Eval, SEED, OCCASION, &layers);
    let row = &rows[0];
    assert_eq!((rows.len(), row.count, row.pairs, row.measure_batch), (4, 10, 5, 30));
    assert_eq!((row.scope, row.argmin_i, row.diversity), ("batch-pairs", None, None));
    let mut least = f64::INFINITY;
    let (mut sum, mut cosine_sum, mut squares) = (0.0, 0.0, 0.0);
    for p in 0..5 {
        let pair = batch_pair(p, 30, COUNT as u32, SEED);
        let mut sorted = pair.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 60, "the two have no example in common");
        let [a, b] = [&pair[..30], &pair[30..]].map(|group| mean_of(&network, &set, group));
        let product = inner(&a, &b);
        let [a, b] = [a, b].map(|g| inner(&g, &g));
        least = least.min(product);
        sum += product;
        cosine_sum += product / (a * b).sqrt();
        squares += a + b;
    }
    close(row.min_inner, least);
    close(row.eta, (-least).max(0.0));
    close(row.mean_inner, sum / 5.0);
    close(row.mean_cos, cosine_sum / 5.0);
    close(row.mean_sq_norm, squares / 10.0);
    assert_ne!(batch_pair(0, 30, 150, 3), batch_pair(1, 30, 150, 3));
}

#[test]
fn a_step_is_compared_with_the_examples_it_left_out_where_it_ends() {
    let (network, set, mut curve) = setting();
    let step_size = 0.05;
    for batch in [vec![17], vec![4, 90, 4, 2]] {
        let gradient = mean_of(&network, &set, &batch);
        let mut next = network.clone();
        next.parameters_mut().iter_mut().zip(&gradient).for_each(|(w, g)| *w -= step_size * g);
        let taken = StepTaken::from(&mut curve.tiles(&network), &set, batch.clone());
        let row = taken.row(&mut curve.tiles(&next), &set, (step_size, OCCASION));

        let others: Vec<u32> = (0..COUNT as u32).filter(|j| !batch.contains(j)).collect();
        let (mut least, mut place, mut squares, mut rise) =
            (f64::INFINITY, 0, 0.0, f64::NEG_INFINITY);
        for &j in &others {
            let other = gradient_of(&next, &set, Loss::Squared, j as usize);
            let product = inner(&gradient, &other);
            if product < least {
                (least, place) = (product, j);
            }
            squares += inner(&other, &other);
            let [before, after] =
                [&network, &next].map(|network| loss_of(&mut curve, network, &set, j as usize));
            rise = rise.max((after - before) / step_size);
        }
        assert_eq!((row.scope, row.measure_batch), ("cross-iterate", batch.len() as u32));
        assert_eq!((row.pairs, row.layer), (others.len() as u64, None));
        close(row.min_inner, least);
        close(row.mean_sq_norm, squares / others.len() as f64);
        let found = row.realised_interference.expect("finite");
        assert!((found - rise).abs() < 1e-10, "{found} for {rise}");
        let named = (batch.len() == 1).then_some((17, place));
        assert_eq!(row.argmin_i.zip(row.argmin_j), named);
    }
}

#[test]
fn figures_of_gradients_that_are_not_finite_or_underflow_are_left_out() {
    let mut listed = Listed::default();
    listed.push(&[1.0, f64::NAN], &[1.0, 0.0]);
    let compared = Compared {
        scope: "batch-pairs",
        mode: Mode::Eval,
        batch: 2,
        examples: None,
        averages: None,
    };
    let mut row = blank(compared, OCCASION, None, 2);
    assert_eq!(put_listed(&mut row, &listed, 1.0), None);
    assert_eq!((row.eta, row.subnormal), (None, false));

    let mut listed = Listed::default();
    listed.push(&[1e-160, 0.0], &[1.0, 0.0]);
    let mut row = blank(compared, OCCASION, None, 2);
    put_listed(&mut row, &listed, 1.0);
    assert_eq!((row.eta, row.subnormal), (None, true));
    let mut listed = Listed::default();
    listed.push(&[0.0, 0.0], &[1.0, 0.0]);
    let mut row = blank(compared, OCCASION, None, 2);
    put_listed(&mut row, &listed, 0.5);
    assert_eq!((row.eta, row.min_cos, row.subnormal), (Some(0.0), None, false));
}

//! The fused step against the general one, and the update rules against their formulae.

use domain::spec::{Activation, Loss, Sampling};

use super::*;
use crate::nn::testing::{examples, gradient_of, losses, mlp, network};

fn train(loss: Loss, batch: u32, momentum: f64, weight_decay: f64) -> Train {
    Train {
        loss,
        batch,
        steps: 100,
        step_size: 0.05,
        schedule: Vec::new(),
        sampling: Sampling::Uniform,
        momentum,
        weight_decay,
        augment: false,
        stop_below: None,
    }
}

/// One general step from its parts.
fn general_step<T: Real>(
    network: &mut Network<T>,
    set: &Examples<T>,
    i: usize,
    train: &Train,
) -> f64 {
    let gradient = gradient_of(network, set, train.loss, i);
    let (step_size, decay) = (T::from_f64(train.step_size), T::from_f64(train.weight_decay));
    let (dim, outputs) = (network.dim(), network.outputs());
    let mut pass = Pass::new(network, 1);
    pass.forward(network, &set.inputs[i * dim..(i + 1) * dim]);
    let target = &set.targets[i * outputs..(i + 1) * outputs];
    let loss = pass.losses(network, train.loss, target, 1)[0].to_f64();
    for (w, g) in network.parameters_mut().iter_mut().zip(gradient) {
        *w -= step_size * if decay == T::ZERO { g } else { g + decay * *w };
    }
    loss
}

fn fused_is_general<T: Real>() {
    for loss in losses() {
        for (bias, decay) in [(false, 0.0), (true, 0.01)] {
            let mut model = mlp(21, 2, Activation::Tanh, Activation::Sigmoid);
            (model.outputs, model.bias) = (3, bias);
            let train = train(loss, 1, 0.0, decay);
            let examples = examples::<T>(9, 19, 3, loss, 2);
            let mut fused = network::<T>(&model, 19, 5);
            let mut general = fused.clone();
            let order = || Order::new(&train, 9, 3, 0);
            let (mut sgd, mut draws) = (Sgd::new(&train, order(), &fused), order());
            for step in 0..50 {
                let mut index = [0];
                draws.next_step(&mut index);
                let expected = general_step(&mut general, &examples, index[0] as usize, &train);
                let found = sgd.step(&mut fused, &examples, step);
                // 50 steps of roundings that differ in the last places of numbers of order 1.
                let bound = if T::BYTES == 4 { 1e-4 } else { 1e-12 };
                assert!(
                    (found - expected).abs() <= bound,
                    "step {step} of {loss:?}: {found} {expected}"
                );
            }
        }
    }
}

#[test]
fn the_fused_step_has_the_bits_of_the_general_one() {
    fused_is_general::<f64>();
    fused_is_general::<f32>();
}

/// v = μ v + g and w = w − α v, spelled out; sums of eight terms round to a few 1e-16.
#[test]
fn minibatches_momentum_and_decay_follow_their_formulae() {
    let model = mlp(5, 1, Activation::Tanh, Activation::Identity);
    let train = train(Loss::Squared, 8, 0.9, 0.02);
    let examples = examples::<f64>(20, 4, 1, Loss::Squared, 2);
    let mut found = network::<f64>(&model, 4, 5);
    let mut expected = found.clone();
    let order = || Order::new(&train, 20, 3, 0);
    let (mut sgd, mut draws) = (Sgd::new(&train, order(), &found), order());
    let mut velocity = vec![0.0; found.parameters().len()];
    for step in 0..30 {
        let mut indices = [0; 8];
        draws.next_step(&mut indices);
        let mut mean = vec![0.0; velocity.len()];
        for i in indices {
            let one = gradient_of(&expected, &examples, Loss::Squared, i as usize);
            mean.iter_mut().zip(one).for_each(|(mean, g)| *mean += g / 8.0);
        }
        for ((w, v), g) in expected.parameters_mut().iter_mut().zip(&mut velocity).zip(mean) {
            *v = 0.9 * *v + g + 0.02 * *w;
            *w -= 0.05 * *v;
        }
        sgd.step(&mut found, &examples, step);
    }
    for (found, expected) in found.parameters().iter().zip(expected.parameters()) {
        assert!((found - expected).abs() < 1e-13, "{found} {expected}");
    }
}

/// Minibatches up to so many examples are taken in where they are summed; the bits are those of larger ones.
#[test]
fn a_step_in_place_has_the_bits_of_one_along_a_gradient_that_is_formed() {
    fn check<T: Real>(bias: bool, decay: f64, batch: u32) {
        let mut model = mlp(37, 2, Activation::Tanh, Activation::Sigmoid);
        (model.outputs, model.bias) = (3, bias);
        let train = train(Loss::Squared, batch, 0.0, decay);
        let examples = examples::<T>(300, 19, 3, Loss::Squared, 2);
        let mut found = network::<T>(&model, 19, 5);
        let mut expected = found.clone();
        let order = || Order::new(&train, 300, 3, 0);
        let mut sgd = Sgd::new(&train, order(), &found);
        assert!(matches!(sgd.way, Way::InPlace));
        let mut formed = Sgd::new(&train, order(), &found);
        formed.way = Way::Formed(Aligned::zeros(found.parameters().len()));
        for step in 0..10 {
            let losses = [
                sgd.step(&mut found, &examples, step),
                formed.step(&mut expected, &examples, step),
            ];
            assert_eq!(losses[0], losses[1]);
        }
        assert_eq!(found, expected, "{bias} {decay} {batch}");
    }
    for (bias, decay) in [(false, 0.0), (true, 0.0), (true, 0.01)] {
        for batch in [2, 17, 256] {
            check::<f32>(bias, decay, batch);
            check::<f64>(bias, decay, batch);
        }
    }
}

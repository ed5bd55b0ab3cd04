//! Blocks of steps against single ones, spelled out.

use domain::spec::{Activation, Loss};
use proptest::prelude::*;

use super::*;
use crate::data::Examples;
use crate::nn::testing::{Wide, activations, examples, gradient_of, losses, mlp, network};

/// Takes `steps` steps by the book: w ← w − α ∇fᵢ(w), example after example.
fn by_the_book<T: Real>(
    network: &mut Network<T>,
    set: &Examples<T>,
    loss: Loss,
    sizes: &[T],
) -> Vec<f64> {
    let (dim, outputs) = (network.dim(), network.outputs());
    let mut pass = crate::nn::Pass::new(network, 1);
    let step = |(i, &size): (usize, &T)| {
        let gradient = gradient_of(network, set, loss, i);
        pass.forward(network, &set.inputs[i * dim..(i + 1) * dim]);
        let target = &set.targets[i * outputs..(i + 1) * outputs];
        let value = pass.losses(network, loss, target, 1)[0].to_f64();
        for (w, g) in network.parameters_mut().iter_mut().zip(gradient) {
            *w -= size * g;
        }
        value
    };
    sizes.iter().enumerate().map(step).collect()
}

/// A block, on the vectors of `run`.
fn block<T: Real>(
    network: &mut Network<T>,
    set: &Examples<T>,
    loss: Loss,
    sizes: &[T],
    run: impl FnOnce(Block<'_, T>),
) -> Vec<f64> {
    let mut descent = Descent::new(network);
    let (inputs, targets) = descent.examples_mut();
    let count = sizes.len();
    inputs[..count * network.dim()].copy_from_slice(&set.inputs[..count * network.dim()]);
    targets[..count * network.outputs()].copy_from_slice(&set.targets[..count * network.outputs()]);
    run(Block { network, descent: &mut descent, loss, step_sizes: sizes });
    descent.losses[..count].iter().map(|loss| loss.to_f64()).collect()
}

/// Whether a block of `count` steps is `count` single steps, to `tolerance`, with the same bits on every set of vectors.
#[track_caller]
fn check<T: Real>(start: &Network<T>, loss: Loss, count: usize, tolerance: f64) {
    let set = examples::<T>(count, start.dim(), start.outputs(), loss, 3);
    let sizes: Vec<T> = (0..count).map(|k| T::from_f64(0.05 / (1.0 + k as f64))).collect();
    let mut expected = start.clone();
    let losses = by_the_book(&mut expected, &set, loss, &sizes);
    let mut results = Vec::new();
    for level in Level::available() {
        let mut found = start.clone();
        let told = block(&mut found, &set, loss, &sizes, |block| level.run_lanes(block));
        results.push((found, told));
    }
    // The blocking of the widest vectors, on a machine that may not have them.
    let mut found = start.clone();
    let told = block(&mut found, &set, loss, &sizes, |block| block.run::<Wide<T>>());
    results.push((found, told));
    for (found, told) in &results {
        let numbers = found.parameters().iter().zip(expected.parameters());
        let off = numbers.map(|(a, b)| (a.to_f64() - b.to_f64()).abs()).fold(0.0, f64::max);
        assert!(off <= tolerance, "weights off by {off:e} after {count} steps of {loss:?}");
        for (a, b) in told.iter().zip(&losses) {
            assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{loss:?}: {a} {b}");
        }
        assert!(found == &results[0].0 && told == &results[0].1, "bits differ between vectors");
    }
}

#[test]
fn a_block_is_its_steps_for_every_activation_and_loss() {
    for hidden in activations() {
        for loss in losses() {
            for (outputs, bias) in [(1, false), (3, true)] {
                let mut model = mlp(18, 2, hidden, Activation::Tanh);
                (model.outputs, model.bias) = (outputs, bias);
                check(&network::<f64>(&model, 17, 7), loss, 4, 1e-13);
                check(&network::<f32>(&model, 17, 7), loss, 3, 1e-5);
            }
        }
    }
}

#[test]
fn blocks_of_every_length_and_long_inputs_are_their_steps() {
    for (width, dim, counts) in [(64, 64, 1..5), (200, 150, 1..9), (300, 784, 13..17)] {
        let model = mlp(width, 1, Activation::Tanh, Activation::Identity);
        for count in counts {
            check(&network::<f64>(&model, dim, 7), Loss::Squared, count, 1e-12);
        }
        check(&network::<f32>(&model, dim, 7), Loss::Squared, 4, 1e-5);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn so_are_those_of_any_shape(
        width in 1..70u32, dim in 1..140u32, depth in 0..3u32, outputs in 1..10u32, count in 1..5usize,
        bias in any::<bool>(),
    ) {
        let mut model = mlp(width, depth, Activation::Tanh, Activation::Identity);
        (model.outputs, model.bias) = (outputs, bias);
        check(&network::<f64>(&model, dim, 7), Loss::Squared, count, 1e-11);
    }
}

#[test]
fn a_loss_that_is_not_finite_is_told_of_its_step() {
    let model = mlp(8, 1, Activation::Tanh, Activation::Identity);
    let mut found = network::<f32>(&model, 4, 1);
    let mut set = examples::<f32>(4, 4, 1, Loss::Squared, 3);
    set.inputs[9] = f32::NAN;
    let told = block(&mut found, &set, Loss::Squared, &[0.1; 4], |block| {
        Level::best().run_lanes(block);
    });
    assert!(told[0].is_finite() && told[1].is_finite() && told[2].is_nan(), "{told:?}");
}

//! One SGD step on one example: the poster's setting, without momentum, fused and free of allocation.

use domain::spec::Loss;

use super::activation::pull_back;
use super::kernel::{Rate, descend};
use super::{Network, Pass, Real};

/// Takes one step `w ← w − α (∇fᵢ(w) + λ w)` and returns fᵢ at the old weights.
///
/// Each weight matrix is passed over twice: once forward, once to read the deltas below it and to update it.
///
/// # Shapes
/// `input`: `[dim]`; `target`: `[outputs]`; `pass` has room for at least one example.
///
/// # Numerics
/// The bits of a forward and a backward pass; the update as in [`descend`].
pub fn step_one<T: Real>(
    network: &mut Network<T>,
    pass: &mut Pass<T>,
    loss: Loss,
    (input, target): (&[T], &[T]),
    rate: Rate<T>,
) -> T {
    pass.forward(network, input);
    let value = pass.losses(network, loss, target, 1)[0];
    for p in (0..network.layers().len()).rev() {
        let layer = network.layers()[p];
        let (below, here) = pass.deltas.split_at_mut(p);
        let delta = &mut here[0][..layer.fan_out];
        pull_back(layer.activation, &pass.outputs[p][..layer.fan_out], delta, layer.fan_out);
        let (weights, biases) = network.layer_mut(p);
        let (read, below) = match p {
            0 => (input, &mut [][..]),
            _ => (&pass.outputs[p - 1][..layer.fan_in], &mut below[p - 1][..layer.fan_in]),
        };
        descend(weights, delta, read, below, rate);
        for (bias, &d) in biases.iter_mut().zip(&*delta) {
            *bias = rate.step_bias(*bias, d);
        }
    }
    value
}

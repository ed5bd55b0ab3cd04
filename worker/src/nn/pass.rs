//! The forward and backward pass of a few examples, in buffers that are made once.

use domain::spec::Loss;

use super::activation::{activate, pull_back};
use super::dispatch::dispatch;
use super::kernel::{Strides, combine, dots};
use super::loss::Losses;
use super::{Aligned, Network, Real};

/// Buffers for up to `capacity` examples: the outputs and the pre-activation gradients of every layer.
#[derive(Clone, Debug)]
pub struct Pass<T> {
    /// Outputs of layer p: `[rows, fan_out]`.
    pub(super) outputs: Vec<Aligned<T>>,
    /// δ of layer p, ∂fᵢ/∂z: `[rows, fan_out]`.
    pub(super) deltas: Vec<Aligned<T>>,
    losses: Vec<T>,
    widths: Vec<usize>,
}

impl<T: Real> Pass<T> {
    /// Buffers for `network` and up to `capacity` examples at a time.
    pub fn new(network: &Network<T>, capacity: usize) -> Self {
        let widths: Vec<usize> = network.layers().iter().map(|layer| layer.fan_out).collect();
        let buffers = || widths.iter().map(|width| Aligned::zeros(capacity * width)).collect();
        Self { outputs: buffers(), deltas: buffers(), losses: vec![T::ZERO; capacity], widths }
    }

    /// Computes every layer's outputs for the examples in `inputs`.
    ///
    /// ```text
    /// z_p = a_p W_pᵀ + b_p,  a_{p+1} = σ(z_p),  a_0 = inputs
    /// ```
    ///
    /// # Shapes
    /// `inputs`: `[n, dim]`, n up to the capacity.
    ///
    /// # Numerics
    /// Each example's bits are the same whatever n is.
    pub fn forward(&mut self, network: &Network<T>, inputs: &[T]) {
        let rows = inputs.len() / network.dim();
        for (p, layer) in network.layers().iter().enumerate() {
            let (below, here) = self.outputs.split_at_mut(p);
            let input = if p == 0 { inputs } else { &below[p - 1][..rows * layer.fan_in] };
            let out = &mut here[0][..rows * layer.fan_out];
            dots(input, network.weights(p), layer.fan_in, out);
            if layer.has_bias {
                add_to_rows(network.biases(p), out);
            }
            activate(layer.activation, out, layer.fan_out);
        }
    }

    /// Computes every layer's δ, and the losses, after [`Self::forward`] of `rows` examples.
    ///
    /// ```text
    /// δ_p = (δ_{p+1} W_{p+1}) ∘ σ'(z_p)
    /// ```
    ///
    /// # Shapes
    /// `targets`: `[rows, outputs]`.
    pub fn backward(&mut self, network: &Network<T>, loss: Loss, targets: &[T], rows: usize) {
        self.losses(network, loss, targets, rows);
        let last = network.layers().len() - 1;
        for p in (0..=last).rev() {
            let layer = network.layers()[p];
            let size = rows * layer.fan_out;
            let (here, above) = self.deltas.split_at_mut(p + 1);
            let here = &mut here[p][..size];
            if p < last {
                let fan_out = network.layers()[p + 1].fan_out;
                let strides = Strides { row: fan_out, term: 1 };
                let above = &above[0][..rows * fan_out];
                combine(above, strides, network.weights(p + 1), layer.fan_out, here);
            }
            pull_back(layer.activation, &self.outputs[p][..size], here, layer.fan_out);
        }
    }

    /// Computes the losses alone, after [`Self::forward`]: `[rows]`.
    ///
    /// The last layer's δ are left holding ∂fᵢ/∂g.
    pub fn losses(&mut self, network: &Network<T>, loss: Loss, targets: &[T], rows: usize) -> &[T] {
        let units = network.outputs();
        let last = self.outputs.len() - 1;
        let losses = &mut self.losses[..rows];
        let (outputs, gradients) = (&self.outputs[last], &mut self.deltas[last]);
        dispatch(Losses { loss, units, outputs, targets, gradients, losses });
        &self.losses[..rows]
    }

    /// Overwrites `gradient` with the sum of the per-example gradients, after [`Self::backward`].
    ///
    /// ```text
    /// ∂/∂W_p Σᵢ fᵢ = Σᵢ δ_pⁱ (a_pⁱ)ᵀ,   ∂/∂b_p Σᵢ fᵢ = Σᵢ δ_pⁱ
    /// ```
    ///
    /// # Shapes
    /// `inputs`: `[n, dim]`, as in the forward pass; `gradient`: laid out like the parameters.
    ///
    /// # Numerics
    /// Examples are added in order.
    pub fn gradient(&self, network: &Network<T>, inputs: &[T], gradient: &mut [T]) {
        let rows = inputs.len() / network.dim();
        for (p, layer) in network.layers().iter().enumerate() {
            let deltas = self.deltas(p, rows);
            let (weights, biases) = network.split_mut(p, gradient);
            let strides = Strides { row: 1, term: layer.fan_out };
            combine(deltas, strides, self.layer_inputs(p, inputs, rows), layer.fan_in, weights);
            if layer.has_bias {
                add_rows_up(deltas, biases);
            }
        }
    }

    /// The losses of the last backward pass: `[rows]`.
    pub fn last_losses(&self, rows: usize) -> &[T] {
        &self.losses[..rows]
    }

    /// Outputs g of the last forward pass: `[rows, outputs]`.
    pub fn network_outputs(&self, rows: usize) -> &[T] {
        let last = self.outputs.len() - 1;
        &self.outputs[last][..rows * self.widths[last]]
    }

    /// What layer `p` read in the last forward pass, `inputs` being that of layer 0: `[rows, fan_in]`.
    pub fn layer_inputs<'a>(&'a self, p: usize, inputs: &'a [T], rows: usize) -> &'a [T] {
        if p == 0 { inputs } else { &self.outputs[p - 1][..rows * self.widths[p - 1]] }
    }

    /// δ of layer `p` after the last backward pass: `[rows, fan_out]`.
    pub fn deltas(&self, p: usize, rows: usize) -> &[T] {
        &self.deltas[p][..rows * self.widths[p]]
    }
}

/// Adds `biases` `[k]` to every row of `rows` `[n, k]`.
fn add_to_rows<T: Real>(biases: &[T], rows: &mut [T]) {
    for row in rows.chunks_exact_mut(biases.len()) {
        for (z, &b) in row.iter_mut().zip(biases) {
            *z += b;
        }
    }
}

/// Overwrites `sums` `[k]` with the sum of the rows of `rows` `[n, k]`, added in order.
fn add_rows_up<T: Real>(rows: &[T], sums: &mut [T]) {
    sums.fill(T::ZERO);
    for row in rows.chunks_exact(sums.len()) {
        for (sum, &x) in sums.iter_mut().zip(row) {
            *sum += x;
        }
    }
}

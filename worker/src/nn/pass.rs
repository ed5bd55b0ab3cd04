//! The forward and backward pass of a few examples, in buffers that are made once.

use domain::spec::Loss;

use super::activation::{activate, pull_back};
use super::dispatch::dispatch;
use super::kernel::{MeanStep, dots};
use super::loss::Losses;
use super::network::Layer;
use super::product::{Matrix, Size, Sums, TERMS, multiply, panels_len};
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
    /// Copies for products.
    panels: Vec<T>,
    /// As many ones as the capacity: the factors of a sum of rows.
    ones: Vec<T>,
}

/// Layers of fewer units have their dot products taken one by one: a panel has sixteen.
const PANEL_UNITS: usize = 8;

/// Numbers that copies for the products of one layer and so many examples take.
pub fn copies<T: Real>(rows: usize, fan_out: usize, fan_in: usize) -> usize {
    let of = |rows, terms, columns| panels_len::<T>(Size { rows, terms, columns });
    let (forward, back) = (of(rows, fan_in, fan_out), of(rows, fan_out, fan_in));
    forward.max(back).max(of(fan_out, rows, fan_in)).max(of(1, rows, fan_out))
}

impl<T: Real> Pass<T> {
    /// Most examples of a [`Self::descend`].
    pub const DESCENDED: usize = TERMS;

    /// Buffers for `network` and up to `capacity` examples at a time.
    pub fn new(network: &Network<T>, capacity: usize) -> Self {
        let widths: Vec<usize> = network.layers().iter().map(|layer| layer.fan_out).collect();
        let buffers = || widths.iter().map(|width| Aligned::zeros(capacity * width)).collect();
        let panels = network.layers().iter().map(|l| copies::<T>(capacity, l.fan_out, l.fan_in));
        let panels = vec![T::ZERO; panels.max().unwrap_or(0)];
        let (outputs, deltas, losses) = (buffers(), buffers(), vec![T::ZERO; capacity]);
        Self { outputs, deltas, losses, widths, panels, ones: vec![T::ONE; capacity] }
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
            let weights = network.weights(p);
            if layer.fan_out < PANEL_UNITS {
                dots(input, weights, layer.fan_in, out);
            } else {
                let size = Size { rows, terms: layer.fan_in, columns: layer.fan_out };
                let input = Matrix::rows(input, layer.fan_in);
                let weights = Matrix::columns(weights, layer.fan_in);
                multiply(size, input, weights, Sums::Written, &mut self.panels, out);
            }
            activate(layer.activation, network.biases(p), out, layer.fan_out);
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
                let size = Size { rows, terms: fan_out, columns: layer.fan_out };
                let above = Matrix::rows(&above[0][..rows * fan_out], fan_out);
                let weights = Matrix::rows(network.weights(p + 1), layer.fan_out);
                multiply(size, above, weights, Sums::Written, &mut self.panels, here);
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
    pub fn gradient(&mut self, network: &Network<T>, inputs: &[T], gradient: &mut [T]) {
        let rows = inputs.len() / network.dim();
        for (p, &layer) in network.layers().iter().enumerate() {
            self.add_up(layer, p, (inputs, rows), Sums::Written, network.split_mut(p, gradient));
        }
    }

    /// Takes a step of SGD along the mean of the per-example gradients, after [`Self::backward`], with the bits of a step along what
    /// [`Self::gradient`] gives. The weights take each part of the gradient where it is summed, so none is kept.
    ///
    /// # Shapes
    /// `inputs`: `[n, dim]`, as in the forward pass, n up to [`Self::DESCENDED`].
    pub fn descend(&mut self, network: &mut Network<T>, inputs: &[T], step: MeanStep<T>) {
        let rows = inputs.len() / network.dim();
        debug_assert!(rows <= Self::DESCENDED);
        for p in 0..network.layers().len() {
            let layer = network.layers()[p];
            self.add_up(layer, p, (inputs, rows), Sums::Descended(step), network.layer_mut(p));
        }
    }

    /// Does with the gradients of layer `p`, summed over `rows` examples, what `sums` says.
    fn add_up(
        &mut self,
        layer: Layer,
        p: usize,
        (inputs, rows): (&[T], usize),
        sums: Sums<T>,
        (weights, biases): (&mut [T], &mut [T]),
    ) {
        let mut panels = std::mem::take(&mut self.panels);
        let deltas = self.deltas(p, rows);
        let size = Size { rows: layer.fan_out, terms: rows, columns: layer.fan_in };
        let left = Matrix::columns(deltas, layer.fan_out);
        let right = Matrix::rows(self.layer_inputs(p, inputs, rows), layer.fan_in);
        multiply(size, left, right, sums, &mut panels, weights);
        if layer.has_bias {
            let size = Size { rows: 1, terms: rows, columns: layer.fan_out };
            let ones = Matrix::rows(&self.ones[..rows], rows);
            multiply(size, ones, Matrix::rows(deltas, layer.fan_out), sums, &mut panels, biases);
        }
        self.panels = panels;
    }

    /// Overwrites `gradients` `[n, parameters]` with the gradient of each example, after [`Self::backward`].
    ///
    /// # Numerics
    /// Each has the bits that [`Self::gradient`] gives its example alone.
    pub fn gradients(&self, network: &Network<T>, inputs: &[T], gradients: &mut [T]) {
        let rows = inputs.len() / network.dim();
        let parameters = network.parameters().len();
        for (i, gradient) in gradients.chunks_exact_mut(parameters).enumerate() {
            for (p, layer) in network.layers().iter().enumerate() {
                let delta = &self.deltas(p, rows)[i * layer.fan_out..][..layer.fan_out];
                let read = &self.layer_inputs(p, inputs, rows)[i * layer.fan_in..][..layer.fan_in];
                let (weights, biases) = network.split_mut(p, gradient);
                for (weights, &d) in weights.chunks_exact_mut(layer.fan_in).zip(delta) {
                    // As a sum of one term from 0: a product of −0 is 0.
                    weights.iter_mut().zip(read).for_each(|(w, &a)| *w = T::ZERO + d * a);
                }
                biases.iter_mut().zip(delta).for_each(|(b, &d)| *b = T::ZERO + d);
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

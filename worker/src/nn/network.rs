//! A network: its layers, and all its trained numbers in one buffer.

use std::ops::Range;

use domain::spec::{Activation, Model};

use super::{Aligned, Real};

/// One weight matrix, its biases and the activation after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Units it feeds: rows of its matrix.
    pub fan_out: usize,
    /// Units it reads: columns.
    pub fan_in: usize,
    pub activation: Activation,
    pub has_bias: bool,
    /// Where the layer's numbers begin: the matrix, then the biases.
    offset: usize,
}

impl Layer {
    /// Numbers of the layer.
    pub fn parameters(&self) -> usize {
        self.fan_out * (self.fan_in + usize::from(self.has_bias))
    }
}

/// A fully connected network g(x) = σ(W_{β+1} σ(… σ(W₀ x))) ("Problem formulation"), with optional biases; without hidden
/// layers it is a linear model.
///
/// # Shapes
/// Layer p holds W_p `[fan_out, fan_in]`, row-major, then its biases `[fan_out]`; the layers follow one another in one
/// buffer, from the input on.
#[derive(Clone, Debug, PartialEq)]
pub struct Network<T> {
    layers: Vec<Layer>,
    parameters: Aligned<T>,
}

impl<T: Real> Network<T> {
    /// The network of `model` for inputs of `dim` entries, every number 0.
    pub fn zeros(model: &Model, dim: u32) -> Self {
        let shapes = model.weight_shapes(dim);
        let hidden = model.activation().unwrap_or(Activation::Identity);
        let mut offset = 0;
        let mut layers = Vec::with_capacity(shapes.len());
        for (p, &(fan_out, fan_in)) in shapes.iter().enumerate() {
            let activation = if p + 1 == shapes.len() { model.output } else { hidden };
            let layer = Layer {
                fan_out: fan_out as usize,
                fan_in: fan_in as usize,
                activation,
                has_bias: model.bias,
                offset,
            };
            offset += layer.parameters();
            layers.push(layer);
        }
        Self { layers, parameters: Aligned::zeros(offset) }
    }

    /// The layers, from the input on.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Entries of one input.
    pub fn dim(&self) -> usize {
        self.layers[0].fan_in
    }

    /// Units of the output.
    pub fn outputs(&self) -> usize {
        self.layers[self.layers.len() - 1].fan_out
    }

    /// Every trained number, layer after layer.
    pub fn parameters(&self) -> &[T] {
        &self.parameters
    }

    /// Every trained number, to be changed.
    pub fn parameters_mut(&mut self) -> &mut [T] {
        &mut self.parameters
    }

    /// The matrix of layer `p`, `[fan_out, fan_in]`.
    pub fn weights(&self, p: usize) -> &[T] {
        self.split(p, &self.parameters).0
    }

    /// The biases of layer `p`, `[fan_out]`, or empty.
    pub fn biases(&self, p: usize) -> &[T] {
        self.split(p, &self.parameters).1
    }

    /// Where the numbers of every layer lie among the parameters.
    pub fn layer_ranges(&self) -> Vec<Range<usize>> {
        let range = |layer: &Layer| layer.offset..layer.offset + layer.parameters();
        self.layers.iter().map(range).collect()
    }

    /// The matrix and the biases of layer `p`, to be changed.
    pub fn layer_mut(&mut self, p: usize) -> (&mut [T], &mut [T]) {
        let Layer { fan_out, fan_in, offset, .. } = self.layers[p];
        let end = offset + self.layers[p].parameters();
        self.parameters[offset..end].split_at_mut(fan_out * fan_in)
    }

    /// The part for layer `p` of a buffer that is laid out like the parameters: matrix and biases.
    pub fn split<'a, U>(&self, p: usize, buffer: &'a [U]) -> (&'a [U], &'a [U]) {
        let Layer { fan_out, fan_in, offset, .. } = self.layers[p];
        let end = offset + self.layers[p].parameters();
        buffer[offset..end].split_at(fan_out * fan_in)
    }

    /// As [`Self::split`], to be changed.
    pub fn split_mut<'a, U>(&self, p: usize, buffer: &'a mut [U]) -> (&'a mut [U], &'a mut [U]) {
        let Layer { fan_out, fan_in, offset, .. } = self.layers[p];
        let end = offset + self.layers[p].parameters();
        buffer[offset..end].split_at_mut(fan_out * fan_in)
    }

    /// Whether every trained number is finite.
    pub fn is_finite(&self) -> bool {
        self.parameters.iter().all(|number| number.is_finite())
    }
}

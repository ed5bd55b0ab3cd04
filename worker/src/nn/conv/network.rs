//! A convolutional network: its layout, its trained numbers and its running statistics.

use std::ops::Range;

use domain::spec::{Conv, Model};

use super::layout::{ConvLayer, Layout};
use crate::nn::Real;
use crate::nn::init::draw;
use crate::random::Stream;

/// Pixels of an edge of the images that jobs train on.
pub(super) const SIDE: usize = 32;

/// A Wide ResNet or a part of one, with `T` for its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvNetwork<T> {
    layout: Layout,
    parameters: Vec<T>,
    statistics: Vec<T>,
}

impl<T: Real> ConvNetwork<T> {
    /// The network of `conv`, `init` and `outputs` of `model` with its initial numbers.
    ///
    /// ```text
    /// convolutions  as `init` says of a matrix [outputs, patch]: he is N(0, 2 / (9 inputs)), as published
    /// classifier    uniform on ±1/√inputs, biases 0
    /// batch norm    γ = 1, β = 0, running means 0 and variances 1
    /// ```
    ///
    /// Matrix p takes its draws from stream p of the seed, in the order of the parameters, row after row.
    pub fn initialise(model: &Model, conv: &Conv, seed: u64) -> Self {
        Self::with_side(model, conv, seed, SIDE)
    }

    /// The same for images of `side` x `side` pixels.
    pub(super) fn with_side(model: &Model, conv: &Conv, seed: u64, side: usize) -> Self {
        let layout = Layout::new(conv, model.outputs as usize, side);
        let mut parameters = vec![T::ZERO; layout.parameters];
        let mut statistics = vec![T::ZERO; layout.statistics];
        let mut count = 0;
        for (p, layer) in layout.convs().enumerate() {
            let fan_in = layer.kernel * layer.kernel * layer.inputs;
            let mut stream = Stream::new(seed, "weights", p as u64);
            let drawn = draw(model.init, None, (layer.outputs, fan_in), &mut stream);
            for (k, row) in drawn.chunks_exact(fan_in).enumerate() {
                let column = layer.of_mut(&mut parameters).iter_mut().skip(k);
                column.step_by(layer.outputs).zip(row).for_each(|(w, &x)| *w = T::from_f64(x));
            }
            count = p + 1;
        }
        let mut stream = Stream::new(seed, "weights", count as u64);
        let bound = 1.0 / (layout.head.inputs as f64).sqrt();
        for weight in layout.head.of_mut(&mut parameters) {
            *weight = T::from_f64(bound * (2.0 * stream.unit() - 1.0));
        }
        for norm in layout.norms() {
            norm.of_mut(&mut parameters).0.fill(T::ONE);
            norm.running_mut(&mut statistics).1.fill(T::ONE);
        }
        Self { layout, parameters, statistics }
    }

    /// Its layers.
    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Entries of one image.
    pub fn dim(&self) -> usize {
        self.layout.input.side * self.layout.input.width()
    }

    /// Units of the output.
    pub fn outputs(&self) -> usize {
        self.layout.head.outputs
    }

    /// Every trained number.
    pub fn parameters(&self) -> &[T] {
        &self.parameters
    }

    /// Every trained number, to be changed.
    pub fn parameters_mut(&mut self) -> &mut [T] {
        &mut self.parameters
    }

    /// Running means and variances of every batch norm; empty without.
    pub fn statistics(&self) -> &[T] {
        &self.statistics
    }

    /// Every trained number, and the running statistics, to be changed.
    pub fn numbers_mut(&mut self) -> (&mut [T], &mut [T]) {
        (&mut self.parameters, &mut self.statistics)
    }

    /// The running statistics, to be taken and put back.
    pub(super) fn statistics_vec(&mut self) -> &mut Vec<T> {
        &mut self.statistics
    }

    /// Where the numbers of every layer lie among the parameters: each convolution's, in order, then the classifier's with
    /// its biases. Scales and shifts of batch norm are in none.
    pub fn layer_ranges(&self) -> Vec<Range<usize>> {
        let Layout { head, parameters, .. } = &self.layout;
        let range = |layer: &ConvLayer| layer.offset..layer.offset + layer.parameters();
        self.layout.convs().map(range).chain(std::iter::once(head.offset..*parameters)).collect()
    }

    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        self.parameters.iter().chain(&self.statistics).all(|number| number.is_finite())
    }

    /// Names and shapes of the parts of a buffer that is laid out like the parameters, in its order.
    pub fn parts(&self) -> Vec<(String, Vec<usize>)> {
        let mut parts: Vec<(usize, String, Vec<usize>)> = Vec::new();
        for (p, layer) in self.layout.convs().enumerate() {
            let shape = vec![layer.kernel, layer.kernel, layer.inputs, layer.outputs];
            parts.push((layer.offset, format!("weights.{p}"), shape));
        }
        let (p, head) = (parts.len(), &self.layout.head);
        parts.push((head.offset, format!("weights.{p}"), vec![head.outputs, head.inputs]));
        let bias = head.offset + head.parameters();
        parts.push((bias, format!("bias.{p}"), vec![head.outputs]));
        for (n, norm) in self.layout.norms().enumerate() {
            parts.push((norm.offset, format!("scale.{n}"), vec![norm.channels]));
            parts.push((norm.offset + norm.channels, format!("shift.{n}"), vec![norm.channels]));
        }
        parts.sort_by_key(|(offset, ..)| *offset);
        parts.into_iter().map(|(_, name, shape)| (name, shape)).collect()
    }

    /// Names and shapes of the parts of the running statistics, in their order.
    pub fn statistics_parts(&self) -> Vec<(String, Vec<usize>)> {
        let part = |(n, channels): (usize, usize)| {
            ["mean", "variance"].map(|what| (format!("{what}.{n}"), vec![channels]))
        };
        self.layout.norms().map(|norm| norm.channels).enumerate().flat_map(part).collect()
    }
}

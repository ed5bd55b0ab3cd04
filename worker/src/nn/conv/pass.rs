//! The forward and backward pass of a few images, in buffers that are made once.

use std::mem;

use domain::spec::{Loss, Mode};

use super::correlate::{correlate, pack_backward, pack_forward};
use super::grid::Grid;
use super::layout::{ConvLayer, Layout, NormLayer};
use super::norm::{Moments, pull_back_rectified, rectify};
use super::pool::{average, spread};
use super::walks::{self, Walks};
use super::weight_gradient::add_weight_gradient;
use super::{ConvNetwork, LANES};
use crate::nn::kernel::{Strides, combine, dots};
use crate::nn::{Real, loss_and_gradient};

/// The pixels that a convolution's three passes go over.
#[derive(Clone, Debug)]
struct Plans {
    layer: ConvLayer,
    forward: Walks,
    backward: Vec<Walks>,
}

impl Plans {
    fn new(layer: ConvLayer, from: Grid, to: Grid) -> Self {
        let forward = walks::forward(&layer, from, to);
        Self { layer, forward, backward: walks::backward(&layer, from, to) }
    }
}

/// What one block needs beside the network.
#[derive(Clone, Debug)]
struct Block<T> {
    plans: [Plans; 2],
    projection: Option<Plans>,
    moments: [Moments<T>; 2],
    /// Activations before the first convolution, its outputs, and activations before the second.
    first: Vec<T>,
    middle: Vec<T>,
    second: Vec<T>,
}

/// Buffers for up to `capacity` images.
#[derive(Clone, Debug)]
pub struct ConvPass<T> {
    mode: Mode,
    images: Vec<T>,
    stem: Plans,
    blocks: Vec<Block<T>>,
    /// What block i reads; the last entry is what the head reads.
    inputs: Vec<Vec<T>>,
    last_moments: Moments<T>,
    last: Vec<T>,
    pooled: Vec<T>,
    outputs: Vec<T>,
    output_deltas: Vec<T>,
    pooled_deltas: Vec<T>,
    losses: Vec<T>,
    /// Three buffers of gradients for each of the layout's grids.
    deltas: Vec<[Vec<T>; 3]>,
    /// The weights of the convolution at work, in blocks of channels.
    packed: Vec<T>,
}

impl<T: Real> ConvPass<T> {
    /// Buffers for `network` and up to `capacity` images at a time.
    pub fn new(network: &ConvNetwork<T>, capacity: usize) -> Self {
        let layout = network.layout();
        let grids = &layout.grids;
        let buffer = |grid: Grid| vec![T::ZERO; capacity * grid.image()];
        let of_block = |block: &super::layout::BlockLayout| {
            let (from, to) = (grids[block.from], grids[block.to]);
            let [first, second] = block.convs;
            Block {
                plans: [Plans::new(first, from, to), Plans::new(second, to, to)],
                projection: block.projection.map(|layer| Plans::new(layer, from, to)),
                moments: [Moments::new(from.channels), Moments::new(to.channels)],
                first: buffer(from),
                middle: buffer(to),
                second: buffer(to),
            }
        };
        let end = grids[grids.len() - 1];
        let mut inputs = vec![buffer(grids[0])];
        inputs.extend(layout.blocks.iter().map(|block| buffer(grids[block.to])));
        let rows = |width: usize| vec![T::ZERO; capacity * width];
        let largest = layout.convs().map(ConvLayer::parameters).max().unwrap_or(0);
        Self {
            mode: Mode::Eval,
            images: buffer(layout.input),
            stem: Plans::new(layout.stem, layout.input, grids[0]),
            blocks: layout.blocks.iter().map(of_block).collect(),
            inputs,
            last_moments: Moments::new(end.channels),
            last: buffer(end),
            pooled: rows(end.channels),
            outputs: rows(network.outputs()),
            output_deltas: rows(network.outputs()),
            pooled_deltas: rows(end.channels),
            losses: rows(1),
            deltas: grids.iter().map(|&grid| [buffer(grid), buffer(grid), buffer(grid)]).collect(),
            packed: vec![T::ZERO; largest],
        }
    }

    /// Computes the outputs of `images`.
    ///
    /// # Shapes
    /// `images`: `[n, side, side, 3]`, n up to the capacity.
    ///
    /// # Numerics
    /// In eval mode each image's bits are the same whatever n is.
    pub fn forward(&mut self, network: &ConvNetwork<T>, images: &[T], mode: Mode) {
        let layout = network.layout();
        let rows = images.len() / network.dim();
        self.mode = mode;
        layout.input.pad(images, &mut self.images);
        let Self { packed, inputs, .. } = self;
        convolve(&self.stem, network, packed, rows, false, &self.images, &mut inputs[0]);
        for ((block, shape), i) in self.blocks.iter_mut().zip(&layout.blocks).zip(0..) {
            let (from, to) = (layout.grids[shape.from], layout.grids[shape.to]);
            let (below, above) = inputs.split_at_mut(i + 1);
            let (read, given) = (&below[i], &mut above[0]);
            let Block { plans, projection, moments, first, middle, second } = block;
            let [moments_1, moments_2] = moments;
            let stage = Stage { network, rows, mode };
            stage.activate(shape.norms[0], moments_1, from, read, first);
            convolve(&plans[0], network, packed, rows, false, first, middle);
            stage.activate(shape.norms[1], moments_2, to, middle, second);
            if let Some(projection) = projection {
                convolve(projection, network, packed, rows, false, first, given);
            } else if shape.skip {
                let size = rows * to.image();
                given[..size].copy_from_slice(&read[..size]);
            }
            convolve(&plans[1], network, packed, rows, shape.skip, second, given);
        }
        let end = layout.grids[layout.grids.len() - 1];
        let stage = Stage { network, rows, mode };
        let read = &inputs[inputs.len() - 1];
        stage.activate(layout.norm, &mut self.last_moments, end, read, &mut self.last);
        let pooled = &mut self.pooled[..rows * end.channels];
        average(end, &self.last, pooled);
        let (weights, biases) = head(layout, network.parameters());
        let outputs = &mut self.outputs[..rows * layout.head.outputs];
        dots(pooled, weights, end.channels, outputs);
        for row in outputs.chunks_exact_mut(biases.len()) {
            row.iter_mut().zip(biases).for_each(|(g, &b)| *g += b);
        }
    }

    /// Computes the losses alone, after [`Self::forward`]: `[rows]`.
    pub fn losses(&mut self, network: &ConvNetwork<T>, loss: Loss, targets: &[T]) -> &[T] {
        let classes = network.outputs();
        let rows = targets.len() / classes;
        let examples = self.outputs.chunks_exact(classes).zip(targets.chunks_exact(classes));
        let examples = examples.zip(self.output_deltas.chunks_exact_mut(classes));
        for (sum, ((g, target), d)) in self.losses[..rows].iter_mut().zip(examples) {
            *sum = loss_and_gradient(loss, g, target, d);
        }
        &self.losses[..rows]
    }

    /// Overwrites `gradient` with the gradient of the sum of the losses, after [`Self::forward`].
    ///
    /// # Shapes
    /// `targets`: `[n, outputs]`, for all images of the forward pass; `gradient`: laid out like the parameters.
    ///
    /// # Numerics
    /// Images are added in order, so that a gradient in eval mode is the sum, in order, of those of its images.
    pub fn backward(
        &mut self,
        network: &ConvNetwork<T>,
        loss: Loss,
        targets: &[T],
        gradient: &mut [T],
    ) {
        self.losses(network, loss, targets);
        gradient.fill(T::ZERO);
        let layout = network.layout();
        let rows = targets.len() / network.outputs();
        self.pull_back_head(network, rows, gradient);
        let mode = self.mode;
        let stage = Stage { network, rows, mode };
        let Self { packed, deltas, inputs, blocks, .. } = self;
        let end = layout.grids.len() - 1;
        let mut above = mem::take(&mut deltas[end][0]);
        let last = &inputs[inputs.len() - 1];
        let moments = &mut self.last_moments;
        let read = (&**last, &*self.last);
        stage.pull_back(layout.norm, moments, layout.grids[end], read, &mut above, gradient);
        for ((block, shape), read) in blocks.iter_mut().zip(&layout.blocks).zip(&*inputs).rev() {
            let (from, to) = (layout.grids[shape.from], layout.grids[shape.to]);
            let Block { plans, projection, moments, first, middle, second } = block;
            let [moments_1, moments_2] = moments;
            let mut inner = mem::take(&mut deltas[shape.to][1]);
            // Of each grid, the first buffer is the one that is on its way.
            let place = if shape.from == shape.to { 2 } else { 0 };
            let mut below = mem::take(&mut deltas[shape.from][place]);

            weigh(&plans[1], rows, (second, &above), gradient);
            carry_back(&plans[1], network, packed, rows, false, &above, &mut inner);
            let read_2 = (&**middle, &**second);
            stage.pull_back(shape.norms[1], moments_2, to, read_2, &mut inner, gradient);
            weigh(&plans[0], rows, (first, &inner), gradient);
            carry_back(&plans[0], network, packed, rows, false, &inner, &mut below);
            if let Some(projection) = projection {
                weigh(projection, rows, (first, &above), gradient);
                carry_back(projection, network, packed, rows, true, &above, &mut below);
            }
            let read_1 = (&**read, &**first);
            stage.pull_back(shape.norms[0], moments_1, from, read_1, &mut below, gradient);
            if shape.skip && projection.is_none() {
                let size = rows * from.image();
                below[..size].iter_mut().zip(&above).for_each(|(sum, &d)| *sum += d);
            }

            // What was above becomes free, and what is below is above the next block.
            deltas[shape.to][1] = inner;
            mem::swap(&mut above, &mut below);
            deltas[shape.to][place] = below;
        }
        weigh(&self.stem, rows, (&self.images, &above), gradient);
        deltas[0][0] = above;
    }

    /// The head's gradients, and those of the last activations, left in the last grid's first buffer.
    fn pull_back_head(&mut self, network: &ConvNetwork<T>, rows: usize, gradient: &mut [T]) {
        let layout = network.layout();
        let end = layout.grids.len() - 1;
        let (classes, width) = (layout.head.outputs, layout.head.inputs);
        let deltas = &self.output_deltas[..rows * classes];
        let pooled = &self.pooled[..rows * width];
        let (weights, _) = head(layout, network.parameters());
        let (_, tail) = gradient.split_at_mut(layout.head.offset);
        let (weight_gradient, bias_gradient) = tail.split_at_mut(classes * width);
        combine(deltas, Strides { row: 1, term: classes }, pooled, width, weight_gradient);
        for row in deltas.chunks_exact(classes) {
            bias_gradient.iter_mut().zip(row).for_each(|(sum, &d)| *sum += d);
        }
        let pooled_deltas = &mut self.pooled_deltas[..rows * width];
        combine(deltas, Strides { row: classes, term: 1 }, weights, width, pooled_deltas);
        spread(layout.grids[end], pooled_deltas, &mut self.deltas[end][0]);
    }

    /// Moves the network's running statistics, after a forward pass in train mode.
    pub fn move_running(&self, network: &mut ConvNetwork<T>, rows: usize) {
        let mut statistics = mem::take(network.statistics_vec());
        let layout = network.layout();
        for (block, shape) in self.blocks.iter().zip(&layout.blocks) {
            for ((norm, moments), grid) in
                shape.norms.iter().zip(&block.moments).zip([shape.from, shape.to])
            {
                let side = layout.grids[grid].side;
                if let Some(norm) = norm {
                    moments.move_running(rows * side * side, norm.running_mut(&mut statistics));
                }
            }
        }
        if let Some(norm) = layout.norm {
            let side = layout.grids[layout.grids.len() - 1].side;
            let running = norm.running_mut(&mut statistics);
            self.last_moments.move_running(rows * side * side, running);
        }
        *network.statistics_vec() = statistics;
    }

    /// Outputs g of the last forward pass: `[rows, outputs]`.
    pub fn network_outputs(&self, network: &ConvNetwork<T>, rows: usize) -> &[T] {
        &self.outputs[..rows * network.outputs()]
    }

    /// The losses of the last backward pass: `[rows]`.
    pub fn last_losses(&self, rows: usize) -> &[T] {
        &self.losses[..rows]
    }
}

/// Weights and biases of the head.
fn head<'a, T>(layout: &Layout, buffer: &'a [T]) -> (&'a [T], &'a [T]) {
    let size = layout.head.parameters();
    buffer[layout.head.offset..layout.head.offset + size + layout.head.outputs].split_at(size)
}

/// One norm-ReLU of a pass.
struct Stage<'a, T> {
    network: &'a ConvNetwork<T>,
    rows: usize,
    mode: Mode,
}

impl<T: Real> Stage<'_, T> {
    fn activate(
        &self,
        norm: Option<NormLayer>,
        moments: &mut Moments<T>,
        grid: Grid,
        images: &[T],
        activations: &mut [T],
    ) {
        let size = self.rows * grid.image();
        let Some(norm) = norm else { return rectify(&images[..size], &mut activations[..size]) };
        match self.mode {
            Mode::Train => moments.take_batch(grid, self.rows, images),
            Mode::Eval => moments.take_running(norm.running(self.network.statistics())),
        }
        let numbers = norm.of(self.network.parameters());
        moments.activate(grid, self.rows, numbers, (images, activations));
    }

    fn pull_back(
        &self,
        norm: Option<NormLayer>,
        moments: &mut Moments<T>,
        grid: Grid,
        (images, activations): (&[T], &[T]),
        delta: &mut [T],
        gradient: &mut [T],
    ) {
        let size = self.rows * grid.image();
        let Some(norm) = norm else {
            return pull_back_rectified(&activations[..size], &mut delta[..size]);
        };
        let (scales, _) = norm.of(self.network.parameters());
        let is_train = self.mode == Mode::Train;
        let read = (images, activations);
        let gradients = norm.of_mut(gradient);
        moments.pull_back((grid, self.rows), is_train, scales, read, delta, gradients);
    }
}

fn convolve<T: Real>(
    plans: &Plans,
    network: &ConvNetwork<T>,
    packed: &mut [T],
    rows: usize,
    accumulate: bool,
    input: &[T],
    out: &mut [T],
) {
    let ConvLayer { inputs, outputs, .. } = plans.layer;
    pack_forward(plans.layer.of(network.parameters()), inputs, outputs, packed);
    correlate(&plans.forward, rows, accumulate, (input, packed), out);
}

fn carry_back<T: Real>(
    plans: &Plans,
    network: &ConvNetwork<T>,
    packed: &mut [T],
    rows: usize,
    accumulate: bool,
    delta: &[T],
    out: &mut [T],
) {
    let ConvLayer { inputs, outputs, .. } = plans.layer;
    debug_assert_eq!(inputs % LANES, 0);
    pack_backward(plans.layer.of(network.parameters()), inputs, outputs, packed);
    for walks in &plans.backward {
        correlate(walks, rows, accumulate, (delta, packed), out);
    }
}

fn weigh<T: Real>(plans: &Plans, rows: usize, read: (&[T], &[T]), gradient: &mut [T]) {
    add_weight_gradient(&plans.forward, rows, read, plans.layer.of_mut(gradient));
}

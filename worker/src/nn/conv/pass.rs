//! The forward and backward pass of a few images, in buffers that are made once.

use std::mem;

use domain::spec::{Conv, Loss, Mode};

use super::ConvNetwork;
use super::correlate::{pack_backward, pack_forward};
use super::grid::Grid;
use super::layout::{BlockLayout, ConvLayer, Layout, NormLayer};
use super::network::SIDE;
use super::norm::{Moments, SLOT};
use super::phase::{
    Backward, Carried, Forward, Gradients, NormStage, Part, PartMut, Phase, Plans, Pull, Slots,
    Weighed, Weighing, end_pull,
};
use super::pool::{average, spread};
use super::weight_gradient::copies_len;
use crate::nn::kernel::{Strides, combine, dots};
use crate::nn::{Real, loss_and_gradient};

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
    threads: usize,
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
    /// The weights of the convolutions at work, in blocks of channels: of one on the way, and of a projection.
    packed: [Vec<T>; 2],
    /// Sums over the pixels of each image.
    slots: Vec<f64>,
    slot: usize,
    /// For the gradients of weights, for each thread so many.
    copies: Vec<T>,
    copies_len: usize,
}

impl<T: Real> ConvPass<T> {
    /// Buffers for `network` and up to `capacity` images at a time.
    pub fn new(network: &ConvNetwork<T>, capacity: usize) -> Self {
        let layout = network.layout();
        let grids = &layout.grids;
        let buffer = |grid: Grid| vec![T::ZERO; capacity * grid.image()];
        let of_block = |block: &BlockLayout| {
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
        let copies_len = most_copies(layout);
        let channels = grids.iter().map(|grid| grid.channels).max().unwrap_or(0);
        let slot = SLOT * channels;
        Self {
            mode: Mode::Eval,
            threads: 1,
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
            packed: [vec![T::ZERO; largest], vec![T::ZERO; largest]],
            slots: vec![0.0; capacity * slot],
            slot,
            copies: vec![T::ZERO; copies_len],
            copies_len,
        }
    }

    /// Bytes of the buffers of one image, for a network as `conv` has it.
    pub fn image_bytes(conv: &Conv, outputs: usize) -> usize {
        let layout = Layout::new(conv, outputs, SIDE);
        let grids = &layout.grids;
        let image = |grid: usize| grids[grid].image();
        let of_block = |block: &BlockLayout| image(block.from) + 3 * image(block.to);
        let blocks: usize = layout.blocks.iter().map(of_block).sum();
        let deltas: usize = (0..grids.len()).map(|grid| 3 * image(grid)).sum();
        let (end, channels) = (grids.len() - 1, grids.iter().map(|grid| grid.channels).max());
        let rows = 2 * grids[end].channels + 2 * outputs + 1;
        let numbers = layout.input.image() + image(0) + blocks + image(end) + deltas + rows;
        numbers * T::BYTES + SLOT * channels.unwrap_or(0) * size_of::<f64>()
    }

    /// Bytes of the copies of each thread, for a network as `conv` has it.
    pub fn thread_bytes(conv: &Conv, outputs: usize) -> usize {
        most_copies(&Layout::new(conv, outputs, SIDE)) * T::BYTES
    }

    /// The same, its work shared by `threads` threads: with the same bits.
    pub fn on_threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self.copies.resize(self.threads * self.copies_len, T::ZERO);
        self
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
        let Self { threads, slot, packed: [packed, packed_projection], .. } = self;
        let threads = *threads;
        let mut given = PartMut { numbers: &mut self.slots, stride: *slot };
        let mut moving = Moving { network, rows, mode, slots: &mut given };

        pack(&self.stem, network, packed);
        let first = layout.blocks.first().map(|block| block.norms[0]).unwrap_or(layout.norm);
        Forward {
            norm: None,
            activations: part_mut(&mut self.images, layout.input, rows),
            plans: &self.stem,
            packed,
            projection: None,
            residual: None,
            given: part_mut(&mut self.inputs[0], layout.grids[0], rows),
            slots: moving.slots(first, layout.grids[0]),
        }
        .run_on(threads, rows);

        for (i, shape) in layout.blocks.iter().enumerate() {
            let (from, to) = (layout.grids[shape.from], layout.grids[shape.to]);
            let (below, above) = self.inputs.split_at_mut(i + 1);
            let Block { plans, projection, moments, first, middle, second } = &mut self.blocks[i];
            let [moments_1, moments_2] = moments;
            let read = part(&below[i], from, rows);

            moving.take(shape.norms[0], moments_1, from);
            pack(&plans[0], network, packed);
            Forward {
                norm: Some((stage(network, shape.norms[0], moments_1, from), read)),
                activations: part_mut(first, from, rows),
                plans: &plans[0],
                packed,
                projection: None,
                residual: None,
                given: part_mut(middle, to, rows),
                slots: moving.slots(shape.norms[1], to),
            }
            .run_on(threads, rows);

            moving.take(shape.norms[1], moments_2, to);
            pack(&plans[1], network, packed);
            if let Some(projection) = projection {
                pack(projection, network, packed_projection);
            }
            let next = layout.blocks.get(i + 1).map_or(layout.norm, |block| block.norms[0]);
            let middle = part(middle, to, rows);
            Forward {
                norm: Some((stage(network, shape.norms[1], moments_2, to), middle)),
                activations: part_mut(second, to, rows),
                plans: &plans[1],
                packed,
                projection: projection
                    .as_ref()
                    .map(|plans| (plans, &**packed_projection, part(first, from, rows))),
                residual: shape.skip.then_some(read),
                given: part_mut(&mut above[0], to, rows),
                slots: moving.slots(next, to),
            }
            .run_on(threads, rows);
        }

        let end = layout.grids[layout.grids.len() - 1];
        moving.take(layout.norm, &mut self.last_moments, end);
        let last = stage(network, layout.norm, &self.last_moments, end);
        let read = &self.inputs[self.inputs.len() - 1];
        for image in 0..rows {
            last.activate(image, read, &mut self.last);
            let pooled = &mut self.pooled[image * end.channels..(image + 1) * end.channels];
            average((end, image), &self.last, pooled);
        }
        let (weights, biases) = head(layout, network.parameters());
        let outputs = &mut self.outputs[..rows * layout.head.outputs];
        dots(&self.pooled[..rows * end.channels], weights, end.channels, outputs);
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
        self.pull_back(network, loss, targets, gradient, false);
    }

    /// Overwrites `gradients` with the gradients of each image's loss, after [`Self::forward`] in eval mode.
    ///
    /// # Shapes
    /// `gradients`: `[n, parameters]`.
    ///
    /// # Numerics
    /// Each has the bits that [`Self::backward`] gives its image alone.
    pub fn backward_each(
        &mut self,
        network: &ConvNetwork<T>,
        loss: Loss,
        targets: &[T],
        gradients: &mut [T],
    ) {
        debug_assert_eq!(
            self.mode,
            Mode::Eval,
            "in train mode an image has no gradient of its own"
        );
        self.pull_back(network, loss, targets, gradients, true);
    }

    fn pull_back(
        &mut self,
        network: &ConvNetwork<T>,
        loss: Loss,
        targets: &[T],
        gradient: &mut [T],
        is_each: bool,
    ) {
        self.losses(network, loss, targets);
        gradient.fill(T::ZERO);
        let layout = network.layout();
        let rows = targets.len() / network.outputs();
        self.pull_back_head(network, rows, gradient, is_each);
        let (mode, threads) = (self.mode, self.threads);
        let Self { deltas, inputs, blocks, slots, slot, last_moments, copies, copies_len, .. } =
            self;
        let [packed, packed_projection] = &mut self.packed;
        let (slot, copies_len) = (*slot, *copies_len);
        let grid_of = |i: usize| layout.grids[i];
        let end = layout.grids.len() - 1;
        let mut above = mem::take(&mut deltas[end][0]);
        // What the norm above read and gave, its moments, and the gradient that is added after it.
        let mut norm = layout.norm;
        let mut pulled = last_moments;
        let mut activations: &[T] = &self.last;
        let mut residual: Option<Vec<T>> = None;
        for (i, (block, shape)) in blocks.iter_mut().zip(&layout.blocks).enumerate().rev() {
            let (from, to) = (grid_of(shape.from), grid_of(shape.to));
            let Block { plans, projection, moments, first, middle, second } = block;
            let [moments_1, moments_2] = moments;
            let mut inner = take_free(&mut deltas[shape.to]);

            pack_back(&plans[1], network, packed);
            let mut phase = Way { network, rows, threads, gradient, is_each, copies, copies_len };
            phase.run(Backward {
                pull: Pull {
                    norm: stage(network, norm, pulled, to),
                    read: part(&inputs[i + 1], to, rows),
                    activations: part(activations, to, rows),
                    residual: residual.as_ref().map(|residual| part(residual, to, rows)),
                },
                delta: part_mut(&mut above, to, rows),
                weighed: [
                    Some(Weighed { plans: &plans[1], read: part(second, to, rows) }),
                    projection
                        .as_ref()
                        .map(|plans| Weighed { plans, read: part(first, from, rows) }),
                ],
                carried: Some((
                    Carried { plans: &plans[1], packed },
                    part_mut(&mut inner, to, rows),
                )),
                projection: None,
                below: shape.norms[1].map(|norm| {
                    let pull = Pull {
                        norm: stage(network, Some(norm), moments_2, to),
                        read: part(middle, to, rows),
                        activations: part(second, to, rows),
                        residual: None,
                    };
                    (pull, slots_of(slots, slot, rows))
                }),
                gradients: Gradients::Later,
                copies: PartMut { numbers: &mut [], stride: copies_len },
            });
            phase.weigh(Weighed { plans: &plans[1], read: part(second, to, rows) }, &above);
            if let Some(plans) = projection {
                phase.weigh(Weighed { plans, read: part(first, from, rows) }, &above);
            }
            let taken = Part { numbers: &slots[..rows * slot], stride: slot };
            end_pull(shape.norms[1], moments_2, (mode, to), &taken, phase.gradient, is_each);
            // What was added after the norm above is free.
            if let Some(residual) = residual.take() {
                put_back(&mut deltas[shape.to], residual);
            }

            pack_back(&plans[0], network, packed);
            if let Some(projection) = projection {
                pack_back(projection, network, packed_projection);
            }
            let mut below = take_free(&mut deltas[shape.from]);
            phase.run(Backward {
                pull: Pull {
                    norm: stage(network, shape.norms[1], moments_2, to),
                    read: part(middle, to, rows),
                    activations: part(second, to, rows),
                    residual: None,
                },
                delta: part_mut(&mut inner, to, rows),
                weighed: [Some(Weighed { plans: &plans[0], read: part(first, from, rows) }), None],
                carried: Some((
                    Carried { plans: &plans[0], packed },
                    part_mut(&mut below, from, rows),
                )),
                projection: projection.as_ref().map(|plans| {
                    let carried = Carried { plans, packed: packed_projection };
                    (carried, part(&above, to, rows))
                }),
                below: shape.norms[0].map(|norm| {
                    let pull = Pull {
                        norm: stage(network, Some(norm), moments_1, from),
                        read: part(&inputs[i], from, rows),
                        activations: part(first, from, rows),
                        residual: None,
                    };
                    (pull, slots_of(slots, slot, rows))
                }),
                gradients: Gradients::Later,
                copies: PartMut { numbers: &mut [], stride: copies_len },
            });
            phase.weigh(Weighed { plans: &plans[0], read: part(first, from, rows) }, &inner);
            let taken = Part { numbers: &slots[..rows * slot], stride: slot };
            end_pull(shape.norms[0], moments_1, (mode, from), &taken, phase.gradient, is_each);

            put_back(&mut deltas[shape.to], inner);
            let whole = mem::replace(&mut above, below);
            if shape.skip && projection.is_none() {
                residual = Some(whole);
            } else {
                put_back(&mut deltas[shape.to], whole);
            }
            (norm, pulled, activations) = (shape.norms[0], moments_1, first);
        }
        let grid = layout.grids[0];
        let mut phase = Way { network, rows, threads, gradient, is_each, copies, copies_len };
        phase.run(Backward {
            pull: Pull {
                norm: stage(network, norm, pulled, grid),
                read: part(&inputs[0], grid, rows),
                activations: part(activations, grid, rows),
                residual: residual.as_ref().map(|residual| part(residual, grid, rows)),
            },
            delta: part_mut(&mut above, grid, rows),
            weighed: [
                Some(Weighed { plans: &self.stem, read: part(&self.images, layout.input, rows) }),
                None,
            ],
            carried: None,
            projection: None,
            below: None,
            gradients: Gradients::Later,
            copies: PartMut { numbers: &mut [], stride: copies_len },
        });
        let read = part(&self.images, layout.input, rows);
        phase.weigh(Weighed { plans: &self.stem, read }, &above);
        put_back(&mut deltas[0], above);
        if let Some(residual) = residual {
            put_back(&mut deltas[0], residual);
        }
    }

    /// The head's gradients, and those of the last activations, left in the last grid's first buffer.
    fn pull_back_head(
        &mut self,
        network: &ConvNetwork<T>,
        rows: usize,
        gradient: &mut [T],
        is_each: bool,
    ) {
        let layout = network.layout();
        let end = layout.grids.len() - 1;
        let grid = layout.grids[end];
        let (classes, width) = (layout.head.outputs, layout.head.inputs);
        let deltas = &self.output_deltas[..rows * classes];
        let pooled = &self.pooled[..rows * width];
        let (weights, _) = head(layout, network.parameters());
        let parameters = network.parameters().len();
        let (group, count) = if is_each { (1, rows) } else { (rows, 1) };
        for (gradient, g) in gradient.chunks_exact_mut(parameters).zip(0..count) {
            let deltas = &deltas[g * group * classes..(g + 1) * group * classes];
            let pooled = &pooled[g * group * width..(g + 1) * group * width];
            let (_, tail) = gradient.split_at_mut(layout.head.offset);
            let (weight_gradient, bias_gradient) = tail.split_at_mut(classes * width);
            combine(deltas, Strides { row: 1, term: classes }, pooled, width, weight_gradient);
            for row in deltas.chunks_exact(classes) {
                bias_gradient.iter_mut().zip(row).for_each(|(sum, &d)| *sum += d);
            }
        }
        let pooled_deltas = &mut self.pooled_deltas[..rows * width];
        combine(deltas, Strides { row: classes, term: 1 }, weights, width, pooled_deltas);
        let mode = self.mode;
        let Self { last_moments, last, inputs, slots, slot, .. } = self;
        let read = (&*inputs[inputs.len() - 1], &**last);
        let above = &mut self.deltas[end][0];
        let mut slots = slots_of(slots, *slot, rows);
        for (image, pooled) in pooled_deltas.chunks_exact(width).enumerate() {
            spread((grid, image), pooled, above);
            if layout.norm.is_some() {
                last_moments.add_up_pull((grid, image), read, above, slots.of(image));
            }
        }
        let taken = Part { numbers: &*slots.numbers, stride: *slot };
        end_pull(layout.norm, last_moments, (mode, grid), &taken, gradient, is_each);
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

/// The images of `buffer`, on `grid`.
fn part<T>(buffer: &[T], grid: Grid, rows: usize) -> Part<'_, T> {
    Part { numbers: &buffer[..rows * grid.image()], stride: grid.image() }
}

/// The same, to be changed.
fn part_mut<T>(buffer: &mut [T], grid: Grid, rows: usize) -> PartMut<'_, T> {
    PartMut { numbers: &mut buffer[..rows * grid.image()], stride: grid.image() }
}

fn slots_of(slots: &mut [f64], stride: usize, rows: usize) -> PartMut<'_, f64> {
    PartMut { numbers: &mut slots[..rows * stride], stride }
}

fn stage<'a, T: Real>(
    network: &'a ConvNetwork<T>,
    norm: Option<NormLayer>,
    moments: &'a Moments<T>,
    grid: Grid,
) -> NormStage<'a, T> {
    NormStage { norm, moments, parameters: network.parameters(), grid }
}

/// Takes a buffer that nothing is in.
fn take_free<T>(buffers: &mut [Vec<T>; 3]) -> Vec<T> {
    let free = buffers.iter_mut().find(|buffer| !buffer.is_empty());
    mem::take(free.expect("of three buffers two are in use at most"))
}

/// Puts a buffer back where one was taken.
fn put_back<T>(buffers: &mut [Vec<T>; 3], buffer: Vec<T>) {
    let place = buffers.iter_mut().find(|place| place.is_empty());
    *place.expect("it was taken from here") = buffer;
}

/// The moments of norms on the way forward.
struct Moving<'a, 'b, T> {
    network: &'a ConvNetwork<T>,
    rows: usize,
    mode: Mode,
    slots: &'a mut PartMut<'b, f64>,
}

impl<T: Real> Moving<'_, '_, T> {
    /// Where the sums of what `norm` reads go, if they are needed.
    fn slots(&mut self, norm: Option<NormLayer>, grid: Grid) -> Option<Slots<'_>> {
        let is_needed = norm.is_some() && self.mode == Mode::Train;
        let to = slots_of(self.slots.numbers, self.slots.stride, self.rows);
        is_needed.then_some(Slots { grid, to })
    }

    /// Takes the moments of `norm`: what is in the slots, or the running ones.
    fn take(&self, norm: Option<NormLayer>, moments: &mut Moments<T>, grid: Grid) {
        let Some(norm) = norm else { return };
        match self.mode {
            Mode::Eval => moments.take_running(norm.running(self.network.statistics())),
            Mode::Train => {
                let slots = &self.slots.numbers[..self.rows * self.slots.stride];
                let slots = slots.chunks_exact(self.slots.stride);
                moments.take_batch(grid.side * grid.side, slots);
            }
        }
    }
}

/// Runs the phases of the way back.
struct Way<'a, T> {
    network: &'a ConvNetwork<T>,
    rows: usize,
    threads: usize,
    gradient: &'a mut [T],
    is_each: bool,
    copies: &'a mut [T],
    copies_len: usize,
}

impl<T: Real> Way<'_, T> {
    /// Runs `phase` with its gradients in weights, or without where they have to come later.
    fn run<'s>(&'s mut self, mut phase: Backward<'s, T>) {
        let parameters = self.network.parameters().len();
        phase.gradients = if self.is_each {
            Gradients::Each(PartMut { numbers: &mut *self.gradient, stride: parameters })
        } else if self.threads > 1 {
            Gradients::Later
        } else {
            Gradients::Sum(&mut *self.gradient)
        };
        phase.copies = PartMut { numbers: &mut *self.copies, stride: self.copies_len };
        phase.run_on(self.threads, self.rows);
    }

    /// Adds the gradients in weights that [`Self::run`] left out: several threads share the weights, not the images, whose
    /// order is that of the sum.
    fn weigh(&mut self, weighed: Weighed<'_, T>, delta: &[T]) {
        if self.is_each || self.threads == 1 {
            return;
        }
        let terms = weighed.plans.forward.terms();
        Weighing {
            weighed,
            images: self.rows,
            delta,
            rows: 0..terms,
            gradient: weighed.plans.layer.of_mut(self.gradient),
            copies: PartMut { numbers: &mut *self.copies, stride: self.copies_len },
        }
        .run_on(self.threads, terms);
    }
}

/// Numbers of the copies that the gradients of weights take, one layer after the other.
fn most_copies(layout: &Layout) -> usize {
    let lens = layout.convs_between().map(|(layer, from, to)| copies_len(layer, from, to));
    lens.max().unwrap_or(0)
}

fn pack<T: Real>(plans: &Plans, network: &ConvNetwork<T>, packed: &mut [T]) {
    pack_forward(plans.layer.of(network.parameters()), plans.layer.outputs, packed);
}

fn pack_back<T: Real>(plans: &Plans, network: &ConvNetwork<T>, packed: &mut [T]) {
    let mut packed = packed;
    for walks in &plans.backward {
        let (own, rest) = packed.split_at_mut(walks.terms() * walks.outputs);
        pack_backward(plans.layer.of(network.parameters()), walks, own);
        packed = rest;
    }
}

//! Networks as measurements see them: examples in, outputs, losses and gradients out.

use domain::spec::{Loss, Mode};

use crate::data::Examples;
use crate::nn::conv::{ConvNetwork, ConvPass};
use crate::nn::{Network, Pass, Real};

/// Examples of one pass, where they do not depend on one another: a constant of the engine, part of every figure's bits.
pub const TILE: usize = 64;

/// A network that takes the examples of one tile at a time.
pub trait Tiles<T> {
    /// Entries of an input, and units of the output.
    fn sizes(&self) -> (usize, usize);
    /// Trained numbers.
    fn parameters(&self) -> usize;
    /// How many of the `examples` of one gradient are taken at a time: [`TILE`], or all of them in train mode, where they
    /// are normalised together.
    fn tile(&self, examples: usize) -> usize;
    /// Computes outputs and losses and, where there is a buffer for it, overwrites it with the summed gradient.
    fn take(&mut self, inputs: &[T], targets: &[T], gradient: Option<&mut [T]>);
    /// Overwrites `gradients` `[n, parameters]` with the gradient of each example, n up to [`TILE`]; not in train mode.
    fn take_each(&mut self, inputs: &[T], targets: &[T], gradients: &mut [T]);
    /// What was computed for so many examples: outputs, losses.
    fn taken(&self, rows: usize) -> (&[T], &[T]);
}

/// A network of dense layers. `pass` has room for [`TILE`] examples.
pub struct DenseTiles<'a, T> {
    pub network: &'a Network<T>,
    pub pass: &'a mut Pass<T>,
    pub loss: Loss,
}

impl<T: Real> Tiles<T> for DenseTiles<'_, T> {
    fn sizes(&self) -> (usize, usize) {
        (self.network.dim(), self.network.outputs())
    }

    fn parameters(&self) -> usize {
        self.network.parameters().len()
    }

    fn tile(&self, _: usize) -> usize {
        TILE
    }

    fn take(&mut self, inputs: &[T], targets: &[T], gradient: Option<&mut [T]>) {
        let rows = inputs.len() / self.network.dim();
        self.pass.forward(self.network, inputs);
        if let Some(gradient) = gradient {
            self.pass.backward(self.network, self.loss, targets, rows);
            self.pass.gradient(self.network, inputs, gradient);
        } else {
            self.pass.losses(self.network, self.loss, targets, rows);
        }
    }

    fn take_each(&mut self, inputs: &[T], targets: &[T], gradients: &mut [T]) {
        let rows = inputs.len() / self.network.dim();
        self.pass.forward(self.network, inputs);
        self.pass.backward(self.network, self.loss, targets, rows);
        self.pass.gradients(self.network, inputs, gradients);
    }

    fn taken(&self, rows: usize) -> (&[T], &[T]) {
        (self.pass.network_outputs(rows), self.pass.last_losses(rows))
    }
}

/// A convolutional network. `pass` has room for [`TILE`] examples, and for a whole minibatch in train mode. The running
/// statistics stay as they are in either mode.
pub struct ConvTiles<'a, T> {
    pub network: &'a ConvNetwork<T>,
    pub pass: &'a mut ConvPass<T>,
    pub loss: Loss,
    pub mode: Mode,
}

impl<T: Real> Tiles<T> for ConvTiles<'_, T> {
    fn sizes(&self) -> (usize, usize) {
        (self.network.dim(), self.network.outputs())
    }

    fn parameters(&self) -> usize {
        self.network.parameters().len()
    }

    fn tile(&self, examples: usize) -> usize {
        match self.mode {
            Mode::Eval => TILE,
            Mode::Train => examples,
        }
    }

    fn take(&mut self, inputs: &[T], targets: &[T], gradient: Option<&mut [T]>) {
        self.pass.forward(self.network, inputs, self.mode);
        if let Some(gradient) = gradient {
            self.pass.backward(self.network, self.loss, targets, gradient);
        } else {
            self.pass.losses(self.network, self.loss, targets);
        }
    }

    fn take_each(&mut self, inputs: &[T], targets: &[T], gradients: &mut [T]) {
        self.pass.forward(self.network, inputs, self.mode);
        self.pass.backward_each(self.network, self.loss, targets, gradients);
    }

    fn taken(&self, rows: usize) -> (&[T], &[T]) {
        (self.pass.network_outputs(self.network, rows), self.pass.last_losses(rows))
    }
}

/// The loss of every one of `examples`.
pub fn losses<T: Real>(network: &mut impl Tiles<T>, examples: &Examples<T>) -> Vec<f64> {
    let (dim, outputs) = network.sizes();
    let mut losses = Vec::with_capacity(examples.len());
    let tiles = examples.inputs.chunks(TILE * dim).zip(examples.targets.chunks(TILE * outputs));
    for (inputs, targets) in tiles {
        network.take(inputs, targets, None);
        losses.extend(network.taken(inputs.len() / dim).1.iter().map(|loss| loss.to_f64()));
    }
    losses
}

/// Forms the mean gradients of groups of examples, in buffers that are made once.
#[derive(Clone, Debug, Default)]
pub struct Former<T> {
    inputs: Vec<T>,
    targets: Vec<T>,
    part: Vec<T>,
}

impl<T: Real> Former<T> {
    /// Overwrites `gradients` `[n, parameters]` with those of the single examples `indices`.
    ///
    /// # Numerics
    /// Each has the bits of [`Self::form`].
    pub fn form_each(
        &mut self,
        network: &mut impl Tiles<T>,
        examples: &Examples<T>,
        indices: &[u32],
        gradients: &mut [T],
    ) {
        let (dim, outputs) = network.sizes();
        let tiles = gradients.chunks_mut(TILE * network.parameters());
        for (tile, gradients) in indices.chunks(TILE).zip(tiles) {
            self.inputs.resize(tile.len() * dim, T::ZERO);
            self.targets.resize(tile.len() * outputs, T::ZERO);
            examples.gather(tile, &mut self.inputs, &mut self.targets);
            network.take_each(&self.inputs, &self.targets, gradients);
        }
    }

    /// Overwrites `gradient` with the mean of the gradients of the examples that `group` names.
    ///
    /// # Numerics
    /// Examples are summed within their tile as training sums them, tiles one after the other, all in the network's
    /// precision. One example is not scaled.
    pub fn form(
        &mut self,
        network: &mut impl Tiles<T>,
        examples: &Examples<T>,
        group: &[u32],
        gradient: &mut [T],
    ) {
        let (dim, outputs) = network.sizes();
        if let &[i] = group {
            let i = i as usize;
            let image = &examples.inputs[i * dim..(i + 1) * dim];
            let target = &examples.targets[i * outputs..(i + 1) * outputs];
            return network.take(image, target, Some(gradient));
        }
        gradient.fill(T::ZERO);
        self.part.resize(gradient.len(), T::ZERO);
        for tile in group.chunks(network.tile(group.len())) {
            self.inputs.resize(tile.len() * dim, T::ZERO);
            self.targets.resize(tile.len() * outputs, T::ZERO);
            examples.gather(tile, &mut self.inputs, &mut self.targets);
            network.take(&self.inputs, &self.targets, Some(&mut self.part));
            gradient.iter_mut().zip(&self.part).for_each(|(sum, &g)| *sum += g);
        }
        let scale = T::from_f64(1.0 / group.len() as f64);
        gradient.iter_mut().for_each(|g| *g *= scale);
    }
}

//! Risk, gradient norm and accuracy over whole sets of examples: the training curve.

use domain::spec::Loss;

use crate::data::{Examples, accuracy};
use crate::nn::conv::{ConvNetwork, ConvPass, Mode};
use crate::nn::{Network, Pass, Real};

/// Examples of one pass: a constant of the engine, part of every figure's bits.
pub const TILE: usize = 64;

/// Measures whole sets of examples, in buffers that are made once.
#[derive(Clone, Debug)]
pub struct Curve<T> {
    loss: Loss,
    pass: Pass<T>,
    sums: Sums<T>,
}

/// Figures of one set of examples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// F(w) = (1/N) Σᵢ fᵢ(w).
    pub risk: f64,
    /// |∇F(w)|; `None` where it was not asked for.
    pub gradient_norm: Option<f64>,
    /// Share of examples whose class the outputs name; `None` for real labels.
    pub accuracy: Option<f64>,
}

impl<T: Real> Curve<T> {
    /// Buffers for networks of the shape of `network`.
    pub fn new(network: &Network<T>, loss: Loss) -> Self {
        let sums = Sums::new(network.parameters().len());
        Self { loss, pass: Pass::new(network, TILE), sums }
    }

    /// Risk, gradient norm and accuracy over `examples`; `None` of no examples.
    ///
    /// # Numerics
    /// Losses and the gradients of tiles of 64 examples are added in order, in f64.
    ///
    /// # Cost
    /// About 6 flop a weight and example.
    pub fn with_gradient(
        &mut self,
        network: &Network<T>,
        examples: &Examples<T>,
    ) -> Option<Figures> {
        let Self { loss, pass, sums } = self;
        sums.figures(&mut DenseTiles { network, pass, loss: *loss }, examples, true)
    }

    /// Risk and accuracy over `examples`; `None` of no examples.
    pub fn without_gradient(
        &mut self,
        network: &Network<T>,
        examples: &Examples<T>,
    ) -> Option<Figures> {
        let Self { loss, pass, sums } = self;
        sums.figures(&mut DenseTiles { network, pass, loss: *loss }, examples, false)
    }
}

/// The same for convolutional networks, in eval mode, with the pass that training uses.
#[derive(Clone, Debug)]
pub struct ConvCurve<T> {
    loss: Loss,
    sums: Sums<T>,
}

impl<T: Real> ConvCurve<T> {
    /// Buffers for networks of the shape of `network`.
    pub fn new(network: &ConvNetwork<T>, loss: Loss) -> Self {
        Self { loss, sums: Sums::new(network.parameters().len()) }
    }

    /// Risk, accuracy and, with `with_gradient`, the gradient norm over `examples`; `None` of no examples. `pass` has
    /// room for 64 of them.
    pub fn figures(
        &mut self,
        network: &ConvNetwork<T>,
        pass: &mut ConvPass<T>,
        examples: &Examples<T>,
        with_gradient: bool,
    ) -> Option<Figures> {
        let mut tiles = ConvTiles { network, pass, loss: self.loss };
        self.sums.figures(&mut tiles, examples, with_gradient)
    }
}

/// A network that takes the examples of one tile at a time.
trait Tiles<T> {
    /// Entries of an input, and units of the output.
    fn sizes(&self) -> (usize, usize);
    /// Computes outputs and losses and, where there is a buffer for it, overwrites it with the summed gradient.
    fn take(&mut self, inputs: &[T], targets: &[T], gradient: Option<&mut [T]>);
    /// What was computed for so many examples: outputs, losses.
    fn taken(&self, rows: usize) -> (&[T], &[T]);
}

struct DenseTiles<'a, T> {
    network: &'a Network<T>,
    pass: &'a mut Pass<T>,
    loss: Loss,
}

impl<T: Real> Tiles<T> for DenseTiles<'_, T> {
    fn sizes(&self) -> (usize, usize) {
        (self.network.dim(), self.network.outputs())
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

    fn taken(&self, rows: usize) -> (&[T], &[T]) {
        (self.pass.network_outputs(rows), self.pass.last_losses(rows))
    }
}

struct ConvTiles<'a, T> {
    network: &'a ConvNetwork<T>,
    pass: &'a mut ConvPass<T>,
    loss: Loss,
}

impl<T: Real> Tiles<T> for ConvTiles<'_, T> {
    fn sizes(&self) -> (usize, usize) {
        (self.network.dim(), self.network.outputs())
    }

    fn take(&mut self, inputs: &[T], targets: &[T], gradient: Option<&mut [T]>) {
        self.pass.forward(self.network, inputs, Mode::Eval);
        if let Some(gradient) = gradient {
            self.pass.backward(self.network, self.loss, targets, gradient);
        } else {
            self.pass.losses(self.network, self.loss, targets);
        }
    }

    fn taken(&self, rows: usize) -> (&[T], &[T]) {
        (self.pass.network_outputs(self.network, rows), self.pass.last_losses(rows))
    }
}

/// The gradient of a tile, and the sum over tiles.
#[derive(Clone, Debug)]
struct Sums<T> {
    tile_gradient: Vec<T>,
    gradient: Vec<f64>,
}

impl<T: Real> Sums<T> {
    fn new(parameters: usize) -> Self {
        Self { tile_gradient: vec![T::ZERO; parameters], gradient: vec![0.0; parameters] }
    }

    fn figures(
        &mut self,
        network: &mut impl Tiles<T>,
        examples: &Examples<T>,
        with_gradient: bool,
    ) -> Option<Figures> {
        if examples.is_empty() {
            return None;
        }
        let (dim, outputs) = network.sizes();
        let (mut loss_sum, mut met, mut counted) = (0.0, 0u64, 0u64);
        self.gradient.fill(0.0);
        let tiles = examples
            .inputs
            .chunks(TILE * dim)
            .zip(examples.targets.chunks(TILE * outputs))
            .zip(examples.labels.chunks(TILE));
        for ((inputs, targets), labels) in tiles {
            network.take(inputs, targets, with_gradient.then_some(&mut self.tile_gradient));
            let (units, losses) = network.taken(labels.len());
            for (g, &label) in units.chunks_exact(outputs).zip(labels) {
                if let Some(is_met) = accuracy(g.iter().map(|g| g.to_f64()), label) {
                    counted += 1;
                    met += u64::from(is_met);
                }
            }
            if with_gradient {
                for (sum, g) in self.gradient.iter_mut().zip(&self.tile_gradient) {
                    *sum += g.to_f64();
                }
            }
            loss_sum = losses.iter().fold(loss_sum, |sum, loss| sum + loss.to_f64());
        }
        let count = examples.len() as f64;
        let norm = || self.gradient.iter().map(|g| g / count).fold(0.0, |sum, g| sum + g * g);
        Some(Figures {
            risk: loss_sum / count,
            gradient_norm: with_gradient.then(|| norm().sqrt()),
            accuracy: (counted > 0).then(|| met as f64 / counted as f64),
        })
    }
}

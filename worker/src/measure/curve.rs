//! Risk, gradient norm and accuracy over whole sets of examples: the training curve.

use domain::spec::{Loss, Mode};

use super::tiles::{ConvTiles, DenseTiles, TILE, Tiles};
use crate::data::{Examples, accuracy};
use crate::nn::conv::{ConvNetwork, ConvPass};
use crate::nn::{Network, Pass, Real};

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

    /// `network` as measurements see it, in the buffers of this curve.
    pub fn tiles<'a>(&'a mut self, network: &'a Network<T>) -> DenseTiles<'a, T> {
        DenseTiles { network, pass: &mut self.pass, loss: self.loss }
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
        let mut tiles = ConvTiles { network, pass, loss: self.loss, mode: Mode::Eval };
        self.sums.figures(&mut tiles, examples, with_gradient)
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

//! Risk, gradient norm and accuracy over whole sets of examples: the training curve.

use domain::spec::Loss;

use crate::data::{Examples, accuracy};
use crate::nn::{Network, Pass, Real};

/// Examples of one pass: a constant of the engine, part of every figure's bits.
const TILE: usize = 64;

/// Measures whole sets of examples, in buffers that are made once.
#[derive(Clone, Debug)]
pub struct Curve<T> {
    loss: Loss,
    pass: Pass<T>,
    tile_gradient: Vec<T>,
    gradient: Vec<f64>,
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
        let parameters = network.parameters().len();
        Self {
            loss,
            pass: Pass::new(network, TILE),
            tile_gradient: vec![T::ZERO; parameters],
            gradient: vec![0.0; parameters],
        }
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
        self.figures(network, examples, true)
    }

    /// Risk and accuracy over `examples`; `None` of no examples.
    pub fn without_gradient(
        &mut self,
        network: &Network<T>,
        examples: &Examples<T>,
    ) -> Option<Figures> {
        self.figures(network, examples, false)
    }

    fn figures(
        &mut self,
        network: &Network<T>,
        examples: &Examples<T>,
        with_gradient: bool,
    ) -> Option<Figures> {
        if examples.is_empty() {
            return None;
        }
        let outputs = network.outputs();
        let (mut loss_sum, mut met, mut counted) = (0.0, 0u64, 0u64);
        self.gradient.fill(0.0);
        let tiles = examples
            .inputs
            .chunks(TILE * network.dim())
            .zip(examples.targets.chunks(TILE * outputs))
            .zip(examples.labels.chunks(TILE));
        for ((inputs, targets), labels) in tiles {
            let rows = labels.len();
            self.pass.forward(network, inputs);
            for (g, &label) in self.pass.network_outputs(rows).chunks_exact(outputs).zip(labels) {
                if let Some(is_met) = accuracy(g.iter().map(|g| g.to_f64()), label) {
                    counted += 1;
                    met += u64::from(is_met);
                }
            }
            if with_gradient {
                self.pass.backward(network, self.loss, targets, rows);
                self.pass.gradient(network, inputs, &mut self.tile_gradient);
                for (sum, g) in self.gradient.iter_mut().zip(&self.tile_gradient) {
                    *sum += g.to_f64();
                }
            } else {
                self.pass.losses(network, self.loss, targets, rows);
            }
            let losses = self.pass.last_losses(rows);
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

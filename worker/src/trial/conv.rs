//! A convolutional network that learns.

use domain::spec::Conv;
use domain::{ConfusionRow, JobSpec};

use super::learner::{Learner, momentum_parts};
use crate::data::Examples;
use crate::measure::{ConvCurve, Figures, Formed, Occasion, TILE, formed_row};
use crate::nn::Real;
use crate::nn::conv::{ConvNetwork, ConvPass};
use crate::optim::{ConvSgd, Order};

/// A Wide ResNet or a part of one, with SGD. Whatever is measured is measured in eval mode.
pub struct Convolutional<'a, T> {
    spec: &'a JobSpec,
    network: ConvNetwork<T>,
    /// For minibatches and for the tiles of the curve.
    pass: ConvPass<T>,
    sgd: ConvSgd<T>,
    curve: ConvCurve<T>,
}

impl<'a, T: Real> Convolutional<'a, T> {
    /// The network `conv` of `spec` before its first step.
    pub fn new(spec: &'a JobSpec, conv: &Conv) -> Self {
        let network = ConvNetwork::initialise(&spec.model, conv, spec.seeds.init);
        let capacity = TILE.max(spec.train.batch as usize);
        let augmented = (spec.data.samples, spec.seeds.augment);
        Self {
            spec,
            pass: ConvPass::new(&network, capacity),
            sgd: ConvSgd::new(&spec.train, order(spec, 0), augmented, &network),
            curve: ConvCurve::new(&network, spec.train.loss),
            network,
        }
    }
}

fn order(spec: &JobSpec, step: u64) -> Order {
    Order::new(&spec.train, spec.data.samples, spec.seeds.order, step)
}

impl<T: Real> Learner<T> for Convolutional<'_, T> {
    fn step(&mut self, examples: &Examples<T>, step: u64) -> f64 {
        self.sgd.step(&mut self.network, &mut self.pass, examples, step)
    }

    fn go_to(&mut self, step: u64) {
        self.sgd.set_order(order(self.spec, step));
    }

    fn is_finite(&self) -> bool {
        self.network.is_finite()
    }

    fn figures(&mut self, examples: &Examples<T>, with_gradient: bool) -> Option<Figures> {
        self.curve.figures(&self.network, &mut self.pass, examples, with_gradient)
    }

    fn confusion(
        &mut self,
        examples: &Examples<T>,
        scope: &'static str,
        occasion: Occasion,
        chosen: &[u32],
    ) -> Vec<ConfusionRow> {
        let loss = self.spec.train.loss;
        let formed = Formed::take(&self.network, &mut self.pass, examples, loss, chosen);
        let labels: Vec<_> = chosen.iter().map(|&i| examples.labels[i as usize]).collect();
        vec![formed_row(&formed, scope, occasion, (chosen, &labels))]
    }

    fn parts(&self) -> Vec<(String, Vec<usize>)> {
        let mut parts = self.network.parts();
        let momentum = momentum_parts(&parts, self.sgd.velocity());
        parts.extend(momentum);
        parts.extend(self.network.statistics_parts());
        parts
    }

    fn numbers(&self) -> Vec<&[T]> {
        vec![self.network.parameters(), self.sgd.velocity(), self.network.statistics()]
    }

    fn numbers_mut(&mut self) -> Vec<&mut [T]> {
        let (parameters, statistics) = self.network.numbers_mut();
        vec![parameters, self.sgd.velocity_mut(), statistics]
    }
}

//! A fully connected network that learns.

use std::ops::Range;

use domain::spec::{Confusion, Mode};
use domain::{ConfusionRow, JobSpec};

use super::learner::{Learner, examples_of_step, momentum_parts, order, rows_of_formed};
use crate::data::Examples;
use crate::measure::{
    Averages, Capture, Compared, Curve, Figures, Occasion, StepTaken, Workspace, confusion_rows,
};
use crate::nn::{Network, Real, initialise};
use crate::optim::Sgd;

/// A network of dense layers with plain SGD.
pub struct Dense<'a, T> {
    spec: &'a JobSpec,
    network: Network<T>,
    sgd: Sgd<T>,
    curve: Curve<T>,
    workspace: Workspace<T>,
}

impl<'a, T: Real> Dense<'a, T> {
    /// The network of `spec` before its first step.
    pub fn new(spec: &'a JobSpec) -> Self {
        let network = initialise(&spec.model, spec.data.dim, spec.seeds.init);
        let sgd = Sgd::new(&spec.train, order(spec, 0), &network);
        let curve = Curve::new(&network, spec.train.loss);
        Self { spec, network, sgd, curve, workspace: Workspace::default() }
    }
}

impl<T: Real> Learner<T> for Dense<'_, T> {
    fn steps(
        &mut self,
        examples: &Examples<T>,
        steps: Range<u64>,
        loss_sum: &mut f64,
    ) -> Option<u64> {
        self.sgd.steps(&mut self.network, examples, steps, loss_sum)
    }

    fn go_to(&mut self, step: u64) {
        let velocity = self.sgd.velocity().to_vec();
        self.sgd = Sgd::new(&self.spec.train, order(self.spec, step), &self.network);
        self.sgd.velocity_mut().copy_from_slice(&velocity);
    }

    fn is_finite(&self) -> bool {
        self.network.is_finite()
    }

    fn figures(&mut self, examples: &Examples<T>, with_gradient: bool) -> Option<Figures> {
        if with_gradient {
            self.curve.with_gradient(&self.network, examples)
        } else {
            self.curve.without_gradient(&self.network, examples)
        }
    }

    fn confusion(
        &mut self,
        examples: &Examples<T>,
        confusion: &Confusion,
        occasion: Occasion,
        chosen: &[u32],
    ) -> Vec<ConfusionRow> {
        let Self { spec, network, sgd, curve, workspace } = self;
        match confusion {
            // No gradient is formed where the factors do.
            Confusion::Samples { .. } => {
                let capture = Capture::take(network, examples, spec.train.loss, chosen);
                let labels: Vec<_> = chosen.iter().map(|&i| examples.labels[i as usize]).collect();
                let averages = Averages::of(confusion, chosen.len(), spec.seeds.measure);
                let compared = Compared {
                    scope: confusion.scope(),
                    mode: Mode::Eval,
                    batch: 1,
                    examples: Some((chosen, &labels)),
                    averages: Some(&averages),
                };
                confusion_rows(&capture, compared, occasion, spec.measure.layers)
            }
            Confusion::CrossIterate => {
                let step = occasion.step;
                let batch = examples_of_step(spec, step);
                let taken = StepTaken::from(&mut curve.tiles(network), examples, batch);
                let mut next = network.clone();
                sgd.clone().step(&mut next, examples, step);
                let when = (spec.train.step_size_at(step), occasion);
                vec![taken.row(&mut curve.tiles(&next), examples, when)]
            }
            Confusion::Batches { .. } | Confusion::BatchPairs { .. } => {
                let layers = network.layer_ranges();
                let asked = (confusion, occasion, chosen);
                let mut tiles = curve.tiles(network);
                rows_of_formed(&mut tiles, examples, spec, &layers, asked, workspace)
            }
        }
    }

    fn parts(&self) -> Vec<(String, Vec<usize>)> {
        let mut parts = Vec::new();
        for (p, layer) in self.network.layers().iter().enumerate() {
            parts.push((format!("weights.{p}"), vec![layer.fan_out, layer.fan_in]));
            if layer.has_bias {
                parts.push((format!("bias.{p}"), vec![layer.fan_out]));
            }
        }
        let momentum = momentum_parts(&parts, self.sgd.velocity());
        parts.extend(momentum);
        parts
    }

    fn numbers(&self) -> Vec<&[T]> {
        vec![self.network.parameters(), self.sgd.velocity()]
    }

    fn numbers_mut(&mut self) -> Vec<&mut [T]> {
        vec![self.network.parameters_mut(), self.sgd.velocity_mut()]
    }
}

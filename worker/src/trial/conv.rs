//! A convolutional network that learns.

use std::ops::Range;

use domain::spec::{Confusion, Conv, Mode};
use domain::{ConfusionRow, JobSpec};

use super::learner::{Learner, examples_of_step, momentum_parts, order, rows_of_formed};
use crate::data::Examples;
use crate::measure::{ConvCurve, ConvTiles, Figures, Occasion, StepTaken, TILE, Workspace};
use crate::nn::Real;
use crate::nn::conv::{ConvNetwork, ConvPass};
use crate::optim::ConvSgd;

/// A Wide ResNet or a part of one, with SGD. Whatever is measured is measured in eval mode,
/// the gradients of minibatches apart where the job says so.
pub struct Convolutional<'a, T> {
    spec: &'a JobSpec,
    network: ConvNetwork<T>,
    /// For minibatches and for the tiles of the curve.
    pass: ConvPass<T>,
    sgd: ConvSgd<T>,
    curve: ConvCurve<T>,
    workspace: Workspace<T>,
}

impl<'a, T: Real> Convolutional<'a, T> {
    /// The network `conv` of `spec` before its first step, its passes shared by `threads` threads.
    pub fn new(spec: &'a JobSpec, conv: &Conv, threads: usize) -> Self {
        let network = ConvNetwork::initialise(&spec.model, conv, spec.seeds.init);
        let augmented = (spec.data.samples, spec.seeds.augment);
        Self {
            spec,
            pass: ConvPass::new(&network, capacity(spec)).on_threads(threads),
            sgd: ConvSgd::new(&spec.train, order(spec, 0), augmented, &network),
            curve: ConvCurve::new(&network, spec.train.loss),
            workspace: Workspace::default(),
            network,
        }
    }
}

/// The most images that go through the network of `spec` together.
pub fn capacity(spec: &JobSpec) -> usize {
    let measured = spec.measure.confusion.iter().map(|confusion| match confusion {
        // Normalised together, they are passed together.
        &Confusion::Batches { batch, .. } | &Confusion::BatchPairs { batch, .. }
            if spec.measure.mode == Mode::Train =>
        {
            batch as usize
        }
        _ => TILE,
    });
    measured.fold(TILE.max(spec.train.batch as usize), usize::max)
}

impl<T: Real> Learner<T> for Convolutional<'_, T> {
    fn steps(
        &mut self,
        examples: &Examples<T>,
        steps: Range<u64>,
        loss_sum: &mut f64,
    ) -> Option<u64> {
        self.sgd.steps(&mut self.network, &mut self.pass, examples, steps, loss_sum)
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
        confusion: &Confusion,
        occasion: Occasion,
        chosen: &[u32],
    ) -> Vec<ConfusionRow> {
        let Self { spec, network, pass, sgd, workspace, .. } = self;
        let loss = spec.train.loss;
        if *confusion == Confusion::CrossIterate {
            let (step, mode) = (occasion.step, Mode::Eval);
            let mut tiles = ConvTiles { network, pass, loss, mode };
            let taken = StepTaken::from(&mut tiles, examples, examples_of_step(spec, step));
            let mut next = network.clone();
            sgd.clone().step(&mut next, pass, examples, step);
            let mut tiles = ConvTiles { network: &next, pass, loss, mode };
            let when = (spec.train.step_size_at(step), occasion);
            return vec![taken.row(&mut tiles, examples, when)];
        }
        let mode = if confusion.is_of_batches() { spec.measure.mode } else { Mode::Eval };
        let layers = network.layer_ranges();
        let mut tiles = ConvTiles { network, pass, loss, mode };
        let asked = (confusion, occasion, chosen);
        rows_of_formed(&mut tiles, examples, spec, &layers, asked, workspace)
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

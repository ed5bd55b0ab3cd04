//! What a trial trains and measures: a network with its optimiser and its buffers.

use std::ops::Range;

use domain::spec::{Confusion, Mode};
use domain::{ConfusionRow, JobSpec};

use crate::data::Examples;
use crate::measure::{
    Averages, Compared, Figures, Formed, Occasion, Tiles, Workspace, batch_pair_rows, formed_rows,
};
use crate::nn::Real;
use crate::optim::Order;

/// A network that learns. The loop of a trial knows no more of it.
pub trait Learner<T: Real> {
    /// Takes `steps`, which begin after the last one or after [`Self::go_to`], and adds the mean loss of each minibatch at
    /// the weights it began with to `loss_sum`. Stops at a loss that is not finite and returns its step.
    fn steps(
        &mut self,
        examples: &Examples<T>,
        steps: Range<u64>,
        loss_sum: &mut f64,
    ) -> Option<u64>;
    /// Makes `step` the next one.
    fn go_to(&mut self, step: u64);
    /// Whether every number of the network is finite.
    fn is_finite(&self) -> bool;
    /// Risk and accuracy over `examples`, and the gradient norm if it is asked for; `None` of no examples.
    fn figures(&mut self, examples: &Examples<T>, with_gradient: bool) -> Option<Figures>;
    /// The rows of one measurement of confusion: of the examples that `chosen` names where it is of such.
    fn confusion(
        &mut self,
        examples: &Examples<T>,
        confusion: &Confusion,
        occasion: Occasion,
        chosen: &[u32],
    ) -> Vec<ConfusionRow>;
    /// Names and shapes of all that a checkpoint keeps of it, in the order of [`Self::numbers`].
    fn parts(&self) -> Vec<(String, Vec<usize>)>;
    /// The numbers of the parts, one after the other: no part lies in two of these.
    fn numbers(&self) -> Vec<&[T]>;
    /// The same, to be restored.
    fn numbers_mut(&mut self) -> Vec<&mut [T]>;
}

/// The rows of one measurement of gradients that are formed, of examples or of minibatches; none of a step.
pub fn rows_of_formed<T: Real>(
    network: &mut impl Tiles<T>,
    examples: &Examples<T>,
    spec: &JobSpec,
    layers: &[Range<usize>],
    (confusion, occasion, chosen): (&Confusion, Occasion, &[u32]),
    workspace: &mut Workspace<T>,
) -> Vec<ConfusionRow> {
    let scope = confusion.scope();
    let layers = if spec.measure.layers { layers } else { &[] };
    match *confusion {
        Confusion::Samples { .. } => {
            let groups: Vec<&[u32]> = chosen.chunks(1).collect();
            let formed = Formed::take(network, examples, &groups, layers, workspace);
            let labels: Vec<_> = chosen.iter().map(|&i| examples.labels[i as usize]).collect();
            let named = Some((chosen, &*labels));
            let averages = Averages::of(confusion, chosen.len(), spec.seeds.measure);
            let (mode, averages) = (Mode::Eval, Some(&averages));
            let compared = Compared { scope, mode, batch: 1, examples: named, averages };
            formed_rows(&formed, compared, occasion)
        }
        Confusion::Batches { batch, .. } => {
            let groups: Vec<&[u32]> = chosen.chunks(batch as usize).collect();
            let formed = Formed::take(network, examples, &groups, layers, workspace);
            let mode = spec.measure.mode;
            let compared = Compared { scope, mode, batch, examples: None, averages: None };
            formed_rows(&formed, compared, occasion)
        }
        Confusion::BatchPairs { count, batch } => {
            let (mode, seed) = (spec.measure.mode, spec.seeds.measure);
            batch_pair_rows(network, examples, (count, batch), mode, seed, occasion, layers)
        }
        Confusion::CrossIterate => Vec::new(),
    }
}

/// The order of examples of `spec` from `step` on.
pub fn order(spec: &JobSpec, step: u64) -> Order {
    Order::new(&spec.train, spec.data.samples, spec.seeds.order, step)
}

/// The examples of step number `step`.
pub fn examples_of_step(spec: &JobSpec, step: u64) -> Vec<u32> {
    let mut batch = vec![0; spec.train.batch as usize];
    order(spec, step).next_step(&mut batch);
    batch
}

/// The parts of a velocity, laid out like `parts`; none where there is no velocity.
pub fn momentum_parts<T>(
    parts: &[(String, Vec<usize>)],
    velocity: &[T],
) -> Vec<(String, Vec<usize>)> {
    if velocity.is_empty() {
        return Vec::new();
    }
    parts.iter().map(|(name, shape)| (format!("momentum.{name}"), shape.clone())).collect()
}

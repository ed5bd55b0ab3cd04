//! What a trial trains and measures: a network with its optimiser and its buffers.

use domain::ConfusionRow;

use crate::data::Examples;
use crate::measure::{Figures, Occasion};
use crate::nn::Real;

/// A network that learns. The loop of a trial knows no more of it.
pub trait Learner<T: Real> {
    /// Takes step number `step`, the one after the last or after [`Self::go_to`], and returns the mean loss of its
    /// minibatch at the old weights.
    fn step(&mut self, examples: &Examples<T>, step: u64) -> f64;
    /// Makes `step` the next one.
    fn go_to(&mut self, step: u64);
    /// Whether every number of the network is finite.
    fn is_finite(&self) -> bool;
    /// Risk and accuracy over `examples`, and the gradient norm if it is asked for; `None` of no examples.
    fn figures(&mut self, examples: &Examples<T>, with_gradient: bool) -> Option<Figures>;
    /// The rows of one measurement of confusion among the examples that `chosen` names.
    fn confusion(
        &mut self,
        examples: &Examples<T>,
        scope: &'static str,
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

//! Stochastic gradient descent.

use std::ops::Range;

use domain::spec::Train;

use super::Order;
use crate::data::Examples;
use crate::nn::dispatch::{Kernel, dispatch};
use crate::nn::kernel::{MeanStep, Rate};
use crate::nn::{Aligned, Descent, Network, Pass, Real, step_one};

/// Plain SGD with a constant or scheduled step size ("SGD", the poster's box), with optional minibatches, heavy-ball
/// momentum μ and weight decay λ.
///
/// ```text
/// g = (1/B) Σ_{i in batch} ∇fᵢ(w) + λ w
/// v ← μ v + g
/// w ← w − α v
/// ```
///
/// λ acts on every trained number, biases included.
///
/// # Numerics
/// A step allocates nothing. Minibatches of one without momentum take paths of their own, which round less often: in
/// [blocks](Descent) of steps, or one by one with weight decay. Other minibatches have the bits of the formulae, whether or
/// not their gradient is formed.
#[derive(Clone, Debug)]
pub struct Sgd<T> {
    train: Train,
    order: Order,
    pass: Pass<T>,
    indices: Vec<u32>,
    inputs: Aligned<T>,
    targets: Vec<T>,
    way: Way<T>,
    velocity: Vec<T>,
    step_sizes: Vec<T>,
}

/// How steps are taken.
#[derive(Clone, Debug)]
enum Way<T> {
    /// One example at a time, some steps in one go.
    Blocks(Descent<T>),
    /// One example at a time.
    OneByOne,
    /// The weights take the gradient of a minibatch where it is summed.
    InPlace,
    /// The gradient of a minibatch is formed here: `[parameters]`.
    Formed(Aligned<T>),
}

impl<T: Real> Way<T> {
    fn of(train: &Train, network: &Network<T>) -> Self {
        let is_plain = train.momentum == 0.0;
        match train.batch as usize {
            1 if is_plain && train.weight_decay == 0.0 => Self::Blocks(Descent::new(network)),
            1 if is_plain => Self::OneByOne,
            batch if is_plain && batch <= Pass::<T>::DESCENDED => Self::InPlace,
            _ => Self::Formed(Aligned::zeros(network.parameters().len())),
        }
    }
}

impl<T: Real> Sgd<T> {
    /// SGD as `train` says, at rest.
    pub fn new(train: &Train, order: Order, network: &Network<T>) -> Self {
        let batch = train.batch as usize;
        let parameters = network.parameters().len();
        let way = Way::of(train, network);
        let steps = match &way {
            Way::Blocks(descent) => descent.steps(),
            _ => 1,
        };
        Self {
            train: train.clone(),
            order,
            pass: Pass::new(network, batch),
            indices: vec![0; batch.max(steps)],
            way,
            step_sizes: vec![T::ZERO; steps],
            inputs: Aligned::zeros(batch * network.dim()),
            targets: vec![T::ZERO; batch * network.outputs()],
            velocity: vec![T::ZERO; if train.momentum == 0.0 { 0 } else { parameters }],
        }
    }

    /// v, laid out like the parameters; empty without momentum.
    pub fn velocity(&self) -> &[T] {
        &self.velocity
    }

    /// v, to be restored.
    pub fn velocity_mut(&mut self) -> &mut [T] {
        &mut self.velocity
    }

    /// Takes the steps `steps` and adds the mean loss of each minibatch, at the weights it began with, to `loss_sum`. Stops at
    /// a loss that is not finite and returns its step; the network is then of no use.
    ///
    /// # Numerics
    /// A function of the network, the examples and the steps from the first to the last: taking them in two goes may round
    /// differently.
    pub fn steps(
        &mut self,
        network: &mut Network<T>,
        examples: &Examples<T>,
        steps: Range<u64>,
        loss_sum: &mut f64,
    ) -> Option<u64> {
        let Way::Blocks(descent) = &mut self.way else {
            return first_lost(steps, loss_sum, |step| self.step(network, examples, step));
        };
        let mut first = steps.start;
        while first < steps.end {
            let count = (steps.end - first).min(descent.steps() as u64) as usize;
            let indices = &mut self.indices[..count];
            self.order.next_step(indices);
            let (inputs, targets) = descent.examples_mut();
            let (dim, outputs) = (network.dim(), network.outputs());
            examples.gather(indices, &mut inputs[..count * dim], &mut targets[..count * outputs]);
            let step_sizes = &mut self.step_sizes[..count];
            for (size, step) in step_sizes.iter_mut().zip(first..) {
                *size = T::from_f64(self.train.step_size_at(step));
            }
            let losses = descent.run(network, self.train.loss, step_sizes);
            let mut losses = losses.iter();
            let block = first..first + count as u64;
            let next = |_| losses.next().map_or(0.0, |loss| loss.to_f64());
            if let Some(lost) = first_lost(block, loss_sum, next) {
                return Some(lost);
            }
            first += count as u64;
        }
        None
    }

    /// Takes step number `step` and returns the mean loss of its minibatch at the old weights.
    pub fn step(&mut self, network: &mut Network<T>, examples: &Examples<T>, step: u64) -> f64 {
        if let Way::Blocks(_) = self.way {
            let mut loss = 0.0;
            self.steps(network, examples, step..step + 1, &mut loss);
            return loss;
        }
        self.order.next_step(&mut self.indices);
        let rate = Rate {
            step_size: T::from_f64(self.train.step_size_at(step)),
            weight_decay: T::from_f64(self.train.weight_decay),
        };
        examples.gather(&self.indices, &mut self.inputs, &mut self.targets);
        if let Way::OneByOne = self.way {
            let example = (&*self.inputs, &*self.targets);
            return step_one(network, &mut self.pass, self.train.loss, example, rate).to_f64();
        }
        let rows = self.indices.len();
        let step = MeanStep { share: T::from_f64(1.0 / rows as f64), rate };
        self.pass.forward(network, &self.inputs);
        self.pass.backward(network, self.train.loss, &self.targets, rows);
        if let Way::Formed(gradient) = &mut self.way {
            self.pass.gradient(network, &self.inputs, gradient);
            dispatch(Update {
                parameters: network.parameters_mut(),
                gradient,
                velocity: &mut self.velocity,
                momentum: T::from_f64(self.train.momentum),
                step,
            });
        } else {
            self.pass.descend(network, &self.inputs, step);
        }
        let losses = self.pass.last_losses(rows);
        losses.iter().fold(0.0, |sum, loss| sum + loss.to_f64()) / rows as f64
    }
}

/// Takes `steps` one by one and adds their losses to `loss_sum`; returns the first step whose loss is not finite, where it
/// stops.
pub(super) fn first_lost(
    mut steps: Range<u64>,
    loss_sum: &mut f64,
    mut take: impl FnMut(u64) -> f64,
) -> Option<u64> {
    steps.find(|&step| {
        let loss = take(step);
        *loss_sum += loss;
        !loss.is_finite()
    })
}

/// The update of all parameters along the sum of gradients of a minibatch.
pub(super) struct Update<'a, T> {
    pub parameters: &'a mut [T],
    pub gradient: &'a [T],
    pub velocity: &'a mut [T],
    pub momentum: T,
    pub step: MeanStep<T>,
}

impl<T: Real> Kernel for Update<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { parameters, gradient, velocity, momentum, step } = self;
        if velocity.is_empty() {
            for (w, &g) in parameters.iter_mut().zip(gradient) {
                *w = step.step(*w, g);
            }
        } else {
            for ((w, &g), v) in parameters.iter_mut().zip(gradient).zip(velocity) {
                *v = momentum.mul_add(*v, step.slope(*w, g));
                *w = (-step.rate.step_size).mul_add(*v, *w);
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! Stochastic gradient descent.

use domain::spec::Train;

use super::Order;
use crate::data::Examples;
use crate::nn::dispatch::{Kernel, dispatch};
use crate::nn::kernel::Rate;
use crate::nn::{Aligned, Network, Pass, Real, step_one};

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
/// A step allocates nothing. A minibatch of one without momentum takes a fused path, whose update rounds less often.
#[derive(Clone, Debug)]
pub struct Sgd<T> {
    train: Train,
    order: Order,
    pass: Pass<T>,
    indices: Vec<u32>,
    inputs: Aligned<T>,
    targets: Vec<T>,
    gradient: Aligned<T>,
    velocity: Vec<T>,
}

impl<T: Real> Sgd<T> {
    /// SGD as `train` says, at rest.
    pub fn new(train: &Train, order: Order, network: &Network<T>) -> Self {
        let batch = train.batch as usize;
        let parameters = network.parameters().len();
        let fused = train.batch == 1 && train.momentum == 0.0;
        Self {
            train: train.clone(),
            order,
            pass: Pass::new(network, batch),
            indices: vec![0; batch],
            inputs: Aligned::zeros(batch * network.dim()),
            targets: vec![T::ZERO; batch * network.outputs()],
            gradient: Aligned::zeros(if fused { 0 } else { parameters }),
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

    /// Takes step number `step` and returns the mean loss of its minibatch at the old weights.
    pub fn step(&mut self, network: &mut Network<T>, examples: &Examples<T>, step: u64) -> f64 {
        self.order.next_step(&mut self.indices);
        let rate = Rate {
            step_size: T::from_f64(self.train.step_size_at(step)),
            weight_decay: T::from_f64(self.train.weight_decay),
        };
        if self.gradient.is_empty() {
            let (inputs, targets) = (&mut self.inputs, &mut self.targets);
            examples.gather(&self.indices, inputs, targets);
            let example = (&**inputs, &**targets);
            return step_one(network, &mut self.pass, self.train.loss, example, rate).to_f64();
        }
        examples.gather(&self.indices, &mut self.inputs, &mut self.targets);
        let rows = self.indices.len();
        self.pass.forward(network, &self.inputs);
        self.pass.backward(network, self.train.loss, &self.targets, rows);
        self.pass.gradient(network, &self.inputs, &mut self.gradient);
        dispatch(Update {
            parameters: network.parameters_mut(),
            gradient: &self.gradient,
            velocity: &mut self.velocity,
            scale: T::from_f64(1.0 / rows as f64),
            momentum: T::from_f64(self.train.momentum),
            rate,
        });
        let losses = self.pass.last_losses(rows);
        losses.iter().fold(0.0, |sum, loss| sum + loss.to_f64()) / rows as f64
    }
}

/// The update of all parameters, `gradient` being the sum that `scale` makes a mean.
pub(super) struct Update<'a, T> {
    pub parameters: &'a mut [T],
    pub gradient: &'a [T],
    pub velocity: &'a mut [T],
    pub scale: T,
    pub momentum: T,
    pub rate: Rate<T>,
}

impl<T: Real> Kernel for Update<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { parameters, gradient, velocity, scale, momentum, rate } = self;
        let slope = |w: T, g: T| {
            let g = g * scale;
            if rate.weight_decay == T::ZERO { g } else { rate.weight_decay.mul_add(w, g) }
        };
        if velocity.is_empty() {
            for (w, &g) in parameters.iter_mut().zip(gradient) {
                *w = (-rate.step_size).mul_add(slope(*w, g), *w);
            }
        } else {
            for ((w, &g), v) in parameters.iter_mut().zip(gradient).zip(velocity) {
                *v = momentum.mul_add(*v, slope(*w, g));
                *w = (-rate.step_size).mul_add(*v, *w);
            }
        }
    }
}

#[cfg(test)]
mod tests;

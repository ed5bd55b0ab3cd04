//! Stochastic gradient descent of convolutional networks.

use std::ops::Range;

use domain::spec::{Mode, Train};

use super::Order;
use super::augment::augment;
use super::sgd::{Update, first_lost};
use crate::data::Examples;
use crate::nn::Real;
use crate::nn::conv::{ConvNetwork, ConvPass};
use crate::nn::dispatch::dispatch;
use crate::nn::kernel::{MeanStep, Rate};

/// The SGD of [`super::Sgd`], its minibatches in train mode, its images augmented where the job says so.
///
/// λ acts on every trained number, scales and shifts of batch norm included, as in the published recipe.
///
/// # Numerics
/// A step allocates nothing. Its images are a function of the order seed, the augment seed and the step.
#[derive(Clone, Debug)]
pub struct ConvSgd<T> {
    train: Train,
    order: Order,
    samples: u32,
    augment_seed: u64,
    indices: Vec<u32>,
    images: Vec<T>,
    targets: Vec<T>,
    gradient: Vec<T>,
    velocity: Vec<T>,
}

/// Pixels of an edge, and channels, of the images that jobs train on.
const SHAPE: (usize, usize) = (32, 3);

impl<T: Real> ConvSgd<T> {
    /// SGD as `train` says over `samples` examples, at rest.
    pub fn new(
        train: &Train,
        order: Order,
        (samples, augment_seed): (u32, u64),
        network: &ConvNetwork<T>,
    ) -> Self {
        let batch = train.batch as usize;
        let parameters = network.parameters().len();
        Self {
            train: train.clone(),
            order,
            samples,
            augment_seed,
            indices: vec![0; batch],
            images: vec![T::ZERO; batch * network.dim()],
            targets: vec![T::ZERO; batch * network.outputs()],
            gradient: vec![T::ZERO; parameters],
            velocity: vec![T::ZERO; if train.momentum == 0.0 { 0 } else { parameters }],
        }
    }

    /// Goes on with another order of examples.
    pub fn set_order(&mut self, order: Order) {
        self.order = order;
    }

    /// v, laid out like the parameters; empty without momentum.
    pub fn velocity(&self) -> &[T] {
        &self.velocity
    }

    /// v, to be restored.
    pub fn velocity_mut(&mut self) -> &mut [T] {
        &mut self.velocity
    }

    /// Takes the steps `steps`, as [`super::Sgd::steps`] does.
    pub fn steps(
        &mut self,
        network: &mut ConvNetwork<T>,
        pass: &mut ConvPass<T>,
        examples: &Examples<T>,
        steps: Range<u64>,
        loss_sum: &mut f64,
    ) -> Option<u64> {
        first_lost(steps, loss_sum, |step| self.step(network, pass, examples, step))
    }

    /// Takes step number `step` and returns the mean loss of its minibatch at the old weights, in train mode.
    pub fn step(
        &mut self,
        network: &mut ConvNetwork<T>,
        pass: &mut ConvPass<T>,
        examples: &Examples<T>,
        step: u64,
    ) -> f64 {
        self.order.next_step(&mut self.indices);
        examples.gather(&self.indices, &mut self.images, &mut self.targets);
        if self.train.augment {
            self.augment(examples, step);
        }
        pass.forward(network, &self.images, Mode::Train);
        pass.backward(network, self.train.loss, &self.targets, &mut self.gradient);
        let rows = self.indices.len();
        pass.move_running(network, rows);
        dispatch(Update {
            parameters: network.parameters_mut(),
            gradient: &self.gradient,
            velocity: &mut self.velocity,
            momentum: T::from_f64(self.train.momentum),
            step: MeanStep {
                share: T::from_f64(1.0 / rows as f64),
                rate: Rate {
                    step_size: T::from_f64(self.train.step_size_at(step)),
                    weight_decay: T::from_f64(self.train.weight_decay),
                },
            },
        });
        let losses = pass.last_losses(rows);
        losses.iter().fold(0.0, |sum, loss| sum + loss.to_f64()) / rows as f64
    }

    /// Puts the step's images in anew, each as its epoch and index want it. With replacement an epoch is as many draws
    /// as there are examples.
    fn augment(&mut self, examples: &Examples<T>, step: u64) {
        let dim = self.images.len() / self.indices.len();
        let taken = step * u64::from(self.train.batch);
        let images = self.images.chunks_exact_mut(dim);
        for ((&index, out), place) in self.indices.iter().zip(images).zip(taken..) {
            let epoch = place / u64::from(self.samples);
            let image = &examples.inputs[index as usize * dim..(index as usize + 1) * dim];
            augment((self.augment_seed, epoch, index), SHAPE, image, out);
        }
    }
}

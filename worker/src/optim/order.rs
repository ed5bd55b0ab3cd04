//! Which examples each step takes.

use domain::spec::{Sampling, Train};

use crate::random::Stream;

/// The examples of every step, in order, from any step on.
///
/// With `uniform`, step k takes draws `k·B .. (k+1)·B` of one stream, each a uniform index with replacement. With
/// `shuffle`, the permutations of epochs 0, 1, … follow one another, epoch e drawn from stream e of the order seed, and
/// step k takes the entries `k·B .. (k+1)·B` of that sequence: an epoch visits each example once, and a minibatch may
/// reach from one epoch into the next.
#[derive(Clone, Debug)]
pub struct Order {
    samples: u32,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Uniform(Box<Stream>),
    Shuffle { seed: u64, epoch: u64, permutation: Vec<u32>, next: usize },
}

impl Order {
    /// The order of `seed` over a training set of `samples` examples, its next step being number `step`.
    pub fn new(train: &Train, samples: u32, seed: u64, step: u64) -> Self {
        let taken = step * u64::from(train.batch);
        let source = match train.sampling {
            Sampling::Uniform => {
                Source::Uniform(Box::new(Stream::new(seed, "examples", 0).at(taken)))
            }
            Sampling::Shuffle => {
                let epoch = taken / u64::from(samples);
                let next = (taken % u64::from(samples)) as usize;
                let permutation = permutation(seed, epoch, samples);
                Source::Shuffle { seed, epoch, permutation, next }
            }
        };
        Self { samples, source }
    }

    /// Fills `indices` with the examples of the next step.
    #[inline]
    pub fn next_step(&mut self, indices: &mut [u32]) {
        match &mut self.source {
            Source::Uniform(stream) => {
                indices.iter_mut().for_each(|index| *index = stream.index(self.samples));
            }
            Source::Shuffle { seed, epoch, permutation: order, next } => {
                for index in indices {
                    if *next == order.len() {
                        *epoch += 1;
                        *next = 0;
                        order.iter_mut().zip(0..).for_each(|(entry, i)| *entry = i);
                        Stream::new(*seed, "epochs", *epoch).shuffle(order);
                    }
                    *index = order[*next];
                    *next += 1;
                }
            }
        }
    }
}

fn permutation(seed: u64, epoch: u64, samples: u32) -> Vec<u32> {
    Stream::new(seed, "epochs", epoch).permutation(samples)
}

#[cfg(test)]
mod tests {
    use domain::spec::Loss;

    use super::*;

    fn train(sampling: Sampling, batch: u32) -> Train {
        Train {
            loss: Loss::Squared,
            batch,
            steps: 100,
            step_size: 0.1,
            schedule: Vec::new(),
            sampling,
            momentum: 0.0,
            weight_decay: 0.0,
            augment: false,
            stop_below: None,
        }
    }

    #[test]
    fn the_order_can_be_taken_up_at_any_step() {
        for sampling in [Sampling::Uniform, Sampling::Shuffle] {
            let train = train(sampling, 3);
            let mut whole = Order::new(&train, 10, 4, 0);
            for step in 0..40 {
                let (mut expected, mut found) = ([0; 3], [0; 3]);
                Order::new(&train, 10, 4, step).next_step(&mut found);
                whole.next_step(&mut expected);
                assert_eq!(found, expected, "{sampling:?} step {step}");
            }
        }
    }

    #[test]
    fn an_epoch_of_shuffle_visits_each_example_once() {
        let mut order = Order::new(&train(Sampling::Shuffle, 3), 10, 4, 0);
        let mut sequence = [0; 60];
        sequence.chunks_exact_mut(3).for_each(|indices| order.next_step(indices));
        let mut epochs: Vec<Vec<u32>> = sequence.chunks(10).map(<[u32]>::to_vec).collect();
        assert_ne!(epochs[0], epochs[1]);
        for epoch in &mut epochs {
            epoch.sort_unstable();
            assert_eq!(*epoch, (0..10).collect::<Vec<u32>>());
        }
    }

    #[test]
    fn uniform_draws_depend_on_the_batch_only_by_where_they_are_cut() {
        let draw = |batch| {
            let mut order = Order::new(&train(Sampling::Uniform, batch), 50, 4, 0);
            let mut sequence = [0; 24];
            sequence.chunks_exact_mut(batch as usize).for_each(|step| order.next_step(step));
            sequence
        };
        assert_eq!(draw(1), draw(8));
    }
}

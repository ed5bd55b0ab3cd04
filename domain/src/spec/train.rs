//! How a job trains: loss, sampling, step size and its schedule.

use super::words;

/// A training run of a fixed number of SGD steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Train {
    pub loss: Loss,
    /// Examples of one step.
    pub batch: u32,
    pub steps: u64,
    pub step_size: f64,
    /// Where the step size is multiplied, in the order of the steps.
    pub schedule: Vec<Decay>,
    pub sampling: Sampling,
    pub momentum: f64,
    pub weight_decay: f64,
    /// Whether training images are shifted and mirrored at random.
    pub augment: bool,
    /// Training stops at the first measured step whose risk is below this.
    pub stop_below: Option<f64>,
}

/// From step `at` on (counted from 0), the step size is multiplied by `factor`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decay {
    pub at: u64,
    pub factor: f64,
}

impl Train {
    /// The step size in force at `step`: the base times every factor whose step is reached, in order.
    pub fn step_size_at(&self, step: u64) -> f64 {
        let reached = self.schedule.iter().filter(|decay| decay.at <= step);
        reached.fold(self.step_size, |size, decay| size * decay.factor)
    }
}

words! {
    /// The loss f_i of one example, for output g and label C.
    Loss {
        /// ½ Σₖ (gₖ − Cₖ)²; classes become one-hot C.
        Squared = "squared",
        /// Σₖ ln(1 + exp(−Cₖ gₖ)) with C = ±1; classes become one-against-the-rest.
        Logistic = "logistic",
        /// ln Σⱼ exp(gⱼ) − g_C, in nats.
        CrossEntropy = "cross-entropy",
    }
}

words! {
    /// How the examples of a step are drawn.
    Sampling {
        /// Each example uniformly with replacement: the poster's box.
        Uniform = "uniform",
        /// A fresh permutation an epoch, each example once.
        Shuffle = "shuffle",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decay_holds_from_its_step_on() {
        let train = Train {
            loss: Loss::Squared,
            batch: 1,
            steps: 10,
            step_size: 0.5,
            schedule: vec![Decay { at: 4, factor: 0.5 }, Decay { at: 8, factor: 0.5 }],
            sampling: Sampling::Uniform,
            momentum: 0.0,
            weight_decay: 0.0,
            augment: false,
            stop_below: None,
        };
        let sizes: Vec<f64> = [0, 3, 4, 7, 8, 9].map(|step| train.step_size_at(step)).into();
        assert_eq!(sizes, [0.5, 0.5, 0.25, 0.25, 0.125, 0.125]);
    }
}

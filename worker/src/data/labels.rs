//! Labels: where they come from, what a loss compares outputs with, and how many are met.

use domain::spec::{Data, Labels, Loss};

use super::DataError;
use crate::nn::elementary::double::tanh;
use crate::nn::kernel::dot;
use crate::random::Stream;

/// The label of one example. A label of ±1 is the class 1 or 0 of two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Label {
    Real(f64),
    Class(u32),
}

/// Hidden units of the teacher.
const TEACHER_UNITS: usize = 16;

/// Gives inputs their labels, those of files apart.
///
/// ```text
/// teacher  tanh(Σₖ uₖ tanh⟨vₖ, x⟩), 16 hidden units, vₖ ~ N(0, I), uₖ ~ N(0, 1/16)
/// linear   ⟨v, x⟩, v ~ N(0, I)
/// sign     1 where ⟨v, x⟩ >= 0, else −1
/// random   each class with equal odds; two classes, ±1, where the inputs have none of their own
/// normal   N(0, 1)
/// ```
///
/// The teacher and v are the same for the training and the held-out set. Noise of standard deviation `data.noise` is
/// added to real labels of either set.
pub(super) struct Labeller {
    kind: Labels,
    classes: u32,
    noise: f64,
    directions: Vec<f64>,
    readout: Vec<f64>,
    draws: Stream,
    noises: Stream,
}

impl Labeller {
    /// A labeller for one set of inputs with `classes` of their own, if any.
    pub fn new(data: &Data, seed: u64, held_out: bool, classes: Option<u32>) -> Self {
        let dim = data.dim as usize;
        let stream = |purpose| Stream::new(seed, purpose, u64::from(held_out));
        let gaussian = |purpose, count: usize, deviation: f64| -> Vec<f64> {
            let mut stream = Stream::new(seed, purpose, 0);
            (0..count).map(|_| deviation * stream.normal()).collect()
        };
        let (directions, readout) = match data.labels {
            Labels::Teacher => (
                gaussian("teacher directions", TEACHER_UNITS * dim, 1.0),
                gaussian("teacher readout", TEACHER_UNITS, 1.0 / (TEACHER_UNITS as f64).sqrt()),
            ),
            Labels::Linear | Labels::Sign => (gaussian("label direction", dim, 1.0), Vec::new()),
            Labels::Random | Labels::Normal | Labels::Classes => (Vec::new(), Vec::new()),
        };
        Self {
            kind: data.labels,
            classes: classes.unwrap_or(2),
            noise: data.noise,
            directions,
            readout,
            draws: stream("labels"),
            noises: stream("label noise"),
        }
    }

    /// The label of the next input `x`, whose class is `own` where it has one.
    pub fn label(&mut self, x: &[f64], own: Option<u32>) -> Label {
        let real = match self.kind {
            Labels::Classes => return Label::Class(own.unwrap_or(0)),
            Labels::Sign => return Label::Class(u32::from(dot(&self.directions, x) >= 0.0)),
            Labels::Random => return Label::Class(self.draws.index(self.classes)),
            Labels::Teacher => self.teach(x),
            Labels::Linear => dot(&self.directions, x),
            Labels::Normal => self.draws.normal(),
        };
        if self.noise == 0.0 {
            return Label::Real(real);
        }
        Label::Real(real + self.noise * self.noises.normal())
    }

    fn teach(&self, x: &[f64]) -> f64 {
        let units = self.directions.chunks_exact(x.len()).zip(&self.readout);
        tanh(units.fold(0.0, |sum, (v, u)| sum + u * tanh(dot(v, x))))
    }
}

/// How many classes labels of this kind have, `own` being those of the inputs; `None` where they are real.
pub(super) fn class_count(kind: Labels, own: Option<u32>) -> Option<u32> {
    match kind {
        Labels::Teacher | Labels::Linear | Labels::Normal => None,
        Labels::Sign => Some(2),
        Labels::Random => Some(own.unwrap_or(2)),
        Labels::Classes => own,
    }
}

/// What `loss` compares the outputs with: C, `[n, outputs]`.
///
/// ```text
/// real labels             every output the label                        squared
/// two classes, one output ±1                                            squared, logistic
/// classes                 1 at the class, elsewhere 0 (logistic: −1)    all
/// ```
///
/// # Errors
/// If the loss cannot take such labels with so few outputs.
pub fn targets(
    labels: &[Label],
    classes: Option<u32>,
    loss: Loss,
    outputs: usize,
) -> Result<Vec<f64>, DataError> {
    if classes.is_none() && loss != Loss::Squared {
        return Err(DataError::RealLabels { loss: loss.as_str() });
    }
    if let Some(classes) = classes {
        let sign = outputs == 1 && classes <= 2 && loss != Loss::CrossEntropy;
        if !sign && outputs < classes as usize {
            return Err(DataError::TooFewOutputs { loss: loss.as_str(), classes, outputs });
        }
    }
    let off = if loss == Loss::Logistic || outputs == 1 { -1.0 } else { 0.0 };
    let target = |label: &Label, k: usize| match *label {
        Label::Real(value) => value,
        Label::Class(class) if outputs == 1 => {
            if class == 1 {
                1.0
            } else {
                off
            }
        }
        Label::Class(class) if class as usize == k => 1.0,
        Label::Class(_) => off,
    };
    Ok(labels.iter().flat_map(|label| (0..outputs).map(move |k| target(label, k))).collect())
}

/// Whether the outputs of one example name its class; `None` for a real label.
///
/// One output names class 1 where it is positive and class 0 where it is negative; several name the class of the
/// largest. A tie names no class.
pub fn accuracy(outputs: impl ExactSizeIterator<Item = f64> + Clone, label: Label) -> Option<bool> {
    let Label::Class(class) = label else { return None };
    let mut units = outputs.clone();
    if outputs.len() == 1 {
        let g = units.next().unwrap_or(0.0);
        return Some(if class == 1 { g > 0.0 } else { g < 0.0 });
    }
    let own = outputs.clone().nth(class as usize)?;
    Some(units.enumerate().all(|(k, g)| k == class as usize || g < own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_follow_the_loss_and_the_outputs() {
        let check = |labels: &[Label], classes, loss, outputs, expected: &[f64]| {
            assert_eq!(targets(labels, classes, loss, outputs).expect("a fit"), expected);
        };
        let ids = [Label::Class(1), Label::Class(0)];
        check(&[Label::Real(0.25)], None, Loss::Squared, 2, &[0.25, 0.25]);
        check(&ids, Some(2), Loss::Squared, 1, &[1.0, -1.0]);
        check(&ids, Some(2), Loss::Logistic, 1, &[1.0, -1.0]);
        check(&ids, Some(2), Loss::CrossEntropy, 2, &[0.0, 1.0, 1.0, 0.0]);
        check(&ids, Some(3), Loss::Squared, 3, &[0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
        check(&ids[..1], Some(3), Loss::Logistic, 3, &[-1.0, 1.0, -1.0]);
    }

    #[test]
    fn labels_that_a_loss_cannot_take_are_refused() {
        let real = targets(&[Label::Real(1.0)], None, Loss::Logistic, 1);
        assert!(matches!(real, Err(DataError::RealLabels { loss: "logistic" })));
        let few = targets(&[Label::Class(2)], Some(10), Loss::Squared, 1);
        assert!(matches!(few, Err(DataError::TooFewOutputs { classes: 10, outputs: 1, .. })));
    }

    #[test]
    fn a_tie_names_no_class() {
        assert_eq!(accuracy([1.0, 1.0].into_iter(), Label::Class(0)), Some(false));
        assert_eq!(accuracy([0.0].into_iter(), Label::Class(0)), Some(false));
        assert_eq!(accuracy([-0.5].into_iter(), Label::Class(0)), Some(true));
        assert_eq!(accuracy([f64::NAN, 0.0].into_iter(), Label::Class(1)), Some(false));
        assert_eq!(accuracy([0.0].into_iter(), Label::Real(0.0)), None);
    }
}

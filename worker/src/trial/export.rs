//! The weights of a trial at a measured step, and the examples that it measured there, for other people's programs.
//!
//! ```text
//! weights   weights.P [out, in], of a convolution [out, in, kernel, kernel];  bias.P [out]
//!           of batch norm N: scale.N, shift.N, mean.N, variance.N, all [channels]
//! data      inputs [n, d], of convolutional networks [n, 3, 32, 32];  targets [n, outputs];  labels, indices [n];
//!           average_order [n]: minibatch m of B is made of examples average_order[m B ..] of the file
//! ```
//!
//! A trial is a function of its spec, so it is run again up to the step: nothing of it needs to have been kept.

use domain::spec::{Confusion, Precision};
use domain::{ConfusionRow, JobSpec, StepRow};

use super::conv::Convolutional;
use super::dense::Dense;
use super::learner::Learner;
use super::run::{Trial, check};
use super::tensor::{Tensor, file};
use super::weights::weights;
use super::{Checkpoint, Ending, Observer, TrialError, Wish};
use crate::data::{Bundle, Examples, Label, load};
use crate::measure::{Averages, batch_pair, chosen_examples};
use crate::nn::Real;

/// What a trial was at one measured step.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The row of the training curve.
    pub curve: StepRow,
    /// The rows of confusion, in the order of the spec.
    pub confusion: Vec<ConfusionRow>,
    pub probe: Probe,
    weights: Vec<(String, Tensor)>,
}

/// The examples that were measured.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The scope of the measurement, and `None` where the job has none that names examples: then it is the training set.
    pub scope: Option<&'static str>,
    /// Examples in each gradient: gradient g is the mean over examples `g · batch ..` of the file.
    pub batch: u32,
    tensors: Vec<(String, Tensor)>,
}

impl Exported {
    /// The safetensors file of the weights, with `header` as the entry `gradsweep` of its metadata.
    pub fn weights_file(&self, header: String) -> Vec<u8> {
        file(&self.weights, header)
    }
}

impl Probe {
    /// The safetensors file of the examples, with `header` as the entry `gradsweep` of its metadata.
    pub fn file(&self, header: String) -> Vec<u8> {
        file(&self.tensors, header)
    }
}

/// Runs the job that `spec` describes up to the measured step `step`, and returns what it was there. The examples are those of
/// the first measurement of scope `samples`, else of `batches`, else of `batch-pairs`.
///
/// # Errors
/// As [`super::run`]; if the step is not measured, or the trial ends before it.
pub fn export(spec: &JobSpec, data: Option<&Bundle>, step: u64) -> Result<Exported, TrialError> {
    check(spec, data)?;
    let measured = spec.measured_steps();
    if !measured.contains(&step) {
        return Err(TrialError::NotMeasured { step, measured });
    }
    match spec.model.precision {
        Precision::F32 => export_in::<f32>(spec, data, step),
        Precision::F64 => export_in::<f64>(spec, data, step),
    }
}

/// The examples that a trial of `spec` measures, without running it.
///
/// # Errors
/// As [`super::run`].
pub fn examples(spec: &JobSpec, data: Option<&Bundle>) -> Result<Probe, TrialError> {
    check(spec, data)?;
    Ok(match spec.model.precision {
        Precision::F32 => probe(spec, &load::<f32>(spec, data)?.train),
        Precision::F64 => probe(spec, &load::<f64>(spec, data)?.train),
    })
}

fn export_in<T: Real>(
    spec: &JobSpec,
    bundle: Option<&Bundle>,
    step: u64,
) -> Result<Exported, TrialError> {
    let data = load::<T>(spec, bundle)?;
    match spec.model.conv() {
        None => taken(spec, step, Trial::new(spec, data, Dense::new(spec), None)?),
        Some(conv) => {
            let learner = Convolutional::new(spec, &conv, 1);
            taken(spec, step, Trial::new(spec, data, learner, None)?)
        }
    }
}

fn taken<T: Real, L: Learner<T>>(
    spec: &JobSpec,
    step: u64,
    mut trial: Trial<'_, T, L>,
) -> Result<Exported, TrialError> {
    let mut last = Last { step, curve: StepRow::default(), confusion: Vec::new() };
    let ended = match trial.run(false, &mut last)? {
        Ending::Stopped { step } => step,
        Ending::Finished(figures) => figures.steps_done,
    };
    if ended != step {
        return Err(TrialError::EndedBefore { step, ended });
    }
    let probe = probe(spec, &trial.data.train);
    let weights = weights(&trial.learner);
    Ok(Exported { curve: last.curve, confusion: last.confusion, probe, weights })
}

/// Keeps the rows of the last measured step and stops at the wanted one.
struct Last {
    step: u64,
    curve: StepRow,
    confusion: Vec<ConfusionRow>,
}

impl Observer for Last {
    fn step_row(&mut self, row: StepRow) {
        self.curve = row;
        self.confusion.clear();
    }

    fn confusion_row(&mut self, row: ConfusionRow) {
        self.confusion.push(row);
    }

    fn at_checkpoint_step(&mut self, step: u64) -> Wish {
        if step == self.step { Wish::Stop } else { Wish::Continue }
    }

    fn checkpoint(&mut self, _: Checkpoint) {}
}

fn probe<T: Real>(spec: &JobSpec, train: &Examples<T>) -> Probe {
    let samples = spec.data.samples;
    let chosen = |confusion| chosen_examples(confusion, samples, spec.seeds.measure);
    let rank = |confusion: &Confusion| match confusion {
        Confusion::Samples { .. } => 0,
        Confusion::Batches { .. } => 1,
        Confusion::BatchPairs { .. } => 2,
        Confusion::CrossIterate => 3,
    };
    let measured = spec.measure.confusion.iter();
    let (scope, batch, indices): (_, _, Vec<u32>) = match measured.min_by_key(|c| rank(c)) {
        Some(confusion @ Confusion::Samples { .. }) => {
            (Some(confusion.scope()), 1, chosen(confusion))
        }
        Some(confusion @ &Confusion::Batches { batch, .. }) => {
            (Some(confusion.scope()), batch, chosen(confusion))
        }
        Some(confusion @ &Confusion::BatchPairs { count, batch }) => {
            let pairs = (0..count).flat_map(|p| batch_pair(p, batch, samples, spec.seeds.measure));
            (Some(confusion.scope()), batch, pairs.collect())
        }
        Some(Confusion::CrossIterate) | None => (None, 1, (0..samples).collect()),
    };
    let (n, dim, outputs) = (indices.len(), spec.data.dim as usize, spec.model.outputs as usize);
    let (mut inputs, mut targets) = (vec![T::ZERO; n * dim], vec![T::ZERO; n * outputs]);
    train.gather(&indices, &mut inputs, &mut targets);
    let mut inputs = Tensor::of(&inputs, vec![n, dim]);
    if spec.model.conv().is_some() {
        let (channels, side) = (3, dim.div_ceil(3).isqrt());
        inputs.bytes = permuted::<T>(&inputs.bytes, n, side * side, channels);
        inputs.shape = vec![n, channels, side, side];
    }
    let labels: Vec<Label> = indices.iter().map(|&i| train.labels[i as usize]).collect();
    let class = |label: &Label| match label {
        Label::Class(class) => Some(i64::from(*class)),
        Label::Real(_) => None,
    };
    let labels = match labels.iter().map(class).collect::<Option<Vec<_>>>() {
        Some(classes) => Tensor::of_integers(classes.into_iter()),
        None => {
            let real = |label: &Label| match *label {
                Label::Real(label) => label,
                Label::Class(class) => f64::from(class),
            };
            Tensor::of(&labels.iter().map(real).collect::<Vec<f64>>(), vec![n])
        }
    };
    let averages = spec.measure.confusion.iter().find(|c| scope == Some(c.scope()));
    let averages = averages.map(|c| Averages::of(c, indices.len(), spec.seeds.measure));
    let mut tensors = vec![
        ("inputs".to_owned(), inputs),
        ("targets".to_owned(), Tensor::of(&targets, vec![n, outputs])),
        ("labels".to_owned(), labels),
        ("indices".to_owned(), Tensor::of_integers(indices.iter().map(|&i| i64::from(i)))),
    ];
    if let Some(averages) = averages.filter(|averages| !averages.order().is_empty()) {
        let order = averages.order().iter().map(|&place| i64::from(place));
        tensors.push(("average_order".to_owned(), Tensor::of_integers(order)));
    }
    Probe { scope, batch, tensors }
}

/// The bytes of `[n, pixels, channels]` as `[n, channels, pixels]`.
fn permuted<T: Real>(bytes: &[u8], n: usize, pixels: usize, channels: usize) -> Vec<u8> {
    let mut moved = Vec::with_capacity(bytes.len());
    for image in 0..n {
        for c in 0..channels {
            for pixel in 0..pixels {
                let at = ((image * pixels + pixel) * channels + c) * T::BYTES;
                moved.extend_from_slice(&bytes[at..at + T::BYTES]);
            }
        }
    }
    moved
}

#[cfg(test)]
mod tests;

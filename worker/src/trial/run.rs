//! The loop of a trial.

use domain::spec::{Confusion, Conv, KeepWeights, Mode, Precision};
use domain::{JobFigures, JobSpec, StepRow};

use super::checkpoint::{Place, decode, encode};
use super::conv::Convolutional;
use super::cost::checkpoint_stride;
use super::dense::Dense;
use super::learner::Learner;
use super::theory::{Theory, theory};
use super::weights::kept;
use super::{CheckpointError, Ending, Given, Observer, TrialError, Wish};
use crate::data::{Bundle, Dataset, load};
use crate::measure::{Occasion, chosen_examples};
use crate::nn::Real;

/// Runs the job that `spec` describes, from its start or from a checkpoint, and tells `observer` what it measures.
///
/// The rows told after a resume are, bit for bit, those that the undisturbed run tells after that checkpoint; and those of any
/// number of threads are those of one.
///
/// # Errors
/// If the data or the checkpoint do not fit the spec. Divergence is no error: see [`JobFigures::diverged`].
pub fn run(
    spec: &JobSpec,
    given: Given<'_>,
    observer: &mut dyn Observer,
) -> Result<Ending, TrialError> {
    check(spec, given.data)?;
    match spec.model.precision {
        Precision::F32 => run_in::<f32>(spec, given, observer),
        Precision::F64 => run_in::<f64>(spec, given, observer),
    }
}

fn run_in<T: Real>(
    spec: &JobSpec,
    Given { data, resume, threads, keep }: Given<'_>,
    observer: &mut dyn Observer,
) -> Result<Ending, TrialError> {
    let data = load::<T>(spec, data)?;
    match spec.model.conv() {
        None => {
            let trial = Trial::new(spec, data, Dense::new(spec), resume)?;
            trial.keeping(keep).run(resume.is_some(), observer)
        }
        Some(conv) => {
            let learner = Convolutional::new(spec, &conv, threads);
            let trial = Trial::new(spec, data, learner, resume)?;
            trial.keeping(keep).run(resume.is_some(), observer)
        }
    }
}

/// Refuses specs that no trial can run. The domain refuses them first, with better words.
pub(super) fn check(spec: &JobSpec, data: Option<&Bundle>) -> Result<(), TrialError> {
    if spec.data.kind.is_file() && data.is_none() {
        return Err(TrialError::DataMissing);
    }
    let sizes = [
        ("train.batch", spec.train.batch),
        ("data.samples", spec.data.samples),
        ("data.dim", spec.data.dim),
        ("model.outputs", spec.model.outputs),
        ("model.width", spec.model.width().unwrap_or(1)),
    ];
    if let Some(&(what, _)) = sizes.iter().find(|(_, size)| *size == 0) {
        return Err(TrialError::Zero { what });
    }
    if spec.model.conv().is_some() && spec.data.dim != Conv::DIM {
        return Err(TrialError::NotImages { dim: spec.data.dim });
    }
    spec.measure.confusion.iter().try_for_each(|confusion| check_confusion(spec, confusion))
}

fn check_confusion(spec: &JobSpec, confusion: &Confusion) -> Result<(), TrialError> {
    let samples = spec.data.samples;
    let too_few = |count| Err(TrialError::TooFewGradients { count, samples });
    match *confusion {
        Confusion::Samples { .. } if spec.measure.mode == Mode::Train => {
            Err(TrialError::ExamplesInTrainMode)
        }
        Confusion::Samples { count, .. } if count.min(samples) < 2 => too_few(count),
        Confusion::Samples { ref average, .. } if average.contains(&0) => {
            Err(TrialError::Zero { what: "measure.confusion.average" })
        }
        Confusion::Samples { count, ref average }
            if average.iter().any(|&batch| count.min(samples) / batch < 2) =>
        {
            too_few(1)
        }
        Confusion::Batches { count, .. } if count < 2 => too_few(count),
        Confusion::BatchPairs { count: 0, .. } => too_few(0),
        Confusion::Batches { batch: 0, .. } | Confusion::BatchPairs { batch: 0, .. } => {
            Err(TrialError::Zero { what: "measure.confusion.batch" })
        }
        Confusion::Batches { count, batch } if count.saturating_mul(batch) > samples => {
            Err(TrialError::Overlap { count, batch, samples })
        }
        Confusion::BatchPairs { batch, .. } if batch.saturating_mul(2) > samples => {
            Err(TrialError::Overlap { count: 2, batch, samples })
        }
        Confusion::CrossIterate if spec.train.batch >= samples => too_few(1),
        _ => Ok(()),
    }
}

/// A trial between two steps.
pub(super) struct Trial<'a, T, L> {
    spec: &'a JobSpec,
    job: String,
    pub(super) data: Dataset<T>,
    theory: Theory,
    measured: Vec<u64>,
    /// The examples of each measurement of confusion.
    chosen: Vec<Vec<u32>>,
    pub(super) learner: L,
    pub(super) place: Place,
    /// The measured step before this one.
    last_measured: Option<u64>,
    keep: KeepWeights,
}

/// What one measured step says of the end.
enum Verdict {
    GoOn,
    End(JobFigures),
}

impl<'a, T: Real, L: Learner<T>> Trial<'a, T, L> {
    /// A trial of `spec` before its first step, or where the checkpoint `resume` was taken.
    pub(super) fn new(
        spec: &'a JobSpec,
        data: Dataset<T>,
        mut learner: L,
        resume: Option<&[u8]>,
    ) -> Result<Self, TrialError> {
        let job = spec.id().to_string();
        let mut place = Place { step: 0, steps_rows: 0, confusion_rows: 0, running_loss: 0.0 };
        let measured = spec.measured_steps();
        let mut last_measured = None;
        if let Some(bytes) = resume {
            place = decode(bytes, &job, &mut learner)?;
            check_place(spec, &measured, &place)?;
            last_measured = measured.iter().copied().rfind(|&step| step <= place.step);
            learner.go_to(place.step);
        }
        let choose = |confusion: &Confusion| {
            chosen_examples(confusion, spec.data.samples, spec.seeds.measure)
        };
        Ok(Self {
            spec,
            job,
            theory: theory(spec, &data.train),
            measured,
            chosen: spec.measure.confusion.iter().map(choose).collect(),
            data,
            learner,
            place,
            last_measured,
            keep: KeepWeights::None,
        })
    }

    /// The same trial, which tells of these weights.
    fn keeping(self, keep: KeepWeights) -> Self {
        Self { keep, ..self }
    }

    /// Goes on until the trial ends or `observer` wishes it to stop; it then stands there.
    pub(super) fn run(
        &mut self,
        resumed: bool,
        observer: &mut dyn Observer,
    ) -> Result<Ending, TrialError> {
        let stride = checkpoint_stride(self.spec);
        // A checkpoint was taken after its step's rows were told and its question was asked.
        let mut is_told = resumed;
        loop {
            let step = self.place.step;
            let is_measured = self.measured.binary_search(&step).is_ok();
            if is_measured
                && !is_told
                && let Verdict::End(figures) = self.measure(observer)
            {
                return Ok(Ending::Finished(figures));
            }
            if !is_told && (is_measured || step.is_multiple_of(stride)) {
                match observer.at_checkpoint_step(step) {
                    Wish::Continue => {}
                    Wish::Checkpoint => self.checkpoint(observer),
                    Wish::CheckpointAndStop => {
                        self.checkpoint(observer);
                        return Ok(Ending::Stopped { step });
                    }
                    Wish::Stop => return Ok(Ending::Stopped { step }),
                }
            }
            is_told = false;
            // Up to the next step where the trial may stand: so a step is rounded alike before and after a resume.
            let next_measured = self.measured[self.measured.partition_point(|&m| m <= step)];
            let next = next_measured.min((step / stride + 1) * stride);
            let running_loss = &mut self.place.running_loss;
            if let Some(lost) = self.learner.steps(&self.data.train, step..next, running_loss) {
                self.place.step = lost;
                return Ok(Ending::Finished(self.diverge(observer)));
            }
            self.place.step = next;
        }
    }

    fn checkpoint(&self, observer: &mut dyn Observer) {
        observer.checkpoint(encode(&self.job, &self.place, &self.learner));
    }

    /// Measures at the present step, tells the rows, and says whether the trial is over.
    fn measure(&mut self, observer: &mut dyn Observer) -> Verdict {
        let spec = self.spec;
        let train = self.learner.figures(&self.data.train, true).unwrap_or_default();
        if !train.risk.is_finite() || !self.learner.is_finite() {
            return Verdict::End(self.diverge(observer));
        }
        let test = self.learner.figures(&self.data.test, false);
        let excess_risk = self.theory.optimum_risk.map(|optimum| train.risk - optimum);
        let row = StepRow {
            risk: finite(Some(train.risk)),
            excess_risk: finite(excess_risk),
            running_loss: finite(self.mean_running_loss()),
            gradient_norm: finite(train.gradient_norm),
            train_accuracy: train.accuracy,
            test_risk: finite(test.map(|test| test.risk)),
            test_accuracy: test.and_then(|test| test.accuracy),
            ..self.blank_row()
        };
        let (step, epoch, risk) = (row.step, row.epoch, row.risk);
        let figures = JobFigures {
            steps_done: step,
            final_risk: row.risk,
            final_excess_risk: row.excess_risk,
            final_train_accuracy: row.train_accuracy,
            final_test_risk: row.test_risk,
            final_test_accuracy: row.test_accuracy,
            ..self.blank_figures()
        };
        self.tell(row, observer);
        for (confusion, chosen) in spec.measure.confusion.iter().zip(&self.chosen) {
            let occasion = Occasion { step, epoch, risk };
            let train = &self.data.train;
            for row in self.learner.confusion(train, confusion, occasion, chosen) {
                self.place.confusion_rows += 1;
                observer.confusion_row(row);
            }
        }
        let has_converged = spec.train.stop_below.is_some_and(|bound| train.risk < bound);
        let is_last = has_converged || step == spec.train.steps;
        if self.keep.keeps(is_last) {
            observer.weights(step, kept(&self.job, step, &self.learner));
        }
        if is_last {
            let converged_step = has_converged.then_some(step);
            return Verdict::End(JobFigures { converged_step, ..figures });
        }
        Verdict::GoOn
    }

    /// Ends a trial whose loss or weights are not finite, with one last row that says so by what it lacks.
    fn diverge(&mut self, observer: &mut dyn Observer) -> JobFigures {
        let steps_done = self.place.step;
        let row = StepRow { running_loss: finite(self.mean_running_loss()), ..self.blank_row() };
        self.tell(row, observer);
        JobFigures { diverged: true, steps_done, ..self.blank_figures() }
    }

    fn tell(&mut self, row: StepRow, observer: &mut dyn Observer) {
        self.last_measured = Some(row.step);
        self.place.running_loss = 0.0;
        self.place.steps_rows += 1;
        observer.step_row(row);
    }

    /// Mean minibatch loss of the steps since the row before.
    fn mean_running_loss(&self) -> Option<f64> {
        let steps = self.place.step - self.last_measured?;
        (steps > 0).then(|| self.place.running_loss / steps as f64)
    }

    fn blank_row(&self) -> StepRow {
        let step = self.place.step;
        let examples = step as f64 * f64::from(self.spec.train.batch);
        StepRow {
            step,
            epoch: examples / f64::from(self.spec.data.samples),
            step_size: self.spec.train.step_size_at(step),
            ..StepRow::default()
        }
    }

    fn blank_figures(&self) -> JobFigures {
        JobFigures {
            optimum_risk: finite(self.theory.optimum_risk),
            strong_convexity: finite(self.theory.strong_convexity),
            smoothness: finite(self.theory.smoothness),
            ..JobFigures::default()
        }
    }
}

fn finite(number: Option<f64>) -> Option<f64> {
    number.filter(|number| number.is_finite())
}

/// Whether a checkpoint stands where the spec lets a trial stand, with as many rows told.
fn check_place(spec: &JobSpec, measured: &[u64], place: &Place) -> Result<(), CheckpointError> {
    let rows = measured.iter().filter(|&&step| step <= place.step).count() as u64;
    let each = spec.confusion_rows();
    let fits = place.step < spec.train.steps
        && place.steps_rows == rows
        && place.confusion_rows == rows * each;
    let &Place { step, steps_rows, confusion_rows, .. } = place;
    fits.then_some(()).ok_or(CheckpointError::Place { step, steps_rows, confusion_rows })
}

#[cfg(test)]
mod tests;

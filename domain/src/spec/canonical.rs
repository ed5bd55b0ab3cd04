//! A spec written down for its identity, and read back.
//!
//! The canonical text is the sweep file's settings as nested canonical JSON: every field that applies, except that a
//! field at rest ([`is_rest`]) is left out. A field added later gets a rest too, its old behaviour, so that no identity moves.

use super::{At, Confusion, Conv, JobSpec, Mode, Seeds, Shape};
use crate::canonical::CanonicalError;
use crate::id::JobId;
use crate::json;
use crate::settings::{Field, Settings};
use crate::spec::build::Facts;
use crate::value::Value;

impl JobSpec {
    /// The canonical JSON of everything that can change a result row.
    pub fn canonical(&self) -> String {
        self.written_by(|out, _, value| json::write_value(out, value))
    }

    /// [`Self::canonical`] of this job and of all that differ from it in their seeds alone.
    pub(crate) fn template(&self) -> Template {
        let mut gaps = Vec::new();
        let text = self.written_by(|out, name, value| {
            match Seeds::FIELDS.iter().position(|field| field.as_str() == name) {
                Some(seed) => gaps.push((out.len(), seed)),
                None => json::write_value(out, value),
            }
        });
        Template { text, gaps }
    }

    fn written_by(&self, write: impl FnMut(&mut String, &str, &Value)) -> String {
        let settings = self.settings();
        let said = settings.iter().filter(|(field, value)| !is_rest(*field, value));
        let mut fields: Vec<(&str, &Value)> = said.map(|(f, value)| (f.as_str(), value)).collect();
        fields.sort_unstable_by_key(|(name, _)| *name);
        json::write_nested_by(fields, write)
    }

    /// The job's identity: a digest of [`Self::canonical`].
    pub fn id(&self) -> JobId {
        JobId::of(&self.canonical())
    }

    /// Reads what [`Self::canonical`] wrote, with every check that a sweep file goes through.
    ///
    /// # Errors
    /// Any other text, so that one job has one text; no text panics.
    pub fn from_canonical(text: &str) -> Result<Self, CanonicalError> {
        let settings = Settings::from_value(&json::read(text)?)?;
        let spec = Self::from_settings(&settings, Facts::Written)?;
        if spec.canonical() == text { Ok(spec) } else { Err(CanonicalError::NotCanonical) }
    }

    /// Every setting that applies to this job, defaults included, and none that came to nothing.
    pub fn settings(&self) -> Settings {
        let Self { model, data, train, measure, seeds } = self;
        let mut settings = Settings::default();
        let mut set = |field, value: Value| settings.set_normal(field, value);

        set(Field::ModelKind, model.kind().into());
        match model.shape {
            Shape::Linear | Shape::Logistic => {}
            Shape::Mlp { width, depth, activation } => {
                set(Field::ModelWidth, width.into());
                set(Field::ModelDepth, depth.into());
                set(Field::ModelActivation, activation.as_str().into());
                set(Field::ModelOutput, model.output.as_str().into());
            }
            Shape::Conv(Conv { kind: _, width, depth, batch_norm, skip }) => {
                set(Field::ModelWidth, width.into());
                set(Field::ModelDepth, depth.into());
                set(Field::ModelBatchNorm, batch_norm.into());
                set(Field::ModelSkip, skip.into());
            }
        }
        set(Field::ModelInit, model.init.as_str().into());
        if model.conv().is_none() {
            set(Field::ModelBias, model.bias.into());
        }
        set(Field::ModelOutputs, model.outputs.into());
        set(Field::ModelPrecision, model.precision.as_str().into());

        set(Field::DataKind, data.kind.as_str().into());
        set(Field::DataSamples, data.samples.into());
        set(Field::DataDim, data.dim.into());
        set(Field::DataLabels, data.labels.as_str().into());
        set(Field::DataNoise, data.noise.into());
        set(Field::DataTestSamples, data.test_samples.into());
        if let (true, Some(digest)) = (data.kind.is_file(), data.digest) {
            set(Field::DataDigest, Value::Text(digest.to_string()));
        }

        set(Field::TrainLoss, train.loss.as_str().into());
        set(Field::TrainBatch, train.batch.into());
        set(Field::TrainSteps, train.steps.into());
        set(Field::TrainStepSize, train.step_size.into());
        let decays = train.schedule.iter().map(|decay| {
            Value::table([("step", decay.at.into()), ("factor", decay.factor.into())])
        });
        set(Field::TrainSchedule, Value::List(decays.collect()));
        set(Field::TrainSampling, train.sampling.as_str().into());
        set(Field::TrainMomentum, train.momentum.into());
        set(Field::TrainWeightDecay, train.weight_decay.into());
        set(Field::TrainAugment, train.augment.into());
        if let Some(risk) = train.stop_below {
            set(Field::TrainStopBelow, risk.into());
        }

        let at = match &measure.at {
            At::Log(count) => Value::table([("log", (*count).into())]),
            At::Every(stride) => Value::table([("every", (*stride).into())]),
            At::Steps(steps) => Value::List(steps.iter().map(|step| (*step).into()).collect()),
        };
        set(Field::MeasureAt, at);
        let confusion = measure.confusion.iter().map(|measured| {
            let scope = ("scope", measured.scope().into());
            match measured {
                Confusion::Samples { count, average } if average.is_empty() => {
                    Value::table([scope, ("count", (*count).into())])
                }
                Confusion::Samples { count, average } => {
                    let average = Value::List(average.iter().map(|&batch| batch.into()).collect());
                    Value::table([scope, ("count", (*count).into()), ("average", average)])
                }
                &Confusion::Batches { count, batch } | &Confusion::BatchPairs { count, batch } => {
                    Value::table([scope, ("count", count.into()), ("batch", batch.into())])
                }
                Confusion::CrossIterate => Value::table([scope]),
            }
        });
        set(Field::MeasureConfusion, Value::List(confusion.collect()));
        set(Field::MeasureLayers, measure.layers.into());
        set(Field::MeasureMode, measure.mode.as_str().into());

        set(Field::DataSeed, seeds.data.into());
        set(Field::InitSeed, seeds.init.into());
        set(Field::OrderSeed, seeds.order.into());
        set(Field::MeasureSeed, seeds.measure.into());
        if train.augment {
            set(Field::AugmentSeed, seeds.augment.into());
        }
        settings
    }
}

/// A canonical text with gaps for its seeds.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    text: String,
    /// Where each gap is, and which of [`Seeds::FIELDS`] belongs there.
    gaps: Vec<(usize, usize)>,
}

impl Template {
    /// The canonical text of the job with these seeds.
    pub fn with(&self, seeds: &Seeds) -> String {
        let Seeds { data, init, order, measure, augment } = *seeds;
        // In the order of their fields.
        let seeds = [data, init, order, measure, augment];
        let mut text = String::with_capacity(self.text.len() + self.gaps.len() * 20);
        let mut from = 0;
        for &(at, seed) in &self.gaps {
            text.push_str(&self.text[from..at]);
            json::write_value(&mut text, &seeds[seed].into());
            from = at;
        }
        text.push_str(&self.text[from..]);
        text
    }
}

/// Whether the canonical text of `value` is silence. For ever: ids depend on it.
fn is_rest(field: Field, value: &Value) -> bool {
    match field {
        Field::ModelBias | Field::MeasureLayers | Field::TrainAugment => {
            *value == Value::Bool(false)
        }
        Field::DataNoise | Field::TrainMomentum | Field::TrainWeightDecay => {
            *value == Value::Float(0.0)
        }
        Field::DataTestSamples => *value == Value::Int(0),
        Field::MeasureMode => value.as_text() == Some(Mode::Eval.as_str()),
        Field::TrainSchedule => *value == Value::List(Vec::new()),
        _ => false,
    }
}

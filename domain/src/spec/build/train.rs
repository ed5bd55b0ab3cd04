//! The `[train]` section.

use super::{ModelKind, loss as loss_word, sampling};
use crate::settings::{Accepted, Field, STEPS_MAX, SettingError, Settings};
use crate::spec::{Data, DataKind, Decay, Loss, Sampling, Train};
use crate::value::Value;

/// The loss: that of the model where it has but one, cross-entropy for data with classes, else squared.
pub(super) fn loss(
    settings: &Settings,
    model: ModelKind,
    data: DataKind,
) -> Result<Loss, SettingError> {
    let default = match (model, data) {
        (ModelKind::Logistic, _) => Loss::Logistic,
        (ModelKind::Conv(_), _) => Loss::CrossEntropy,
        (ModelKind::Linear | ModelKind::Mlp, data) if data.is_file() => Loss::CrossEntropy,
        (ModelKind::Linear | ModelKind::Mlp, _) => Loss::Squared,
    };
    let given = loss_word(settings, Field::TrainLoss).unwrap_or(default);
    let words: &[&str] = match model {
        ModelKind::Linear => &["squared", "cross-entropy"],
        ModelKind::Logistic => &["logistic"],
        ModelKind::Mlp => Loss::WORDS,
        ModelKind::Conv(_) => &["squared", "cross-entropy"],
    };
    if words.contains(&given.as_str()) {
        return Ok(given);
    }
    let accepted = Accepted::LossOfModel { kind: model.as_str(), words };
    Err(SettingError::refused(Field::TrainLoss, given.as_str(), accepted))
}

pub(super) fn build(
    settings: &Settings,
    loss: Loss,
    kind: ModelKind,
    data: &Data,
) -> Result<Train, SettingError> {
    let samples = data.samples;
    let augment = settings.flag(Field::TrainAugment).unwrap_or(false);
    if augment && !matches!(kind, ModelKind::Conv(_)) {
        return Err(SettingError::refused(Field::TrainAugment, true, Accepted::Augmentable));
    }
    let batch: u32 = settings.int(Field::TrainBatch).unwrap_or(1);
    let sampling = sampling(settings, Field::TrainSampling).unwrap_or(Sampling::Uniform);
    if sampling == Sampling::Shuffle && batch > samples {
        let accepted = Accepted::ShuffledBatch { samples };
        return Err(SettingError::refused(Field::TrainBatch, batch, accepted));
    }
    let steps = steps(settings, samples, batch)?;
    let step_size = settings
        .number(Field::TrainStepSize)
        .ok_or_else(|| SettingError::missing(Field::TrainStepSize, Accepted::Positive))?;
    Ok(Train {
        loss,
        batch,
        steps,
        step_size,
        schedule: schedule(settings, samples, batch, steps)?,
        sampling,
        momentum: settings.number(Field::TrainMomentum).unwrap_or(0.0),
        weight_decay: settings.number(Field::TrainWeightDecay).unwrap_or(0.0),
        augment,
        stop_below: settings.number(Field::TrainStopBelow),
    })
}

/// The steps of so many passes over the data, the last one begun counted whole: ⌈epochs · N / batch⌉.
pub(super) fn steps_of_epochs(epochs: u64, samples: u32, batch: u32) -> u128 {
    (u128::from(epochs) * u128::from(samples)).div_ceil(u128::from(batch))
}

fn steps(settings: &Settings, samples: u32, batch: u32) -> Result<u64, SettingError> {
    match (settings.int(Field::TrainSteps), settings.int::<u64>(Field::TrainEpochs)) {
        (Some(steps), None) => Ok(steps),
        (None, Some(epochs)) => {
            let steps = steps_of_epochs(epochs, samples, batch);
            let bounded = u64::try_from(steps).ok().filter(|steps| *steps <= STEPS_MAX as u64);
            bounded.ok_or_else(|| {
                let accepted = Accepted::FewerEpochs { max: STEPS_MAX, steps };
                SettingError::refused(Field::TrainEpochs, epochs, accepted)
            })
        }
        (Some(_), Some(epochs)) => {
            Err(SettingError::refused(Field::TrainEpochs, epochs, Accepted::StepsXorEpochs))
        }
        (None, None) => Err(SettingError::missing(Field::TrainSteps, Accepted::StepsOrEpochs)),
    }
}

/// Decays in the order of their steps.
///
/// `at` below 1 is a fraction of the run, rounded to the nearest step; from 1 on a count of epochs. A decay that
/// the run never reaches is refused, because it would do nothing.
fn schedule(
    settings: &Settings,
    samples: u32,
    batch: u32,
    steps: u64,
) -> Result<Vec<Decay>, SettingError> {
    let Some(Value::List(entries)) = settings.get(Field::TrainSchedule) else {
        return Ok(Vec::new());
    };
    if steps == 0 {
        return Ok(Vec::new());
    }
    let mut schedule = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let Value::Table(fields) = entry else { continue };
        let number = |key| fields.get(key).and_then(Value::as_number);
        let (place, at) = match (fields.get("step").and_then(Value::as_int), number("at")) {
            (Some(step), _) => ("step", u64::try_from(step).unwrap_or(0)),
            (None, Some(fraction)) if fraction < 1.0 => {
                ("at", ((fraction * steps as f64).round() as u64).min(steps - 1))
            }
            // The cast saturates, so that an absurd epoch is past the end.
            (None, epochs) => {
                let rounds = epochs.unwrap_or(0.0) * f64::from(samples) / f64::from(batch);
                ("at", rounds.ceil() as u64)
            }
        };
        if at >= steps {
            let found = fields.get(place).cloned().unwrap_or(Value::Int(0));
            let accepted = Accepted::DecayBeforeEnd { steps, step: at };
            return Err(SettingError::refused(Field::TrainSchedule, found, accepted)
                .at(&format!("[{index}].{place}")));
        }
        schedule.push(Decay { at, factor: number("factor").unwrap_or(1.0) });
    }
    schedule.sort_by_key(|decay| decay.at);
    Ok(schedule)
}

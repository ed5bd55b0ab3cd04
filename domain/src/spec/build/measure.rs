//! The `[measure]` section.

use super::train::steps_of_epochs;
use crate::settings::{Accepted, Field, SettingError, Settings};
use crate::spec::{At, Confusion, Data, Measure, Mode, Model, Train};
use crate::value::Value;

/// Measured steps of a job, so that no plan asks for more rows than a job can keep.
const MEASURED_MAX: u64 = 100_000;
/// Log-spaced measurements, and gradients of a confusion measurement, where none are asked for.
const LOG_DEFAULT: u32 = 20;
const COUNT_DEFAULT: u32 = 128;
/// Minibatches, or pairs of them, where no count is asked for: the published protocol's.
const BATCHES_DEFAULT: u32 = 100;
/// Most gradients of single examples that are formed, and most minibatches that they are averaged over: their inner
/// products are kept.
const FORMED_MAX: u32 = 8_192;

pub(super) fn build(
    settings: &Settings,
    model: &Model,
    train: &Train,
    data: &Data,
) -> Result<Measure, SettingError> {
    let confusion = confusion(settings, model, train, data)?;
    Ok(Measure {
        at: at(settings, train, data)?,
        mode: mode(settings, model, &confusion)?,
        confusion,
        layers: settings.flag(Field::MeasureLayers).unwrap_or(false),
    })
}

/// Train mode, where there is batch norm that can be in it.
fn mode(settings: &Settings, model: &Model, confusion: &[Confusion]) -> Result<Mode, SettingError> {
    let is_asked = settings.text(Field::MeasureMode) == Some(Mode::Train.as_str());
    if !is_asked || !has_batch_norm(model) {
        return Ok(Mode::Eval);
    }
    if confusion.iter().all(|measured| measured.is_of_batches()) {
        return Ok(Mode::Train);
    }
    let found = Mode::Train.as_str();
    Err(SettingError::refused(Field::MeasureMode, found, Accepted::EvalForExamples))
}

/// Step 0 and the last are always measured, so a list leaves them out, and steps after the last with them.
fn at(settings: &Settings, train: &Train, data: &Data) -> Result<At, SettingError> {
    let bound = |found: &Value, steps: u64| {
        if steps <= MEASURED_MAX {
            return Ok(());
        }
        let accepted = Accepted::FewerMeasurements { max: MEASURED_MAX, steps };
        Err(SettingError::refused(Field::MeasureAt, found.clone(), accepted))
    };
    let listed = |steps: &mut dyn Iterator<Item = u64>| {
        At::Steps(steps.filter(|step| (1..train.steps).contains(step)).collect())
    };
    let every = |stride: u64| {
        if stride < train.steps { At::Every(stride) } else { listed(&mut std::iter::empty()) }
    };
    let whole = |value: &Value| value.as_int().and_then(|number| u64::try_from(number).ok());

    let Some(found) = settings.get(Field::MeasureAt) else { return Ok(At::Log(LOG_DEFAULT)) };
    match found {
        Value::List(steps) => {
            bound(found, steps.len() as u64)?;
            Ok(listed(&mut steps.iter().filter_map(whole)))
        }
        Value::Table(fields) => {
            let number = |key| fields.get(key).and_then(whole).filter(|number| *number > 0);
            if let Some(count) = number("log") {
                return Ok(At::Log(u32::try_from(count).unwrap_or(LOG_DEFAULT)));
            }
            if let Some(stride) = number("every") {
                bound(found, train.steps / stride)?;
                return Ok(every(stride));
            }
            let epochs = number("epochs").unwrap_or(1);
            let examples = u128::from(epochs) * u128::from(data.samples);
            let batch = u128::from(train.batch);
            if examples <= batch || examples % batch == 0 {
                let stride = u64::try_from(examples / batch).unwrap_or(u64::MAX).max(1);
                bound(found, train.steps / stride)?;
                return Ok(every(stride));
            }
            // Epochs end within a step here: each is measured after the step that ends it. As an epoch is longer
            // than a step, there are at most as many as steps.
            let count = u128::from(train.steps) * batch / examples;
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            bound(found, count)?;
            let end = |n| steps_of_epochs(epochs.saturating_mul(n), data.samples, train.batch);
            Ok(listed(&mut (1..=count).filter_map(|n| u64::try_from(end(n)).ok())))
        }
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {
            Err(SettingError::refused(Field::MeasureAt, found.clone(), Accepted::At))
        }
    }
}

fn confusion(
    settings: &Settings,
    model: &Model,
    train: &Train,
    data: &Data,
) -> Result<Vec<Confusion>, SettingError> {
    let samples = data.samples;
    let most = if model.conv().is_some() { FORMED_MAX } else { u32::MAX };
    let default = COUNT_DEFAULT.min(samples);
    let Some(Value::List(entries)) = settings.get(Field::MeasureConfusion) else {
        return Ok(vec![Confusion::Samples { count: default, average: Vec::new() }]);
    };
    let mut plan: Vec<Confusion> = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let Value::Table(fields) = entry else { continue };
        let number = |key: &str| {
            let given = fields.get(key).and_then(Value::as_int);
            given.and_then(|number| u32::try_from(number).ok())
        };
        let refuse = |part: &str, found: Value, accepted| {
            let error = SettingError::refused(Field::MeasureConfusion, found, accepted);
            Err(error.at(&format!("[{index}].{part}")))
        };
        let batch = number("batch").unwrap_or(1);
        let scope = fields.get("scope").and_then(Value::as_text).unwrap_or_default();
        let measured = match scope {
            "batches" => {
                let fit = samples / batch;
                if fit < 2 {
                    let (count, max) = (2, samples / 2);
                    let accepted = Accepted::DisjointBatches { count, max, samples };
                    return refuse("batch", batch.into(), accepted);
                }
                let count = number("count").unwrap_or(BATCHES_DEFAULT.min(fit));
                if count > fit {
                    let accepted =
                        Accepted::DisjointBatches { count, max: samples / count, samples };
                    return refuse("batch", batch.into(), accepted);
                }
                Confusion::Batches { count, batch }
            }
            "batch-pairs" => {
                if batch > samples / 2 {
                    let (count, max) = (2, samples / 2);
                    let accepted = Accepted::DisjointBatches { count, max, samples };
                    return refuse("batch", batch.into(), accepted);
                }
                let count = number("count").unwrap_or(BATCHES_DEFAULT);
                Confusion::BatchPairs { count, batch }
            }
            "cross-iterate" => {
                let accepted = if train.batch >= samples {
                    Some(Accepted::OthersLeft { samples })
                } else {
                    let bans = [
                        (train.momentum != 0.0, "train.momentum = 0"),
                        (train.weight_decay != 0.0, "train.weight_decay = 0"),
                        (train.augment, "train.augment = false"),
                        (has_batch_norm(model), "model.batch_norm = false"),
                    ];
                    let ban = bans.into_iter().find(|(is_broken, _)| *is_broken);
                    ban.map(|(_, without)| Accepted::PlainStep { without })
                };
                if let Some(accepted) = accepted {
                    return refuse("scope", scope.into(), accepted);
                }
                Confusion::CrossIterate
            }
            _ => {
                let count = number("count").unwrap_or(default);
                if count > samples {
                    return refuse("count", count.into(), Accepted::AtMostSamples { samples });
                }
                if count > most {
                    let accepted = Accepted::AtMostFormed { kind: model.kind(), max: most };
                    return refuse("count", count.into(), accepted);
                }
                let average = fields.get("average");
                let average = averages(average, count, &plan)
                    .map_err(|error| error.at(&format!("[{index}].average")))?;
                Confusion::Samples { count, average }
            }
        };
        let accepted = plan.iter().find_map(|told| match (told, &measured) {
            (told, measured) if told == measured => Some(Accepted::DistinctConfusion),
            (Confusion::Samples { count: told, .. }, &Confusion::Samples { count, .. })
                if *told == count =>
            {
                Some(Accepted::CountedBefore { count })
            }
            _ => None,
        });
        if let Some(accepted) = accepted {
            let part = if fields.contains_key("count") { "count" } else { "scope" };
            let found = fields.get(part).cloned().unwrap_or(scope.into());
            return refuse(part, found, accepted);
        }
        plan.push(measured);
    }
    Ok(plan)
}

/// The sizes of the minibatches that the gradients of `count` examples are averaged over.
fn averages(
    listed: Option<&Value>,
    count: u32,
    plan: &[Confusion],
) -> Result<Vec<u32>, SettingError> {
    let Some(Value::List(sizes)) = listed else { return Ok(Vec::new()) };
    let mut average = Vec::with_capacity(sizes.len());
    for (place, found) in sizes.iter().enumerate() {
        let refuse = |accepted| {
            let error = SettingError::refused(Field::MeasureConfusion, found.clone(), accepted);
            Err(error.at(&format!("[{place}]")))
        };
        let size = found.as_int().and_then(|size| u32::try_from(size).ok());
        let Some(batch) = size.filter(|&size| size > 0) else { continue };
        let fit = count / batch;
        if fit < 2 {
            return refuse(Accepted::TwoAveraged { max: count / 2, count });
        }
        if fit > FORMED_MAX {
            let min = count / (FORMED_MAX + 1) + 1;
            return refuse(Accepted::AveragedKept { min, max: FORMED_MAX, count });
        }
        if plan.iter().flat_map(rows_of_samples).any(|told| told == (fit, batch)) {
            return refuse(Accepted::AveragedBefore { count: fit, batch });
        }
        average.push(batch);
    }
    Ok(average)
}

/// Of each row of scope `samples` that `measured` has, the gradients compared and the examples in each: what tells such
/// rows apart in the results.
fn rows_of_samples(measured: &Confusion) -> Vec<(u32, u32)> {
    let Confusion::Samples { count, average } = measured else { return Vec::new() };
    let averaged = average.iter().map(|&batch| (count / batch, batch));
    std::iter::once((*count, 1)).chain(averaged).collect()
}

fn has_batch_norm(model: &Model) -> bool {
    model.conv().is_some_and(|conv| conv.batch_norm)
}

//! The `[measure]` section.

use super::ModelKind;
use super::train::steps_of_epochs;
use crate::settings::{Accepted, Field, SettingError, Settings};
use crate::spec::{At, Confusion, Data, Measure, Train};
use crate::value::Value;

/// Measured steps of a job, so that no plan asks for more rows than a job can keep.
const MEASURED_MAX: u64 = 100_000;
/// Log-spaced measurements, and gradients of a confusion measurement, where none are asked for.
const LOG_DEFAULT: u32 = 20;
const COUNT_DEFAULT: u32 = 128;

pub(super) fn build(
    settings: &Settings,
    kind: ModelKind,
    train: &Train,
    data: &Data,
) -> Result<Measure, SettingError> {
    let layers = settings.flag(Field::MeasureLayers).unwrap_or(false);
    if layers && matches!(kind, ModelKind::Conv(_)) {
        let accepted = Accepted::WholeOnly { kind: kind.as_str() };
        return Err(SettingError::refused(Field::MeasureLayers, true, accepted));
    }
    Ok(Measure {
        at: at(settings, train, data)?,
        confusion: confusion(settings, data.samples)?,
        layers,
    })
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

fn confusion(settings: &Settings, samples: u32) -> Result<Vec<Confusion>, SettingError> {
    let default = COUNT_DEFAULT.min(samples);
    let Some(Value::List(entries)) = settings.get(Field::MeasureConfusion) else {
        return Ok(vec![Confusion::Samples { count: default }]);
    };
    let mut plan = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let given = match entry {
            Value::Table(fields) => fields.get("count").and_then(Value::as_int),
            _ => None,
        };
        let count = given.and_then(|count| u32::try_from(count).ok()).unwrap_or(default);
        let refuse = |accepted| {
            let error = SettingError::refused(Field::MeasureConfusion, count, accepted);
            error.at(&format!("[{index}].count"))
        };
        if count > samples {
            return Err(refuse(Accepted::AtMostSamples { samples }));
        }
        let measured = Confusion::Samples { count };
        if plan.contains(&measured) {
            return Err(refuse(Accepted::DistinctConfusion));
        }
        plan.push(measured);
    }
    Ok(plan)
}

//! The normal form of one value for its field, or why the field refuses it.
//!
//! Two values that mean the same have one normal form: a number field holds `Float`, an amount of memory is in bytes,
//! a time is written as `humantime` writes it, a list of measured steps is sorted.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Accepted, Fault, Field, FieldType, STEPS_MAX, SettingError};
use crate::id::Digest;
use crate::value::Value;

/// Most gradients of single examples of one confusion measurement, and most minibatches or pairs of them.
const COUNT_BUILT: i64 = 65_536;
const BATCHES_BUILT: i64 = 8_192;
/// Most examples of a minibatch that is measured.
const BATCH_MAX: i64 = 65_536;
/// Most sizes of minibatches that one measurement is averaged over.
const AVERAGES_MAX: usize = 16;
/// Longest time that a setting may name.
const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 3_600);

/// The normal form of `value` for `field`.
pub fn normal(field: Field, value: &Value) -> Result<Value, SettingError> {
    let refuse = |accepted| SettingError::refused(field, value.clone(), accepted);
    let not_built =
        |built| SettingError::of(field, Fault::NotBuilt { found: value.clone(), built });
    match field.field_type() {
        FieldType::Word { words, later } => match value.as_text() {
            Some(word) if words.contains(&word) => Ok(value.clone()),
            Some(word) if later.contains(&word) => Err(not_built(Accepted::Words { words })),
            _ => Err(refuse(Accepted::Words { words })),
        },
        FieldType::Int { min, max } => int(value, min, max).map_err(refuse),
        FieldType::Positive => number(value, |x| x > 0.0).ok_or(refuse(Accepted::Positive)),
        FieldType::NonNegative => number(value, |x| x >= 0.0).ok_or(refuse(Accepted::NonNegative)),
        FieldType::BelowOne => {
            number(value, |x| (0.0..1.0).contains(&x)).ok_or(refuse(Accepted::BelowOne))
        }
        FieldType::Flag => match value {
            Value::Bool(_) => Ok(value.clone()),
            _ => Err(refuse(Accepted::Flag)),
        },
        FieldType::Path => match value {
            Value::Text(path) if !path.is_empty() => Ok(value.clone()),
            _ => Err(refuse(Accepted::Path)),
        },
        FieldType::Digest => match value.as_text().map(str::parse::<Digest>) {
            Some(Ok(_)) => Ok(value.clone()),
            _ => Err(refuse(Accepted::Digest)),
        },
        FieldType::Duration => duration(value).ok_or(refuse(Accepted::Duration)),
        FieldType::Memory => memory(value).ok_or(refuse(Accepted::Memory)),
        FieldType::At => at(field, value),
        FieldType::Schedule => list(field, value, Accepted::Schedule, |entry| decay(field, entry)),
        FieldType::Confusion => {
            list(field, value, Accepted::Confusion, |entry| confusion(field, entry))
        }
    }
}

fn int(value: &Value, min: i64, max: i64) -> Result<Value, Accepted> {
    match value {
        Value::Int(number) if (min..=max).contains(number) => Ok(value.clone()),
        _ => Err(Accepted::Int { min, max }),
    }
}

/// The number as a float; -0 becomes 0, so that both are one value.
fn number(value: &Value, accepts: impl Fn(f64) -> bool) -> Option<Value> {
    let number = value.as_number()?;
    (number.is_finite() && accepts(number)).then_some(Value::Float(number + 0.0))
}

fn duration(value: &Value) -> Option<Value> {
    let duration = humantime::parse_duration(value.as_text()?).ok()?;
    let in_range = (Duration::from_secs(1)..=DURATION_MAX).contains(&duration);
    in_range.then(|| Value::Text(humantime::format_duration(duration).to_string()))
}

/// Bytes, or a whole number with a unit: B, KiB, MiB, GiB, TiB, and their decimal relatives kB, MB, GB, TB.
fn memory(value: &Value) -> Option<Value> {
    let bytes = match value {
        Value::Int(bytes) => *bytes,
        Value::Text(text) => {
            let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
            let count: i64 = digits.parse().ok()?;
            let unit: i64 = match text[digits.len()..].trim() {
                "B" => 1,
                "KiB" => 1 << 10,
                "MiB" => 1 << 20,
                "GiB" => 1 << 30,
                "TiB" => 1 << 40,
                "kB" | "KB" => 1_000,
                "MB" => 1_000_000,
                "GB" => 1_000_000_000,
                "TB" => 1_000_000_000_000,
                _ => return None,
            };
            count.checked_mul(unit)?
        }
        _ => return None,
    };
    (bytes >= 1).then_some(Value::Int(bytes))
}

fn at(field: Field, value: &Value) -> Result<Value, SettingError> {
    let refuse = || SettingError::refused(field, value.clone(), Accepted::At);
    match value {
        Value::List(steps) => {
            let mut sorted = Vec::with_capacity(steps.len());
            for (index, step) in steps.iter().enumerate() {
                let step = int(step, 0, STEPS_MAX).map_err(|accepted| {
                    SettingError::refused(field, step.clone(), accepted).at(&format!("[{index}]"))
                })?;
                sorted.extend(step.as_int());
            }
            sorted.sort_unstable();
            sorted.dedup();
            Ok(Value::List(sorted.into_iter().map(Value::Int).collect()))
        }
        Value::Table(fields) => {
            let mut fields = fields.iter();
            let (Some((key, number)), None) = (fields.next(), fields.next()) else {
                return Err(refuse());
            };
            let (min, max) = match key.as_str() {
                "log" => (2, 10_000),
                "every" | "epochs" => (1, STEPS_MAX),
                _ => return Err(unknown(field, key, Accepted::At)),
            };
            int(number, min, max).map(|_| value.clone()).map_err(|accepted| {
                SettingError::refused(field, number.clone(), accepted).at(&format!(".{key}"))
            })
        }
        _ => Err(refuse()),
    }
}

/// The normal form of every entry of a list.
fn list(
    field: Field,
    value: &Value,
    accepted: Accepted,
    entry: impl Fn(&BTreeMap<String, Value>) -> Result<Value, SettingError>,
) -> Result<Value, SettingError> {
    let refuse = |accepted| SettingError::refused(field, value.clone(), accepted);
    let Value::List(entries) = value else { return Err(refuse(accepted)) };
    let mut normal = Vec::with_capacity(entries.len());
    for (index, found) in entries.iter().enumerate() {
        let Value::Table(fields) = found else { return Err(refuse(accepted)) };
        normal.push(entry(fields).map_err(|error| error.at(&format!("[{index}]")))?);
    }
    Ok(Value::List(normal))
}

/// `{ at, factor }` or `{ step, factor }`.
fn decay(field: Field, fields: &BTreeMap<String, Value>) -> Result<Value, SettingError> {
    let mut place = None;
    let mut factor = None;
    for (key, value) in fields {
        let refuse =
            |accepted| SettingError::refused(field, value.clone(), accepted).at(&format!(".{key}"));
        match key.as_str() {
            "at" | "step" if place.is_some() => return Err(refuse(Accepted::DecayAtOrStep)),
            "at" => {
                let at = number(value, |x| x > 0.0).ok_or(refuse(Accepted::DecayAt))?;
                place = Some(("at", at));
            }
            "step" => place = Some(("step", int(value, 0, STEPS_MAX).map_err(refuse)?)),
            "factor" => {
                factor = Some(number(value, |x| x > 0.0).ok_or(refuse(Accepted::Positive))?);
            }
            _ => return Err(unknown(field, key, Accepted::Schedule)),
        }
    }
    let missing = |part, accepted| SettingError::missing(field, accepted).at(part);
    let place = place.ok_or_else(|| missing(".at", Accepted::DecayAt))?;
    let factor = factor.ok_or_else(|| missing(".factor", Accepted::Positive))?;
    Ok(Value::table([place, ("factor", factor)]))
}

/// `{ scope = "samples", count, average }`, `{ scope = "batches", count, batch }`, `{ scope = "batch-pairs", count, batch }` or
/// `{ scope = "cross-iterate" }`, where any count may be left out. To average over nothing is not to average.
fn confusion(field: Field, fields: &BTreeMap<String, Value>) -> Result<Value, SettingError> {
    const WORDS: &[&str] = &["samples", "batches", "batch-pairs", "cross-iterate"];
    const SCOPES: Accepted = Accepted::Words { words: WORDS };
    let Some(scope) = fields.get("scope") else {
        return Err(SettingError::missing(field, SCOPES).at(".scope"));
    };
    let parts: &[(&str, i64, i64)] = match scope.as_text() {
        Some("samples") => &[("count", 2, COUNT_BUILT)],
        Some("batches") => &[("count", 2, BATCHES_BUILT), ("batch", 1, BATCH_MAX)],
        Some("batch-pairs") => &[("count", 1, BATCHES_BUILT), ("batch", 1, BATCH_MAX)],
        Some("cross-iterate") => &[],
        _ => return Err(SettingError::refused(field, scope.clone(), SCOPES).at(".scope")),
    };
    let mut normal = fields.clone();
    for (key, value) in fields.iter().filter(|(key, _)| *key != "scope") {
        if key == "average" {
            averages(field, scope, value).map_err(|error| error.at(".average"))?;
            if *value == Value::List(Vec::new()) {
                normal.remove(key);
            }
            continue;
        }
        let Some(&(_, min, max)) = parts.iter().find(|(part, ..)| part == key) else {
            return Err(unknown(field, key, Accepted::Confusion));
        };
        let part = format!(".{key}");
        match value {
            Value::Int(number) if *number > max => {
                let fault =
                    Fault::NotBuilt { found: value.clone(), built: Accepted::Int { min, max } };
                return Err(SettingError::of(field, fault).at(&part));
            }
            _ => int(value, min, max).map_err(|accepted| {
                SettingError::refused(field, value.clone(), accepted).at(&part)
            })?,
        };
    }
    if parts.iter().any(|(part, ..)| *part == "batch") && !fields.contains_key("batch") {
        let accepted = Accepted::Int { min: 1, max: BATCH_MAX };
        return Err(SettingError::missing(field, accepted).at(".batch"));
    }
    Ok(Value::Table(normal))
}

/// Whether `value` lists sizes of minibatches that scope `scope` can be averaged over.
fn averages(field: Field, scope: &Value, value: &Value) -> Result<(), SettingError> {
    let refuse = |found: &Value, accepted| SettingError::refused(field, found.clone(), accepted);
    if scope.as_text() != Some("samples") {
        return Err(refuse(value, Accepted::AverageOfSamples));
    }
    let list = Accepted::Averages { max: AVERAGES_MAX };
    let Value::List(sizes) = value else { return Err(refuse(value, list)) };
    if sizes.len() > AVERAGES_MAX {
        return Err(refuse(value, list));
    }
    for (index, size) in sizes.iter().enumerate() {
        let refuse = |accepted| refuse(size, accepted).at(&format!("[{index}]"));
        int(size, 2, BATCH_MAX).map_err(refuse)?;
        if sizes[..index].contains(size) {
            return Err(refuse(Accepted::DistinctAverages));
        }
    }
    Ok(())
}

fn unknown(field: Field, name: &str, accepted: Accepted) -> SettingError {
    let name = name.chars().take(80).collect();
    SettingError::of(field, Fault::UnknownPart { name, accepted })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(field: Field, value: impl Into<Value>, expected: impl Into<Value>) {
        assert_eq!(normal(field, &value.into()), Ok(expected.into()));
    }

    #[test]
    fn values_that_mean_the_same_have_one_normal_form() {
        check(Field::TrainStepSize, 1u32, 1.0);
        check(Field::DataNoise, -0.0, 0.0);
        check(Field::RunTimeout, "120m", "2h");
        check(Field::RunMemory, "2GiB", 1u64 << 31);
        check(Field::RunMemory, "3 MB", 3_000_000u32);
        let steps = |steps: &[i64]| Value::List(steps.iter().map(|&s| Value::Int(s)).collect());
        check(Field::MeasureAt, steps(&[100, 0, 10, 10]), steps(&[0, 10, 100]));
    }

    #[test]
    fn a_part_of_a_structured_value_is_named() {
        let entry = Value::table([("at", Value::Float(0.5)), ("factor", Value::Int(0))]);
        let error = normal(Field::TrainSchedule, &Value::List(vec![entry])).expect_err("factor 0");
        let expected = "train.schedule[0].factor: found 0; expected a finite number above 0";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn amounts_and_times_out_of_range_are_refused() {
        for text in ["", "GiB", "2", "2GiBs", "-1GiB", "9999999999TiB", "0B", "1.5GiB", "é"] {
            assert!(normal(Field::RunMemory, &text.into()).is_err(), "{text}");
        }
        for text in ["", "2", "0s", "500ms", "366days", "1000000years", "2 parsecs"] {
            assert!(normal(Field::RunTimeout, &text.into()).is_err(), "{text}");
        }
    }
}

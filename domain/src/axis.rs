//! Axes: one varied field and its ordered values, written out or generated.

use crate::settings::suggest;
use crate::settings::{Field, SettingError, normal};
use crate::value::Value;

/// One varied field and its values, each in the normal form of the field.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    pub field: Field,
    pub values: Vec<Value>,
}

/// Most values of one axis, and most points of a grid.
pub const POINTS_MAX: u64 = 10_000_000;

/// Why an axis has no values.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AxisError {
    #[error("found {found}; expected a list of values, {FORMS}")]
    Form { found: Value },
    #[error(
        "unknown key \"{key}\"{}; expected {FORMS}",
        meant.map_or(String::new(), |word| format!(", did you mean {word}?"))
    )]
    UnknownKey { key: String, meant: Option<&'static str> },
    #[error("{key} = {found}; expected {expected}")]
    Argument { key: &'static str, found: Value, expected: &'static str },
    #[error("step = {step} does not lead from start = {start} to stop = {stop}")]
    StepAway { start: Value, stop: Value, step: Value },
    #[error("asks for more than {POINTS_MAX} values")]
    TooMany,
}

const FORMS: &str = "{ log2 = [a, b] }, { start, stop, step }, { start, count }, \
                     { linspace = [a, b], count } or { logspace = [a, b], count }";
const KEYS: &[&str] = &["log2", "start", "stop", "step", "count", "linspace", "logspace"];

impl Axis {
    /// The axis of `field` through `values`, or what is wrong with which of them.
    pub fn new(field: Field, values: &[Value]) -> Result<Self, Vec<(usize, SettingError)>> {
        let mut axis = Self { field, values: Vec::with_capacity(values.len()) };
        let mut errors = Vec::new();
        for (index, value) in values.iter().enumerate() {
            match normal(field, value) {
                Ok(value) => axis.values.push(value),
                Err(error) => errors.push((index, error)),
            }
        }
        if errors.is_empty() { Ok(axis) } else { Err(errors) }
    }
}

/// The values that an axis names: those of a list, or generated ones.
///
/// Generated values are rounded to 12 significant digits, and are integers where they are whole, so that
/// `{ log2 = [0, 2] }` and `[1, 2, 4]` are the same axis.
pub fn expand(form: &Value) -> Result<Vec<Value>, AxisError> {
    let fields = match form {
        Value::List(values) => return Ok(values.clone()),
        Value::Table(fields) => fields,
        other => return Err(AxisError::Form { found: other.clone() }),
    };
    if let Some(key) = fields.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let meant = suggest::nearest(key, KEYS.iter().copied());
        return Err(AxisError::UnknownKey { key: key.chars().take(80).collect(), meant });
    }
    let keys: Vec<&str> = fields.keys().map(String::as_str).collect();
    match (keys.as_slice(), fields.values().collect::<Vec<_>>().as_slice()) {
        (["log2"], [ends]) => log2(ends),
        (["count", "linspace"], [count, ends]) => {
            let ([a, b], n) = (numbers("linspace", ends)?, count_of(count, 2)?);
            let share = |i: u64| i as f64 / (n - 1) as f64;
            Ok((0..n).map(|i| rounded(a * (1.0 - share(i)) + b * share(i))).collect())
        }
        (["count", "logspace"], [count, ends]) => {
            let ([a, b], n) = (numbers("logspace", ends)?, count_of(count, 2)?);
            if a <= 0.0 || b <= 0.0 {
                let expected = "two finite numbers above 0";
                let found = (*ends).clone();
                return Err(AxisError::Argument { key: "logspace", found, expected });
            }
            let (a, b) = (a.log10(), b.log10());
            let share = |i: u64| i as f64 / (n - 1) as f64;
            let power = |i| 10f64.powf(a * (1.0 - share(i)) + b * share(i));
            Ok((0..n).map(|i| rounded(power(i))).collect())
        }
        (["count", "start"], [count, start]) => {
            let n = count_of(count, 1)?;
            let Value::Int(first) = **start else {
                return Err(argument("start", start, "an integer"));
            };
            let in_range = i64::try_from(n).ok().and_then(|n| first.checked_add(n));
            in_range.ok_or(AxisError::TooMany)?;
            Ok((0..n).map(|i| Value::Int(first + i as i64)).collect())
        }
        (["start", "step", "stop"], [start, step, stop]) => stepped(start, step, stop),
        _ => Err(AxisError::Form { found: form.clone() }),
    }
}

fn argument(key: &'static str, found: &Value, expected: &'static str) -> AxisError {
    AxisError::Argument { key, found: found.clone(), expected }
}

/// 2^a, …, 2^b.
fn log2(ends: &Value) -> Result<Vec<Value>, AxisError> {
    let refuse = || argument("log2", ends, "two integers from -62 to 62, the smaller first");
    let Value::List(list) = ends else { return Err(refuse()) };
    let [Value::Int(a), Value::Int(b)] = list.as_slice() else { return Err(refuse()) };
    if a > b || *a < -62 || *b > 62 {
        return Err(refuse());
    }
    let power = |k: i64| if k < 0 { rounded(2f64.powi(k as i32)) } else { Value::Int(1 << k) };
    Ok((*a..=*b).map(power).collect())
}

/// start, start + step, … up to and with stop.
fn stepped(start: &Value, step: &Value, stop: &Value) -> Result<Vec<Value>, AxisError> {
    let away =
        || AxisError::StepAway { start: start.clone(), stop: stop.clone(), step: step.clone() };
    if let (Value::Int(a), Value::Int(s), Value::Int(b)) = (start, step, stop) {
        let (a, s, b) = (i128::from(*a), i128::from(*s), i128::from(*b));
        if s == 0 || (b - a) * s < 0 {
            return Err(away());
        }
        let last = (b - a) / s;
        if last >= i128::from(POINTS_MAX) {
            return Err(AxisError::TooMany);
        }
        let value = |i| i64::try_from(a + i * s).map_or(Value::Int(0), Value::Int);
        return Ok((0..=last).map(value).collect());
    }
    let number = |key, value: &Value| finite(value).ok_or(argument(key, value, "a finite number"));
    let (a, s, b) = (number("start", start)?, number("step", step)?, number("stop", stop)?);
    // A stop that rounding puts a hair beyond the last step still counts.
    let last = ((b - a) / s + 1e-9).floor();
    if !last.is_finite() || last < 0.0 {
        return Err(away());
    }
    if last >= POINTS_MAX as f64 {
        return Err(AxisError::TooMany);
    }
    Ok((0..=last as u64).map(|i| rounded(a + i as f64 * s)).collect())
}

fn finite(value: &Value) -> Option<f64> {
    value.as_number().filter(|number| number.is_finite())
}

fn numbers(key: &'static str, ends: &Value) -> Result<[f64; 2], AxisError> {
    let refuse = || argument(key, ends, "two finite numbers");
    let Value::List(list) = ends else { return Err(refuse()) };
    let [a, b] = list.as_slice() else { return Err(refuse()) };
    Ok([finite(a).ok_or_else(refuse)?, finite(b).ok_or_else(refuse)?])
}

fn count_of(value: &Value, min: u64) -> Result<u64, AxisError> {
    let expected = if min == 1 { "an integer of at least 1" } else { "an integer of at least 2" };
    let count = value.as_int().and_then(|count| u64::try_from(count).ok());
    match count.filter(|count| *count >= min) {
        None => Err(argument("count", value, expected)),
        Some(count) if count > POINTS_MAX => Err(AxisError::TooMany),
        Some(count) => Ok(count),
    }
}

/// The number to 12 significant digits; an integer where that is whole.
fn rounded(number: f64) -> Value {
    let number = format!("{number:.11e}").parse().unwrap_or(number);
    // Up to 2⁵³ every whole double is one integer.
    if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 {
        Value::Int(number as i64)
    } else {
        Value::Float(number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json;

    #[track_caller]
    fn check(form: &str, expected: &str) {
        let form = json::read(form).expect("the test's form is JSON");
        let values = expand(&form).map_or_else(|e| e.to_string(), |v| json::write(&Value::List(v)));
        assert_eq!(values, expected);
    }

    #[test]
    fn every_form_gives_its_values() {
        check(r#"[1, "a"]"#, r#"[1,"a"]"#);
        check(r#"{"log2": [0, 4]}"#, "[1,2,4,8,16]");
        check(r#"{"log2": [-2, 1]}"#, "[0.25,0.5,1,2]");
        check(r#"{"start": 0, "count": 3}"#, "[0,1,2]");
        check(r#"{"start": 2, "stop": 10, "step": 4}"#, "[2,6,10]");
        check(r#"{"start": 5, "stop": 1, "step": -2}"#, "[5,3,1]");
        check(r#"{"start": 0.1, "stop": 0.3, "step": 0.1}"#, "[0.1,0.2,0.3]");
        check(r#"{"linspace": [0, 1], "count": 5}"#, "[0,0.25,0.5,0.75,1]");
        check(r#"{"logspace": [0.001, 1], "count": 4}"#, "[0.001,0.01,0.1,1]");
        check(r#"{"logspace": [1, 10], "count": 3}"#, "[1,3.16227766017,10]");
    }

    #[test]
    fn generated_values_are_the_same_values_as_written_ones() {
        let generated = expand(&json::read(r#"{"log2": [0, 2]}"#).expect("JSON"));
        assert_eq!(generated, Ok(vec![Value::Int(1), Value::Int(2), Value::Int(4)]));
        let decimal = expand(&json::read(r#"{"linspace": [0.1, 0.3], "count": 3}"#).expect("JSON"));
        assert_eq!(decimal, Ok([0.1, 0.2, 0.3].map(Value::Float).into()));
    }

    #[test]
    fn absurd_axes_are_refused_before_anything_is_made() {
        check(r#"{"start": 0, "count": 1000000000000}"#, "asks for more than 10000000 values");
        check(r#"{"start": 0, "stop": 1, "step": 1e-300}"#, "asks for more than 10000000 values");
        check(
            r#"{"start": 0, "stop": 9, "step": -1}"#,
            "step = -1 does not lead from start = 0 to stop = 9",
        );
        check(
            r#"{"start": 0.5, "stop": 9, "step": 0}"#,
            "step = 0 does not lead from start = 0.5 to stop = 9",
        );
    }

    proptest! {
        /// Law: no form panics, and what is generated is finite and bounded.
        #[test]
        fn no_numbers_make_an_axis_panic(a: f64, b: f64, step: f64, i: i64, j: i64, k: i64, n in -3i64..50) {
            let ends = Value::List(vec![Value::Float(a), Value::Float(b)]);
            let whole = Value::List(vec![Value::Int(i), Value::Int(j)]);
            for form in [
                Value::table([("linspace", ends.clone()), ("count", Value::Int(n))]),
                Value::table([("logspace", ends), ("count", Value::Int(n))]),
                Value::table([("log2", whole)]),
                Value::table([("start", Value::Int(i)), ("count", Value::Int(n))]),
                Value::table([("start", Value::Int(i)), ("stop", Value::Int(j)), ("step", Value::Int(k))]),
                Value::table([("start", a.into()), ("stop", b.into()), ("step", step.into())]),
            ] {
                let values = expand(&form).unwrap_or_default();
                prop_assert!(values.len() as u64 <= POINTS_MAX);
                prop_assert!(values.iter().all(|v| v.as_number().is_some_and(f64::is_finite)));
            }
        }
    }
}

//! Canonical JSON: one text for one value. Identities are digests of this text, so it may never change.
//!
//! Keys sorted by their bytes, no white space, and numbers as in RFC 8785: the shortest digits that read back as the
//! same double, so `1.0` and `1` are one text. Integers beyond 2⁵³ are written in full.

use std::fmt::Write;

use crate::value::Value;

/// Why a text is not JSON that can hold settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    #[error("not JSON: {message} at line {line}, column {column}")]
    Syntax { message: String, line: usize, column: usize },
    #[error("null is not a setting")]
    Null,
}

/// Writes `value`. A number that is not finite becomes `null`, which [`read`] refuses.
pub fn write(value: &Value) -> String {
    let mut text = String::new();
    write_value(&mut text, value);
    text
}

/// Writes fields as nested objects: `model.width` is the member `width` of the object `model`.
///
/// `fields` are distinct dotted names of one or two parts, in the order of their bytes, in which `.` comes before all
/// that a name can hold. So the members of each object come together, and sorted.
pub fn write_nested<'a>(fields: impl IntoIterator<Item = (&'a str, &'a Value)>) -> String {
    write_nested_by(fields, |out, _, value| write_value(out, value))
}

/// The same, where `write` writes each value, by its name.
pub fn write_nested_by<'a>(
    fields: impl IntoIterator<Item = (&'a str, &'a Value)>,
    mut write: impl FnMut(&mut String, &str, &Value),
) -> String {
    let mut out = String::from("{");
    let mut open: Option<&str> = None;
    let mut is_first = true;
    for (name, value) in fields {
        let (section, key) = match name.split_once('.') {
            Some((section, key)) => (Some(section), key),
            None => (None, name),
        };
        if open.is_some() && open != section {
            out.push('}');
        }
        if !is_first {
            out.push(',');
        }
        if let Some(section) = section.filter(|_| open != section) {
            write_text(&mut out, section);
            out.push_str(":{");
        }
        open = section;
        is_first = false;
        write_text(&mut out, key);
        out.push(':');
        write(&mut out, name, value);
    }
    if open.is_some() {
        out.push('}');
    }
    out.push('}');
    out
}

/// Writes `value` behind what is there.
pub fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Float(number) => write_number(out, *number),
        Value::Text(text) => write_text(out, text),
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(out, item);
            }
            out.push(']');
        }
        Value::Table(fields) => {
            out.push('{');
            for (index, (key, field)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_text(out, key);
                out.push(':');
                write_value(out, field);
            }
            out.push('}');
        }
    }
}

/// The layout of ECMAScript's `Number::toString`, as RFC 8785 asks.
fn write_number(out: &mut String, number: f64) {
    if !number.is_finite() {
        return out.push_str("null");
    }
    if number == 0.0 {
        return out.push('0');
    }
    let scientific = format!("{:e}", number.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    let point = exponent.parse::<i32>().unwrap_or(0) + 1;
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let zeros = |n: i32| "0".repeat(usize::try_from(n).unwrap_or(0));

    if number < 0.0 {
        out.push('-');
    }
    if (count..=21).contains(&point) {
        out.push_str(&digits);
        out.push_str(&zeros(point - count));
    } else if (1..=21).contains(&point) {
        let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or(0));
        out.extend([whole, ".", fraction]);
    } else if (-5..=0).contains(&point) {
        out.extend(["0.", &zeros(-point), &digits]);
    } else {
        let (head, tail) = digits.split_at(1);
        out.push_str(head);
        if !tail.is_empty() {
            out.extend([".", tail]);
        }
        let sign = if point > 0 { '+' } else { '-' };
        out.extend(["e", &String::from(sign), &(point - 1).abs().to_string()]);
    }
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    let is_plain = text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\');
    if is_plain {
        out.push_str(text);
        return out.push('"');
    }
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            // A String takes every write.
            c if c < ' ' => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Reads JSON. Nesting is bounded, so no text can overflow the stack.
pub fn read(text: &str) -> Result<Value, JsonError> {
    let json = serde_json::from_str(text).map_err(|error: serde_json::Error| {
        let full = error.to_string();
        let message = full.split(" at line ").next().unwrap_or_default().to_owned();
        JsonError::Syntax { message, line: error.line(), column: error.column() }
    })?;
    from_json(json)
}

fn from_json(json: serde_json::Value) -> Result<Value, JsonError> {
    Ok(match json {
        serde_json::Value::Null => return Err(JsonError::Null),
        serde_json::Value::Bool(flag) => Value::Bool(flag),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Value::Int(integer),
            (None, Some(float)) => Value::Float(float),
            (None, None) => return Err(JsonError::Null),
        },
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Array(items) => {
            Value::List(items.into_iter().map(from_json).collect::<Result<_, _>>()?)
        }
        serde_json::Value::Object(fields) => {
            let fields = fields.into_iter().map(|(key, field)| Ok((key, from_json(field)?)));
            Value::Table(fields.collect::<Result<_, JsonError>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Layouts from the table of RFC 8785, appendix B.
    #[test]
    fn numbers_are_laid_out_as_in_rfc_8785() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (0.05, "0.05"),
            (-1.5, "-1.5"),
            (5e-324, "5e-324"),
            (1.797_693_134_862_315_7e308, "1.7976931348623157e+308"),
            (9_007_199_254_740_992.0, "9007199254740992"),
            (295_147_905_179_352_830_000.0, "295147905179352830000"),
            (1e21, "1e+21"),
            (9.999_999_999_999_997e22, "9.999999999999997e+22"),
            (0.000_001, "0.000001"),
            (1e-7, "1e-7"),
            (333_333_333.333_333_3, "333333333.3333333"),
        ] {
            assert_eq!(write(&Value::Float(number)), text);
        }
    }

    #[test]
    fn hostile_texts_are_refused() {
        for text in ["", "{", "null", "[null]", "1e999", "{\"a\":NaN}", &"[".repeat(100_000)] {
            assert!(read(text).is_err(), "{text:.20}");
        }
    }

    #[test]
    fn dotted_names_become_nested_objects() {
        let (a, b, c) = (Value::Int(1), Value::Int(2), Value::Int(3));
        let fields = [("a.x", &a), ("a.y", &b), ("a_z", &c), ("b.x", &a), ("c.x", &b)];
        let text = r#"{"a":{"x":1,"y":2},"a_z":3,"b":{"x":1},"c":{"x":2}}"#;
        assert_eq!(write_nested(fields), text);
        assert_eq!(write_nested([("s", &a)]), r#"{"s":1}"#);
        assert_eq!(write_nested([]), "{}");
    }

    proptest! {
        /// Law: every finite double is read back to the same bits.
        #[test]
        fn every_finite_number_reads_back(bits: u64) {
            let number = f64::from_bits(bits);
            prop_assume!(number.is_finite());
            let back = read(&write(&Value::Float(number))).expect("canonical").as_number();
            prop_assert_eq!(back.map(|x| x + 0.0), Some(number + 0.0));
        }

        /// Law: every text is read back.
        #[test]
        fn every_text_reads_back(text: String) {
            prop_assert_eq!(read(&write(&Value::Text(text.clone()))), Ok(Value::Text(text)));
        }
    }
}

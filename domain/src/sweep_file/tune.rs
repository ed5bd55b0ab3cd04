//! The `[tune]` section: read and checked, so that a file for a later version is not wrong in this one too. What it
//! asks for is not built yet.

use super::tree::{Content, Entry, Node};
use super::{FileFault, Problem};
use crate::axis::{self, Axis, AxisError};
use crate::settings::{Field, SettingError, suggest};
use crate::value::Value;

/// What is wrong with it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TuneFault {
    #[error("{key}: found {found}; expected {expected}")]
    Refused { key: &'static str, found: Value, expected: &'static str },
    #[error("{key}: missing; expected {expected}")]
    Missing { key: &'static str, expected: &'static str },
    #[error("tune.{key}: unknown key{}", meant.map_or(String::new(), |m| format!("; did you mean tune.{m}?")))]
    UnknownKey { key: String, meant: Option<&'static str> },
    #[error("tune.values: {0}")]
    Values(AxisError),
    #[error("tune.values: {0}")]
    Value(SettingError),
}

const KEYS: &[&str] = &["axis", "values", "seeds", "choose", "strategy"];
const AXIS: &str = "a field of [model], [data], [train] or [measure], such as \"train.step_size\"";
const VALUES: &str = "values of the field as of an axis, at least one";

/// Problems of the section; that it is not built is the last of them, and the only one of a right section.
pub(super) fn check(line: u32, entries: &[Entry]) -> Vec<Problem> {
    let mut faults: Vec<(u32, TuneFault)> = Vec::new();
    let mut field = None;
    let mut values: Option<&Node> = None;
    for Entry { key, line, node, start: _ } in entries {
        let value = node.value();
        let refused = |key, expected| TuneFault::Refused { key, found: value.clone(), expected };
        let fault = match key.as_str() {
            "axis" => {
                let named = value.as_text().and_then(Field::from_word);
                field = named.filter(|f| f.is_written() && !f.is_seed() && !f.is_run());
                field.is_none().then(|| refused("tune.axis", AXIS))
            }
            "values" => {
                values = Some(node);
                None
            }
            "seeds" => {
                let is_count = value.as_int().is_some_and(|count| count >= 1);
                (!is_count).then(|| refused("tune.seeds", "an integer of at least 1"))
            }
            "choose" => {
                const CHOICE: &str = "lowest final training loss";
                (value.as_text() != Some(CHOICE)).then(|| refused("tune.choose", CHOICE))
            }
            "strategy" => {
                let is_known = matches!(value.as_text(), Some("grid" | "halving"));
                (!is_known).then(|| refused("tune.strategy", "one of grid, halving"))
            }
            _ => {
                let meant = suggest::nearest(key, KEYS.iter().copied());
                Some(TuneFault::UnknownKey { key: key.chars().take(80).collect(), meant })
            }
        };
        faults.extend(fault.map(|fault| (*line, fault)));
    }
    let has = |name| entries.iter().any(|entry| entry.key == name);
    if !has("axis") {
        faults.push((line, TuneFault::Missing { key: "tune.axis", expected: AXIS }));
    }
    match values {
        None => faults.push((line, TuneFault::Missing { key: "tune.values", expected: VALUES })),
        Some(node) => faults.extend(values_fault(field, node).map(|fault| (node.line, fault))),
    }
    let faults = faults.into_iter().map(|(line, fault)| Problem { line, fault: fault.into() });
    faults.chain([Problem { line, fault: FileFault::TuneNotBuilt }]).collect()
}

fn values_fault(field: Option<Field>, node: &Node) -> Option<TuneFault> {
    let values = match axis::expand(&node.value()) {
        Err(fault) => return Some(TuneFault::Values(fault)),
        Ok(values) => values,
    };
    let is_empty = matches!(&node.content, Content::List(items) if items.is_empty());
    if is_empty {
        let found = node.value();
        return Some(TuneFault::Refused { key: "tune.values", found, expected: VALUES });
    }
    let errors = Axis::new(field?, &values).err()?;
    errors.into_iter().next().map(|(_, error)| TuneFault::Value(error))
}

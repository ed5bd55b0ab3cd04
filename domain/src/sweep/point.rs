//! A point of a grid, for people.

use std::fmt;

use crate::settings::Field;
use crate::settings::suggest::last_part;
use crate::value::Value;

/// One choice of value on each axis: field names and values, in the order of the axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    values: Vec<(Field, Value)>,
}

impl Point {
    pub(super) fn new(values: impl Iterator<Item = (Field, Value)>) -> Self {
        Self { values: values.collect() }
    }

    pub(super) fn without_seeds(mut self) -> Self {
        self.values.retain(|(field, _)| !field.is_seed());
        self
    }

    /// The dotted names of the varied fields, and their values.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.values.iter().map(|(field, value)| (field.as_str(), value))
    }

    /// The value of a field, by its dotted name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values().find_map(|(field, value)| (field == name).then_some(value))
    }
}

/// `width=64 depth=2 seed=0`: without the section, unless two axes would have the same name.
impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (field, value)) in self.values().enumerate() {
            let short = last_part(field);
            let is_shared =
                self.values().filter(|(other, _)| last_part(other) == short).count() > 1;
            let space = if index == 0 { "" } else { " " };
            let name = if is_shared { field } else { short };
            match value {
                Value::Text(text) => write!(f, "{space}{name}={text}")?,
                value => write!(f, "{space}{name}={value}")?,
            }
        }
        Ok(())
    }
}

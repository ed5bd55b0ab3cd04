//! Settings: dotted names and their values, each checked for itself. How they fit together is for
//! [`crate::JobSpec::from_settings`].

mod error;
mod field;
mod normal;
pub mod suggest;

use std::collections::BTreeMap;

pub use error::{Accepted, Fault, SettingError};
pub use field::{Field, FieldType, STEPS_MAX};
pub use normal::normal;

use crate::value::Value;

/// Values by field. Every value is the normal form of one that its field accepts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    values: BTreeMap<Field, Value>,
}

/// Why a nested table is not settings.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NotSettings {
    #[error("\"{key}\" is not a setting")]
    UnknownKey { key: String },
    #[error(transparent)]
    Setting(#[from] SettingError),
}

impl Settings {
    /// Gives `field` the normal form of `value`.
    pub fn set(&mut self, field: Field, value: &Value) -> Result<(), SettingError> {
        self.values.insert(field, normal(field, value)?);
        Ok(())
    }

    /// Gives `field` a value that [`normal`] gave.
    pub(crate) fn set_normal(&mut self, field: Field, value: Value) {
        self.values.insert(field, value);
    }

    /// Forgets `field`.
    pub fn remove(&mut self, field: Field) -> Option<Value> {
        self.values.remove(&field)
    }

    /// The value of `field`, if it is given.
    pub fn get(&self, field: Field) -> Option<&Value> {
        self.values.get(&field)
    }

    /// Whether `field` is given.
    pub fn has(&self, field: Field) -> bool {
        self.values.contains_key(&field)
    }

    /// The fields that are given, in the order of [`Field::WORDS`].
    pub fn iter(&self) -> impl Iterator<Item = (Field, &Value)> {
        self.values.iter().map(|(field, value)| (*field, value))
    }

    /// An integer field.
    pub(crate) fn int<T: TryFrom<i64>>(&self, field: Field) -> Option<T> {
        self.get(field)?.as_int().and_then(|number| T::try_from(number).ok())
    }

    /// A number field.
    pub(crate) fn number(&self, field: Field) -> Option<f64> {
        self.get(field)?.as_number()
    }

    /// A text or word field.
    pub(crate) fn text(&self, field: Field) -> Option<&str> {
        self.get(field)?.as_text()
    }

    /// A flag field.
    pub(crate) fn flag(&self, field: Field) -> Option<bool> {
        match self.get(field)? {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// The settings as nested tables: `model.width` is the entry `width` of the table `model`.
    pub fn to_value(&self) -> Value {
        let mut top = BTreeMap::new();
        for (field, value) in self.iter() {
            let Some((section, key)) = field.as_str().split_once('.') else {
                top.insert(field.as_str().to_owned(), value.clone());
                continue;
            };
            let table = top.entry(section.to_owned()).or_insert_with(|| Value::table([]));
            if let Value::Table(fields) = table {
                fields.insert(key.to_owned(), value.clone());
            }
        }
        Value::Table(top)
    }

    /// Settings out of nested tables.
    pub fn from_value(value: &Value) -> Result<Self, NotSettings> {
        let mut settings = Self::default();
        let Value::Table(top) = value else {
            return Err(NotSettings::UnknownKey { key: value.to_string() });
        };
        for (key, value) in top {
            match value {
                Value::Table(fields) if Field::is_section(key) => {
                    for (inner, value) in fields {
                        settings.set_named(&format!("{key}.{inner}"), value)?;
                    }
                }
                value => settings.set_named(key, value)?,
            }
        }
        Ok(settings)
    }

    fn set_named(&mut self, name: &str, value: &Value) -> Result<(), NotSettings> {
        let unknown = || NotSettings::UnknownKey { key: name.chars().take(80).collect() };
        let field = Field::from_word(name).ok_or_else(unknown)?;
        Ok(self.set(field, value)?)
    }
}

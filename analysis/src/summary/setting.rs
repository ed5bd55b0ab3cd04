//! The value of one setting of a job: something to tell jobs apart by, and to sort them by.

use std::cmp::Ordering;
use std::fmt;

use domain::ColumnType;

use crate::results::Frame;

/// A setting's value. Numbers sort as numbers; null, for "does not apply", before everything.
#[derive(Clone, Debug)]
pub enum Setting {
    Null,
    Flag(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

impl Setting {
    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Flag(_) => 1,
            Self::Int(_) => 2,
            Self::Float(_) => 3,
            Self::Text(_) => 4,
        }
    }

    /// The values of a column of settings.
    pub(crate) fn column(frame: &Frame, name: &str) -> Vec<Self> {
        fn wrap<T>(values: Vec<Option<T>>, wrap: fn(T) -> Setting) -> Vec<Setting> {
            values.into_iter().map(|value| value.map_or(Setting::Null, wrap)).collect()
        }
        match frame.kind(name) {
            ColumnType::Int32 | ColumnType::Int64 | ColumnType::Timestamp => {
                wrap(frame.ints(name), Self::Int)
            }
            ColumnType::Float64 => wrap(frame.floats(name), Self::Float),
            ColumnType::Boolean => wrap(frame.flags(name), Self::Flag),
            ColumnType::Utf8 => wrap(frame.texts(name), |text: &str| Self::Text(text.to_owned())),
            ColumnType::Histogram => vec![Self::Null; frame.row_count()],
        }
    }
}

impl Ord for Setting {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Flag(a), Self::Flag(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }
}

impl PartialOrd for Setting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Setting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Setting {}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("-"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

//! Why a text is not the canonical form of a job's spec or of a sweep.

use crate::id::BadId;
use crate::json::JsonError;
use crate::settings::{NotSettings, SettingError};
use crate::sweep::Fault;
use crate::value::Value;

/// Why a text is not canonical. Every variant can be met by reading what a stranger sent.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CanonicalError {
    #[error(transparent)]
    Json(#[from] JsonError),
    #[error("written by another version of gradsweep: format {found}, expected {expected}")]
    Format { found: Value, expected: i64 },
    #[error("{place}: expected {expected}")]
    Shape { place: &'static str, expected: &'static str },
    #[error(transparent)]
    Name(#[from] BadId),
    #[error(transparent)]
    Settings(#[from] NotSettings),
    #[error(transparent)]
    Sweep(#[from] Fault),
    #[error("valid, but not in its canonical form")]
    NotCanonical,
}

impl From<SettingError> for CanonicalError {
    fn from(error: SettingError) -> Self {
        Self::Settings(NotSettings::Setting(error))
    }
}

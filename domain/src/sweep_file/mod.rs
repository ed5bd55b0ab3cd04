//! The sweep file: TOML text to a sweep, with errors that name file, line and key.

use std::collections::BTreeMap;

use crate::spec::DataKind;
use crate::sweep::{FileFacts, Sweep};

/// A sweep file that was read and checked as far as is possible without its data files.
#[derive(Clone, Debug)]
pub struct Draft {}

/// A data file that a sweep needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DataPath {
    pub kind: DataKind,
    pub path: String,
}

/// What is wrong with a sweep file.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("bad sweep file")]
pub struct SweepFileError {}

/// Reads a sweep file.
pub fn parse(_text: &str, _file_name: &str) -> Result<Draft, SweepFileError> {
    Err(SweepFileError {})
}

impl Draft {
    /// The data files whose facts [`Self::resolve`] needs.
    pub fn paths(&self) -> Vec<DataPath> {
        Vec::new()
    }
    /// The error for a data file that cannot be read.
    pub fn unreadable(&self, _path: &str, _reason: &str) -> SweepFileError {
        SweepFileError {}
    }
    /// The sweep.
    pub fn resolve(self, _files: &BTreeMap<String, FileFacts>) -> Result<Sweep, SweepFileError> {
        Err(SweepFileError {})
    }
}

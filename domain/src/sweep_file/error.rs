//! What is wrong with a sweep file, line by line.

use std::fmt;

use super::tune::TuneFault;
use crate::axis::AxisError;
use crate::id::BadId;
use crate::settings::Field;
use crate::sweep::Fault;
use crate::value::Value;

/// Problems shown of one file; a person mends a few at a time.
const SHOWN_MAX: usize = 20;

/// Everything found wrong with a sweep file, in the order of its lines. There is at least one problem.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepFileError {
    /// The file as its reader named it.
    pub file: String,
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// Counted from 1.
    pub line: u32,
    pub fault: FileFault,
}

/// What it is.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FileFault {
    #[error("not TOML: {message}")]
    Syntax { message: String },
    #[error("{key}: {message}")]
    Unusable { key: String, message: String },
    #[error("name: missing; expected 1 to 48 of a-z, 0-9 and '-', starting with a letter")]
    NoName,
    #[error("name: found {found} ({}); expected a string", found.kind())]
    NameType { found: Value },
    #[error("name: {0}")]
    Name(BadId),
    #[error("{key}: unknown key{}", known(key, *meant))]
    UnknownKey { key: String, meant: Option<&'static str> },
    #[error("{key}: found {found} ({}); expected {expected}", found.kind())]
    Shape { key: String, found: Value, expected: &'static str },
    #[error("{field}: given twice")]
    GivenTwice { field: Field },
    #[error("{field}: {fault}")]
    Axis { field: Field, fault: AxisError },
    #[error(transparent)]
    Sweep(#[from] Fault),
    #[error(transparent)]
    Tune(#[from] TuneFault),
    #[error(
        "tune: [tune] is not built yet in this version; leave it out and make the tuned field an axis \
         (\"train.step_size\" = [...] under [axes]): the report then shows a tuning curve a cell"
    )]
    TuneNotBuilt,
    #[error("data.path: found \"{path}\"; expected data that can be read: {reason}")]
    Unreadable { path: String, reason: String },
}

/// What to write instead of an unknown key.
fn known(key: &str, meant: Option<&str>) -> String {
    if let Some(meant) = meant {
        return format!("; did you mean {meant}?");
    }
    let section = key.rsplit_once('.').map(|(section, _)| section);
    let of_section = |name: &&str| match section {
        Some(section) => name.rsplit_once('.').is_some_and(|(own, _)| own == section),
        None => !name.contains('.'),
    };
    let mut names: Vec<&str> = Field::written().filter(of_section).collect();
    if section.is_none() {
        names.splice(0..0, super::TOP_LEVEL.iter().copied());
    }
    if names.is_empty() { String::new() } else { format!("; expected one of {}", names.join(", ")) }
}

impl SweepFileError {
    /// The error of `problems`, of which there is at least one.
    pub(super) fn new(file: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.line);
        problems.dedup();
        Self { file: file.to_owned(), problems }
    }
}

/// One line for each problem: `sweeps/x.toml:12: model.widht: unknown key; did you mean model.width?`
impl fmt::Display for SweepFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Problem { line, fault }) in self.problems.iter().take(SHOWN_MAX).enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{}:{line}: {fault}", self.file)?;
        }
        match self.problems.len().saturating_sub(SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "\n{}: {more} more problems", self.file),
        }
    }
}

impl std::error::Error for SweepFileError {}

//! The sweep file: TOML text to a sweep. What is wrong with it is said by file, line and key, with what was found and
//! what would be accepted.
//!
//! Two steps, because this crate reads no files: [`parse`] checks all that the text can tell and says which data files
//! it needs; [`Draft::resolve`] takes what is in them.

mod error;
mod reader;
mod tree;
mod tune;

use std::collections::BTreeMap;

pub use error::{FileFault, Problem, SweepFileError};
pub use tune::TuneFault;

use crate::settings::Field;
use crate::spec::{DataKind, Facts, FileFacts};
use crate::sweep::{Fault, Place, Plan, Sweep};
use reader::{Lines, Reader};

/// Keys of the file itself, beside sections and seeds.
const TOP_LEVEL: &[&str] = &["name", "axes", "zip", "exclude", "tune"];

/// A sweep file that was read, and checked as far as is possible without its data files.
#[derive(Clone, Debug)]
pub struct Draft {
    file: String,
    plan: Plan,
    lines: Lines,
}

/// Data that a sweep needs, as its file names them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DataPath {
    pub kind: DataKind,
    pub path: String,
}

/// Reads a sweep file; `file_name` is for its errors.
///
/// # Errors
/// Every problem that could be found. Points are validated only once all else is right.
pub fn parse(text: &str, file_name: &str) -> Result<Draft, SweepFileError> {
    let entries = tree::read(text).map_err(|error| {
        let tree::TreeError { line, key, message } = error;
        let fault = match key.as_str() {
            "" => FileFault::Syntax { message },
            _ => FileFault::Unusable { key, message },
        };
        SweepFileError::new(file_name, vec![Problem { line, fault }])
    })?;
    let mut reader = Reader::default();
    reader.document(&entries);
    let Some(plan) = reader.plan() else {
        return Err(SweepFileError::new(file_name, reader.problems));
    };
    let draft = Draft { file: file_name.to_owned(), plan, lines: reader.lines };
    match draft.plan.check(Facts::Pending) {
        Ok(_) => Ok(draft),
        Err(faults) => Err(draft.error(faults)),
    }
}

impl Draft {
    /// The data whose facts [`Self::resolve`] needs: none for generated data.
    pub fn paths(&self) -> Vec<DataPath> {
        self.plan.paths().into_iter().map(|(kind, path)| DataPath { kind, path }).collect()
    }

    /// The error for data that cannot be read.
    pub fn unreadable(&self, path: &str, reason: &str) -> SweepFileError {
        let fault = FileFault::Unreadable { path: path.to_owned(), reason: reason.to_owned() };
        let axis = self.plan.axes.iter().chain(self.plan.zips.iter().flatten());
        let mut axis = axis.filter(|axis| axis.field == Field::DataPath);
        let value =
            axis.find_map(|axis| axis.values.iter().position(|v| v.as_text() == Some(path)));
        let place =
            value.map_or(Place::Field(Field::DataPath), |v| Place::Value(Field::DataPath, v));
        SweepFileError::new(&self.file, vec![Problem { line: self.lines.of(place), fault }])
    }

    /// The sweep, given the facts of each of [`Self::paths`].
    ///
    /// # Errors
    /// What does not fit the data: more samples than there are, another dimension, outputs other than classes.
    pub fn resolve(self, files: &BTreeMap<String, FileFacts>) -> Result<Sweep, SweepFileError> {
        let named = self.plan.clone().name_by_content(files);
        let resolved = named.map_err(|fault| self.error(vec![fault]))?;
        Sweep::new(resolved).map_err(|faults| self.error(faults))
    }

    fn error(&self, faults: Vec<(Place, Fault)>) -> SweepFileError {
        let problem = |(place, fault): (Place, Fault)| Problem {
            line: self.lines.of(place),
            fault: fault.into(),
        };
        SweepFileError::new(&self.file, faults.into_iter().map(problem).collect())
    }
}

//! A sweep: a named grid of jobs, resolved and validated, whose jobs are expanded on demand.

use crate::id::{Digest, JobId, SweepId, SweepName};
use crate::spec::{JobSpec, RunPolicy};
use crate::value::Value;

/// One revision of a sweep. Every point is validated.
#[derive(Clone, Debug)]
pub struct Sweep {
    name: SweepName,
    run: RunPolicy,
}

/// What a data file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFacts {
    pub digest: Digest,
    pub samples: u32,
    pub test_samples: u32,
    pub dim: u32,
    pub classes: u32,
}

/// One choice of value on each axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    pub values: Vec<(&'static str, Value)>,
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.values.len())
    }
}

/// A field whose values in two revisions have nothing in common.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    pub field: &'static str,
    pub old: Vec<Value>,
    pub new: Vec<Value>,
}

/// Why a text is not a canonical sweep or spec.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CanonicalError {
    #[error("not the canonical form")]
    NotCanonical,
}

impl Sweep {
    /// The lineage.
    pub fn name(&self) -> &SweepName {
        &self.name
    }
    /// The identity of this revision.
    pub fn id(&self) -> SweepId {
        SweepId::of(&self.canonical())
    }
    /// Canonical JSON.
    pub fn canonical(&self) -> String {
        String::new()
    }
    /// Reads canonical JSON back.
    pub fn from_canonical(_text: &str) -> Result<Self, CanonicalError> {
        Err(CanonicalError::NotCanonical)
    }
    /// How its jobs are run.
    pub fn run(&self) -> &RunPolicy {
        &self.run
    }
    /// Points after exclusion.
    pub fn len(&self) -> u64 {
        0
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The job of a point.
    pub fn job(&self, _index: u64) -> JobSpec {
        panic!("not yet")
    }
    /// The point, for display.
    pub fn point(&self, _index: u64) -> Point {
        Point { values: Vec::new() }
    }
    /// The point without its seeds.
    pub fn cell(&self, _index: u64) -> Point {
        Point { values: Vec::new() }
    }
    /// Each distinct job, with the index of its first point.
    pub fn jobs(&self) -> impl Iterator<Item = (u64, JobId)> + '_ {
        std::iter::empty()
    }
    /// Where the client read the data of this digest: a hint.
    pub fn data_path(&self, _digest: Digest) -> Option<&str> {
        None
    }
    /// Fields that have no value in common with `older`.
    pub fn changed_from(&self, _older: &Self) -> Vec<FieldChange> {
        Vec::new()
    }
}

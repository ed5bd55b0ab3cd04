//! The machine as plain data, so that a journal can begin with it instead of with everything that led to it.
//!
//! A job that no worker ever tried costs its id and its place here.

use std::collections::BTreeMap;

use domain::{AttemptNo, JobId, SweepName};
use proto::message::{Checkpoint, Kept};

use super::job::{Job, Origin, RowCounts, State};
use super::lineage::{FailureRecord, JobNo, Lineage, Plan};
use super::{HandedIn, Inconsistent, Machine};

/// Everything that a machine remembers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    pub lineages: Vec<LineageSnapshot>,
}

/// Everything about one sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct LineageSnapshot {
    pub sweep: SweepName,
    /// Oldest first.
    pub revisions: Vec<HandedIn>,
    /// Every job by number: its id, and where it comes from.
    pub ids: Vec<(JobId, Origin)>,
    /// The jobs that the current revision asks for.
    pub members: Vec<JobNo>,
    /// The jobs that are not as they were when they were asked for, by number.
    pub jobs: Vec<JobSnapshot>,
    pub unsealed: Vec<JobNo>,
    pub sealed_rows: u64,
    pub failures: Vec<FailureRecord>,
    pub last_words: Vec<(JobNo, String)>,
    pub plan: Option<Plan>,
    pub segments: u64,
    pub engines: BTreeMap<String, u64>,
    pub failed_attempts: u64,
    pub paused: bool,
}

/// What a job has been through.
#[derive(Clone, Debug, PartialEq)]
pub struct JobSnapshot {
    pub number: JobNo,
    pub state: State,
    pub last: AttemptNo,
    pub failures: u32,
    pub losses: u32,
    pub rows: RowCounts,
    pub checkpoint: Option<Box<Checkpoint>>,
    pub earlier: Option<Box<Checkpoint>>,
    pub kept: Vec<Kept>,
}

impl JobSnapshot {
    pub(super) fn of(number: JobNo, job: &Job) -> Option<Self> {
        let Job {
            id,
            origin,
            state,
            last,
            failures,
            losses,
            rows,
            checkpoint,
            earlier,
            kept,
            queued_at,
        } = job;
        let is_new = *job == Job::new(*id, *origin, *queued_at);
        (!is_new).then(|| Self {
            number,
            state: *state,
            last: *last,
            failures: *failures,
            losses: *losses,
            rows: *rows,
            checkpoint: checkpoint.clone(),
            earlier: earlier.clone(),
            kept: kept.clone(),
        })
    }

    pub(super) fn put(self, job: &mut Job) {
        let Self { number: _, state, last, failures, losses, rows, checkpoint, earlier, kept } =
            self;
        *job =
            Job { state, last, failures, losses, rows, checkpoint, earlier, kept, ..job.clone() };
    }
}

impl Machine {
    /// All of it as plain data.
    pub fn snapshot(&self) -> Snapshot {
        let lineages = self.lineages.iter().map(|(sweep, lineage)| lineage.snapshot(sweep));
        Snapshot { lineages: lineages.collect() }
    }

    /// The machine of a snapshot.
    ///
    /// # Errors
    /// [`Inconsistent`] where the snapshot speaks of jobs that its sweeps do not have.
    pub fn restore(snapshot: Snapshot) -> Result<Self, Inconsistent> {
        let mut machine = Self::default();
        for lineage in snapshot.lineages {
            let sweep = lineage.sweep.clone();
            machine.lineages.insert(sweep, Lineage::restore(lineage)?);
        }
        Ok(machine)
    }
}

/// A snapshot that names a job which its sweep does not have.
pub(super) fn unknown(sweep: &SweepName) -> Inconsistent {
    Inconsistent::UnknownJob { sweep: sweep.clone(), job: JobId([0; 16]) }
}

impl Lineage {
    /// Whether all numbers are of jobs that are there.
    pub(super) fn knows(&self, numbers: impl IntoIterator<Item = JobNo>) -> bool {
        numbers.into_iter().all(|number| (number as usize) < self.all_jobs().len())
    }
}

//! Events as the journal stores them.

use domain::{AttemptNo, Digest, FailureReport, JobId, SweepName, Timestamp, WorkerId};
use proto::message::{Checkpoint, Kept};
use serde::{Deserialize, Serialize};

use super::{BadRecord, class, named, number_of, table_number, table_of};
use crate::machine::{Change, Event, Failed, HandedIn, Submitted};

#[derive(Serialize, Deserialize)]
pub(super) enum StoredEvent {
    Submitted { revision: StoredRevision, jobs: Vec<[u8; 16]> },
    Job { sweep: u32, job: [u8; 16], change: StoredChange },
    SegmentPlanned { sweep: u32, segment: String, jobs: Vec<[u8; 16]>, failures: u64 },
    SegmentSealed { sweep: u32, segment: String },
    Paused { sweep: u32, paused: bool },
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredRevision {
    canonical: String,
    file_name: String,
    file_text: String,
    at: i64,
}

#[derive(Serialize, Deserialize)]
pub(super) enum StoredChange {
    Leased { attempt: u32, worker: [u8; 16], resume: bool },
    Rows { attempt: u32, table: u8, next_row: u64 },
    Checkpointed { attempt: u32, checkpoint: StoredCheckpoint },
    Committed { attempt: u32, diverged: bool, engine: String },
    Failed(StoredFailed),
    Released { attempt: u32 },
    Cancelled,
    Requeued,
    Weights { attempt: u32, kept: StoredKept },
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredKept {
    step: u64,
    digest: [u8; 32],
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredCheckpoint {
    digest: [u8; 32],
    step: u64,
    steps_rows: u64,
    confusion_rows: u64,
    engine: String,
    instruction_set: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredFailed {
    attempt: u32,
    worker: [u8; 16],
    host: String,
    at: i64,
    class: String,
    exit_code: Option<i32>,
    signal: Option<i32>,
    message: String,
    log_tail: String,
    again: Option<i64>,
}

impl StoredEvent {
    pub(super) fn of(event: &Event, sweeps: &mut Vec<String>) -> Self {
        match event {
            Event::Submitted(Submitted { revision, jobs }) => Self::Submitted {
                revision: StoredRevision::of(revision),
                jobs: jobs.iter().map(|job| job.0).collect(),
            },
            Event::Job { sweep, job, change } => Self::Job {
                sweep: number_of(sweep, sweeps),
                job: job.0,
                change: StoredChange::of(change),
            },
            Event::SegmentPlanned { sweep, segment, jobs, failures } => Self::SegmentPlanned {
                sweep: number_of(sweep, sweeps),
                segment: segment.clone(),
                jobs: jobs.iter().map(|job| job.0).collect(),
                failures: *failures,
            },
            Event::SegmentSealed { sweep, segment } => {
                Self::SegmentSealed { sweep: number_of(sweep, sweeps), segment: segment.clone() }
            }
            Event::Paused { sweep, paused } => {
                Self::Paused { sweep: number_of(sweep, sweeps), paused: *paused }
            }
        }
    }

    pub(super) fn into_event(self, sweeps: &[SweepName]) -> Result<Event, BadRecord> {
        Ok(match self {
            Self::Submitted { revision, jobs } => Event::Submitted(Submitted {
                revision: revision.into_revision(),
                jobs: jobs.into_iter().map(JobId).collect(),
            }),
            Self::Job { sweep, job, change } => Event::Job {
                sweep: named(sweeps, sweep)?,
                job: JobId(job),
                change: change.into_change()?,
            },
            Self::SegmentPlanned { sweep, segment, jobs, failures } => Event::SegmentPlanned {
                sweep: named(sweeps, sweep)?,
                segment,
                jobs: jobs.into_iter().map(JobId).collect(),
                failures,
            },
            Self::SegmentSealed { sweep, segment } => {
                Event::SegmentSealed { sweep: named(sweeps, sweep)?, segment }
            }
            Self::Paused { sweep, paused } => {
                Event::Paused { sweep: named(sweeps, sweep)?, paused }
            }
        })
    }
}

impl StoredRevision {
    pub(super) fn of(revision: &HandedIn) -> Self {
        let HandedIn { canonical, file_name, file_text, at } = revision.clone();
        Self { canonical, file_name, file_text, at: at.as_micros() }
    }

    pub(super) fn into_revision(self) -> HandedIn {
        let Self { canonical, file_name, file_text, at } = self;
        HandedIn { canonical, file_name, file_text, at: Timestamp::from_micros(at) }
    }
}

impl StoredCheckpoint {
    pub(super) fn of(checkpoint: &Checkpoint) -> Self {
        Self {
            digest: checkpoint.digest.0,
            step: checkpoint.step,
            steps_rows: checkpoint.steps_rows,
            confusion_rows: checkpoint.confusion_rows,
            engine: checkpoint.engine_revision.clone(),
            instruction_set: checkpoint.instruction_set.clone(),
        }
    }

    pub(super) fn boxed(self) -> Box<Checkpoint> {
        Box::new(self.into_checkpoint())
    }

    pub(super) fn into_checkpoint(self) -> Checkpoint {
        Checkpoint {
            digest: Digest(self.digest),
            step: self.step,
            steps_rows: self.steps_rows,
            confusion_rows: self.confusion_rows,
            engine_revision: self.engine,
            instruction_set: self.instruction_set,
        }
    }
}

impl StoredKept {
    pub(super) fn of(kept: &Kept) -> Self {
        Self { step: kept.step, digest: kept.digest.0 }
    }

    pub(super) fn into_kept(self) -> Kept {
        Kept { step: self.step, digest: Digest(self.digest) }
    }
}

impl StoredFailed {
    pub(super) fn of(failed: &Failed) -> Self {
        Self {
            attempt: failed.attempt.0,
            worker: failed.worker.0,
            host: failed.host.clone(),
            at: failed.at.as_micros(),
            class: failed.report.class.as_str().to_owned(),
            exit_code: failed.report.exit_code,
            signal: failed.report.signal,
            message: failed.report.message.clone(),
            log_tail: failed.report.log_tail.clone(),
            again: failed.again.map(Timestamp::as_micros),
        }
    }

    pub(super) fn into_failed(self) -> Result<Failed, BadRecord> {
        Ok(Failed {
            attempt: AttemptNo(self.attempt),
            worker: WorkerId(self.worker),
            host: self.host,
            at: Timestamp::from_micros(self.at),
            report: FailureReport {
                class: class(&self.class)?,
                exit_code: self.exit_code,
                signal: self.signal,
                message: self.message,
                log_tail: self.log_tail,
            },
            again: self.again.map(Timestamp::from_micros),
        })
    }
}

impl StoredChange {
    pub(super) fn of(change: &Change) -> Self {
        match change {
            Change::Leased { attempt, worker, resume } => {
                Self::Leased { attempt: attempt.0, worker: worker.0, resume: *resume }
            }
            Change::Rows { attempt, table, next_row } => {
                let table = table_number(*table);
                Self::Rows { attempt: attempt.0, table, next_row: *next_row }
            }
            Change::Checkpointed { attempt, checkpoint } => Self::Checkpointed {
                attempt: attempt.0,
                checkpoint: StoredCheckpoint::of(checkpoint),
            },
            Change::Committed { attempt, diverged, engine } => {
                Self::Committed { attempt: attempt.0, diverged: *diverged, engine: engine.clone() }
            }
            Change::Failed(failed) => Self::Failed(StoredFailed::of(failed)),
            Change::Released { attempt } => Self::Released { attempt: attempt.0 },
            Change::Cancelled => Self::Cancelled,
            Change::Requeued => Self::Requeued,
            Change::Weights { attempt, kept } => {
                Self::Weights { attempt: attempt.0, kept: StoredKept::of(kept) }
            }
        }
    }

    pub(super) fn into_change(self) -> Result<Change, BadRecord> {
        Ok(match self {
            Self::Leased { attempt, worker, resume } => {
                Change::Leased { attempt: AttemptNo(attempt), worker: WorkerId(worker), resume }
            }
            Self::Rows { attempt, table, next_row } => {
                Change::Rows { attempt: AttemptNo(attempt), table: table_of(table)?, next_row }
            }
            Self::Checkpointed { attempt, checkpoint } => Change::Checkpointed {
                attempt: AttemptNo(attempt),
                checkpoint: checkpoint.into_checkpoint(),
            },
            Self::Committed { attempt, diverged, engine } => {
                Change::Committed { attempt: AttemptNo(attempt), diverged, engine }
            }
            Self::Failed(failed) => Change::Failed(failed.into_failed()?),
            Self::Released { attempt } => Change::Released { attempt: AttemptNo(attempt) },
            Self::Cancelled => Change::Cancelled,
            Self::Requeued => Change::Requeued,
            Self::Weights { attempt, kept } => {
                Change::Weights { attempt: AttemptNo(attempt), kept: kept.into_kept() }
            }
        })
    }
}

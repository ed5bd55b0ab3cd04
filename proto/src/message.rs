//! The messages of both services in domain types: what the rest of gradsweep sends and receives.

use std::time::Duration;

use domain::spec::KeepWeights;
use domain::{
    AttemptNo, Digest, Epoch, FailureClass, FailureReport, JobId, JournalId, SweepId, SweepName,
    Table, Timestamp, WorkerId,
};

/// A job and one try of it: what every message about a lease carries.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt {
    pub sweep: SweepName,
    pub job: JobId,
    pub number: AttemptNo,
}

/// What a worker says to the coordinator.
#[derive(Clone, Debug, PartialEq)]
pub enum FromWorker {
    Hello(Hello),
    /// How many more grants it can take beyond the `taken` that it has received in this session: what is on its way counts
    /// against it. Replaces what it said before.
    Capacity {
        free_slots: u32,
        taken: u64,
    },
    /// It is alive, and so are these attempts.
    Heartbeat(Vec<Progress>),
    Rows(RowBatch),
    /// A checkpoint that the coordinator has as a blob.
    Checkpoint(Attempt, Checkpoint),
    /// Weights to keep that the coordinator has as a blob, step after step.
    Weights(Attempt, Kept),
    Outcome(Attempt, Outcome),
    /// It leaves in good order and holds nothing any more.
    Goodbye,
}

/// What the coordinator says to a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum ToWorker {
    Welcome {
        journal: JournalId,
        epoch: Epoch,
        lease: Duration,
        heartbeat: Duration,
    },
    Grant(Grant),
    /// Every row of `table` before `next_row` is durable.
    Rows {
        attempt: Attempt,
        table: Table,
        next_row: u64,
    },
    /// The outcome is settled; `refusal` says why it was not accepted.
    Outcome {
        attempt: Attempt,
        refusal: Option<String>,
    },
    /// The attempt is no longer the worker's: stop it.
    Revoke {
        attempt: Attempt,
        reason: String,
    },
    /// Hand work back; no more grants come.
    Drain {
        reason: String,
    },
    Checkpoint {
        attempt: Attempt,
        step: u64,
    },
    /// The weights at `step` are durable, and so are those before.
    Weights {
        attempt: Attempt,
        step: u64,
    },
    /// A heartbeat arrived.
    Heard,
}

/// A worker introduces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    pub worker: WorkerId,
    pub protocol: u32,
    pub version: String,
    pub engine_revision: String,
    pub instruction_set: String,
    pub host: String,
    pub process: u32,
    pub slots: u32,
    pub cores: u32,
    pub memory_bytes: u64,
    /// Attempts it still holds from before a lost connection.
    pub held: Vec<Attempt>,
    /// Until its own time limit, if it knows one.
    pub time_left: Option<Duration>,
}

/// The right to run one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub attempt: Attempt,
    /// Canonical JSON of the job's spec.
    pub spec: String,
    /// The checkpoint to go on from; `None`: from step 0.
    pub resume: Option<Checkpoint>,
    pub timeout: Option<Duration>,
    /// How often to store a checkpoint.
    pub checkpoint: Duration,
    pub memory_bytes: u64,
    /// Where the submitter's data set lay: a hint.
    pub data_path: Option<String>,
    /// How many threads the job is to use, from 1 to [`domain::spec::THREADS_MAX`].
    pub threads: u32,
    pub keep_weights: KeepWeights,
}

/// A stored checkpoint, and what the rows before it come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub digest: Digest,
    pub step: u64,
    pub steps_rows: u64,
    pub confusion_rows: u64,
    pub engine_revision: String,
    pub instruction_set: String,
}

/// Weights at a measured step that are to be kept with the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    pub step: u64,
    /// Of the blob that holds them.
    pub digest: Digest,
}

/// Numbered rows of one table of one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowBatch {
    pub attempt: Attempt,
    pub table: Table,
    pub first_row: u64,
    pub row_count: u32,
    /// See [`crate::rows`].
    pub cells: Vec<u8>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A result, completed or diverged, with the number of rows of each table, of steps with kept weights, and the `jobs`
    /// row.
    Result {
        steps_rows: u64,
        confusion_rows: u64,
        weights: u64,
        cells: Vec<u8>,
    },
    Failure(FailureReport),
    /// Handed back unfinished; costs the job nothing.
    Released,
}

/// How far a running attempt is, and its latest measurements.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    pub attempt: Attempt,
    pub step: u64,
    pub steps: u64,
    pub risk: Option<f64>,
    pub min_cos: Option<f64>,
    pub rms_cos: Option<f64>,
}

/// A sweep handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Canonical JSON of the sweep.
    pub sweep: String,
    pub file_name: String,
    pub file_text: String,
    /// Accept a revision that keeps nothing because base settings changed.
    pub revise: bool,
    /// Refuse to keep results of another engine revision.
    pub strict: bool,
    /// The numerical engine of the program that submits.
    pub engine_revision: String,
}

/// What became of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    pub sweep: SweepName,
    pub sweep_id: SweepId,
    pub kept: u64,
    pub new: u64,
    /// Jobs of earlier revisions that this one does not ask for.
    pub orphaned: u64,
    /// Kept jobs that are settled.
    pub settled: u64,
    /// Kept jobs that were abandoned or cancelled, and are queued again.
    pub again: u64,
    /// Data sets that the coordinator lacks. If there are any, nothing was taken in: put them, then submit again.
    pub missing_blobs: Vec<Digest>,
    /// Engine revisions among the kept results other than the submitter's.
    pub other_engines: Vec<String>,
    /// The results folder.
    pub results: String,
}

/// Jobs of a sweep's current revision by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobCounts {
    pub queued: u64,
    pub leased: u64,
    /// Committed, the diverged ones included.
    pub committed: u64,
    pub diverged: u64,
    pub abandoned: u64,
    pub cancelled: u64,
    /// Attempts that ended without a result.
    pub failed_attempts: u64,
}

impl JobCounts {
    /// Jobs that will not run again.
    pub fn settled(&self) -> u64 {
        self.committed + self.abandoned + self.cancelled
    }
}

/// Where a sweep stands.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepProgress {
    pub sweep: SweepName,
    pub sweep_id: SweepId,
    pub total: u64,
    pub counts: JobCounts,
    pub running: Vec<RunningJob>,
    /// Committed since the message before, the latest last; at most 16.
    pub finished: Vec<FinishedJob>,
    /// Every committed row is in a visible file.
    pub sealed: bool,
    pub workers: u32,
    pub results: String,
    /// Why nothing moves, if the coordinator knows; else empty.
    pub trouble: String,
    /// No job is given out until somebody lets it go on.
    pub paused: bool,
}

impl SweepProgress {
    /// Whether nothing is left to do, writing included.
    pub fn is_over(&self) -> bool {
        self.sealed && self.counts.settled() == self.total
    }
}

/// Which jobs to queue again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryQuery {
    /// This one, abandoned or cancelled.
    Job(JobId),
    /// The abandoned ones, or those whose last failure was of a class.
    Failed(Option<FailureClass>),
}

/// A leased job.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningJob {
    pub progress: Progress,
    /// The point of its grid, as `width=64 depth=2 seed=0`.
    pub point: String,
    pub worker: String,
}

/// A committed job.
#[derive(Clone, Debug, PartialEq)]
pub struct FinishedJob {
    pub job: JobId,
    pub point: String,
    /// `completed` or `diverged`.
    pub status: String,
    pub final_risk: Option<f64>,
}

/// One job in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobLine {
    pub job: JobId,
    pub point: String,
    pub state: String,
    pub attempt: AttemptNo,
    pub worker: String,
    pub note: String,
}

/// One page of jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobsPage {
    pub jobs: Vec<JobLine>,
    /// Jobs in all that the request names.
    pub total: u64,
}

/// Which jobs to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobsQuery {
    pub sweep: SweepName,
    /// Only jobs in this state.
    pub state: Option<String>,
    pub offset: u64,
    pub limit: u32,
}

/// One worker in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerLine {
    pub worker: WorkerId,
    pub host: String,
    pub process: u32,
    pub slots: u32,
    pub leases: u32,
    pub state: String,
    pub version: String,
    pub instruction_set: String,
    pub memory_bytes: u64,
}

/// Some durable rows of a job that are in no segment yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveRows {
    pub job: JobId,
    /// Canonical.
    pub spec: String,
    /// The revision that asked for it first.
    pub sweep_id: SweepId,
    /// The latest.
    pub attempt: AttemptNo,
    pub queued_at: Timestamp,
    pub table: Table,
    /// By row number.
    pub batches: Vec<LiveBatch>,
}

/// Rows as they were told together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveBatch {
    pub first_row: u64,
    pub row_count: u32,
    /// See [`crate::rows`].
    pub cells: Vec<u8>,
}

//! One job's life: queued, leased to a worker, then committed, abandoned or cancelled.
//!
//! ```text
//!             grant                  commit
//! Queued ───────────────▶ Leased ────────────────▶ Committed
//!  ▲  ▲                    │  │
//!  │  └──── release ───────┘  │            cancel (from Queued, Leased)
//!  └─ budget left ── fail, ───┤           ────────▶ Cancelled ─┐ submitted
//!                    expire   └─ none left ───────▶ Abandoned ─┴─ again ──▶ Queued
//! ```
//!
//! A deadline says when a lease may be taken away; the attempt number says who may add rows and commit. A worker that
//! outlives its lease is harmless: its attempt is fenced, and what it sends is refused.
//!
//! Failures of the job itself and lost leases have budgets of their own; a job that a trial refuses is given up at once.
//! Handing a lease back costs nothing, and so does a checkpoint that cannot be read while there is one to drop. A job whose
//! workers were lost twice in a row is a suspect: it may be what kills them. It is tried once more, on a worker that does
//! nothing else, so that no other job is lost with it, and so that the third loss is evidence against this one. Nothing
//! here reads a clock, a socket or a file: [`Job::decide`] says what an input would change, [`Job::apply`] changes it,
//! and a journal replayed through `apply` rebuilds the job.

use std::time::Duration;

use domain::spec::KeepWeights;
use domain::{AttemptNo, Digest, FailureClass, FailureReport, JobId, Table, Timestamp, WorkerId};
use proto::message::{Checkpoint, Kept};

/// One unit of scheduling, and all that the coordinator must remember about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub id: JobId,
    /// Revision and grid index that asked for it first: its spec is expanded from there on demand.
    pub origin: Origin,
    pub state: State,
    /// The latest attempt, running or over.
    pub last: AttemptNo,
    /// Attempts that failed of their own since it was last submitted.
    pub failures: u32,
    /// Attempts in a row whose lease ran out without a new checkpoint, since it was last submitted.
    pub losses: u32,
    /// Rows of this chain of attempts that are durable.
    pub rows: RowCounts,
    /// Where the next attempt may go on from.
    pub checkpoint: Option<Box<Checkpoint>>,
    /// The checkpoint before that: where it goes on from if the latest cannot be read.
    pub earlier: Option<Box<Checkpoint>>,
    /// Weights of this chain of attempts that are kept, by step: in blobs until its segment is sealed, then in a file.
    pub kept: Vec<Kept>,
    /// When it was first asked for.
    pub queued_at: Timestamp,
}

/// A revision of the job's lineage, and the index of its point there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    pub revision: u32,
    pub index: u64,
}

/// Rows of the two tables that a running job fills.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowCounts {
    pub steps: u64,
    pub confusion: u64,
}

impl RowCounts {
    /// The count of `table`; `None` for tables that a running job does not fill.
    pub fn of(&self, table: Table) -> Option<u64> {
        match table {
            Table::Steps => Some(self.steps),
            Table::Confusion => Some(self.confusion),
            Table::Jobs | Table::Failures | Table::WeightsIndex => None,
        }
    }

    fn set(&mut self, table: Table, next_row: u64) {
        match table {
            Table::Steps => self.steps = next_row,
            Table::Confusion => self.confusion = next_row,
            Table::Jobs | Table::Failures | Table::WeightsIndex => {}
        }
    }
}

/// Where a job is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Queued { not_before: Timestamp },
    Leased { worker: WorkerId },
    Committed { diverged: bool },
    Abandoned { class: FailureClass },
    Cancelled,
}

impl State {
    /// The word in listings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued { .. } => "queued",
            Self::Leased { .. } => "running",
            Self::Committed { diverged: false } => "completed",
            Self::Committed { diverged: true } => "diverged",
            Self::Abandoned { .. } => "abandoned",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the job will not run again by itself.
    pub fn is_settled(self) -> bool {
        match self {
            Self::Queued { .. } | Self::Leased { .. } => false,
            Self::Committed { .. } | Self::Abandoned { .. } | Self::Cancelled => true,
        }
    }
}

/// How often a job is tried, and when again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Failures of its own after which a job is abandoned.
    pub failures_max: u32,
    /// Lost leases in a row after which a job is abandoned: it is what kills its workers.
    pub losses_max: u32,
    /// Wait after the first failure; doubled for each further one.
    pub backoff: Duration,
}

impl RetryPolicy {
    /// Longest wait before a failed job is tried again.
    pub const BACKOFF_MAX: Duration = Duration::from_secs(60);
    /// Wait after the first failure.
    pub const BACKOFF: Duration = Duration::from_secs(1);

    /// Lost leases in a row, without a new checkpoint between, after which a job is abandoned.
    pub const LOSSES_MAX: u32 = 3;

    /// The policy of a sweep that allows `attempts` failures a job.
    pub fn of_attempts(attempts: u32) -> Self {
        let failures_max = attempts.max(1);
        Self { failures_max, losses_max: Self::LOSSES_MAX, backoff: Self::BACKOFF }
    }

    /// The earliest time at which a wait may have begun that ends at `end`.
    pub fn waited_from(end: Timestamp) -> Timestamp {
        Timestamp::ZERO + (end - (Timestamp::ZERO + Self::BACKOFF_MAX))
    }

    fn wait_after(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        self.backoff.saturating_mul(1 << doublings).min(Self::BACKOFF_MAX)
    }
}

/// What a worker, a person or the passing of time asks of a job.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// `resume`: whether the worker can go on from the job's checkpoint.
    Grant {
        worker: WorkerId,
        resume: bool,
    },
    Rows {
        attempt: AttemptNo,
        table: Table,
        first_row: u64,
        row_count: u64,
    },
    Checkpoint {
        attempt: AttemptNo,
        checkpoint: Checkpoint,
    },
    Weights {
        attempt: AttemptNo,
        kept: Kept,
    },
    Commit {
        attempt: AttemptNo,
        rows: RowCounts,
        weights: u64,
        diverged: bool,
        engine: String,
    },
    Fail {
        attempt: AttemptNo,
        host: String,
        report: FailureReport,
    },
    Release {
        attempt: AttemptNo,
    },
    /// The lease ran out. Whoever keeps the deadlines asks this, and only then.
    Expire {
        host: String,
    },
    Cancel,
    /// The job is asked for again after it was abandoned or cancelled.
    Resubmit,
}

/// A durable fact about a job. The journal stores these, so a variant is never changed, only added.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// `resume`: rows and checkpoint so far stay; otherwise both are dropped.
    Leased {
        attempt: AttemptNo,
        worker: WorkerId,
        resume: bool,
    },
    Rows {
        attempt: AttemptNo,
        table: Table,
        next_row: u64,
    },
    Checkpointed {
        attempt: AttemptNo,
        checkpoint: Checkpoint,
    },
    Committed {
        attempt: AttemptNo,
        diverged: bool,
        engine: String,
    },
    Failed(Failed),
    Released {
        attempt: AttemptNo,
    },
    Cancelled,
    Requeued,
    Weights {
        attempt: AttemptNo,
        kept: Kept,
    },
}

/// An attempt that ended without a result, and what follows for its job.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    pub attempt: AttemptNo,
    pub worker: WorkerId,
    pub host: String,
    pub at: Timestamp,
    pub report: FailureReport,
    /// When the job may be tried again; `None`: it is abandoned.
    pub again: Option<Timestamp>,
}

/// Why an input changes nothing: an answer for the caller, not a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("nothing to do until {until}")]
    TooEarly { until: Timestamp },
    #[error("the job is held by attempt {by}")]
    Held { by: AttemptNo },
    #[error("attempt {attempt} no longer holds the job")]
    Fenced { attempt: AttemptNo },
    #[error("the job is settled")]
    Settled,
    #[error("row {expected} is the next, not row {found}")]
    OutOfTurn { expected: u64, found: u64 },
    #[error("{announced} rows are announced, {stored} are stored")]
    Incomplete { announced: u64, stored: u64 },
    #[error("the result announces weights of {announced} steps, {stored} are stored")]
    WeightsMissing { announced: u64, stored: u64 },
    #[error("weights at step {step} come out of turn")]
    WeightsOutOfTurn { step: u64 },
    #[error("rows of table {table} do not come in batches")]
    WrongTable { table: &'static str },
}

/// A change that cannot follow the state before it: the journal is damaged.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("change {change:?} cannot follow this job's history (state {state:?}, attempt {last})")]
pub struct OutOfOrder {
    pub change: Box<Change>,
    pub state: State,
    pub last: AttemptNo,
}

impl Job {
    /// A job that no worker has tried.
    pub fn new(id: JobId, origin: Origin, queued_at: Timestamp) -> Self {
        Self {
            id,
            origin,
            state: State::Queued { not_before: Timestamp::ZERO },
            last: AttemptNo::NONE,
            failures: 0,
            losses: 0,
            rows: RowCounts::default(),
            checkpoint: None,
            earlier: None,
            kept: Vec::new(),
            queued_at,
        }
    }

    /// Rows of all tables that its result comes to.
    pub fn row_total(&self) -> u64 {
        self.rows.steps + self.rows.confusion + 1
    }

    /// Whether it may be what its workers die of: it runs only where no other job can be lost with it.
    pub fn is_suspect(&self) -> bool {
        self.losses + 1 >= RetryPolicy::LOSSES_MAX
    }

    /// The blobs that it needs: the checkpoints that an attempt may go on from, and kept weights that are in no file yet.
    pub fn blobs(&self) -> impl Iterator<Item = Digest> {
        let checkpoints = [&self.checkpoint, &self.earlier].into_iter().flatten();
        checkpoints.map(|c| c.digest).chain(self.kept.iter().map(|kept| kept.digest))
    }

    /// Whether an attempt that keeps weights as `keep` says may go on from its checkpoint: all that such an attempt would have
    /// kept before must have been kept.
    pub fn has_kept_as(&self, keep: KeepWeights) -> bool {
        let Some(checkpoint) = &self.checkpoint else { return false };
        self.kept_until(checkpoint.step) as u64 == keep.kept_by(checkpoint.steps_rows)
    }

    /// How many steps with kept weights there are up to this one.
    fn kept_until(&self, step: u64) -> usize {
        self.kept.partition_point(|kept| kept.step <= step)
    }

    /// Whether `worker` holds `attempt` of this job now.
    pub fn is_held_by(&self, worker: WorkerId, attempt: AttemptNo) -> bool {
        self.state == State::Leased { worker } && self.last == attempt
    }

    /// What `input` would change at `now`; `None` where it already holds (a repeated request).
    pub fn decide(
        &self,
        now: Timestamp,
        policy: &RetryPolicy,
        input: Input,
    ) -> Result<Option<Change>, Refusal> {
        match self.state {
            State::Queued { not_before } => self.decide_queued(now, not_before, input),
            State::Leased { worker } => self.decide_leased(now, policy, worker, input),
            State::Committed { .. } | State::Abandoned { .. } | State::Cancelled => {
                self.decide_settled(input)
            }
        }
    }

    fn decide_queued(
        &self,
        now: Timestamp,
        not_before: Timestamp,
        input: Input,
    ) -> Result<Option<Change>, Refusal> {
        match input {
            Input::Grant { .. } if now < not_before => Err(Refusal::TooEarly { until: not_before }),
            Input::Grant { worker, resume } => {
                let resume = resume && self.checkpoint.is_some();
                Ok(Some(Change::Leased { attempt: self.last.next(), worker, resume }))
            }
            Input::Expire { .. } | Input::Resubmit => Ok(None),
            Input::Cancel => Ok(Some(Change::Cancelled)),
            // How this attempt ended is known already: the same answer again.
            Input::Fail { attempt, .. } | Input::Release { attempt } if attempt == self.last => {
                Ok(None)
            }
            Input::Rows { attempt, .. }
            | Input::Checkpoint { attempt, .. }
            | Input::Weights { attempt, .. }
            | Input::Commit { attempt, .. }
            | Input::Fail { attempt, .. }
            | Input::Release { attempt } => Err(Refusal::Fenced { attempt }),
        }
    }

    fn decide_leased(
        &self,
        now: Timestamp,
        policy: &RetryPolicy,
        worker: WorkerId,
        input: Input,
    ) -> Result<Option<Change>, Refusal> {
        match input {
            Input::Grant { .. } => Err(Refusal::Held { by: self.last }),
            Input::Resubmit => Ok(None),
            Input::Cancel => Ok(Some(Change::Cancelled)),
            Input::Expire { host } => {
                let message = format!("the lease of worker {worker} ran out");
                let report = FailureReport::new(FailureClass::LeaseLost, message);
                Ok(Some(self.failed(now, policy, worker, host, report)))
            }
            Input::Rows { attempt, .. }
            | Input::Checkpoint { attempt, .. }
            | Input::Weights { attempt, .. }
            | Input::Commit { attempt, .. }
            | Input::Fail { attempt, .. }
            | Input::Release { attempt }
                if attempt != self.last =>
            {
                Err(Refusal::Fenced { attempt })
            }
            Input::Rows { attempt, table, first_row, row_count } => {
                let stored = self.rows.of(table);
                let next = stored.ok_or(Refusal::WrongTable { table: table.as_str() })?;
                let end = first_row.saturating_add(row_count);
                if end <= next {
                    return Ok(None);
                }
                if first_row != next {
                    return Err(Refusal::OutOfTurn { expected: next, found: first_row });
                }
                Ok(Some(Change::Rows { attempt, table, next_row: end }))
            }
            Input::Checkpoint { attempt, checkpoint } => {
                // It comes again where its acknowledgement was lost.
                let is_known =
                    |latest: &Checkpoint| checkpoint.step < latest.step || checkpoint == *latest;
                if self.checkpoint.as_deref().is_some_and(is_known) {
                    return Ok(None);
                }
                let rows = RowCounts {
                    steps: checkpoint.steps_rows,
                    confusion: checkpoint.confusion_rows,
                };
                // While it was stored, rows may have come from behind it.
                self.compare(rows, u64::le)?;
                Ok(Some(Change::Checkpointed { attempt, checkpoint }))
            }
            Input::Weights { attempt, kept } => {
                let change = Change::Weights { attempt, kept };
                self.next_kept(kept).map(|is_new| is_new.then_some(change))
            }
            Input::Commit { attempt, rows, weights: announced, diverged, engine } => {
                self.compare(rows, u64::eq)?;
                let stored = self.kept.len() as u64;
                if announced != stored {
                    return Err(Refusal::WeightsMissing { announced, stored });
                }
                Ok(Some(Change::Committed { attempt, diverged, engine }))
            }
            Input::Fail { host, report, .. } => {
                Ok(Some(self.failed(now, policy, worker, host, report)))
            }
            Input::Release { attempt } => Ok(Some(Change::Released { attempt })),
        }
    }

    fn decide_settled(&self, input: Input) -> Result<Option<Change>, Refusal> {
        let committed = matches!(self.state, State::Committed { .. });
        match input {
            Input::Commit { attempt, .. } if committed && attempt == self.last => Ok(None),
            // What the attempt told before its commit comes again where the acknowledgements were lost.
            Input::Checkpoint { attempt, .. } | Input::Weights { attempt, .. }
                if committed && attempt == self.last =>
            {
                Ok(None)
            }
            Input::Rows { attempt, table, first_row, row_count }
                if committed
                    && attempt == self.last
                    && self
                        .rows
                        .of(table)
                        .is_some_and(|stored| first_row.saturating_add(row_count) <= stored) =>
            {
                Ok(None)
            }
            Input::Fail { attempt, .. } if !committed && attempt == self.last => Ok(None),
            Input::Resubmit if committed => Ok(None),
            Input::Resubmit => Ok(Some(Change::Requeued)),
            Input::Cancel | Input::Expire { .. } => Ok(None),
            Input::Grant { .. }
            | Input::Rows { .. }
            | Input::Checkpoint { .. }
            | Input::Weights { .. }
            | Input::Commit { .. }
            | Input::Fail { .. }
            | Input::Release { .. } => Err(Refusal::Settled),
        }
    }

    /// Whether these weights are the next to keep; `false`: they are kept already. Each comes after the row of its step, so
    /// there are never more of them than rows.
    fn next_kept(&self, kept: Kept) -> Result<bool, Refusal> {
        let before = self.kept_until(kept.step);
        let is_last = before == self.kept.len();
        match before.checked_sub(1).map(|index| self.kept[index]) {
            Some(same) if same == kept => Ok(false),
            Some(other) if other.step == kept.step => {
                Err(Refusal::WeightsOutOfTurn { step: kept.step })
            }
            _ if is_last && (before as u64) < self.rows.steps => Ok(true),
            _ => Err(Refusal::WeightsOutOfTurn { step: kept.step }),
        }
    }

    /// Whether the announced rows are to those that are stored as is asked.
    fn compare(
        &self,
        announced: RowCounts,
        is_well: fn(&u64, &u64) -> bool,
    ) -> Result<(), Refusal> {
        for (announced, stored) in
            [(announced.steps, self.rows.steps), (announced.confusion, self.rows.confusion)]
        {
            if !is_well(&announced, &stored) {
                return Err(Refusal::Incomplete { announced, stored });
            }
        }
        Ok(())
    }

    fn failed(
        &self,
        now: Timestamp,
        policy: &RetryPolicy,
        worker: WorkerId,
        host: String,
        report: FailureReport,
    ) -> Change {
        let again = match report.class {
            // The same on every worker and each time: what is refused is the job itself.
            FailureClass::Refused => None,
            FailureClass::LeaseLost => (self.losses + 1 < policy.losses_max).then_some(now),
            // It may be the checkpoint that cannot be read. The job goes on from the one before, and that is no fault of its own.
            FailureClass::Input if self.checkpoint.is_some() => Some(now),
            _ => {
                let used = self.failures + 1;
                (used < policy.failures_max).then(|| now + policy.wait_after(used))
            }
        };
        Change::Failed(Failed { attempt: self.last, worker, host, at: now, report, again })
    }

    /// Rows and weights are kept for a job that may go on or has a result. Without them, a checkpoint that counts them must
    /// not stay: whoever went on from it would never measure them again.
    fn forget_rows(&mut self) {
        self.rows = RowCounts::default();
        self.kept.clear();
        self.forget_checkpoints();
    }

    /// Its kept weights are in a file, and so need no blobs any more.
    pub(super) fn seal(&mut self) {
        self.kept = Vec::new();
    }

    fn forget_checkpoints(&mut self) {
        self.checkpoint = None;
        self.earlier = None;
    }

    /// Records a change that is durable. On an error the job is as it was.
    pub fn apply(&mut self, change: &Change) -> Result<(), OutOfOrder> {
        let leased = matches!(self.state, State::Leased { .. });
        match change {
            Change::Leased { attempt, worker, resume }
                if matches!(self.state, State::Queued { .. }) && *attempt == self.last.next() =>
            {
                self.state = State::Leased { worker: *worker };
                self.last = *attempt;
                match self.checkpoint.as_ref().filter(|_| *resume) {
                    Some(checkpoint) => {
                        self.rows.steps = checkpoint.steps_rows;
                        self.rows.confusion = checkpoint.confusion_rows;
                        let step = checkpoint.step;
                        self.kept.retain(|kept| kept.step <= step);
                    }
                    None => self.forget_rows(),
                }
            }
            Change::Rows { attempt, table, next_row } if leased && *attempt == self.last => {
                self.rows.set(*table, *next_row);
            }
            Change::Checkpointed { attempt, checkpoint } if leased && *attempt == self.last => {
                let latest = self.checkpoint.replace(Box::new(checkpoint.clone()));
                if latest != self.checkpoint {
                    self.earlier = latest;
                }
                self.losses = 0;
            }
            Change::Weights { attempt, kept } if leased && *attempt == self.last => {
                self.kept.push(*kept);
            }
            Change::Committed { attempt, diverged, .. } if leased && *attempt == self.last => {
                self.state = State::Committed { diverged: *diverged };
                self.forget_checkpoints();
            }
            Change::Failed(failed) if leased && failed.attempt == self.last => {
                let class = failed.report.class;
                match class {
                    FailureClass::LeaseLost => self.losses += 1,
                    FailureClass::Input if self.checkpoint.is_some() => {
                        self.checkpoint = self.earlier.take();
                    }
                    _ => self.failures += 1,
                }
                self.state = match failed.again {
                    Some(not_before) => State::Queued { not_before },
                    None => {
                        self.forget_rows();
                        State::Abandoned { class }
                    }
                };
            }
            Change::Released { attempt } if leased && *attempt == self.last => {
                self.state = State::Queued { not_before: Timestamp::ZERO };
            }
            Change::Cancelled if !self.state.is_settled() => {
                self.forget_rows();
                self.state = State::Cancelled;
            }
            Change::Requeued
                if matches!(self.state, State::Abandoned { .. } | State::Cancelled) =>
            {
                self.state = State::Queued { not_before: Timestamp::ZERO };
                self.failures = 0;
                self.losses = 0;
            }
            Change::Leased { .. }
            | Change::Rows { .. }
            | Change::Checkpointed { .. }
            | Change::Committed { .. }
            | Change::Failed(_)
            | Change::Released { .. }
            | Change::Cancelled
            | Change::Requeued
            | Change::Weights { .. } => {
                let change = Box::new(change.clone());
                return Err(OutOfOrder { change, state: self.state, last: self.last });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "job_tests.rs"]
mod tests;

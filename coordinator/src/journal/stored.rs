//! Batches and snapshots as the journal stores them: mirrors of the machine's types in postcard, a compact binary form.
//!
//! Postcard names variants and fields by their place: variants are only ever added at the end, fields never; what needs
//! another shape gets a variant of its own.

use domain::{AttemptNo, Digest, FailureReport, JobId, SweepName, Table, Timestamp, WorkerId};
use proto::message::Checkpoint;
use serde::{Deserialize, Serialize};

use super::spool::Place;
use super::{Batch, SpoolChange};
use crate::machine::{
    Change, Event, Failed, FailureRecord, HandedIn, JobSnapshot, LineageSnapshot, Origin, Plan,
    RowCounts, Snapshot, State, Submitted,
};

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadRecord {
    #[error("it is shorter than it says")]
    Short,
    #[error("it is not what this gradsweep writes: {0}")]
    Form(#[from] postcard::Error),
    #[error("it names no {what}: \"{found}\"")]
    Word { what: &'static str, found: String },
}

/// One record, and the rows that it brings.
#[derive(Debug, Default)]
pub struct Record {
    pub snapshot: Option<Snapshot>,
    pub events: Vec<Event>,
    pub spool: Vec<Spooled>,
}

/// A change to the spool, its rows by their place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spooled {
    Put { sweep: SweepName, job: JobId, table: Table, first_row: u64, place: Place },
    Truncate { sweep: SweepName, job: JobId, table: Table, from_row: u64 },
    Drop { sweep: SweepName, job: JobId },
}

/// Bytes of the length of a record's head.
const HEAD_LENGTH: usize = 4;

/// The first 8 bytes of blake3 of all parts.
pub fn short_hash(parts: &[&[u8]]) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut short = [0; 8];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    short
}

/// A checksum of spooled rows.
pub fn check(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(short_hash(&[bytes]))
}

/// The record of a batch, as bytes; and its spool changes, placed as if the record began at `offset` in the file.
pub fn encode(batch: &Batch, snapshot: Option<&Snapshot>, offset: u64) -> (Vec<u8>, Vec<Spooled>) {
    let mut head = Head { snapshot: snapshot.map(StoredSnapshot::of), ..Head::default() };
    for event in &batch.events {
        let event = StoredEvent::of(event, &mut head.sweeps);
        head.events.push(event);
    }
    let mut payload = Vec::new();
    for change in &batch.spool {
        let change = match change {
            SpoolChange::Put { sweep, job, table, rows } => {
                payload.extend_from_slice(&rows.cells);
                StoredSpool::Put {
                    sweep: number_of(sweep, &mut head.sweeps),
                    job: job.0,
                    table: table_number(*table),
                    first_row: rows.first_row,
                    row_count: rows.row_count,
                    bytes: rows.cells.len() as u32,
                    check: check(&rows.cells),
                }
            }
            SpoolChange::Truncate { sweep, job, table, from_row } => StoredSpool::Truncate {
                sweep: number_of(sweep, &mut head.sweeps),
                job: job.0,
                table: table_number(*table),
                from_row: *from_row,
            },
            SpoolChange::Drop { sweep, job } => {
                StoredSpool::Drop { sweep: number_of(sweep, &mut head.sweeps), job: job.0 }
            }
        };
        head.spool.push(change);
    }
    let mut bytes = vec![0; HEAD_LENGTH];
    bytes = postcard::to_extend(&head, bytes).expect("strings and numbers serialise");
    let head_bytes = (bytes.len() - HEAD_LENGTH) as u32;
    bytes[..HEAD_LENGTH].copy_from_slice(&head_bytes.to_le_bytes());
    let rows_at = offset + bytes.len() as u64;
    let placed = place(head.spool, &head.sweeps, rows_at, payload.len());
    bytes.extend_from_slice(&payload);
    (bytes, placed.expect("these are the names of a moment ago"))
}

/// What a record says that lies at `offset` in the file.
pub fn decode(bytes: &[u8], offset: u64) -> Result<Record, BadRecord> {
    let (length, rest) = bytes.split_first_chunk::<HEAD_LENGTH>().ok_or(BadRecord::Short)?;
    let length = u32::from_le_bytes(*length) as usize;
    let (head, payload) = rest.split_at_checked(length).ok_or(BadRecord::Short)?;
    let Head { snapshot, sweeps, events, spool } = postcard::from_bytes(head)?;
    let rows_at = offset + (HEAD_LENGTH + length) as u64;
    let spool = place(spool, &sweeps, rows_at, payload.len())?;
    Ok(Record {
        snapshot: snapshot.map(StoredSnapshot::into_snapshot).transpose()?,
        events: events
            .into_iter()
            .map(|event| event.into_event(&sweeps))
            .collect::<Result<_, _>>()?,
        spool,
    })
}

/// Gives each batch of rows its place in the file: they lie behind the head one after the other, from `rows_at` on.
fn place(
    spool: Vec<StoredSpool>,
    sweeps: &[String],
    rows_at: u64,
    room: usize,
) -> Result<Vec<Spooled>, BadRecord> {
    let mut used = 0;
    let mut placed = Vec::with_capacity(spool.len());
    for change in spool {
        placed.push(match change {
            StoredSpool::Put { sweep, job, table, first_row, row_count, bytes, check } => {
                let offset = rows_at + used;
                used += u64::from(bytes);
                if used > room as u64 {
                    return Err(BadRecord::Short);
                }
                Spooled::Put {
                    sweep: named(sweeps, sweep)?,
                    job: JobId(job),
                    table: table_of(table)?,
                    first_row,
                    place: Place { offset, bytes, row_count, check },
                }
            }
            StoredSpool::Truncate { sweep, job, table, from_row } => Spooled::Truncate {
                sweep: named(sweeps, sweep)?,
                job: JobId(job),
                table: table_of(table)?,
                from_row,
            },
            StoredSpool::Drop { sweep, job } => {
                Spooled::Drop { sweep: named(sweeps, sweep)?, job: JobId(job) }
            }
        });
    }
    Ok(placed)
}

/// What a record says, before its rows.
#[derive(Default, Serialize, Deserialize)]
struct Head {
    snapshot: Option<StoredSnapshot>,
    /// The names that the numbers stand for.
    sweeps: Vec<String>,
    events: Vec<StoredEvent>,
    spool: Vec<StoredSpool>,
}

#[derive(Serialize, Deserialize)]
enum StoredSpool {
    Put {
        sweep: u32,
        job: [u8; 16],
        table: u8,
        first_row: u64,
        row_count: u32,
        bytes: u32,
        check: u64,
    },
    Truncate {
        sweep: u32,
        job: [u8; 16],
        table: u8,
        from_row: u64,
    },
    Drop {
        sweep: u32,
        job: [u8; 16],
    },
}

#[derive(Serialize, Deserialize)]
enum StoredEvent {
    Submitted { revision: StoredRevision, jobs: Vec<[u8; 16]> },
    Job { sweep: u32, job: [u8; 16], change: StoredChange },
    SegmentPlanned { sweep: u32, segment: String, jobs: Vec<[u8; 16]>, failures: u64 },
    SegmentSealed { sweep: u32, segment: String },
    Paused { sweep: u32, paused: bool },
}

#[derive(Serialize, Deserialize)]
struct StoredRevision {
    canonical: String,
    file_name: String,
    file_text: String,
    at: i64,
}

#[derive(Serialize, Deserialize)]
enum StoredChange {
    Leased { attempt: u32, worker: [u8; 16], resume: bool },
    Rows { attempt: u32, table: u8, next_row: u64 },
    Checkpointed { attempt: u32, checkpoint: StoredCheckpoint },
    Committed { attempt: u32, diverged: bool, engine: String },
    Failed(StoredFailed),
    Released { attempt: u32 },
    Cancelled,
    Requeued,
}

#[derive(Serialize, Deserialize)]
struct StoredCheckpoint {
    digest: [u8; 32],
    step: u64,
    steps_rows: u64,
    confusion_rows: u64,
    engine: String,
    instruction_set: String,
}

#[derive(Serialize, Deserialize)]
struct StoredFailed {
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

#[derive(Serialize, Deserialize)]
struct StoredSnapshot {
    lineages: Vec<StoredLineage>,
}

#[derive(Serialize, Deserialize)]
struct StoredLineage {
    sweep: String,
    revisions: Vec<StoredRevision>,
    ids: Vec<([u8; 16], u32, u64)>,
    members: Vec<u32>,
    jobs: Vec<StoredJob>,
    unsealed: Vec<u32>,
    sealed_rows: u64,
    failures: Vec<(u32, StoredFailed)>,
    last_words: Vec<(u32, String)>,
    plan: Option<StoredPlan>,
    segments: u64,
    engines: Vec<(String, u64)>,
    failed_attempts: u64,
    paused: bool,
}

#[derive(Serialize, Deserialize)]
struct StoredPlan {
    segment: String,
    jobs: Vec<u32>,
    failures: Vec<(u32, StoredFailed)>,
    rows: u64,
}

#[derive(Serialize, Deserialize)]
struct StoredJob {
    number: u32,
    state: StoredState,
    last: u32,
    failures: u32,
    losses: u32,
    steps: u64,
    confusion: u64,
    checkpoint: Option<StoredCheckpoint>,
    earlier: Option<StoredCheckpoint>,
}

#[derive(Serialize, Deserialize)]
enum StoredState {
    Queued { not_before: i64 },
    Leased { worker: [u8; 16] },
    Committed { diverged: bool },
    Abandoned { class: String },
    Cancelled,
}

fn number_of(sweep: &SweepName, sweeps: &mut Vec<String>) -> u32 {
    let known = sweeps.iter().position(|known| known == sweep.as_str());
    let index = known.unwrap_or_else(|| {
        sweeps.push(sweep.to_string());
        sweeps.len() - 1
    });
    index as u32
}

fn named(sweeps: &[String], number: u32) -> Result<SweepName, BadRecord> {
    let unknown = || BadRecord::Word { what: "sweep", found: number.to_string() };
    name(sweeps.get(number as usize).ok_or_else(unknown)?)
}

fn name(text: &str) -> Result<SweepName, BadRecord> {
    text.parse().map_err(|_| BadRecord::Word { what: "sweep", found: text.to_owned() })
}

/// The place of a table in this list is its number in the file.
const TABLES: [Table; 4] = [Table::Jobs, Table::Steps, Table::Confusion, Table::Failures];

fn table_number(table: Table) -> u8 {
    TABLES.iter().position(|known| *known == table).unwrap_or(TABLES.len()) as u8
}

fn table_of(number: u8) -> Result<Table, BadRecord> {
    let unknown = || BadRecord::Word { what: "table", found: number.to_string() };
    TABLES.get(usize::from(number)).copied().ok_or_else(unknown)
}

fn class(text: &str) -> Result<domain::FailureClass, BadRecord> {
    let unknown = |_| BadRecord::Word { what: "failure class", found: text.to_owned() };
    text.parse().map_err(unknown)
}

impl StoredEvent {
    fn of(event: &Event, sweeps: &mut Vec<String>) -> Self {
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

    fn into_event(self, sweeps: &[String]) -> Result<Event, BadRecord> {
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
    fn of(revision: &HandedIn) -> Self {
        let HandedIn { canonical, file_name, file_text, at } = revision.clone();
        Self { canonical, file_name, file_text, at: at.as_micros() }
    }

    fn into_revision(self) -> HandedIn {
        let Self { canonical, file_name, file_text, at } = self;
        HandedIn { canonical, file_name, file_text, at: Timestamp::from_micros(at) }
    }
}

impl StoredCheckpoint {
    fn of(checkpoint: &Checkpoint) -> Self {
        Self {
            digest: checkpoint.digest.0,
            step: checkpoint.step,
            steps_rows: checkpoint.steps_rows,
            confusion_rows: checkpoint.confusion_rows,
            engine: checkpoint.engine_revision.clone(),
            instruction_set: checkpoint.instruction_set.clone(),
        }
    }

    fn boxed(self) -> Box<Checkpoint> {
        Box::new(self.into_checkpoint())
    }

    fn into_checkpoint(self) -> Checkpoint {
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

impl StoredFailed {
    fn of(failed: &Failed) -> Self {
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

    fn into_failed(self) -> Result<Failed, BadRecord> {
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
    fn of(change: &Change) -> Self {
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
        }
    }

    fn into_change(self) -> Result<Change, BadRecord> {
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
        })
    }
}

impl StoredSnapshot {
    fn of(snapshot: &Snapshot) -> Self {
        Self { lineages: snapshot.lineages.iter().map(StoredLineage::of).collect() }
    }

    fn into_snapshot(self) -> Result<Snapshot, BadRecord> {
        let lineages = self.lineages.into_iter().map(StoredLineage::into_lineage);
        Ok(Snapshot { lineages: lineages.collect::<Result<_, _>>()? })
    }
}

fn store_failures(records: &[FailureRecord]) -> Vec<(u32, StoredFailed)> {
    records.iter().map(|record| (record.job, StoredFailed::of(&record.failed))).collect()
}

fn read_failures(stored: Vec<(u32, StoredFailed)>) -> Result<Vec<FailureRecord>, BadRecord> {
    let record = |(job, failed): (u32, StoredFailed)| {
        Ok(FailureRecord { job, failed: failed.into_failed()? })
    };
    stored.into_iter().map(record).collect()
}

impl StoredLineage {
    fn of(lineage: &LineageSnapshot) -> Self {
        Self {
            sweep: lineage.sweep.to_string(),
            revisions: lineage.revisions.iter().map(StoredRevision::of).collect(),
            ids: lineage.ids.iter().map(|(id, o)| (id.0, o.revision, o.index)).collect(),
            members: lineage.members.clone(),
            jobs: lineage.jobs.iter().map(StoredJob::of).collect(),
            unsealed: lineage.unsealed.clone(),
            sealed_rows: lineage.sealed_rows,
            failures: store_failures(&lineage.failures),
            last_words: lineage.last_words.clone(),
            plan: lineage.plan.as_ref().map(|plan| StoredPlan {
                segment: plan.segment.clone(),
                jobs: plan.jobs.clone(),
                failures: store_failures(&plan.failures),
                rows: plan.rows,
            }),
            segments: lineage.segments,
            engines: lineage.engines.clone().into_iter().collect(),
            failed_attempts: lineage.failed_attempts,
            paused: lineage.paused,
        }
    }

    fn into_lineage(self) -> Result<LineageSnapshot, BadRecord> {
        let revisions = self.revisions.into_iter().map(StoredRevision::into_revision);
        let id = |(id, revision, index)| (JobId(id), Origin { revision, index });
        let plan = |plan: StoredPlan| -> Result<Plan, BadRecord> {
            let StoredPlan { segment, jobs, failures, rows } = plan;
            Ok(Plan { segment, jobs, failures: read_failures(failures)?, rows })
        };
        Ok(LineageSnapshot {
            sweep: name(&self.sweep)?,
            revisions: revisions.collect(),
            ids: self.ids.into_iter().map(id).collect(),
            members: self.members,
            jobs: self.jobs.into_iter().map(StoredJob::into_job).collect::<Result<_, _>>()?,
            unsealed: self.unsealed,
            sealed_rows: self.sealed_rows,
            failures: read_failures(self.failures)?,
            last_words: self.last_words,
            plan: self.plan.map(plan).transpose()?,
            segments: self.segments,
            engines: self.engines.into_iter().collect(),
            failed_attempts: self.failed_attempts,
            paused: self.paused,
        })
    }
}

impl StoredJob {
    fn of(job: &JobSnapshot) -> Self {
        Self {
            number: job.number,
            state: match job.state {
                State::Queued { not_before } => {
                    StoredState::Queued { not_before: not_before.as_micros() }
                }
                State::Leased { worker } => StoredState::Leased { worker: worker.0 },
                State::Committed { diverged } => StoredState::Committed { diverged },
                State::Abandoned { class } => {
                    StoredState::Abandoned { class: class.as_str().to_owned() }
                }
                State::Cancelled => StoredState::Cancelled,
            },
            last: job.last.0,
            failures: job.failures,
            losses: job.losses,
            steps: job.rows.steps,
            confusion: job.rows.confusion,
            checkpoint: job.checkpoint.as_deref().map(StoredCheckpoint::of),
            earlier: job.earlier.as_deref().map(StoredCheckpoint::of),
        }
    }

    fn into_job(self) -> Result<JobSnapshot, BadRecord> {
        Ok(JobSnapshot {
            number: self.number,
            state: match self.state {
                StoredState::Queued { not_before } => {
                    State::Queued { not_before: Timestamp::from_micros(not_before) }
                }
                StoredState::Leased { worker } => State::Leased { worker: WorkerId(worker) },
                StoredState::Committed { diverged } => State::Committed { diverged },
                StoredState::Abandoned { class: text } => State::Abandoned { class: class(&text)? },
                StoredState::Cancelled => State::Cancelled,
            },
            last: AttemptNo(self.last),
            failures: self.failures,
            losses: self.losses,
            rows: RowCounts { steps: self.steps, confusion: self.confusion },
            checkpoint: self.checkpoint.map(StoredCheckpoint::boxed),
            earlier: self.earlier.map(StoredCheckpoint::boxed),
        })
    }
}

#[cfg(test)]
mod tests {
    use domain::FailureClass;

    use super::super::SpooledRows;
    use super::*;

    fn events() -> Vec<Event> {
        let sweep: SweepName = "a-sweep".parse().expect("a good name");
        let (job, worker) = (JobId([3; 16]), WorkerId([4; 16]));
        let attempt = AttemptNo(2);
        let checkpoint = Checkpoint {
            digest: Digest([5; 32]),
            step: 9,
            steps_rows: 2,
            confusion_rows: 1,
            engine_revision: "e1".into(),
            instruction_set: "avx2".into(),
        };
        let mut report = FailureReport::new(FailureClass::Signal, "killed by signal 9");
        report.signal = Some(9);
        let failed = Failed {
            attempt,
            worker,
            host: "h".into(),
            at: Timestamp::from_micros(12),
            report,
            again: Some(Timestamp::from_micros(13)),
        };
        let changes = [
            Change::Leased { attempt, worker, resume: true },
            Change::Rows { attempt, table: Table::Steps, next_row: 7 },
            Change::Checkpointed { attempt, checkpoint },
            Change::Committed { attempt, diverged: true, engine: "e1".into() },
            Change::Failed(failed),
            Change::Released { attempt },
            Change::Cancelled,
            Change::Requeued,
        ];
        let mut events: Vec<_> = changes
            .into_iter()
            .map(|change| Event::Job { sweep: sweep.clone(), job, change })
            .collect();
        let revision = HandedIn {
            canonical: "{}".into(),
            file_name: "s.toml".into(),
            file_text: "name = \"é\"".into(),
            at: Timestamp::from_micros(1),
        };
        events.push(Event::Submitted(Submitted { revision, jobs: [job, JobId([4; 16])].into() }));
        let segment = "s".to_owned();
        events.push(Event::SegmentPlanned {
            sweep: sweep.clone(),
            segment: segment.clone(),
            jobs: vec![job],
            failures: 1,
        });
        events.push(Event::SegmentSealed { sweep: sweep.clone(), segment });
        events.push(Event::Paused { sweep, paused: true });
        events
    }

    fn batch() -> Batch {
        let (sweep, job): (SweepName, _) =
            ("a-sweep".parse().expect("a good name"), JobId([3; 16]));
        let rows = |first_row, cells: &[u8]| SpoolChange::Put {
            sweep: sweep.clone(),
            job,
            table: Table::Steps,
            rows: SpooledRows { first_row, row_count: 2, cells: cells.to_vec() },
        };
        let spool = vec![
            rows(0, b"first"),
            SpoolChange::Truncate { sweep: sweep.clone(), job, table: Table::Jobs, from_row: 3 },
            rows(2, b"second"),
            SpoolChange::Drop { sweep: "other".parse().expect("a good name"), job },
        ];
        Batch { events: events(), spool }
    }

    fn snapshot() -> Snapshot {
        let failed = events().into_iter().find_map(|event| match event {
            Event::Job { change: Change::Failed(failed), .. } => Some(failed),
            _ => None,
        });
        let failures = vec![FailureRecord { job: 3, failed: failed.expect("is among them") }];
        let states = [
            State::Queued { not_before: Timestamp::from_micros(5) },
            State::Leased { worker: WorkerId([8; 16]) },
            State::Committed { diverged: true },
            State::Abandoned { class: FailureClass::Timeout },
            State::Cancelled,
        ];
        let job = |(number, state)| JobSnapshot {
            number,
            state,
            last: AttemptNo(2),
            failures: 1,
            losses: 2,
            rows: RowCounts { steps: 300, confusion: 4 },
            checkpoint: None,
            earlier: None,
        };
        let revision = HandedIn {
            canonical: "{}".into(),
            file_name: "s".into(),
            file_text: "t".into(),
            at: Timestamp::from_micros(1),
        };
        let plan = Plan { segment: "x".into(), jobs: vec![2], failures: failures.clone(), rows: 9 };
        let lineage = LineageSnapshot {
            sweep: "a-sweep".parse().expect("a good name"),
            revisions: vec![revision],
            ids: vec![(JobId([6; 16]), Origin { revision: 0, index: 700 })],
            members: vec![0],
            jobs: (0..).zip(states).map(job).collect(),
            unsealed: vec![2],
            sealed_rows: 77,
            failures,
            last_words: vec![(3, "why".into())],
            plan: Some(plan),
            segments: 4,
            engines: [("e1".to_owned(), 5)].into(),
            failed_attempts: 6,
            paused: true,
        };
        Snapshot { lineages: vec![lineage] }
    }

    #[test]
    fn batches_and_snapshots_read_back_and_their_rows_lie_where_they_are_said_to_lie() {
        let (batch, snapshot) = (batch(), snapshot());
        let (bytes, placed) = encode(&batch, Some(&snapshot), 1_000);
        let record = decode(&bytes, 1_000).expect("reads");
        assert_eq!((record.snapshot, record.events), (Some(snapshot), batch.events));
        assert_eq!(record.spool, placed);
        let rows = placed.iter().filter_map(|change| match change {
            Spooled::Put { place, .. } => {
                let from = (place.offset - 1_000) as usize;
                Some(&bytes[from..from + place.bytes as usize])
            }
            _ => None,
        });
        assert_eq!(rows.collect::<Vec<_>>(), [&b"first"[..], b"second"]);
    }

    #[test]
    fn no_truncation_and_no_flipped_byte_makes_it_panic_or_ask_for_more_memory_than_there_is() {
        let (bytes, _) = encode(&batch(), Some(&snapshot()), 0);
        for length in 0..bytes.len() {
            // What is cut may still be whole in its head; then its rows are short.
            assert!(decode(&bytes[..length], 0).is_err(), "cut at {length}");
        }
        for index in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[index] ^= 1 << bit;
                drop(decode(&damaged, 0));
            }
        }
    }
}

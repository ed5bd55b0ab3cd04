//! Events as the journal stores them: JSON of mirror structs, behind a checksum.
//!
//! A record is 8 bytes of blake3 of the rest, then the JSON. Variants and fields are only ever added, fields with a
//! default: `tests/data/journal` holds records of every version that was released.

use domain::{AttemptNo, Digest, FailureReport, JobId, SweepName, Table, Timestamp, WorkerId};
use proto::message::Checkpoint;
use serde::{Deserialize, Serialize};

use crate::machine::{Change, Event, Failed, Submitted};

/// Bytes of checksum before each record.
const CHECK_BYTES: usize = 8;

/// `body` behind its checksum.
pub fn seal(body: &[u8]) -> Vec<u8> {
    let mut record = blake3::hash(body).as_bytes()[..CHECK_BYTES].to_vec();
    record.extend_from_slice(body);
    record
}

/// The body of a record, if it is the one that was sealed.
pub fn open(record: &[u8]) -> Result<&[u8], BadRecord> {
    let (check, body) = record.split_at_checked(CHECK_BYTES).ok_or(BadRecord::Short)?;
    if blake3::hash(body).as_bytes()[..CHECK_BYTES] == *check {
        Ok(body)
    } else {
        Err(BadRecord::Checksum)
    }
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadRecord {
    #[error("it is shorter than its checksum")]
    Short,
    #[error("its checksum does not match")]
    Checksum,
    #[error("it is not an event: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it names no {what}: \"{found}\"")]
    Word { what: &'static str, found: String },
}

/// The record of an event.
pub fn encode(event: &Event) -> Vec<u8> {
    let body = serde_json::to_vec(&Stored::of(event)).expect("strings and numbers serialise");
    seal(&body)
}

/// The event of a record.
pub fn decode(record: &[u8]) -> Result<Event, BadRecord> {
    serde_json::from_slice::<Stored>(open(record)?)?.into_event()
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Stored {
    Submitted { canonical: String, file_name: String, file_text: String, at: i64 },
    Job { sweep: String, job: String, change: StoredChange },
    SegmentPlanned { sweep: String, segment: String, jobs: Vec<String>, failures: u64 },
    SegmentSealed { sweep: String, segment: String },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StoredChange {
    Leased { attempt: u32, worker: String, resume: bool },
    Rows { attempt: u32, table: String, next_row: u64 },
    Checkpointed { attempt: u32, checkpoint: StoredCheckpoint },
    Committed { attempt: u32, diverged: bool, engine: String },
    Failed(StoredFailed),
    Released { attempt: u32 },
    Cancelled,
    Requeued,
}

#[derive(Serialize, Deserialize)]
struct StoredCheckpoint {
    digest: String,
    step: u64,
    steps_rows: u64,
    confusion_rows: u64,
    engine: String,
    instruction_set: String,
}

#[derive(Serialize, Deserialize)]
struct StoredFailed {
    attempt: u32,
    worker: String,
    host: String,
    at: i64,
    class: String,
    exit_code: Option<i32>,
    signal: Option<i32>,
    message: String,
    log_tail: String,
    again: Option<i64>,
}

impl Stored {
    fn of(event: &Event) -> Self {
        match event {
            Event::Submitted(submitted) => Self::Submitted {
                canonical: submitted.canonical.clone(),
                file_name: submitted.file_name.clone(),
                file_text: submitted.file_text.clone(),
                at: submitted.at.as_micros(),
            },
            Event::Job { sweep, job, change } => Self::Job {
                sweep: sweep.to_string(),
                job: job.to_string(),
                change: StoredChange::of(change),
            },
            Event::SegmentPlanned { sweep, segment, jobs, failures } => Self::SegmentPlanned {
                sweep: sweep.to_string(),
                segment: segment.clone(),
                jobs: jobs.iter().map(ToString::to_string).collect(),
                failures: *failures,
            },
            Event::SegmentSealed { sweep, segment } => {
                Self::SegmentSealed { sweep: sweep.to_string(), segment: segment.clone() }
            }
        }
    }

    fn into_event(self) -> Result<Event, BadRecord> {
        Ok(match self {
            Self::Submitted { canonical, file_name, file_text, at } => {
                let at = Timestamp::from_micros(at);
                Event::Submitted(Submitted { canonical, file_name, file_text, at })
            }
            Self::Job { sweep, job, change } => Event::Job {
                sweep: name(&sweep)?,
                job: id("job", &job)?,
                change: change.into_change()?,
            },
            Self::SegmentPlanned { sweep, segment, jobs, failures } => Event::SegmentPlanned {
                sweep: name(&sweep)?,
                segment,
                jobs: jobs.iter().map(|job| id::<JobId>("job", job)).collect::<Result<_, _>>()?,
                failures,
            },
            Self::SegmentSealed { sweep, segment } => {
                Event::SegmentSealed { sweep: name(&sweep)?, segment }
            }
        })
    }
}

impl StoredChange {
    fn of(change: &Change) -> Self {
        match change {
            Change::Leased { attempt, worker, resume } => {
                Self::Leased { attempt: attempt.0, worker: worker.to_string(), resume: *resume }
            }
            Change::Rows { attempt, table, next_row } => {
                let table = table.as_str().to_owned();
                Self::Rows { attempt: attempt.0, table, next_row: *next_row }
            }
            Change::Checkpointed { attempt, checkpoint } => Self::Checkpointed {
                attempt: attempt.0,
                checkpoint: StoredCheckpoint {
                    digest: checkpoint.digest.to_string(),
                    step: checkpoint.step,
                    steps_rows: checkpoint.steps_rows,
                    confusion_rows: checkpoint.confusion_rows,
                    engine: checkpoint.engine_revision.clone(),
                    instruction_set: checkpoint.instruction_set.clone(),
                },
            },
            Change::Committed { attempt, diverged, engine } => {
                Self::Committed { attempt: attempt.0, diverged: *diverged, engine: engine.clone() }
            }
            Change::Failed(failed) => Self::Failed(StoredFailed {
                attempt: failed.attempt.0,
                worker: failed.worker.to_string(),
                host: failed.host.clone(),
                at: failed.at.as_micros(),
                class: failed.report.class.as_str().to_owned(),
                exit_code: failed.report.exit_code,
                signal: failed.report.signal,
                message: failed.report.message.clone(),
                log_tail: failed.report.log_tail.clone(),
                again: failed.again.map(Timestamp::as_micros),
            }),
            Change::Released { attempt } => Self::Released { attempt: attempt.0 },
            Change::Cancelled => Self::Cancelled,
            Change::Requeued => Self::Requeued,
        }
    }

    fn into_change(self) -> Result<Change, BadRecord> {
        Ok(match self {
            Self::Leased { attempt, worker, resume } => Change::Leased {
                attempt: AttemptNo(attempt),
                worker: id::<WorkerId>("worker", &worker)?,
                resume,
            },
            Self::Rows { attempt, table, next_row } => Change::Rows {
                attempt: AttemptNo(attempt),
                table: Table::from_name(&table)
                    .ok_or(BadRecord::Word { what: "table", found: table })?,
                next_row,
            },
            Self::Checkpointed { attempt, checkpoint } => Change::Checkpointed {
                attempt: AttemptNo(attempt),
                checkpoint: Checkpoint {
                    digest: id::<Digest>("digest", &checkpoint.digest)?,
                    step: checkpoint.step,
                    steps_rows: checkpoint.steps_rows,
                    confusion_rows: checkpoint.confusion_rows,
                    engine_revision: checkpoint.engine,
                    instruction_set: checkpoint.instruction_set,
                },
            },
            Self::Committed { attempt, diverged, engine } => {
                Change::Committed { attempt: AttemptNo(attempt), diverged, engine }
            }
            Self::Failed(failed) => Change::Failed(Failed {
                attempt: AttemptNo(failed.attempt),
                worker: id("worker", &failed.worker)?,
                host: failed.host,
                at: Timestamp::from_micros(failed.at),
                report: FailureReport {
                    class: failed.class.parse().map_err(|_| BadRecord::Word {
                        what: "failure class",
                        found: failed.class.clone(),
                    })?,
                    exit_code: failed.exit_code,
                    signal: failed.signal,
                    message: failed.message,
                    log_tail: failed.log_tail,
                },
                again: failed.again.map(Timestamp::from_micros),
            }),
            Self::Released { attempt } => Change::Released { attempt: AttemptNo(attempt) },
            Self::Cancelled => Change::Cancelled,
            Self::Requeued => Change::Requeued,
        })
    }
}

fn name(text: &str) -> Result<SweepName, BadRecord> {
    id("sweep", text)
}

fn id<T: std::str::FromStr>(what: &'static str, text: &str) -> Result<T, BadRecord> {
    text.parse().map_err(|_| BadRecord::Word { what, found: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use domain::FailureClass;

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
        events.push(Event::Submitted(Submitted {
            canonical: "{}".into(),
            file_name: "s.toml".into(),
            file_text: "name = \"é\"".into(),
            at: Timestamp::from_micros(1),
        }));
        let segment = "s".to_owned();
        events.push(Event::SegmentPlanned {
            sweep: sweep.clone(),
            segment: segment.clone(),
            jobs: vec![job],
            failures: 1,
        });
        events.push(Event::SegmentSealed { sweep, segment });
        events
    }

    #[test]
    fn every_event_reads_back() {
        for event in events() {
            assert_eq!(decode(&encode(&event)).expect("reads"), event);
        }
    }

    #[test]
    fn every_truncation_and_every_flipped_byte_is_noticed() {
        for event in events() {
            let record = encode(&event);
            for length in 0..record.len() {
                assert!(decode(&record[..length]).is_err(), "cut at {length}");
            }
            for index in 0..record.len() {
                let mut damaged = record.clone();
                damaged[index] ^= 1;
                assert!(decode(&damaged).is_err(), "flipped at {index}");
            }
        }
    }
}

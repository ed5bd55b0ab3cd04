//! Conversions of the Fleet service.

use std::time::Duration;

use domain::spec::{KeepWeights, THREADS_MAX};
use domain::{Digest, Epoch, FailureClass, FailureReport};
use prost::Message;

use super::{
    FromWire, IntoWire, attempt, bounded, bounded_len, id, millis, non_empty, required, table,
};
use crate::error::WireError;
use crate::limits::{
    ATTEMPTS_MAX, LOG_TAIL_BYTES_MAX, ROW_BATCH_BYTES_MAX, ROW_BATCH_ROWS_MAX, SLOTS_MAX,
    SPEC_BYTES_MAX, WORD_BYTES_MAX,
};
use crate::message::{
    Attempt, Checkpoint, FromWorker, Grant, Hello, Kept, Outcome, Progress, RowBatch, ToWorker,
};
use crate::wire::{self, coordinator_message as to, worker_message as from};

impl FromWorker {
    /// The message as the wire has it, for whoever keeps it for a while.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.clone().into_wire().encode_to_vec()
    }

    /// The message that [`Self::to_bytes`] made into `bytes`.
    ///
    /// # Errors
    /// [`WireError`] where it is none, or none that a coordinator would take.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        let wire = wire::WorkerMessage::decode(bytes)
            .map_err(|error| WireError::Bytes { bytes: bytes.len(), problem: error.to_string() })?;
        Self::from_wire(wire)
    }
}

impl IntoWire for FromWorker {
    type Wire = wire::WorkerMessage;

    fn into_wire(self) -> wire::WorkerMessage {
        let message = match self {
            Self::Hello(hello) => from::Message::Hello(hello.into_wire()),
            Self::Capacity { free_slots, taken } => {
                from::Message::Capacity(wire::Capacity { free_slots, taken })
            }
            Self::Heartbeat(running) => {
                let running = running.into_iter().map(IntoWire::into_wire).collect();
                from::Message::Heartbeat(wire::Heartbeat { running })
            }
            Self::Rows(rows) => from::Message::Rows(wire::RowBatch {
                attempt: Some(rows.attempt.into_wire()),
                table: rows.table.as_str().to_owned(),
                first_row: rows.first_row,
                row_count: rows.row_count,
                cells: rows.cells,
            }),
            Self::Checkpoint(attempt, checkpoint) => {
                from::Message::Checkpoint(wire::StoredCheckpoint {
                    attempt: Some(attempt.into_wire()),
                    checkpoint: Some(checkpoint.into_wire()),
                })
            }
            Self::Weights(attempt, kept) => from::Message::Weights(wire::StoredWeights {
                attempt: Some(attempt.into_wire()),
                step: kept.step,
                digest: kept.digest.to_string(),
            }),
            Self::Outcome(attempt, outcome) => from::Message::Outcome(wire::Outcome {
                attempt: Some(attempt.into_wire()),
                outcome: Some(outcome.into_wire()),
            }),
            Self::Goodbye => from::Message::Goodbye(wire::Goodbye {}),
        };
        wire::WorkerMessage { message: Some(message) }
    }
}

impl FromWire for FromWorker {
    type Wire = wire::WorkerMessage;

    fn from_wire(wire: wire::WorkerMessage) -> Result<Self, WireError> {
        Ok(match required("message", wire.message)? {
            from::Message::Hello(hello) => Self::Hello(Hello::from_wire(hello)?),
            from::Message::Capacity(capacity) => {
                let free = u64::from(capacity.free_slots);
                bounded("capacity.free_slots", free, u64::from(ATTEMPTS_MAX))?;
                Self::Capacity { free_slots: capacity.free_slots, taken: capacity.taken }
            }
            from::Message::Heartbeat(heartbeat) => {
                let count = heartbeat.running.len() as u64;
                bounded("heartbeat.running", count, u64::from(ATTEMPTS_MAX))?;
                let running = heartbeat.running.into_iter().map(Progress::from_wire);
                Self::Heartbeat(running.collect::<Result<_, _>>()?)
            }
            from::Message::Rows(rows) => {
                let count = u64::from(rows.row_count);
                bounded("rows.row_count", count, u64::from(ROW_BATCH_ROWS_MAX))?;
                Self::Rows(RowBatch {
                    attempt: attempt("rows.attempt", rows.attempt)?,
                    table: table("rows.table", &rows.table)?,
                    first_row: rows.first_row,
                    row_count: rows.row_count,
                    cells: bounded_len("rows.cells", rows.cells, ROW_BATCH_BYTES_MAX)?,
                })
            }
            from::Message::Checkpoint(stored) => Self::Checkpoint(
                attempt("checkpoint.attempt", stored.attempt)?,
                Checkpoint::from_wire(required("checkpoint", stored.checkpoint)?)?,
            ),
            from::Message::Weights(stored) => {
                let digest = id::<Digest>("weights.digest", &stored.digest)?;
                let kept = Kept { step: stored.step, digest };
                Self::Weights(attempt("weights.attempt", stored.attempt)?, kept)
            }
            from::Message::Outcome(outcome) => Self::Outcome(
                attempt("outcome.attempt", outcome.attempt)?,
                Outcome::from_wire(required("outcome", outcome.outcome)?)?,
            ),
            from::Message::Goodbye(wire::Goodbye {}) => Self::Goodbye,
        })
    }
}

impl IntoWire for Hello {
    type Wire = wire::Hello;

    fn into_wire(self) -> wire::Hello {
        wire::Hello {
            worker: self.worker.to_string(),
            protocol: self.protocol,
            version: self.version,
            engine_revision: self.engine_revision,
            instruction_set: self.instruction_set,
            host: self.host,
            process: self.process,
            slots: self.slots,
            cores: self.cores,
            memory_bytes: self.memory_bytes,
            held: self.held.into_iter().map(IntoWire::into_wire).collect(),
            seconds_left: self.time_left.map(|left| left.as_secs()),
        }
    }
}

impl FromWire for Hello {
    type Wire = wire::Hello;

    fn from_wire(wire: wire::Hello) -> Result<Self, WireError> {
        bounded("hello.slots", u64::from(wire.slots), u64::from(SLOTS_MAX))?;
        bounded("hello.held", wire.held.len() as u64, u64::from(ATTEMPTS_MAX))?;
        Ok(Self {
            worker: id("hello.worker", &wire.worker)?,
            protocol: wire.protocol,
            version: bounded_len("hello.version", wire.version, WORD_BYTES_MAX)?,
            engine_revision: bounded_len(
                "hello.engine_revision",
                wire.engine_revision,
                WORD_BYTES_MAX,
            )?,
            instruction_set: bounded_len(
                "hello.instruction_set",
                wire.instruction_set,
                WORD_BYTES_MAX,
            )?,
            host: bounded_len("hello.host", wire.host, WORD_BYTES_MAX)?,
            process: wire.process,
            slots: wire.slots,
            cores: wire.cores,
            memory_bytes: wire.memory_bytes,
            held: wire.held.into_iter().map(Attempt::from_wire).collect::<Result<_, _>>()?,
            time_left: wire.seconds_left.map(Duration::from_secs),
        })
    }
}

impl IntoWire for Checkpoint {
    type Wire = wire::Checkpoint;

    fn into_wire(self) -> wire::Checkpoint {
        wire::Checkpoint {
            digest: self.digest.to_string(),
            step: self.step,
            steps_rows: self.steps_rows,
            confusion_rows: self.confusion_rows,
            engine_revision: self.engine_revision,
            instruction_set: self.instruction_set,
        }
    }
}

impl FromWire for Checkpoint {
    type Wire = wire::Checkpoint;

    fn from_wire(wire: wire::Checkpoint) -> Result<Self, WireError> {
        Ok(Self {
            digest: id::<Digest>("checkpoint.digest", &wire.digest)?,
            step: wire.step,
            steps_rows: wire.steps_rows,
            confusion_rows: wire.confusion_rows,
            engine_revision: bounded_len(
                "checkpoint.engine_revision",
                wire.engine_revision,
                WORD_BYTES_MAX,
            )?,
            instruction_set: bounded_len(
                "checkpoint.instruction_set",
                wire.instruction_set,
                WORD_BYTES_MAX,
            )?,
        })
    }
}

impl IntoWire for Outcome {
    type Wire = wire::outcome::Outcome;

    fn into_wire(self) -> wire::outcome::Outcome {
        match self {
            Self::Result { steps_rows, confusion_rows, weights, cells } => {
                wire::outcome::Outcome::Result(wire::TrialResult {
                    steps_rows,
                    confusion_rows,
                    cells,
                    weights,
                })
            }
            Self::Failure(report) => wire::outcome::Outcome::Failure(wire::TrialFailure {
                class: report.class.as_str().to_owned(),
                exit_code: report.exit_code,
                signal: report.signal,
                message: report.message,
                log_tail: report.log_tail,
            }),
            Self::Released => wire::outcome::Outcome::Released(wire::Released {}),
        }
    }
}

/// The last bytes of `text`, at most [`LOG_TAIL_BYTES_MAX`], cut at a character.
fn tail(mut text: String) -> String {
    let mut cut = text.len().saturating_sub(LOG_TAIL_BYTES_MAX);
    while !text.is_char_boundary(cut) {
        cut += 1;
    }
    text.split_off(cut)
}

impl FromWire for Outcome {
    type Wire = wire::outcome::Outcome;

    fn from_wire(wire: wire::outcome::Outcome) -> Result<Self, WireError> {
        Ok(match wire {
            wire::outcome::Outcome::Result(result) => Self::Result {
                steps_rows: result.steps_rows,
                confusion_rows: result.confusion_rows,
                weights: result.weights,
                cells: bounded_len("result.cells", result.cells, ROW_BATCH_BYTES_MAX)?,
            },
            wire::outcome::Outcome::Failure(failure) => {
                let word = |found: String| WireError::Word { field: "failure.class", found };
                let class: FailureClass = failure
                    .class
                    .parse()
                    .map_err(|error: domain::failure::UnknownClass| word(error.found))?;
                Self::Failure(FailureReport {
                    class,
                    exit_code: failure.exit_code,
                    signal: failure.signal,
                    message: tail(failure.message),
                    log_tail: tail(failure.log_tail),
                })
            }
            wire::outcome::Outcome::Released(wire::Released {}) => Self::Released,
        })
    }
}

impl IntoWire for Grant {
    type Wire = wire::Grant;

    fn into_wire(self) -> wire::Grant {
        wire::Grant {
            attempt: Some(self.attempt.into_wire()),
            spec: self.spec,
            resume: self.resume.map(IntoWire::into_wire),
            timeout_ms: self.timeout.map_or(0, millis),
            checkpoint_ms: millis(self.checkpoint),
            memory_bytes: self.memory_bytes,
            data_path: self.data_path.unwrap_or_default(),
            threads: self.threads,
            keep_weights: self.keep_weights.as_str().to_owned(),
        }
    }
}

impl FromWire for Grant {
    type Wire = wire::Grant;

    fn from_wire(wire: wire::Grant) -> Result<Self, WireError> {
        let threads = required("grant.threads", (wire.threads > 0).then_some(wire.threads))?;
        bounded("grant.threads", u64::from(threads), u64::from(THREADS_MAX))?;
        let word = || WireError::Word {
            field: "grant.keep_weights",
            found: wire.keep_weights.chars().take(40).collect(),
        };
        let keep_weights = KeepWeights::from_word(&wire.keep_weights).ok_or_else(word)?;
        Ok(Self {
            attempt: attempt("grant.attempt", wire.attempt)?,
            spec: bounded_len("grant.spec", wire.spec, SPEC_BYTES_MAX)?,
            resume: wire.resume.map(Checkpoint::from_wire).transpose()?,
            timeout: (wire.timeout_ms > 0).then(|| Duration::from_millis(wire.timeout_ms)),
            checkpoint: Duration::from_millis(wire.checkpoint_ms),
            memory_bytes: wire.memory_bytes,
            data_path: non_empty(wire.data_path),
            threads,
            keep_weights,
        })
    }
}

impl IntoWire for ToWorker {
    type Wire = wire::CoordinatorMessage;

    fn into_wire(self) -> wire::CoordinatorMessage {
        let message = match self {
            Self::Welcome { journal, epoch, lease, heartbeat } => {
                to::Message::Welcome(wire::Welcome {
                    journal: journal.to_string(),
                    epoch: epoch.0,
                    lease_ms: millis(lease),
                    heartbeat_ms: millis(heartbeat),
                })
            }
            Self::Grant(grant) => to::Message::Grant(grant.into_wire()),
            Self::Rows { attempt, table, next_row } => to::Message::Rows(wire::RowsAcknowledged {
                attempt: Some(attempt.into_wire()),
                table: table.as_str().to_owned(),
                next_row,
            }),
            Self::Outcome { attempt, refusal } => to::Message::Outcome(wire::OutcomeAcknowledged {
                attempt: Some(attempt.into_wire()),
                refusal: refusal.unwrap_or_default(),
            }),
            Self::Revoke { attempt, reason } => {
                to::Message::Revoke(wire::Revoke { attempt: Some(attempt.into_wire()), reason })
            }
            Self::Drain { reason } => to::Message::Drain(wire::Drain { reason }),
            Self::Checkpoint { attempt, step } => {
                to::Message::Checkpoint(wire::CheckpointAcknowledged {
                    attempt: Some(attempt.into_wire()),
                    step,
                })
            }
            Self::Weights { attempt, step } => to::Message::Weights(wire::WeightsAcknowledged {
                attempt: Some(attempt.into_wire()),
                step,
            }),
            Self::Heard => to::Message::Heard(wire::Heard {}),
        };
        wire::CoordinatorMessage { message: Some(message) }
    }
}

impl FromWire for ToWorker {
    type Wire = wire::CoordinatorMessage;

    fn from_wire(wire: wire::CoordinatorMessage) -> Result<Self, WireError> {
        Ok(match required("message", wire.message)? {
            to::Message::Welcome(welcome) => Self::Welcome {
                journal: id("welcome.journal", &welcome.journal)?,
                epoch: Epoch(welcome.epoch),
                lease: Duration::from_millis(welcome.lease_ms),
                heartbeat: Duration::from_millis(welcome.heartbeat_ms),
            },
            to::Message::Grant(grant) => Self::Grant(Grant::from_wire(grant)?),
            to::Message::Rows(rows) => Self::Rows {
                attempt: attempt("rows.attempt", rows.attempt)?,
                table: table("rows.table", &rows.table)?,
                next_row: rows.next_row,
            },
            to::Message::Outcome(outcome) => Self::Outcome {
                attempt: attempt("outcome.attempt", outcome.attempt)?,
                refusal: non_empty(outcome.refusal),
            },
            to::Message::Revoke(revoke) => Self::Revoke {
                attempt: attempt("revoke.attempt", revoke.attempt)?,
                reason: revoke.reason,
            },
            to::Message::Drain(drain) => Self::Drain { reason: drain.reason },
            to::Message::Checkpoint(stored) => Self::Checkpoint {
                attempt: attempt("checkpoint.attempt", stored.attempt)?,
                step: stored.step,
            },
            to::Message::Weights(stored) => Self::Weights {
                attempt: attempt("weights.attempt", stored.attempt)?,
                step: stored.step,
            },
            to::Message::Heard(wire::Heard {}) => Self::Heard,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{AttemptNo, JobId, JournalId, Table, WorkerId};

    fn attempt() -> Attempt {
        let sweep = "a-sweep".parse().expect("a good name");
        Attempt { sweep, job: JobId([7; 16]), number: AttemptNo(3) }
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            digest: Digest([1; 32]),
            step: 9,
            steps_rows: 2,
            confusion_rows: 1,
            engine_revision: "e1".into(),
            instruction_set: "avx2".into(),
        }
    }

    #[test]
    fn what_a_worker_says_survives_the_wire() {
        let report = FailureReport {
            class: FailureClass::Signal,
            exit_code: None,
            signal: Some(9),
            message: "killed".into(),
            log_tail: "last line".into(),
        };
        let hello = Hello {
            worker: WorkerId([2; 16]),
            protocol: 1,
            version: "0.1.0".into(),
            engine_revision: "e1".into(),
            instruction_set: "avx2".into(),
            host: "here".into(),
            process: 12,
            slots: 2,
            cores: 2,
            memory_bytes: 1 << 30,
            held: vec![attempt()],
            time_left: Some(Duration::from_secs(60)),
        };
        let progress = Progress {
            attempt: attempt(),
            step: 1,
            steps: 2,
            risk: Some(0.5),
            min_cos: None,
            rms_cos: Some(0.1),
        };
        let rows = RowBatch {
            attempt: attempt(),
            table: Table::Confusion,
            first_row: 4,
            row_count: 2,
            cells: vec![1, 2, 3],
        };
        let result =
            Outcome::Result { steps_rows: 4, confusion_rows: 2, weights: 3, cells: vec![9] };
        for message in [
            FromWorker::Hello(hello),
            FromWorker::Capacity { free_slots: 3, taken: 5 },
            FromWorker::Heartbeat(vec![progress]),
            FromWorker::Rows(rows),
            FromWorker::Checkpoint(attempt(), checkpoint()),
            FromWorker::Weights(attempt(), Kept { step: 7, digest: Digest([5; 32]) }),
            FromWorker::Outcome(attempt(), result),
            FromWorker::Outcome(attempt(), Outcome::Failure(report)),
            FromWorker::Outcome(attempt(), Outcome::Released),
            FromWorker::Goodbye,
        ] {
            assert_eq!(FromWorker::from_bytes(&message.to_bytes()), Ok(message));
        }
    }

    #[test]
    fn what_the_coordinator_says_survives_the_wire() {
        let grant = Grant {
            attempt: attempt(),
            spec: "{}".into(),
            resume: Some(checkpoint()),
            timeout: None,
            checkpoint: Duration::from_secs(60),
            memory_bytes: 5,
            data_path: Some("data".into()),
            threads: 8,
            keep_weights: KeepWeights::Measured,
        };
        for message in [
            ToWorker::Welcome {
                journal: JournalId([4; 16]),
                epoch: Epoch(2),
                lease: Duration::from_secs(30),
                heartbeat: Duration::from_secs(5),
            },
            ToWorker::Grant(grant),
            ToWorker::Rows { attempt: attempt(), table: Table::Steps, next_row: 8 },
            ToWorker::Outcome { attempt: attempt(), refusal: None },
            ToWorker::Outcome { attempt: attempt(), refusal: Some("stale".into()) },
            ToWorker::Revoke { attempt: attempt(), reason: "cancelled".into() },
            ToWorker::Drain { reason: "maintenance".into() },
            ToWorker::Checkpoint { attempt: attempt(), step: 9 },
            ToWorker::Weights { attempt: attempt(), step: 7 },
            ToWorker::Heard,
        ] {
            assert_eq!(ToWorker::from_wire(message.clone().into_wire()), Ok(message));
        }
    }

    #[test]
    fn malformed_messages_are_refused_by_field() {
        let bad = FromWorker::from_wire(wire::WorkerMessage { message: None });
        assert_eq!(bad, Err(WireError::Missing { field: "message" }));
        let rows = wire::RowBatch { row_count: u32::MAX, ..Default::default() };
        let message = Some(from::Message::Rows(rows));
        let bad = FromWorker::from_wire(wire::WorkerMessage { message });
        assert!(matches!(bad, Err(WireError::TooLarge { field: "rows.row_count", .. })));
        let long = "e".repeat(WORD_BYTES_MAX + 1);
        let wordy = [
            Checkpoint { engine_revision: long.clone(), ..checkpoint() },
            Checkpoint { instruction_set: long, ..checkpoint() },
        ];
        for checkpoint in wordy {
            let bad =
                FromWorker::from_bytes(&FromWorker::Checkpoint(attempt(), checkpoint).to_bytes());
            assert!(matches!(bad, Err(WireError::TooLarge { found: 257, .. })), "{bad:?}");
        }
        let mut stray = attempt().into_wire();
        stray.job = "zz".into();
        assert!(matches!(Attempt::from_wire(stray), Err(WireError::Id { .. })));
        let grant = |threads| {
            let attempt = Some(attempt().into_wire());
            let keep_weights = "none".to_owned();
            Grant::from_wire(wire::Grant { attempt, threads, keep_weights, ..Default::default() })
        };
        assert_eq!(grant(0), Err(WireError::Missing { field: "grant.threads" }));
        assert!(grant(THREADS_MAX).is_ok());
        let bad = grant(THREADS_MAX + 1);
        assert!(matches!(bad, Err(WireError::TooLarge { field: "grant.threads", .. })), "{bad:?}");
    }

    #[test]
    fn a_long_log_keeps_its_end() {
        let long = format!("{}é-end", "x".repeat(LOG_TAIL_BYTES_MAX));
        let kept = tail(long);
        assert!(kept.len() <= LOG_TAIL_BYTES_MAX && kept.ends_with("é-end"));
    }
}

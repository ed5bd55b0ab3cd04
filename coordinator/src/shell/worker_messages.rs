//! What workers say, decided one message at a time.

use std::collections::HashSet;

use domain::{Table, Timestamp, WorkerId};
use proto::error::ApiError;
use proto::limits::WORD_BYTES_MAX;
use proto::message::{
    Attempt, Checkpoint, FromWorker, Hello, Kept, Outcome, Progress, RowBatch, ToWorker,
};
use proto::rows::{self, Value};
use tokio::sync::mpsc;

use super::core::{Core, Heard};
use super::roster::SessionNo;
use crate::journal::{SpoolChange, SpooledRows};
use crate::machine::{Input, Job, Refusal, RowCounts, State};
use crate::sink::FILLED_IN;

impl Core {
    /// A worker introduces itself: what it holds and we know of goes on, the rest is sorted out.
    pub fn attach(
        &mut self,
        hello: Hello,
        outbox: mpsc::Sender<ToWorker>,
        now: Timestamp,
    ) -> Result<SessionNo, ApiError> {
        let worker = hello.worker;
        let said = hello.held.clone();
        let reconnect = self.roster.get(worker).is_some();
        if !reconnect {
            let (host, slots) = (&hello.host, hello.slots);
            tracing::info!(%worker, %host, process = hello.process, slots, "worker joined");
        }
        let session = self.roster.attach(hello, outbox);
        self.tell(
            worker,
            ToWorker::Welcome {
                journal: self.journal,
                epoch: self.epoch,
                lease: self.lease,
                heartbeat: self.lease / 6,
            },
        );
        for attempt in &said {
            if self.holds(worker, attempt) {
                let key = (attempt.sweep.clone(), attempt.job);
                let job = self.machine.job(&attempt.sweep, attempt.job);
                self.roster.hold(worker, key.clone(), job.is_some_and(Job::is_suspect));
                self.leases.set(key, now + self.lease);
            } else if !self.is_committed_by(attempt) {
                // A committed attempt whose acknowledgement was lost stays: its outcome comes again and is answered.
                self.revoke(worker, attempt.clone(), "it is not this worker's any more");
            }
        }
        // Grants that were lost with the old connection: the worker never heard of them.
        self.release_all_but(worker, &said, now);
        Ok(session)
    }

    /// Takes back, at no cost to the jobs, what we gave a worker and it does not say that it holds.
    fn release_all_but(&mut self, worker: WorkerId, said: &[Attempt], now: Timestamp) {
        let ours = self.machine.leases().filter(|(_, _, holder, _)| *holder == worker);
        let said: HashSet<_> = said.iter().collect();
        let unheard: Vec<_> = ours
            .map(|(sweep, job, _, number)| Attempt { sweep, job, number })
            .filter(|attempt| !said.contains(attempt))
            .collect();
        for attempt in unheard {
            let input = Input::Release { attempt: attempt.number };
            if let Ok(Some(event)) =
                self.machine.decide_job(now, &attempt.sweep, attempt.job, input)
            {
                self.record(event, now);
            }
        }
    }

    /// One message of a worker's current session.
    pub fn hear(&mut self, worker: WorkerId, message: FromWorker, now: Timestamp) {
        match message {
            // The session takes hello as its first message and refuses another.
            FromWorker::Hello(_) => {}
            FromWorker::Capacity { free_slots, taken } => {
                if let Some(worker) = self.roster.get_mut(worker) {
                    worker.can_take(free_slots, taken);
                }
            }
            FromWorker::Heartbeat(running) => self.heartbeat(worker, running, now),
            FromWorker::Rows(batch) => self.rows(worker, batch, now),
            FromWorker::Checkpoint(attempt, checkpoint) => {
                self.checkpoint(worker, attempt, checkpoint, now);
            }
            FromWorker::Weights(attempt, kept) => self.weights(worker, attempt, kept, now),
            FromWorker::Outcome(attempt, outcome) => self.outcome(worker, attempt, outcome, now),
            FromWorker::Goodbye => {
                tracing::info!(%worker, "worker left");
                if let Some(worker) = self.roster.get_mut(worker) {
                    worker.draining = true;
                }
                // It holds nothing any more: what was on its way to it when it left is for others, at once.
                self.release_all_but(worker, &[], now);
            }
        }
    }

    fn holds(&self, worker: WorkerId, attempt: &Attempt) -> bool {
        let job = self.machine.job(&attempt.sweep, attempt.job);
        job.is_some_and(|job| job.is_held_by(worker, attempt.number))
    }

    fn is_committed_by(&self, attempt: &Attempt) -> bool {
        let job = self.machine.job(&attempt.sweep, attempt.job);
        job.is_some_and(|job| {
            matches!(job.state, State::Committed { .. }) && job.last == attempt.number
        })
    }

    fn revoke(&mut self, worker: WorkerId, attempt: Attempt, reason: &str) {
        self.tell(worker, ToWorker::Revoke { attempt, reason: reason.to_owned() });
    }

    fn heartbeat(&mut self, worker: WorkerId, running: Vec<Progress>, now: Timestamp) {
        for progress in running {
            let attempt = progress.attempt.clone();
            if self.holds(worker, &attempt) {
                let key = (attempt.sweep, attempt.job);
                self.leases.set(key.clone(), now + self.lease);
                let heard = Heard::after(self.progress.get(&key), progress, now);
                self.progress.insert(key, heard);
            } else if !self.is_committed_by(&attempt) {
                self.revoke(worker, attempt, "it is not this worker's any more");
            }
        }
        self.tell(worker, ToWorker::Heard);
    }

    /// Decides an input of a worker's attempt. Only the worker that holds the lease may add to it, whatever number it
    /// names.
    fn decide(
        &mut self,
        worker: WorkerId,
        attempt: &Attempt,
        input: Input,
        now: Timestamp,
    ) -> Result<Option<crate::machine::Event>, String> {
        let job = self.machine.job(&attempt.sweep, attempt.job);
        let job = job.ok_or_else(|| "the job is not known".to_owned())?;
        if let State::Leased { worker: holder } = job.state
            && holder != worker
        {
            return Err(Refusal::Fenced { attempt: attempt.number }.to_string());
        }
        self.machine.decide_job(now, &attempt.sweep, attempt.job, input).map_err(|refusal| {
            refusal.map_or_else(|| "the job is not known".to_owned(), |refusal| refusal.to_string())
        })
    }

    fn rows(&mut self, worker: WorkerId, batch: RowBatch, now: Timestamp) {
        let RowBatch { attempt, table, first_row, row_count, cells } = batch;
        let count = u64::from(row_count);
        let input = Input::Rows { attempt: attempt.number, table, first_row, row_count: count };
        match self.decide(worker, &attempt, input, now) {
            Ok(event) => {
                if let Some(event) = event {
                    self.record(event, now);
                    self.batch.spool.push(SpoolChange::Put {
                        sweep: attempt.sweep.clone(),
                        job: attempt.job,
                        table,
                        rows: SpooledRows { first_row, row_count, cells },
                    });
                }
                let next_row = first_row.saturating_add(count);
                self.tell(worker, ToWorker::Rows { attempt, table, next_row });
            }
            Err(reason) => self.revoke(worker, attempt, &reason),
        }
    }

    fn checkpoint(
        &mut self,
        worker: WorkerId,
        attempt: Attempt,
        checkpoint: Checkpoint,
        now: Timestamp,
    ) {
        let (step, digest) = (checkpoint.step, checkpoint.digest);
        let input = Input::Checkpoint { attempt: attempt.number, checkpoint };
        match self.decide(worker, &attempt, input, now) {
            // Removed because nobody had spoken of it, or because nobody needed it any more: the attempt goes on, and its
            // next checkpoint counts.
            Ok(Some(_)) if !self.has_blob(digest) => {
                tracing::info!(job = %attempt.job, step, "a checkpoint is not here any more");
            }
            Ok(event) => {
                if let Some(event) = event {
                    self.record(event, now);
                }
                self.tell(worker, ToWorker::Checkpoint { attempt, step });
            }
            Err(reason) => self.revoke(worker, attempt, &reason),
        }
    }

    fn weights(&mut self, worker: WorkerId, attempt: Attempt, kept: Kept, now: Timestamp) {
        let step = kept.step;
        let input = Input::Weights { attempt: attempt.number, kept };
        match self.decide(worker, &attempt, input, now) {
            Ok(Some(_)) if !self.has_blob(kept.digest) => {
                // Stored before this coordinator started, and tidied away because nobody had spoken of them. The worker has
                // them no more, so the job goes on from its checkpoint; that costs it no attempt.
                let input = Input::Release { attempt: attempt.number };
                // It was this worker's a moment ago.
                drop(self.settle(worker, &attempt, input, now));
                self.revoke(worker, attempt, "the weights to keep are not here any more");
            }
            Ok(event) => {
                if let Some(event) = event {
                    self.record(event, now);
                }
                self.tell(worker, ToWorker::Weights { attempt, step });
            }
            Err(reason) => self.revoke(worker, attempt, &reason),
        }
    }

    fn outcome(&mut self, worker: WorkerId, attempt: Attempt, outcome: Outcome, now: Timestamp) {
        let refusal = match outcome {
            Outcome::Result { steps_rows, confusion_rows, weights, cells } => {
                let rows = RowCounts { steps: steps_rows, confusion: confusion_rows };
                self.result(worker, &attempt, (rows, weights), &cells, now).err()
            }
            Outcome::Failure(report) => {
                let host = self.roster.get(worker).map(|worker| worker.hello.host.clone());
                let host = host.unwrap_or_default();
                let input = Input::Fail { attempt: attempt.number, host: host.clone(), report };
                let settled = self.settle(worker, &attempt, input, now);
                if settled.is_ok() {
                    self.failed_on(&host, &attempt);
                }
                settled.err()
            }
            Outcome::Released => {
                let input = Input::Release { attempt: attempt.number };
                self.settle(worker, &attempt, input, now).err()
            }
        };
        self.tell(worker, ToWorker::Outcome { attempt, refusal });
    }

    /// A job failed on `host`: its workers are drained if it is the host.
    fn failed_on(&mut self, host: &str, attempt: &Attempt) {
        if !self.blame.failed(host, (attempt.sweep.clone(), attempt.job)) {
            return;
        }
        let reason = format!("every job fails on host {host}, and others succeed elsewhere");
        for worker in self.roster.blame(host) {
            tracing::warn!(%worker, "worker drained: {reason}");
            self.tell(worker, ToWorker::Drain { reason: reason.clone() });
        }
    }

    fn settle(
        &mut self,
        worker: WorkerId,
        attempt: &Attempt,
        input: Input,
        now: Timestamp,
    ) -> Result<(), String> {
        if let Some(event) = self.decide(worker, attempt, input, now)? {
            self.record(event, now);
        }
        Ok(())
    }

    /// A result: its `jobs` row is completed with what only the coordinator knows, and stored with the commit.
    fn result(
        &mut self,
        worker: WorkerId,
        attempt: &Attempt,
        (rows, weights): (RowCounts, u64),
        cells: &[u8],
        now: Timestamp,
    ) -> Result<(), String> {
        let JobsRow { cells, diverged, engine, final_risk } = JobsRow::complete(cells, worker)?;
        let input = Input::Commit { attempt: attempt.number, rows, weights, diverged, engine };
        let Some(event) = self.decide(worker, attempt, input, now)? else { return Ok(()) };

        self.record(event, now);
        if let Some(worker) = self.roster.get(worker) {
            self.blame.committed(&worker.hello.host);
        }
        self.batch.spool.push(SpoolChange::Put {
            sweep: attempt.sweep.clone(),
            job: attempt.job,
            table: Table::Jobs,
            rows: SpooledRows { first_row: 0, row_count: 1, cells },
        });
        self.watchers.finished(&attempt.sweep, attempt.job, final_risk);
        Ok(())
    }
}

/// A `jobs` row as it is stored, and what the coordinator reads in it.
struct JobsRow {
    cells: Vec<u8>,
    diverged: bool,
    engine: String,
    final_risk: Option<f64>,
}

impl JobsRow {
    /// Puts into a row what is known now and not later, and takes out what follows from the sweep: it is filled in when the
    /// row becomes part of a file.
    fn complete(cells: &[u8], worker: WorkerId) -> Result<Self, String> {
        let worker = worker.to_string();
        let (mut diverged, mut engine, mut final_risk) = (None, None, None);
        let cells = rows::revise(Table::Jobs, cells, |column, value| {
            match (column.name, value) {
                ("worker", _) => return Some(Value::Text(&worker)),
                (name, _) if FILLED_IN.contains(&name) => return Some(Value::Null),
                ("status", Value::Text("completed")) => diverged = Some(false),
                ("status", Value::Text("diverged")) => diverged = Some(true),
                ("engine_revision", Value::Text(text)) => engine = Some(text.to_owned()),
                ("final_risk", Value::Float(risk)) => final_risk = Some(risk),
                _ => {}
            }
            None
        });
        let engine = engine.ok_or("the jobs row names no engine revision")?;
        // It is remembered for as long as the sweep is.
        if engine.len() > WORD_BYTES_MAX {
            let found = engine.len();
            return Err(format!(
                "the jobs row has an engine revision of {found} bytes; at most {WORD_BYTES_MAX} are taken"
            ));
        }
        Ok(Self {
            cells: cells.map_err(|error| error.to_string())?,
            diverged: diverged.ok_or("the jobs row has no status")?,
            engine,
            final_risk,
        })
    }
}

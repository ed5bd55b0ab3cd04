//! Live rows: those that are durable and in no segment yet, for whoever asks for them.
//!
//! The loop is asked for some jobs at a time, and their rows are read in the journal beside it, no faster than they are taken.
//! Of a job that is done, its row of table `jobs` is read first: whoever has that finds all others here, or in a segment that
//! is visible by then.

use std::collections::VecDeque;
use std::sync::Arc;

use domain::{AttemptNo, JobId, SweepId, SweepName, Table, Timestamp};
use proto::error::ApiError;
use proto::limits::LIVE_BYTES;
use proto::message::{LiveBatch, LiveRows};
use tokio::sync::mpsc;

use super::api::{Api, stopping};
use super::core::Core;
use super::run::chain;
use crate::journal::{Journal, JournalError, SpooledRows};
use crate::machine::State;

/// Jobs that the loop is asked for at a time: a millisecond of its time, for the texts of their specs.
const JOBS_AT_A_TIME: usize = 32;

/// Messages that wait for one reader.
const MESSAGES_WAITING: usize = 2;

type Messages = mpsc::Sender<Result<LiveRows, ApiError>>;

/// The live rows of `sweep`, job after job in the order of their ids. No thread waits for whoever reads.
pub fn stream<J: Journal>(
    api: Api<J>,
    sweep: SweepName,
) -> mpsc::Receiver<Result<LiveRows, ApiError>> {
    let (messages, receiver) = mpsc::channel(MESSAGES_WAITING);
    tokio::spawn(async move {
        if let Err(error) = send_all(&api, &sweep, &messages).await {
            // Whoever asked may have left.
            drop(messages.send(Err(error)).await);
        }
    });
    receiver
}

async fn send_all<J: Journal>(
    api: &Api<J>,
    sweep: &SweepName,
    messages: &Messages,
) -> Result<(), ApiError> {
    let (journal, name) = (Arc::clone(&api.journal), sweep.clone());
    let mut ids = blocking(move || journal.spooled_jobs(&name)).await?;
    ids.sort_unstable();
    for ids in ids.chunks(JOBS_AT_A_TIME) {
        let (ids, name) = (ids.to_vec(), sweep.clone());
        let jobs = api.read(move |core| LiveJob::look_up(core, &name, &ids)).await?;
        let mut reading = Reading::new(sweep.clone(), jobs);
        loop {
            let Ok(room) = messages.reserve().await else { return Ok(()) };
            let journal = Arc::clone(&api.journal);
            let (rest, read) = blocking(move || {
                let read = reading.next(&*journal);
                (reading, read)
            })
            .await?;
            reading = rest;
            let mut read =
                read.map_err(|error| ApiError::Refused { reason: chain(&error) })?.into_iter();
            let Some(first) = read.next() else { break };
            room.send(Ok(first));
            for more in read {
                if messages.send(Ok(more)).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| stopping())
}

/// A job that has live rows.
struct LiveJob {
    id: JobId,
    spec: String,
    sweep_id: SweepId,
    attempt: AttemptNo,
    queued_at: Timestamp,
    is_done: bool,
}

impl LiveJob {
    /// What is known of these jobs; a job that is not to give a result has no rows any more.
    fn look_up(core: &Core, sweep: &SweepName, ids: &[JobId]) -> Result<Vec<Self>, ApiError> {
        let lineage = core.lineage(sweep)?;
        let numbers = ids.iter().filter_map(|&id| lineage.number(id));
        let live = numbers.filter_map(|number| {
            let job = lineage.job(number);
            let is_done = match job.state {
                State::Committed { .. } => true,
                State::Queued { .. } | State::Leased { .. } => false,
                State::Abandoned { .. } | State::Cancelled => return None,
            };
            Some(Self {
                id: job.id,
                spec: lineage.spec_text(number),
                sweep_id: lineage.origin(number),
                attempt: job.last,
                queued_at: job.queued_at,
                is_done,
            })
        });
        Ok(live.collect())
    }

    fn message(&self, table: Table, rows: Vec<SpooledRows>) -> LiveRows {
        let batch =
            |SpooledRows { first_row, row_count, cells }| LiveBatch { first_row, row_count, cells };
        LiveRows {
            job: self.id,
            spec: self.spec.clone(),
            sweep_id: self.sweep_id,
            attempt: self.attempt,
            queued_at: self.queued_at,
            table,
            batches: rows.into_iter().map(batch).collect(),
        }
    }
}

/// What is left to read of some jobs.
struct Reading {
    sweep: SweepName,
    left: VecDeque<(Arc<LiveJob>, Table)>,
    /// Where the first of them goes on.
    next_row: u64,
}

impl Reading {
    fn new(sweep: SweepName, jobs: Vec<LiveJob>) -> Self {
        let left = jobs.into_iter().flat_map(|job| {
            let jobs_row = job.is_done.then_some(Table::Jobs);
            let job = Arc::new(job);
            let tables = jobs_row.into_iter().chain([Table::Steps, Table::Confusion]);
            tables.map(move |table| (Arc::clone(&job), table))
        });
        Self { sweep, left: left.collect(), next_row: 0 }
    }

    /// The next messages: some [`LIVE_BYTES`] in all; none at the end. Blocks.
    fn next(&mut self, journal: &impl Journal) -> Result<Vec<LiveRows>, JournalError> {
        let (mut messages, mut bytes) = (Vec::new(), 0);
        while bytes < LIVE_BYTES
            && let Some((job, table)) = self.left.front()
        {
            let rows = journal.some_rows(&self.sweep, job.id, *table, self.next_row)?;
            let Some(last) = rows.last() else {
                self.left.pop_front();
                self.next_row = 0;
                continue;
            };
            self.next_row = last.first_row + u64::from(last.row_count);
            bytes += rows.iter().map(|rows| rows.cells.len() as u64).sum::<u64>();
            bytes += job.spec.len() as u64;
            messages.push(job.message(*table, rows));
        }
        Ok(messages)
    }
}

//! The loop: the only caller of `decide` and `apply`.
//!
//! It takes the requests that wait, does each in memory, makes all of it durable with *one* sync (at once when idle,
//! together when busy), and only then replies and acts. If the sync fails, the process stops: nobody knows what the disk
//! holds, and the journal makes stopping safe.

use std::sync::Arc;
use std::time::Duration;

use domain::{JobId, SweepName, Table};
use store::Store;
use tokio::sync::{mpsc, watch};

use super::blobs::Blobs;
use super::clock::Clock;
use super::core::{Core, Requests};
use super::request::Request;
use super::watch::{tell_trouble, tell_watchers};
use crate::journal::{Batch, Journal, JournalError};
use crate::machine::{Snapshot, State};
use crate::sink::{Contents, FailureLine, JobContents, write_revision, write_segment};

/// Requests that wait for the loop. More make their senders wait: backpressure, not memory.
pub const REQUESTS_QUEUED: usize = 4_096;

/// Most requests done between two syncs: what one reply may wait for.
const REQUESTS_A_SYNC: usize = 1_024;

/// How often leases are looked at and watchers are told.
const TICK: Duration = Duration::from_millis(200);

/// Wait before a segment that could not be written is tried again.
pub const SEGMENT_RETRY: Duration = Duration::from_secs(2);

/// Wait before a batch is tried again for which the disk had no room.
const FULL_RETRY: Duration = Duration::from_millis(250);

/// What the loop works with beside its core.
pub struct Surroundings<J> {
    pub journal: Arc<J>,
    pub blobs: Blobs,
    pub results: Store,
    pub clock: Clock,
    /// For the sink to say that it is done.
    pub requests: Requests,
    /// Why nothing can be stored now.
    pub stall: watch::Sender<Option<String>>,
    /// Becomes true when the coordinator is to stop.
    pub shutdown: watch::Receiver<bool>,
}

/// Runs until a [`Request::Stop`], or until the journal fails.
///
/// # Errors
/// The journal's error. Nothing that was not durable has left.
pub async fn run<J: Journal>(
    mut core: Core,
    mut requests: mpsc::Receiver<Request>,
    mut around: Surroundings<J>,
) -> Result<(), JournalError> {
    let mut waiting = Vec::with_capacity(REQUESTS_A_SYNC);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut go_on = true;
    while go_on {
        let mut ticked = false;
        tokio::select! {
            received = requests.recv_many(&mut waiting, REQUESTS_A_SYNC) => {
                if received == 0 {
                    return Ok(());
                }
            }
            _ = ticks.tick() => ticked = true,
        }
        if ticked {
            around.journal.check()?;
        }
        let now = around.clock.now();
        go_on = core.turn(waiting.drain(..), ticked, now);
        let batch = std::mem::take(&mut core.batch);
        if !batch.is_empty() {
            store(&mut core, &mut around, batch).await?;
            if around.journal.is_long() {
                begin_anew(&*around.journal, core.machine.snapshot()).await?;
            }
        }
        pay(&mut core, &around);
        if ticked {
            tell_watchers(&mut core);
        }
    }
    Ok(())
}

/// Makes a batch durable. Where the disk is full it waits for room: nothing is acknowledged meanwhile, and everybody who
/// asks is told why.
async fn store<J: Journal>(
    core: &mut Core,
    around: &mut Surroundings<J>,
    batch: Batch,
) -> Result<(), JournalError> {
    let batch = Arc::new(batch);
    while let Err(error) = around.journal.append(Arc::clone(&batch)).await {
        if !error.is_full() {
            return Err(error);
        }
        if around.stall.borrow().is_none() {
            tracing::error!("{}", chain(&error));
            let trouble = format!("{}; free some space, and it goes on by itself", chain(&error));
            tell_trouble(core, &trouble);
            around.stall.send_replace(Some(trouble));
        }
        tokio::select! {
            () = tokio::time::sleep(FULL_RETRY) => {}
            _ = around.shutdown.wait_for(|shutdown| *shutdown) => return Err(error),
        }
    }
    if around.stall.send_replace(None).is_some() {
        tracing::info!("there is room again");
    }
    Ok(())
}

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Lets the journal begin with the state as it is. Where there is no room for that, it goes on as it was.
async fn begin_anew<J: Journal>(journal: &J, snapshot: Snapshot) -> Result<(), JournalError> {
    match journal.begin_anew(snapshot).await {
        Err(error) if error.is_full() => {
            tracing::warn!("the journal grows on: {error}");
            Ok(())
        }
        begun => begun,
    }
}

/// Replies and acts: everything that waited for the sync.
fn pay<J: Journal>(core: &mut Core, around: &Surroundings<J>) {
    let owed = std::mem::take(&mut core.owed);
    for (worker, message) in owed.to_workers {
        core.roster.send(worker, message);
    }
    for reply in owed.replies {
        reply();
    }
    around.blobs.remove_strays(owed.strays);
    around.blobs.remove(owed.dead_blobs);
    for sweep in owed.revisions {
        put_revisions_on_record(core, around, &sweep);
    }
    for sweep in owed.segments {
        write_planned(core, around, &sweep);
    }
}

fn put_revisions_on_record<J: Journal>(core: &Core, around: &Surroundings<J>, sweep: &SweepName) {
    let Some(lineage) = core.machine.lineage(sweep) else { return };
    for revision in lineage.revisions() {
        let (sweep, results) = (revision.sweep.clone(), around.results.clone());
        let handed_in = revision.handed_in.clone();
        let jobs = (revision.id == lineage.current().id).then(|| {
            let ids = lineage.members().iter().map(|&number| lineage.job(number).id);
            ids.collect::<Vec<_>>()
        });
        let requests = around.requests.clone();
        tokio::task::spawn_blocking(move || {
            let result = write_revision(&results, &sweep, &handed_in, jobs.as_deref());
            let (sweep, id) = (sweep.name().clone(), sweep.id());
            // If the loop is gone, the next start writes what is missing.
            drop(requests.blocking_send(Request::Recorded { sweep, id, result }));
        });
    }
}

/// Starts writing the segment that is planned for `sweep`.
fn write_planned<J: Journal>(core: &Core, around: &Surroundings<J>, sweep: &SweepName) {
    let Some(lineage) = core.machine.lineage(sweep) else { return };
    let Some(plan) = lineage.planned() else { return };
    let contents = Contents {
        sweep: sweep.clone(),
        segment: plan.segment.clone(),
        jobs: plan
            .jobs
            .iter()
            .map(|&number| JobContents {
                id: lineage.job(number).id,
                spec: lineage.spec(number),
                spec_text: lineage.spec_text(number),
                sweep_id: lineage.origin(number),
                attempt: lineage.job(number).last,
                queued_at: lineage.job(number).queued_at,
                kept: lineage.job(number).kept.clone(),
            })
            .collect(),
        failures: plan
            .failures
            .iter()
            .map(|record| FailureLine {
                id: lineage.job(record.job).id,
                spec: lineage.spec(record.job),
                sweep_id: lineage.origin(record.job),
                failed: record.failed.clone(),
            })
            .collect(),
    };
    debug_assert!(
        plan.jobs.iter().all(|&n| matches!(lineage.job(n).state, State::Committed { .. }))
    );
    let (results, journal) = (around.results.clone(), Arc::clone(&around.journal));
    let (requests, blobs) = (around.requests.clone(), around.blobs.clone());
    tokio::task::spawn_blocking(move || {
        let spool = |job: JobId, table: Table| journal.rows(&contents.sweep, job, table);
        let open = |digest| blobs.open_file(digest);
        let result = write_segment(&results, &contents, &spool, &open);
        let Contents { sweep, segment, .. } = contents;
        // If the loop is gone, the next start finds the plan and writes what is missing.
        drop(requests.blocking_send(Request::Sealed { sweep, segment, result }));
    });
}

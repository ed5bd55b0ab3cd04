//! One slot: attempts one after the other, on one trial process for as long as that lives.

use std::sync::Arc;
use std::time::Duration;

use domain::{FailureClass, FailureReport, JobSpec};
use proto::message::{Attempt, Checkpoint, FromWorker, Grant, Outcome, Progress};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::attempt::{Over, Running};
use super::blobs::{BlobError, Blobs};
use super::child::{Child, Launch};
use super::clock;
use super::ending::{chain, failure};
use super::exchange::Exchange;
use super::message::{Resume, Start, ToTrial};
use crate::trial::cost;

/// How long a slot takes nothing after its worker's cache could not be used: others are quicker, and whoever clears the disk
/// needs a while.
const CACHE_PAUSE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });

/// What the desk is to know at once, however much else waits to be told.
#[derive(Debug)]
pub enum Signal {
    Progress(Progress),
    /// The slot is free; the attempt's outcome, if anybody waits for one, was told before.
    Vacated {
        slot: usize,
        took: Duration,
    },
    /// What these attempts told cannot be read back.
    Lost(Vec<Attempt>),
}

/// What the desk wants of an attempt. It only ever moves down this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    Run,
    /// Checkpoint and stop, and by force at this time.
    HandBack {
        by: Instant,
    },
    /// Stop; nobody wants what it measures.
    Drop,
}

/// An attempt for a slot.
#[derive(Debug)]
pub struct Assignment {
    pub grant: Grant,
    pub intent: watch::Receiver<Intent>,
}

/// What the slots of one worker have in common.
#[derive(Clone)]
pub struct Common {
    pub launch: Launch,
    pub blobs: Arc<Blobs>,
    pub exchange: Exchange,
    /// Rows, checkpoints and outcomes, in the order in which the coordinator is to hear of them.
    pub tales: mpsc::Sender<FromWorker>,
    pub signals: mpsc::Sender<Signal>,
}

/// A slot and its trial process.
pub struct Slot {
    index: usize,
    common: Common,
    child: Option<Child>,
    /// The tag of the job before.
    tag: u64,
    /// The cache could not be used for the last attempt.
    is_cache_bad: bool,
}

impl Slot {
    /// A slot without a process; the first attempt starts one.
    pub fn new(index: usize, common: Common) -> Self {
        Self { index, common, child: None, tag: 0, is_cache_bad: false }
    }

    /// Runs the attempts that come until no more can.
    pub async fn serve(mut self, mut assignments: mpsc::Receiver<Assignment>) {
        while let Some(Assignment { grant, mut intent }) = assignments.recv().await {
            let attempt = grant.attempt.clone();
            let begun = clock::timer();
            let outcome = self.attempt(grant, intent.clone()).await;
            if let Some(outcome) = outcome {
                if let Outcome::Failure(report) = &outcome {
                    let (job, number, message) = (attempt.job, attempt.number, &report.message);
                    tracing::warn!(%job, attempt = %number, class = %report.class, message, "failed");
                }
                // A desk that is gone ends this task next.
                drop(self.common.tales.send(FromWorker::Outcome(attempt, outcome)).await);
            }
            if std::mem::take(&mut self.is_cache_bad) {
                tokio::select! {
                    () = tokio::time::sleep(CACHE_PAUSE) => {}
                    _ = told_to_end(&mut intent) => {}
                }
            }
            let took = clock::timer().duration_since(begun);
            let signal = Signal::Vacated { slot: self.index, took };
            if self.common.signals.send(signal).await.is_err() {
                break;
            }
        }
        if let Some(child) = self.child.take() {
            drop(child.leave().await);
        }
    }

    async fn attempt(
        &mut self,
        grant: Grant,
        mut intent: watch::Receiver<Intent>,
    ) -> Option<Outcome> {
        let spec = match JobSpec::from_canonical(&grant.spec) {
            Ok(spec) => spec,
            Err(error) => {
                let message = format!("the job's spec cannot be read: {}", chain(&error));
                return Some(Outcome::Failure(failure(FailureClass::Refused, &message)));
            }
        };
        if let Some(report) = too_large(&spec, &grant) {
            return Some(Outcome::Failure(report));
        }
        self.tag += 1;
        let start = tokio::select! {
            start = self.prepare(&grant, &spec) => start,
            end = told_to_end(&mut intent) => return end,
        };
        let start = match start {
            Ok(start) => start,
            Err(error) if error.is_of_cache() => {
                let (job, folder) = (grant.attempt.job, self.common.blobs.folder().display());
                let reason = chain(&error);
                tracing::warn!(
                    %job, reason,
                    "handed back: the cache folder {folder} cannot be used; free some space in it, or start the worker with \
                     another one (--cache)"
                );
                self.is_cache_bad = true;
                return Some(Outcome::Released);
            }
            Err(error) => {
                let message = chain(&error);
                return Some(Outcome::Failure(failure(FailureClass::Input, &message)));
            }
        };
        let child = match self.begin(start).await {
            Ok(child) => child,
            Err(report) => return Some(Outcome::Failure(report)),
        };
        let running = Running::new(&self.common, &grant, &spec, self.tag, child);
        let Over { outcome, child } = running.run(intent).await;
        self.child = child;
        self.tidy(&grant, &spec, outcome.as_ref()).await;
        outcome
    }

    /// Brings the data set and the checkpoint to this host.
    async fn prepare(&self, grant: &Grant, spec: &JobSpec) -> Result<Start, BlobError> {
        let text = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
        let blobs = &self.common.blobs;
        let bundle = match spec.data.digest {
            Some(digest) => Some(blobs.data_set(digest, grant.data_path.clone()).await?),
            None => None,
        };
        let resume = match &grant.resume {
            Some(checkpoint) => {
                let path = text(blobs.checkpoint(checkpoint.digest).await?);
                let Checkpoint { steps_rows, confusion_rows, .. } = *checkpoint;
                Some(Resume { path, steps_rows, confusion_rows })
            }
            None => None,
        };
        Ok(Start {
            tag: self.tag,
            spec: grant.spec.clone(),
            bundle: bundle.map(text),
            resume,
            threads: grant.threads,
            keep_weights: grant.keep_weights.as_str().to_owned(),
        })
    }

    /// A trial process that was told to start: the one of the job before, or, where that is gone, a new one.
    async fn begin(&mut self, start: Start) -> Result<Child, FailureReport> {
        let start = ToTrial::Start(start);
        if let Some(mut child) = self.child.take() {
            child.forget_log();
            if child.is_alive() && child.tell(&start).await.is_ok() {
                return Ok(child);
            }
        }
        let program = self.common.launch.program.display();
        let mut child = Child::start(&self.common.launch).map_err(|error| {
            let message = format!("the trial process {program} cannot be started: {error}");
            failure(FailureClass::Exit, &message)
        })?;
        // A process that does not even take its first order is dead: how it died is seen where its frames are read.
        drop(child.tell(&start).await);
        Ok(child)
    }

    /// Removes the checkpoint that the attempt went on from; has files checked again that a trial could not use.
    async fn tidy(&self, grant: &Grant, spec: &JobSpec, outcome: Option<&Outcome>) {
        if let Some(checkpoint) = &grant.resume {
            self.common.blobs.remove(checkpoint.digest).await;
        }
        if let (Some(Outcome::Failure(report)), Some(digest)) = (outcome, spec.data.digest)
            && report.class == FailureClass::Input
        {
            self.common.blobs.doubt(digest);
        }
    }
}

/// The refusal of a job whose arrays would take more than the memory that it was granted, 0 where it has no limit: better
/// than a process that the kernel kills in the middle of its work. Final: both figures are the same wherever it is tried.
fn too_large(spec: &JobSpec, grant: &Grant) -> Option<FailureReport> {
    let (needed, granted) = (cost(spec, grant.threads).memory_bytes, grant.memory_bytes);
    (granted > 0 && needed > granted).then(|| {
        let message = format!(
            "the job's arrays take about {needed} bytes, and run.memory grants it {granted}: raise run.memory, or compare \
             fewer gradients"
        );
        failure(FailureClass::Refused, &message)
    })
}

/// Resolves when the attempt is not to run any more, with what that comes to before it has started.
async fn told_to_end(intent: &mut watch::Receiver<Intent>) -> Option<Outcome> {
    let intent = intent.wait_for(|intent| *intent != Intent::Run).await;
    match intent.as_deref() {
        Ok(Intent::HandBack { .. }) => Some(Outcome::Released),
        // The desk is gone, and so is everybody who would want an outcome.
        Ok(Intent::Run | Intent::Drop) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests;

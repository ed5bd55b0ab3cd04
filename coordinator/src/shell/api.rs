//! The API as the loop's front: checks what needs no state, asks the loop, waits for its answer.

use std::sync::Arc;

use domain::{Digest, JobId, Sweep, SweepName, WorkerId};
use proto::error::ApiError;
use proto::limits;
use proto::message::{
    FromWorker, JobsPage, JobsQuery, LiveRows, RetryQuery, Submission, Submitted, SweepProgress,
    ToWorker, WorkerLine,
};
use proto::rows;
use proto::server::CoordinatorApi;
use store::Store;
use tokio::sync::{mpsc, oneshot, watch};

use super::blobs::Blobs;
use super::core::{Core, Requests};
use super::handle::{data_sets, wanting};
use super::live;
use super::request::{Reply, Request};
use super::roster::SessionNo;
use super::watch::progress_of;
use crate::journal::Journal;
use crate::machine::Terms;
use crate::sink::{Earlier, earlier_results};

/// Snapshots that wait for one watcher; a slow one gets fewer and fresher ones.
const PROGRESS_WAITING: usize = 4;

/// What the gRPC server calls.
pub struct Api<J> {
    pub requests: Requests,
    /// Read, and never written.
    pub journal: Arc<J>,
    pub blobs: Blobs,
    pub results: Store,
    /// Why nothing can be stored now.
    pub stall: watch::Receiver<Option<String>>,
    /// Becomes true when the coordinator stops.
    pub stopping: watch::Receiver<bool>,
}

impl<J> Clone for Api<J> {
    fn clone(&self) -> Self {
        Self {
            requests: self.requests.clone(),
            journal: Arc::clone(&self.journal),
            blobs: self.blobs.clone(),
            results: self.results.clone(),
            stall: self.stall.clone(),
            stopping: self.stopping.clone(),
        }
    }
}

/// What whoever asks a coordinator that stops is told.
pub fn stopping() -> ApiError {
    ApiError::Unavailable { reason: "it is stopping".to_owned() }
}

impl<J: Journal> Api<J> {
    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, ApiError> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.requests.send(request(reply)).await.map_err(|_| stopping())?;
            answer.await.map_err(|_| stopping())?
        };
        let mut stall = self.stall.clone();
        tokio::select! {
            biased;
            answer = asked => answer,
            // Whoever asks may ask again: what was asked is done once there is room, or never, and never twice.
            Ok(reason) = stall.wait_for(Option::is_some) => {
                Err(ApiError::Unavailable { reason: reason.clone().unwrap_or_default() })
            }
        }
    }

    /// Refuses a sweep that this coordinator's journal does not know while results of its jobs are there: they would be
    /// there twice.
    async fn refuse_earlier(&self, sweep: SweepName, jobs: Arc<[JobId]>) -> Result<(), ApiError> {
        let name = sweep.clone();
        if self.read(move |core| Ok(core.machine.lineage(&name).is_some())).await? {
            return Ok(());
        }
        let (results, name) = (self.results.clone(), sweep.clone());
        let looked = move || earlier_results(&results, &name, &jobs);
        let looked = tokio::task::spawn_blocking(looked).await.map_err(|_| stopping())?;
        let place = self.results.root().display();
        let reason = match looked {
            Ok(None) => return Ok(()),
            Ok(Some(Earlier { count, file })) => format!(
                "{count} jobs of {sweep} have results in {place} already (one file is {file}), and this coordinator's journal \
                 does not know them: they would be there twice. Start it with the journal they were made with, choose another \
                 folder for results, or give the sweep another name"
            ),
            Err(error) => format!(
                "there are results of {sweep} in {place} that this coordinator's journal does not know, and they cannot be \
                 read: {error}. Move them away, choose another folder for results, or give the sweep another name"
            ),
        };
        Err(ApiError::Refused { reason })
    }

    /// What `read` sees in the state, once that is durable.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Core) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.ask(|reply| {
            Request::Read(Box::new(move |core| {
                let answer = read(core);
                // Whoever asked may have left.
                Box::new(move || drop(reply.send(answer)))
            }))
        })
        .await
    }
}

impl<J: Journal> CoordinatorApi for Api<J> {
    async fn submit(&self, submission: Submission) -> Result<Submitted, ApiError> {
        let Submission { sweep, file_name, file_text, revise, strict, engine_revision } =
            submission;
        // Reading a large grid takes a while: not on a thread that serves heartbeats.
        let read = tokio::task::spawn_blocking(move || {
            let sweep = Sweep::from_canonical(&sweep)?;
            let jobs = sweep.job_ids();
            Ok((sweep, jobs))
        });
        let read: Result<_, domain::CanonicalError> = read.await.map_err(|_| stopping())?;
        let (sweep, jobs) = read.map_err(|error| ApiError::Invalid {
            problem: format!("the sweep is not in canonical form: {error}"),
        })?;
        let missing: Vec<Digest> =
            data_sets(&sweep).filter(|digest| !self.blobs.has(*digest)).collect();
        if !missing.is_empty() {
            return Ok(wanting(&sweep, missing));
        }
        let jobs: Arc<[JobId]> = jobs.into();
        self.refuse_earlier(sweep.name().clone(), Arc::clone(&jobs)).await?;
        let (sweep, terms) = (Box::new(sweep), Terms { revise, strict, engine_revision });
        self.ask(|reply| Request::Submit { sweep, jobs, file_name, file_text, terms, reply }).await
    }

    async fn list(&self) -> Result<Vec<SweepProgress>, ApiError> {
        let all = |core: &Core| {
            let lineages = core.machine.lineages();
            Ok(lineages.map(|(name, lineage)| progress_of(core, name, lineage)).collect())
        };
        self.read(all).await
    }

    async fn watch(&self, sweep: SweepName) -> Result<mpsc::Receiver<SweepProgress>, ApiError> {
        let (progress, receiver) = mpsc::channel(PROGRESS_WAITING);
        self.ask(|reply| Request::Watch { sweep, progress, reply }).await?;
        Ok(receiver)
    }

    async fn jobs(&self, query: JobsQuery) -> Result<JobsPage, ApiError> {
        self.read(move |core| core.jobs_page(&query)).await
    }

    async fn workers(&self) -> Result<Vec<WorkerLine>, ApiError> {
        self.read(|core| Ok(core.roster.lines())).await
    }

    async fn cancel(&self, sweep: SweepName, job: Option<JobId>) -> Result<u64, ApiError> {
        self.ask(|reply| Request::Cancel { sweep, job, reply }).await
    }

    async fn pause(&self, sweep: SweepName, paused: bool) -> Result<bool, ApiError> {
        self.ask(|reply| Request::Pause { sweep, paused, reply }).await
    }

    async fn retry(&self, sweep: SweepName, which: RetryQuery) -> Result<u64, ApiError> {
        self.ask(|reply| Request::Retry { sweep, which, reply }).await
    }

    async fn explain(&self, sweep: SweepName, job: String) -> Result<Vec<String>, ApiError> {
        self.ask(|reply| Request::Explain { sweep, job, reply }).await
    }

    async fn drain(&self, worker: Option<WorkerId>) -> Result<u32, ApiError> {
        self.ask(|reply| Request::Drain { worker, reply }).await
    }

    async fn flush(&self, sweep: SweepName) -> Result<u64, ApiError> {
        self.ask(|reply| Request::Flush { sweep, reply }).await
    }

    async fn live_rows(
        &self,
        sweep: SweepName,
    ) -> Result<mpsc::Receiver<Result<LiveRows, ApiError>>, ApiError> {
        let name = sweep.clone();
        self.read(move |core| core.lineage(&name).map(drop)).await?;
        Ok(live::stream(self.clone(), sweep))
    }

    async fn put_blob(
        &self,
        digest: Digest,
        chunks: mpsc::Receiver<Vec<u8>>,
    ) -> Result<u64, ApiError> {
        self.blobs.put(digest, chunks).await
    }

    async fn get_blob(
        &self,
        digest: Digest,
    ) -> Result<mpsc::Receiver<Result<Vec<u8>, ApiError>>, ApiError> {
        self.blobs.get(digest)
    }

    async fn session(
        &self,
        mut incoming: mpsc::Receiver<FromWorker>,
        outgoing: mpsc::Sender<ToWorker>,
    ) -> Result<(), ApiError> {
        let Some(FromWorker::Hello(hello)) = incoming.recv().await else {
            let problem = "the first message of a session is hello".to_owned();
            return Err(ApiError::Invalid { problem });
        };
        if hello.protocol != limits::PROTOCOL {
            let (theirs, ours) = (hello.protocol, limits::PROTOCOL);
            let reason = format!(
                "worker gradsweep {} speaks protocol {theirs}, this coordinator speaks {ours}: run the same version on both",
                hello.version
            );
            return Err(ApiError::Incompatible { reason });
        }
        let worker = hello.worker;
        let heard_by = outgoing.downgrade();
        let attach = |reply| Request::Attach { hello, outbox: outgoing, reply };
        let session = self.ask(attach).await?;
        let _detach = Detach { requests: self.requests.clone(), worker, session };
        let mut stop = self.stopping.clone();
        loop {
            let message = tokio::select! {
                message = incoming.recv() => message,
                _ = stop.wait_for(|stopping| *stopping) => return Err(stopping()),
            };
            let Some(message) = message else { return Ok(()) };
            if heard_by.upgrade().is_none() {
                // The loop let go of it, because it does not read or because it has a newer session: what it says is void.
                let reason =
                    "this session is over: the worker does not read, or has another".to_owned();
                return Err(ApiError::Refused { reason });
            }
            check(&message)?;
            if let FromWorker::Weights(_, kept) = &message
                && let Err(bad) = self.blobs.check_weights(kept.digest)
            {
                let problem = format!("blob {} is none of weights: {bad}", kept.digest);
                return Err(ApiError::Invalid { problem });
            }
            let request = Request::FromWorker { worker, session, message };
            self.requests.send(request).await.map_err(|_| stopping())?;
        }
    }
}

/// Tells the loop that a session is over, however its future ended.
struct Detach {
    requests: Requests,
    worker: WorkerId,
    session: SessionNo,
}

impl Drop for Detach {
    fn drop(&mut self) {
        let (requests, worker, session) = (self.requests.clone(), self.worker, self.session);
        tokio::spawn(async move {
            // If the loop is gone, so is its roster.
            drop(requests.send(Request::Detach { worker, session }).await);
        });
    }
}

/// Refuses what can be refused without the state, so that the loop need not look at it.
fn check(message: &FromWorker) -> Result<(), ApiError> {
    match message {
        FromWorker::Hello(_) => {
            Err(ApiError::Invalid { problem: "a session has one hello".to_owned() })
        }
        FromWorker::Rows(batch) => rows::check(batch.table, &batch.cells, batch.row_count)
            .map_err(|error| ApiError::Invalid { problem: error.to_string() }),
        FromWorker::Capacity { .. }
        | FromWorker::Heartbeat(_)
        | FromWorker::Checkpoint(..)
        | FromWorker::Weights(..)
        | FromWorker::Outcome(..)
        | FromWorker::Goodbye => Ok(()),
    }
}

//! What the loop is asked: by the API, by workers' sessions, and by the sink.

use std::collections::HashSet;
use std::sync::Arc;

use domain::{Digest, JobId, Sweep, SweepId, SweepName, WorkerId};
use proto::error::ApiError;
use proto::message::{FromWorker, Hello, RetryQuery, Submitted, SweepProgress, ToWorker};
use tokio::sync::{mpsc, oneshot};

use super::core::Core;
use super::roster::SessionNo;
use crate::machine::Terms;
use crate::sink::{PutError, SinkError};

/// The answer to a request, sent when what it rests on is durable.
pub type Reply<T> = oneshot::Sender<Result<T, ApiError>>;

/// Tells an answer to whoever waits for it.
pub type Told = Box<dyn FnOnce() + Send>;

/// One thing the loop is asked to do.
pub enum Request {
    Submit {
        sweep: Box<Sweep>,
        /// The job of each of its points.
        jobs: Arc<[JobId]>,
        file_name: String,
        file_text: String,
        terms: Terms,
        reply: Reply<Submitted>,
    },
    Watch {
        sweep: SweepName,
        progress: mpsc::Sender<SweepProgress>,
        reply: Reply<()>,
    },
    Cancel {
        sweep: SweepName,
        job: Option<JobId>,
        reply: Reply<u64>,
    },
    /// Holds a sweep's jobs back, or lets them go on; answers whether that changed anything.
    Pause {
        sweep: SweepName,
        paused: bool,
        reply: Reply<bool>,
    },
    /// Queues jobs again that were given up; answers how many.
    Retry {
        sweep: SweepName,
        which: RetryQuery,
        reply: Reply<u64>,
    },
    /// Why a job is where it is, by its id or the beginning of it.
    Explain {
        sweep: SweepName,
        job: String,
        reply: Reply<Vec<String>>,
    },
    Drain {
        worker: Option<WorkerId>,
        reply: Reply<u32>,
    },
    Flush {
        sweep: SweepName,
        reply: Reply<u64>,
    },
    /// Looks at the state and changes nothing. What it comes to is told once what was seen is durable.
    Read(Box<dyn FnOnce(&Core) -> Told + Send>),
    /// Removes these blobs, but those that somebody needs by now.
    Tidy(HashSet<Digest>),
    Attach {
        hello: Hello,
        outbox: mpsc::Sender<ToWorker>,
        reply: Reply<SessionNo>,
    },
    FromWorker {
        worker: WorkerId,
        session: SessionNo,
        message: FromWorker,
    },
    Detach {
        worker: WorkerId,
        session: SessionNo,
    },
    /// The sink is done with a segment.
    Sealed {
        sweep: SweepName,
        segment: String,
        result: Result<(), SinkError>,
    },
    /// The sink is done with the record of a revision.
    Recorded {
        sweep: SweepName,
        id: SweepId,
        result: Result<(), PutError>,
    },
    /// End every session and the loop.
    Stop,
}

//! The server side: what a coordinator must be able to answer, and the tonic stack that asks it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use domain::{Digest, JobId, SweepName, WorkerId};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

use crate::carrier::{Carrier, Heard};
use crate::connection::Token;
use crate::convert::{FromWire, IntoWire};
use crate::error::ApiError;
use crate::limits;
use crate::message::{
    FromWorker, JobsPage, JobsQuery, LiveRows, RetryQuery, Submission, Submitted, SweepProgress,
    ToWorker, WorkerLine,
};
use crate::wire::{self, fleet_server, sweeps_server};

/// What a coordinator answers. Every method may be called at any time by any number of peers.
pub trait CoordinatorApi: Send + Sync + 'static {
    /// Takes a sweep in, or says what keeps it from being taken.
    fn submit(&self, sweep: Submission) -> impl Answer<Submitted>;
    /// Where every sweep stands.
    fn list(&self) -> impl Answer<Vec<SweepProgress>>;
    /// Progress of one sweep, until it is over.
    fn watch(&self, sweep: SweepName) -> impl Answer<mpsc::Receiver<SweepProgress>>;
    /// One page of a sweep's jobs.
    fn jobs(&self, query: JobsQuery) -> impl Answer<JobsPage>;
    /// The workers that have a session, and those whose leases still run.
    fn workers(&self) -> impl Answer<Vec<WorkerLine>>;
    /// Cancels one job, or all that are not settled; answers how many.
    fn cancel(&self, sweep: SweepName, job: Option<JobId>) -> impl Answer<u64>;
    /// Gives no job of a sweep out, or lets it go on; answers whether that changed anything.
    fn pause(&self, sweep: SweepName, paused: bool) -> impl Answer<bool>;
    /// Queues jobs again that were given up; answers how many.
    fn retry(&self, sweep: SweepName, which: RetryQuery) -> impl Answer<u64>;
    /// Why a job is where it is, by its id or the beginning of it.
    fn explain(&self, sweep: SweepName, job: String) -> impl Answer<Vec<String>>;
    /// Asks one worker, or all, to hand their work back; answers how many.
    fn drain(&self, worker: Option<WorkerId>) -> impl Answer<u32>;
    /// Seals what is committed; answers how many segments that made, once they are visible.
    fn flush(&self, sweep: SweepName) -> impl Answer<u64>;
    /// A sweep's durable rows that are in no segment yet.
    fn live_rows(
        &self,
        sweep: SweepName,
    ) -> impl Answer<mpsc::Receiver<Result<LiveRows, ApiError>>>;
    /// Stores a blob; answers its size.
    fn put_blob(&self, digest: Digest, chunks: mpsc::Receiver<Vec<u8>>) -> impl Answer<u64>;
    /// A blob in chunks.
    fn get_blob(&self, digest: Digest) -> impl Answer<mpsc::Receiver<Result<Vec<u8>, ApiError>>>;
    /// One worker's session, from its hello on. Returns when either end leaves.
    fn session(
        &self,
        incoming: mpsc::Receiver<FromWorker>,
        outgoing: mpsc::Sender<ToWorker>,
    ) -> impl Answer<()>;
}

/// What every method of [`CoordinatorApi`] returns.
pub trait Answer<T>: Future<Output = Result<T, ApiError>> + Send {}

impl<T, F: Future<Output = Result<T, ApiError>> + Send> Answer<T> for F {}

/// Certificate and key of a TLS server, both PEM.
#[derive(Clone)]
pub struct TlsIdentity {
    pub certificate: String,
    pub key: String,
}

/// How to serve.
pub struct ServeOptions {
    pub token: Token,
    /// `None`: plain text.
    pub tls: Option<TlsIdentity>,
    /// What the health service says.
    pub healthy: watch::Receiver<bool>,
}

/// Why serving ended other than by its shutdown.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("the certificate or key cannot be used")]
    Tls(#[source] tonic::transport::Error),
    #[error("the reflection service cannot be made")]
    Reflection(#[source] tonic_reflection::server::Error),
    #[error("the gRPC server failed")]
    Serve(#[source] tonic::transport::Error),
}

/// Serves both services, health and reflection on the connections that come in until `shutdown` resolves and every call
/// has ended. A connection on which nothing is heard is [closed](Heard).
///
/// # Errors
/// [`ServeError`] where TLS cannot be set up or nothing more can come in.
pub async fn serve<A: CoordinatorApi, C: Carrier>(
    connections: impl Stream<Item = io::Result<C>>,
    api: Arc<A>,
    options: ServeOptions,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let mut server = Server::builder()
        .http2_keepalive_interval(Some(limits::KEEP_ALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(limits::KEEP_ALIVE_TIMEOUT));
    if let Some(identity) = options.tls {
        let identity = Identity::from_pem(identity.certificate, identity.key);
        let tls = ServerTlsConfig::new().identity(identity).timeout(limits::HANDSHAKE_TIMEOUT);
        server = server.tls_config(tls).map_err(ServeError::Tls)?;
    }
    let (reporter, health) = tonic_health::server::health_reporter();
    let mut healthy = options.healthy;
    tokio::spawn(async move {
        loop {
            let serving = *healthy.borrow_and_update();
            let status = if serving {
                tonic_health::ServingStatus::Serving
            } else {
                tonic_health::ServingStatus::NotServing
            };
            for service in ["", "gradsweep.v1.Sweeps", "gradsweep.v1.Fleet"] {
                reporter.set_service_status(service, status).await;
            }
            if healthy.changed().await.is_err() {
                return;
            }
        }
    });
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(wire::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .map_err(ServeError::Reflection)?;

    let token = options.token;
    let guard = move |request: Request<()>| authorised(&token, request);
    let fleet = fleet_server::FleetServer::new(FleetService { api: Arc::clone(&api) })
        .max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
        .max_encoding_message_size(limits::MESSAGE_BYTES_MAX);
    let sweeps = sweeps_server::SweepsServer::new(SweepsService { api })
        .max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
        .max_encoding_message_size(limits::MESSAGE_BYTES_MAX);
    // Health and reflection need no token: they tell nothing about anybody's work, and probes have none.
    server
        .add_service(health)
        .add_service(reflection)
        .add_service(InterceptedService::new(fleet, guard.clone()))
        .add_service(InterceptedService::new(sweeps, guard))
        .serve_with_incoming_shutdown(connections.map(|carrier| carrier.map(Heard::new)), shutdown)
        .await
        .map_err(ServeError::Serve)
}

fn authorised(token: &Token, request: Request<()>) -> Result<Request<()>, Status> {
    let given = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
    match given.and_then(|value| value.strip_prefix("Bearer ")) {
        Some(given) if token.matches(given) => Ok(request),
        _ => Err(ApiError::Unauthenticated.into()),
    }
}

type ReplyStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

struct FleetService<A> {
    api: Arc<A>,
}

#[tonic::async_trait]
impl<A: CoordinatorApi> fleet_server::Fleet for FleetService<A> {
    type SessionStream = ReplyStream<wire::CoordinatorMessage>;

    async fn session(
        &self,
        request: Request<Streaming<wire::WorkerMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let mut incoming = request.into_inner();
        let (to_api, from_peer) = mpsc::channel(limits::SESSION_QUEUE);
        let (to_peer, words) = mpsc::channel(limits::OUTBOX_QUEUE);
        let (mut end, ended) = oneshot::channel();

        let api = Arc::clone(&self.api);
        let reader = async move {
            while let Some(message) = incoming.message().await? {
                let message = FromWorker::from_wire(message)?;
                if to_api.send(message).await.is_err() {
                    break;
                }
            }
            Ok::<(), Status>(())
        };
        tokio::spawn(async move {
            // When the peer stops sending, for whatever reason, the session sees its messages end and returns; when the
            // session returns first, what the peer still sends is not waited for.
            let session = async move {
                let session = api.session(from_peer, to_peer);
                tokio::pin!(session, reader);
                tokio::select! {
                    ended = &mut session => ended.map_err(Status::from),
                    read = &mut reader => {
                        let ended = session.await.map_err(Status::from);
                        // What could not be read is why it ended.
                        read.and(ended)
                    }
                }
            };
            let ended = tokio::select! {
                ended = session => ended,
                // The peer has left.
                () = end.closed() => Ok(()),
            };
            if let Err(status) = ended {
                // A peer that left does not hear why its session ended.
                drop(end.send(status));
            }
        });
        Ok(Response::new(Box::pin(Replies { words: Some(words), ended: Some(ended) })))
    }
}

/// What one worker is told, as it is to be written: all that is queued goes out together.
struct Replies {
    words: Option<mpsc::Receiver<ToWorker>>,
    /// Why the session was refused. A session that ends in good order has its last words written; one that is refused may be
    /// one that never reads, and what it was to be told is dropped.
    ended: Option<oneshot::Receiver<Status>>,
}

impl Stream for Replies {
    type Item = Result<wire::CoordinatorMessage, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(ended) = &mut self.ended
            && let Poll::Ready(ended) = Pin::new(ended).poll(context)
        {
            self.ended = None;
            if let Ok(status) = ended {
                self.words = None;
                return Poll::Ready(Some(Err(status)));
            }
        }
        let Some(words) = &mut self.words else { return Poll::Ready(None) };
        words.poll_recv(context).map(|word| word.map(|word| Ok(word.into_wire())))
    }
}

struct SweepsService<A> {
    api: Arc<A>,
}

fn name(text: &str) -> Result<SweepName, ApiError> {
    text.parse()
        .map_err(|error: domain::id::BadId| ApiError::Invalid { problem: error.to_string() })
}

fn optional_id<T: std::str::FromStr<Err = domain::id::BadId>>(
    text: &str,
) -> Result<Option<T>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|error: domain::id::BadId| ApiError::Invalid { problem: error.to_string() })
}

#[tonic::async_trait]
impl<A: CoordinatorApi> sweeps_server::Sweeps for SweepsService<A> {
    type WatchStream = ReplyStream<wire::SweepProgress>;
    type LiveRowsStream = ReplyStream<wire::LiveRowsReply>;
    type GetBlobStream = ReplyStream<wire::BlobChunk>;

    async fn submit(
        &self,
        request: Request<wire::SubmitRequest>,
    ) -> Result<Response<wire::SubmitReply>, Status> {
        let submission = Submission::from_wire(request.into_inner())?;
        Ok(Response::new(self.api.submit(submission).await?.into_wire()))
    }

    async fn list(
        &self,
        _request: Request<wire::ListRequest>,
    ) -> Result<Response<wire::ListReply>, Status> {
        let sweeps = self.api.list().await?.into_iter().map(IntoWire::into_wire).collect();
        Ok(Response::new(wire::ListReply { sweeps }))
    }

    async fn watch(
        &self,
        request: Request<wire::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let progress = self.api.watch(name(&request.into_inner().sweep)?).await?;
        let stream = ReceiverStream::new(progress).map(|progress| Ok(progress.into_wire()));
        Ok(Response::new(Box::pin(stream)))
    }

    async fn jobs(
        &self,
        request: Request<wire::JobsRequest>,
    ) -> Result<Response<wire::JobsReply>, Status> {
        let query = JobsQuery::from_wire(request.into_inner())?;
        Ok(Response::new(self.api.jobs(query).await?.into_wire()))
    }

    async fn workers(
        &self,
        _request: Request<wire::WorkersRequest>,
    ) -> Result<Response<wire::WorkersReply>, Status> {
        let workers = self.api.workers().await?.into_iter().map(IntoWire::into_wire).collect();
        Ok(Response::new(wire::WorkersReply { workers }))
    }

    async fn pause(
        &self,
        request: Request<wire::PauseRequest>,
    ) -> Result<Response<wire::PauseReply>, Status> {
        let request = request.into_inner();
        let changed = self.api.pause(name(&request.sweep)?, request.paused).await?;
        Ok(Response::new(wire::PauseReply { changed }))
    }

    async fn retry(
        &self,
        request: Request<wire::RetryRequest>,
    ) -> Result<Response<wire::RetryReply>, Status> {
        let request = request.into_inner();
        let class = match request.class.as_str() {
            "" => None,
            class => Some(class.parse().map_err(|_| {
                let found: String = class.chars().take(40).collect();
                ApiError::Invalid { problem: format!("there is no failure class \"{found}\"") }
            })?),
        };
        let job = optional_id(&request.job)?;
        let which = job.map_or(RetryQuery::Failed(class), RetryQuery::Job);
        let queued = self.api.retry(name(&request.sweep)?, which).await?;
        Ok(Response::new(wire::RetryReply { queued }))
    }

    async fn explain(
        &self,
        request: Request<wire::ExplainRequest>,
    ) -> Result<Response<wire::ExplainReply>, Status> {
        let request = request.into_inner();
        // No id is longer.
        let job = request.job.chars().take(40).collect();
        let lines = self.api.explain(name(&request.sweep)?, job).await?;
        Ok(Response::new(wire::ExplainReply { lines }))
    }

    async fn cancel(
        &self,
        request: Request<wire::CancelRequest>,
    ) -> Result<Response<wire::CancelReply>, Status> {
        let request = request.into_inner();
        let (sweep, job) = (name(&request.sweep)?, optional_id(&request.job)?);
        let cancelled = self.api.cancel(sweep, job).await?;
        Ok(Response::new(wire::CancelReply { cancelled }))
    }

    async fn drain(
        &self,
        request: Request<wire::DrainRequest>,
    ) -> Result<Response<wire::DrainReply>, Status> {
        let draining = self.api.drain(optional_id(&request.into_inner().worker)?).await?;
        Ok(Response::new(wire::DrainReply { draining }))
    }

    async fn flush(
        &self,
        request: Request<wire::FlushRequest>,
    ) -> Result<Response<wire::FlushReply>, Status> {
        let segments = self.api.flush(name(&request.into_inner().sweep)?).await?;
        Ok(Response::new(wire::FlushReply { segments }))
    }

    async fn live_rows(
        &self,
        request: Request<wire::LiveRowsRequest>,
    ) -> Result<Response<Self::LiveRowsStream>, Status> {
        let rows = self.api.live_rows(name(&request.into_inner().sweep)?).await?;
        let stream = ReceiverStream::new(rows)
            .map(|rows| rows.map(IntoWire::into_wire).map_err(Status::from));
        Ok(Response::new(Box::pin(stream)))
    }

    async fn put_blob(
        &self,
        request: Request<Streaming<wire::BlobChunk>>,
    ) -> Result<Response<wire::PutBlobReply>, Status> {
        let mut incoming = request.into_inner();
        let first = incoming.message().await?;
        let first = first.ok_or_else(|| Status::invalid_argument("a blob has a first chunk"))?;
        let digest: Digest = first
            .digest
            .parse()
            .map_err(|error: domain::id::BadId| Status::invalid_argument(error.to_string()))?;
        let (chunks, receiver) = mpsc::channel(4);
        let reader = async move {
            let mut next = Some(first);
            while let Some(chunk) = next {
                if !chunk.bytes.is_empty() && chunks.send(chunk.bytes).await.is_err() {
                    break;
                }
                next = incoming.message().await?;
            }
            Ok::<(), Status>(())
        };
        let (read, stored) = tokio::join!(reader, self.api.put_blob(digest, receiver));
        read?;
        Ok(Response::new(wire::PutBlobReply { size: stored? }))
    }

    async fn get_blob(
        &self,
        request: Request<wire::GetBlobRequest>,
    ) -> Result<Response<Self::GetBlobStream>, Status> {
        let digest = optional_id::<Digest>(&request.into_inner().digest)?
            .ok_or_else(|| Status::invalid_argument("a blob is asked for by its digest"))?;
        let chunks = self.api.get_blob(digest).await?;
        let stream = ReceiverStream::new(chunks).map(|chunk| {
            chunk
                .map(|bytes| wire::BlobChunk { digest: String::new(), bytes })
                .map_err(Status::from)
        });
        Ok(Response::new(Box::pin(stream)))
    }
}

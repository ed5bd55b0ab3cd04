//! The client side: typed calls on a coordinator, and a worker's session with it.

use std::io;
use std::time::Duration;

use domain::{Digest, JobId, SweepName, WorkerId};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Uri};
use tonic::{Request, Status, Streaming};

use crate::connection::{Connection, SERVER_NAME};
use crate::convert::{FromWire, IntoWire, error_of};
use crate::error::{CallError, WireError};
use crate::limits;
use crate::message::{
    FromWorker, JobsPage, JobsQuery, LiveRows, RetryQuery, Submission, Submitted, SweepProgress,
    ToWorker, WorkerLine,
};
use crate::wire::{self, fleet_client, sweeps_client};

/// How long a unary call may take: the coordinator answers in milliseconds, submitting a million jobs in seconds.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);

/// Typed calls on one coordinator. Cheap to clone; every clone shares the connection.
#[derive(Clone)]
pub struct Client {
    url: String,
    sweeps: sweeps_client::SweepsClient<Guarded>,
    fleet: fleet_client::FleetClient<Guarded>,
}

type Guarded = InterceptedService<Channel, Bearer>;

/// Puts the token on every request.
#[derive(Clone)]
struct Bearer(MetadataValue<Ascii>);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

impl Client {
    /// A client of the coordinator that `connection` names, once it has answered.
    ///
    /// # Errors
    /// [`CallError::BadConnection`] where address, certificate or token cannot be used, [`CallError::Unreachable`]
    /// where nobody answers.
    pub async fn connect(connection: &Connection) -> Result<Self, CallError> {
        let endpoint = endpoint(connection)?;
        Self::on(endpoint.connect().await, connection)
    }

    /// The same over streams that `dial` opens, where there are no sockets: in a network that a test pretends.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect_by<F, S>(
        connection: &Connection,
        mut dial: impl FnMut() -> F + Send + 'static,
    ) -> Result<Self, CallError>
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connector = tower::service_fn(move |_: Uri| {
            let dialled = dial();
            async move { dialled.await.map(TokioIo::new) }
        });
        let endpoint = endpoint(connection)?;
        Self::on(endpoint.connect_with_connector(connector).await, connection)
    }

    fn on(
        channel: Result<Channel, tonic::transport::Error>,
        connection: &Connection,
    ) -> Result<Self, CallError> {
        let url = connection.url.clone();
        let channel = channel
            .map_err(|error| CallError::Unreachable { url: url.clone(), reason: chain(&error) })?;
        let token = format!("Bearer {}", connection.token.reveal());
        let token = MetadataValue::try_from(token)
            .map_err(|error| CallError::BadConnection { reason: error.to_string() })?;
        let guarded = InterceptedService::new(channel, Bearer(token));
        let sweeps = sweeps_client::SweepsClient::new(guarded.clone())
            .max_decoding_message_size(limits::MESSAGE_BYTES_MAX);
        let fleet = fleet_client::FleetClient::new(guarded)
            .max_decoding_message_size(limits::MESSAGE_BYTES_MAX);
        Ok(Self { url, sweeps, fleet })
    }

    fn failed(&self) -> impl Fn(Status) -> CallError + use<> {
        let url = self.url.clone();
        move |status| error_of(&url, &status)
    }

    fn incoming<T: FromWire>(&self, stream: Streaming<T::Wire>) -> Incoming<T> {
        Incoming { url: self.url.clone(), stream, convert: FromWire::from_wire }
    }

    /// Hands a sweep in.
    pub async fn submit(&self, sweep: Submission) -> Result<Submitted, CallError> {
        let request = timed(sweep.into_wire());
        let reply = self.sweeps.clone().submit(request).await.map_err(self.failed())?;
        Ok(Submitted::from_wire(reply.into_inner())?)
    }

    /// Where every sweep stands.
    pub async fn list(&self) -> Result<Vec<SweepProgress>, CallError> {
        let request = timed(wire::ListRequest {});
        let reply = self.sweeps.clone().list(request).await.map_err(self.failed())?;
        let sweeps = reply.into_inner().sweeps.into_iter().map(SweepProgress::from_wire);
        Ok(sweeps.collect::<Result<_, _>>()?)
    }

    /// Progress of one sweep as it comes, until it is over.
    pub async fn watch(&self, sweep: &SweepName) -> Result<Incoming<SweepProgress>, CallError> {
        let request = wire::WatchRequest { sweep: sweep.to_string() };
        let reply = self.sweeps.clone().watch(request).await.map_err(self.failed())?;
        Ok(self.incoming(reply.into_inner()))
    }

    /// One page of a sweep's jobs.
    pub async fn jobs(&self, query: JobsQuery) -> Result<JobsPage, CallError> {
        let request = timed(query.into_wire());
        let reply = self.sweeps.clone().jobs(request).await.map_err(self.failed())?;
        Ok(JobsPage::from_wire(reply.into_inner())?)
    }

    /// The coordinator's workers.
    pub async fn workers(&self) -> Result<Vec<WorkerLine>, CallError> {
        let request = timed(wire::WorkersRequest {});
        let reply = self.sweeps.clone().workers(request).await.map_err(self.failed())?;
        let workers = reply.into_inner().workers.into_iter().map(WorkerLine::from_wire);
        Ok(workers.collect::<Result<_, _>>()?)
    }

    /// Cancels one job, or all that are not settled; answers how many.
    pub async fn cancel(&self, sweep: &SweepName, job: Option<JobId>) -> Result<u64, CallError> {
        let job = job.map(|job| job.to_string()).unwrap_or_default();
        let request = timed(wire::CancelRequest { sweep: sweep.to_string(), job });
        let reply = self.sweeps.clone().cancel(request).await.map_err(self.failed())?;
        Ok(reply.into_inner().cancelled)
    }

    /// Gives no job of a sweep out, or lets it go on; answers whether that changed anything.
    pub async fn pause(&self, sweep: &SweepName, paused: bool) -> Result<bool, CallError> {
        let request = timed(wire::PauseRequest { sweep: sweep.to_string(), paused });
        let reply = self.sweeps.clone().pause(request).await.map_err(self.failed())?;
        Ok(reply.into_inner().changed)
    }

    /// Queues jobs again that were given up; answers how many.
    pub async fn retry(&self, sweep: &SweepName, which: RetryQuery) -> Result<u64, CallError> {
        let (job, class) = match which {
            RetryQuery::Job(job) => (job.to_string(), String::new()),
            RetryQuery::Failed(class) => {
                (String::new(), class.map(|class| class.to_string()).unwrap_or_default())
            }
        };
        let request = timed(wire::RetryRequest { sweep: sweep.to_string(), job, class });
        let reply = self.sweeps.clone().retry(request).await.map_err(self.failed())?;
        Ok(reply.into_inner().queued)
    }

    /// Why a job is where it is, by its id or the beginning of it; the most important line first.
    pub async fn explain(&self, sweep: &SweepName, job: &str) -> Result<Vec<String>, CallError> {
        let job = job.to_owned();
        let request = timed(wire::ExplainRequest { sweep: sweep.to_string(), job });
        let reply = self.sweeps.clone().explain(request).await.map_err(self.failed())?;
        Ok(reply.into_inner().lines)
    }

    /// Asks one worker, or all, to hand their work back; answers how many.
    pub async fn drain(&self, worker: Option<WorkerId>) -> Result<u32, CallError> {
        let worker = worker.map(|worker| worker.to_string()).unwrap_or_default();
        let request = timed(wire::DrainRequest { worker });
        let reply = self.sweeps.clone().drain(request).await.map_err(self.failed())?;
        Ok(reply.into_inner().draining)
    }

    /// Seals what is committed; answers how many segments that made.
    pub async fn flush(&self, sweep: &SweepName) -> Result<u64, CallError> {
        let request = timed(wire::FlushRequest { sweep: sweep.to_string() });
        let reply = self.sweeps.clone().flush(request).await.map_err(self.failed())?;
        Ok(reply.into_inner().segments)
    }

    /// A sweep's durable rows that are in no segment yet, job after job in the order of their ids.
    pub async fn live_rows(&self, sweep: &SweepName) -> Result<Incoming<LiveRows>, CallError> {
        let request = wire::LiveRowsRequest { sweep: sweep.to_string() };
        let reply = self.sweeps.clone().live_rows(request).await.map_err(self.failed())?;
        Ok(self.incoming(reply.into_inner()))
    }

    /// Stores `bytes` under their digest.
    pub async fn put_blob(&self, digest: Digest, bytes: Vec<u8>) -> Result<u64, CallError> {
        let (chunks, receiver) = mpsc::channel(4);
        tokio::spawn(async move {
            let digest = digest.to_string();
            let first = wire::BlobChunk { digest, bytes: Vec::new() };
            if chunks.send(first).await.is_err() {
                return;
            }
            for chunk in bytes.chunks(limits::BLOB_CHUNK_BYTES) {
                let chunk = wire::BlobChunk { digest: String::new(), bytes: chunk.to_vec() };
                if chunks.send(chunk).await.is_err() {
                    return;
                }
            }
        });
        let request = ReceiverStream::new(receiver);
        let reply = self.sweeps.clone().put_blob(request).await.map_err(self.failed())?;
        Ok(reply.into_inner().size)
    }

    /// The bytes of a blob, whose digest is checked.
    pub async fn get_blob(&self, digest: Digest) -> Result<Vec<u8>, CallError> {
        let request = wire::GetBlobRequest { digest: digest.to_string() };
        let reply = self.sweeps.clone().get_blob(request).await.map_err(self.failed())?;
        let mut stream = reply.into_inner();
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.message().await.map_err(self.failed())? {
            bytes.extend_from_slice(&chunk.bytes);
            let (found, limit) = (bytes.len() as u64, limits::BLOB_BYTES_MAX);
            if found > limit {
                return Err(WireError::TooLarge { field: "blob", found, limit }.into());
            }
        }
        let found = Digest::of(&bytes);
        if found == digest {
            Ok(bytes)
        } else {
            Err(CallError::Server { message: format!("blob {digest} arrived as {found}") })
        }
    }

    /// Opens a worker's session. What is sent through `outgoing`'s other end leaves in order.
    pub async fn session(
        &self,
        outgoing: mpsc::Receiver<FromWorker>,
    ) -> Result<Incoming<ToWorker>, CallError> {
        let outgoing = ReceiverStream::new(outgoing).map(FromWorker::into_wire);
        let reply = self.fleet.clone().session(outgoing).await.map_err(self.failed())?;
        Ok(self.incoming(reply.into_inner()))
    }
}

/// Messages from the coordinator, in order.
pub struct Incoming<T: FromWire> {
    url: String,
    stream: Streaming<T::Wire>,
    convert: fn(T::Wire) -> Result<T, WireError>,
}

impl<T: FromWire> Incoming<T> {
    /// The next message; `None` when the coordinator ended the stream in good order.
    pub async fn next(&mut self) -> Result<Option<T>, CallError> {
        let message = self.stream.message().await;
        match message.map_err(|status| error_of(&self.url, &status))? {
            Some(message) => Ok(Some((self.convert)(message)?)),
            None => Ok(None),
        }
    }
}

/// Where and how `connection` says that the coordinator is reached.
fn endpoint(connection: &Connection) -> Result<Endpoint, CallError> {
    let bad = |reason: String| CallError::BadConnection { reason };
    let endpoint = Endpoint::from_shared(connection.url.clone())
        .map_err(|error| bad(error.to_string()))?
        .connect_timeout(limits::CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(limits::KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(limits::KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    let Some(certificate) = &connection.certificate else { return Ok(endpoint) };
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(certificate))
        .domain_name(SERVER_NAME);
    endpoint.tls_config(tls).map_err(|error| bad(chain(&error)))
}

fn timed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_TIMEOUT);
    request
}

/// An error and its causes on one line: tonic's own text alone says only "transport error".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

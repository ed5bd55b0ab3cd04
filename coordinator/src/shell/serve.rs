//! Starting and stopping a coordinator.

use std::fs::{self, Permissions};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domain::JournalId;
use proto::carrier::{Carrier, sockets};
use proto::connection::{Connection, ConnectionError, Token};
use proto::server::{ServeOptions, TlsIdentity};
use store::{PrepareError, Store};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::{Stream, StreamExt};

use super::api::Api;
use super::blobs::Blobs;
use super::clock::Clock;
use super::core::{Core, Requests, Settings};
use super::identity::{self, IdentityError};
use super::request::Request;
use super::run::{REQUESTS_QUEUED, Surroundings, run};
use crate::Config;
use crate::journal::{Journal, JournalError, Listener, LogJournal, Replay};
use crate::machine::{Event, Inconsistent, Machine, Snapshot};

/// How long a stopping coordinator waits for its last calls.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Why a coordinator cannot serve, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot use the folder {}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Results(#[from] PrepareError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the journal {} is damaged: event {event} cannot follow those before it", path.display())]
    Replay { path: PathBuf, event: usize, source: Inconsistent },
    #[error("cannot listen on {address}")]
    Listen { address: String, source: io::Error },
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error(transparent)]
    Server(#[from] proto::server::ServeError),
}

impl ServeError {
    /// Whether the journal is damaged or of another format: it will not be readable at the next start either.
    pub fn is_unreadable(&self) -> bool {
        matches!(
            self,
            Self::Replay { .. }
                | Self::Journal(JournalError::Damaged { .. } | JournalError::Format { .. })
        )
    }

    /// Whether another coordinator has the journal open.
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::Journal(JournalError::InUse { .. }))
    }
}

/// What a thread of ours came to; its panic goes on here.
fn finished<T>(joined: Result<T, tokio::task::JoinError>) -> T {
    joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// Serves until `shutdown` resolves: opens the journal, lives through its events, listens, writes the connection file,
/// and then answers. Everything acknowledged is durable, so stopping is safe at any time.
///
/// # Errors
/// [`ServeError`]; after a failed sync of the journal, nothing more is acknowledged and this returns.
pub async fn serve(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
    let folder = |path: &Path| {
        fs::create_dir_all(path)
            .map_err(|source| ServeError::Folder { path: path.to_owned(), source })
    };
    folder(&config.journal)?;
    // Token and key are in it; its files are private, and so is their list.
    fs::set_permissions(&config.journal, Permissions::from_mode(0o700))
        .map_err(|source| ServeError::Folder { path: config.journal.clone(), source })?;
    let fresh = JournalId(*uuid::Uuid::new_v4().as_bytes());
    let mut shutdown = std::pin::pin!(shutdown);
    let path = config.journal.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let mut life = Life::default();
        LogJournal::open_to(&path, fresh, &mut life).map(|journal| (journal, life))
    });
    let (journal, life) = tokio::select! {
        opened = opened => finished(opened)?,
        // It may be that it waits there for another to go.
        () = &mut shutdown => return Ok(()),
    };
    // With the journal in our hands: nobody else puts results there in its name.
    let prepared = config.results.clone();
    let results = finished(tokio::task::spawn_blocking(move || prepared.prepare()).await)?;
    let place = Place { folder: config.journal.clone(), results, lease: config.lease };
    let coordinator = Coordinator::go_on(journal, life, place)?;

    let listen = |source| ServeError::Listen { address: config.listen.clone(), source };
    let listener = TcpListener::bind(&config.listen).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let tls = if address.ip().is_loopback() || config.insecure {
        None
    } else {
        Some(identity::tls(&config.journal)?)
    };
    let token = identity::token(&config.journal)?;
    let connection = Connection {
        url: url(&config, address, tls.is_some()),
        certificate: tls.as_ref().map(|tls| tls.certificate.clone()),
        token: token.clone(),
    };
    // Whoever reads it can connect already, and is answered as soon as there is somebody to answer.
    connection.write(&config.connection)?;
    tracing::info!(url = connection.url, connection = %config.connection.display(), "listening");
    coordinator.serve(sockets(listener).then(unhurried), token, tls, shutdown).await
}

/// Wait after a connection that could not be taken in for want of file descriptors: trying at once would burn a core until one
/// is free.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

async fn unhurried<C>(connection: io::Result<C>) -> io::Result<C> {
    let errno = connection.as_ref().err().and_then(rustix::io::Errno::from_io_error);
    if matches!(errno, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE)) {
        tracing::warn!(
            "no file descriptor is left, so nobody can connect: raise the limit (ulimit -n), or end some connections"
        );
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
    connection
}

/// Where a coordinator keeps what is not in its journal.
pub struct Place {
    /// The folder of its blobs' folder.
    pub folder: PathBuf,
    /// Prepared.
    pub results: Store,
    /// How long a worker may stay silent before its attempts are given to others.
    pub lease: Duration,
}

/// A machine that lives through a journal while that is read.
#[derive(Default)]
struct Life {
    machine: Machine,
    /// How many events it has lived through; with a problem, the number of the event that cannot follow, 0 for the snapshot.
    events: usize,
    problem: Option<Inconsistent>,
}

impl Listener for Life {
    fn begins(&mut self, snapshot: Snapshot) {
        *self = match Machine::restore(snapshot) {
            Ok(machine) => Self { machine, ..Self::default() },
            Err(problem) => Self { problem: Some(problem), ..Self::default() },
        };
    }

    fn happened(&mut self, events: Vec<Event>) {
        for event in events {
            if self.problem.is_some() {
                return;
            }
            self.events += 1;
            self.problem = self.machine.apply(&event).err();
        }
    }
}

/// A coordinator that has lived through its journal, and listens to nobody yet.
pub struct Coordinator<J> {
    core: Core,
    journal: Arc<J>,
    blobs: Blobs,
    results: Store,
    clock: Clock,
    lease: Duration,
}

impl<J: Journal> Coordinator<J> {
    /// The coordinator that goes on from `replay`, what `journal` had to tell at its opening.
    ///
    /// # Errors
    /// [`ServeError`] where the journal's events cannot follow each other, or the blobs' folder cannot be used.
    pub fn open(journal: J, replay: Replay, place: Place) -> Result<Self, ServeError> {
        let mut life = Life::default();
        life.begins(replay.snapshot);
        life.happened(replay.events);
        Self::go_on(journal, life, place)
    }

    fn go_on(journal: J, life: Life, place: Place) -> Result<Self, ServeError> {
        let Place { folder, results, lease } = place;
        let Life { machine, events, problem } = life;
        if let Some(source) = problem {
            return Err(ServeError::Replay { path: folder, event: events, source });
        }
        let (id, epoch) = (journal.id(), journal.epoch());
        tracing::info!(journal = %id, %epoch, events, "journal open");
        let clock = Clock::start(machine.latest());
        let path = folder.join("blobs");
        let failed = |source| ServeError::Folder { path: path.clone(), source };
        let blobs = Blobs::open(&path).map_err(failed)?;
        let here = blobs.clone();
        let settings = Settings {
            lease,
            journal: id,
            epoch,
            results: results.root().display().to_string(),
            has_blob: Box::new(move |digest| here.has(digest)),
        };
        let core = Core::new(machine, settings, clock.now());
        blobs.look_through(|digest| core.is_needed(digest)).map_err(failed)?;
        Ok(Self { core, journal: Arc::new(journal), blobs, results, clock, lease })
    }

    /// Answers whoever connects, until `shutdown` resolves.
    ///
    /// # Errors
    /// [`ServeError`]; after a failed sync of the journal, nothing more is acknowledged and this returns.
    pub async fn serve<C: Carrier>(
        self,
        connections: impl Stream<Item = io::Result<C>> + Send + 'static,
        token: Token,
        tls: Option<TlsIdentity>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let Self { core, journal, blobs, results, clock, lease } = self;
        let (requests, receiver) = mpsc::channel(REQUESTS_QUEUED);
        let (stop, stopping) = watch::channel(false);
        let (healthy, health) = watch::channel(true);
        let (stall, stalled) = watch::channel(None);
        let (shut_down, shutting_down) = watch::channel(false);
        let api = Arc::new(Api {
            requests: requests.clone(),
            journal: Arc::clone(&journal),
            stall: stalled.clone(),
            blobs: blobs.clone(),
            results: results.clone(),
            stopping: stopping.clone(),
        });
        let mut until = stopping;
        let stopped = async move {
            // An error would mean that the sender is gone, which ends serving as well.
            drop(until.wait_for(|stopping| *stopping).await);
        };
        let options = ServeOptions { token, tls, healthy: health };
        let server = tokio::spawn(proto::server::serve(connections, api, options, stopped));
        let strays = tokio::spawn(tidy_strays(lease, blobs.clone(), requests.clone()));
        let around = Surroundings {
            journal,
            blobs,
            results,
            clock,
            requests: requests.clone(),
            stall,
            shutdown: shutting_down,
        };
        let health = tokio::spawn(tell_health(stalled, healthy.clone()));
        let mut the_loop = tokio::spawn(run(core, receiver, around));

        let ended = tokio::select! {
            ended = &mut the_loop => ended.unwrap_or(Err(JournalError::Gone)),
            () = shutdown => {
                tracing::info!("stopping");
                shut_down.send_replace(true);
                tokio::select! {
                    // Not sent while the loop waits for room; it sees the other sign.
                    _ = requests.send(Request::Stop) => {}
                    () = tokio::time::sleep(STOP_GRACE) => {}
                }
                the_loop.await.unwrap_or(Err(JournalError::Gone))
            }
        };
        health.abort();
        strays.abort();
        healthy.send_replace(false);
        stop.send_replace(true);
        let served = tokio::time::timeout(STOP_GRACE, server).await;
        ended?;
        // A call that outlasts the grace is cut off: nothing it was not answered is promised to it.
        if let Ok(Ok(served)) = served {
            served?;
        }
        Ok(())
    }
}

/// Between two looks for blobs that were stored and never spoken of: those go after one to two of it. Long, since data sets are
/// stored one by one before a sweep names them all.
const LOOK_EVERY: Duration = Duration::from_secs(3_600);

/// Removes the blobs that nobody needs: those of before the start that nobody has spoken of after one lease, when every worker that
/// outlived the coordinator before has told again what that one did not acknowledge; and those that were stored since and never
/// spoken of.
async fn tidy_strays(lease: Duration, blobs: Blobs, requests: Requests) {
    tokio::time::sleep(lease).await;
    let mut strays = blobs.strays();
    // A loop that is gone leaves them to the next start.
    while requests.send(Request::Tidy(strays)).await.is_ok() {
        tokio::time::sleep(LOOK_EVERY).await;
        strays = blobs.look_again();
    }
}

/// Keeps the health service at whether anything can be stored.
async fn tell_health(mut stalled: watch::Receiver<Option<String>>, healthy: watch::Sender<bool>) {
    while stalled.changed().await.is_ok() {
        healthy.send_replace(stalled.borrow_and_update().is_none());
    }
}

/// The URL that clients and workers are told.
fn url(config: &Config, address: SocketAddr, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    let host = match (&config.advertise, address.ip()) {
        (Some(host), _) => host.clone(),
        (None, ip) if ip.is_unspecified() => {
            rustix::system::uname().nodename().to_string_lossy().into_owned()
        }
        (None, IpAddr::V4(ip)) => ip.to_string(),
        (None, IpAddr::V6(ip)) => format!("[{ip}]"),
    };
    format!("{scheme}://{host}:{}", address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_file_descriptors_connections_are_not_waited_for_in_a_hurry() {
        let begun = tokio::time::Instant::now();
        let refused: io::Result<()> = Err(io::ErrorKind::ConnectionAborted.into());
        drop(unhurried(refused).await);
        assert!(begun.elapsed() < ACCEPT_PAUSE);
        let refused: io::Result<()> = Err(rustix::io::Errno::MFILE.into());
        drop(unhurried(refused).await);
        assert!(begun.elapsed() >= ACCEPT_PAUSE);
    }
}

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
use proto::connection::{Connection, ConnectionError};
use proto::server::ServeOptions;
use store::PrepareError;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::api::Api;
use super::blobs::Blobs;
use super::clock::Clock;
use super::core::{Core, Requests, Settings};
use super::identity::{self, IdentityError};
use super::request::Request;
use super::run::{REQUESTS_QUEUED, Surroundings, run};
use crate::Config;
use crate::journal::{Journal, JournalError, LogJournal, Replay};
use crate::machine::{Inconsistent, Machine};

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
    let (journal, replay) = LogJournal::open(&config.journal, fresh)?;
    let journal = Arc::new(journal);
    // With the journal in our hands: nobody else puts results there in its name.
    let prepared = config.results.clone();
    let prepared = tokio::task::spawn_blocking(move || prepared.prepare()).await;
    let results = prepared.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
    let Replay { snapshot, events } = replay;
    let machine = Machine::replay(snapshot, &events).map_err(|(event, source)| {
        ServeError::Replay { path: config.journal.clone(), event, source }
    })?;
    tracing::info!(journal = %journal.id(), epoch = %journal.epoch(), events = events.len(), "journal open");
    drop(events);
    let clock = Clock::start(machine.latest());
    let blob_folder = config.journal.join("blobs");
    let blob_failed = |source| ServeError::Folder { path: blob_folder.clone(), source };
    let blobs = Blobs::open(&blob_folder).map_err(blob_failed)?;
    let here = blobs.clone();
    let settings = Settings {
        lease: config.lease,
        journal: journal.id(),
        epoch: journal.epoch(),
        results: results.root().display().to_string(),
        has_blob: Box::new(move |digest| here.has(digest)),
    };
    let core = Core::new(machine, settings, clock.now());
    blobs.look_through(&core.needed_blobs()).map_err(blob_failed)?;

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

    let (requests, receiver) = mpsc::channel(REQUESTS_QUEUED);
    let (stop, stopping) = watch::channel(false);
    let (healthy, health) = watch::channel(true);
    let (stall, stalled) = watch::channel(None);
    let (shut_down, shutting_down) = watch::channel(false);
    let api = Arc::new(Api {
        requests: requests.clone(),
        stall: stalled.clone(),
        blobs: blobs.clone(),
        stopping: stopping.clone(),
    });
    let mut until = stopping;
    let stopped = async move {
        // An error would mean that the sender is gone, which ends serving as well.
        drop(until.wait_for(|stopping| *stopping).await);
    };
    let options = ServeOptions { token, tls, healthy: health };
    let server = tokio::spawn(proto::server::serve(listener, api, options, stopped));
    let strays = tokio::spawn(tidy_strays(config.lease, blobs.clone(), requests.clone()));
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
    connection.write(&config.connection)?;
    tracing::info!(url = connection.url, connection = %config.connection.display(), "listening");

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

/// Removes the blobs that nobody needed at the start and nobody has spoken of since: after one lease, every worker that outlived
/// the coordinator before has told again what that one did not acknowledge.
async fn tidy_strays(lease: Duration, blobs: Blobs, requests: Requests) {
    tokio::time::sleep(lease).await;
    // A loop that is gone leaves them to the next start.
    drop(requests.send(Request::Tidy(blobs.strays())).await);
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

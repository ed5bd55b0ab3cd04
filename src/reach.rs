//! Reaching a coordinator: one call, or a watch that outlives a restart of the coordinator.

use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::SweepName;
use proto::client::Client;
use proto::connection::{Connection, ConnectionError};
use proto::error::{ApiError, CallError};
use proto::message::SweepProgress;
use tokio::sync::mpsc;

use crate::clock;
use crate::config::ConnectionArgs;
use crate::failure::Failure;

/// How long a watch waits for a coordinator that went away: a restart with a long journal, a node that reboots, or a
/// Slurm job that was requeued, which starts again no sooner than two minutes later.
const PATIENCE: Duration = Duration::from_secs(300);

/// Between two tries to reach it.
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// Snapshots that wait to be shown; one is enough, the next is fresher.
const SNAPSHOTS_WAITING: usize = 1;

/// Runs `command` to its end on a runtime of its own.
pub fn block_on<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Failure::Setup)?;
    let done = runtime.block_on(command);
    // Not dropped: that would wait for whatever still blocks a thread.
    runtime.shutdown_background();
    done
}

/// Runs `command` with a client of the coordinator that `connection` names.
pub fn with_client<T>(
    connection: &ConnectionArgs,
    command: impl AsyncFnOnce(Client) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let path = connection.path()?;
    block_on(async {
        let client = client(&path).await?;
        command(client).await
    })
}

/// A client of the coordinator that wrote the connection file at `path`.
pub async fn client(path: &Path) -> Result<Client, Failure> {
    Ok(Client::connect(&Connection::read(path)?).await?)
}

/// Progress of one sweep as it comes, across restarts of the coordinator.
pub struct Watch {
    snapshots: mpsc::Receiver<Result<SweepProgress, Failure>>,
}

impl Watch {
    /// Starts to watch `sweep`. The connection file is read at each connecting: a restarted coordinator writes a new one.
    pub fn start(connection: PathBuf, sweep: SweepName) -> Self {
        let (sender, snapshots) = mpsc::channel(SNAPSHOTS_WAITING);
        // A task, so that giving up one wait for a snapshot does not undo a connection that is being made.
        tokio::spawn(async move {
            if let Err(failure) = follow(&connection, &sweep, &sender).await {
                // Nobody waits for it if this fails.
                drop(sender.send(Err(failure)).await);
            }
        });
        Self { snapshots }
    }

    /// The next snapshot; `None` after the one that says that the sweep is over.
    pub async fn next(&mut self) -> Option<Result<SweepProgress, Failure>> {
        self.snapshots.recv().await
    }
}

type Snapshots = mpsc::Sender<Result<SweepProgress, Failure>>;

async fn follow(
    connection: &Path,
    sweep: &SweepName,
    snapshots: &Snapshots,
) -> Result<(), Failure> {
    let mut seen = false;
    let mut lost_at = None;
    loop {
        let mut heard = false;
        let Err(failure) = session(connection, sweep, snapshots, &mut heard).await else {
            return Ok(());
        };
        seen |= heard;
        if heard {
            lost_at = None;
        }
        let now = clock::now();
        let lost = now.duration_since(*lost_at.get_or_insert(now));
        match failure {
            // A coordinator that never answered is a wrong address sooner than a restart.
            failure if !seen => return Err(failure),
            Failure::Call(source) if may_pass(&source) => {
                if lost >= PATIENCE {
                    return Err(Failure::Lost { after: lost, source });
                }
            }
            Failure::Connection(ConnectionError::Read { .. }) if lost < PATIENCE => {}
            failure => return Err(failure),
        }
        tokio::time::sleep(RETRY_EVERY).await;
    }
}

/// One connection: until the sweep is over or nobody listens any more, or until the connection is lost.
async fn session(
    connection: &Path,
    sweep: &SweepName,
    snapshots: &Snapshots,
    heard: &mut bool,
) -> Result<(), Failure> {
    let mut incoming = client(connection).await?.watch(sweep).await?;
    while let Some(progress) = incoming.next().await? {
        *heard = true;
        let over = progress.is_over();
        if snapshots.send(Ok(progress)).await.is_err() || over {
            return Ok(());
        }
    }
    // The stream ended in good order, but the sweep is not over: the coordinator stops.
    let reason = "it is stopping".to_owned();
    Err(Failure::Call(ApiError::Unavailable { reason }.into()))
}

/// Whether waiting may help.
fn may_pass(error: &CallError) -> bool {
    matches!(error, CallError::Unreachable { .. } | CallError::Answer(ApiError::Unavailable { .. }))
}

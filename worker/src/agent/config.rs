//! What an agent is told, how it is asked to stop, and how it ends.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::held::BYTES_MAX;
use super::overflow::OVERFLOW_BYTES_MAX;

/// What an agent needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The connection file; read again at each connecting, for a restarted coordinator writes a new one.
    pub connection: PathBuf,
    /// Trials at a time.
    pub slots: u32,
    /// Folders where data sets may lie: each may be one, or hold several.
    pub data: Vec<PathBuf>,
    /// Where blobs are kept, each in a file named by its digest.
    pub cache: PathBuf,
    /// The binary to start trial processes with, as `PROGRAM trial`.
    pub program: PathBuf,
    pub memory_bytes: u64,
    pub rows: RowsKept,
    /// Until the agent's own time limit, if there is one.
    pub time_left: Option<Duration>,
    /// Give up when no coordinator answers for this long; `None`: never.
    pub retry_for: Option<Duration>,
}

/// Bytes of rows that no coordinator has acknowledged: how many are kept before trials wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowsKept {
    /// In memory, beside some 8 MiB on their way between trials and there. At least [`RowsKept::IN_MEMORY_MIN`].
    pub in_memory: usize,
    /// Those after, in the cache folder.
    pub on_disk: u64,
}

impl RowsKept {
    /// The least that may be kept in memory: with none at all nothing would ever be sent.
    pub const IN_MEMORY_MIN: usize = 1 << 20;
}

impl Default for RowsKept {
    fn default() -> Self {
        Self { in_memory: BYTES_MAX, on_disk: OVERFLOW_BYTES_MAX }
    }
}

/// Whether and how the agent is to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StopRequest {
    #[default]
    None,
    /// Checkpoint, hand the work back, leave.
    Drain,
    /// Leave at once; what runs is lost back to its last checkpoint.
    Now,
}

/// How an agent ended that was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Some job that it had was not finished.
    pub work_left: bool,
}

/// Why an agent ended unasked.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("a worker has 1 to {limit} slots, found {found}")]
    Slots { found: u32, limit: u32 },
    #[error(
        "{found} bytes are too few for rows that wait for the coordinator, a worker needs {least}"
    )]
    RowsKept { found: usize, least: usize },
    #[error("the cache {} cannot be used", path.display())]
    Cache { path: PathBuf, source: io::Error },
    #[error("the path of the cache {} is not UTF-8", path.display())]
    CachePath { path: PathBuf },
    #[error("the coordinator does not take this worker: {reason}")]
    Incompatible { reason: String },
    #[error("the coordinator does not accept the token in {}", connection.display())]
    Denied { connection: PathBuf },
    #[error("no coordinator answered for {} s: {reason}", after.as_secs())]
    Unreachable { after: Duration, reason: String },
}

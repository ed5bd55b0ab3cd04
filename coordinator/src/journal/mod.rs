//! The journal: what is durable. Events, the spool of acknowledged rows, and who may write.
//!
//! One trait, so that the same shell runs on files, on a simulated disk, and one day on a database that several
//! coordinators share: each opening takes a new epoch, and an older one is answered [`JournalError::Fenced`].

mod log;
mod owner;
mod spool;
mod storage;
mod stored;

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use domain::{Epoch, JobId, JournalId, SweepName, Table};

pub use log::{Files, LogJournal};
pub use storage::{FileStorage, Storage};

use crate::machine::{Event, Snapshot};

/// Rows of one batch in the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpooledRows {
    pub first_row: u64,
    pub row_count: u32,
    /// See `proto::rows`.
    pub cells: Vec<u8>,
}

/// A change to the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpoolChange {
    Put {
        sweep: SweepName,
        job: JobId,
        table: Table,
        rows: SpooledRows,
    },
    /// Drops the job's rows of `table` from `from_row` on.
    Truncate {
        sweep: SweepName,
        job: JobId,
        table: Table,
        from_row: u64,
    },
    /// Drops all rows of the job.
    Drop {
        sweep: SweepName,
        job: JobId,
    },
}

/// What becomes durable together, in this order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    pub events: Vec<Event>,
    pub spool: Vec<SpoolChange>,
}

impl Batch {
    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.spool.is_empty()
    }
}

/// What a journal has to tell at its opening.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replay {
    /// Where it begins.
    pub snapshot: Snapshot,
    /// What happened since, oldest first.
    pub events: Vec<Event>,
}

/// Who hears what a journal has to tell at its opening. Record by record, so that a long journal is never in memory as a whole.
pub trait Listener {
    /// Where it begins. It may begin once more, and all before is void then.
    fn begins(&mut self, snapshot: Snapshot);

    /// What happened since then, after what happened before.
    fn happened(&mut self, events: Vec<Event>);
}

impl Listener for Replay {
    fn begins(&mut self, snapshot: Snapshot) {
        *self = Self { snapshot, events: Vec::new() };
    }

    fn happened(&mut self, events: Vec<Event>) {
        self.events.extend(events);
    }
}

/// A journal that this process has opened.
pub trait Journal: Send + Sync + 'static {
    /// Which journal it is, from its creation on.
    fn id(&self) -> JournalId;

    /// The epoch that this opening took.
    fn epoch(&self) -> Epoch;

    /// Makes a batch durable. When this returns `Ok`, the batch survives any crash. After [`JournalError::Full`] nothing
    /// of it is stored, and the same batch may be tried again; after any other error nobody knows, and the process must
    /// stop: a failed sync is never tried again.
    fn append(&self, batch: Arc<Batch>) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Whether so much has happened since the journal's beginning that [`Journal::begin_anew`] is worth its while.
    fn is_long(&self) -> bool;

    /// Lets the journal begin with `snapshot`, which is the state after the last batch. The errors are those of
    /// [`Journal::append`]; after [`JournalError::Full`] it goes on as it was.
    fn begin_anew(
        &self,
        snapshot: Snapshot,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Whether what is stored can be found again: where the folder was removed or replaced under its files, they still take
    /// every write, and all of it goes with this process.
    fn check(&self) -> Result<(), JournalError>;

    /// The spooled rows of one job and table, by row number. Blocks.
    fn rows(
        &self,
        sweep: &SweepName,
        job: JobId,
        table: Table,
    ) -> Result<Vec<SpooledRows>, JournalError>;

    /// The jobs of `sweep` that have spooled rows. Blocks.
    fn spooled_jobs(&self, sweep: &SweepName) -> Vec<JobId>;

    /// The spooled rows of one job and table that follow each other from `from_row` on, as many as are read at a time (see
    /// `proto::limits::LIVE_BYTES`); none where there is none. Blocks, and no append for long.
    fn some_rows(
        &self,
        sweep: &SweepName,
        job: JobId,
        table: Table,
        from_row: u64,
    ) -> Result<Vec<SpooledRows>, JournalError>;
}

/// Why the journal cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("{} is in use by another coordinator", path.display())]
    InUse { path: PathBuf },
    #[error("cannot open the journal {}", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("{} is a journal of format {found}; this gradsweep reads format {expected}", path.display())]
    Format { path: PathBuf, found: u32, expected: u32 },
    #[error("the journal {} is damaged: {what}", path.display())]
    Damaged { path: PathBuf, what: String },
    #[error("no room to store in the journal {}", path.display())]
    Full { path: PathBuf, source: io::Error },
    #[error("cannot store in the journal {}", path.display())]
    Store { path: PathBuf, source: io::Error },
    #[error("cannot read the journal {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("epoch {ours} of this coordinator is over: epoch {current} took the journal")]
    Fenced { ours: Epoch, current: Epoch },
    #[error(
        "a coordinator on {host} has taken the journal {}: this one stops, and acknowledges nothing more",
        path.display()
    )]
    Taken { path: PathBuf, host: String },
    #[error(
        "the journal {} was removed or replaced while this coordinator was writing to it; what it acknowledged since is lost. \
         Put the folder back before you start another",
        path.display()
    )]
    Removed { path: PathBuf },
    #[error("the journal's thread ended")]
    Gone,
}

impl JournalError {
    /// Whether nothing was stored for want of room, so that trying again later makes sense.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }
}

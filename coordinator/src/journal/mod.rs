//! The journal: what is durable. Events, the spool of acknowledged rows, and who may write.
//!
//! One trait, so that the same shell runs on a file, on a simulated disk, and one day on a database that several
//! coordinators share: each opening takes a new epoch, and an older one is answered [`JournalError::Fenced`].

mod redb_journal;
mod stored;

use std::future::Future;
use std::path::PathBuf;

use domain::{Epoch, JobId, JournalId, SweepName, Table};

pub use redb_journal::RedbJournal;

use crate::machine::Event;

/// Rows of one batch in the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpooledRows {
    pub first_row: u64,
    pub row_count: u32,
    /// Arrow IPC, see `proto::rows`.
    pub arrow: Vec<u8>,
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
#[derive(Clone, Debug, Default)]
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

/// A journal that this process has opened.
pub trait Journal: Send + Sync + 'static {
    /// Which journal it is, from its creation on.
    fn id(&self) -> JournalId;

    /// The epoch that this opening took.
    fn epoch(&self) -> Epoch;

    /// Every event in order, oldest first.
    fn replay(&self) -> Result<Vec<Event>, JournalError>;

    /// Makes a batch durable. When this returns `Ok`, the batch survives any crash; when it returns an error, nobody
    /// knows, and the process must stop: a failed sync is never tried again.
    fn append(&self, batch: Batch) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// The spooled rows of one job and table, by row number. Blocks.
    fn rows(
        &self,
        sweep: &SweepName,
        job: JobId,
        table: Table,
    ) -> Result<Vec<SpooledRows>, JournalError>;
}

/// Why the journal cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("{} is in use by another coordinator", path.display())]
    InUse { path: PathBuf },
    #[error("cannot open the journal {}", path.display())]
    Open { path: PathBuf, source: Box<redb::Error> },
    #[error("{} is a journal of format {found}; this gradsweep reads format {expected}", path.display())]
    Format { path: PathBuf, found: u64, expected: u64 },
    #[error("the journal {} is damaged: {what}", path.display())]
    Damaged { path: PathBuf, what: String },
    #[error("cannot store in the journal {}", path.display())]
    Store { path: PathBuf, source: Box<redb::Error> },
    #[error("epoch {ours} of this coordinator is over: epoch {current} took the journal")]
    Fenced { ours: Epoch, current: Epoch },
    #[error("the journal's thread ended")]
    Gone,
}

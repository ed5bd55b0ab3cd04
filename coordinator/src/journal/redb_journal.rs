//! The journal in one redb file: durable transactions over checksummed records.
//!
//! Tables: `meta` (format, journal id, epoch), `events` (number → record, see [`super::stored`]), `spool` (sweep, job,
//! table, first row → row count and Arrow bytes, behind the same checksum).

use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::{Epoch, JobId, JournalId, SweepName, Table};
use redb::{Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};

use super::stored::{self, BadRecord};
use super::{Batch, Journal, JournalError, SpoolChange, SpooledRows};
use crate::machine::Event;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const IDENTITY: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("identity");
const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");
const SPOOL: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("spool");

/// The format that this build reads and writes.
const FORMAT: u64 = 1;

/// Pages kept in memory. The events are read once, the spool mostly while it is warm; the default of 1 GiB is not for
/// a process that shares a head node.
const CACHE_BYTES: usize = 64 << 20;

/// A journal in one file.
pub struct RedbJournal {
    database: Arc<Database>,
    path: PathBuf,
    id: JournalId,
    epoch: Epoch,
}

impl RedbJournal {
    /// Opens the journal at `path`, or makes it, with `fresh` as its id, and takes the next epoch.
    ///
    /// # Errors
    /// [`JournalError::InUse`] while another process has it open; [`JournalError::Damaged`] or
    /// [`JournalError::Format`] where it cannot be read.
    pub fn open(path: &Path, fresh: JournalId) -> Result<Self, JournalError> {
        Self::start(|| Database::builder().set_cache_size(CACHE_BYTES).create(path), path, fresh)
    }

    /// The same on another disk: a simulated one.
    pub fn open_on(
        backend: impl StorageBackend,
        path: &Path,
        fresh: JournalId,
    ) -> Result<Self, JournalError> {
        let create =
            || Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(backend);
        Self::start(create, path, fresh)
    }

    fn start(
        create: impl FnOnce() -> Result<Database, redb::DatabaseError>,
        path: &Path,
        fresh: JournalId,
    ) -> Result<Self, JournalError> {
        let path = path.to_owned();
        let open = |source| JournalError::Open { path: path.clone(), source: Box::new(source) };
        let opened = unharmed(&path, || Ok(create()?));
        let database = match opened? {
            Ok(database) => Arc::new(database),
            Err(redb::Error::DatabaseAlreadyOpen) => return Err(JournalError::InUse { path }),
            Err(error) => return Err(open(error)),
        };
        let begun = unharmed(&path, || begin(&database, fresh))?.map_err(open)?;
        let (format, id, epoch) = begun;
        if format != FORMAT {
            return Err(JournalError::Format { path, found: format, expected: FORMAT });
        }
        let id = <[u8; 16]>::try_from(id.as_slice()).map_err(|_| JournalError::Damaged {
            path: path.clone(),
            what: "its identity is not 16 bytes".to_owned(),
        })?;
        Ok(Self { database, path, id: JournalId(id), epoch: Epoch(epoch) })
    }

    /// [`Journal::append`] on this thread: blocks.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn append_now(&self, batch: &Batch) -> Result<(), JournalError> {
        self.told(append(&self.database, self.epoch, batch))
    }

    fn told(&self, appended: Result<Option<Epoch>, redb::Error>) -> Result<(), JournalError> {
        match appended {
            Ok(None) => Ok(()),
            Ok(Some(current)) => Err(JournalError::Fenced { ours: self.epoch, current }),
            Err(error) => Err(self.store(error)),
        }
    }

    fn store(&self, source: impl Into<redb::Error>) -> JournalError {
        JournalError::Store { path: self.path.clone(), source: Box::new(source.into()) }
    }

    fn damaged(&self, place: impl std::fmt::Display, problem: &BadRecord) -> JournalError {
        JournalError::Damaged { path: self.path.clone(), what: format!("{place}: {problem}") }
    }
}

/// What `read` reads, its damages told as [`JournalError::Damaged`]: those that redb finds, and those that it trips over.
fn unharmed<T>(
    path: &Path,
    read: impl FnOnce() -> Result<T, redb::Error>,
) -> Result<Result<T, redb::Error>, JournalError> {
    let damaged = |what| Err(JournalError::Damaged { path: path.to_owned(), what });
    // Whatever `read` has left half done is dropped with it: nothing of it is looked at after a panic.
    match panic::catch_unwind(AssertUnwindSafe(read)) {
        Ok(Err(redb::Error::Corrupted(what))) => damaged(what),
        Ok(read) => Ok(read),
        Err(payload) => {
            let words = payload.downcast_ref::<String>().map(String::as_str);
            let words = words.or_else(|| payload.downcast_ref::<&str>().copied());
            damaged(words.unwrap_or("it cannot be read").to_owned())
        }
    }
}

/// Reads or makes the identity and takes the next epoch. A file of another format is left as it is.
fn begin(database: &Database, fresh: JournalId) -> Result<(u64, Vec<u8>, u64), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    let begun = {
        let mut meta = transaction.open_table(META)?;
        let mut identity = transaction.open_table(IDENTITY)?;
        transaction.open_table(EVENTS)?;
        transaction.open_table(SPOOL)?;
        let format = meta.get("format")?.map(|format| format.value());
        let epoch = meta.get("epoch")?.map_or(0, |epoch| epoch.value()) + 1;
        let known = identity.get("journal")?.map(|id| id.value().to_vec());
        match format {
            Some(format) if format != FORMAT => (format, Vec::new(), 0),
            _ => {
                meta.insert("format", FORMAT)?;
                meta.insert("epoch", epoch)?;
                let id = known.unwrap_or_else(|| fresh.0.to_vec());
                identity.insert("journal", id.as_slice())?;
                (FORMAT, id, epoch)
            }
        }
    };
    transaction.commit()?;
    Ok(begun)
}

/// The name padded with zero bytes (it has none of its own), so that keys sort by sweep, job, table and row.
fn spool_prefix(sweep: &SweepName, job: JobId) -> Vec<u8> {
    let mut key = sweep.as_str().as_bytes().to_vec();
    key.resize(48, 0);
    key.extend_from_slice(&job.0);
    key
}

fn spool_key(sweep: &SweepName, job: JobId, table: Table, first_row: u64) -> Vec<u8> {
    let mut key = spool_prefix(sweep, job);
    key.push(match table {
        Table::Jobs => 0,
        Table::Steps => 1,
        Table::Confusion => 2,
        Table::Failures => 3,
    });
    key.extend_from_slice(&first_row.to_be_bytes());
    key
}

fn spool_value(rows: &SpooledRows) -> Vec<u8> {
    let mut body = rows.row_count.to_le_bytes().to_vec();
    body.extend_from_slice(&rows.arrow);
    stored::seal(&body)
}

fn append(database: &Database, ours: Epoch, batch: &Batch) -> Result<Option<Epoch>, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    {
        let meta = transaction.open_table(META)?;
        let current = meta.get("epoch")?.map_or(0, |epoch| epoch.value());
        if current != ours.0 {
            return Ok(Some(Epoch(current)));
        }
        let mut events = transaction.open_table(EVENTS)?;
        let next = events.last()?.map_or(0, |(number, _)| number.value() + 1);
        for (number, event) in (next..).zip(&batch.events) {
            events.insert(number, stored::encode(event).as_slice())?;
        }
        let mut spool = transaction.open_table(SPOOL)?;
        for change in &batch.spool {
            match change {
                SpoolChange::Put { sweep, job, table, rows } => {
                    let key = spool_key(sweep, *job, *table, rows.first_row);
                    spool.insert(key.as_slice(), spool_value(rows).as_slice())?;
                }
                SpoolChange::Truncate { sweep, job, table, from_row } => {
                    let from = spool_key(sweep, *job, *table, *from_row);
                    let to = spool_key(sweep, *job, *table, u64::MAX);
                    spool.retain_in(from.as_slice()..=to.as_slice(), |_, _| false)?;
                }
                SpoolChange::Drop { sweep, job } => {
                    let from = spool_prefix(sweep, *job);
                    let to = spool_key(sweep, *job, Table::Failures, u64::MAX);
                    spool.retain_in(from.as_slice()..=to.as_slice(), |_, _| false)?;
                }
            }
        }
    }
    transaction.commit()?;
    Ok(None)
}

impl Journal for RedbJournal {
    fn id(&self) -> JournalId {
        self.id
    }

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn replay(&self) -> Result<Vec<Event>, JournalError> {
        let read = || -> Result<Vec<(u64, Vec<u8>)>, redb::Error> {
            let transaction = self.database.begin_read()?;
            let events = transaction.open_table(EVENTS)?;
            let mut records = Vec::new();
            for entry in events.iter()? {
                let (number, record) = entry?;
                records.push((number.value(), record.value().to_vec()));
            }
            Ok(records)
        };
        let records = unharmed(&self.path, read)?.map_err(|error| self.store(error))?;
        let event = |(index, (number, record)): (usize, (u64, Vec<u8>))| {
            if number != index as u64 {
                let what = format!("event {index} is missing");
                return Err(JournalError::Damaged { path: self.path.clone(), what });
            }
            let place = format!("event {number}");
            stored::decode(&record).map_err(|problem| self.damaged(place, &problem))
        };
        records.into_iter().enumerate().map(event).collect()
    }

    async fn append(&self, batch: Batch) -> Result<(), JournalError> {
        let (database, ours) = (Arc::clone(&self.database), self.epoch);
        let stored = tokio::task::spawn_blocking(move || append(&database, ours, &batch)).await;
        self.told(stored.map_err(|_| JournalError::Gone)?)
    }

    fn rows(
        &self,
        sweep: &SweepName,
        job: JobId,
        table: Table,
    ) -> Result<Vec<SpooledRows>, JournalError> {
        let from = spool_key(sweep, job, table, 0);
        let to = spool_key(sweep, job, table, u64::MAX);
        let read = || -> Result<Vec<(u64, Vec<u8>)>, redb::Error> {
            let transaction = self.database.begin_read()?;
            let spool = transaction.open_table(SPOOL)?;
            let mut found = Vec::new();
            for entry in spool.range(from.as_slice()..=to.as_slice())? {
                let (key, value) = entry?;
                let first_row =
                    key.value().last_chunk::<8>().map_or(0, |row| u64::from_be_bytes(*row));
                found.push((first_row, value.value().to_vec()));
            }
            Ok(found)
        };
        let rows = |(first_row, record): (u64, Vec<u8>)| {
            let place = format!("rows {first_row} of table {} of job {job}", table.as_str());
            let body = stored::open(&record).map_err(|problem| self.damaged(&place, &problem))?;
            let (count, arrow) = body
                .split_first_chunk::<4>()
                .ok_or_else(|| self.damaged(&place, &BadRecord::Short))?;
            let row_count = u32::from_le_bytes(*count);
            Ok(SpooledRows { first_row, row_count, arrow: arrow.to_vec() })
        };
        unharmed(&self.path, read)?
            .map_err(|error| self.store(error))?
            .into_iter()
            .map(rows)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep() -> SweepName {
        "a-sweep".parse().expect("a good name")
    }

    const JOB: JobId = JobId([1; 16]);
    const FRESH: JournalId = JournalId([9; 16]);

    fn put(table: Table, first_row: u64, row_count: u32) -> SpoolChange {
        let rows = SpooledRows { first_row, row_count, arrow: vec![first_row as u8; 3] };
        SpoolChange::Put { sweep: sweep(), job: JOB, table, rows }
    }

    fn sealed(segment: &str) -> Event {
        Event::SegmentSealed { sweep: sweep(), segment: segment.to_owned() }
    }

    fn first_rows(journal: &RedbJournal, table: Table) -> Vec<u64> {
        let rows = journal.rows(&sweep(), JOB, table).expect("reads");
        rows.iter().map(|rows| rows.first_row).collect()
    }

    #[tokio::test]
    async fn what_was_appended_is_there_after_reopening_under_a_new_epoch() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("journal.redb");
        let journal = RedbJournal::open(&path, FRESH).expect("opens");
        assert_eq!((journal.id(), journal.epoch()), (FRESH, Epoch(1)));
        let batch = Batch {
            events: vec![sealed("a"), sealed("b")],
            spool: vec![put(Table::Steps, 0, 4), put(Table::Steps, 4, 2), put(Table::Jobs, 0, 1)],
        };
        journal.append(batch).await.expect("stores");
        let second = RedbJournal::open(&path, FRESH);
        assert!(matches!(second, Err(JournalError::InUse { .. })));
        drop(journal);

        let journal = RedbJournal::open(&path, JournalId([2; 16])).expect("opens again");
        assert_eq!((journal.id(), journal.epoch()), (FRESH, Epoch(2)));
        assert_eq!(journal.replay().expect("replays"), [sealed("a"), sealed("b")]);
        assert_eq!(first_rows(&journal, Table::Steps), [0, 4]);

        let from =
            SpoolChange::Truncate { sweep: sweep(), job: JOB, table: Table::Steps, from_row: 4 };
        journal.append(Batch { events: vec![], spool: vec![from] }).await.expect("stores");
        assert_eq!(first_rows(&journal, Table::Steps), [0]);
        let all = SpoolChange::Drop { sweep: sweep(), job: JOB };
        journal.append(Batch { events: vec![], spool: vec![all] }).await.expect("stores");
        assert_eq!(first_rows(&journal, Table::Steps), [] as [u64; 0]);
        assert_eq!(first_rows(&journal, Table::Jobs), [] as [u64; 0]);
    }

    #[tokio::test]
    async fn an_older_epoch_is_fenced() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut journal =
            RedbJournal::open(&folder.path().join("journal.redb"), FRESH).expect("opens");
        journal.epoch = Epoch(0);
        let fenced = journal.append(Batch { events: vec![sealed("a")], spool: vec![] }).await;
        assert!(matches!(fenced, Err(JournalError::Fenced { ours: Epoch(0), current: Epoch(1) })));
        assert_eq!(journal.replay().expect("replays"), []);
    }

    #[test]
    fn a_file_that_is_no_journal_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("journal.redb");
        let text = b"this is not a journal, but something that somebody wants to keep".repeat(99);
        std::fs::write(&path, &text).expect("writes");
        let opened = RedbJournal::open(&path, FRESH);
        assert!(opened.is_err());
        assert_eq!(std::fs::read(&path).expect("reads"), text);
    }
}

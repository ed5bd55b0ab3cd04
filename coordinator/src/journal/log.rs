//! The journal in two files: a log of checksummed records, and the log that it is replaced by when it has grown long.
//!
//! ```text
//! log.0, log.1   header, header, record, record, … zeros     one of them counts: the one of the higher generation
//! log.mark       how far the log is known to reach
//!
//! header         magic, format, generation, epoch, journal id, checksum; written in turn at byte 0 and at byte 4096
//! record         length (8 bytes), checksum (8 bytes), body (see `stored`)
//! ```
//!
//! A record is one batch, written and synced together. Its checksum covers the checksum of the record before, so that
//! nothing that lay there earlier can pass for a record. What follows the last record that fits is either zeros or a
//! batch that was not acknowledged. To tell the latter from damage, the mark says how far acknowledged records reach: it
//! is written after each sync and not synced itself, so after the death of a process it is exact, and after a power cut
//! it may be some batches behind.
//!
//! A log that has grown long begins anew: the state as it is and the rows that are still needed are written to the other
//! file and synced; then its header is written, with the next generation, and synced; then the old log is cut to nothing.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{Epoch, JobId, JournalId, SweepName, Table};
use proto::limits::{LIVE_BATCHES, LIVE_BYTES};

use super::owner::{Owner, locks_reach_all_hosts};
use super::spool::{Place, Spool};
use super::storage::{FileStorage, Storage};
use super::stored::{self, Spooled, short_hash};
use super::{Batch, Journal, JournalError, Listener, Replay, SpoolChange, SpooledRows};
use crate::machine::Snapshot;

/// The format that this build reads and writes.
const FORMAT: u32 = 3;
const MAGIC: &[u8; 8] = b"gradswp\n";
/// Bytes of a header.
const HEADER: usize = 56;
/// Where the two headers lie: never torn together.
const HEADERS_AT: [u64; 2] = [0, 4_096];
/// Where the records begin.
const RECORDS_AT: u64 = 8_192;
/// Bytes before the body of a record: its length and its checksum.
const FRAME: u64 = 16;
/// Bytes of the mark.
const MARK: usize = 24;
/// Room is taken from the file system in such pieces, ahead of need: writing within them changes no metadata.
const ROOM: u64 = 4 << 20;
/// A log shorter than this is never worth beginning anew.
const LONG: u64 = 32 << 20;
/// Most bytes of rows that are copied in one record.
const COPY: u64 = 8 << 20;

/// The files that a journal stands on.
#[derive(Clone, Debug)]
pub struct Files {
    pub logs: [Arc<dyn Storage>; 2],
    pub mark: Arc<dyn Storage>,
}

/// A journal in a folder.
pub struct LogJournal {
    id: JournalId,
    epoch: Epoch,
    log: Arc<Mutex<Log>>,
    /// Its files by their paths; none on a simulated disk.
    paths: Vec<(PathBuf, Arc<FileStorage>)>,
    /// Where a lock does not tell who has it.
    owner: Option<Arc<Owner>>,
}

/// The log that counts.
#[derive(Debug)]
struct Log {
    path: PathBuf,
    files: Files,
    /// Which of the two.
    active: usize,
    header: Header,
    /// Where the next record goes.
    end: u64,
    /// The checksum of the last record.
    chain: [u8; 8],
    /// Up to where the file has room.
    room: u64,
    spool: Spool,
    /// Bytes of the state that it begins with.
    base: u64,
    /// Beginning anew failed for want of room: not tried again before the log is this long.
    not_before: u64,
    /// A sync failed: what is durable is not known any more.
    is_lost: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    generation: u64,
    epoch: u64,
    id: JournalId,
}

impl Header {
    fn bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.generation.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[32..48].copy_from_slice(&self.id.0);
        let check = short_hash(&[&bytes[..48]]);
        bytes[48..].copy_from_slice(&check);
        bytes
    }

    /// The header in `bytes`, or the other format that they are of.
    fn read(bytes: &[u8; HEADER]) -> Option<Result<Self, u32>> {
        let (said, check) = bytes.split_at(48);
        if &said[..8] != MAGIC || short_hash(&[said]) != check {
            return None;
        }
        let format = u32::from_le_bytes(said[8..12].try_into().ok()?);
        if format != FORMAT {
            return Some(Err(format));
        }
        Some(Ok(Self {
            generation: u64::from_le_bytes(said[16..24].try_into().ok()?),
            epoch: u64::from_le_bytes(said[24..32].try_into().ok()?),
            id: JournalId(said[32..48].try_into().ok()?),
        }))
    }

    /// Where it is written: in turn, so that the one before stays whole while it is.
    fn place(&self) -> u64 {
        HEADERS_AT[(self.epoch % 2) as usize]
    }
}

/// A record that is written and does not count yet.
struct Written {
    end: u64,
    check: [u8; 8],
    placed: Vec<Spooled>,
    body_bytes: u64,
}

/// The body of a record, and its checksum.
type Checked = (Vec<u8>, [u8; 8]);

/// A record around `body`, and its checksum.
fn framed(chain: [u8; 8], body: &[u8]) -> (Vec<u8>, [u8; 8]) {
    let length = (body.len() as u64).to_le_bytes();
    let check = short_hash(&[&chain, &length, body]);
    let mut record = Vec::with_capacity(body.len() + FRAME as usize);
    record.extend_from_slice(&length);
    record.extend_from_slice(&check);
    record.extend_from_slice(body);
    (record, check)
}

impl LogJournal {
    /// Opens the journal in `folder`, or makes it, with `fresh` as its id, and takes the next epoch. What it has to tell
    /// comes with it.
    ///
    /// # Errors
    /// [`JournalError::InUse`] while another process has it open; [`JournalError::Damaged`] or
    /// [`JournalError::Format`] where it cannot be read.
    pub fn open(folder: &Path, fresh: JournalId) -> Result<(Self, Replay), JournalError> {
        let mut replay = Replay::default();
        Ok((Self::open_to(folder, fresh, &mut replay)?, replay))
    }

    /// The same; what it has to tell, `listener` hears.
    ///
    /// # Errors
    /// As [`LogJournal::open`]: what was heard before is then worth nothing.
    pub fn open_to(
        folder: &Path,
        fresh: JournalId,
        listener: &mut dyn Listener,
    ) -> Result<Self, JournalError> {
        let open = |source| JournalError::Open { path: folder.to_owned(), source };
        let earlier = folder.join("journal.redb");
        if earlier.exists() {
            return Err(JournalError::Format { path: earlier, found: 1, expected: FORMAT });
        }
        fs::create_dir_all(folder).map_err(open)?;
        let mut paths = Vec::new();
        let mut file = |name| {
            let path = folder.join(name);
            let file = Arc::new(FileStorage::open(&path).map_err(open)?);
            paths.push((path, Arc::clone(&file)));
            Ok(file)
        };
        let mark = file("log.mark")?;
        let has_lock = match mark.lock() {
            Ok(true) => true,
            Ok(false) => return Err(JournalError::InUse { path: folder.to_owned() }),
            // Lustre as it is mounted at some places.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => false,
            Err(error) => return Err(open(error)),
        };
        let owner = match has_lock && locks_reach_all_hosts(folder).map_err(open)? {
            true => None,
            false => Some(Arc::new(Owner::take(folder, has_lock)?)),
        };
        let files = Files { logs: [file("log.0")?, file("log.1")?], mark };
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(open)?;
        let journal = Self::open_on_to(files, folder, fresh, listener)?;
        Ok(Self { paths, owner, ..journal })
    }

    /// The same on other files: those of a simulated disk.
    ///
    /// # Errors
    /// As [`LogJournal::open`].
    pub fn open_on(
        files: Files,
        path: &Path,
        fresh: JournalId,
    ) -> Result<(Self, Replay), JournalError> {
        let mut replay = Replay::default();
        Ok((Self::open_on_to(files, path, fresh, &mut replay)?, replay))
    }

    fn open_on_to(
        files: Files,
        path: &Path,
        fresh: JournalId,
        listener: &mut dyn Listener,
    ) -> Result<Self, JournalError> {
        let mut log = Log::read(files, path, fresh, listener)?;
        log.take_epoch()?;
        let (id, epoch) = (log.header.id, Epoch(log.header.epoch));
        let log = Arc::new(Mutex::new(log));
        Ok(Self { id, epoch, log, paths: Vec::new(), owner: None })
    }

    /// [`Journal::append`] on this thread: blocks.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn append_now(&self, batch: &Batch) -> Result<(), JournalError> {
        lock(&self.log).append(batch)
    }

    /// [`Journal::begin_anew`] on this thread: blocks.
    ///
    /// # Errors
    /// As [`Journal::begin_anew`].
    pub fn begin_anew_now(&self, snapshot: &Snapshot) -> Result<(), JournalError> {
        lock(&self.log).begin_anew(snapshot)
    }

    /// Changes the log on a thread that may block, as its owner from before the change until after it.
    async fn change(
        &self,
        change: impl FnOnce(&mut Log) -> Result<(), JournalError> + Send + 'static,
    ) -> Result<(), JournalError> {
        let (log, owner) = (Arc::clone(&self.log), self.owner.clone());
        let look = move || owner.as_ref().map_or(Ok(()), |owner| owner.look());
        let changed = tokio::task::spawn_blocking(move || {
            look()?;
            change(&mut lock(&log))?;
            look()
        });
        changed.await.map_err(|_| JournalError::Gone)?
    }
}

/// Whoever panicked while holding the log left it as it was or marked it lost.
fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Log {
    /// A log without a record.
    fn empty(files: Files, path: PathBuf, active: usize, header: Header) -> Self {
        Self {
            path,
            files,
            active,
            header,
            end: RECORDS_AT,
            chain: [0; 8],
            room: 0,
            spool: Spool::default(),
            base: 0,
            not_before: 0,
            is_lost: false,
        }
    }

    /// Reads what is there; a journal that is new gets its first header when its epoch is taken.
    fn read(
        files: Files,
        path: &Path,
        fresh: JournalId,
        listener: &mut dyn Listener,
    ) -> Result<Self, JournalError> {
        let header = Header { generation: 1, epoch: 0, id: fresh };
        let mut log = Self::empty(files, path.to_owned(), 0, header);
        let mark = log.read_mark();
        let found = [log.read_header(0)?, log.read_header(1)?];
        let best = (0..2).filter_map(|index| found[index].map(|header| (header, index)));
        let Some((header, active)) = best.max_by_key(|(header, _)| header.generation) else {
            let is_new = log.is_blank(0)? && log.is_blank(1)?;
            if !is_new || mark.is_some() {
                return Err(log.damaged("neither log.0 nor log.1 begins as a journal"));
            }
            return Ok(log);
        };
        (log.header, log.active) = (header, active);
        log.read_records(listener)?;
        if let Some((generation, end)) = mark {
            let (at, file) = (log.end, log.active);
            if generation > log.header.generation {
                return Err(log.damaged("the log that was begun last is not there"));
            }
            if generation == log.header.generation && end > at {
                let lost = end - at;
                return Err(log.damaged(&format!(
                    "the record at byte {at} of log.{file} cannot be read, and with it {lost} bytes that were acknowledged"
                )));
            }
        }
        let other = &log.files.logs[1 - log.active];
        if !other.is_empty().map_err(|e| log.unreadable(e))? {
            // The log before this one: its end was cut short by a crash.
            other.cut(0).map_err(|error| log.store(error))?;
        }
        Ok(log)
    }

    fn read_header(&self, index: usize) -> Result<Option<Header>, JournalError> {
        let file = &self.files.logs[index];
        let length = file.len().map_err(|error| self.unreadable(error))?;
        let mut best: Option<Header> = None;
        let mut format = None;
        for at in HEADERS_AT {
            let mut bytes = [0; HEADER];
            if length < at + HEADER as u64 {
                continue;
            }
            file.read(at, &mut bytes).map_err(|error| self.unreadable(error))?;
            match Header::read(&bytes) {
                Some(Ok(header)) => {
                    best = best.into_iter().chain([header]).max_by_key(|header| header.epoch);
                }
                Some(Err(found)) => format = Some(found),
                None => {}
            }
        }
        match format {
            Some(found) => {
                let path = self.path.join(format!("log.{index}"));
                Err(JournalError::Format { path, found, expected: FORMAT })
            }
            None => Ok(best),
        }
    }

    /// Whether nothing was ever written to a log but zeros, and perhaps its first header in part.
    fn is_blank(&self, index: usize) -> Result<bool, JournalError> {
        let file = &self.files.logs[index];
        let length = file.len().map_err(|error| self.unreadable(error))?;
        let mut bytes = vec![0; length.min(RECORDS_AT + ROOM) as usize];
        file.read(0, &mut bytes).map_err(|error| self.unreadable(error))?;
        let first = HEADERS_AT[1] as usize..HEADERS_AT[1] as usize + HEADER;
        Ok(bytes.iter().enumerate().all(|(at, byte)| *byte == 0 || first.contains(&at)))
    }

    /// The generation and the end that the mark tells, if it is whole.
    fn read_mark(&self) -> Option<(u64, u64)> {
        let mut bytes = [0; MARK];
        if self.files.mark.len().ok()? < MARK as u64 {
            return None;
        }
        self.files.mark.read(0, &mut bytes).ok()?;
        let (said, check) = bytes.split_at(16);
        if short_hash(&[b"mark", said]) != check {
            return None;
        }
        let number = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).ok();
        Some((number(&said[..8])?, number(&said[8..])?))
    }

    /// Says how far acknowledged records reach. It is help, not promise: without it nothing is lost.
    fn write_mark(&self) {
        let mut bytes = [0; MARK];
        bytes[..8].copy_from_slice(&self.header.generation.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.end.to_le_bytes());
        let check = short_hash(&[b"mark", &bytes[..16]]);
        bytes[16..].copy_from_slice(&check);
        if let Err(error) = self.files.mark.write(0, &bytes) {
            tracing::debug!(%error, "the journal's mark is behind");
        }
    }

    /// Reads every record; `end` and `chain` are after the last that fits.
    fn read_records(&mut self, listener: &mut dyn Listener) -> Result<(), JournalError> {
        let file = Arc::clone(&self.files.logs[self.active]);
        let length = file.len().map_err(|error| self.unreadable(error))?;
        let mut is_first = true;
        while let Some((body, check)) = self.next_record(&*file, length)? {
            let at = self.end;
            let bad = |problem| self.damaged(&format!("the record at byte {at}: {problem}"));
            let record = stored::decode(&body, at + FRAME).map_err(bad)?;
            if let Some(snapshot) = record.snapshot {
                listener.begins(snapshot);
                self.base = body.len() as u64;
            } else if is_first && self.header.generation > 1 {
                return Err(self.damaged("the log does not begin with a state"));
            }
            is_first = false;
            listener.happened(record.events);
            self.change_spool(record.spool);
            self.end = at + FRAME + body.len() as u64;
            self.chain = check;
        }
        if is_first && self.header.generation > 1 {
            return Err(self.damaged("the log does not begin with a state"));
        }
        self.room = length;
        Ok(())
    }

    fn next_record(
        &self,
        file: &dyn Storage,
        length: u64,
    ) -> Result<Option<Checked>, JournalError> {
        let body_at = self.end + FRAME;
        if body_at > length {
            return Ok(None);
        }
        let mut frame = [0; FRAME as usize];
        file.read(self.end, &mut frame).map_err(|error| self.unreadable(error))?;
        let (said, check) = frame.split_at(8);
        let size = u64::from_le_bytes(said.try_into().unwrap_or_default());
        if size == 0 || size > length - body_at {
            return Ok(None);
        }
        let mut body = vec![0; size as usize];
        file.read(body_at, &mut body).map_err(|error| self.unreadable(error))?;
        let expected = short_hash(&[&self.chain, said, &body]);
        Ok((expected == check).then_some((body, expected)))
    }

    fn change_spool(&mut self, changes: Vec<Spooled>) {
        for change in changes {
            match change {
                Spooled::Put { sweep, job, table, first_row, place } => {
                    self.spool.put((sweep, job), table, first_row, place);
                }
                Spooled::Truncate { sweep, job, table, from_row } => {
                    self.spool.truncate(&(sweep, job), table, from_row);
                }
                Spooled::Drop { sweep, job } => self.spool.drop_job(&(sweep, job)),
            }
        }
    }

    /// Writes the header of the next epoch: coordinators before this one are fenced.
    fn take_epoch(&mut self) -> Result<(), JournalError> {
        self.header.epoch += 1;
        let file = Arc::clone(&self.files.logs[self.active]);
        self.make_room(&*file, RECORDS_AT)?;
        file.write(self.header.place(), &self.header.bytes()).map_err(|e| self.failed(e))?;
        self.sync(&*file)?;
        self.write_mark();
        Ok(())
    }

    fn make_room(&mut self, file: &dyn Storage, end: u64) -> Result<(), JournalError> {
        if end > self.room {
            let room = (end + ROOM).next_multiple_of(ROOM);
            // Where there is no room ahead, there may be just enough.
            file.reserve(room).or_else(|_| file.reserve(end)).map_err(|e| self.failed(e))?;
            self.room = file.len().map_err(|e| self.failed(e))?;
        }
        Ok(())
    }

    /// A write that failed before its sync: nothing of it counts, and where it was for want of room it may be tried again.
    fn failed(&mut self, source: io::Error) -> JournalError {
        let path = self.path.clone();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                JournalError::Full { path, source }
            }
            _ => {
                self.is_lost = true;
                JournalError::Store { path, source }
            }
        }
    }

    fn sync(&mut self, file: &dyn Storage) -> Result<(), JournalError> {
        file.sync().map_err(|source| {
            self.is_lost = true;
            JournalError::Store { path: self.path.clone(), source }
        })
    }

    fn may_write(&self) -> Result<(), JournalError> {
        if self.is_lost {
            return Err(self.store(io::Error::other("an earlier sync failed")));
        }
        let current = self.read_header(self.active)?.map_or(0, |header| header.epoch);
        if current != self.header.epoch {
            let (ours, current) = (Epoch(self.header.epoch), Epoch(current));
            return Err(JournalError::Fenced { ours, current });
        }
        Ok(())
    }

    fn append(&mut self, batch: &Batch) -> Result<(), JournalError> {
        self.may_write()?;
        let file = Arc::clone(&self.files.logs[self.active]);
        let written = self.write_record(&*file, batch, None)?;
        self.sync(&*file)?;
        self.count(written);
        self.write_mark();
        Ok(())
    }

    fn is_long(&self) -> bool {
        let needed = self.base + self.spool.bytes();
        self.end > LONG + 3 * needed && self.end >= self.not_before
    }

    fn begin_anew(&mut self, snapshot: &Snapshot) -> Result<(), JournalError> {
        self.may_write()?;
        let begun = self.write_anew(snapshot);
        let file = Arc::clone(&self.files.logs[1 - self.active]);
        match begun {
            Ok(log) => {
                let old = Arc::clone(&self.files.logs[self.active]);
                *self = log;
                self.write_mark();
                // It stays if it must: the next opening cuts it.
                drop(old.cut(0));
                Ok(())
            }
            Err(error) => {
                self.not_before = self.end + LONG / 4;
                self.is_lost |= !error.is_full();
                drop(file.cut(0));
                Err(error)
            }
        }
    }

    /// The log that replaces this one, in the other file, header and all.
    fn write_anew(&self, snapshot: &Snapshot) -> Result<Self, JournalError> {
        let header = Header { generation: self.header.generation + 1, ..self.header };
        let (files, path) = (self.files.clone(), self.path.clone());
        let mut log = Self::empty(files, path, 1 - self.active, header);
        let file = Arc::clone(&log.files.logs[log.active]);
        file.cut(0).map_err(|error| log.failed(error))?;
        let state = log.write_record(&*file, &Batch::default(), Some(snapshot))?;
        log.base = state.body_bytes;
        log.count(state);
        let mut batch = Batch::default();
        let mut bytes = 0;
        for ((sweep, job), table, first_row, place) in self.spool.all() {
            let rows = self.spooled(first_row, place)?;
            let (sweep, job) = (sweep.clone(), *job);
            batch.spool.push(SpoolChange::Put { sweep, job, table, rows });
            bytes += u64::from(place.bytes);
            if bytes >= COPY {
                let rows = log.write_record(&*file, &std::mem::take(&mut batch), None)?;
                log.count(rows);
                bytes = 0;
            }
        }
        if !batch.is_empty() {
            let rows = log.write_record(&*file, &batch, None)?;
            log.count(rows);
        }
        log.sync(&*file)?;
        file.write(log.header.place(), &log.header.bytes()).map_err(|error| log.failed(error))?;
        log.sync(&*file)?;
        Ok(log)
    }

    /// Writes one record behind the last that counts. It counts from [`Log::count`] on: after its sync, or, in a log that
    /// does not count itself yet, at once.
    fn write_record(
        &mut self,
        file: &dyn Storage,
        batch: &Batch,
        snapshot: Option<&Snapshot>,
    ) -> Result<Written, JournalError> {
        let (body, placed) = stored::encode(batch, snapshot, self.end + FRAME);
        let (record, check) = framed(self.chain, &body);
        let end = self.end + record.len() as u64;
        self.make_room(file, end)?;
        file.write(self.end, &record).map_err(|error| self.failed(error))?;
        Ok(Written { end, check, placed, body_bytes: body.len() as u64 })
    }

    fn count(&mut self, written: Written) {
        let Written { end, check, placed, .. } = written;
        (self.end, self.chain) = (end, check);
        self.change_spool(placed);
    }

    /// Reads a batch of rows and checks it.
    fn spooled(&self, first_row: u64, place: Place) -> Result<SpooledRows, JournalError> {
        let mut cells = vec![0; place.bytes as usize];
        let file = &self.files.logs[self.active];
        file.read(place.offset, &mut cells).map_err(|error| self.unreadable(error))?;
        if stored::check(&cells) as u32 != place.check {
            let (at, file) = (place.offset, self.active);
            return Err(self.damaged(&format!("the rows at byte {at} of log.{file}")));
        }
        Ok(SpooledRows { first_row, row_count: place.row_count, cells })
    }

    fn damaged(&self, what: &str) -> JournalError {
        JournalError::Damaged { path: self.path.clone(), what: what.to_owned() }
    }

    fn unreadable(&self, source: io::Error) -> JournalError {
        JournalError::Read { path: self.path.clone(), source }
    }

    fn store(&self, source: io::Error) -> JournalError {
        JournalError::Store { path: self.path.clone(), source }
    }
}

impl Journal for LogJournal {
    fn id(&self) -> JournalId {
        self.id
    }

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    async fn append(&self, batch: Arc<Batch>) -> Result<(), JournalError> {
        self.change(move |log| log.append(&batch)).await
    }

    fn is_long(&self) -> bool {
        lock(&self.log).is_long()
    }

    async fn begin_anew(&self, snapshot: Snapshot) -> Result<(), JournalError> {
        self.change(move |log| log.begin_anew(&snapshot)).await
    }

    fn check(&self) -> Result<(), JournalError> {
        self.owner.as_ref().map_or(Ok(()), |owner| owner.standing())?;
        // A file system that does not answer now may answer the next time, and tells at the next append.
        match self.paths.iter().all(|(path, file)| file.is_at(path).unwrap_or(true)) {
            true => Ok(()),
            false => Err(JournalError::Removed { path: lock(&self.log).path.clone() }),
        }
    }

    fn rows(
        &self,
        sweep: &SweepName,
        job: JobId,
        table: Table,
    ) -> Result<Vec<SpooledRows>, JournalError> {
        let log = lock(&self.log);
        let places = log.spool.rows(&(sweep.clone(), job), table);
        places.map(|(first_row, place)| log.spooled(first_row, place)).collect()
    }

    fn spooled_jobs(&self, sweep: &SweepName) -> Vec<JobId> {
        lock(&self.log).spool.jobs(sweep).collect()
    }

    fn some_rows(
        &self,
        sweep: &SweepName,
        job: JobId,
        table: Table,
        from_row: u64,
    ) -> Result<Vec<SpooledRows>, JournalError> {
        let log = lock(&self.log);
        let places = log.spool.rows(&(sweep.clone(), job), table);
        let (mut rows, mut next_row, mut bytes) = (Vec::new(), from_row, 0);
        for (first_row, place) in places.skip_while(|(first_row, _)| *first_row < from_row) {
            bytes += u64::from(place.bytes);
            let is_enough = rows.len() >= LIVE_BATCHES || bytes > LIVE_BYTES && !rows.is_empty();
            // A gap: what was read before is of an attempt that began again since.
            if is_enough || first_row != next_row {
                break;
            }
            next_row += u64::from(place.row_count);
            rows.push(log.spooled(first_row, place)?);
        }
        Ok(rows)
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;

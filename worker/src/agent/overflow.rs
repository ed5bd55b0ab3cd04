//! What slots told while memory was full: a queue of messages in files, first in, first out.
//!
//! ```text
//! length: u32 │ checksum: 8 bytes │ the message as it travels        little-endian; the checksum covers the message
//! ```
//!
//! The files have no names: each is made in the worker's cache and its name removed at once, so that the kernel gives the
//! room back however the agent ends. Nobody would want them then: the attempts that they tell of die with the agent's leases,
//! and whoever goes on from their checkpoints measures the same rows again. A file is given up as soon as it was read.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use proto::error::WireError;
use proto::limits::MESSAGE_BYTES_MAX;
use proto::message::{Attempt, FromWorker};

/// Bytes that one worker keeps on disk at most where nothing else is said; its trials wait when they are used up. 1 GiB is
/// some 500,000 confusion rows.
pub const OVERFLOW_BYTES_MAX: u64 = 1 << 30;

/// Length of a file after which the next one is begun: what was read is given back in such pieces.
const FILE_BYTES: u64 = 32 << 20;

/// Bytes before a message: its length and its checksum.
const FRAME: usize = 12;

/// Why a message cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum OverflowError {
    #[error("{length} bytes at byte {at} cannot be read")]
    Read { at: u64, length: usize, source: io::Error },
    #[error("a message of {found} bytes at byte {at} is not possible")]
    Length { at: u64, found: usize },
    #[error("the checksum of the message at byte {at} does not fit")]
    Checksum { at: u64 },
    #[error("the message at byte {at} makes no sense")]
    Message { at: u64, source: WireError },
}

/// The queue.
#[derive(Debug)]
pub struct Overflow {
    folder: PathBuf,
    bytes_max: u64,
    files: VecDeque<Piece>,
    /// Messages of each attempt that are in it.
    tellers: BTreeMap<Attempt, u64>,
}

/// One file of it.
#[derive(Debug)]
struct Piece {
    file: File,
    /// Where the next message goes, and the next one is read.
    end: u64,
    at: u64,
}

impl Overflow {
    /// An empty queue, whose files will be in `folder` and together no longer than `bytes_max`.
    pub fn new(folder: PathBuf, bytes_max: u64) -> Self {
        Self { folder, bytes_max, files: VecDeque::new(), tellers: BTreeMap::new() }
    }

    /// Whether nothing waits in it.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Bytes that it takes on disk.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|piece| piece.end).sum()
    }

    /// Puts a message behind all others. It is not synced: it is to outlive a full memory, not this process.
    ///
    /// # Errors
    /// Where there is no room for it, within the bound or on the disk. The queue is then as it was.
    pub fn push(&mut self, message: &FromWorker) -> io::Result<()> {
        let body = message.to_bytes();
        let mut record = Vec::with_capacity(FRAME + body.len());
        record.extend_from_slice(&(body.len() as u32).to_le_bytes());
        record.extend_from_slice(&checksum(&body));
        record.extend_from_slice(&body);
        if self.bytes() + record.len() as u64 > self.bytes_max {
            let limit = self.bytes_max;
            return Err(io::Error::other(format!("its bound of {limit} bytes is reached")));
        }
        if self.files.back().is_none_or(|last| last.end >= FILE_BYTES) {
            let file = nameless(&self.folder)?;
            self.files.push_back(Piece { file, end: 0, at: 0 });
        }
        let last = self.files.back_mut().expect("there is one by now");
        if let Err(error) = last.file.write_all_at(&record, last.end) {
            if last.end == 0 {
                self.files.pop_back();
            }
            return Err(error);
        }
        last.end += record.len() as u64;
        if let Some(attempt) = teller(message) {
            *self.tellers.entry(attempt.clone()).or_default() += 1;
        }
        Ok(())
    }

    /// The message that has waited longest; `None`: none waits.
    ///
    /// # Errors
    /// [`OverflowError`] where it cannot be read back. What follows it cannot be trusted either: see [`Self::give_up`].
    pub fn pop(&mut self) -> Result<Option<FromWorker>, OverflowError> {
        let Some(first) = self.files.front_mut() else { return Ok(None) };
        let (message, next) = first.read()?;
        first.at = next;
        if first.at == first.end {
            self.files.pop_front();
        }
        if let Some(attempt) = teller(&message)
            && let Some(count) = self.tellers.get_mut(attempt)
        {
            *count -= 1;
            if *count == 0 {
                self.tellers.remove(attempt);
            }
        }
        Ok(Some(message))
    }

    /// Empties it. The attempts whose messages are lost by that.
    pub fn give_up(&mut self) -> Vec<Attempt> {
        self.files.clear();
        std::mem::take(&mut self.tellers).into_keys().collect()
    }
}

impl Piece {
    /// The next message, and where the one after it begins.
    fn read(&self) -> Result<(FromWorker, u64), OverflowError> {
        let at = self.at;
        let read = |from: u64, bytes: &mut [u8]| {
            let length = bytes.len();
            let done = self.file.read_exact_at(bytes, from);
            done.map_err(|source| OverflowError::Read { at: from, length, source })
        };
        let mut frame = [0; FRAME];
        read(at, &mut frame)?;
        let (length, check) = frame.split_at(4);
        let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
        if length > MESSAGE_BYTES_MAX {
            return Err(OverflowError::Length { at, found: length });
        }
        let mut body = vec![0; length];
        read(at + FRAME as u64, &mut body)?;
        if checksum(&body) != check {
            return Err(OverflowError::Checksum { at });
        }
        let message = FromWorker::from_bytes(&body)
            .map_err(|source| OverflowError::Message { at, source })?;
        Ok((message, at + (FRAME + length) as u64))
    }
}

/// A file that is gone as soon as nobody has it open.
fn nameless(folder: &std::path::Path) -> io::Result<File> {
    let path = folder.join(format!(".rows.{}", uuid::Uuid::new_v4().simple()));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

fn checksum(body: &[u8]) -> [u8; 8] {
    let mut short = [0; 8];
    short.copy_from_slice(&blake3::hash(body).as_bytes()[..8]);
    short
}

/// The attempt that a message is about.
pub fn teller(message: &FromWorker) -> Option<&Attempt> {
    match message {
        FromWorker::Rows(batch) => Some(&batch.attempt),
        FromWorker::Checkpoint(attempt, _)
        | FromWorker::Weights(attempt, _)
        | FromWorker::Outcome(attempt, _) => Some(attempt),
        FromWorker::Hello(_)
        | FromWorker::Capacity { .. }
        | FromWorker::Heartbeat(_)
        | FromWorker::Goodbye => None,
    }
}

#[cfg(test)]
pub mod tests {
    use domain::{AttemptNo, JobId, Table};
    use proptest::prelude::*;
    use proto::message::{Outcome, RowBatch};

    use super::*;

    /// A batch of one row of a job.
    pub fn batch(job: u8, first_row: u64, bytes: usize) -> FromWorker {
        let attempt = Attempt {
            sweep: "s".parse().expect("a name"),
            job: JobId([job; 16]),
            number: AttemptNo(1),
        };
        let cells = vec![job; bytes];
        FromWorker::Rows(RowBatch { attempt, table: Table::Steps, first_row, row_count: 1, cells })
    }

    fn place() -> (tempfile::TempDir, Overflow) {
        let folder = tempfile::tempdir().expect("a folder");
        let overflow = Overflow::new(folder.path().to_owned(), OVERFLOW_BYTES_MAX);
        (folder, overflow)
    }

    proptest! {
        /// Law: it is a queue, and nothing stays on disk when it is empty.
        #[test]
        fn what_goes_in_comes_out_in_order(steps in proptest::collection::vec((any::<bool>(), 0..3u8, 0..2_000usize), 0..60)) {
            let (folder, mut overflow) = place();
            let mut model = VecDeque::new();
            for (number, (is_in, job, bytes)) in steps.into_iter().enumerate() {
                if is_in {
                    let message = batch(job, number as u64, bytes);
                    overflow.push(&message).expect("there is room");
                    model.push_back(message);
                } else {
                    prop_assert_eq!(overflow.pop().expect("whole"), model.pop_front());
                }
                prop_assert_eq!(overflow.is_empty(), model.is_empty());
            }
            while let Some(message) = model.pop_front() {
                prop_assert_eq!(overflow.pop().expect("whole"), Some(message));
            }
            prop_assert!(overflow.is_empty() && overflow.tellers.is_empty());
            prop_assert_eq!(overflow.bytes(), 0);
            prop_assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 0);
        }
    }

    #[test]
    fn files_are_given_back_while_more_comes_and_the_bound_holds() {
        let (_folder, mut overflow) = place();
        overflow.bytes_max = 3 * FILE_BYTES;
        let eighth = FILE_BYTES as usize / 8;
        let mut written = 0;
        while overflow.push(&batch(1, written, eighth)).is_ok() {
            written += 1;
        }
        assert_eq!(written, 23, "with their heads, twenty-four would be too much");
        for read in 0..60 {
            assert_eq!(overflow.pop().expect("whole"), Some(batch(1, read, eighth)));
            while overflow.push(&batch(1, written, eighth)).is_ok() {
                written += 1;
            }
            assert!(overflow.bytes() <= overflow.bytes_max);
        }
        assert!(written > 70, "room is given back piece by piece: {written}");
    }

    #[test]
    fn what_has_no_room_leaves_everything_as_it_was() {
        let (_folder, mut overflow) = place();
        overflow.bytes_max = 1_000;
        overflow.push(&batch(1, 0, 100)).expect("there is room");
        let error = overflow.push(&batch(1, 1, 1_000)).expect_err("it is too long");
        assert!(error.to_string().contains("1000 bytes"), "{error}");
        overflow.push(&batch(1, 2, 100)).expect("there is room");
        assert_eq!(overflow.pop().expect("whole"), Some(batch(1, 0, 100)));
        assert_eq!(overflow.pop().expect("whole"), Some(batch(1, 2, 100)));
        assert_eq!(overflow.pop().expect("whole"), None);
        // A folder that is gone.
        let mut nowhere = Overflow::new("/no/such/folder".into(), 1_000);
        assert!(nowhere.push(&batch(1, 0, 1)).is_err() && nowhere.is_empty());
    }

    /// Every byte flipped and every length cut short is seen; and then it is known whose messages are lost.
    #[test]
    fn damage_is_noticed_and_its_victims_are_named() {
        let messages = [batch(1, 0, 20), batch(2, 0, 3), batch(1, 1, 0)];
        let fill = || {
            let (folder, mut overflow) = place();
            messages.iter().for_each(|m| overflow.push(m).expect("there is room"));
            let end = overflow.bytes();
            (folder, overflow, end)
        };
        let drain = |overflow: &mut Overflow| {
            let mut read = Vec::new();
            loop {
                match overflow.pop() {
                    Ok(Some(message)) => read.push(message),
                    Ok(None) => return (read, None),
                    Err(error) => return (read, Some(error)),
                }
            }
        };
        let (_folder, mut whole, end) = fill();
        assert_eq!(drain(&mut whole).0, messages);
        for at in 0..end {
            let (_folder, mut flipped, _) = fill();
            let file = &flipped.files[0].file;
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).expect("it is there");
            file.write_all_at(&[byte[0] ^ 0x10], at).expect("written");
            let (read, error) = drain(&mut flipped);
            assert!(error.is_some() && read == messages[..read.len()], "byte {at}: {error:?}");
            let (_folder, mut cut, _) = fill();
            cut.files[0].file.set_len(at).expect("cut");
            let (read, error) = drain(&mut cut);
            assert!(error.is_some() && read == messages[..read.len()], "cut at {at}: {error:?}");
            let lost = cut.give_up();
            assert_eq!(lost.len(), if read.len() < 2 { 2 } else { 1 }, "{lost:?}");
            assert!(cut.is_empty());
        }
    }

    #[test]
    fn an_outcome_follows_the_rows_before_it() {
        let (_folder, mut overflow) = place();
        let FromWorker::Rows(rows) = batch(1, 0, 5) else { panic!("rows") };
        let outcome = FromWorker::Outcome(rows.attempt.clone(), Outcome::Released);
        overflow.push(&FromWorker::Rows(rows.clone())).expect("there is room");
        overflow.push(&outcome).expect("there is room");
        assert_eq!(overflow.tellers[&rows.attempt], 2);
        assert_eq!(overflow.pop().expect("whole"), Some(FromWorker::Rows(rows)));
        assert_eq!(overflow.pop().expect("whole"), Some(outcome));
    }
}

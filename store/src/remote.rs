//! An object read in pieces, each a range of it. What was asked for last is kept: readers of Parquet ask for many small
//! pieces near each other.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt};

use super::cloud::wait;

/// What is asked for at once, at least.
const BLOCK_BYTES: u64 = 1 << 20;

/// Blocks that are kept: the columns of a row group side by side.
const BLOCKS_KEPT: usize = 64;

/// An object of a store.
#[derive(Clone)]
pub struct Remote(Arc<Inner>);

struct Inner {
    objects: Arc<dyn ObjectStore>,
    key: Key,
    length: u64,
    /// By number, the oldest first.
    blocks: Mutex<VecDeque<(u64, Vec<u8>)>>,
}

impl Remote {
    pub(crate) fn new(objects: Arc<dyn ObjectStore>, key: Key, length: u64) -> Self {
        Self(Arc::new(Inner { objects, key, length, blocks: Mutex::new(VecDeque::new()) }))
    }

    pub(crate) fn length(&self) -> u64 {
        self.0.length
    }

    pub(crate) fn bytes(&self, start: u64, length: usize) -> io::Result<Vec<u8>> {
        let end = start.checked_add(length as u64).filter(|end| *end <= self.0.length);
        let Some(end) = end else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        if length == 0 {
            return Ok(Vec::new());
        }
        let wanted = start / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES);
        let mut blocks = self.0.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = Vec::with_capacity(length);
        if wanted.clone().all(|number| blocks.iter().any(|(kept, _)| *kept == number)) {
            for number in wanted {
                let found = blocks.iter().find(|(kept, _)| *kept == number);
                let (_, block) = found.expect("all of them are kept");
                let from = start.saturating_sub(number * BLOCK_BYTES) as usize;
                let to = (end - number * BLOCK_BYTES).min(block.len() as u64) as usize;
                bytes.extend_from_slice(&block[from..to]);
            }
            return Ok(bytes);
        }
        let first = wanted.start * BLOCK_BYTES;
        let fetched = self.fetch(first..(wanted.end * BLOCK_BYTES).min(self.0.length))?;
        bytes.extend_from_slice(&fetched[(start - first) as usize..(end - first) as usize]);
        for (number, block) in wanted.zip(fetched.chunks(BLOCK_BYTES as usize)) {
            blocks.retain(|(kept, _)| *kept != number);
            blocks.push_back((number, block.to_vec()));
        }
        while blocks.len() > BLOCKS_KEPT {
            blocks.pop_front();
        }
        Ok(bytes)
    }

    fn fetch(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let (objects, key) = (Arc::clone(&self.0.objects), self.0.key.clone());
        let length = range.end - range.start;
        let bytes = wait(async move { objects.get_range(&key, range).await })?;
        if bytes.len() as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes.to_vec())
    }

    pub(crate) fn reader(&self, start: u64) -> RemoteReader {
        RemoteReader { remote: self.clone(), at: start }
    }
}

/// Reads on from some place.
pub struct RemoteReader {
    remote: Remote,
    at: u64,
}

impl Read for RemoteReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.remote.length().saturating_sub(self.at);
        // To the end of a block at most, so that no more is fetched than is read soon.
        let near = BLOCK_BYTES - self.at % BLOCK_BYTES;
        let length = (buffer.len() as u64).min(left).min(near) as usize;
        buffer[..length].copy_from_slice(&self.remote.bytes(self.at, length)?);
        self.at += length as u64;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    #[test]
    fn any_piece_is_what_was_put() {
        let bytes: Vec<u8> = (0..5 * BLOCK_BYTES / 2).map(|at| (at % 251) as u8).collect();
        let (objects, key) = (Arc::new(InMemory::new()), Key::from("a"));
        let (writer, name, content) = (objects.clone(), key.clone(), bytes.clone());
        wait(async move { writer.put(&name, content.into()).await }).expect("puts");
        let remote = Remote::new(objects, key, bytes.len() as u64);
        let block = BLOCK_BYTES as usize;
        let starts = [0, 1, block - 1, block, block + 5, 2 * block - 3, 2 * block, bytes.len()];
        // Twice: the second time some of them are kept.
        for start in starts.into_iter().chain(starts) {
            for length in [0, 1, 7, block, bytes.len()] {
                let found = remote.bytes(start as u64, length);
                match bytes.get(start..start + length) {
                    Some(expected) => {
                        assert!(found.expect("reads") == expected, "{start} {length}")
                    }
                    None => assert!(found.is_err(), "{start} {length}"),
                }
            }
            let mut rest = Vec::new();
            remote.reader(start as u64).read_to_end(&mut rest).expect("reads");
            assert!(rest == bytes[start..], "{start}");
        }
    }
}

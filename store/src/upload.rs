//! One file on its way to an object store: a single conditional PUT, or parts where it is large.

use std::io::{self, Write};
use std::sync::Arc;

use object_store::path::Path as Key;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};

use super::cloud::{create, wait};

/// Bytes of a part. What fits into one is put at once; S3 wants 5 MiB at least, and takes 10,000 parts.
const PART_BYTES: usize = 8 << 20;

/// What was written so far. Nothing is visible before [`Self::finish`], and nothing is where that fails.
pub struct Upload {
    objects: Arc<dyn ObjectStore>,
    key: Key,
    waiting: Vec<u8>,
    parts: Option<Box<dyn MultipartUpload>>,
}

impl Upload {
    pub(crate) fn new(objects: Arc<dyn ObjectStore>, key: Key) -> Self {
        Self { objects, key, waiting: Vec::new(), parts: None }
    }

    /// Makes it visible, unless an object of that name is there: then that one stays.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        let finished = match self.parts.is_some() {
            false => {
                let payload = PutPayload::from(std::mem::take(&mut self.waiting));
                let (objects, key) = (Arc::clone(&self.objects), self.key.clone());
                return wait(async move { create(&*objects, &key, payload).await }).map(drop);
            }
            true => self.complete(),
        };
        if finished.is_err() {
            self.abort();
        }
        finished
    }

    fn complete(&mut self) -> io::Result<()> {
        if !self.waiting.is_empty() {
            let rest = std::mem::take(&mut self.waiting);
            self.send(rest)?;
        }
        let Some(mut parts) = self.parts.take() else { return Ok(()) };
        // Completing is not conditional here. It does no harm: the name is in one journal, and its content follows from that.
        let (parts, completed) = wait(async move {
            let completed = parts.complete().await;
            (parts, completed)
        });
        self.parts = completed.is_err().then_some(parts);
        completed?;
        Ok(())
    }

    fn send(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        let (objects, key, parts) =
            (Arc::clone(&self.objects), self.key.clone(), self.parts.take());
        let (parts, sent) = wait(async move {
            let mut parts = match parts {
                Some(parts) => parts,
                None => match objects.put_multipart(&key).await {
                    Ok(parts) => parts,
                    Err(error) => return (None, Err(error)),
                },
            };
            let sent = parts.put_part(bytes.into()).await;
            (Some(parts), sent)
        });
        self.parts = parts;
        Ok(sent?)
    }

    /// Gives up: parts that were sent are forgotten by the store, or by its rule for unfinished uploads if it is away.
    pub(crate) fn abort(mut self) {
        if let Some(mut parts) = self.parts.take() {
            drop(wait(async move { parts.abort().await }));
        }
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.extend_from_slice(bytes);
        while self.waiting.len() > PART_BYTES {
            let rest = self.waiting.split_off(PART_BYTES);
            let part = std::mem::replace(&mut self.waiting, rest);
            self.send(part)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // A part has its size: what is left goes with the end.
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    fn read(objects: &Arc<InMemory>, key: &Key) -> Option<Vec<u8>> {
        let (objects, key) = (Arc::clone(objects), key.clone());
        let read = wait(async move { objects.get(&key).await?.bytes().await });
        read.ok().map(|bytes| bytes.to_vec())
    }

    #[test]
    fn small_and_large_files_arrive_whole_and_only_at_the_end() {
        for length in [0, 10, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES + 77] {
            let (objects, key) = (Arc::new(InMemory::new()), Key::from("a/b"));
            let bytes: Vec<u8> = (0..length).map(|at| (at / 1_000) as u8).collect();
            let mut upload = Upload::new(objects.clone(), key.clone());
            for piece in bytes.chunks(3 << 20) {
                upload.write_all(piece).expect("takes it");
            }
            assert_eq!(read(&objects, &key), None, "{length}");
            upload.finish().expect("puts");
            assert!(read(&objects, &key).as_deref() == Some(&bytes), "{length}");
        }
    }

    #[test]
    fn a_file_that_is_there_stays_and_one_given_up_is_not_seen() {
        let (objects, key) = (Arc::new(InMemory::new()), Key::from("a"));
        for text in [b"first", b"other"] {
            let mut upload = Upload::new(objects.clone(), key.clone());
            upload.write_all(text).expect("takes it");
            upload.finish().expect("is well");
        }
        assert_eq!(read(&objects, &key).as_deref(), Some(&b"first"[..]));
        let other = Key::from("b");
        let mut upload = Upload::new(objects.clone(), other.clone());
        upload.write_all(&vec![1; 2 * PART_BYTES]).expect("takes it");
        upload.abort();
        assert_eq!(read(&objects, &other), None);
    }
}

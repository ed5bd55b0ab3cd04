//! Blobs: bytes named by their digest, one file each. A file is put in place only when its digest was checked.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::Digest;
use proto::error::ApiError;
use proto::limits::{BLOB_BYTES_MAX, BLOB_CHUNK_BYTES};
use store::sync_folder;
use tokio::sync::mpsc;

use crate::sink::{BadWeights, Head};

/// A folder of blobs.
#[derive(Clone, Debug)]
pub struct Blobs {
    folder: PathBuf,
    fates: Arc<Mutex<Fates>>,
}

/// What is to become of blobs that nobody needs.
#[derive(Debug, Default)]
struct Fates {
    /// Those that nobody has spoken of for long, unless they are needed: that are there from before the start, or that were
    /// stored before the last two looks.
    strays: HashSet<Digest>,
    /// Those that were stored since the last look, and between the two before.
    stored: [HashSet<Digest>; 2],
    /// Those whose files are being removed: they count as gone, unless they are stored again before their turn.
    doomed: HashSet<Digest>,
}

/// Chunks that wait to be sent to one reader.
const CHUNKS_WAITING: usize = 4;

impl Blobs {
    /// The blobs in `folder`, which is made.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), fates: Arc::default() })
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.folder.join(digest.to_string())
    }

    /// Whether the blob is here.
    pub fn has(&self, digest: Digest) -> bool {
        !self.lock().doomed.contains(&digest) && self.path(digest).exists()
    }

    /// Stores what `chunks` brings, if it is the blob of that digest; answers its size.
    ///
    /// No thread waits for whoever sends: those of the pool are the journal's too.
    pub async fn put(
        &self,
        digest: Digest,
        mut chunks: mpsc::Receiver<Vec<u8>>,
    ) -> Result<u64, ApiError> {
        self.lock().strays.remove(&digest);
        let path = self.path(digest);
        let aside = Aside(self.folder.join(format!(".{digest}.{}.tmp", uuid::Uuid::new_v4())));
        let file = aside.0.clone();
        let folder = self.folder.clone();
        let mut file = blocking(move || {
            let created = match File::create(&file) {
                // Somebody removed the folder.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::create_dir_all(&folder).and_then(|()| File::create(&file))
                }
                created => created,
            };
            created.map_err(|error| {
                let problem = format!("cannot store a blob in {}: {error}", folder.display());
                io::Error::new(error.kind(), problem)
            })
        })
        .await?;
        let mut hasher = blake3::Hasher::new();
        let mut size = 0;
        while let Some(chunk) = chunks.recv().await {
            size += chunk.len() as u64;
            if size > BLOB_BYTES_MAX {
                let problem = format!("a blob has at most {BLOB_BYTES_MAX} bytes");
                return Err(ApiError::Invalid { problem });
            }
            (file, hasher) = blocking(move || {
                hasher.update(&chunk);
                file.write_all(&chunk)?;
                Ok((file, hasher))
            })
            .await?;
        }
        let found = Digest(*hasher.finalize().as_bytes());
        if found != digest {
            let problem = format!("the bytes of blob {digest} have digest {found}");
            return Err(ApiError::Invalid { problem });
        }
        let blobs = self.clone();
        blocking(move || {
            file.sync_all()?;
            let mut fates = blobs.lock();
            fs::rename(&aside.0, &path)?;
            fates.doomed.remove(&digest);
            fates.stored[1].remove(&digest);
            fates.stored[0].insert(digest);
            drop(fates);
            sync_folder(path.parent().unwrap_or(&path))
        })
        .await?;
        Ok(size)
    }

    /// The blob in chunks. No thread waits for whoever reads.
    pub fn get(
        &self,
        digest: Digest,
    ) -> Result<mpsc::Receiver<Result<Vec<u8>, ApiError>>, ApiError> {
        let unknown = || ApiError::Unknown { what: format!("blob {digest}") };
        let mut file = File::open(self.path(digest)).map_err(|_| unknown())?;
        let (chunks, receiver) = mpsc::channel(CHUNKS_WAITING);
        tokio::spawn(async move {
            while let Ok(room) = chunks.reserve().await {
                let read = blocking(move || {
                    let mut chunk = vec![0; BLOB_CHUNK_BYTES];
                    let length = file.read(&mut chunk)?;
                    chunk.truncate(length);
                    Ok((file, chunk))
                });
                match read.await {
                    Ok((_, chunk)) if chunk.is_empty() => return,
                    Ok((rest, chunk)) => {
                        file = rest;
                        room.send(Ok(chunk));
                    }
                    Err(error) => {
                        room.send(Err(error));
                        return;
                    }
                }
            }
        });
        Ok(receiver)
    }

    /// The blob as a file.
    pub fn open_file(&self, digest: Digest) -> io::Result<File> {
        File::open(self.path(digest))
    }

    /// Whether the blob is one of weights, if it is here. Blocks for the time of a small read.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_weights(&self, digest: Digest) -> Result<(), BadWeights> {
        let mut file = match self.open_file(digest) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        let length = file.metadata()?.len();
        Head::read(&mut file, length).map(drop)
    }

    /// Removes blobs that nobody needs any more. They are gone at once for whoever asks; their files go on a thread of their
    /// own, but for those that are stored again first.
    pub fn remove(&self, digests: impl IntoIterator<Item = Digest>) {
        self.doom(self.lock(), digests.into_iter().collect());
    }

    /// The same for strays, but for those that are none any more.
    pub fn remove_strays(&self, mut digests: Vec<Digest>) {
        let mut fates = self.lock();
        digests.retain(|digest| fates.strays.remove(digest));
        self.doom(fates, digests);
    }

    fn doom(&self, mut fates: MutexGuard<'_, Fates>, digests: Vec<Digest>) {
        if digests.is_empty() {
            return;
        }
        fates.doomed.extend(&digests);
        drop(fates);
        let blobs = self.clone();
        tokio::task::spawn_blocking(move || {
            digests.into_iter().for_each(|digest| blobs.remove_doomed(digest));
        });
    }

    fn remove_doomed(&self, digest: Digest) {
        // Held over the removal, so that nobody puts the file in place meanwhile.
        let mut fates = self.lock();
        if !fates.doomed.remove(&digest) {
            return;
        }
        if let Err(error) = fs::remove_file(self.path(digest))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%digest, %error, "an unneeded blob stays");
        }
    }

    /// Looks through the folder when nobody uses it yet: what was left behind by a crash between two steps is removed; blobs
    /// for which `is_needed` says no are strays. Somebody may be about to speak of them: see [`Self::strays`].
    pub fn look_through(&self, is_needed: impl Fn(Digest) -> bool) -> io::Result<()> {
        let mut strays = HashSet::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            match entry.file_name().to_string_lossy().parse::<Digest>() {
                Ok(digest) if is_needed(digest) => {}
                Ok(digest) => drop(strays.insert(digest)),
                Err(_) => fs::remove_file(entry.path())?,
            }
        }
        self.lock().strays = strays;
        Ok(())
    }

    /// The strays that nobody has stored again.
    pub fn strays(&self) -> HashSet<Digest> {
        self.lock().strays.clone()
    }

    /// Looks what was stored before the two looks before this one: those are strays now. Whoever stores a blob speaks of it soon, or never: a
    /// trial may end while its checkpoint is on its way.
    pub fn look_again(&self) -> HashSet<Digest> {
        let mut fates = self.lock();
        fates.strays = std::mem::take(&mut fates.stored[1]);
        fates.stored[1] = std::mem::take(&mut fates.stored[0]);
        fates.strays.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Fates> {
        self.fates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that is not in place yet, and goes if it never is.
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        // Put in place, it is not here any more; and what stays after an error is removed at the next start.
        drop(fs::remove_file(&self.0));
    }
}

/// Does `work` on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    let unavailable = |reason| ApiError::Unavailable { reason };
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| unavailable("it is stopping".to_owned()))?
        .map_err(|error| unavailable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn put(blobs: &Blobs, digest: Digest, chunks: &[&[u8]]) -> Result<u64, ApiError> {
        let (sender, receiver) = mpsc::channel(8);
        for chunk in chunks {
            sender.send(chunk.to_vec()).await.expect("there is room");
        }
        drop(sender);
        blobs.put(digest, receiver).await
    }

    #[tokio::test]
    async fn only_the_bytes_of_its_digest_become_a_blob() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let blobs = Blobs::open(folder.path()).expect("opens");
        let digest = Digest::of(b"hello world");
        let wrong = put(&blobs, digest, &[b"hello"]).await;
        assert!(matches!(wrong, Err(ApiError::Invalid { .. })));
        assert!(!blobs.has(digest));
        assert_eq!(put(&blobs, digest, &[b"hello ", b"world"]).await, Ok(11));
        let mut chunks = blobs.get(digest).expect("is there");
        assert_eq!(chunks.recv().await, Some(Ok(b"hello world".to_vec())));
        assert_eq!(chunks.recv().await, None);
        assert!(matches!(blobs.get(Digest([0; 32])), Err(ApiError::Unknown { .. })));
    }

    #[tokio::test]
    async fn strays_are_what_nobody_needs_or_stores_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let blobs = Blobs::open(folder.path()).expect("opens");
        let texts: [&[u8]; 3] = [b"needed", b"stored again", b"stray"];
        for text in texts {
            put(&blobs, Digest::of(text), &[text]).await.expect("puts");
        }
        fs::write(folder.path().join(".half.tmp"), b"half").expect("writes");
        let [needed, again, stray] = texts.map(Digest::of);
        blobs.look_through(|digest| digest == needed).expect("looks");
        assert!(blobs.has(stray), "not yet removed");
        assert!(!folder.path().join(".half.tmp").exists());
        put(&blobs, again, &[b"stored again"]).await.expect("puts");
        assert_eq!(blobs.strays(), HashSet::from([stray]));
        blobs.remove_strays(vec![again, stray]);
        assert!(blobs.has(again), "stored again, it is none");
        assert!(!blobs.has(stray));
    }

    #[tokio::test]
    async fn what_was_stored_and_never_spoken_of_is_a_stray_at_the_second_look() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let blobs = Blobs::open(folder.path()).expect("opens");
        let [silent, again] = [&b"silent"[..], b"again"].map(|text| (Digest::of(text), text));
        for (digest, text) in [silent, again] {
            put(&blobs, digest, &[text]).await.expect("puts");
        }
        assert_eq!(blobs.look_again(), HashSet::new());
        put(&blobs, again.0, &[again.1]).await.expect("puts");
        assert_eq!(blobs.look_again(), HashSet::from([silent.0]));
        blobs.remove_strays(vec![silent.0, again.0]);
        assert!(!blobs.has(silent.0) && blobs.has(again.0), "stored again, it is none yet");
        assert_eq!(blobs.look_again(), HashSet::from([again.0]));
        assert_eq!(
            blobs.look_again(),
            HashSet::new(),
            "one that is needed is not asked about for ever"
        );
    }

    /// A removal that comes late takes nothing that was stored again.
    #[tokio::test]
    async fn what_is_stored_again_while_it_is_being_removed_stays() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let blobs = Blobs::open(folder.path()).expect("opens");
        let digest = Digest::of(b"again");
        put(&blobs, digest, &[b"again"]).await.expect("puts");
        blobs.lock().doomed.insert(digest);
        assert!(!blobs.has(digest), "it is as good as gone");
        put(&blobs, digest, &[b"again"]).await.expect("puts");
        blobs.remove_doomed(digest);
        assert!(blobs.has(digest));
        blobs.remove([digest]);
        assert!(!blobs.has(digest));
        let gone = async {
            while blobs.path(digest).exists() {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(20), gone).await.expect("its file goes too");
    }

    #[tokio::test]
    async fn a_folder_that_was_removed_is_made_again_and_one_that_cannot_be_is_named() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let folder = place.path().join("blobs");
        let blobs = Blobs::open(&folder).expect("opens");
        let digest = Digest::of(b"x");
        fs::remove_dir_all(&folder).expect("is removed");
        put(&blobs, digest, &[b"x"]).await.expect("puts");
        assert!(blobs.has(digest));
        fs::remove_dir_all(&folder).expect("is removed");
        fs::write(&folder, b"in the way").expect("writes");
        let failed = put(&blobs, digest, &[b"x"]).await.expect_err("it cannot");
        assert!(failed.to_string().contains(&folder.display().to_string()), "{failed}");
    }

    /// Peers that send or read a blob half and then fall silent hold no thread that the journal needs.
    #[test]
    fn peers_in_the_middle_of_a_blob_hold_no_thread() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let blobs = Blobs::open(folder.path()).expect("opens");
        let bytes = vec![7; (CHUNKS_WAITING + 2) * BLOB_CHUNK_BYTES];
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let digest = Digest::of(&bytes);
            let chunks: Vec<_> = bytes.chunks(BLOB_CHUNK_BYTES).collect();
            put(&blobs, digest, &chunks).await.expect("is stored");
            let mut silent = Vec::new();
            for _ in 0..3 {
                let (sender, receiver) = mpsc::channel(8);
                sender.send(vec![1; 9]).await.expect("there is room");
                let (blobs, reader) = (blobs.clone(), blobs.get(digest).expect("is there"));
                let upload = tokio::spawn(async move { blobs.put(digest, receiver).await });
                silent.push((sender, reader, upload));
            }
            // They have come as far as they will.
            let waits = async {
                while silent.iter().any(|(_, reader, _)| reader.len() < CHUNKS_WAITING) {
                    tokio::task::yield_now().await;
                }
            };
            let free = timeout(Duration::from_secs(20), async {
                waits.await;
                blocking(|| Ok(())).await
            });
            assert_eq!(free.await, Ok(Ok(())), "a thread is free");
            // Those that leave leave nothing behind.
            for (sender, reader, upload) in silent {
                drop((sender, reader));
                let refused = upload.await.expect("does not panic");
                assert!(matches!(refused, Err(ApiError::Invalid { .. })), "{refused:?}");
            }
        });
        let files = fs::read_dir(folder.path()).expect("reads").count();
        assert_eq!(files, 1, "the blob alone");
    }
}

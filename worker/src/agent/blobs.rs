//! The worker's cache of blobs: data sets and checkpoints in files named by their digest.
//!
//! A file is put there in one step and checked when it is first used, so a name that is there is its content. Data sets
//! come from the cache, from a folder on this host, or from the coordinator, in this order.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use domain::Digest;
use tokio::task::spawn_blocking;

use super::exchange::{Exchange, ExchangeError};
use crate::data::bundle;

/// Why a blob cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("{} cannot be read", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} cannot be written", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("no folder on this worker has it and the coordinator did not give it")]
    Fetch(#[from] ExchangeError),
    #[error("reading {digest} was given up")]
    Cancelled { digest: Digest },
}

impl BlobError {
    /// Whether the cache is at fault, and no job.
    pub fn is_of_cache(&self) -> bool {
        matches!(self, Self::Read { .. } | Self::Write { .. })
    }
}

/// The cache, shared by the slots of one worker.
pub struct Blobs {
    store: Arc<Store>,
    exchange: Exchange,
    /// One data set is looked for at a time: slots that want the same one then find it in the cache.
    search: tokio::sync::Mutex<()>,
}

struct Store {
    folder: PathBuf,
    sources: Vec<PathBuf>,
    known: Mutex<Known>,
}

/// What was found out since the process started.
#[derive(Default)]
struct Known {
    /// Cached files whose content was checked.
    checked: HashSet<Digest>,
    /// Digests of folders that hold a data set: reading one costs seconds.
    folders: HashMap<PathBuf, Digest>,
}

impl Blobs {
    /// The cache in `folder`, which is made if need be; data sets may lie in `sources`.
    pub fn open(folder: PathBuf, sources: Vec<PathBuf>, exchange: Exchange) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let store = Arc::new(Store { folder, sources, known: Mutex::default() });
        Ok(Self { store, exchange, search: tokio::sync::Mutex::new(()) })
    }

    /// The file of the data set of this digest. `hint` is a folder where it may lie.
    pub async fn data_set(
        &self,
        digest: Digest,
        hint: Option<String>,
    ) -> Result<PathBuf, BlobError> {
        let _turn = self.search.lock().await;
        let local = self.blocking(digest, move |store| {
            Ok(match store.cached(digest)? {
                Some(path) => Some(path),
                None => store.find_in_folders(digest, hint.as_deref())?,
            })
        });
        match local.await? {
            Some(path) => Ok(path),
            None => self.fetch(digest).await,
        }
    }

    /// The file of the checkpoint of this digest.
    pub async fn checkpoint(&self, digest: Digest) -> Result<PathBuf, BlobError> {
        match self.blocking(digest, move |store| store.cached(digest)).await? {
            Some(path) => Ok(path),
            None => self.fetch(digest).await,
        }
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.store.folder
    }

    /// Removes a file that nobody needs again.
    pub async fn remove(&self, digest: Digest) {
        let removed = self.blocking(digest, move |store| {
            store.known().checked.remove(&digest);
            drop(fs::remove_file(store.path(digest)));
            Ok(())
        });
        drop(removed.await);
    }

    /// Has the file of this digest checked again before it is next used: somebody could not use it.
    pub fn doubt(&self, digest: Digest) {
        self.store.known().checked.remove(&digest);
    }

    async fn fetch(&self, digest: Digest) -> Result<PathBuf, BlobError> {
        let bytes = self.exchange.fetch(digest).await?;
        self.blocking(digest, move |store| store.put(digest, &bytes)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        digest: Digest,
        work: impl FnOnce(&Store) -> Result<T, BlobError> + Send + 'static,
    ) -> Result<T, BlobError> {
        let store = Arc::clone(&self.store);
        let done = spawn_blocking(move || work(&store)).await;
        done.map_err(|_| BlobError::Cancelled { digest })?
    }
}

impl Store {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.folder.join(digest.to_string())
    }

    /// The cached file, if there is one and it is what its name says; a damaged one is removed.
    fn cached(&self, digest: Digest) -> Result<Option<PathBuf>, BlobError> {
        let path = self.path(digest);
        if self.known().checked.contains(&digest) && path.exists() {
            return Ok(Some(path));
        }
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(BlobError::Read { path, source }),
        };
        if Digest::of(&bytes) == digest {
            self.known().checked.insert(digest);
            return Ok(Some(path));
        }
        tracing::warn!(path = %path.display(), "a cached blob is damaged and is fetched again");
        match fs::remove_file(&path) {
            Ok(()) => Ok(None),
            Err(source) => Err(BlobError::Write { path, source }),
        }
    }

    /// Looks through the folders on this host; what is found goes into the cache.
    fn find_in_folders(
        &self,
        digest: Digest,
        hint: Option<&str>,
    ) -> Result<Option<PathBuf>, BlobError> {
        for folder in self.candidates(hint) {
            let known = self.known().folders.get(&folder).copied();
            if known.is_some_and(|known| known != digest) {
                continue;
            }
            // A folder that holds no data set, or half of one, is none: the next may do.
            let Ok(found) = bundle::read_folder(&folder) else { continue };
            self.known().folders.insert(folder, found.digest());
            if found.digest() == digest {
                return self.put(digest, found.as_bytes()).map(Some);
            }
        }
        Ok(None)
    }

    /// The hint, then each source and the folders in it.
    fn candidates(&self, hint: Option<&str>) -> Vec<PathBuf> {
        let mut candidates: Vec<PathBuf> = hint.map(PathBuf::from).into_iter().collect();
        candidates.extend(self.sources.iter().flat_map(|source| bundle::candidates(source)));
        candidates
    }

    /// Puts `bytes`, whose digest was checked, into the cache in one step.
    fn put(&self, digest: Digest, bytes: &[u8]) -> Result<PathBuf, BlobError> {
        let path = self.path(digest);
        let aside = self.folder.join(format!(".{digest}.{}", uuid::Uuid::new_v4().simple()));
        // Somebody may have removed the folder.
        let made = fs::create_dir_all(&self.folder).and_then(|()| write_synced(&aside, bytes));
        made.and_then(|()| fs::rename(&aside, &path)).map_err(|source| {
            drop(fs::remove_file(&aside));
            BlobError::Write { path: path.clone(), source }
        })?;
        self.known().checked.insert(digest);
        Ok(path)
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;

    fn blobs(
        cache: &Path,
        sources: &[&Path],
    ) -> (Blobs, watch::Sender<Option<proto::client::Client>>) {
        let (clients, receiver) = watch::channel(None);
        let sources = sources.iter().map(|path| path.to_path_buf()).collect();
        let exchange = Exchange::new(receiver);
        (Blobs::open(cache.to_owned(), sources, exchange).expect("the cache opens"), clients)
    }

    /// The smallest data set: one picture of one pixel.
    fn data_set(folder: &Path) -> Digest {
        fs::create_dir_all(folder).expect("made");
        let images =
            [&[0, 0, 8, 3][..], &[0, 0, 0, 1], &[0, 0, 0, 1], &[0, 0, 0, 1], &[9]].concat();
        let labels = [&[0, 0, 8, 1][..], &[0, 0, 0, 1], &[3]].concat();
        fs::write(folder.join("train-images-idx3-ubyte"), images).expect("written");
        fs::write(folder.join("train-labels-idx1-ubyte"), labels).expect("written");
        bundle::read_folder(folder).expect("a data set").digest()
    }

    #[tokio::test]
    async fn a_data_set_is_found_in_a_folder_of_a_source_and_then_in_the_cache() {
        let place = tempfile::tempdir().expect("a folder");
        let (cache, source) = (place.path().join("cache"), place.path().join("data"));
        let digest = data_set(&source.join("mnist"));
        let (blobs, _clients) = blobs(&cache, &[&source]);
        let path = blobs.data_set(digest, Some("/no/such/folder".into())).await.expect("found");
        assert_eq!(Digest::of(&fs::read(&path).expect("read")), digest);
        fs::remove_dir_all(&cache).expect("removed");
        assert_eq!(blobs.data_set(digest, None).await.expect("found again"), path);
        fs::remove_dir_all(&source).expect("removed");
        assert_eq!(blobs.data_set(digest, None).await.expect("cached"), path);
    }

    #[tokio::test]
    async fn the_hint_is_looked_at_and_no_aside_file_stays() {
        let place = tempfile::tempdir().expect("a folder");
        let (cache, hint) = (place.path().join("cache"), place.path().join("hint"));
        let digest = data_set(&hint);
        let (blobs, _clients) = blobs(&cache, &[]);
        let hint = hint.to_str().map(str::to_owned);
        blobs.data_set(digest, hint).await.expect("found");
        assert_eq!(fs::read_dir(&cache).expect("listed").count(), 1);
    }

    #[tokio::test]
    async fn a_damaged_file_is_not_used_and_a_lost_coordinator_is_said() {
        let place = tempfile::tempdir().expect("a folder");
        let digest = Digest::of(b"whole");
        fs::write(place.path().join(digest.to_string()), b"whale").expect("written");
        let (blobs, clients) = blobs(place.path(), &[]);
        drop(clients);
        let error = blobs.checkpoint(digest).await.expect_err("neither here nor there");
        assert!(matches!(error, BlobError::Fetch(ExchangeError::Leaving { .. })), "{error:?}");
        assert!(!place.path().join(digest.to_string()).exists());
        fs::write(place.path().join(digest.to_string()), b"whole").expect("written");
        assert!(blobs.checkpoint(digest).await.is_ok());
        fs::write(place.path().join(digest.to_string()), b"whale").expect("written");
        blobs.doubt(digest);
        assert!(blobs.checkpoint(digest).await.is_err());
    }
}

//! A prefix of an object store. It is asked by a thread of our own, so that callers may be anywhere.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path as Key;
use object_store::prefix::PrefixStore;
use object_store::{
    Error, GetOptions, ListResult, ObjectStore, ObjectStoreExt, PutMode, PutPayload, RetryConfig,
};
use tokio::runtime::Runtime;

use super::error::{OpenError, PrepareError, PutError};
use super::location::Url;
use super::place::{Listing, Settings, Sink};
use super::probe::{Creations, probe};
use super::remote::Remote;
use super::source::Source;
use super::upload::Upload;

/// A call that fails is tried again so often, for so long. Short: whoever writes segments tells of it and tries again itself.
const RETRIES_MAX: usize = 3;
const RETRY_LIMIT: Duration = Duration::from_secs(20);

/// A bucket and the prefix of all names in it.
#[derive(Clone, Debug)]
pub struct Cloud {
    objects: Arc<dyn ObjectStore>,
    url: String,
    /// The URL, as messages have paths.
    root: PathBuf,
}

impl Cloud {
    pub(crate) fn open(url: &Url, settings: &Settings) -> Result<Self, OpenError> {
        let text = url.as_str();
        let objects = match url.scheme() {
            "s3" => s3(text, settings),
            "gs" => google(text, settings),
            _ => azure(text, settings),
        };
        let refused =
            |error: Error| OpenError::Settings { url: text.to_owned(), source: error.into() };
        let objects = PrefixStore::new(objects.map_err(refused)?, url.prefix());
        let (url, root) = (text.to_owned(), PathBuf::from(text));
        Ok(Self { objects: Arc::new(objects), url, root })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The store itself, its names beginning below the prefix: for engines that read it by themselves.
    pub fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.objects)
    }

    pub(crate) fn prepare(&self) -> Result<(), PrepareError> {
        probe(&self.url, self)
    }

    pub(crate) fn list(&self, folder: &str) -> io::Result<Listing> {
        let (objects, key) = (self.objects(), Key::from(folder));
        let listed = key.clone();
        let found = wait(async move { objects.list_with_delimiter(Some(&listed)).await })?;
        Ok(listing(&key, &found))
    }

    pub(crate) fn has(&self, name: &str) -> io::Result<bool> {
        match self.length(name) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        let (objects, key) = (self.objects(), Key::from(name));
        Ok(wait(async move { objects.head(&key).await })?.size)
    }

    pub(crate) fn source(&self, name: &str) -> io::Result<Source> {
        let length = self.length(name)?;
        Ok(Source::of_remote(Remote::new(self.objects(), Key::from(name), length)))
    }

    /// Puts what `fill` writes in place: one conditional PUT, or a multipart upload where it is large. Neither is visible
    /// before its end.
    pub(crate) fn put<E: From<PutError>>(
        &self,
        name: &str,
        fill: impl FnOnce(&mut Sink<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut upload = Upload::new(self.objects(), Key::from(name));
        if let Err(error) = fill(&mut upload) {
            upload.abort();
            return Err(error);
        }
        upload.finish().map_err(|source| PutError { path: self.root.join(name), source }.into())
    }
}

/// What is directly in `folder`. Some servers have an object of no bytes for every folder, this one too: those are no files.
fn listing(folder: &Key, found: &ListResult) -> Listing {
    let name = |key: &Key| key.filename().unwrap_or_default().to_owned();
    let mut folders: Vec<_> = found.common_prefixes.iter().map(name).collect();
    folders.sort();
    let is_marker = |key: &Key| key == folder || found.common_prefixes.contains(key);
    let files = found.objects.iter().filter(|o| o.size > 0 || !is_marker(&o.location));
    let mut files: Vec<_> = files.map(|object| (name(&object.location), object.size)).collect();
    files.sort();
    Listing { folders, files }
}

impl Creations for Cloud {
    fn create(&self, name: &str, bytes: Vec<u8>) -> io::Result<bool> {
        let (objects, key) = (self.objects(), Key::from(name));
        wait(async move { create(&*objects, &key, bytes.into()).await })
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let (objects, key) = (self.objects(), Key::from(name));
        let read =
            async move { objects.get_opts(&key, GetOptions::default()).await?.bytes().await };
        Ok(wait(read)?.to_vec())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let (objects, key) = (self.objects(), Key::from(name));
        Ok(wait(async move { objects.delete(&key).await })?)
    }
}

/// Puts an object where there is none; whether there was none.
pub(crate) async fn create(
    objects: &dyn ObjectStore,
    key: &Key,
    payload: PutPayload,
) -> io::Result<bool> {
    match objects.put_opts(key, payload, PutMode::Create.into()).await {
        Ok(_) => Ok(true),
        Err(Error::AlreadyExists { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn retries() -> RetryConfig {
    RetryConfig { max_retries: RETRIES_MAX, retry_timeout: RETRY_LIMIT, ..RetryConfig::default() }
}

/// One function a dialect: their builders have the same methods and no trait.
macro_rules! dialect {
    ($name:ident, $builder:ident) => {
        fn $name(url: &str, settings: &Settings) -> object_store::Result<Arc<dyn ObjectStore>> {
            let mut builder = $builder::new().with_retry(retries()).with_url(url);
            for (key, value) in &settings.0 {
                if let Ok(key) = key.parse() {
                    builder = builder.with_config(key, value);
                }
            }
            Ok(Arc::new(builder.build()?))
        }
    };
}

dialect!(s3, AmazonS3Builder);
dialect!(google, GoogleCloudStorageBuilder);
dialect!(azure, MicrosoftAzureBuilder);

/// Waits for what a thread of our own does: it works on threads of another runtime too, which must not wait themselves.
pub(crate) fn wait<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let built = builder.worker_threads(1).thread_name("objects").enable_all().build();
        built.expect("a process that runs can start one more thread")
    });
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    runtime.spawn(async move {
        // Whoever waits is there until this arrives.
        drop(sender.send(future.await));
    });
    receiver.recv().expect("the runtime is there until the process ends")
}

#[cfg(test)]
mod tests {
    use object_store::ObjectMeta;

    use super::*;

    #[test]
    fn objects_of_no_bytes_that_stand_for_folders_are_no_files() {
        let object = |location: &str, size| ObjectMeta {
            location: Key::from(location),
            last_modified: Default::default(),
            size,
            e_tag: None,
            version: None,
        };
        let found = ListResult {
            common_prefixes: vec![Key::from("a/deep"), Key::from("a/both")],
            objects: vec![
                object("a", 0),
                object("a/deep", 0),
                object("a/both", 7),
                object("a/empty", 0),
                object("a/b", 3),
            ],
        };
        let Listing { folders, files } = listing(&Key::from("a"), &found);
        assert_eq!(folders, ["both", "deep"]);
        let expected = [("b", 3), ("both", 7), ("empty", 0)];
        assert_eq!(files, expected.map(|(name, bytes)| (name.to_owned(), bytes)));
    }
}

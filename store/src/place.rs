//! The one thing that writers and readers of results use: files by name, in whatever kind of place.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

#[cfg(feature = "cloud")]
use super::cloud::Cloud;
use super::error::{OpenError, PrepareError, PutError};
use super::folder;
use super::location::Location;
use super::source::Source;

/// What a file is written into.
pub type Sink<'a> = dyn Write + Send + 'a;

/// Settings of object stores by name, as `aws_region` or `azure_storage_account_name`; those that a store does not know are
/// passed over.
#[derive(Clone, Debug, Default)]
pub struct Settings(pub Vec<(String, String)>);

/// A place for results.
#[derive(Clone, Debug)]
pub enum Store {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A prefix of an object store.
    #[cfg(feature = "cloud")]
    Cloud(Cloud),
}

/// What is directly in a folder, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    pub folders: Vec<String>,
    /// With their lengths in bytes.
    pub files: Vec<(String, u64)>,
}

impl Store {
    /// The place that `location` names. Nothing is asked of it yet.
    ///
    /// # Errors
    /// For a URL: where this build has no object stores, or the settings do not fit.
    pub fn open(location: &Location, settings: &Settings) -> Result<Self, OpenError> {
        match location {
            Location::Folder(path) => Ok(Self::Folder(path.clone())),
            #[cfg(feature = "cloud")]
            Location::Url(url) => Cloud::open(url, settings).map(Self::Cloud),
            #[cfg(not(feature = "cloud"))]
            Location::Url(url) => {
                let Settings(_) = settings;
                Err(OpenError::NotBuilt { url: url.as_str().to_owned() })
            }
        }
    }

    /// Sees that results can be put here: makes a folder; of an object store, that it is there, keeps what it is given and
    /// lets one of several creators win. The place, by its absolute name.
    pub fn prepare(self) -> Result<Self, PrepareError> {
        match self {
            Self::Folder(path) => {
                let made = fs::create_dir_all(&path).and_then(|()| fs::canonicalize(&path));
                made.map(Self::Folder).map_err(|source| PrepareError::Folder { path, source })
            }
            #[cfg(feature = "cloud")]
            Self::Cloud(cloud) => cloud.prepare().map(|()| Self::Cloud(cloud)),
        }
    }

    /// The folder, where it is one.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(path) => Some(path),
            #[cfg(feature = "cloud")]
            Self::Cloud(_) => None,
        }
    }

    /// What messages call the place: a path, or a URL in the shape of one.
    pub fn root(&self) -> &Path {
        match self {
            Self::Folder(path) => path,
            #[cfg(feature = "cloud")]
            Self::Cloud(cloud) => cloud.root(),
        }
    }

    /// What messages call a file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// What is directly in `folder`; nothing where there is no such folder.
    pub fn list(&self, folder: &str) -> io::Result<Listing> {
        match self {
            Self::Folder(root) => folder::list(&root.join(folder)),
            #[cfg(feature = "cloud")]
            Self::Cloud(cloud) => cloud.list(folder),
        }
    }

    /// Whether a file of this name is there.
    pub fn has(&self, name: &str) -> io::Result<bool> {
        match self {
            Self::Folder(root) => root.join(name).try_exists(),
            #[cfg(feature = "cloud")]
            Self::Cloud(cloud) => cloud.has(name),
        }
    }

    /// Opens a file for reading.
    pub fn source(&self, name: &str) -> io::Result<Source> {
        match self {
            Self::Folder(root) => Source::of_file(&root.join(name)),
            #[cfg(feature = "cloud")]
            Self::Cloud(cloud) => cloud.source(name),
        }
    }

    /// Puts what `fill` writes in place under `name`, all of it in one step, unless a file of that name is there: then that
    /// one stays, and it is well, if it is a whole one. Afterwards the file outlives a power cut.
    ///
    /// # Errors
    /// [`PutError`], also where something else is there, or what `fill` returns; either way nothing is visible that was not there before.
    pub fn put<E: From<PutError>>(
        &self,
        name: &str,
        fill: impl FnOnce(&mut Sink<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = |source| PutError { path: self.path(name), source };
        if self.has(name).map_err(failed)? {
            self.source(name).and_then(|there| whole(name, &there)).map_err(failed)?;
            return match self {
                Self::Folder(root) => Ok(folder::settle(&root.join(name)).map_err(failed)?),
                #[cfg(feature = "cloud")]
                Self::Cloud(_) => Ok(()),
            };
        }
        match self {
            Self::Folder(root) => folder::put(&root.join(name), fill),
            #[cfg(feature = "cloud")]
            Self::Cloud(cloud) => cloud.put(name, fill),
        }
    }
}

/// Whether what is there can be the file of that name, as far as its ends tell: a file of ours is in place as a whole or not at
/// all, but others may put things there too.
fn whole(name: &str, there: &Source) -> io::Result<()> {
    const MAGIC: &[u8; 4] = b"PAR1";
    let length = there.length();
    let is_whole = if !name.ends_with(".parquet") {
        length > 0
    } else if length < 12 {
        false
    } else {
        let end = there.bytes(length - 8, 8)?;
        let footer = end[..4].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        there.bytes(0, 4)? == MAGIC && end[4..] == *MAGIC && footer + 12 <= length
    };
    if is_whole {
        return Ok(());
    }
    let problem = format!("a file of {length} bytes is there that is no whole one; move it away");
    Err(io::Error::new(io::ErrorKind::InvalidData, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_stays() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store::Folder(folder.path().join("new")).prepare().expect("is made");
        let put = |text: &[u8]| {
            store.put("a/b", |sink| {
                let written = sink.write_all(text);
                written.map_err(|source| PutError { path: PathBuf::new(), source })
            })
        };
        assert!(!store.has("a/b").expect("looks"));
        put(b"first").expect("puts");
        put(b"second").expect("is well");
        assert!(store.has("a/b").expect("looks"));
        let source = store.source("a/b").expect("opens");
        assert_eq!(source.bytes(1, 3).expect("reads"), b"irs");
        assert_eq!(source.length(), 5);
    }

    #[test]
    fn what_is_no_whole_file_of_ours_is_said_and_left_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store::Folder(folder.path().to_owned()).prepare().expect("is there");
        let put = || {
            store.put("a.parquet", |sink| {
                let written = sink.write_all(b"PAR1 rows \x01\0\0\0PAR1");
                written.map_err(|source| PutError { path: PathBuf::new(), source })
            })
        };
        let path = folder.path().join("a.parquet");
        fs::create_dir(&path).expect("makes");
        put().expect_err("a folder is there");
        fs::remove_dir(&path).expect("removes");
        for other in [&b""[..], b"PAR1PAR1", b"PAR1 rows", b"PAR1 rows \xff\0\0\0PAR1"] {
            fs::write(&path, other).expect("writes");
            let error = put().expect_err("it is none");
            let cause = error.source.to_string();
            assert!(cause.contains("move it away"), "{cause}");
            assert_eq!(fs::read(&path).expect("reads"), other);
        }
        fs::remove_file(&path).expect("removes");
        put().expect("puts");
        put().expect("it is there");
    }

    #[cfg(not(feature = "cloud"))]
    #[test]
    fn a_url_is_refused_by_a_build_without_object_stores() {
        let url = "s3://bucket/prefix".parse().expect("a URL");
        let error = Store::open(&url, &Settings::default()).expect_err("it cannot");
        assert!(error.to_string().contains("built without object stores"), "{error}");
    }
}

//! Why a place for results cannot be used.

use std::io;
use std::path::PathBuf;

/// Why a file could not be put in place.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub struct PutError {
    pub path: PathBuf,
    #[source]
    pub source: io::Error,
}

/// Why a place cannot be opened. Nothing was asked of it yet.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("this gradsweep was built without object stores, so that it cannot reach {url}")]
    NotBuilt { url: String },
    #[error("the settings of {url} cannot be used")]
    Settings { url: String, source: io::Error },
}

/// Why results cannot be put into a place.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    #[error("cannot use the folder {}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("cannot write to {url} and read it back")]
    Unusable { url: String, source: io::Error },
    #[error("{url} gave back {found} bytes of an object of {written}, or others")]
    OtherBytes { url: String, written: usize, found: usize },
    #[error(
        "{url} let {accepted} of {asked} creators of one object win, where one must: it does not honour \"If-None-Match: *\", \
         so that two coordinators could overwrite each other's results unnoticed"
    )]
    ManyCreators { url: String, accepted: usize, asked: usize },
}

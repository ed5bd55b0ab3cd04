//! Why a data set cannot be had.

use std::path::PathBuf;

/// Why a folder, a file or a bundle of bytes is not the data set that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Placeholder-free: every variant carries what was found and what would do.
    #[error("{} cannot be read", path.display())]
    Read { path: PathBuf, source: std::io::Error },
}

//! Putting a file in place: written aside, synced, then renamed, so that a reader sees all of it or nothing.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Why a file could not be put in place.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub struct PutError {
    pub path: PathBuf,
    #[source]
    pub source: io::Error,
}

/// Puts what `fill` writes at `path`. Folders are made; what is there already is replaced in one step.
///
/// # Errors
/// [`PutError`] for any I/O failure, or what `fill` returns; either way nothing is visible at `path` that was not there
/// before, and nothing is left aside.
pub fn put<E: From<PutError>>(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> Result<(), E>,
) -> Result<(), E> {
    let failed = |source| PutError { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    fs::create_dir_all(folder).map_err(failed)?;
    // A leading dot and another ending: readers that take every *.parquet of a folder pass it over.
    let aside = folder.join(format!(".{name}.tmp"));
    let written = (|| {
        let mut writer = BufWriter::new(File::create(&aside).map_err(failed)?);
        fill(&mut writer)?;
        writer.flush().map_err(failed)?;
        writer.get_ref().sync_all().map_err(failed)?;
        fs::rename(&aside, path).map_err(failed)?;
        sync_folder(folder).map_err(failed)?;
        Ok(())
    })();
    if written.is_err() {
        // Nothing to say about it: the first error is the one that matters.
        drop(fs::remove_file(&aside));
    }
    written
}

/// Makes a rename in `folder` durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_put_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("deep/file");
        let failed = put(&path, |writer| {
            let part = writer.write_all(b"part");
            part.map_err(|source| PutError { path: path.clone(), source })?;
            Err(PutError { path: path.clone(), source: io::Error::other("on purpose") })
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_dir(folder.path().join("deep")).expect("is there").count(), 0);
        put::<PutError>(&path, |writer| {
            writer.write_all(b"whole").map_err(|source| PutError { path: path.clone(), source })
        })
        .expect("puts");
        assert_eq!(fs::read(&path).expect("reads"), b"whole");
    }
}

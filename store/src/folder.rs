//! A folder of this machine. A file is written aside, synced, then renamed, so that a reader sees all of it or nothing.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::error::PutError;
use super::place::{Listing, Sink};

/// Puts what `fill` writes at `path`. Folders are made; what is there already is replaced in one step.
///
/// # Errors
/// [`PutError`] for any I/O failure, or what `fill` returns; either way nothing is visible at `path` that was not there
/// before, and nothing is left aside. The folders that are made are as durable as the file: file systems that log order a
/// sync after all that led to it.
pub(crate) fn put<E: From<PutError>>(
    path: &Path,
    fill: impl FnOnce(&mut Sink<'_>) -> Result<(), E>,
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
        sync_folder(folder).map_err(|source| {
            // Whether it is there after a power cut is not known, and a second sync would not tell: written anew, it is.
            drop(fs::remove_file(path));
            failed(source)
        })?;
        Ok(())
    })();
    if written.is_err() {
        // Nothing to say about it: the first error is the one that matters.
        drop(fs::remove_file(&aside));
    }
    written
}

/// Makes what is visible at `path` durable: who put it there may have died between renaming and that.
pub(crate) fn settle(path: &Path) -> io::Result<()> {
    sync_folder(path.parent().unwrap_or_else(|| Path::new(".")))
}

/// Makes a rename in `folder` durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// What is in a folder; nothing where there is no such folder. Names that are not UTF-8 are not ours.
pub(crate) fn list(folder: &Path) -> io::Result<Listing> {
    let mut listing = Listing::default();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(listing),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        // Links are followed; one that leads nowhere is a file that cannot be read, which its reader says.
        match fs::metadata(entry.path()) {
            Ok(metadata) if metadata.is_dir() => listing.folders.push(name),
            Ok(metadata) => listing.files.push((name, metadata.len())),
            Err(_) => listing.files.push((name, 0)),
        }
    }
    listing.folders.sort();
    listing.files.sort();
    Ok(listing)
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

    #[test]
    fn folders_and_files_are_told_apart_and_sorted() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["b", "a"] {
            fs::write(folder.path().join(name), name.repeat(3)).expect("writes");
            fs::create_dir(folder.path().join(format!("{name}s"))).expect("makes");
        }
        let listing = list(folder.path()).expect("lists");
        assert_eq!(listing.folders, ["as", "bs"]);
        assert_eq!(listing.files, [("a".to_owned(), 3), ("b".to_owned(), 3)]);
        assert_eq!(list(&folder.path().join("none")).expect("lists"), Listing::default());
    }
}

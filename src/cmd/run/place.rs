//! Where a run on this machine keeps what it needs to go on: a folder inside its results, or one of its own where they are
//! in an object store.
//!
//! ```text
//! STATE/lock               held by the run that is alive
//!       connection.json    how to reach its coordinator
//!       journal/           what the coordinator knows
//!       cache/             data sets and checkpoints of the workers
//!       logs/              one file a child process
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use store::Location;

use crate::failure::Failure;

/// The folders of a run, and the lock that keeps a second one out. The kernel lets go of it however the run ends.
pub struct Place {
    results: Location,
    state: PathBuf,
    _lock: File,
}

/// A log that has grown this large is set aside, so that many runs in one folder do not fill the disk.
const LOG_BYTES_MAX: u64 = 4 << 20;

impl Place {
    /// Makes the folders below `state` and takes the lock; the results go to `results`.
    ///
    /// # Errors
    /// [`Failure::InUse`] where another run holds it.
    pub fn claim(results: &Location, state: PathBuf) -> Result<Self, Failure> {
        for folder in [&state, &state.join("logs")] {
            fs::create_dir_all(folder).map_err(|source| folder_failure(folder, source))?;
        }
        let path = state.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| folder_failure(&path, source))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            // Without locks the journal itself tells (`coordinator::journal`), later.
            Err(rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                // Who holds it is only for the message.
                drop(lock.read_to_string(&mut holder));
                let folder = results.to_string().into();
                return Err(Failure::InUse { folder, process: holder.trim().parse().ok() });
            }
            Err(error) => return Err(folder_failure(&path, error.into())),
        }
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(|source| folder_failure(&path, source))?;
        Ok(Self { results: results.clone(), state, _lock: lock })
    }

    /// Where the results go.
    pub fn results(&self) -> &Location {
        &self.results
    }

    /// The coordinator's journal.
    pub fn journal(&self) -> PathBuf {
        self.state.join("journal")
    }

    /// The workers' cache.
    pub fn cache(&self) -> PathBuf {
        self.state.join("cache")
    }

    /// The connection file.
    pub fn connection(&self) -> PathBuf {
        self.state.join("connection.json")
    }

    /// Removes the connection file of an earlier run: it names a coordinator that is gone.
    pub fn forget_connection(&self) -> Result<(), Failure> {
        let path = self.connection();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(folder_failure(&path, error))
            }
            _ => Ok(()),
        }
    }

    /// The log file of a child called `name`.
    pub fn log(&self, name: &str) -> PathBuf {
        self.state.join("logs").join(format!("{name}.log"))
    }

    /// That file, open at its end.
    pub fn open_log(&self, name: &str) -> Result<File, Failure> {
        let path = self.log(name);
        let failed = |source| folder_failure(&path, source);
        if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > LOG_BYTES_MAX) {
            fs::rename(&path, path.with_extension("log.old")).map_err(failed)?;
        }
        OpenOptions::new().create(true).append(true).open(&path).map_err(failed)
    }
}

fn folder_failure(path: &Path, source: io::Error) -> Failure {
    Failure::Folder { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_in_one_folder_is_told_who_is_there() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let claim = || {
            let results = folder.path().to_owned().into();
            Place::claim(&results, folder.path().join(".gradsweep"))
        };
        let first = claim().expect("nobody is there");
        let Err(failure) = claim() else { panic!("somebody is there") };
        assert_eq!(failure.exit_code(), 73);
        assert!(failure.to_string().contains(&std::process::id().to_string()), "{failure}");
        drop(first);
        claim().expect("nobody is there any more");
    }

    #[test]
    fn a_large_log_is_set_aside() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let results = folder.path().to_owned().into();
        let place =
            Place::claim(&results, folder.path().join(".gradsweep")).expect("nobody is there");
        fs::write(place.log("c"), vec![b'x'; LOG_BYTES_MAX as usize + 1]).expect("writes");
        place.open_log("c").expect("opens").write_all(b"new").expect("writes");
        place.open_log("c").expect("opens").write_all(b"er").expect("writes");
        assert_eq!(fs::read_to_string(place.log("c")).expect("reads"), "newer");
        assert!(place.log("c").with_extension("log.old").exists());
    }
}

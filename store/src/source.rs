//! A file that is read in pieces.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

#[cfg(feature = "cloud")]
use super::remote::Remote;

/// A file of a place, open for reading anywhere in it.
pub struct Source(Kind);

enum Kind {
    File {
        file: File,
        length: u64,
    },
    #[cfg(feature = "cloud")]
    Remote(Remote),
}

impl Source {
    pub(crate) fn of_file(path: &Path) -> io::Result<Self> {
        // Before it is opened: opening a pipe waits for somebody to write.
        let metadata = fs::metadata(path)?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !metadata.is_file() {
            return Err(io::Error::other("it is a pipe, a socket or a device, not a file"));
        }
        let (file, length) = (File::open(path)?, metadata.len());
        Ok(Self(Kind::File { file, length }))
    }

    #[cfg(feature = "cloud")]
    pub(crate) fn of_remote(remote: Remote) -> Self {
        Self(Kind::Remote(remote))
    }

    /// Bytes in it.
    pub fn length(&self) -> u64 {
        match &self.0 {
            Kind::File { length, .. } => *length,
            #[cfg(feature = "cloud")]
            Kind::Remote(remote) => remote.length(),
        }
    }

    /// `length` bytes from `start` on.
    ///
    /// # Errors
    /// Where there are fewer, too.
    pub fn bytes(&self, start: u64, length: usize) -> io::Result<Vec<u8>> {
        match &self.0 {
            Kind::File { length: whole, .. } => {
                if start.checked_add(length as u64).is_none_or(|end| end > *whole) {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                let mut bytes = vec![0; length];
                self.reader(start)?.read_exact(&mut bytes)?;
                Ok(bytes)
            }
            #[cfg(feature = "cloud")]
            Kind::Remote(remote) => remote.bytes(start, length),
        }
    }

    /// A reader from `start` on.
    pub fn reader(&self, start: u64) -> io::Result<Box<dyn Read + Send>> {
        match &self.0 {
            Kind::File { file, .. } => {
                let mut file = file.try_clone()?;
                file.seek(SeekFrom::Start(start))?;
                Ok(Box::new(BufReader::new(file)))
            }
            #[cfg(feature = "cloud")]
            Kind::Remote(remote) => Ok(Box::new(remote.reader(start))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let pipe = folder.path().join("pipe.parquet");
        let here = rustix::fs::CWD;
        rustix::fs::mkfifoat(here, &pipe, rustix::fs::Mode::RUSR).expect("makes a pipe");
        let refused = |path: &Path| Source::of_file(path).err().expect("is refused").to_string();
        assert!(refused(&pipe).contains("a pipe"));
        assert!(refused(Path::new("/dev/zero")).contains("a device"));
        assert!(refused(folder.path()).contains("directory"));
    }
}

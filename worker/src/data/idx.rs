//! IDX files of unsigned bytes: a big-endian header of magic and dimensions, then the bytes.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::DataError;

/// Which of the files of a data set, by the beginning of its name and the rank of its array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub stem: &'static str,
    pub rank: u8,
}

/// The four parts, in the order of a bundle.
pub const PARTS: [Part; 4] = [
    Part { stem: "train-images", rank: 3 },
    Part { stem: "train-labels", rank: 1 },
    Part { stem: "t10k-images", rank: 3 },
    Part { stem: "t10k-labels", rank: 1 },
];

impl Part {
    /// The bytes before the data: magic and dimensions.
    pub fn header_len(self) -> usize {
        4 + 4 * usize::from(self.rank)
    }

    /// The file of this part in `folder`, under any of its usual names.
    pub fn find(self, folder: &Path) -> Option<PathBuf> {
        let names = ["-", "."].iter().flat_map(|dash| {
            let name = format!("{}{dash}idx{}-ubyte", self.stem, self.rank);
            [name.clone(), format!("{name}.gz")]
        });
        names.map(|name| folder.join(name)).find(|path| path.is_file())
    }

    /// The decompressed bytes of the file at `path`, header included, checked.
    ///
    /// A file is taken for gzip by its first bytes, not by its name. No more is decompressed than the header asks for.
    pub fn read(self, path: &Path) -> Result<Vec<u8>, DataError> {
        let failed = |source| DataError::Read { path: path.into(), source };
        let mut start = [0; 2];
        let mut file = File::open(path).map_err(failed)?;
        let zipped = read_up_to(&mut file, &mut start).map_err(failed)? == 2 && start == [31, 139];
        let file = File::open(path).map_err(failed)?;
        let mut source: Box<dyn Read> =
            if zipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };

        let mut bytes = vec![0; self.header_len()];
        let found = read_up_to(&mut source, &mut bytes).map_err(failed)?;
        bytes.truncate(found);
        let expected = self.header(path, &bytes)?.iter().map(|&n| u64::from(n)).product::<u64>();
        source.take(expected.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
        self.check(path, &bytes)?;
        Ok(bytes)
    }

    /// The dimensions of the array in `bytes`, a whole file that came from `path`; the first is the count of examples.
    pub fn check(self, path: &Path, bytes: &[u8]) -> Result<Vec<u32>, DataError> {
        let dimensions = self.header(path, bytes)?;
        let expected = dimensions.iter().map(|&n| u64::from(n)).product::<u64>();
        let found = (bytes.len() - self.header_len()) as u64;
        if found != expected {
            return Err(DataError::Length { path: path.into(), dimensions, found, expected });
        }
        Ok(dimensions)
    }

    fn header(self, path: &Path, bytes: &[u8]) -> Result<Vec<u32>, DataError> {
        let needed = self.header_len();
        let Some(header) = bytes.get(..needed) else {
            let found = bytes.len();
            return Err(DataError::HeaderCut { path: path.into(), found, needed });
        };
        let mut words = header.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word));
        let found = words.next().unwrap_or_default();
        let expected = 0x0800 | u32::from(self.rank);
        if found != expected {
            return Err(DataError::Magic { path: path.into(), found, expected, rank: self.rank });
        }
        let dimensions: Vec<u32> = words.collect();
        let size = dimensions.iter().try_fold(1u64, |size, &n| size.checked_mul(u64::from(n)));
        match size {
            Some(1..) => Ok(dimensions),
            _ => Err(DataError::Empty { path: path.into(), dimensions }),
        }
    }
}

/// Fills `buffer` as far as `source` reaches.
fn read_up_to(source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

//! A data set of files as one canonical run of bytes, named by its digest.
//!
//! ```text
//! bytes 0..16    b"gradsweep-idx-1\n", for CIFAR b"gradsweep-c010-1" or b"gradsweep-c100-1"
//! bytes 16..48   lengths of the four parts, u64 little-endian, 0 for a part that is not there
//! bytes 48..     train images, train labels, test images, test labels: decompressed IDX files, for CIFAR bare bytes
//! ```

use std::ops::Range;
use std::path::{Path, PathBuf};

use domain::Digest;
use domain::spec::DataKind;

use super::DataError;
use super::cifar::{ARCHIVES, Archive, IMAGE};
use super::idx::PARTS;

const MAGIC: &[u8; 16] = b"gradsweep-idx-1\n";
const HEADER: usize = 48;

/// A data set of files in memory: training images and labels, and held-out ones if there are any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    bytes: Vec<u8>,
    digest: Digest,
    kind: DataKind,
    facts: Facts,
    train: Pictures,
    test: Pictures,
}

/// What a bundle holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Pixels of one image, d.
    pub dim: u32,
    pub train_samples: u32,
    /// Held-out images; 0 where the folder has none.
    pub test_samples: u32,
    /// One more than the largest label of either set; for CIFAR all the classes that it has.
    pub classes: u32,
}

/// Where the pixels and labels of one set lie in the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Pictures {
    count: u32,
    dim: u32,
    pixels: Range<usize>,
    labels: Range<usize>,
}

impl Bundle {
    /// The data set that [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// If the bytes are anything else; every length and header is checked.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DataError> {
        Self::from_vec(bytes.to_vec())
    }

    fn from_vec(bytes: Vec<u8>) -> Result<Self, DataError> {
        let archive = ARCHIVES.into_iter().find(|archive| bytes.starts_with(archive.magic));
        if bytes.len() < HEADER || (archive.is_none() && !bytes.starts_with(MAGIC)) {
            let found = bytes.iter().copied().take(MAGIC.len()).collect();
            return Err(DataError::NotABundle { found });
        }
        let mut ends = [0; 4];
        let mut end = HEADER as u64;
        for (slot, length) in ends.iter_mut().zip(bytes[MAGIC.len()..HEADER].as_chunks::<8>().0) {
            end = end.saturating_add(u64::from_le_bytes(*length));
            *slot = end;
        }
        let found = bytes.len() as u64;
        if end != found {
            return Err(DataError::BundleLength { found, expected: end });
        }
        // No end exceeds the length of a buffer in memory.
        let [a, b, c, d] = ends.map(|end| end as usize);
        let set = |images, labels, part| match archive {
            Some(archive) => records(&bytes, images, labels, archive),
            None => pictures(&bytes, images, labels, part),
        };
        let train = set(HEADER..a, a..b, 0)?;
        let test = if b == d { Pictures::default() } else { set(b..c, c..d, 2)? };
        if test.count > 0 && test.dim != train.dim {
            return Err(DataError::PixelsDisagree { train: train.dim, test: test.dim });
        }
        let labels = bytes[train.labels.clone()].iter().chain(&bytes[test.labels.clone()]);
        let facts = Facts {
            dim: train.dim,
            train_samples: train.count,
            test_samples: test.count,
            classes: match archive {
                Some(archive) => archive.classes,
                None => labels.max().map_or(0, |&label| u32::from(label) + 1),
            },
        };
        let kind = archive.map_or(DataKind::Idx, |archive| archive.kind);
        let digest = Digest(*blake3::hash(&bytes).as_bytes());
        Ok(Self { digest, kind, bytes, facts, train, test })
    }

    /// The canonical bytes: the same for the same examples, however the files were named or compressed.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    /// The canonical bytes, borrowed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// blake3 of the canonical bytes: `data.digest` of a spec.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether it is data of `kind`.
    ///
    /// # Errors
    /// If its files are of another kind.
    pub fn check_kind(&self, kind: DataKind) -> Result<(), DataError> {
        let (asked, found) = (kind.as_str(), self.kind.as_str());
        if kind == self.kind { Ok(()) } else { Err(DataError::OtherKind { asked, found }) }
    }

    /// What the bundle holds.
    pub fn facts(&self) -> Facts {
        self.facts
    }

    /// Pixels, `[samples, dim]` bytes, and labels, `[samples]`, of the training set or the held-out one.
    pub(super) fn set(&self, held_out: bool) -> (&[u8], &[u8]) {
        let set = if held_out { &self.test } else { &self.train };
        (&self.bytes[set.pixels.clone()], &self.bytes[set.labels.clone()])
    }
}

/// The data set in `folder`: the `.bin` files of a CIFAR archive, or `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and, if they are there, the same for
/// `t10k`; each plain or with `.gz`, and with `-` or `.` before `idx`.
///
/// # Errors
/// Which file, what was found in it and what would do.
pub fn read_folder(folder: &Path) -> Result<Bundle, DataError> {
    if !folder.is_dir() {
        return Err(DataError::FolderMissing { folder: folder.into() });
    }
    if let Some(archive) = Archive::find(folder) {
        return read_archive(archive, folder);
    }
    let paths = PARTS.map(|part| part.find(folder));
    for (part, path) in PARTS.iter().zip(&paths).take(2) {
        if path.is_none() {
            let (stem, rank) = (part.stem, part.rank);
            return Err(DataError::FileMissing { folder: folder.into(), stem, rank });
        }
    }
    if paths[2].is_some() != paths[3].is_some() {
        return Err(DataError::HalfTestSet { folder: folder.into() });
    }
    let mut bytes = MAGIC.to_vec();
    let mut body = Vec::new();
    let mut counts = [0; 4];
    for ((part, path), count) in PARTS.iter().zip(&paths).zip(&mut counts) {
        let Some(path) = path else {
            bytes.extend_from_slice(&0u64.to_le_bytes());
            continue;
        };
        let file = part.read(path)?;
        *count = part.check(path, &file)?[0];
        bytes.extend_from_slice(&(file.len() as u64).to_le_bytes());
        body.extend_from_slice(&file);
    }
    // Said here with the files' own names; `from_vec` knows only the parts.
    for set in [0, 2] {
        if let (Some(images_path), Some(labels_path), true) =
            (paths[set].clone(), paths[set + 1].clone(), counts[set] != counts[set + 1])
        {
            let (images, labels) = (counts[set], counts[set + 1]);
            return Err(DataError::CountsDisagree { images_path, images, labels_path, labels });
        }
    }
    bytes.append(&mut body);
    Bundle::from_vec(bytes)
}

/// The data set of this digest in one of `folders`, or in a folder within one. What is no data set is passed over.
pub fn find(folders: &[PathBuf], digest: Digest) -> Option<Bundle> {
    let candidates = folders.iter().flat_map(|folder| candidates(folder));
    candidates.filter_map(|folder| read_folder(&folder).ok()).find(|found| found.digest() == digest)
}

/// Where a data set may lie below `folder`: there, then in the folders in it, by name.
pub fn candidates(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut inner: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    inner.sort();
    inner.insert(0, folder.to_owned());
    inner
}

/// The data set of a CIFAR archive.
fn read_archive(archive: Archive, folder: &Path) -> Result<Bundle, DataError> {
    let (train, test) = archive.read(folder)?;
    let mut bytes = archive.magic.to_vec();
    let parts = [train.pixels, train.labels, test.pixels, test.labels];
    for part in &parts {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
    }
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    Bundle::from_vec(bytes)
}

/// One set of a CIFAR archive, from the places of its pixels and labels in `bytes`.
fn records(
    bytes: &[u8],
    images: Range<usize>,
    labels: Range<usize>,
    archive: Archive,
) -> Result<Pictures, DataError> {
    let count = labels.len();
    let known = |label: &u8| u32::from(*label) < archive.classes;
    let count_fits = images.len() == count.saturating_mul(IMAGE) && count > 0;
    match u32::try_from(count) {
        Ok(count) if count_fits && bytes[labels.clone()].iter().all(known) => {
            Ok(Pictures { count, dim: IMAGE as u32, pixels: images, labels })
        }
        _ => {
            let (images, labels) = (images.len(), count);
            Err(DataError::BadImages { images, labels, classes: archive.classes })
        }
    }
}

/// One set, from the places of its two files in `bytes`; `part` is the first one's place in [`PARTS`].
fn pictures(
    bytes: &[u8],
    images: Range<usize>,
    labels: Range<usize>,
    part: usize,
) -> Result<Pictures, DataError> {
    let (image_part, label_part) = (PARTS[part], PARTS[part + 1]);
    let images_path = PathBuf::from(image_part.stem);
    let labels_path = PathBuf::from(label_part.stem);
    let dimensions = image_part.check(&images_path, &bytes[images.clone()])?;
    let label_count = label_part.check(&labels_path, &bytes[labels.clone()])?[0];
    let count = dimensions[0];
    if count != label_count {
        let labels = label_count;
        return Err(DataError::CountsDisagree { images_path, images: count, labels_path, labels });
    }
    let Some(dim) = dimensions[1].checked_mul(dimensions[2]) else {
        return Err(DataError::Empty { path: images_path, dimensions });
    };
    Ok(Pictures {
        count,
        dim,
        pixels: images.start + image_part.header_len()..images.end,
        labels: labels.start + label_part.header_len()..labels.end,
    })
}

#[cfg(test)]
mod tests;

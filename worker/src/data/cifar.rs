//! The binary archives of CIFAR-10 and CIFAR-100: records of label bytes and 32 x 32 pixels of red, green and blue.

use std::fs;
use std::path::Path;

use domain::spec::{Conv, DataKind};

use super::DataError;

/// Bytes of one image: 1,024 of red, then of green, then of blue, each row by row.
pub const IMAGE: usize = Conv::DIM as usize;
/// Pixels of one colour.
const PLANE: usize = IMAGE / 3;

/// One of the archives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Archive {
    pub kind: DataKind,
    pub classes: u32,
    /// What the canonical bytes of such a data set begin with.
    pub magic: &'static [u8; 16],
    train: &'static [&'static str],
    test: &'static str,
    /// Label bytes of a record; the last one is the class.
    label_bytes: usize,
    /// Mean and standard deviation of the training pixels, by colour, as the Wide ResNets were trained with.
    mean: [f64; 3],
    deviation: [f64; 3],
}

/// Both archives.
pub const ARCHIVES: [Archive; 2] = [
    Archive {
        kind: DataKind::Cifar10,
        classes: 10,
        magic: b"gradsweep-c010-1",
        train: &[
            "data_batch_1.bin",
            "data_batch_2.bin",
            "data_batch_3.bin",
            "data_batch_4.bin",
            "data_batch_5.bin",
        ],
        test: "test_batch.bin",
        label_bytes: 1,
        mean: [125.3, 123.0, 113.9],
        deviation: [63.0, 62.1, 66.7],
    },
    Archive {
        kind: DataKind::Cifar100,
        classes: 100,
        magic: b"gradsweep-c100-1",
        train: &["train.bin"],
        test: "test.bin",
        label_bytes: 2,
        mean: [129.3, 124.1, 112.4],
        deviation: [68.2, 65.4, 70.4],
    },
];

/// Labels, `[n]`, and pixels, `[n, 3072]`, of some records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    pub labels: Vec<u8>,
    pub pixels: Vec<u8>,
}

impl Archive {
    /// The archive of which `folder` has a training file, if it has one.
    pub fn find(folder: &Path) -> Option<Self> {
        let has = |archive: &Self| archive.train.iter().any(|name| folder.join(name).is_file());
        ARCHIVES.into_iter().find(has)
    }

    /// The archive of images of this kind.
    pub fn of(kind: DataKind) -> Option<Self> {
        ARCHIVES.into_iter().find(|archive| archive.kind == kind)
    }

    /// The training records of `folder`, and its test records, none where it has no such file.
    ///
    /// # Errors
    /// If a training file is missing, or a file is not whole records with classes that there are.
    pub fn read(&self, folder: &Path) -> Result<(Records, Records), DataError> {
        let mut train = Records::default();
        for name in self.train {
            let path = folder.join(name);
            if !path.is_file() {
                return Err(DataError::BatchMissing { folder: folder.into(), name });
            }
            self.append(&path, &mut train)?;
        }
        let mut test = Records::default();
        let path = folder.join(self.test);
        if path.is_file() {
            self.append(&path, &mut test)?;
        }
        Ok((train, test))
    }

    fn append(&self, path: &Path, records: &mut Records) -> Result<(), DataError> {
        let bytes =
            fs::read(path).map_err(|source| DataError::Read { path: path.into(), source })?;
        let record = self.label_bytes + IMAGE;
        let rest = bytes.len() % record;
        if rest != 0 || bytes.is_empty() {
            let (found, whole) = (bytes.len(), bytes.len() / record);
            return Err(DataError::RecordCut { path: path.into(), found, record, whole, rest });
        }
        for (index, bytes) in bytes.chunks_exact(record).enumerate() {
            let (labels, pixels) = bytes.split_at(self.label_bytes);
            let label = labels[self.label_bytes - 1];
            if u32::from(label) >= self.classes {
                let (path, classes) = (path.into(), self.classes);
                let offset = index * record + self.label_bytes - 1;
                return Err(DataError::ClassTooLarge { path, index, offset, label, classes });
            }
            records.labels.push(label);
            records.pixels.extend_from_slice(pixels);
        }
        Ok(())
    }

    /// The entries of one image for a network: pixel by pixel, its three colours side by side.
    ///
    /// ```text
    /// (x - mean) / deviation, by colour
    /// ```
    ///
    /// # Shapes
    /// `pixels`: `[3, 32, 32]`; the result: `[32, 32, 3]`.
    pub fn normalised(&self, pixels: &[u8]) -> Vec<f64> {
        let entry = |(pixel, colour): (usize, usize)| {
            let x = f64::from(pixels[colour * PLANE + pixel]);
            (x - self.mean[colour]) / self.deviation[colour]
        };
        (0..PLANE).flat_map(|pixel| (0..3).map(move |colour| (pixel, colour))).map(entry).collect()
    }
}

#[cfg(test)]
mod tests;

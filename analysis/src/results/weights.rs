//! Kept weights: where they are, by the table `weights_index`, and the arrays themselves, checked.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use domain::table::{WEIGHTS_FOLDER, weights_prefix};
use domain::{JobId, SweepName, Table};
use safetensors::tensor::{Metadata, TensorInfo};
use store::Source;

use super::Results;
use super::error::ResultsError;

/// Longest header that is read: as for all readers of safetensors.
const HEAD_BYTES_MAX: u64 = 100_000_000;

/// The entry of the metadata in files of ours.
const HEADER_KEY: &str = "gradsweep";

/// Where the weights of a job at a step are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptWeights {
    pub job: JobId,
    pub step: u64,
    /// In the results, with slashes.
    pub file: String,
    /// Of the arrays.
    pub bytes: u64,
    /// blake3 of these bytes, hexadecimal.
    pub digest: String,
}

/// Why kept weights cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    #[error("{} cannot be read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the index of kept weights names {file}, which is no file of the sweep's weights")]
    Elsewhere { file: String },
    #[error("{} is cut short or longer than its header says: {found} bytes", path.display())]
    Length { path: PathBuf, found: u64 },
    #[error("the header of {} is not one of safetensors", path.display())]
    Head { path: PathBuf, source: serde_json::Error },
    #[error("{} has other arrays of job {job} at step {step} than the index tells", path.display())]
    Arrays { path: PathBuf, job: JobId, step: u64 },
    #[error("the arrays of job {job} at step {step} in {} are damaged: their digest is {found}", path.display())]
    Damaged { path: PathBuf, job: JobId, step: u64, found: String },
}

impl Results {
    /// Where the kept weights of a job are, by step; none where none were kept.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn kept_weights(
        &self,
        sweep: &SweepName,
        job: JobId,
    ) -> Result<Vec<KeptWeights>, ResultsError> {
        let mut found = Vec::new();
        let id = job.to_string();
        let columns = ["job_id", "step", "file", "bytes", "digest"];
        self.scan(Table::WeightsIndex, sweep, &columns, |frame| {
            let (ids, files, digests) =
                (frame.texts("job_id"), frame.texts("file"), frame.texts("digest"));
            let (steps, bytes) = (frame.ints("step"), frame.ints("bytes"));
            for row in (0..frame.row_count()).filter(|&row| ids[row] == Some(&*id)) {
                let whole = |number: Option<i64>| number.and_then(|n| u64::try_from(n).ok());
                if let (Some(step), Some(file), Some(bytes), Some(digest)) =
                    (whole(steps[row]), files[row], whole(bytes[row]), digests[row])
                {
                    let (file, digest) = (file.to_owned(), digest.to_owned());
                    found.push(KeptWeights { job, step, file, bytes, digest });
                }
            }
        })?;
        found.sort_by_key(|kept| kept.step);
        Ok(found)
    }

    /// The weights as a safetensors file of their own, with `header` as the entry `gradsweep` of its metadata.
    ///
    /// # Errors
    /// [`WeightsError`] unless they are there, bit for bit.
    pub fn weights_file(
        &self,
        kept: &KeptWeights,
        header: String,
    ) -> Result<Vec<u8>, WeightsError> {
        let is_ours = |part: &str| !part.is_empty() && part != ".." && part != ".";
        let (folder, _) = kept.file.split_once('/').unwrap_or_default();
        if folder != WEIGHTS_FOLDER || !kept.file.split('/').all(is_ours) {
            return Err(WeightsError::Elsewhere { file: kept.file.clone() });
        }
        let path = || self.store().path(&kept.file);
        let unreadable = |source| WeightsError::Unreadable { path: path(), source };
        let source = self.store().source(&kept.file).map_err(unreadable)?;
        let (metadata, arrays_at) = head(&source, path)?;
        let &KeptWeights { job, step, bytes, .. } = kept;
        let other = || WeightsError::Arrays { path: path(), job, step };

        let prefix = weights_prefix(job, step);
        let names = metadata.offset_keys();
        let ours = names.iter().filter_map(|name| Some((name, name.strip_prefix(&*prefix)?)));
        let ours: Vec<_> =
            ours.filter_map(|(name, own)| Some((own.to_owned(), metadata.info(name)?))).collect();
        let begin = ours.first().ok_or_else(other)?.1.data_offsets.0;
        let own = |(name, info): (String, &TensorInfo)| {
            let (from, to) = info.data_offsets;
            let data_offsets = (from - begin, to - begin);
            (name, TensorInfo { data_offsets, ..info.clone() })
        };
        let about = HashMap::from([(HEADER_KEY.to_owned(), header)]);
        let alone = Metadata::new(Some(about), ours.into_iter().map(own).collect());
        // They must lie together and be as long as was told.
        let alone =
            alone.ok().filter(|alone| alone.data_len() as u64 == bytes).ok_or_else(other)?;

        let arrays = source.bytes(arrays_at + begin as u64, bytes as usize).map_err(unreadable)?;
        let found = blake3::hash(&arrays).to_hex().to_string();
        if found != kept.digest {
            return Err(WeightsError::Damaged { path: path(), job, step, found });
        }
        let mut text = serde_json::to_vec(&alone).expect("texts and numbers are JSON");
        text.resize(text.len().next_multiple_of(8), b' ');
        Ok([&(text.len() as u64).to_le_bytes(), &*text, &*arrays].concat())
    }
}

/// The header of a file, and where its arrays begin.
fn head(source: &Source, path: impl Fn() -> PathBuf) -> Result<(Metadata, u64), WeightsError> {
    let unreadable = |source| WeightsError::Unreadable { path: path(), source };
    let found = source.length();
    let wrong = || WeightsError::Length { path: path(), found };
    let length = source.bytes(0, 8).map_err(unreadable)?;
    let length = u64::from_le_bytes(length.try_into().map_err(|_| wrong())?);
    if length > HEAD_BYTES_MAX.min(found.saturating_sub(8)) {
        return Err(wrong());
    }
    let text = source.bytes(8, length as usize).map_err(unreadable)?;
    let metadata: Metadata = serde_json::from_slice(&text)
        .map_err(|source| WeightsError::Head { path: path(), source })?;
    let arrays_at = 8 + length;
    let is_whole = arrays_at + metadata.data_len() as u64 == found;
    is_whole.then_some((metadata, arrays_at)).ok_or_else(wrong)
}

//! Kept weights of a segment's jobs: safetensors files of many jobs, each put together from one blob a job and step.
//!
//! ```text
//! length of the header: u64 │ header: JSON, spaces up to a multiple of 8 │ arrays, one after the other
//! ```
//!
//! What is `weights.0` in a blob is `<job>/<step>/weights.0` here. The arrays of one job and step lie together and in the
//! order of the blob; those of 8 bytes a number come first, so that every number is aligned. Blobs are streamed: their
//! headers alone are in memory, and a file ends where those of its jobs have become long, or the file large.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};

use domain::table::{WEIGHTS_FOLDER, sweep_folder, weights_prefix};
use domain::{Cell, Digest, JobId, Row};
use proto::message::Kept;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use store::{Sink, Store};

use super::segment::{Contents, JobContents, SinkError};

/// Longest header of a blob: a Wide ResNet of a thousand layers has some 100 KiB.
const HEAD_BYTES_MAX: u64 = 1 << 20;

/// How large a file becomes before the next one is begun.
#[derive(Clone, Copy)]
struct Limits {
    /// Bytes of the header. Readers hold it in memory, and take 100 MB at most.
    head_bytes: usize,
    /// Bytes of the arrays. In 8 MiB parts, object stores take ten times as much.
    bytes: u64,
}

const LIMITS: Limits = Limits { head_bytes: 16 << 20, bytes: 8 << 30 };

/// The one entry of the metadata, as in all safetensors files of gradsweep.
const HEADER_KEY: &str = "gradsweep";

/// Raised with every change of names or header.
const FORMAT: u32 = 1;

/// Opens the file of a blob.
pub type BlobOpener<'a> = dyn Fn(Digest) -> io::Result<File> + 'a;

/// Why a blob is none of weights, or not the one that was promised.
#[derive(Debug, thiserror::Error)]
pub enum BadWeights {
    #[error("the blob cannot be read")]
    Read(#[from] io::Error),
    #[error("a header of {found} bytes in a file of {length} is not possible")]
    HeadLength { found: u64, length: u64 },
    #[error("the header is not one of safetensors")]
    Head(#[from] serde_json::Error),
    #[error("the arrays have {found} bytes, the header tells of {expected}")]
    Length { found: u64, expected: u64 },
    #[error("there are no arrays, or not all of F32 or of F64")]
    Types,
    #[error("an array has the name \"{found}\"")]
    Name { found: String },
    #[error("its digest is {found}: the blob is damaged")]
    Damaged { found: Digest },
}

/// What the header of a blob of weights says.
pub struct Head {
    /// In the order in which they lie.
    arrays: Vec<(String, TensorInfo)>,
    dtype: Dtype,
    /// Of all arrays.
    bytes: u64,
}

impl Head {
    /// Reads the header of a blob of `length` bytes; the arrays come next.
    ///
    /// # Errors
    /// [`BadWeights`] unless it is that of a file of weights of exactly this length.
    pub fn read(blob: &mut impl Read, length: u64) -> Result<Self, BadWeights> {
        let mut found = [0; 8];
        blob.read_exact(&mut found)?;
        let found = u64::from_le_bytes(found);
        if found > HEAD_BYTES_MAX.min(length.saturating_sub(8)) {
            return Err(BadWeights::HeadLength { found, length });
        }
        let mut text = vec![0; found as usize];
        blob.read_exact(&mut text)?;
        let metadata: Metadata = serde_json::from_slice(&text)?;
        let (found, expected) = (length - 8 - found, metadata.data_len() as u64);
        if found != expected {
            return Err(BadWeights::Length { found, expected });
        }
        let names = metadata.offset_keys();
        let info = |name: String| metadata.info(&name).cloned().map(|info| (name, info));
        let arrays: Vec<_> = names.into_iter().filter_map(info).collect();
        let is_name = |name: &str| !name.is_empty() && !name.contains('/');
        if let Some((name, _)) = arrays.iter().find(|(name, _)| !is_name(name)) {
            return Err(BadWeights::Name { found: name.chars().take(80).collect() });
        }
        let dtype = arrays.first().map(|(_, info)| info.dtype);
        let dtype = dtype.filter(|dtype| matches!(dtype, Dtype::F32 | Dtype::F64));
        let dtype = dtype.ok_or(BadWeights::Types)?;
        if arrays.iter().any(|(_, info)| info.dtype != dtype) {
            return Err(BadWeights::Types);
        }
        Ok(Self { arrays, dtype, bytes: expected })
    }

    /// Bytes of the header of a file that it makes, or somewhat more.
    fn head_bytes(&self) -> usize {
        const REST: usize = 160;
        self.arrays.iter().map(|(name, info)| name.len() + REST + 12 * info.shape.len()).sum()
    }
}

/// The weights of a job at a step, on their way into a file.
struct Piece {
    job: JobId,
    kept: Kept,
    head: Head,
    /// Of the arrays alone.
    digest: blake3::Hash,
}

impl Piece {
    fn open(job: JobId, kept: Kept, blobs: &BlobOpener<'_>) -> Result<Self, BadWeights> {
        let file = blobs(kept.digest)?;
        let length = file.metadata()?.len();
        let mut whole = Hashing { input: BufReader::new(file), hasher: blake3::Hasher::new() };
        let head = Head::read(&mut whole, length)?;
        let mut arrays = blake3::Hasher::new();
        copy(&mut whole, |bytes| {
            arrays.update(bytes);
            Ok::<_, BadWeights>(())
        })?;
        let found = Digest(*whole.hasher.finalize().as_bytes());
        if found != kept.digest {
            return Err(BadWeights::Damaged { found });
        }
        Ok(Self { job, kept, head, digest: arrays.finalize() })
    }

    fn failed(&self, source: BadWeights) -> SinkError {
        SinkError::Weights { job: self.job, step: self.kept.step, source }
    }
}

/// What is read is hashed.
struct Hashing<R> {
    input: R,
    hasher: blake3::Hasher,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

/// Hands all that is left of `input` to `each`, a piece at a time.
fn copy<E: From<io::Error>>(
    input: &mut impl Read,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut buffer = vec![0; 128 << 10];
    loop {
        match input.read(&mut buffer)? {
            0 => return Ok(()),
            read => each(&buffer[..read])?,
        }
    }
}

/// Puts the kept weights of the segment's jobs in place, and tells `each` the index row of every job and step, in the order
/// of the jobs: whoever sees a row after this returned sees its file.
///
/// # Errors
/// [`SinkError`]; files that are complete stay, and calling again writes what is missing.
pub(super) fn write_weights<'a>(
    results: &Store,
    contents: &'a Contents,
    blobs: &BlobOpener<'_>,
    each: impl FnMut(&'a JobContents, Row) -> Result<(), SinkError>,
) -> Result<(), SinkError> {
    write_within(LIMITS, results, contents, blobs, each)
}

fn write_within<'a>(
    limits: Limits,
    results: &Store,
    contents: &'a Contents,
    blobs: &BlobOpener<'_>,
    mut each: impl FnMut(&'a JobContents, Row) -> Result<(), SinkError>,
) -> Result<(), SinkError> {
    let mut part = Part::new(contents, 0);
    for job in &contents.jobs {
        for &kept in &job.kept {
            let failed = |source| SinkError::Weights { job: job.id, step: kept.step, source };
            let piece = Piece::open(job.id, kept, blobs).map_err(failed)?;
            if part.head_bytes >= limits.head_bytes || part.bytes >= limits.bytes {
                part.write(results, blobs)?;
                part = Part::new(contents, part.number + 1);
            }
            each(job, part.row(&piece))?;
            part.add(piece);
        }
    }
    part.write(results, blobs)
}

/// One file.
struct Part {
    number: u32,
    name: String,
    /// The entry of its metadata.
    about: String,
    pieces: Vec<Piece>,
    head_bytes: usize,
    bytes: u64,
}

impl Part {
    fn new(contents: &Contents, number: u32) -> Self {
        let Contents { sweep, segment, .. } = contents;
        let ending = if number == 0 { String::new() } else { format!("-{number:04}") };
        let folder = sweep_folder(WEIGHTS_FOLDER, sweep);
        let name = format!("{folder}/{segment}{ending}.safetensors");
        let about = serde_json::json!({
            "format": FORMAT,
            "content": "kept weights",
            "sweep": sweep.as_str(),
            "version": env!("CARGO_PKG_VERSION"),
        });
        let about = about.to_string();
        Self { number, name, about, pieces: Vec::new(), head_bytes: 0, bytes: 0 }
    }

    fn add(&mut self, piece: Piece) {
        self.head_bytes += piece.head.head_bytes();
        self.bytes += piece.head.bytes;
        self.pieces.push(piece);
    }

    /// The cells of `domain::table::WEIGHTS_INDEX` for a piece of this file.
    fn row(&self, piece: &Piece) -> Row {
        vec![
            piece.kept.step.into(),
            self.name.as_str().into(),
            piece.head.bytes.into(),
            Cell::from(piece.digest.to_hex().to_string()),
        ]
    }

    fn write(&mut self, results: &Store, blobs: &BlobOpener<'_>) -> Result<(), SinkError> {
        if self.pieces.is_empty() {
            return Ok(());
        }
        // In a stable order: by job and step among those of one type.
        self.pieces.sort_by_key(|piece| piece.head.dtype != Dtype::F64);
        results.put(&self.name, |file| {
            let path = results.path(&self.name);
            let put = |source| SinkError::Put(store::PutError { path: path.clone(), source });
            let head = self.head();
            file.write_all(&(head.len() as u64).to_le_bytes()).map_err(put)?;
            file.write_all(&head).map_err(put)?;
            self.pieces.iter().try_for_each(|piece| self::arrays(piece, blobs, file, &put))
        })
    }

    /// The header, with the spaces behind it.
    fn head(&self) -> Vec<u8> {
        let mut arrays = Vec::new();
        let mut at = 0;
        for Piece { job, kept, head, .. } in &self.pieces {
            let prefix = weights_prefix(*job, kept.step);
            for (name, info) in &head.arrays {
                let (begin, end) = info.data_offsets;
                let data_offsets = (at + begin, at + end);
                arrays
                    .push((format!("{prefix}{name}"), TensorInfo { data_offsets, ..info.clone() }));
            }
            at += head.bytes as usize;
        }
        let about = HashMap::from([(HEADER_KEY.to_owned(), self.about.clone())]);
        let metadata = Metadata::new(Some(about), arrays).expect("each piece was checked");
        let mut text = serde_json::to_vec(&metadata).expect("texts and numbers are JSON");
        text.resize(text.len().next_multiple_of(8), b' ');
        text
    }
}

/// Copies the arrays of a piece from its blob, once more checked: it was read a while ago.
fn arrays(
    piece: &Piece,
    blobs: &BlobOpener<'_>,
    file: &mut Sink<'_>,
    put: &impl Fn(io::Error) -> SinkError,
) -> Result<(), SinkError> {
    let read = |error: io::Error| piece.failed(error.into());
    let blob = blobs(piece.kept.digest).map_err(read)?;
    let length = blob.metadata().map_err(read)?.len();
    let mut blob = BufReader::new(blob);
    Head::read(&mut blob, length).map_err(|source| piece.failed(source))?;
    let mut hasher = blake3::Hasher::new();
    // Which of the two files failed is in the error.
    copy(&mut blob, |bytes| {
        hasher.update(bytes);
        file.write_all(bytes).map_err(|error| Copy::Put(put(error)))
    })
    .map_err(|error| match error {
        Copy::Read(error) => read(error),
        Copy::Put(error) => error,
    })?;
    let found = hasher.finalize();
    if found != piece.digest {
        let found = Digest(*found.as_bytes());
        return Err(piece.failed(BadWeights::Damaged { found }));
    }
    Ok(())
}

/// Which end of a copy failed.
enum Copy {
    Read(io::Error),
    Put(SinkError),
}

impl From<io::Error> for Copy {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

#[cfg(test)]
#[path = "weights_tests.rs"]
pub(super) mod tests;

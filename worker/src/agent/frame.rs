//! Frames on the pipes between the agent and a trial process.
//!
//! ```text
//! length: u32 │ kind: u8 │ header length: u32 │ header: JSON │ body: bytes        little-endian; length counts all
//!                                                                                that follows it
//! ```
//!
//! Both ends are the same build, so there is no version; lengths are bounded all the same, and what is read never
//! panics: a trial process that runs wild must not take its agent with it.

use std::io::{self, Read, Write};

use proto::limits::{BLOB_BYTES_MAX, SPEC_BYTES_MAX};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest header: a spec whose every byte is escaped in JSON, and room for paths.
pub const HEADER_BYTES_MAX: usize = 8 * SPEC_BYTES_MAX;

/// Longest body: a checkpoint is a blob.
pub const BODY_BYTES_MAX: u64 = BLOB_BYTES_MAX;

const PREFIX_BYTES: usize = 9;

/// Why a frame cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("the pipe failed")]
    Pipe(#[from] io::Error),
    #[error("a frame of {found} bytes with a header of {header} is not possible")]
    Length { found: u32, header: u32 },
    #[error("no frame is of kind {found}")]
    Kind { found: u8 },
    #[error("the header of a frame of kind {kind} is malformed")]
    Header { kind: u8, source: serde_json::Error },
    #[error("a frame names \"{found}\", which is no table and no failure class")]
    Word { found: String },
}

/// A frame as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// See [`super::message`].
    pub kind: u8,
    header: Vec<u8>,
    pub body: Vec<u8>,
}

impl Frame {
    /// A frame with `header` as JSON.
    pub fn new(kind: u8, header: &impl Serialize, body: Vec<u8>) -> Self {
        let header =
            serde_json::to_vec(header).expect("headers have text keys and no failing parts");
        Self { kind, header, body }
    }

    /// Everything before the body.
    pub fn head(&self) -> Vec<u8> {
        let header_len = self.header.len() as u32;
        let length = (PREFIX_BYTES - 4 + self.header.len() + self.body.len()) as u32;
        let mut head = Vec::with_capacity(PREFIX_BYTES + self.header.len());
        head.extend_from_slice(&length.to_le_bytes());
        head.push(self.kind);
        head.extend_from_slice(&header_len.to_le_bytes());
        head.extend_from_slice(&self.header);
        head
    }

    /// Writes the frame in one go.
    pub fn write(&self, output: &mut impl Write) -> io::Result<()> {
        output.write_all(&self.head())?;
        output.write_all(&self.body)?;
        output.flush()
    }

    /// The next frame; `None` where the pipe ends between two frames.
    pub fn read(input: &mut impl Read) -> Result<Option<Self>, FrameError> {
        let mut prefix = [0; PREFIX_BYTES];
        if input.read(&mut prefix[..1])? == 0 {
            return Ok(None);
        }
        input.read_exact(&mut prefix[1..])?;
        let prefix = Prefix::parse(prefix)?;
        let mut part = |length: u64| {
            // Grows with what arrives, so that a length that lies reserves nothing.
            let mut bytes = Vec::new();
            input.by_ref().take(length).read_to_end(&mut bytes)?;
            whole(bytes, length)
        };
        Ok(Some(Self { kind: prefix.kind, header: part(prefix.header)?, body: part(prefix.body)? }))
    }

    /// As [`Self::read`]. Not to be cancelled: what was read is lost with it.
    pub async fn read_async(
        input: &mut (impl AsyncRead + Unpin),
    ) -> Result<Option<Self>, FrameError> {
        let mut prefix = [0; PREFIX_BYTES];
        if input.read(&mut prefix[..1]).await? == 0 {
            return Ok(None);
        }
        input.read_exact(&mut prefix[1..]).await?;
        let prefix = Prefix::parse(prefix)?;
        let (mut header, mut body) = (Vec::new(), Vec::new());
        (&mut *input).take(prefix.header).read_to_end(&mut header).await?;
        let header = whole(header, prefix.header)?;
        (&mut *input).take(prefix.body).read_to_end(&mut body).await?;
        Ok(Some(Self { kind: prefix.kind, header, body: whole(body, prefix.body)? }))
    }

    /// The header, read as `T`.
    pub fn header<T: DeserializeOwned>(&self) -> Result<T, FrameError> {
        let kind = self.kind;
        serde_json::from_slice(&self.header).map_err(|source| FrameError::Header { kind, source })
    }
}

struct Prefix {
    kind: u8,
    header: u64,
    body: u64,
}

impl Prefix {
    fn parse(bytes: [u8; PREFIX_BYTES]) -> Result<Self, FrameError> {
        let [a, b, c, d, kind, e, f, g, h] = bytes;
        let (found, header) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        let impossible = FrameError::Length { found, header };
        let rest = u64::from(found).checked_sub((PREFIX_BYTES - 4) as u64);
        let Some(body) = rest.and_then(|rest| rest.checked_sub(u64::from(header))) else {
            return Err(impossible);
        };
        if header as usize > HEADER_BYTES_MAX || body > BODY_BYTES_MAX {
            return Err(impossible);
        }
        Ok(Self { kind, header: u64::from(header), body })
    }
}

fn whole(bytes: Vec<u8>, length: u64) -> Result<Vec<u8>, FrameError> {
    if bytes.len() as u64 == length {
        Ok(bytes)
    } else {
        Err(FrameError::Pipe(io::ErrorKind::UnexpectedEof.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        Frame::new(7, &vec!["header"], vec![0, 255, 3])
    }

    fn bytes_of(frame: &Frame) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame.write(&mut bytes).expect("a Vec takes every write");
        bytes
    }

    #[tokio::test]
    async fn a_frame_reads_back_on_both_kinds_of_pipe() {
        let bytes = bytes_of(&frame()).repeat(2);
        let (mut blocking, mut waiting) = (&bytes[..], &bytes[..]);
        for expected in [Some(frame()), Some(frame()), None] {
            assert_eq!(Frame::read(&mut blocking).expect("reads"), expected);
            assert_eq!(Frame::read_async(&mut waiting).await.expect("reads"), expected);
        }
    }

    #[tokio::test]
    async fn every_truncation_is_an_error() {
        let bytes = bytes_of(&frame());
        for length in 1..bytes.len() {
            let mut cut = &bytes[..length];
            assert!(Frame::read(&mut cut).is_err(), "cut at {length}");
            let mut cut = &bytes[..length];
            assert!(Frame::read_async(&mut cut).await.is_err(), "cut at {length}");
        }
    }

    #[test]
    fn impossible_lengths_are_refused_before_anything_is_reserved() {
        let with = |length: u32, header: u32| {
            let mut bytes = length.to_le_bytes().to_vec();
            bytes.push(1);
            bytes.extend_from_slice(&header.to_le_bytes());
            Frame::read(&mut &bytes[..])
        };
        let too_long = HEADER_BYTES_MAX as u32 + 1;
        for (length, header) in [(0, 0), (4, 0), (5, 1), (u32::MAX, 0), (u32::MAX, too_long)] {
            let refused = matches!(with(length, header), Err(FrameError::Length { .. }));
            assert!(refused, "{length} {header}");
        }
        // Possible, but not there: nothing but what arrived is held.
        assert!(matches!(with(BODY_BYTES_MAX as u32, 0), Err(FrameError::Pipe(_))));
    }
}

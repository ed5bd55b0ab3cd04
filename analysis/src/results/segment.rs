//! One segment: opening a Parquet file, checking it against the column list, reading some of its columns.
//!
//! Bytes from a disk are not trusted: whatever a damaged file makes the decoder do, the caller gets an error that names
//! the file.

use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow_array::{RecordBatch, new_null_array};
use bytes::Bytes;
use domain::table::{FORMAT, FORMAT_KEY};
use domain::{Column, Table};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::reader::{ChunkReader, Length};
use store::{Source, Store};

use super::SegmentFile;
use super::error::ResultsError;
use super::frame::Frame;
use super::schema::{data_type, fits};

/// What a Parquet file starts and ends with.
const MAGIC: [u8; 4] = *b"PAR1";
/// Rows decoded at once: a few MiB at most, even of histograms.
const BATCH_ROWS: usize = 4096;

/// A file as the decoder reads it.
struct Input(Source);

impl Length for Input {
    fn len(&self) -> u64 {
        self.0.length()
    }
}

impl ChunkReader for Input {
    type T = Box<dyn Read + Send>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.0.reader(start)?)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        Ok(self.0.bytes(start, length)?.into())
    }
}

/// A segment being read.
pub(super) struct Segment<'a> {
    table: Table,
    path: &'a Path,
    columns: &'a [&'static Column],
    /// Of the file, not in the column list.
    unknown: Vec<String>,
    reader: ParquetRecordBatchReader,
}

impl<'a> Segment<'a> {
    pub(super) fn open(
        store: &Store,
        table: Table,
        file: &'a SegmentFile,
        columns: &'a [&'static Column],
    ) -> Result<Self, ResultsError> {
        Self::open_with(store, table, file, columns, PageIndexPolicy::Skip)
    }

    /// As [`Self::open`], and reads the indexes of pages, which only searching needs.
    pub(super) fn open_with_index(
        store: &Store,
        table: Table,
        file: &'a SegmentFile,
        columns: &'a [&'static Column],
    ) -> Result<Self, ResultsError> {
        Self::open_with(store, table, file, columns, PageIndexPolicy::Optional)
    }

    fn open_with(
        store: &Store,
        table: Table,
        file: &'a SegmentFile,
        columns: &'a [&'static Column],
        index: PageIndexPolicy,
    ) -> Result<Self, ResultsError> {
        let path = &*file.path;
        let opened = store.source(&file.name);
        let opened =
            opened.map_err(|source| ResultsError::Unreadable { path: path.to_owned(), source });
        let source = Input(opened?);
        let metadata = open_metadata(table, path, &source, columns, index)?;
        let has = |name: &str| columns.iter().any(|column| column.name == name);
        let names = metadata.schema().fields().iter().map(|field| field.name());
        let unknown = names.filter(|name| !table.columns().any(|column| column.name == *name));
        let unknown = unknown.cloned().collect();
        let fields = metadata.schema().fields().iter().enumerate();
        let wanted = fields.filter(|(_, field)| has(field.name())).map(|(index, _)| index);
        let mask = ProjectionMask::roots(metadata.parquet_schema(), wanted);
        let reader = decode(path, || {
            ParquetRecordBatchReaderBuilder::new_with_metadata(source, metadata)
                .with_projection(mask)
                .with_batch_size(BATCH_ROWS)
                .build()
        })?;
        Ok(Self { table, path, columns, unknown, reader })
    }

    /// The columns that the file does not have.
    pub(super) fn absent(&self) -> impl Iterator<Item = &'static str> + '_ {
        use arrow_array::RecordBatchReader;
        let schema = self.reader.schema();
        let names = self.columns.iter().map(|column| column.name);
        names.filter(move |name| schema.field_with_name(name).is_err())
    }

    /// The columns of the file that this version does not know.
    pub(super) fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// Hands all rows to `each`, some thousand at a time.
    pub(super) fn frames(mut self, mut each: impl FnMut(&Frame)) -> Result<(), ResultsError> {
        while let Some(frame) = self.next_frame()? {
            each(&frame);
        }
        Ok(())
    }

    /// The next rows, if there are more.
    fn next_frame(&mut self) -> Result<Option<Frame>, ResultsError> {
        let Self { table, path, columns, reader, .. } = self;
        let batch = decode(path, || reader.next().transpose().map_err(ParquetError::from))?;
        Ok(batch.map(|batch| frame_of(*table, columns, &batch)))
    }
}

fn frame_of(table: Table, columns: &[&'static Column], batch: &RecordBatch) -> Frame {
    let rows = batch.num_rows();
    let mut frame = Frame::new(table, columns);
    let arrays = columns.iter().map(|column| match batch.column_by_name(column.name) {
        Some(array) => array.clone(),
        None => new_null_array(&data_type(column.kind), rows),
    });
    frame.push(rows, arrays);
    frame
}

fn open_metadata(
    table: Table,
    path: &Path,
    input: &Input,
    columns: &[&'static Column],
    index: PageIndexPolicy,
) -> Result<ArrowReaderMetadata, ResultsError> {
    let unreadable = |source| ResultsError::Unreadable { path: path.to_owned(), source };
    if let Some(bytes) = cut_short(&input.0).map_err(unreadable)? {
        return Err(ResultsError::Truncated { path: path.to_owned(), bytes });
    }
    let options = ArrowReaderOptions::default().with_page_index_policy(index);
    let metadata = decode(path, || ArrowReaderMetadata::load(input, options))?;
    let schema = metadata.schema();
    // Of files that name none, the columns tell what they are.
    if let Some(found) = schema.metadata().get(FORMAT_KEY).filter(|found| *found != FORMAT) {
        return Err(ResultsError::Format { path: path.to_owned(), found: found.clone() });
    }
    if schema.field_with_name("job_id").is_err() {
        return Err(ResultsError::NotASegment { path: path.to_owned(), table });
    }
    for column in columns {
        if let Ok(field) = schema.field_with_name(column.name)
            && !fits(column.kind, field.data_type())
        {
            return Err(ResultsError::WrongType {
                path: path.to_owned(),
                column: column.name,
                expected: column.kind,
                found: field.data_type().clone(),
            });
        }
    }
    Ok(metadata)
}

/// The length of a file that begins like Parquet and does not end like it.
fn cut_short(source: &Source) -> io::Result<Option<u64>> {
    let length = source.length();
    let head = source.bytes(0, MAGIC.len().min(length as usize))?;
    if !MAGIC.starts_with(&head) {
        return Ok(None);
    }
    // Header, the footer's length and the trailer: less is no file, whatever its last bytes are.
    if length < 12 {
        return Ok(Some(length));
    }
    let tail = source.bytes(length - MAGIC.len() as u64, MAGIC.len())?;
    Ok((tail != MAGIC).then_some(length))
}

/// Runs the decoder. A panic of it on damaged bytes is one more way of saying that they are damaged.
fn decode<T>(
    path: &Path,
    read: impl FnOnce() -> Result<T, ParquetError>,
) -> Result<T, ResultsError> {
    let damaged = |source| ResultsError::Damaged { path: path.to_owned(), source };
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(result) => result.map_err(damaged),
        Err(_) => Err(damaged(ParquetError::General("the decoder panicked".to_owned()))),
    }
}

//! One segment: opening a Parquet file, checking it against the column list, reading some of its columns.
//!
//! Bytes from a disk are not trusted: whatever a damaged file makes the decoder do, the caller gets an error that names
//! the file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow_array::{RecordBatch, new_null_array};
use domain::{Column, Table};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::PageIndexPolicy;

use super::error::ResultsError;
use super::frame::Frame;
use super::schema::{data_type, fits};

/// What a Parquet file starts and ends with.
const MAGIC: [u8; 4] = *b"PAR1";
/// Rows decoded at once: a few MiB at most, even of histograms.
const BATCH_ROWS: usize = 4096;

/// A segment being read.
pub(super) struct Segment<'a> {
    table: Table,
    path: &'a Path,
    columns: &'a [&'static Column],
    reader: ParquetRecordBatchReader,
}

impl<'a> Segment<'a> {
    pub(super) fn open(
        table: Table,
        path: &'a Path,
        columns: &'a [&'static Column],
    ) -> Result<Self, ResultsError> {
        Self::open_with(table, path, columns, PageIndexPolicy::Skip)
    }

    /// As [`Self::open`], and reads the indexes of pages, which only searching needs.
    pub(super) fn open_with_index(
        table: Table,
        path: &'a Path,
        columns: &'a [&'static Column],
    ) -> Result<Self, ResultsError> {
        Self::open_with(table, path, columns, PageIndexPolicy::Optional)
    }

    fn open_with(
        table: Table,
        path: &'a Path,
        columns: &'a [&'static Column],
        index: PageIndexPolicy,
    ) -> Result<Self, ResultsError> {
        let (file, metadata) = open_metadata(table, path, columns, index)?;
        let has = |name: &str| columns.iter().any(|column| column.name == name);
        let fields = metadata.schema().fields().iter().enumerate();
        let wanted = fields.filter(|(_, field)| has(field.name())).map(|(index, _)| index);
        let mask = ProjectionMask::roots(metadata.parquet_schema(), wanted);
        let reader = decode(path, || {
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
                .with_projection(mask)
                .with_batch_size(BATCH_ROWS)
                .build()
        })?;
        Ok(Self { table, path, columns, reader })
    }

    /// The columns that the file does not have.
    pub(super) fn absent(&self) -> impl Iterator<Item = &'static str> + '_ {
        use arrow_array::RecordBatchReader;
        let schema = self.reader.schema();
        let names = self.columns.iter().map(|column| column.name);
        names.filter(move |name| schema.field_with_name(name).is_err())
    }

    /// The next rows, if there are more.
    pub(super) fn next_frame(&mut self) -> Result<Option<Frame>, ResultsError> {
        let Self { table, path, columns, reader } = self;
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
    columns: &[&'static Column],
    index: PageIndexPolicy,
) -> Result<(File, ArrowReaderMetadata), ResultsError> {
    let unreadable = |source| ResultsError::Unreadable { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(unreadable)?;
    if let Some(bytes) = cut_short(&mut file).map_err(unreadable)? {
        return Err(ResultsError::Truncated { path: path.to_owned(), bytes });
    }
    let options = ArrowReaderOptions::default().with_page_index_policy(index);
    let metadata = decode(path, || ArrowReaderMetadata::load(&file, options))?;
    let schema = metadata.schema();
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
    Ok((file, metadata))
}

/// The length of a file that begins like Parquet and does not end like it.
fn cut_short(file: &mut File) -> io::Result<Option<u64>> {
    let length = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    let mut head = Vec::with_capacity(MAGIC.len());
    file.by_ref().take(MAGIC.len() as u64).read_to_end(&mut head)?;
    if !MAGIC.starts_with(&head) {
        return Ok(None);
    }
    // Header, the footer's length and the trailer: less is no file, whatever its last bytes are.
    if length < 12 {
        return Ok(Some(length));
    }
    let mut tail = [0; MAGIC.len()];
    file.seek(SeekFrom::End(-(MAGIC.len() as i64)))?;
    file.read_exact(&mut tail)?;
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

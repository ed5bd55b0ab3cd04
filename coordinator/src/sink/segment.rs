//! One segment: a Parquet file a table, under one name, for a fixed list of jobs.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::ArrowError;
use arrow_schema::Schema;
use domain::table::{IDENTITY, identity_cells};
use domain::{Cell, JobId, JobSpec, Row, SweepId, SweepName, Table};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use proto::error::WireError;
use proto::rows;

use super::put_file::{PutError, put};
use super::schema::file_schema;
use crate::journal::{JournalError, SpooledRows};
use crate::machine::Failed;

/// Most rows of a row group: statistics stay sharp, and the writer holds no more than this in memory.
const ROW_GROUP_ROWS_MAX: usize = 65_536;

/// What goes into a segment.
pub struct Contents {
    pub sweep: SweepName,
    pub segment: String,
    /// In the order of their ids.
    pub jobs: Vec<JobContents>,
    pub failures: Vec<FailureLine>,
}

/// A committed job: its settings; its rows are read from the spool when their turn comes.
pub struct JobContents {
    pub id: JobId,
    pub spec: JobSpec,
}

/// A failed attempt.
pub struct FailureLine {
    pub id: JobId,
    pub spec: JobSpec,
    pub sweep_id: SweepId,
    pub failed: Failed,
}

/// Reads the spooled rows of one job and table.
pub type SpoolReader<'a> = dyn Fn(JobId, Table) -> Result<Vec<SpooledRows>, JournalError> + 'a;

/// Why a segment could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    #[error(transparent)]
    Put(#[from] PutError),
    #[error("cannot write {}", path.display())]
    Parquet { path: PathBuf, source: ParquetError },
    #[error("spooled rows of job {job} cannot be read: {source}")]
    Rows { job: JobId, source: WireError },
    #[error("spooled rows of job {job} do not fit the table: {source}")]
    Shape { job: JobId, source: ArrowError },
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl SinkError {
    /// Whether the disk is full, so that trying again later makes sense.
    pub fn is_full(&self) -> bool {
        fn full(error: &(dyn std::error::Error + 'static)) -> bool {
            let io = error.downcast_ref::<std::io::Error>();
            io.is_some_and(|io| io.kind() == std::io::ErrorKind::StorageFull)
                || error.to_string().contains("No space left on device")
                || error.source().is_some_and(full)
        }
        full(self)
    }
}

/// Writes the files of one segment under `results`: `steps` and `confusion` first, then `failures`, then `jobs`, so that
/// whoever sees a job sees its rows. A file that is there already is complete, and stays. Blocks.
///
/// # Errors
/// [`SinkError`]; nothing that is incomplete is visible, and calling again writes what is missing.
pub fn write_segment(
    results: &Path,
    contents: &Contents,
    spool: &SpoolReader<'_>,
) -> Result<(), SinkError> {
    for table in [Table::Steps, Table::Confusion] {
        table_file(results, contents, table, !contents.jobs.is_empty(), |sink| {
            contents.jobs.iter().try_for_each(|job| sink.spooled(job.id, &job.spec, spool))
        })?;
    }
    table_file(results, contents, Table::Failures, !contents.failures.is_empty(), |sink| {
        contents.failures.iter().try_for_each(|line| sink.failure(line))
    })?;
    table_file(results, contents, Table::Jobs, !contents.jobs.is_empty(), |sink| {
        contents.jobs.iter().try_for_each(|job| sink.spooled(job.id, &job.spec, spool))
    })
}

fn table_file(
    results: &Path,
    contents: &Contents,
    table: Table,
    wanted: bool,
    fill: impl FnOnce(&mut TableSink<'_>) -> Result<(), SinkError>,
) -> Result<(), SinkError> {
    let folder = results.join(table.as_str()).join(format!("sweep={}", contents.sweep));
    let path = folder.join(format!("{}.parquet", contents.segment));
    if !wanted || path.exists() {
        return Ok(());
    }
    put(&path, |file| {
        let mut sink = TableSink::new(table, &path, file)?;
        fill(&mut sink)?;
        sink.close()
    })
}

fn properties() -> WriterProperties {
    let job_id = || ColumnPath::from("job_id");
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_column_bloom_filter_enabled(job_id(), true)
        .set_created_by(format!("gradsweep {}", env!("CARGO_PKG_VERSION")))
        .build()
}

/// One Parquet file in the making.
struct TableSink<'a> {
    table: Table,
    schema: Arc<Schema>,
    path: &'a Path,
    writer: ArrowWriter<&'a mut BufWriter<File>>,
}

impl<'a> TableSink<'a> {
    fn new(table: Table, path: &'a Path, file: &'a mut BufWriter<File>) -> Result<Self, SinkError> {
        let schema = file_schema(table);
        let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties()))
            .map_err(|source| SinkError::Parquet { path: path.to_owned(), source })?;
        Ok(Self { table, schema, path, writer })
    }

    /// Adds a job's rows of this table, in the order of their numbers.
    fn spooled(
        &mut self,
        job: JobId,
        spec: &JobSpec,
        spool: &SpoolReader<'_>,
    ) -> Result<(), SinkError> {
        let identity = identity_cells(job, spec);
        for spooled in spool(job, self.table)? {
            let batch = rows::decode(self.table, &spooled.arrow, spooled.row_count)
                .map_err(|source| SinkError::Rows { job, source })?;
            self.write(job, &identity, batch.num_rows(), batch.columns())?;
        }
        Ok(())
    }

    fn failure(&mut self, line: &FailureLine) -> Result<(), SinkError> {
        let own: Row = failure_row(line);
        let columns = self.table.own_columns().iter().zip(&own);
        let arrays: Vec<_> = columns
            .map(|(column, cell)| rows::column_array(column.kind, std::iter::once(cell)))
            .collect();
        self.write(line.id, &identity_cells(line.id, &line.spec), 1, &arrays)
    }

    fn write(
        &mut self,
        job: JobId,
        identity: &[Cell],
        row_count: usize,
        own: &[ArrayRef],
    ) -> Result<(), SinkError> {
        let identity = IDENTITY.iter().zip(identity).map(|(column, cell)| {
            rows::column_array(column.kind, std::iter::repeat_n(cell, row_count))
        });
        let columns = identity.chain(own.iter().cloned()).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|source| SinkError::Shape { job, source })?;
        self.writer.write(&batch).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: ParquetError) -> SinkError {
        SinkError::Parquet { path: self.path.to_owned(), source }
    }

    fn close(self) -> Result<(), SinkError> {
        let Self { path, writer, .. } = self;
        let closed = writer.close();
        closed.map(drop).map_err(|source| SinkError::Parquet { path: path.to_owned(), source })
    }
}

/// The cells of `domain::table::FAILURES`.
fn failure_row(line: &FailureLine) -> Row {
    let Failed { attempt, worker, host, at, report, .. } = &line.failed;
    vec![
        line.sweep_id.to_string().into(),
        attempt.0.into(),
        report.class.as_str().into(),
        report.exit_code.map(i64::from).into(),
        report.signal.map(i64::from).into(),
        report.message.as_str().into(),
        report.log_tail.as_str().into(),
        worker.to_string().into(),
        host.as_str().into(),
        Cell::Time(at.as_micros()),
    ]
}

//! One segment: a Parquet file a table, under one name, for a fixed list of jobs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use domain::table::{IDENTITY, identity_cells, sweep_folder};
use domain::{AttemptNo, Cell, JobId, JobSpec, Row, SweepId, SweepName, Table, Timestamp};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use proto::error::WireError;
use proto::message::Kept;
use proto::rows::{self, Value};
use store::{PutError, Sink, Store};

use super::columns::Column;
use super::schema::file_schema;
use super::weights::{BadWeights, BlobOpener, write_weights};
use crate::journal::{JournalError, SpooledRows};
use crate::machine::Failed;

/// Most rows of a row group: statistics stay sharp, and the writer holds no more than this in memory.
const ROW_GROUP_ROWS_MAX: usize = 65_536;

/// Fewest rows that are worth a call of the Parquet writer: jobs of few rows share one.
const BATCH_ROWS_MIN: usize = 2_048;

/// What goes into a segment.
pub struct Contents {
    pub sweep: SweepName,
    pub segment: String,
    /// In the order of their ids.
    pub jobs: Vec<JobContents>,
    pub failures: Vec<FailureLine>,
}

/// A committed job; its rows are read from the spool when their turn comes.
pub struct JobContents {
    pub id: JobId,
    pub spec: JobSpec,
    /// Canonical.
    pub spec_text: String,
    pub sweep_id: SweepId,
    /// The one that gave the result.
    pub attempt: AttemptNo,
    pub queued_at: Timestamp,
    /// By step.
    pub kept: Vec<Kept>,
}

/// Columns of table `jobs` that follow from the job: they are not spooled.
pub const FILLED_IN: [&str; 4] = ["spec", "sweep_id", "attempt", "queued_at"];

impl JobContents {
    /// The cells of [`FILLED_IN`].
    fn filled_in(&self) -> [Cell; FILLED_IN.len()] {
        [
            self.spec_text.as_str().into(),
            self.sweep_id.to_string().into(),
            self.attempt.0.into(),
            Cell::Time(self.queued_at.as_micros()),
        ]
    }
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
    #[error("the weights of job {job} at step {step} cannot be put into a file")]
    Weights { job: JobId, step: u64, source: BadWeights },
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

/// Writes the files of one segment into `results`: kept weights and their index, `steps` and `confusion`, then `failures`, then
/// `jobs`, so that whoever sees a job sees its rows and weights. A file that is there already is complete, and stays. Blocks.
///
/// # Errors
/// [`SinkError`]; nothing that is incomplete is visible, and calling again writes what is missing.
pub fn write_segment(
    results: &Store,
    contents: &Contents,
    spool: &SpoolReader<'_>,
    blobs: &BlobOpener<'_>,
) -> Result<(), SinkError> {
    let keeps = contents.jobs.iter().any(|job| !job.kept.is_empty());
    table_file(results, contents, Table::WeightsIndex, keeps, |sink| {
        write_weights(results, contents, blobs, |job, row| sink.row(job.id, &job.spec, &row))
    })?;
    for table in [Table::Steps, Table::Confusion] {
        table_file(results, contents, table, !contents.jobs.is_empty(), |sink| {
            contents.jobs.iter().try_for_each(|job| sink.spooled(job, spool))
        })?;
    }
    table_file(results, contents, Table::Failures, !contents.failures.is_empty(), |sink| {
        contents.failures.iter().try_for_each(|line| sink.failure(line))
    })?;
    table_file(results, contents, Table::Jobs, !contents.jobs.is_empty(), |sink| {
        contents.jobs.iter().try_for_each(|job| sink.spooled(job, spool))
    })
}

fn table_file(
    results: &Store,
    contents: &Contents,
    table: Table,
    wanted: bool,
    fill: impl FnOnce(&mut TableSink<'_>) -> Result<(), SinkError>,
) -> Result<(), SinkError> {
    if !wanted {
        return Ok(());
    }
    let folder = sweep_folder(table.as_str(), &contents.sweep);
    let name = format!("{folder}/{}.parquet", contents.segment);
    let path = results.path(&name);
    results.put(&name, |file| {
        let mut sink = TableSink::new(table, &path, file)?;
        fill(&mut sink)?;
        sink.close()
    })
}

fn properties(table: Table) -> WriterProperties {
    // Failures come in the order in which they happened.
    let is_sorted = table != Table::Failures;
    let by_job = SortingColumn { column_idx: 0, descending: false, nulls_first: false };
    let job_id = || ColumnPath::from("job_id");
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_column_bloom_filter_enabled(job_id(), true)
        .set_sorting_columns(is_sorted.then(|| vec![by_job]))
        .set_created_by(format!("gradsweep {}", env!("CARGO_PKG_VERSION")))
        .build()
}

/// One Parquet file in the making.
struct TableSink<'a> {
    table: Table,
    schema: Arc<Schema>,
    path: &'a Path,
    writer: ArrowWriter<&'a mut Sink<'a>>,
    /// Rows that are not given to the writer yet, by column.
    columns: Vec<Column>,
    row_count: usize,
}

impl<'a> TableSink<'a> {
    fn new(table: Table, path: &'a Path, file: &'a mut Sink<'a>) -> Result<Self, SinkError> {
        let schema = file_schema(table);
        let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties(table)))
            .map_err(|source| SinkError::Parquet { path: path.to_owned(), source })?;
        let columns = table.columns().map(|column| Column::new(column.kind)).collect();
        Ok(Self { table, schema, path, writer, columns, row_count: 0 })
    }

    /// Adds a job's rows of this table, in the order of their numbers.
    fn spooled(&mut self, job: &JobContents, spool: &SpoolReader<'_>) -> Result<(), SinkError> {
        let batches = spool(job.id, self.table)?;
        if batches.is_empty() {
            return Ok(());
        }
        let identity = identity_cells(job.id, &job.spec);
        let mut filled_in = vec![None; self.table.own_columns().len()];
        if self.table == Table::Jobs {
            for (column, cell) in FILLED_IN.iter().zip(job.filled_in()) {
                let index = self.table.own_index(column).expect("the table has these columns");
                filled_in[index] = Some(cell);
            }
        }
        for SpooledRows { row_count, cells, .. } in batches {
            let own = &mut self.columns[IDENTITY.len()..];
            let read = rows::read(self.table, &cells, row_count, |index, value| {
                own[index].append(filled_in[index].as_ref().map_or(value, Value::from));
            });
            read.map_err(|source| SinkError::Rows { job: job.id, source })?;
            self.identified(&identity, row_count as usize)?;
        }
        Ok(())
    }

    fn failure(&mut self, line: &FailureLine) -> Result<(), SinkError> {
        self.row(line.id, &line.spec, &failure_row(line))
    }

    /// Adds one row of a job.
    fn row(&mut self, job: JobId, spec: &JobSpec, own: &Row) -> Result<(), SinkError> {
        for (column, cell) in self.columns[IDENTITY.len()..].iter_mut().zip(own) {
            column.append(cell.into());
        }
        self.identified(&identity_cells(job, spec), 1)
    }

    /// Says whose the last `row_count` rows are.
    fn identified(&mut self, identity: &[Cell], row_count: usize) -> Result<(), SinkError> {
        for (column, cell) in self.columns.iter_mut().zip(identity) {
            (0..row_count).for_each(|_| column.append(cell.into()));
        }
        self.row_count += row_count;
        if self.row_count < BATCH_ROWS_MIN { Ok(()) } else { self.write() }
    }

    /// Gives the rows so far to the writer.
    fn write(&mut self) -> Result<(), SinkError> {
        self.row_count = 0;
        let columns = self.columns.iter_mut().map(Column::finish).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns);
        let written = batch.map_err(ParquetError::from).and_then(|batch| self.writer.write(&batch));
        written.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: ParquetError) -> SinkError {
        SinkError::Parquet { path: self.path.to_owned(), source }
    }

    fn close(mut self) -> Result<(), SinkError> {
        if self.row_count > 0 {
            self.write()?;
        }
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

#[cfg(test)]
#[path = "segment_tests.rs"]
pub(super) mod tests;

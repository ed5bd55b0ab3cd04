//! Live rows as files of their own: a folder that is laid out as results are, for one reader, beside the results.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use domain::{CanonicalError, JobId, JobSpec, SweepName, Table};
use proto::message::{LiveBatch, LiveRows};
use store::Store;

use super::segment::{Contents, JobContents, SinkError, write_segment};
use crate::journal::SpooledRows;

/// Bytes of rows after which a file is written: what is held in memory.
const FILE_BYTES: usize = 32 << 20;

/// Why live rows cannot be put into files.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    #[error("the coordinator's spec of job {job} cannot be read: {source}")]
    Spec { job: JobId, source: CanonicalError },
    #[error(transparent)]
    Sink(#[from] SinkError),
}

impl LiveError {
    /// Whether a coordinator of another version has other rows.
    pub fn is_foreign(&self) -> bool {
        matches!(self, Self::Spec { .. } | Self::Sink(SinkError::Rows { .. }))
    }
}

/// The live rows of one sweep, on their way into files.
pub struct LiveFiles {
    folder: Store,
    sweep: SweepName,
    /// Of the file in the making, as they came: in the order of their ids.
    jobs: Vec<JobContents>,
    rows: HashMap<(JobId, Table), Vec<SpooledRows>>,
    bytes: usize,
    file_count: u32,
}

impl LiveFiles {
    /// Nothing yet, to be put into `folder`.
    pub fn new(folder: &Path, sweep: SweepName) -> Self {
        let (jobs, rows) = (Vec::new(), HashMap::new());
        let folder = Store::Folder(folder.to_owned());
        Self { folder, sweep, jobs, rows, bytes: 0, file_count: 0 }
    }

    /// Adds rows as they come from the coordinator.
    ///
    /// # Errors
    /// [`LiveError`] where they are no rows of a job that this version knows, or a file cannot be written.
    pub fn add(&mut self, rows: LiveRows) -> Result<(), LiveError> {
        let LiveRows { job, spec, sweep_id, attempt, queued_at, table, batches } = rows;
        if self.jobs.last().is_none_or(|last| last.id != job) {
            self.bytes += spec.len();
            self.jobs.push(JobContents {
                id: job,
                spec: JobSpec::from_canonical(&spec)
                    .map_err(|source| LiveError::Spec { job, source })?,
                spec_text: spec,
                sweep_id,
                attempt,
                queued_at,
                kept: Vec::new(),
            });
        }
        self.bytes += batches.iter().map(|batch| batch.cells.len()).sum::<usize>();
        let batches = batches.into_iter().map(|batch| {
            let LiveBatch { first_row, row_count, cells } = batch;
            SpooledRows { first_row, row_count, cells }
        });
        self.rows.entry((job, table)).or_default().extend(batches);
        if self.bytes < FILE_BYTES { Ok(()) } else { Ok(self.write()?) }
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// [`LiveError`] where a file cannot be written.
    pub fn finish(mut self) -> Result<(), LiveError> {
        Ok(self.write()?)
    }

    fn write(&mut self) -> Result<(), SinkError> {
        let contents = Contents {
            sweep: self.sweep.clone(),
            segment: format!("live-{:06}", self.file_count),
            jobs: std::mem::take(&mut self.jobs),
            failures: Vec::new(),
        };
        let rows = std::mem::take(&mut self.rows);
        (self.bytes, self.file_count) = (0, self.file_count + 1);
        let spool = |job, table| Ok(rows.get(&(job, table)).cloned().unwrap_or_default());
        // Weights are kept, and are not live.
        let no_blob = |_| Err(io::ErrorKind::NotFound.into());
        write_segment(&self.folder, &contents, &spool, &no_blob)
    }
}

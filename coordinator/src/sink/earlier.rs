//! Results that lie there before a sweep is handed in for the first time: of another coordinator, or of this one with a
//! journal that is gone.

use std::collections::HashSet;
use std::io;

use arrow_array::{Array, StringArray};
use bytes::Bytes;
use domain::table::{is_segment, sweep_folder};
use domain::{JobId, SweepName, Table};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use store::Store;

/// Jobs that have a result already.
#[derive(Debug, PartialEq, Eq)]
pub struct Earlier {
    pub count: usize,
    /// One of the files that have them.
    pub file: String,
}

/// Which of `jobs` have rows in a sweep's folder of the table `jobs`; `None`: none has.
///
/// # Errors
/// If the folder or a file in it cannot be read.
pub fn earlier_results(
    store: &Store,
    sweep: &SweepName,
    jobs: &[JobId],
) -> io::Result<Option<Earlier>> {
    let folder = sweep_folder(Table::Jobs.as_str(), sweep);
    let files = store.list(&folder)?.files.into_iter().map(|(name, _)| name);
    let files = files.filter(|name| is_segment(name)).map(|name| format!("{folder}/{name}"));
    let files: Vec<_> = files.collect();
    if files.is_empty() {
        return Ok(None);
    }
    let asked: HashSet<_> = jobs.iter().collect();
    let mut found: Option<Earlier> = None;
    for file in files {
        let ids = ids_in(store, &file).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", store.path(&file).display()))
        })?;
        let count = ids.iter().filter(|id| asked.contains(id)).count();
        match &mut found {
            Some(found) => found.count += count,
            None if count > 0 => found = Some(Earlier { count, file }),
            None => {}
        }
    }
    Ok(found)
}

fn ids_in(store: &Store, file: &str) -> io::Result<Vec<JobId>> {
    let source = store.source(file)?;
    let bytes = Bytes::from(source.bytes(0, source.length() as usize)?);
    let read = || -> Result<Vec<JobId>, ParquetError> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
        let column = ProjectionMask::columns(builder.parquet_schema(), ["job_id"]);
        let mut ids = Vec::new();
        for batch in builder.with_projection(column).build()? {
            let batch = batch?;
            let texts = batch.columns().first().and_then(|c| c.as_any().downcast_ref());
            let texts: &StringArray =
                texts.ok_or_else(|| ParquetError::General("it has no job_id".to_owned()))?;
            ids.extend(texts.iter().flatten().filter_map(|text| text.parse::<JobId>().ok()));
        }
        Ok(ids)
    };
    read().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

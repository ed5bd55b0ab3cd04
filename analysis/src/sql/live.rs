//! Rows that are in no segment yet, beside those of the segments: each row once.
//!
//! Live rows are taken first and the segments are listed after, so a row is in one of them or in both. Where a job has rows in
//! a listed segment of a table, its live ones of that table are left out: a segment holds all of a job's rows or none. For that
//! all parts of a query must see the same list, however many segments appear meanwhile.

use datafusion::common::JoinType;
use datafusion::dataframe::DataFrame;
use datafusion::error::Result as EngineResult;
use datafusion::execution::cache::TableScopedPath;
use datafusion::execution::cache::cache_manager::CachedFileList;
use datafusion::object_store::ObjectMeta;
use datafusion::prelude::SessionContext;
use domain::Table;
use tokio_stream::StreamExt;

use super::{SWEEP, table_url};

/// Where the engine finds the live rows.
pub(super) const STORE: &str = "live://folder";

/// The tables that have live rows, in the order in which their segments are listed: whoever sees a job in the first sees its
/// rows in the others.
pub(super) const TABLES: [Table; 3] = [Table::Jobs, Table::Steps, Table::Confusion];

/// Memory for lists of segments: some millions of them. The engine forgets a list that is longer, and lists again.
pub(super) const LIST_BYTES_MAX: usize = 1 << 30;

const JOB: &str = "job_id";

/// Lists the segments of [`TABLES`], for all that is to come.
pub(super) async fn list_once(context: &SessionContext) -> EngineResult<()> {
    let runtime = context.runtime_env();
    for table in TABLES {
        let url = table_url(super::STORE, table.as_str())?;
        let objects = runtime.object_store(&url)?;
        let (table, path) = (url.get_table_ref().clone(), url.prefix().clone());
        let mut files = objects.list(Some(&path)).collect::<Result<Vec<ObjectMeta>, _>>().await?;
        // The engine does not remember a list that takes no memory.
        files.reserve(1);
        if let Some(lists) = runtime.cache_manager.get_list_files_cache() {
            lists.put(&TableScopedPath { table, path }, CachedFileList::new(files));
        }
    }
    Ok(())
}

/// The rows of the segments, and the live ones of jobs that are in none of them.
pub(super) fn add(segments: DataFrame, live: DataFrame) -> EngineResult<DataFrame> {
    let keys = [SWEEP, JOB];
    let written = segments.clone().select_columns(&keys)?.alias("written")?;
    let fresh = live.join(written, JoinType::LeftAnti, &keys, &keys, None)?;
    segments.union(fresh)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;

    use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
    use parquet::arrow::ArrowWriter;

    use super::super::Query;
    use crate::Results;

    /// A file of sweep `s` with one row a job, all of one step.
    fn write(root: &Path, file: &str, jobs: &[&str], step: i64) {
        let folder = root.join("steps/sweep=s");
        fs::create_dir_all(&folder).expect("made");
        let ids: ArrayRef = Arc::new(StringArray::from(jobs.to_vec()));
        let steps: ArrayRef = Arc::new(Int64Array::from(vec![step; jobs.len()]));
        let rows = RecordBatch::try_from_iter([("job_id", ids), ("step", steps)]).expect("rows");
        let file = fs::File::create(folder.join(file)).expect("made");
        let mut writer = ArrowWriter::try_new(file, rows.schema(), None).expect("is Parquet");
        writer.write(&rows).expect("is written");
        writer.close().expect("is written");
    }

    /// Job and step of all rows, which is 1 in the live ones, that are found when `appears` is sealed between the list of segments and the query.
    fn rows_seen(before: &[&str], live: &[&str], appears: &[&str]) -> Vec<String> {
        let (segments, rows) =
            (tempfile::tempdir().expect("made"), tempfile::tempdir().expect("made"));
        fs::create_dir_all(segments.path().join("steps")).expect("made");
        if !before.is_empty() {
            write(segments.path(), "1.parquet", before, 0);
        }
        write(rows.path(), "live.parquet", live, 1);
        let results = Results::open(segments.path()).expect("is a folder of results");
        let rows = Results::open(rows.path()).expect("is one as well");
        let live = Some(&rows);
        let query = Query { results: &results, sweep: None, live, memory_bytes: 1 << 28 };
        let runtime = tokio::runtime::Builder::new_multi_thread().build().expect("starts");
        let batches = runtime.block_on(async {
            let context = query.context().await.expect("is set up");
            write(segments.path(), "2.parquet", appears, 0);
            let found = context
                .sql("select concat(job_id, step) from steps order by 1")
                .await
                .expect("is SQL");
            found.collect().await.expect("runs")
        });
        let mut seen = Vec::new();
        for batch in batches {
            let ids = datafusion::arrow::compute::cast(
                batch.column(0),
                &datafusion::arrow::datatypes::DataType::Utf8,
            );
            let ids = ids.expect("are texts");
            let ids = ids.as_any().downcast_ref::<StringArray>().expect("are texts").clone();
            seen.extend(ids.iter().flatten().map(str::to_owned));
        }
        seen
    }

    #[test]
    fn each_row_is_seen_once_whatever_is_sealed_meanwhile() {
        assert_eq!(rows_seen(&["a"], &["a", "b", "c"], &["b"]), ["a0", "b1", "c1"]);
        assert_eq!(rows_seen(&[], &["b", "c"], &["b"]), ["b1", "c1"], "nothing was sealed before");
    }
}

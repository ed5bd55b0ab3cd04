//! What a segment's files are to those who know nothing of us: sorted, compressed, searchable, and with every column told.

use std::collections::BTreeMap;
use std::fs::File;

use domain::{ConfusionRow, StepRow, Sweep, WorkerId, sweep_file};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Encoding;
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::statistics::Statistics;

use super::*;

const JOBS: u32 = 20;
/// So that steps need more than one row group.
const STEPS: i64 = 4_000;

/// A job of the sweep that its first attempt has done.
pub(in crate::sink) fn job(sweep: &Sweep, (index, id): (u64, JobId)) -> JobContents {
    JobContents {
        id,
        spec: sweep.job(index),
        spec_text: sweep.job(index).canonical(),
        sweep_id: sweep.id(),
        attempt: AttemptNo(1),
        queued_at: Timestamp::ZERO,
        kept: Vec::new(),
    }
}

/// Jobs of a small sweep, in the order of their ids.
fn contents() -> Contents {
    let text = format!(
        "name = \"s\"
[axes]
seed = {{ start = 0, count = {JOBS} }}
[model]
kind = \"mlp\"
width = 4
depth = 1
[data]
kind = \"sphere\"
samples = 8
dim = 4
[train]
steps = {STEPS}
step_size = 0.1
"
    );
    let draft = sweep_file::parse(&text, "test.toml").expect("the test's sweep is valid");
    let sweep = draft.resolve(&BTreeMap::new()).expect("it needs no files");
    let mut jobs: Vec<_> = sweep.jobs().map(|of| job(&sweep, of)).collect();
    jobs.sort_by_key(|job| job.id);
    let failed = Failed {
        attempt: AttemptNo(1),
        worker: WorkerId([1; 16]),
        host: "h".into(),
        at: Timestamp::ZERO,
        report: domain::FailureReport {
            class: domain::FailureClass::Timeout,
            exit_code: None,
            signal: None,
            message: "late".into(),
            log_tail: String::new(),
        },
        again: None,
    };
    let (id, spec) = (jobs[0].id, jobs[0].spec.clone());
    let failures = vec![FailureLine { id, spec, sweep_id: sweep.id(), failed }];
    Contents { sweep: sweep.name().clone(), segment: "x-0001-000000".into(), jobs, failures }
}

fn spool(_: JobId, table: Table) -> Result<Vec<SpooledRows>, JournalError> {
    let rows: Vec<Row> = match table {
        Table::Jobs => vec![vec![Cell::Null; table.own_columns().len()]],
        Table::Steps => (0..STEPS)
            .map(|step| {
                StepRow { step: step as u64, risk: Some(0.5), ..StepRow::default() }.into_row()
            })
            .collect(),
        _ => vec![ConfusionRow { eta: Some(0.25), ..ConfusionRow::default() }.into_row()],
    };
    let row_count = rows.len() as u32;
    Ok(vec![SpooledRows { first_row: 0, row_count, cells: rows::encode(table, &rows) }])
}

/// A folder with one segment, and the jobs in it.
fn written() -> (tempfile::TempDir, Vec<JobId>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut contents = contents();
    let blob = super::super::weights::tests::blob(1, "F64", &[("weights.0", 3)]);
    let path = folder.path().join("blob");
    std::fs::write(&path, &blob).expect("writes");
    let digest = domain::Digest::of(&blob);
    contents.jobs.iter_mut().for_each(|job| job.kept = vec![Kept { step: 9, digest }]);
    let open = |_| File::open(&path);
    write_segment(&Store::Folder(folder.path().into()), &contents, &spool, &open).expect("writes");
    (folder, contents.jobs.iter().map(|job| job.id).collect())
}

fn open(folder: &Path, table: Table) -> (File, ArrowReaderMetadata) {
    let path = folder.join(table.as_str()).join("sweep=s/x-0001-000000.parquet");
    let file = File::open(path).expect("is there");
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let metadata = ArrowReaderMetadata::load(&file, options).expect("it is Parquet");
    (file, metadata)
}

#[test]
fn every_column_of_every_table_has_its_unit_meaning_and_volatility() {
    let (folder, _) = written();
    for table in Table::ALL {
        let (_, metadata) = open(folder.path(), table);
        let schema = metadata.schema();
        assert_eq!(schema.metadata()["gradsweep.format"], "1");
        assert_eq!(schema.metadata()["gradsweep.table"], table.as_str());
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, table.columns().map(|column| column.name).collect::<Vec<_>>());
        for (field, column) in schema.fields().iter().zip(table.columns()) {
            assert_eq!(field.metadata()["unit"], column.unit, "{}", column.name);
            assert_eq!(field.metadata()["meaning"], column.meaning);
            assert!(!column.meaning.is_empty(), "{} has no meaning", column.name);
            assert_eq!(field.metadata()["volatile"], column.volatile.to_string());
        }
    }
}

#[test]
fn files_are_sorted_by_job_compressed_and_have_statistics_of_every_page() {
    let (folder, jobs) = written();
    for table in Table::ALL {
        let (_, metadata) = open(folder.path(), table);
        let metadata = metadata.metadata();
        let offsets = metadata.offset_index().expect("where pages begin");
        let mut last = String::new();
        for (group, pages) in metadata.row_groups().iter().zip(offsets) {
            if table != Table::Failures {
                let sorting = group.sorting_columns().expect("told to be sorted");
                assert_eq!((sorting[0].column_idx, sorting[0].descending), (0, false));
            }
            for (column, pages) in group.columns().iter().zip(pages) {
                assert!(
                    matches!(column.compression(), Compression::ZSTD(_)),
                    "{:?}",
                    column.column_path()
                );
                let statistics = column.statistics().expect("has statistics");
                assert!(statistics.null_count_opt().is_some(), "{:?}", column.column_path());
                assert!(!pages.page_locations().is_empty(), "{:?}", column.column_path());
            }
            let id = group.column(0);
            assert_eq!(id.column_path().string(), "job_id");
            assert!(
                id.dictionary_page_offset().is_some()
                    && id.encodings().any(|e| e == Encoding::RLE_DICTIONARY)
            );
            let Some(Statistics::ByteArray(range)) = id.statistics() else { panic!("texts") };
            let bound = |bytes: Option<&[u8]>| {
                String::from_utf8_lossy(bytes.expect("has bounds")).into_owned()
            };
            let (low, high) = (bound(range.min_bytes_opt()), bound(range.max_bytes_opt()));
            assert!(last <= low && low <= high, "sorted: {last} {low} {high}");
            last = high;
        }
        if table != Table::Failures {
            assert_eq!(last, jobs.last().expect("there are some").to_string());
        }
    }
    let (_, steps) = open(folder.path(), Table::Steps);
    assert_eq!(steps.metadata().num_row_groups(), 2, "80,000 rows");
}

#[test]
fn bloom_filters_tell_which_jobs_are_not_in_a_row_group() {
    let (folder, jobs) = written();
    for table in [Table::Jobs, Table::Steps, Table::Confusion] {
        let (file, metadata) = open(folder.path(), table);
        let groups = metadata.metadata().num_row_groups();
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
        let filter = |group| {
            let filter = reader.get_row_group_column_bloom_filter(group, 0).expect("reads");
            filter.expect("job_id has one in every row group")
        };
        let filters: Vec<_> = (0..groups).map(filter).collect();
        for job in &jobs {
            let id = job.to_string();
            assert!(filters.iter().any(|filter| filter.check(&id.as_str())), "{id} is in none");
        }
        // One in twenty of the absent is let through.
        let absent = (0..200).map(|number| format!("{:032x}", number * 7_919));
        let through = absent.filter(|id| filters[0].check(&id.as_str())).count();
        assert!(through < 40, "{through} of 200 jobs that are nowhere");
        let none = reader.get_row_group_column_bloom_filter(0, 1).expect("reads");
        assert!(none.is_none(), "no other column needs one");
    }
}

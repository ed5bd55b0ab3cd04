//! The content of a results folder, for comparing two: every row and every column that is not volatile.

use std::collections::BTreeMap;
use std::path::Path;

use analysis::results::{KeptWeights, Results};
use domain::{ColumnType, Digest, JobId, SweepName, Table};

/// Rows of each table as text, sorted; bit for bit, since numbers are written with all their digits. Kept weights are read
/// too: a row each, with the digest of their bytes.
pub type Content = BTreeMap<&'static str, Vec<String>>;

/// The content of one sweep's results. `failures` tell of what went wrong on the way, and so are left out.
#[track_caller]
pub fn content(results: &Path, sweep: &str) -> Content {
    content_of(&Results::open(results).expect("the results open"), sweep)
}

/// The content of one sweep, wherever the results are.
#[track_caller]
pub fn content_of(results: &Results, sweep: &str) -> Content {
    let name: SweepName = sweep.parse().expect("a good name");
    let tables = [Table::Jobs, Table::Steps, Table::Confusion, Table::WeightsIndex];
    let tables = tables.into_iter().map(|table| (table.as_str(), rows(results, table, &name)));
    tables.chain([("weights", weights(results, &name))]).collect()
}

/// Where the kept weights of every job are, by job and step.
pub fn kept_weights(results: &Results, sweep: &SweepName) -> Vec<KeptWeights> {
    let jobs = results.read(Table::Jobs, sweep, &["job_id"]).expect("the jobs read");
    let jobs = jobs.texts("job_id").into_iter();
    let mut ids: Vec<JobId> =
        jobs.map(|id| id.expect("never null").parse().expect("an id")).collect();
    ids.sort_unstable();
    ids.iter().flat_map(|&id| results.kept_weights(sweep, id).expect("the index reads")).collect()
}

fn weights(results: &Results, sweep: &SweepName) -> Vec<String> {
    let digest = |kept: KeptWeights| {
        let file = results.weights_file(&kept, "{}".into()).expect("the weights are whole");
        format!("{} {} {}", kept.job, kept.step, Digest::of(&file))
    };
    kept_weights(results, sweep).into_iter().map(digest).collect()
}

fn rows(results: &Results, table: Table, sweep: &SweepName) -> Vec<String> {
    let columns: Vec<_> = table.columns().filter(|column| !column.volatile).collect();
    let names: Vec<_> = columns.iter().map(|column| column.name).collect();
    let frame = results.read(table, sweep, &names).expect("the table reads");
    let mut rows = vec![String::new(); frame.row_count()];
    let mut add = |name: &str, cells: Vec<String>| {
        for (row, cell) in rows.iter_mut().zip(cells) {
            row.push_str(&format!("{name}={cell} "));
        }
    };
    for column in columns {
        let name = column.name;
        let cells = match column.kind {
            ColumnType::Int32 | ColumnType::Int64 => debug(&frame.ints(name)),
            // Bits, so that -0 and 0, and every last digit, count.
            ColumnType::Float64 => {
                let bits = |cell: &Option<f64>| cell.map(f64::to_bits);
                debug(&frame.floats(name).iter().map(bits).collect::<Vec<_>>())
            }
            ColumnType::Utf8 => debug(&frame.texts(name)),
            ColumnType::Boolean => debug(&frame.flags(name)),
            ColumnType::Histogram => debug(&frame.counts(name)),
            ColumnType::Timestamp => panic!("every time is volatile"),
        };
        add(name, cells);
    }
    rows.sort();
    rows
}

fn debug<T: std::fmt::Debug>(cells: &[T]) -> Vec<String> {
    cells.iter().map(|cell| format!("{cell:?}")).collect()
}

/// Every job is there once, and its rows once: nothing lost, nothing twice.
#[track_caller]
pub fn assert_exactly_once(results: &Path, sweep: &str, jobs: usize) {
    assert_once(content(results, sweep), jobs);
}

/// The same, of a content that was read.
#[track_caller]
pub fn assert_once(content: Content, jobs: usize) {
    assert_eq!(content["jobs"].len(), jobs, "one row a job");
    for (table, rows) in content {
        let mut distinct = rows.clone();
        distinct.dedup();
        assert_eq!(rows.len(), distinct.len(), "no row of {table} is there twice");
    }
}

//! Other people's readers: the Parquet files as pyarrow sees them.

#[cfg(feature = "sql")]
#[path = "../../benches/sql/results.rs"]
mod results;

use std::process::Command;

use crate::end_to_end::SMALL;
use crate::harness::{Place, succeed};
use crate::skip::skip;

const SCRIPT: &str = r#"
import sys
import pyarrow.dataset as ds
for table in ("jobs", "steps", "confusion"):
    data = ds.dataset(sys.argv[1] + "/" + table, partitioning="hive").to_table()
    print(table, data.num_rows, sorted(set(data.column("sweep").to_pylist())))
field = ds.dataset(sys.argv[1] + "/confusion", partitioning="hive").schema.field("eta")
print("eta", field.type, field.metadata[b"volatile"].decode(), field.metadata[b"unit"].decode())
"#;

#[test]
fn pyarrow_reads_the_results_as_they_stand() {
    let has = Command::new("python3").args(["-c", "import pyarrow.dataset"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        skip("no python3 with pyarrow here; `pip install pyarrow` makes this test run");
        return;
    }
    let place = Place::new();
    succeed(&mut place.run(&place.sweep(SMALL), 1));
    let printed = succeed(Command::new("python3").args(["-c", SCRIPT]).arg(place.results()));
    let expected = "jobs 6 ['small']\nsteps 36 ['small']\nconfusion 36 ['small']\neta double false loss^2 per weight^2\n";
    assert_eq!(printed, expected);
}

/// What stands between these two in the README, without its indent.
#[cfg(feature = "sql")]
fn snippet(from: &str, to: &str) -> String {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once(from).expect(from);
    let (found, _) = rest.split_once(to).expect(to);
    let lines = found.lines().map(|line| line.strip_prefix("    ").unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(feature = "sql")]
const ENGINES: &str = r#"
import os, sys
import duckdb
os.chdir(sys.argv[1])
rows = duckdb.sql(sys.argv[2]).fetchall()
found = {}
exec(sys.argv[3].replace("print(", "found['frame'] = ("), {"found": found})
other = [tuple(row) for row in found["frame"].rows()]
assert len(rows) == len(other) and all(
    a[:2] == b[:2] and abs(a[2] - b[2]) <= 1e-12 for a, b in zip(rows, other)), (rows, other)
for row in rows:
    print(*row, sep=",")
"#;

#[cfg(feature = "sql")]
#[test]
fn the_queries_of_the_readme_give_the_same_in_three_engines() {
    use crate::harness::gradsweep;

    let place = Place::new();
    succeed(&mut place.run(&place.sweep(SMALL), 1));
    let query = snippet("gradsweep sql results \"", "\"   #");
    let options = ["--format", "csv"];
    let own = succeed(gradsweep().arg("sql").arg(place.results()).arg(&query).args(options));
    assert_eq!(own.lines().next(), Some("model_width,model_depth,rms"));
    assert_eq!(own.lines().count(), 3, "{own}");
    let has = Command::new("python3").args(["-c", "import duckdb, polars"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        skip(
            "no python3 with duckdb and polars here; `pip install duckdb polars` makes the rest of this test run",
        );
        return;
    }
    let duckdb = snippet("DuckDB:\n", "polars:");
    let polars = snippet("polars:\n", "\n## ");
    let mut python = Command::new("python3");
    let python =
        python.args(["-c", ENGINES]).arg(place.path("")).args([duckdb.trim(), polars.trim()]);
    let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-12;
    let (own, other) = (cells(&own), cells(&format!("head\n{}", succeed(python))));
    assert!(own.len() == other.len() && own.iter().zip(&other).all(near), "{own:?} {other:?}");
}

/// A regression in two step sizes: every kind of figure that a real sweep of one dimension and width has.
#[cfg(feature = "sql")]
const REGRESSION: &str = r#"
name = "regression"
[axes]
"train.step_size" = [0.002, 0.004]
"data.samples" = [8, 16]
seed = [0, 1, 2]
[model]
kind = "linear"
[data]
kind = "gaussian"
dim = 4
samples = 8
[train]
loss = "squared"
batch = 1
steps = 400
step_size = 0.002
[measure]
at = { log = 8 }
"#;

#[cfg(feature = "sql")]
#[test]
fn the_sql_under_every_figure_of_a_regression_runs() {
    use analysis::report::Report;
    use analysis::{Results, Study};

    use crate::harness::gradsweep;

    let place = Place::new();
    succeed(&mut place.run(&place.sweep(REGRESSION), 1));
    let results = Results::open(&place.results()).expect("results");
    let sweep = results.sweep("regression").expect("the sweep");
    let report = Report::of(Study::read(&results, &sweep).expect("a study"), &Default::default());
    let figures: Vec<_> = report.figures.iter().flatten().chain(&report.shared).collect();
    let named = |part: &str| figures.iter().any(|figure| figure.name.contains(part));
    assert!(named("envelopes") && named("tuning"), "the figures that only such a sweep has");
    for figure in figures {
        let options = ["--sweep", "regression", "--format", "csv"];
        // Options before or after: some queries begin with a comment, which is no option.
        let mut sql = gradsweep();
        let told = succeed(sql.arg("sql").arg(place.results()).arg(&figure.sql).args(options));
        let mut sql = gradsweep();
        let again = succeed(sql.arg("sql").arg(place.results()).args(options).arg(&figure.sql));
        assert_eq!(told, again, "{}", figure.name);
        assert!(told.lines().count() > 1, "{}: {told}\n{}", figure.name, figure.sql);
        if ["envelopes", "tuning"].iter().any(|part| figure.name.contains(part)) {
            assert_eq!(told.lines().next(), figure.csv.lines().next(), "{}", figure.sql);
            let (found, shown) = (cells(&told), cells(&figure.csv));
            let near =
                |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-9 * b.abs() || a.is_nan() && b.is_nan();
            let is_same = found.len() == shown.len() && found.iter().zip(&shown).all(near);
            assert!(is_same, "{}:\n{told}\n{}", figure.name, figure.csv);
        }
    }
}

/// The numbers of a CSV, row by row in the order of the rows' numbers; what is empty is no number.
#[cfg(feature = "sql")]
fn cells(csv: &str) -> Vec<f64> {
    let row = |line: &str| -> Vec<f64> {
        line.split(',').map(|cell| cell.parse().unwrap_or(f64::NAN)).collect()
    };
    let mut rows: Vec<_> = csv.lines().skip(1).map(row).collect();
    let order = |a: &Vec<f64>, b: &Vec<f64>| {
        let pairs = a.iter().zip(b).map(|(a, b)| a.total_cmp(b));
        pairs.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    };
    rows.sort_by(order);
    rows.concat()
}

/// Ids of jobs are digests, so that every segment's jobs reach from the first letter to the last: what tells that a job is
/// not in a segment is its bloom filter.
#[cfg(feature = "sql")]
#[test]
fn a_query_for_one_job_reads_the_row_group_that_holds_it() {
    use crate::harness::gradsweep;

    let place = Place::new();
    let rows = 3 * 3_600;
    results::generate(&place.results(), rows, 9).expect("results");
    let read = |job: String, expected_rows: &str, expected_groups: &str| {
        let query = format!("select count(*) from confusion where job_id = '{job}'");
        let ask = |query: &str| {
            succeed(gradsweep().arg("sql").arg(place.results()).args([query, "--format", "csv"]))
        };
        assert!(ask(&query).ends_with(expected_rows), "{query}");
        let told = ask(&format!("explain analyze {query}"));
        let (_, after) = told.split_once("row_groups_pruned_bloom_filter=").expect(&told);
        let groups = after.split(',').next().unwrap_or_default();
        assert!(groups.contains(expected_groups), "{told}");
    };
    let sweep = results::sweep(rows).expect("the sweep");
    for job in sweep.job_ids().into_iter().step_by(41) {
        read(job.to_string(), "\n100\n", "→ 1 matched");
    }
    // One more letter than any id: between others, and in no segment.
    read(format!("{}0", sweep.job_ids()[7]), "\n0\n", "→ 0 matched");
}

//! How long `gradsweep sql` takes: over many rows, and from start to end over few.
//!
//! ```text
//! cargo bench --profile dist --bench sql --features sql        10,000,000 rows; DuckDB beside it where Python has it
//! cargo bench --profile dist --bench sql --features sql -- --rows 1000000
//! ```
//!
//! The rows are made up, but they come through the sink that writes everybody's results. The query runs in the real
//! binary, a new process each time, so that its start counts.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod results;

use std::env;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// Files a table, as the rule of an eighth makes them of a long sweep.
const SEGMENTS: usize = 40;
/// The query is run so often; the fastest counts, the median is told.
const RUNS: usize = 7;

const GROUP_BY: &str = "select model_width, model_depth, avg(min_cos) as m, max(eta) as e, count(*) as n from confusion \
                        group by model_width, model_depth order by model_width, model_depth";

fn main() -> Result<()> {
    let mut arguments = env::args().skip_while(|word| word != "--rows").skip(1);
    let rows = arguments.next().map_or(Ok(10_000_000), |count| count.parse()).context("--rows")?;
    let folder = tempfile::tempdir()?;
    let small = tempfile::tempdir()?;
    let began = Instant::now();
    results::generate(folder.path(), rows, SEGMENTS)?;
    println!("{rows} rows through the sink: {:.1} s", began.elapsed().as_secs_f64());
    results::generate(small.path(), 3_600, SEGMENTS)?;
    let ours = |results: &Path, query: &str| -> Result<Duration> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradsweep"));
        timed(command.arg("sql").arg(results).args([query, "--format", "csv"]))
    };
    told("group-by over all rows, gradsweep sql", || ours(folder.path(), GROUP_BY))?;
    let one = format!(
        "select count(*) from confusion where job_id = '{}'",
        results::sweep(rows)?.job_ids()[7]
    );
    told("the rows of one job, gradsweep sql", || ours(folder.path(), &one))?;
    told("the same group-by over 3,600 rows, gradsweep sql", || ours(small.path(), GROUP_BY))?;
    let python = env::var("GRADSWEEP_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = format!(
        "import duckdb, sys, time; duckdb.sql('set threads = 2'); \
         confusion = duckdb.read_parquet(sys.argv[1] + '/confusion/*/*.parquet', hive_partitioning=True); \
         t = time.perf_counter(); duckdb.sql('''{GROUP_BY}''').fetchall(); print(time.perf_counter() - t)"
    );
    let duckdb = |results: &Path| {
        let mut command = Command::new(&python);
        command.args(["-c", &script]).arg(results);
        command
    };
    let query_alone = |results: &Path| -> Result<Duration> {
        let output = duckdb(results).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let seconds: f64 = String::from_utf8(output.stdout)?.trim().parse()?;
        Ok(Duration::from_secs_f64(seconds))
    };
    let has = Command::new(&python).args(["-c", "import duckdb"]).output();
    if has.is_ok_and(|output| output.status.success()) {
        told("group-by over all rows, DuckDB by Python", || timed(&mut duckdb(folder.path())))?;
        told("the same, its query alone", || query_alone(folder.path()))?;
        told("over 3,600 rows, DuckDB by Python", || timed(&mut duckdb(small.path())))?;
    } else {
        println!("SKIPPED: no {python} with duckdb; `pip install duckdb` puts it beside ours");
    }
    Ok(())
}

fn timed(command: &mut Command) -> Result<Duration> {
    let began = Instant::now();
    let output = command.output()?;
    let taken = began.elapsed();
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(taken)
}

fn told(what: &str, mut run: impl FnMut() -> Result<Duration>) -> Result<()> {
    let mut times = (0..RUNS).map(|_| run()).collect::<Result<Vec<_>>>()?;
    times.sort();
    let [best, median] = [times[0], times[RUNS / 2]].map(|time| time.as_secs_f64());
    println!("{what}: best {best:.3} s, median {median:.3} s");
    Ok(())
}

//! How long `gradsweep sql` takes: over many rows, and from start to end over few.
//!
//! ```text
//! cargo bench --bench sql --features sql                      10,000,000 rows, 2 threads, DuckDB beside it where Python has it
//! cargo bench --bench sql --features sql -- --rows 1000000
//! ```
//!
//! The rows are made up, but they come through the sink that writes everybody's results: the columns, the sizes of files
//! and of row groups are real ones. The query runs in the real binary, a new process each time, so that its start counts.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::collections::BTreeMap;
use std::env;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use coordinator::journal::SpooledRows;
use coordinator::sink::{Contents, JobContents, write_segment};
use domain::{AttemptNo, Cell, ConfusionRow, JobId, Row, Sweep, Table, Timestamp, sweep_file};
use proto::rows;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use store::Store;

/// Rows a job: 100 measured steps of one scope.
const ROWS_A_JOB: u64 = 100;
/// Files a table, as the rule of an eighth makes them of a long sweep.
const SEGMENTS: u64 = 40;
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
    generate(folder.path(), rows)?;
    println!("{rows} rows through the sink: {:.1} s", began.elapsed().as_secs_f64());
    generate(small.path(), 3_600)?;
    let ours = |results: &Path, query: &str| -> Result<Duration> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradsweep"));
        timed(command.arg("sql").arg(results).args([query, "--format", "csv"]))
    };
    told("group-by over all rows, gradsweep sql", || ours(folder.path(), GROUP_BY))?;
    let one = format!("select count(*) from confusion where job_id = '{}'", some_job(rows)?);
    told("the rows of one job, gradsweep sql", || ours(folder.path(), &one))?;
    told("the same group-by over 3,600 rows, start included", || ours(small.path(), GROUP_BY))?;
    let python = env::var("GRADSWEEP_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let duckdb = |results: &Path| -> Result<Duration> {
        let script = format!(
            "import duckdb, sys; duckdb.sql('set threads = 2'); \
             confusion = duckdb.read_parquet(sys.argv[1] + '/confusion/*/*.parquet', hive_partitioning=True); \
             import time; t = time.perf_counter(); duckdb.sql('''{GROUP_BY}''').fetchall(); print(time.perf_counter() - t)"
        );
        let output = Command::new(&python).args(["-c", &script]).arg(results).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let seconds: f64 = String::from_utf8(output.stdout)?.trim().parse()?;
        Ok(Duration::from_secs_f64(seconds))
    };
    let has = Command::new(&python).args(["-c", "import duckdb"]).output();
    if has.is_ok_and(|output| output.status.success()) {
        told("group-by over all rows, DuckDB, its start not included", || duckdb(folder.path()))?;
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

/// A sweep of `rows` rows: 36 cells, as many seeds as it takes.
fn sweep(rows: u64) -> Result<Sweep> {
    let seeds = (rows / ROWS_A_JOB).div_ceil(36).max(1);
    let text = format!(
        "name = \"bench\"\n[axes]\n\"model.width\" = [16, 32, 64, 128, 256, 512]\n\"model.depth\" = [1, 2, 4, 8, 16, 32]\n\
         seed = {{ start = 0, count = {seeds} }}\n[model]\nkind = \"mlp\"\n[data]\nkind = \"sphere\"\nsamples = 64\ndim = 16\n\
         [train]\nsteps = 1000\nstep_size = 0.1\n"
    );
    let draft = sweep_file::parse(&text, "bench.toml")?;
    Ok(draft.resolve(&BTreeMap::new())?)
}

fn some_job(rows: u64) -> Result<JobId> {
    Ok(sweep(rows)?.job_ids()[7])
}

/// Writes the sweep's results.
fn generate(folder: &Path, rows: u64) -> Result<()> {
    let (sweep, store) = (sweep(rows)?, Store::Folder(folder.to_owned()));
    let jobs: Vec<_> = sweep.jobs().collect();
    let each = jobs.len().div_ceil(SEGMENTS as usize);
    for (number, part) in jobs.chunks(each).enumerate() {
        let job = |&(index, id): &(u64, JobId)| JobContents {
            id,
            spec: sweep.job(index),
            spec_text: sweep.job(index).canonical(),
            sweep_id: sweep.id(),
            attempt: AttemptNo(1),
            queued_at: Timestamp::ZERO,
            kept: Vec::new(),
        };
        let mut jobs: Vec<_> = part.iter().map(job).collect();
        jobs.sort_by_key(|job| job.id);
        let segment = format!("bench-0001-{number:06}");
        let failures = Vec::new();
        let contents = Contents { sweep: sweep.name().clone(), segment, jobs, failures };
        let spool = |job: JobId, table: Table| {
            let rows = match table {
                Table::Confusion => confusion(job),
                Table::Jobs => vec![vec![Cell::Null; table.own_columns().len()]],
                Table::Steps | Table::Failures | Table::WeightsIndex => Vec::new(),
            };
            let (row_count, cells) = (rows.len() as u32, rows::encode(table, &rows));
            Ok(vec![SpooledRows { first_row: 0, row_count, cells }])
        };
        // No job keeps weights.
        let blobs = |_| Err(io::ErrorKind::NotFound.into());
        write_segment(&store, &contents, &spool, &blobs)?;
    }
    Ok(())
}

/// Rows with every number another, as measurements have.
fn confusion(job: JobId) -> Vec<Row> {
    let mut rng =
        ChaCha8Rng::seed_from_u64(u64::from_le_bytes(job.0[..8].try_into().unwrap_or_default()));
    let mut row = |step: u64| {
        let mut number = || Some(rng.random_range(-1.0..1.0));
        let row = ConfusionRow {
            step,
            epoch: step as f64 / 64.0,
            risk: number(),
            scope: "samples",
            mode: "eval",
            count: 64,
            measure_batch: 1,
            pairs: 2_016,
            eta: number(),
            relative_eta: number(),
            min_inner: number(),
            argmin_i: Some(step as u32 % 64),
            argmin_j: Some(step as u32 % 63),
            mean_inner: number(),
            min_cos: number(),
            mean_cos: number(),
            rms_cos: number(),
            cos_q01: number(),
            cos_q05: number(),
            cos_q50: number(),
            negative_fraction: number(),
            mean_sq_norm: number(),
            sq_norm_of_mean: number(),
            diversity: number(),
            coherence: number(),
            noise_scale: number(),
            ..ConfusionRow::default()
        };
        row.into_row()
    };
    (0..ROWS_A_JOB).map(|at| row(at * 10)).collect()
}

//! Results of a sweep whose numbers are made up, through the sink that writes everybody's results: the columns, the sizes of
//! files and of row groups are real ones.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use anyhow::Result;
use coordinator::journal::SpooledRows;
use coordinator::sink::{Contents, JobContents, write_segment};
use domain::{AttemptNo, Cell, ConfusionRow, JobId, Row, Sweep, Table, Timestamp, sweep_file};
use proto::rows;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use store::Store;

/// Rows a job: 100 measured steps of one scope.
const ROWS_A_JOB: u64 = 100;

/// A sweep of `rows` rows: 36 cells, as many seeds as it takes.
pub fn sweep(rows: u64) -> Result<Sweep> {
    let seeds = (rows / ROWS_A_JOB).div_ceil(36).max(1);
    let text = format!(
        "name = \"bench\"\n[axes]\n\"model.width\" = [16, 32, 64, 128, 256, 512]\n\"model.depth\" = [1, 2, 4, 8, 16, 32]\n\
         seed = {{ start = 0, count = {seeds} }}\n[model]\nkind = \"mlp\"\n[data]\nkind = \"sphere\"\nsamples = 64\ndim = 16\n\
         [train]\nsteps = 1000\nstep_size = 0.1\n"
    );
    let draft = sweep_file::parse(&text, "bench.toml")?;
    Ok(draft.resolve(&BTreeMap::new())?)
}

/// Writes the sweep's results, in this many segments.
pub fn generate(folder: &Path, rows: u64, segments: usize) -> Result<()> {
    let (sweep, store) = (sweep(rows)?, Store::Folder(folder.to_owned()));
    let jobs: Vec<_> = sweep.jobs().collect();
    let each = jobs.len().div_ceil(segments);
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
                Table::Steps | Table::Failures | Table::WeightsIndex => return Ok(Vec::new()),
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

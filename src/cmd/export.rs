//! `gradsweep export`: the weights of a job and the examples that it measured, as safetensors for other programs.

use std::fs;
use std::path::{Path, PathBuf};

use analysis::Results;
use analysis::results::KeptWeights;
use clap::Args;
use domain::{Cell, ColumnType, Digest, JobSpec, Row, SweepName, Table};
use serde_json::{Map, Value, json};
use store::Location;
use worker::data::{Bundle, bundle};
use worker::trial::{self, Exported};

use crate::config;
use crate::failure::{ExportError, Failure};
use crate::output::{Output, note};
use crate::text::chain;

/// Write the weights of a job and the examples it measured as safetensors files, and check its stored figures.
///
/// Weights that the run kept are taken from its files. Else the job is run again in this process up to the step, and its
/// measurement is compared with the stored one, bit for bit.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The folder or URL (s3://, gs://, az://) of the results.
    #[arg(value_name = "RESULTS")]
    results: Location,
    /// The job's id, or the beginning of it that no other job has.
    #[arg(value_name = "JOB")]
    job: String,
    /// Write the weights into this file.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Write the examples that were measured into this file.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// The measured step [default: the last one with a risk].
    #[arg(long, value_name = "STEP")]
    step: Option<u64>,
    /// Train again even where the weights were kept, and compare.
    #[arg(long)]
    train_again: bool,
    /// A folder where data sets of files lie; may be given more than once. The cache of RESULTS is looked at first.
    #[arg(long, value_name = "DIR")]
    data_folder: Vec<PathBuf>,
}

/// Raised with every change of tensors or header.
const FORMAT: u32 = 1;

/// A job as the results have it.
struct Stored {
    sweep: SweepName,
    id: String,
    spec: String,
    engine: String,
    instructions: String,
}

/// Where exported weights come from.
enum Weights {
    /// The run kept them.
    Kept(KeptWeights),
    /// The job was trained again; the first difference to what is stored.
    Again(Box<Exported>, Option<String>),
}

/// Takes the kept weights, or runs the job again and compares; and writes both files.
pub fn run(args: &ExportArgs, out: &mut Output<'_>) -> Result<(), Failure> {
    if args.weights == args.data {
        return Err(ExportError::OneFile { path: args.weights.clone() }.into());
    }
    let results = config::results(&args.results)?;
    let stored = find(&results, &args.job)?;
    let job = || stored.id.clone();
    let spec = JobSpec::from_canonical(&stored.spec)
        .map_err(|source| ExportError::Spec { job: job(), source: Box::new(source) })?;
    let step = match args.step {
        Some(step) => step,
        None => last_step(&results, &stored)?,
    };
    let data = spec.data.digest.map(|digest| data_set(args, &stored, digest)).transpose()?;
    let rows = stored_rows(&results, &stored, Table::Confusion, step)?;
    let curve = stored_rows(&results, &stored, Table::Steps, step)?.into_iter().next();
    let kept = results.kept_weights(&stored.sweep, spec.id())?;
    let kept = kept.into_iter().find(|kept| kept.step == step);
    let failed = |source| ExportError::Trial { job: job(), source };
    let (weights, probe, measured) = match &kept {
        Some(kept) if !args.train_again => {
            let probe = trial::examples(&spec, data.as_ref()).map_err(failed)?;
            (Weights::Kept(kept.clone()), probe, Vec::new())
        }
        _ => {
            let exported = trial::export(&spec, data.as_ref(), step).map_err(failed)?;
            let found = exported.confusion.iter().cloned().map(|row| row.into_row());
            let found: Vec<Row> = found.collect();
            let new_curve = exported.curve.clone().into_row();
            let differing = compare(&rows, &found, curve.as_ref(), new_curve);
            let probe = exported.probe.clone();
            (Weights::Again(Box::new(exported), differing), probe, found)
        }
    };
    let of_scope = |row: &&Row| {
        let scope = &row[column("scope")];
        row[column("layer")] == Cell::Null
            && row[column("measure_batch")] == probe.batch.into()
            && probe.scope.is_some_and(|s| *scope == s.into())
    };
    let figures = rows.iter().find(of_scope).or_else(|| measured.iter().find(of_scope));
    let (source, engine, instructions, same_bits) = match &weights {
        Weights::Kept(_) => ("kept", &*stored.engine, &*stored.instructions, None),
        Weights::Again(_, differing) => {
            let (engine, instructions) = (trial::ENGINE_REVISION, trial::instruction_set());
            ("trained again", engine, instructions, Some(differing.is_none()))
        }
    };
    let header = |content: &str| {
        json!({
            "format": FORMAT,
            "content": content,
            "job": stored.id,
            "step": step,
            "scope": probe.scope,
            "measure_batch": probe.batch,
            "source": source,
            "engine_revision": engine,
            "instruction_set": instructions,
            "version": env!("CARGO_PKG_VERSION"),
            "same_bits": same_bits,
            "stored": figures.map(figures_of),
            "spec": serde_json::from_str::<Value>(&stored.spec).unwrap_or_default(),
        })
        .to_string()
    };
    let of_file = |kept: &KeptWeights| {
        let file = results.weights_file(kept, header("weights"));
        file.map_err(|source| ExportError::Kept { job: job(), step, source })
    };
    let bytes = match &weights {
        Weights::Kept(kept) => of_file(kept)?,
        Weights::Again(exported, _) => exported.weights_file(header("weights")),
    };
    write(&args.weights, &bytes)?;
    write(&args.data, &probe.file(header("data")))?;

    out.line(&format!("job {} of {} at step {step}", stored.id, stored.sweep))?;
    match &weights {
        Weights::Kept(kept) => {
            let file = &kept.file;
            out.line(&format!(
                "these weights were kept by the run, in {file}; nothing was trained again"
            ))?;
        }
        Weights::Again(_, differing) => {
            say_engine(&stored);
            say_difference(differing.as_deref(), rows.len() + usize::from(curve.is_some()), out)?;
            match kept.as_ref().map(of_file) {
                None => {
                    out.line("the job was trained again: the run kept no weights of this step")?
                }
                Some(Ok(kept)) if kept == bytes => {
                    out.line("the job was trained again: the kept weights have the same bits")?;
                }
                Some(Ok(_)) => note("warning: the kept weights have other bits than these"),
                Some(Err(error)) => note(&format!("warning: {}", chain(&error))),
            }
        }
    }
    if let Some(row) = figures {
        for name in ["eta", "min_cos"] {
            if let Cell::Float(figure) = row[column(name)] {
                out.line(&format!("{name} = {figure:?}"))?;
            }
        }
    }
    out.line(&format!("weights: {}", args.weights.display()))?;
    out.line(&format!("data: {}", args.data.display()))
}

/// Says whether the measurement made anew is the stored one, of so many rows.
fn say_difference(
    differing: Option<&str>,
    rows: usize,
    out: &mut Output<'_>,
) -> Result<(), Failure> {
    match differing {
        None => {
            out.line(&format!("the measurement made anew has the stored bits, in all {rows} rows"))
        }
        Some(difference) => {
            note(&format!(
                "warning: the measurement made anew differs from the stored one: {difference}"
            ));
            out.line(
                "the files hold this engine's weights; the stored figures are in their metadata",
            )
        }
    }
}

/// The job whose id begins with `prefix`.
fn find(results: &Results, prefix: &str) -> Result<Stored, Failure> {
    let mut found: Vec<Stored> = Vec::new();
    let mut count = 0;
    for sweep in results.sweeps()? {
        let columns = ["job_id", "spec", "engine_revision", "instruction_set"];
        results.scan(Table::Jobs, &sweep, &columns, |frame| {
            let texts = columns.map(|name| frame.texts(name));
            let text =
                |column: usize, row: usize| texts[column][row].unwrap_or_default().to_owned();
            for row in 0..frame.row_count() {
                let id = text(0, row);
                count += 1;
                if id.starts_with(prefix) && found.iter().all(|job| job.id != id) {
                    let (sweep, spec) = (sweep.clone(), text(1, row));
                    let (engine, instructions) = (text(2, row), text(3, row));
                    found.push(Stored { sweep, id, spec, engine, instructions });
                }
            }
        })?;
    }
    if found.len() > 1 {
        let ids: Vec<String> = found.iter().take(3).map(|job| job.id.clone()).collect();
        let prefix = prefix.to_owned();
        return Err(ExportError::Ambiguous { prefix, count: found.len(), ids }.into());
    }
    let folder = results.root();
    let none = || ExportError::NoJob { folder: folder.into(), prefix: prefix.into(), count };
    Ok(found.pop().ok_or_else(none)?)
}

/// The last step at which the job has a risk: a trial that diverged has none at its end.
fn last_step(results: &Results, stored: &Stored) -> Result<u64, Failure> {
    let mut last = None;
    results.scan(Table::Steps, &stored.sweep, &["job_id", "step", "risk"], |frame| {
        let (ids, steps, risks) = (frame.texts("job_id"), frame.ints("step"), frame.floats("risk"));
        for ((id, step), risk) in ids.into_iter().zip(steps).zip(risks) {
            if id == Some(&*stored.id) && risk.is_some() {
                last = last.max(step);
            }
        }
    })?;
    let none = || ExportError::NoStep { job: stored.id.clone() };
    Ok(last.and_then(|step| u64::try_from(step).ok()).ok_or_else(none)?)
}

/// The stored rows of `table` for the job at `step`, as cells of the table's own columns.
fn stored_rows(
    results: &Results,
    stored: &Stored,
    table: Table,
    step: u64,
) -> Result<Vec<Row>, Failure> {
    let own = table.own_columns();
    let names: Vec<&str> = std::iter::once("job_id").chain(own.iter().map(|c| c.name)).collect();
    let mut rows = Vec::new();
    results.scan(table, &stored.sweep, &names, |frame| {
        let (ids, steps) = (frame.texts("job_id"), frame.ints("step"));
        let is_wanted = |&row: &usize| {
            ids[row] == Some(&*stored.id) && steps[row].is_some_and(|found| found as u64 == step)
        };
        let wanted: Vec<usize> = (0..frame.row_count()).filter(is_wanted).collect();
        if wanted.is_empty() {
            return;
        }
        let first = rows.len();
        rows.resize(first + wanted.len(), Row::new());
        for column in own {
            let cells: Vec<Cell> = match column.kind {
                ColumnType::Int32 | ColumnType::Int64 | ColumnType::Timestamp => {
                    frame.ints(column.name).into_iter().map(Cell::from).collect()
                }
                ColumnType::Float64 => {
                    frame.floats(column.name).into_iter().map(Cell::from).collect()
                }
                ColumnType::Utf8 => frame.texts(column.name).into_iter().map(Cell::from).collect(),
                ColumnType::Boolean => {
                    frame.flags(column.name).into_iter().map(Cell::from).collect()
                }
                ColumnType::Histogram => {
                    let counts = frame.counts(column.name).into_iter();
                    counts.map(|counts| counts.map_or(Cell::Null, Cell::Counts)).collect()
                }
            };
            for (row, &at) in rows[first..].iter_mut().zip(&wanted) {
                row.push(cells[at].clone());
            }
        }
    })?;
    Ok(rows)
}

/// The first difference between what is stored and what was found, in words; volatile columns apart.
fn compare(kept: &[Row], found: &[Row], curve: Option<&Row>, new_curve: Row) -> Option<String> {
    let Some(curve) = curve else {
        return Some("nothing is stored of this step".to_owned());
    };
    if let Some(said) = differing(Table::Steps, curve, &new_curve) {
        return Some(said);
    }
    if kept.len() != found.len() {
        return Some(format!(
            "{} rows of confusion are stored, {} were found",
            kept.len(),
            found.len()
        ));
    }
    // Rows that were sorted on their way are still told by scope, layer and size.
    let key = |row: &Row| {
        let [a, b, c, d] =
            ["scope", "layer", "count", "measure_batch"].map(|name| &row[column(name)]);
        format!("{a:?} {b:?} {c:?} {d:?}")
    };
    found.iter().find_map(|new| match kept.iter().find(|old| key(old) == key(new)) {
        Some(old) => differing(Table::Confusion, old, new),
        None => Some(format!("no stored row is of {}", key(new))),
    })
}

fn differing(table: Table, old: &Row, new: &Row) -> Option<String> {
    let same = |old: &Cell, new: &Cell| match (old, new) {
        (Cell::Float(old), Cell::Float(new)) => old.to_bits() == new.to_bits(),
        (old, new) => old == new,
    };
    let columns = table.own_columns().iter().zip(old.iter().zip(new));
    let mut stable = columns.filter(|(column, _)| !column.volatile);
    stable.find(|(_, (old, new))| !same(old, new)).map(|(column, (old, new))| {
        let shown = |cell: &Cell| match cell {
            Cell::Float(number) => format!("{number:?}"),
            Cell::Counts(_) => "other counts".to_owned(),
            cell => format!("{cell:?}"),
        };
        format!("{} of {} was {} and is {}", column.name, table.as_str(), shown(old), shown(new))
    })
}

fn column(name: &str) -> usize {
    Table::Confusion.own_index(name).expect("the name is one of the column list")
}

/// The numbers and words of a row of confusion by column, its histogram apart.
fn figures_of(row: &Row) -> Value {
    let columns = Table::Confusion.own_columns().iter().zip(row);
    let cell = |(column, cell): (&domain::Column, &Cell)| {
        let value = match cell {
            Cell::Bool(flag) => json!(flag),
            Cell::Int(number) | Cell::Time(number) => json!(number),
            Cell::Float(number) => json!(number),
            Cell::Text(text) => json!(text),
            Cell::Null | Cell::Counts(_) => return None,
        };
        Some((column.name.to_owned(), value))
    };
    Value::Object(columns.filter_map(cell).collect::<Map<_, _>>())
}

/// The data set of this digest: from the cache of the results, or from one of the folders that were named.
fn data_set(args: &ExportArgs, stored: &Stored, digest: Digest) -> Result<Bundle, Failure> {
    let cache = args.results.folder().map(|folder| folder.join(".gradsweep/cache"));
    let cached = cache.and_then(|cache| fs::read(cache.join(digest.to_string())).ok());
    let cached = cached.and_then(|bytes| Bundle::from_bytes(&bytes).ok());
    if let Some(bundle) = cached.filter(|bundle| bundle.digest() == digest) {
        return Ok(bundle);
    }
    let none = || ExportError::NoData { job: stored.id.clone(), digest };
    Ok(bundle::find(&args.data_folder, digest).ok_or_else(none)?)
}

/// Says where the stored figures come from another engine than this.
fn say_engine(stored: &Stored) {
    let pairs = [
        ("engine revision", &*stored.engine, trial::ENGINE_REVISION),
        ("instruction set", &*stored.instructions, trial::instruction_set()),
    ];
    for (what, old, new) in pairs.into_iter().filter(|(_, old, new)| old != new) {
        note(&format!("the stored figures are of {what} {old}; this is {new}"));
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes).map_err(|source| Failure::Folder { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_differing_bit_is_told_with_both_values() {
        let row = domain::ConfusionRow { eta: Some(0.5), ..Default::default() };
        let other = domain::ConfusionRow { eta: Some(0.5f64.next_up()), ..row.clone() };
        let curve = domain::StepRow { elapsed_seconds: Some(1.0), ..Default::default() };
        let (row, other) = (vec![row.into_row()], vec![other.into_row()]);
        let new = domain::StepRow { elapsed_seconds: None, ..curve.clone() }.into_row();
        let curve = curve.into_row();
        assert_eq!(compare(&row, &row, Some(&curve), new.clone()), None, "times may differ");
        let said = compare(&row, &other, Some(&curve), new.clone()).expect("they differ");
        assert_eq!(said, "eta of confusion was 0.5 and is 0.5000000000000001");
        assert!(compare(&row, &[], Some(&curve), new.clone()).is_some());
        assert!(compare(&row, &row, None, new).is_some());
    }
}

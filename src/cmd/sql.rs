//! `gradsweep sql`: ask a folder of results a question in SQL, where this build has the engine for it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use store::Location;

use crate::failure::Failure;
use crate::output::Output;

/// Query results with SQL: the tables jobs, steps, confusion and failures, with the column sweep.
#[derive(Debug, Args)]
pub struct SqlArgs {
    /// The folder or URL (s3://, gs://, az://) of the results.
    #[arg(value_name = "RESULTS")]
    results: Location,
    /// The query, as "SELECT model_width, avg(final_risk) FROM jobs GROUP BY 1". It may begin with a comment.
    #[arg(value_name = "QUERY", allow_hyphen_values = true)]
    query: String,
    /// How to print: `table` for people, `csv` and `json` (one object a line) for programs.
    #[arg(long, value_enum, default_value_t, conflicts_with = "out")]
    format: SqlFormat,
    /// Only this sweep [default: all in the folder].
    #[arg(long, value_name = "NAME")]
    sweep: Option<String>,
    /// Write the answer into this Parquet file instead.
    #[arg(long, value_name = "FILE.parquet")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum SqlFormat {
    /// For people.
    #[default]
    Table,
    /// Comma-separated, with a heading.
    Csv,
    /// One object a line.
    Json,
}

/// Runs the query and writes its answer.
#[cfg(feature = "sql")]
pub fn run(args: &SqlArgs, out: &mut Output<'_>) -> Result<(), Failure> {
    use analysis::sql::{Format, query, write};

    use crate::output::note;

    let answer =
        query(&crate::config::results(&args.results)?, args.sweep.as_deref(), &args.query)?;
    for difference in &answer.differences {
        note(&difference.to_string());
    }
    let format = match (&args.out, args.format) {
        (Some(path), _) => Format::Parquet(path.clone()),
        (None, SqlFormat::Table) => Format::Table,
        (None, SqlFormat::Csv) => Format::Csv,
        (None, SqlFormat::Json) => Format::Json,
    };
    Ok(write(&format, &answer.batches, out.writer)?)
}

/// Says how to get the engine.
#[cfg(not(feature = "sql"))]
pub fn run(_args: &SqlArgs, _out: &mut Output<'_>) -> Result<(), Failure> {
    Err(Failure::NoSql)
}

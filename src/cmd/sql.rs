//! `gradsweep sql`: ask a folder of results a question in SQL, where this build has the engine for it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
#[cfg(feature = "sql")]
use coordinator::sink::LiveFiles;
#[cfg(feature = "sql")]
use domain::{SweepName, Table};
use store::Location;

use crate::config::ConnectionArgs;
use crate::failure::Failure;
use crate::output::Output;
#[cfg(feature = "sql")]
use crate::reach::with_client;

/// Query results with SQL: the tables jobs, steps, confusion, failures, weights_index and quantities, with the column sweep.
#[derive(Debug, Args)]
pub struct SqlArgs {
    /// The folder or URL (s3://, gs://, az://) of the results.
    #[arg(value_name = "RESULTS")]
    results: Location,
    /// The query, as "SELECT model_width, avg(final_risk) FROM jobs GROUP BY 1" (it may begin with a comment), a file of it that
    /// ends in .sql, or the name of a ready question [default: list the ready questions].
    #[arg(value_name = "QUERY", allow_hyphen_values = true)]
    query: Option<String>,
    /// How to print: `table` for people, `csv`, `json` (one object a line) and `arrow` (a stream of Arrow IPC) for programs.
    #[arg(long, value_enum, default_value_t, conflicts_with = "out")]
    format: SqlFormat,
    /// Only this sweep [default: all in the folder].
    #[arg(long, value_name = "NAME")]
    sweep: Option<String>,
    /// Write the answer into this file instead: .parquet, .arrow, .csv or .json (one object a line).
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Also ask the coordinator that writes these results: the tables jobs, steps and confusion then have the rows of running jobs so
    /// far, and of done jobs that no file has yet. Each row counts once, even if its file appears meanwhile.
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
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
    /// A stream of Arrow IPC.
    Arrow,
}

/// Runs the query and writes its answer.
#[cfg(feature = "sql")]
pub fn run(args: &SqlArgs, out: &mut Output<'_>) -> Result<(), Failure> {
    use analysis::sql::{FileAnswer, Format, QUESTIONS, Query, Writer, writer};

    use crate::host;
    use crate::output::note;

    let results = crate::config::results(&args.results)?;
    let Some(asked) = &args.query else {
        for question in QUESTIONS {
            out.line(&format!("{:<12} {}", question.name, question.about()))?;
        }
        return Ok(());
    };
    let sql = sql_of(asked)?;
    let sweep = args.sweep.as_deref().map(|name| results.sweep(name)).transpose()?;
    // Without a word of how much there is: what a small machine has.
    let memory_bytes = host::memory_bytes().unwrap_or(2 << 30) / 2;
    let memory_bytes = usize::try_from(memory_bytes).unwrap_or(usize::MAX);
    // Before the query lists what is sealed: what is sealed in between is in both, and is told apart there.
    let live = args.live.then(|| Live::take(&args.connection, sweep.as_ref())).transpose()?;
    let live = live.as_ref().map(|live| &live.rows);
    let query = Query { results: &results, sweep: sweep.as_ref(), live, memory_bytes };
    let format = match args.format {
        SqlFormat::Table => Format::Table,
        SqlFormat::Csv => Format::Csv,
        SqlFormat::Json => Format::Json,
        SqlFormat::Arrow => Format::Arrow,
    };
    let mut answer: Box<dyn Writer + '_> = match &args.out {
        Some(path) => Box::new(FileAnswer::create(path, results.store().folder())?),
        None => writer(format, Box::new(&mut *out.writer)),
    };
    let differences = query.run(&sql, |batch| answer.write(batch))?;
    answer.finish()?;
    for difference in &differences {
        note(&difference.to_string());
    }
    for sweep in sweep.map_or_else(|| results.sweeps(), |sweep| Ok(vec![sweep]))? {
        super::report::note_oddities(&results, &sweep)?;
    }
    Ok(())
}

/// The rows that a coordinator has and no segment yet, in files that go with this.
#[cfg(feature = "sql")]
struct Live {
    rows: analysis::Results,
    _folder: tempfile::TempDir,
}

#[cfg(feature = "sql")]
impl Live {
    /// Takes those of one sweep, or of all that the coordinator knows.
    fn take(connection: &ConnectionArgs, sweep: Option<&SweepName>) -> Result<Self, Failure> {
        let unusable = |source| Failure::Folder { path: std::env::temp_dir(), source };
        let folder = tempfile::tempdir().map_err(unusable)?;
        for table in [Table::Jobs, Table::Steps, Table::Confusion] {
            std::fs::create_dir(folder.path().join(table.as_str())).map_err(unusable)?;
        }
        with_client(connection, async |client| {
            let sweeps = match sweep {
                Some(sweep) => vec![sweep.clone()],
                None => client.list().await?.into_iter().map(|told| told.sweep).collect(),
            };
            for sweep in sweeps {
                let mut rows = client.live_rows(&sweep).await?;
                let mut files = LiveFiles::new(folder.path(), sweep);
                while let Some(some) = rows.next().await? {
                    files.add(some)?;
                }
                files.finish()?;
            }
            Ok(())
        })?;
        Ok(Self { rows: analysis::Results::open(folder.path())?, _folder: folder })
    }
}

/// The SQL that was asked: as it stands, in a file, or a ready question.
#[cfg(feature = "sql")]
fn sql_of(asked: &str) -> Result<String, Failure> {
    use std::path::Path;

    use analysis::sql::Question;

    let is_name = !asked.is_empty()
        && asked.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
    if asked.ends_with(".sql") && !asked.contains(char::is_whitespace) {
        let path = Path::new(asked);
        std::fs::read_to_string(path)
            .map_err(|source| Failure::ReadQuery { path: path.to_owned(), source })
    } else if is_name {
        Ok(Question::named(asked)?.sql.to_owned())
    } else {
        Ok(asked.to_owned())
    }
}

/// Says how to get the engine.
#[cfg(not(feature = "sql"))]
pub fn run(_args: &SqlArgs, _out: &mut Output<'_>) -> Result<(), Failure> {
    Err(Failure::NoSql)
}

//! `gradsweep jobs`: the jobs of a sweep.

use clap::{Args, ValueEnum};
use domain::SweepName;
use proto::limits::JOBS_PAGE_MAX;
use proto::message::JobsQuery;

use crate::config::ConnectionArgs;
use crate::failure::Failure;
use crate::output::{Format, Output, json_line};
use crate::reach::with_client;
use crate::rows::JobRow;
use crate::table::{Side, Table};
use crate::text;

/// List the jobs of a sweep, and why those failed that did.
#[derive(Debug, Args)]
pub struct JobsArgs {
    /// The sweep's name.
    #[arg(value_name = "SWEEP")]
    sweep: SweepName,
    /// Only jobs in this state.
    #[arg(long, value_enum, value_name = "STATE")]
    state: Option<State>,
    /// List at most this many [default: 50 as text, all as JSON].
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
    /// Leave this many out first.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    offset: u64,
    #[command(flatten)]
    connection: ConnectionArgs,
    /// How to print: `text` for people, `json` for programs (one object a job).
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The states of a job, as a coordinator knows them.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    Queued,
    Running,
    Completed,
    Diverged,
    Abandoned,
    Cancelled,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Diverged => "diverged",
            Self::Abandoned => "abandoned",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Jobs listed for a person who did not say how many.
const JOBS_SHOWN: u64 = 50;

/// Prints the jobs, page by page.
pub fn run(args: &JobsArgs, out: &mut Output<'_>) -> Result<(), Failure> {
    let limit = match (args.limit, args.format) {
        (Some(limit), _) => limit,
        (None, Format::Text) => JOBS_SHOWN,
        (None, Format::Json) => u64::MAX,
    };
    let mut table = Table::new(&[
        ("job", Side::Left),
        ("state", Side::Left),
        ("attempt", Side::Right),
        ("point", Side::Left),
        ("worker", Side::Left),
        ("note", Side::Left),
    ]);
    let (listed, total) = with_client(&args.connection, async |client| {
        let mut listed = 0;
        loop {
            let page = client
                .jobs(JobsQuery {
                    sweep: args.sweep.clone(),
                    state: args.state.map(|state| state.as_str().to_owned()),
                    offset: args.offset + listed,
                    limit: u32::try_from(limit - listed)
                        .unwrap_or(JOBS_PAGE_MAX)
                        .min(JOBS_PAGE_MAX),
                })
                .await?;
            for job in &page.jobs {
                match args.format {
                    Format::Json => {
                        json_line(out.writer, &JobRow::from(job)).map_err(Failure::Output)?;
                    }
                    Format::Text => table.row(vec![
                        job.job.to_string(),
                        job.state.clone(),
                        job.attempt.to_string(),
                        job.point.clone(),
                        job.worker.clone(),
                        job.note.lines().next().unwrap_or_default().to_owned(),
                    ]),
                }
            }
            listed += page.jobs.len() as u64;
            if page.jobs.is_empty() || listed >= limit || args.offset + listed >= page.total {
                return Ok((listed, page.total));
            }
        }
    })?;
    if args.format == Format::Json {
        return Ok(());
    }
    if listed > 0 {
        table.write(out.writer, out.paint).map_err(Failure::Output)?;
    }
    let what = args.state.map(|state| format!(" {}", state.as_str())).unwrap_or_default();
    let total = text::count(total);
    out.line(&format!("{} of {total}{what} jobs of {} listed", text::count(listed), args.sweep))
}

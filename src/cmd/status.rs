//! `gradsweep status`: where the sweeps of a coordinator stand.

use std::io::{self, Write};

use clap::Args;
use domain::SweepName;
use proto::error::{ApiError, CallError};
use proto::message::SweepProgress;

use crate::closing;
use crate::config::ConnectionArgs;
use crate::failure::Failure;
use crate::output::{Format, Output, json_line};
use crate::paint::Paint;
use crate::reach::{Watch, block_on, client};
use crate::rows::ProgressRow;
use crate::table::{Side, Table};
use crate::text;

/// Show where sweeps stand.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Only the sweep of this name.
    #[arg(value_name = "SWEEP")]
    sweep: Option<SweepName>,
    /// Wait until they are over; exit code 1 if jobs were abandoned or cancelled.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
    /// How to print: `text` for people, `json` for programs (one object a sweep).
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Prints one line a sweep.
pub fn run(args: &StatusArgs, out: &mut Output<'_>) -> Result<(), Failure> {
    let path = args.connection.path()?;
    let sweeps = block_on(async {
        let mut sweeps = client(&path).await?.list().await?;
        if let Some(name) = &args.sweep {
            sweeps.retain(|progress| progress.sweep == *name);
            if sweeps.is_empty() {
                let what = format!("sweep {name}");
                return Err(CallError::Answer(ApiError::Unknown { what }).into());
            }
        }
        if args.wait {
            for progress in sweeps.iter_mut().filter(|progress| !progress.is_over()) {
                let mut watch = Watch::start(path.clone(), progress.sweep.clone());
                while let Some(snapshot) = watch.next().await {
                    *progress = snapshot?;
                }
            }
        }
        Ok(sweeps)
    })?;
    write_status(&sweeps, args.format, out.writer, out.paint).map_err(Failure::Output)?;
    if args.wait { sweeps.iter().try_for_each(closing::verdict) } else { Ok(()) }
}

fn write_status(
    sweeps: &[SweepProgress],
    format: Format,
    out: &mut dyn Write,
    paint: Paint,
) -> io::Result<()> {
    if format == Format::Json {
        return sweeps.iter().try_for_each(|progress| json_line(out, &ProgressRow::from(progress)));
    }
    if sweeps.is_empty() {
        return writeln!(out, "no sweeps; `gradsweep submit SWEEP.toml` hands one in");
    }
    let counts = ["jobs", "done", "diverged", "running", "queued", "abandoned", "cancelled"];
    let mut columns = vec![("sweep", Side::Left), ("state", Side::Left)];
    columns.extend(counts.map(|name| (name, Side::Right)));
    let mut table = Table::new(&columns);
    for progress in sweeps {
        let counts = progress.counts;
        let mut row = vec![progress.sweep.to_string(), state_of(progress).to_owned()];
        let numbers = [
            progress.total,
            counts.committed,
            counts.diverged,
            counts.leased,
            counts.queued,
            counts.abandoned,
            counts.cancelled,
        ];
        row.extend(numbers.map(text::count));
        table.row(row);
    }
    table.write(out, paint)?;
    let workers = sweeps.iter().map(|progress| progress.workers).max().unwrap_or(0);
    writeln!(out, "\n{} connected", text::counted(u64::from(workers), "worker"))?;
    let trouble = sweeps.iter().find(|progress| !progress.trouble.is_empty());
    trouble
        .map_or(Ok(()), |progress| writeln!(out, "{}", paint.warn(&text::plain(&progress.trouble))))
}

fn state_of(progress: &SweepProgress) -> &'static str {
    match (progress.is_over(), progress.counts.leased) {
        (true, _) if progress.counts.committed == progress.total => "done",
        (true, _) => "over",
        (false, _) if progress.counts.settled() == progress.total => "writing",
        (false, 0) if progress.paused => "paused",
        (false, 0) => "waiting",
        (false, _) => "running",
    }
}

#[cfg(test)]
mod tests {
    use proto::message::JobCounts;

    use super::*;
    use crate::progress::snapshot;

    #[test]
    fn a_line_a_sweep_and_the_workers_below() {
        let counts = JobCounts { committed: 1_200, leased: 2, queued: 798, ..JobCounts::default() };
        let mut out = Vec::new();
        let sweeps = [snapshot(2_000, counts)];
        write_status(&sweeps, Format::Text, &mut out, Paint::Plain)
            .expect("a Vec takes every write");
        let text = String::from_utf8(out).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        let cells: Vec<&str> = lines[1].split_whitespace().collect();
        assert_eq!(cells, ["tanh", "running", "2,000", "1,200", "0", "2", "798", "0", "0"]);
        assert_eq!(lines[3], "2 workers connected");
    }

    #[test]
    fn nothing_to_show_is_said() {
        let mut out = Vec::new();
        write_status(&[], Format::Text, &mut out, Paint::Plain).expect("a Vec takes every write");
        assert!(String::from_utf8_lossy(&out).starts_with("no sweeps"));
    }
}

//! `gradsweep worker`: a worker in the foreground, until it is told to stop.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::sync::watch;
use worker::agent::{self, RowsKept, StopRequest};

use crate::config::{self, ConnectionArgs};
use crate::failure::Failure;
use crate::host;
use crate::logs;
use crate::reach::block_on;
use crate::signals::{Stop, Stops, parent_gone};

/// Run a worker: it takes jobs from a coordinator and runs them here.
///
/// SIGTERM, SIGUSR1, SIGHUP or Ctrl-C make it store checkpoints, hand its jobs back and leave, with exit code 75 if work was
/// left; a second Ctrl-C ends it at once.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Jobs at a time [default: one a core].
    ///
    /// Each job uses as many threads as its sweep says (run.threads): for such sweeps give the cores divided by that number, as 4
    /// for jobs of two threads on 8 cores. Jobs that want more threads than there are cores go to other workers.
    #[arg(long, value_name = "COUNT")]
    slots: Option<u32>,
    /// A folder where data sets lie; may be given more than once. What is not there comes from the coordinator.
    #[arg(long, value_name = "DIR")]
    data: Vec<PathBuf>,
    /// Where data sets and checkpoints are kept [default: gradsweep in $XDG_CACHE_HOME or ~/.cache].
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Memory that its jobs may use together, as `16GiB` [default: this machine's, or the limit set on this process].
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<u64>,
    /// Memory for rows that no coordinator has acknowledged yet, as while it is away; those after go to disk.
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "64MiB")]
    rows_memory: u64,
    /// Disk in the cache folder for more such rows; when it is used up, jobs wait.
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "1GiB")]
    rows_disk: u64,
    /// How long this worker may run; it drains in time.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    time_left: Option<Duration>,
    /// Give up when no coordinator answers for this long [default: never].
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    retry_for: Option<Duration>,
    /// End when standard input does.
    #[arg(long, hide = true)]
    exit_with_parent: bool,
}

/// Works until told to stop.
pub fn run(args: &WorkerArgs) -> Result<(), Failure> {
    logs::start();
    host::raise_open_files();
    let config = agent::Config {
        connection: args.connection.path()?,
        slots: args.slots.unwrap_or_else(host::cores),
        data: args.data.clone(),
        cache: match &args.cache {
            Some(cache) => cache.clone(),
            None => config::cache_home().ok_or(Failure::NoStateFolder)?,
        },
        program: env::current_exe().map_err(Failure::Setup)?,
        memory_bytes: args.memory.or_else(host::memory_bytes).unwrap_or(0),
        rows: RowsKept {
            in_memory: usize::try_from(args.rows_memory).unwrap_or(usize::MAX),
            on_disk: args.rows_disk,
        },
        time_left: args.time_left,
        retry_for: args.retry_for,
    };
    block_on(async {
        let mut stops = Stops::listen().map_err(Failure::Setup)?;
        let (ask, asked) = watch::channel(StopRequest::None);
        let exit_with_parent = args.exit_with_parent;
        tokio::spawn(async move {
            let gone = parent_gone(exit_with_parent);
            tokio::pin!(gone);
            let mut interrupts = 0;
            loop {
                let request = tokio::select! {
                    stop = stops.next() => {
                        interrupts += u32::from(stop == Stop::Interrupt);
                        if interrupts > 1 { StopRequest::Now } else { StopRequest::Drain }
                    }
                    // Whoever started this worker and its coordinator is gone: there is nobody to hand work to.
                    () = &mut gone => StopRequest::Now,
                };
                ask.send_replace(request);
                if request == StopRequest::Now {
                    return;
                }
            }
        });
        let ended = agent::run(config, asked).await?;
        if ended.work_left { Err(Failure::WorkLeft) } else { Ok(()) }
    })
}

/// A size in bytes, as `512MiB`.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        other => {
            return Err(format!("unit {other} is none of B, KiB, MiB, GiB, TiB, kB, MB, GB, TB"));
        }
    };
    let number: u64 = digits.trim().parse().map_err(|_| "expected a size as 16GiB".to_owned())?;
    number.checked_mul(unit).ok_or_else(|| "too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, expected) in [("7", 7), ("16GiB", 16 << 30), ("2 kib", 2048), ("3MB", 3_000_000)]
        {
            assert_eq!(size(text), Ok(expected), "{text}");
        }
        for bad in ["", "GiB", "-1", "1.5GiB", "4 parsecs", "99999999TiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}

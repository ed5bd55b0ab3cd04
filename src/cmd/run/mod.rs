//! `gradsweep run`: a whole sweep on this machine: a coordinator process, worker processes, progress, the closing table.
//!
//! ```text
//! run ──spawns──▶ coordinator ◀──gRPC on loopback── worker, worker, ...  ──spawns──▶ trial, ...
//!  └──────────────watches──────────┘
//! ```
//!
//! It is the supervisor and a client, nothing more: all state is the coordinator's journal below the results, so that
//! the end of this process, even by `kill -9`, loses nothing, and the same command goes on.

mod child;
mod engine;
mod fleet;
mod place;
mod reasons;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use domain::SweepName;
use proto::client::Client;
use proto::message::SweepProgress;
use store::Location;

use crate::clock;
use crate::closing;
use crate::cost::{Machine, SweepCost};
use crate::failure::Failure;
use crate::follow::TICK;
use crate::load::{Loaded, Terms, load};
use crate::output::{Output, note};
use crate::progress::Display;
use crate::reach::{Watch, block_on};
use crate::signals::{Stop, Stops};
use crate::submit;
use engine::Engine;
use fleet::{Fleet, Left};
use place::Place;

/// Run a whole sweep on this machine, and go on where an earlier run of it stopped.
///
/// Results go to --out. Ctrl-C stores checkpoints and stops, a second one stops at once; the same command goes on.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The sweep file, TOML.
    #[arg(value_name = "SWEEP.toml")]
    sweep: PathBuf,
    /// Where the results go: a folder, or s3://BUCKET/PREFIX, gs:// or az://. More than one sweep may share it.
    #[arg(long, value_name = "DIR|URL", default_value = "results")]
    out: Location,
    /// Where the run keeps its journal, cache and logs, to go on from [default: .gradsweep in the folder of --out; where that
    /// is a URL, a folder of its name in ./gradsweep-state].
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Worker processes, each for one job at a time [default: one a core, or one for run.threads of them; fewer where memory
    /// is short].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    workers: Option<u32>,
    #[command(flatten)]
    terms: Terms,
    /// A folder where data sets lie, beside those that the sweep file names; may be given more than once.
    #[arg(long, value_name = "DIR")]
    data: Vec<PathBuf>,
}

impl RunArgs {
    /// The folder of the journal and all else that the run goes on from.
    fn state(&self) -> PathBuf {
        match (&self.state, &self.out) {
            (Some(state), _) => state.clone(),
            (None, Location::Folder(folder)) => folder.join(".gradsweep"),
            (None, Location::Url(url)) => {
                let name = [url.scheme(), url.bucket(), &url.prefix().replace('/', "-")].join("-");
                PathBuf::from("gradsweep-state").join(name.trim_end_matches('-'))
            }
        }
    }
}

/// How long workers have to store checkpoints and hand back: longer than they give themselves.
const DRAIN_GRACE: Duration = Duration::from_secs(60);

/// How long idle workers have to leave.
const LEAVE_GRACE: Duration = Duration::from_secs(5);

/// How long the last writing may take when a run is stopped.
const FLUSH_LIMIT: Duration = Duration::from_secs(30);

/// Runs the sweep to its end, or until somebody stops it.
pub fn run(args: &RunArgs, out: &mut Output<'_>) -> Result<(), Failure> {
    let loaded = load(&args.sweep)?;
    let place = Place::claim(&args.out, args.state())?;
    block_on(async {
        let mut stops = Stops::listen().map_err(Failure::Setup)?;
        let starting = async {
            let engine = Engine::start(&place).await?;
            let submitted = submit::submit(engine.client(), &loaded, args.terms).await?;
            Ok::<_, Failure>((engine, submitted))
        };
        let (mut engine, submitted) = tokio::select! {
            started = starting => started?,
            // Dropping it ends the coordinator; what it has acknowledged is in its journal.
            stop = stops.next() => return Err(stopped_by(stop)),
        };
        for line in submit::lines(&submitted, worker::trial::ENGINE_REVISION) {
            out.line(&line)?;
        }
        let sweep = submitted.sweep;
        let before = progress_of(engine.client(), &sweep).await?;
        let left = before.total - before.counts.settled();
        if left == 0 {
            out.line("nothing is left to do")?;
        }
        let mut fleet = start_workers(args, &loaded, &place, left)?;
        let mut display = Display::new(clock::now());
        let ended = work(&sweep, &place, &mut engine, &mut fleet, &mut stops, &mut display).await;
        display.finish();
        let over = match ended {
            Ok(Ended::Over) => {
                fleet.ask_to_leave();
                leave(&mut fleet, LEAVE_GRACE).await;
                progress_of(engine.client(), &sweep).await?
            }
            Ok(Ended::Stopped(stop)) => {
                wind_down(&mut fleet, &mut engine, &mut stops, &sweep, Some(stop)).await?
            }
            Ok(Ended::AllLeft) => {
                note("every worker was asked to leave by somebody else");
                wind_down(&mut fleet, &mut engine, &mut stops, &sweep, None).await?
            }
            Err(failure) => {
                fleet.kill();
                leave(&mut fleet, LEAVE_GRACE).await;
                engine.stop().await;
                return Err(failure);
            }
        };
        let reasons = reasons::of(engine.client(), &over).await;
        engine.stop().await;
        closing::write(place.results(), &sweep, out)?;
        for line in reasons {
            note(&line);
        }
        closing::verdict(&over)
    })
}

/// Why the watch over a run ends without a failure.
enum Ended {
    Over,
    Stopped(Stop),
    /// No worker is left, and none died.
    AllLeft,
}

async fn work(
    sweep: &SweepName,
    place: &Place,
    engine: &mut Engine,
    fleet: &mut Fleet<'_>,
    stops: &mut Stops,
    display: &mut Display,
) -> Result<Ended, Failure> {
    let mut watch = Watch::start(place.connection(), sweep.clone());
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            snapshot = watch.next() => match snapshot {
                Some(progress) => display.show(clock::now(), progress?),
                None => return Ok(Ended::Over),
            },
            left = fleet.next_left(clock::now) => match left? {
                Left::Replaced(status) => {
                    display.note(&format!("a worker process died ({status}); another one took its place"));
                }
                Left::InGoodOrder if fleet.is_empty() => return Ok(Ended::AllLeft),
                Left::InGoodOrder => {}
            },
            failure = engine.died() => return Err(failure),
            stop = stops.next() => return Ok(Ended::Stopped(stop)),
            _ = tick.tick() => display.tick(clock::now()),
        }
    }
}

/// Starts as many workers as there is work, cores and memory for.
fn start_workers<'a>(
    args: &RunArgs,
    loaded: &Loaded,
    place: &'a Place,
    left: u64,
) -> Result<Fleet<'a>, Failure> {
    let sweep = &loaded.sweep;
    let need = match sweep.run().memory {
        Some(bytes) => bytes,
        None if left == 0 => 0,
        None => {
            let Ok(cost) = SweepCost::of(sweep, |_, _, _| Ok::<_, std::convert::Infallible>(()));
            cost.memory_bytes_max
        }
    };
    let (machine, threads) = (Machine::this(), sweep.run().threads);
    if left > 0 && threads > machine.cores {
        // No worker of this machine would be given a job, and the run would wait for ever.
        return Err(Failure::TooFewCores { threads, cores: machine.cores });
    }
    let (memory, fitting) = (machine.memory_bytes, machine.side_by_side(threads, need));
    let count = u64::from(args.workers.unwrap_or(fitting)).min(left);
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let mut arguments: Vec<OsString> = vec!["worker".into(), "--slots".into(), "1".into()];
    arguments.extend(["--connection".into(), place.connection().into()]);
    arguments.extend(["--cache".into(), place.cache().into()]);
    if let Some(memory) = memory {
        // Its share; but a job that fits the machine fits a worker, if somebody asked for so many.
        let share = (memory / u64::from(count.max(1))).max(need.min(memory));
        arguments.extend(["--memory".into(), share.to_string().into()]);
    }
    for folder in loaded.folders().chain(args.data.iter().map(PathBuf::as_path)) {
        arguments.extend(["--data".into(), folder.into()]);
    }
    Fleet::start(place, count, arguments)
}

/// Stops a run before its sweep is over: workers store checkpoints, results so far are written. Returns where the sweep
/// stands if it turns out to be over.
async fn wind_down(
    fleet: &mut Fleet<'_>,
    engine: &mut Engine,
    stops: &mut Stops,
    sweep: &SweepName,
    stop: Option<Stop>,
) -> Result<SweepProgress, Failure> {
    if !fleet.is_empty() {
        note(
            "stopping: running jobs store checkpoints and are handed back; Ctrl-C again stops at once",
        );
    }
    let failure = stop.map_or(Failure::WorkLeft, stopped_by);
    let orderly = async {
        fleet.ask_to_leave();
        leave(fleet, DRAIN_GRACE).await;
        // Rows that cannot be written now are in the journal's spool, and will be by the next run.
        drop(tokio::time::timeout(FLUSH_LIMIT, engine.client().flush(sweep)).await);
        progress_of(engine.client(), sweep).await.ok()
    };
    let progress = tokio::select! {
        progress = orderly => progress,
        _ = stops.next() => None,
    };
    match progress {
        Some(progress) if progress.is_over() => return Ok(progress),
        Some(progress) => {
            let tally = closing::tally(&progress);
            note(&format!("{tally}; what is there is in {}", progress.results));
        }
        None => fleet.kill(),
    }
    engine.stop().await;
    Err(failure)
}

/// Waits until every worker has left, and ends those that take too long.
async fn leave(fleet: &mut Fleet<'_>, grace: Duration) {
    if tokio::time::timeout(grace, fleet.all_left()).await.is_err() {
        fleet.kill();
        fleet.all_left().await;
    }
}

fn stopped_by(stop: Stop) -> Failure {
    match stop {
        Stop::Interrupt => Failure::Interrupted,
        Stop::Terminate => Failure::WorkLeft,
    }
}

async fn progress_of(client: &Client, sweep: &SweepName) -> Result<SweepProgress, Failure> {
    let mut all = client.list().await?;
    all.retain(|progress| progress.sweep == *sweep);
    all.pop().ok_or_else(|| {
        let what = format!("sweep {sweep}");
        proto::error::CallError::from(proto::error::ApiError::Unknown { what }).into()
    })
}

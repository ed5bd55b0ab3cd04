//! `gradsweep pause` and `gradsweep resume`: hold a sweep's jobs back, and let them go on.

use clap::Args;
use domain::SweepName;

use crate::config::ConnectionArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::reach::with_client;

/// Give no job of a sweep out until it is resumed. Jobs that run, run on; a restart of the coordinator changes nothing.
#[derive(Debug, Args)]
pub struct PauseArgs {
    #[command(flatten)]
    of: Which,
}

/// Let the jobs of a paused sweep go on.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    #[command(flatten)]
    of: Which,
}

/// What both ask for.
#[derive(Debug, Args)]
struct Which {
    /// The sweep's name.
    #[arg(value_name = "SWEEP")]
    sweep: SweepName,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Pauses, and says whether it was not before.
pub fn pause(args: &PauseArgs, out: &mut Output<'_>) -> Result<(), Failure> {
    let sweep = &args.of.sweep;
    out.line(&match set(&args.of, true)? {
        true => format!("{sweep} is paused; `gradsweep resume {sweep}` lets it go on"),
        false => format!("{sweep} was paused before"),
    })
}

/// Lets it go on, and says whether it was paused.
pub fn resume(args: &ResumeArgs, out: &mut Output<'_>) -> Result<(), Failure> {
    let sweep = &args.of.sweep;
    out.line(&match set(&args.of, false)? {
        true => format!("{sweep} goes on"),
        false => format!("{sweep} was not paused"),
    })
}

fn set(of: &Which, paused: bool) -> Result<bool, Failure> {
    with_client(&of.connection, async |client| Ok(client.pause(&of.sweep, paused).await?))
}

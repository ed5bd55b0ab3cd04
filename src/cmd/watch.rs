//! `gradsweep watch`: show a sweep's progress until it is over.

use clap::Args;
use domain::SweepName;

use crate::config::ConnectionArgs;
use crate::failure::Failure;
use crate::follow::follow;
use crate::output::{Format, Output};
use crate::reach::block_on;

/// Show the progress of a sweep until it is over. Ctrl-C ends the watch, not the sweep.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// The sweep's name.
    #[arg(value_name = "SWEEP")]
    sweep: SweepName,
    #[command(flatten)]
    connection: ConnectionArgs,
    /// How to print: `text` for people, `json` for programs (one object a change).
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Watches until the sweep is over.
pub fn run(args: &WatchArgs, out: &mut Output<'_>) -> Result<(), Failure> {
    let path = args.connection.path()?;
    block_on(async {
        follow(path, args.sweep.clone(), args.format, out).await?;
        Ok(())
    })
}

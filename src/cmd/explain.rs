//! `gradsweep explain`: why a job is where it is.

use clap::Args;
use domain::SweepName;

use crate::config::ConnectionArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::reach::with_client;
use crate::text;

/// Say why a job waits, runs, was kept, will run again or was given up.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The sweep's name.
    #[arg(value_name = "SWEEP")]
    sweep: SweepName,
    /// The job's id, or at least four digits of it; `gradsweep jobs SWEEP` lists them.
    #[arg(value_name = "JOB")]
    job: String,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Prints what the coordinator says.
pub fn run(args: &ExplainArgs, out: &mut Output<'_>) -> Result<(), Failure> {
    let lines = with_client(&args.connection, async |client| {
        Ok(client.explain(&args.sweep, &args.job).await?)
    })?;
    // A line may be the end of a log, which has some itself.
    lines.iter().flat_map(|line| line.lines()).try_for_each(|line| out.line(&text::plain(line)))
}

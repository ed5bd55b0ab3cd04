//! `gradsweep cancel`: stop jobs for good.

use clap::Args;
use domain::{JobId, SweepName};

use crate::config::ConnectionArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::reach::with_client;
use crate::text;

/// Cancel the jobs of a sweep that have no result yet. Results stay; handing the sweep in again queues the jobs again.
#[derive(Debug, Args)]
pub struct CancelArgs {
    /// The sweep's name.
    #[arg(value_name = "SWEEP")]
    sweep: SweepName,
    /// Cancel this job alone.
    #[arg(long, value_name = "ID")]
    job: Option<JobId>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Cancels, and says how many.
pub fn run(args: &CancelArgs, out: &mut Output<'_>) -> Result<(), Failure> {
    let count = with_client(&args.connection, async |client| {
        Ok(client.cancel(&args.sweep, args.job).await?)
    })?;
    out.line(&format!("{} of {} cancelled", text::counted(count, "job"), args.sweep))
}

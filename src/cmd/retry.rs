//! `gradsweep retry`: queue jobs again that were given up.

use clap::Args;
use domain::{FailureClass, JobId, SweepName};
use proto::message::RetryQuery;

use crate::config::ConnectionArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::reach::with_client;
use crate::text;

/// Queue jobs of a sweep again that were given up, with fresh budgets.
#[derive(Debug, Args)]
pub struct RetryArgs {
    /// The sweep's name.
    #[arg(value_name = "SWEEP")]
    sweep: SweepName,
    /// Every job that was abandoned.
    #[arg(long, required_unless_present = "job")]
    failed: bool,
    /// Of those, the ones whose last failure was of this class, such as `timeout` or `out-of-memory`.
    #[arg(long, value_name = "CLASS", requires = "failed")]
    class: Option<FailureClass>,
    /// This job alone, abandoned or cancelled.
    #[arg(long, value_name = "ID", conflicts_with = "failed")]
    job: Option<JobId>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Queues them, and says how many.
pub fn run(args: &RetryArgs, out: &mut Output<'_>) -> Result<(), Failure> {
    let which = args.job.map_or(RetryQuery::Failed(args.class), RetryQuery::Job);
    let count =
        with_client(&args.connection, async |client| Ok(client.retry(&args.sweep, which).await?))?;
    out.line(&format!("{} of {} queued again", text::counted(count, "job"), args.sweep))
}

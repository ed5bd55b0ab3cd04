//! `gradsweep flush`: write what is committed into files now.

use clap::Args;
use domain::SweepName;

use crate::config::ConnectionArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::reach::with_client;
use crate::text;

/// Write the results so far into Parquet files now, rather than when enough have come together.
#[derive(Debug, Args)]
pub struct FlushArgs {
    /// The sweep's name.
    #[arg(value_name = "SWEEP")]
    sweep: SweepName,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Flushes, and says how many files that made.
pub fn run(args: &FlushArgs, out: &mut Output<'_>) -> Result<(), Failure> {
    let count =
        with_client(&args.connection, async |client| Ok(client.flush(&args.sweep).await?))?;
    out.line(&format!("{} written", text::counted(count, "segment")))
}

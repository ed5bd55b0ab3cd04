//! `gradsweep submit`: hand a sweep to a running coordinator.

use std::path::PathBuf;

use clap::Args;

use crate::config::ConnectionArgs;
use crate::failure::Failure;
use crate::follow::follow;
use crate::load::{Terms, load};
use crate::output::{Format, Output, json_line};
use crate::reach::{block_on, client};
use crate::rows::SubmittedRow;
use crate::submit;

/// Hand a sweep to a coordinator. Jobs that have results already are kept; handing it in again changes nothing.
#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// The sweep file, TOML.
    #[arg(value_name = "SWEEP.toml")]
    sweep: PathBuf,
    /// Stay and show its progress until it is over.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    terms: Terms,
    #[command(flatten)]
    connection: ConnectionArgs,
    /// How to print: `text` for people, `json` for programs (one object a line).
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Submits, and watches if that was asked for.
pub fn run(args: &SubmitArgs, out: &mut Output<'_>) -> Result<(), Failure> {
    let loaded = load(&args.sweep)?;
    let path = args.connection.path()?;
    block_on(async {
        let client = client(&path).await?;
        let submitted = submit::submit(&client, &loaded, args.terms).await?;
        match args.format {
            Format::Json => {
                json_line(out.writer, &SubmittedRow::from(&submitted)).map_err(Failure::Output)?;
                out.writer.flush().map_err(Failure::Output)?;
            }
            Format::Text => {
                for line in submit::lines(&submitted, worker::trial::ENGINE_REVISION) {
                    out.line(&line)?;
                }
                if !args.watch {
                    out.line(&format!("results will be in {}", submitted.results))?;
                }
            }
        }
        if args.watch {
            follow(path, submitted.sweep, args.format, out).await?;
        }
        Ok(())
    })
}

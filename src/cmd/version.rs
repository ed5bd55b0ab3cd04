//! `gradsweep version`: what this build is, as far as it decides what works together.

use clap::Args;
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Format, Output, json_line};

/// Print the version, the revision of the numerical engine, the instruction set and the protocol.
#[derive(Debug, Args)]
pub struct VersionArgs {
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The line of `--format json`.
#[derive(Serialize)]
struct VersionRow {
    version: &'static str,
    engine_revision: &'static str,
    instruction_set: &'static str,
    protocol: u32,
    sql: bool,
}

/// Writes the version to `out`.
pub fn run(args: &VersionArgs, out: &mut Output<'_>) -> Result<(), Failure> {
    let row = VersionRow {
        version: env!("CARGO_PKG_VERSION"),
        engine_revision: worker::trial::ENGINE_REVISION,
        instruction_set: worker::trial::instruction_set(),
        protocol: proto::limits::PROTOCOL,
        sql: cfg!(feature = "sql"),
    };
    match args.format {
        Format::Json => json_line(out.writer, &row).map_err(Failure::Output),
        Format::Text => {
            out.line(&format!("gradsweep {}", row.version))?;
            out.line(&format!("engine revision  {}", row.engine_revision))?;
            out.line(&format!("instruction set  {}", row.instruction_set))?;
            out.line(&format!("protocol         {}", row.protocol))?;
            out.line(&format!("sql              {}", if row.sql { "yes" } else { "no" }))
        }
    }
}

//! `gradsweep report`: what results say of the poster's claims, as a page with figures.

use std::path::PathBuf;

use analysis::{Results, report};
use clap::Args;
use domain::SweepName;

use crate::failure::Failure;
use crate::output::Output;

/// Write a report of results: claims with verdicts, figures, and what data to add.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The folder of the results.
    #[arg(value_name = "RESULTS")]
    results: PathBuf,
    /// Only this sweep [default: each in the folder].
    #[arg(long, value_name = "NAME")]
    sweep: Option<String>,
    /// Write into this folder, in one folder a sweep [default: RESULTS/report].
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// Writes the reports and says where they are.
pub fn run(args: &ReportArgs, out: &mut Output<'_>) -> Result<(), Failure> {
    let results = Results::open(&args.results)?;
    let sweeps: Vec<SweepName> = match &args.sweep {
        Some(name) => vec![results.sweep(name)?],
        None => results.sweeps()?,
    };
    let folder = args.out.clone().unwrap_or_else(|| args.results.join("report"));
    for sweep in sweeps {
        let page = report::write(&results, &sweep, &folder.join(sweep.as_str()))?;
        out.line(&format!("report of {sweep}: {}", page.display()))?;
    }
    Ok(())
}

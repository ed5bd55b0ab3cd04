//! `gradsweep report`: what results say of the poster's claims, as a page with figures.

use std::path::PathBuf;

use analysis::{Results, ResultsError, report};
use clap::Args;
use domain::SweepName;
use store::Location;

use crate::config;
use crate::failure::Failure;
use crate::output::{Output, note};

/// Write a report of results: claims with verdicts, figures, and what data to add.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The folder or URL (s3://, gs://, az://) of the results.
    #[arg(value_name = "RESULTS")]
    results: Location,
    /// Only this sweep [default: each in the folder].
    #[arg(long, value_name = "NAME")]
    sweep: Option<String>,
    /// Write into this folder, in one folder a sweep [default: RESULTS/report, or ./report where RESULTS is a URL].
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// Writes the reports and says where they are.
pub fn run(args: &ReportArgs, out: &mut Output<'_>) -> Result<(), Failure> {
    let results = config::results(&args.results)?;
    let sweeps: Vec<SweepName> = match &args.sweep {
        Some(name) => vec![results.sweep(name)?],
        None => results.sweeps()?,
    };
    let folder = args.out.clone().unwrap_or_else(|| {
        args.results.folder().map_or_else(|| "report".into(), |folder| folder.join("report"))
    });
    if sweeps.is_empty() {
        return Err(ResultsError::NoSweeps { path: results.root().to_owned() }.into());
    }
    for sweep in sweeps {
        note_oddities(&results, &sweep)?;
        let page = report::write(&results, &sweep, &folder.join(sweep.as_str()))?;
        out.line(&format!("report of {sweep}: {}", page.display()))?;
    }
    Ok(())
}

/// Tells of jobs that have rows twice, and of those that lack some.
pub(super) fn note_oddities(results: &Results, sweep: &SweepName) -> Result<(), Failure> {
    if let Some(repeated) = results.repeated(sweep)? {
        note(&format!("warning: {repeated}"));
    }
    if let Some(incomplete) = results.incomplete(sweep)? {
        note(&format!("warning: {incomplete}"));
    }
    Ok(())
}

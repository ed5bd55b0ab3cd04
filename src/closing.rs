//! How a sweep ends: the table of its results, where they are, and whether every job has one.

use analysis::ClosingTable;
use domain::SweepName;
use proto::message::SweepProgress;
use store::Location;

use crate::config;
use crate::failure::Failure;
use crate::output::Output;
use crate::text;

/// Writes the closing table of a sweep, where its results are, and what makes a report of them.
pub fn write(results: &Location, sweep: &SweepName, out: &mut Output<'_>) -> Result<(), Failure> {
    let found = config::results(results)?;
    let table = ClosingTable::of(&found, sweep)?.to_string();
    if !table.is_empty() {
        out.line(table.trim_end())?;
    }
    let place = results.to_string();
    out.line(&format!("results of {sweep}: {place}"))?;
    let is_plain = place.chars().all(|c| c.is_ascii_alphanumeric() || "/:._-+".contains(c));
    // A command that a shell takes as it stands, whatever the folder is called.
    let place = if is_plain { place } else { format!("'{}'", place.replace('\'', "'\\''")) };
    out.line(&format!("claims and figures: gradsweep report {place} --sweep {sweep}"))
}

/// The failure of a sweep that is over but whose jobs do not all have results.
pub fn verdict(progress: &SweepProgress) -> Result<(), Failure> {
    let (abandoned, cancelled) = (progress.counts.abandoned, progress.counts.cancelled);
    match abandoned + cancelled {
        0 => Ok(()),
        _ => Err(Failure::Unfinished { sweep: progress.sweep.clone(), abandoned, cancelled }),
    }
}

/// How many jobs of a sweep have a result, in one line.
pub fn tally(progress: &SweepProgress) -> String {
    let counts = progress.counts;
    let (committed, total) = (text::count(counts.committed), text::count(progress.total));
    let mut line = format!("{}: {committed} of {total} jobs have results", progress.sweep);
    for (count, word) in [
        (counts.diverged, "diverged"),
        (counts.abandoned, "abandoned"),
        (counts.cancelled, "cancelled"),
    ] {
        if count > 0 {
            line.push_str(&format!(", {} {word}", text::count(count)));
        }
    }
    line
}

//! The report of a sweep: one HTML page that needs no network, its figures as SVG and CSV, and sweep files for what is missing.
//!
//! The page holds no time and no path: the same results give the same bytes.

mod page;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use domain::{SweepName, Value, json};

use crate::claims::{Advice, DataPaths, Finding, advise, judge};
use crate::figures::{Figure, escape, figures, shared, standalone};
use crate::results::{Results, ResultsError};
use crate::scaling::{Survey, survey};
use crate::study::Study;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error(transparent)]
    Results(#[from] ResultsError),
    #[error("{} cannot be written", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// Everything that a report says.
#[derive(Clone, Debug)]
pub struct Report {
    pub study: Study,
    pub findings: Vec<Finding>,
    /// One a group, in their order; the groups beyond [`GROUPS_MAX`] are judged but not drawn.
    pub figures: Vec<Vec<Figure>>,
    /// Those that lie across groups.
    pub shared: Vec<Figure>,
    pub advice: Vec<Advice>,
}

/// Resamples of each boundary: standard errors of a region's extent stay below 4 %.
pub const RESAMPLES: usize = 500;
/// Settings that are drawn: a page of more is not read.
pub const GROUPS_MAX: usize = 6;

impl Report {
    /// The report of a study whose data come from no file, or from where `paths` says.
    pub fn of(study: Study, paths: &DataPaths) -> Self {
        let surveys: Vec<Survey> =
            study.groups.iter().map(|group| survey(group, RESAMPLES)).collect();
        let findings = judge(&study, &surveys);
        let both = || study.groups.iter().zip(&surveys);
        let drawn = both().take(GROUPS_MAX).enumerate();
        let figures = drawn.map(|(index, (group, survey))| figures(&study, group, survey, index));
        let figures = figures.collect();
        let advice =
            both().filter_map(|(group, survey)| advise(&study, group, survey, paths)).collect();
        let shared = shared(&study);
        Self { study, findings, figures, shared, advice }
    }

    /// Writes the page and what lies beside it into `folder`, which is made where it is not, and returns the page. What the page
    /// that was there had beside it is removed.
    ///
    /// # Errors
    /// [`ReportError::Write`], for the first file that cannot be written.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, ReportError> {
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            fs::write(&path, bytes).map_err(|source| ReportError::Write { path, source })
        };
        fs::create_dir_all(folder)
            .map_err(|source| ReportError::Write { path: folder.to_owned(), source })?;
        remove_old(folder)?;
        #[cfg(feature = "png")]
        let rasteriser = crate::figures::png::Rasteriser::new();
        for figure in self.figures.iter().flatten().chain(&self.shared) {
            write(&format!("{}.svg", figure.name), standalone(&figure.svg).as_bytes())?;
            write(&format!("{}.csv", figure.name), figure.csv.as_bytes())?;
            #[cfg(feature = "png")]
            {
                let name = format!("{}.png", figure.name);
                let failed = |error| ReportError::Write {
                    path: folder.join(&name),
                    source: io::Error::other(error),
                };
                write(&name, &rasteriser.png(&figure.svg).map_err(failed)?)?;
            }
        }
        for (index, advice) in self.advice.iter().enumerate() {
            write(&advice_name(index), advice.file.as_bytes())?;
        }
        write(PAGE, page::html(self).as_bytes())?;
        Ok(folder.join(PAGE))
    }
}

const PAGE: &str = "index.html";

/// Removes the files that the page in `folder`, if there is one, has beside it: the next one need not have the same. A sweep file
/// stays that is not as it was written.
fn remove_old(folder: &Path) -> Result<(), ReportError> {
    let Ok(page) = fs::read_to_string(folder.join(PAGE)) else { return Ok(()) };
    for name in page::files(&page) {
        let path = folder.join(name);
        let as_written = |text: String| page.contains(&escape(&text));
        if name.ends_with(".toml") && !fs::read_to_string(&path).is_ok_and(as_written) {
            continue;
        }
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(ReportError::Write { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The file of one piece of advice.
fn advice_name(index: usize) -> String {
    format!("more-{}.toml", index + 1)
}

/// Writes the report of a sweep into `folder` and returns its page.
///
/// # Errors
/// If there is no such sweep, its results cannot be read, or a file cannot be written.
pub fn write(results: &Results, sweep: &SweepName, folder: &Path) -> Result<PathBuf, ReportError> {
    let paths = data_paths(&results.revisions(sweep));
    Report::of(Study::read(results, sweep)?, &paths).write(folder)
}

/// Where data files lie, from the records of a sweep's revisions.
fn data_paths(revisions: &[String]) -> DataPaths {
    let mut found = DataPaths::new();
    for text in revisions {
        let table = json::read(text).ok();
        let field = |value: Value, name: &str| match value {
            Value::Table(mut fields) => fields.remove(name),
            _ => None,
        };
        let files = table.and_then(|table| field(field(table, "sweep")?, "files"));
        let Some(Value::Table(files)) = files else { continue };
        for (digest, facts) in files {
            if let Some(Value::Text(path)) = field(facts, "path") {
                found.insert(digest, path);
            }
        }
    }
    found
}

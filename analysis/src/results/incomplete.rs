//! Segments that lack a file: not all was copied, or the file system shows what is new to this host late.

use std::collections::BTreeSet;
use std::fmt;

use domain::{SweepName, Table};

use super::error::ResultsError;
use super::{Results, SegmentFile};
use crate::words::counted;

/// Segments of a sweep whose jobs are there, and their measurements not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incomplete {
    pub sweep: SweepName,
    pub segments: usize,
    /// One of their files, and the table that lacks it.
    pub file: String,
    pub table: Table,
}

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sweep, segments, file, table } = self;
        let have = if *segments == 1 { "has" } else { "have" };
        write!(
            f,
            "{} of {sweep} {have} jobs and not all of their measurements: {file} has no file of its name in {}. Copy what is \
             missing; where nothing was copied, look again in a minute, for a network file system may show new files late",
            counted(*segments, "segment"),
            table.as_str()
        )
    }
}

impl Incomplete {
    /// Of these files, by table; `None`: no jobs' segment lacks a file that is written with it and before it. What comes while
    /// files are listed comes to `jobs` last: list that first.
    pub(crate) fn among(
        sweep: &SweepName,
        jobs: &[SegmentFile],
        measured: [(Table, &[SegmentFile]); 2],
    ) -> Option<Self> {
        let mut lacking: BTreeSet<&str> = BTreeSet::new();
        let mut first = None;
        for (table, there) in measured {
            let there: BTreeSet<_> = there.iter().map(file_name).collect();
            for file in jobs.iter().filter(|file| !there.contains(file_name(file))) {
                first.get_or_insert((&file.name, table));
                lacking.insert(&file.name);
            }
        }
        let segments = lacking.len();
        let told = |(file, table): (&String, Table)| Self {
            sweep: sweep.clone(),
            segments,
            file: file.clone(),
            table,
        };
        first.map(told)
    }
}

impl Results {
    /// The segments of a sweep that have jobs and lack measurements, as the folder is seen now.
    ///
    /// # Errors
    /// If a folder cannot be listed.
    pub fn incomplete(&self, sweep: &SweepName) -> Result<Option<Incomplete>, ResultsError> {
        let jobs = self.segments(Table::Jobs, sweep)?;
        let steps = self.segments(Table::Steps, sweep)?;
        let confusion = self.segments(Table::Confusion, sweep)?;
        let measured = [(Table::Steps, &*steps), (Table::Confusion, &*confusion)];
        Ok(Incomplete::among(sweep, &jobs, measured))
    }
}

fn file_name(file: &SegmentFile) -> &str {
    file.name.rsplit('/').next().unwrap_or_default()
}

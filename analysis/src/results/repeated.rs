//! Jobs that have rows in more than one file: no coordinator makes them, a copied file or a second coordinator does.

use std::collections::HashMap;
use std::fmt;

use domain::table::JOURNAL_DIGITS;
use domain::{SweepName, Table};

use super::error::ResultsError;
use super::segment::Segment;
use super::{Results, known_columns};
use crate::words::counted;

/// Jobs of a sweep that have rows in more than one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeated {
    pub sweep: SweepName,
    pub jobs: usize,
    /// Two files that share one.
    pub files: [String; 2],
}

impl fmt::Display for Repeated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sweep, jobs, files: [one, other] } = self;
        let have = if *jobs == 1 { "has" } else { "have" };
        write!(
            f,
            "{} of {sweep} {have} rows in more than one file, as in {one} and {other}: SQL counts them as often, a \
             report takes one row a step. Move one of the files away, with those of its name in the other tables",
            counted(*jobs, "job")
        )
    }
}

impl Results {
    /// The jobs of a sweep that have rows in more than one file of the table `jobs`; `None`: no job has.
    ///
    /// Files of one journal are not read: it never puts a job into two.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn repeated(&self, sweep: &SweepName) -> Result<Option<Repeated>, ResultsError> {
        let files = self.segments(Table::Jobs, sweep)?;
        let journal = |name: &str| {
            let file = name.rsplit('/').next().unwrap_or_default();
            file.split_once('-')
                .map(|(id, _)| id.to_owned())
                .filter(|id| id.len() == JOURNAL_DIGITS)
        };
        let mut journals = files.iter().map(|file| journal(&file.name));
        let first = journals.next().flatten();
        if first.is_some() && journals.all(|journal| journal == first) {
            return Ok(None);
        }
        let columns = known_columns(Table::Jobs, &["job_id"])?;
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut repeated: Option<Repeated> = None;
        for (index, file) in files.iter().enumerate() {
            Segment::open(self.store(), Table::Jobs, file, &columns)?.frames(|frame| {
                for id in frame.texts("job_id").into_iter().flatten() {
                    let before = *seen.entry(id.to_owned()).or_insert(index);
                    if before != index {
                        let files = || [before, index].map(|at| files[at].name.clone());
                        let new = || Repeated { sweep: sweep.clone(), jobs: 0, files: files() };
                        repeated.get_or_insert_with(new).jobs += 1;
                    }
                }
            })?;
        }
        Ok(repeated)
    }
}

//! A folder of results: which sweeps and segments it holds, and their columns.
//!
//! ```text
//! RESULTS/{jobs,steps,confusion,failures}/sweep=<name>/<segment>.parquet
//! RESULTS/sweeps/<name>/<SweepId>.json
//! ```
//!
//! Every segment that is there counts. A file whose name starts with '.' or does not end in `.parquet` is none: that is
//! how writers keep what is not final. Files may have columns we do not know (a newer writer) or lack some (an older
//! one, null here); a column of another type than the column list's is an error.

mod error;
mod frame;
mod schema;
mod segment;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use domain::{Column, SweepName, Table};

pub use error::ResultsError;
pub use frame::{Absent, Frame};
pub use schema::{data_type, table_schema};

/// The folder that lists each sweep's revisions.
const REVISIONS: &str = "sweeps";
/// What a sweep's folder in a table is called, before the sweep's name.
const PARTITION: &str = "sweep=";
const EXTENSION: &str = "parquet";

/// A folder of results. Nothing is kept open: each call sees the files that are there at that moment.
#[derive(Clone, Debug)]
pub struct Results {
    root: PathBuf,
}

impl Results {
    /// The results in the folder `root`.
    ///
    /// # Errors
    /// If there is no such folder, or it does not look like one of results.
    pub fn open(root: &Path) -> Result<Self, ResultsError> {
        let path = root.to_owned();
        match fs::metadata(root) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(ResultsError::NotAFolder { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ResultsError::NoSuchFolder { path });
            }
            Err(source) => return Err(ResultsError::Unreadable { path, source }),
        }
        let mut folders = Table::ALL.into_iter().map(Table::as_str).chain([REVISIONS]);
        if !folders.any(|name| root.join(name).is_dir()) {
            return Err(ResultsError::NotResults { path });
        }
        Ok(Self { root: path })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The sweeps that have results or at least a revision, by name.
    pub fn sweeps(&self) -> Result<Vec<SweepName>, ResultsError> {
        let mut names = BTreeSet::new();
        for table in Table::ALL {
            let folders = entries(&self.root.join(table.as_str()))?;
            names.extend(
                folders.iter().filter_map(|folder| folder.strip_prefix(PARTITION)?.parse().ok()),
            );
        }
        let revised = entries(&self.root.join(REVISIONS))?;
        names.extend(revised.iter().filter_map(|name| name.parse().ok()));
        Ok(names.into_iter().collect())
    }

    /// The sweep of this name.
    ///
    /// # Errors
    /// [`ResultsError::NoSuchSweep`], with those there are.
    pub fn sweep(&self, name: &str) -> Result<SweepName, ResultsError> {
        let mut known = self.sweeps()?;
        match known.iter().position(|sweep| sweep.as_str() == name) {
            Some(index) => Ok(known.swap_remove(index)),
            None => {
                let (path, sweep) = (self.root.clone(), name.to_owned());
                Err(ResultsError::NoSuchSweep { path, sweep, known })
            }
        }
    }

    /// The segments of a sweep in a table, by name; none where the sweep has no rows there.
    pub fn segments(&self, table: Table, sweep: &SweepName) -> Result<Vec<PathBuf>, ResultsError> {
        let folder = self.root.join(table.as_str()).join(format!("{PARTITION}{sweep}"));
        let is_segment = |name: &String| {
            !name.starts_with('.')
                && Path::new(name).extension().is_some_and(|found| found == EXTENSION)
        };
        let names = entries(&folder)?.into_iter().filter(is_segment);
        Ok(names.map(|name| folder.join(name)).filter(|path| !path.is_dir()).collect())
    }

    /// These columns of a sweep's rows in a table, in memory.
    ///
    /// # Errors
    /// If the sweep or a column does not exist, or a segment cannot be read.
    pub fn read(
        &self,
        table: Table,
        sweep: &SweepName,
        columns: &[&str],
    ) -> Result<Frame, ResultsError> {
        let mut whole = Frame::new(table, &known_columns(table, columns)?);
        let absent = self.scan(table, sweep, columns, |frame| whole.append(frame))?;
        whole.set_absent(absent);
        Ok(whole)
    }

    /// Hands these columns to `each`, some thousand rows at a time, and returns what was [`Absent`]: for tables that
    /// need not be in memory whole.
    ///
    /// # Errors
    /// As [`Self::read`]; rows before a damaged segment were handed over by then.
    pub fn scan(
        &self,
        table: Table,
        sweep: &SweepName,
        columns: &[&str],
        mut each: impl FnMut(&Frame),
    ) -> Result<Vec<Absent>, ResultsError> {
        let columns = known_columns(table, columns)?;
        let paths = self.segments(table, sweep)?;
        if paths.is_empty() {
            self.sweep(sweep.as_str())?;
        }
        let mut lacking: BTreeMap<&'static str, usize> = BTreeMap::new();
        for path in &paths {
            let mut segment = segment::Segment::open(table, path, &columns)?;
            segment.absent().for_each(|name| *lacking.entry(name).or_default() += 1);
            while let Some(frame) = segment.next_frame()? {
                each(&frame);
            }
        }
        let of = paths.len();
        let absent = |(column, segment_count)| Absent { table, column, segment_count, of };
        Ok(lacking.into_iter().map(absent).collect())
    }

    /// Reads all that every segment of a sweep in a table holds, indexes of pages too, and keeps nothing.
    ///
    /// # Errors
    /// For the first segment that cannot be read whole.
    pub fn verify(&self, table: Table, sweep: &SweepName) -> Result<(), ResultsError> {
        let columns: Vec<_> = table.columns().collect();
        for path in self.segments(table, sweep)? {
            let mut segment = segment::Segment::open_with_index(table, &path, &columns)?;
            while segment.next_frame()?.is_some() {}
        }
        Ok(())
    }
}

fn known_columns(table: Table, names: &[&str]) -> Result<Vec<&'static Column>, ResultsError> {
    let find = |name: &&str| {
        let found = table.columns().find(|column| column.name == *name);
        found.ok_or_else(|| ResultsError::NoSuchColumn { table, column: (*name).to_owned() })
    };
    names.iter().map(find).collect()
}

/// The names in a folder, sorted; none where there is no such folder. Names that are not UTF-8 are not ours.
fn entries(folder: &Path) -> Result<Vec<String>, ResultsError> {
    let unreadable = |source| ResultsError::Unreadable { path: folder.to_owned(), source };
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(unreadable(source)),
    };
    let mut names = Vec::new();
    for entry in listing {
        names.extend(entry.map_err(unreadable)?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

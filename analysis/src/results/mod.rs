//! Results in a folder or an object store: which sweeps and segments it holds, and their columns.
//!
//! ```text
//! RESULTS/{jobs,steps,confusion,failures,weights_index}/sweep=<name>/<segment>.parquet
//! RESULTS/weights/sweep=<name>/<segment>.safetensors
//! RESULTS/sweeps/<name>/<SweepId>.json
//! ```
//!
//! Every segment that is there counts. A file whose name starts with '.' or does not end in `.parquet` is none: that is
//! how writers keep what is not final. Files may have columns we do not know (a newer writer) or lack some (an older
//! one, null here); a column of another type than the column list's is an error.

mod difference;
mod error;
mod frame;
mod incomplete;
mod repeated;
mod schema;
mod segment;
mod weights;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use domain::table::{PARTITION, is_segment, sweep_folder};
use domain::{Column, SweepName, Table};
use store::{Listing, Store};

pub use difference::Difference;
use difference::Differences;
pub use error::ResultsError;
pub use frame::Frame;
pub use incomplete::Incomplete;
pub use repeated::Repeated;
pub use schema::{QUANTITIES, data_type, quantities_schema, table_schema};
pub use weights::{KeptWeights, WeightsError};

/// The folder that lists each sweep's revisions.
const REVISIONS: &str = "sweeps";

/// A folder of results, or a prefix of an object store that holds them. Nothing is kept open: each call sees the files that are there at that moment.
#[derive(Clone, Debug)]
pub struct Results {
    store: Store,
}

/// A segment that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentFile {
    /// In the results, with slashes.
    pub name: String,
    /// What messages call it.
    pub path: PathBuf,
    pub bytes: u64,
}

impl Results {
    /// The results in the folder `root`.
    ///
    /// # Errors
    /// If there is no such folder, or it does not look like one of results.
    pub fn open(root: &Path) -> Result<Self, ResultsError> {
        Self::of(Store::Folder(root.to_owned()))
    }

    /// The results in a place.
    ///
    /// # Errors
    /// If it cannot be read, or does not look like one of results.
    pub fn of(store: Store) -> Result<Self, ResultsError> {
        if let Some(root) = store.folder() {
            let path = || root.to_owned();
            match fs::metadata(root) {
                Ok(metadata) if metadata.is_dir() => {}
                Ok(_) => return Err(ResultsError::NotAFolder { path: path() }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(ResultsError::NoSuchFolder { path: path() });
                }
                Err(source) => return Err(ResultsError::Unreadable { path: path(), source }),
            }
        }
        let results = Self { store };
        let known = Table::ALL.map(Table::as_str);
        let is_known = |name: &String| known.contains(&name.as_str()) || name == REVISIONS;
        if !results.list("")?.folders.iter().any(is_known) {
            return Err(ResultsError::NotResults { path: results.root().to_owned() });
        }
        Ok(results)
    }

    /// The folder, or the URL in the shape of one.
    pub fn root(&self) -> &Path {
        self.store.root()
    }

    /// Where they are.
    pub fn store(&self) -> &Store {
        &self.store
    }

    fn list(&self, folder: &str) -> Result<Listing, ResultsError> {
        let unreadable = |source| {
            let path =
                if folder.is_empty() { self.root().to_owned() } else { self.store.path(folder) };
            ResultsError::Unreadable { path, source }
        };
        self.store.list(folder).map_err(unreadable)
    }

    /// The sweeps that have results or at least a revision, by name.
    pub fn sweeps(&self) -> Result<Vec<SweepName>, ResultsError> {
        let mut names = BTreeSet::new();
        for table in Table::ALL {
            let folders = self.list(table.as_str())?.folders;
            names.extend(
                folders.iter().filter_map(|folder| folder.strip_prefix(PARTITION)?.parse().ok()),
            );
        }
        let revised = self.list(REVISIONS)?.folders;
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
                let (path, sweep) = (self.root().to_owned(), name.to_owned());
                Err(ResultsError::NoSuchSweep { path, sweep, known })
            }
        }
    }

    /// The records of a sweep's revisions, by name; none where they cannot be read: results are whole without them.
    pub fn revisions(&self, sweep: &SweepName) -> Vec<String> {
        let folder = format!("{REVISIONS}/{sweep}");
        let files = self.list(&folder).map(|listing| listing.files).unwrap_or_default();
        let text = |(name, _): (String, u64)| {
            let source = self.store.source(&format!("{folder}/{name}")).ok()?;
            String::from_utf8(source.bytes(0, source.length() as usize).ok()?).ok()
        };
        files.into_iter().filter_map(text).collect()
    }

    /// The segments of a sweep in a table, by name; none where the sweep has no rows there.
    pub fn segments(
        &self,
        table: Table,
        sweep: &SweepName,
    ) -> Result<Vec<SegmentFile>, ResultsError> {
        let folder = sweep_folder(table.as_str(), sweep);
        let files = self.list(&folder)?.files.into_iter().filter(|(name, _)| is_segment(name));
        let segment = |(name, bytes): (String, u64)| {
            let name = format!("{folder}/{name}");
            SegmentFile { path: self.store.path(&name), name, bytes }
        };
        Ok(files.map(segment).collect())
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
        let differences = self.scan(table, sweep, columns, |frame| whole.append(frame))?;
        whole.set_differences(differences);
        Ok(whole)
    }

    /// Hands these columns to `each`, some thousand rows at a time, and returns each [`Difference`]: for tables that
    /// need not be in memory whole.
    ///
    /// # Errors
    /// As [`Self::read`]; rows before a damaged segment were handed over by then.
    pub fn scan(
        &self,
        table: Table,
        sweep: &SweepName,
        columns: &[&str],
        each: impl FnMut(&Frame),
    ) -> Result<Vec<Difference>, ResultsError> {
        let files = self.segments(table, sweep)?;
        if files.is_empty() {
            self.sweep(sweep.as_str())?;
        }
        self.scan_files(table, &files, columns, each)
    }

    /// The same of files that were listed before.
    pub(crate) fn scan_files(
        &self,
        table: Table,
        files: &[SegmentFile],
        columns: &[&str],
        mut each: impl FnMut(&Frame),
    ) -> Result<Vec<Difference>, ResultsError> {
        let columns = known_columns(table, columns)?;
        let mut differences = Differences::default();
        for file in files {
            let segment = segment::Segment::open(&self.store, table, file, &columns)?;
            differences.add(&segment);
            segment.frames(&mut each)?;
        }
        Ok(differences.of(table))
    }

    /// Reads all that every segment of a sweep in a table holds, indexes of pages too, and keeps nothing.
    ///
    /// # Errors
    /// For the first segment that cannot be read whole.
    pub fn verify(&self, table: Table, sweep: &SweepName) -> Result<(), ResultsError> {
        let columns: Vec<_> = table.columns().collect();
        for file in self.segments(table, sweep)? {
            segment::Segment::open_with_index(&self.store, table, &file, &columns)?
                .frames(|_| ())?;
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

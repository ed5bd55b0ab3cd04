//! How files differ from the column list, because another version of gradsweep wrote them.

use std::collections::BTreeMap;
use std::fmt;

use domain::{SweepName, Table};

use super::segment::Segment;
use super::{Results, ResultsError};

/// A column that some segments do not have (an older version wrote them: null there), or that this version does not know
/// (a newer one wrote them: left out).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub table: Table,
    pub column: String,
    /// Whether it is in the column list, and so missing in those segments.
    pub is_known: bool,
    /// Segments that differ, and segments read.
    pub segment_count: usize,
    pub of: usize,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, column, is_known, segment_count, of } = self;
        let place = format!("{segment_count} of {of} segments of {}", table.as_str());
        match is_known {
            true => write!(f, "{column} is null in {place}: an older version wrote them"),
            false => write!(
                f,
                "{column} is left out of {place}: a newer version wrote them, which knows it"
            ),
        }
    }
}

/// Counts the differences of the segments of a table.
#[derive(Default)]
pub(super) struct Differences {
    of: usize,
    /// By whether the column is unknown, and its name.
    counts: BTreeMap<(bool, String), usize>,
}

impl Differences {
    pub(super) fn add(&mut self, segment: &Segment<'_>) {
        self.of += 1;
        let absent = segment.absent().map(|column| (false, column.to_owned()));
        let unknown = segment.unknown().iter().map(|column| (true, column.clone()));
        absent.chain(unknown).for_each(|key| *self.counts.entry(key).or_default() += 1);
    }

    /// Missing columns first, each kind by name.
    pub(super) fn of(self, table: Table) -> Vec<Difference> {
        let of = self.of;
        let difference = |((is_unknown, column), segment_count): ((bool, String), usize)| {
            Difference { table, column, is_known: !is_unknown, segment_count, of }
        };
        self.counts.into_iter().map(difference).collect()
    }
}

impl Results {
    /// How the segments of some sweeps differ from the column list of `table`. Only the ends of files are read.
    ///
    /// # Errors
    /// If a segment cannot be read.
    pub fn differences(
        &self,
        table: Table,
        sweeps: &[SweepName],
    ) -> Result<Vec<Difference>, ResultsError> {
        let columns: Vec<_> = table.columns().collect();
        let mut found = Differences::default();
        for sweep in sweeps {
            for file in self.segments(table, sweep)? {
                found.add(&Segment::open(self.store(), table, &file, &columns)?);
            }
        }
        Ok(found.of(table))
    }
}

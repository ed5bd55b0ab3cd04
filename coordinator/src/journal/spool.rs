//! Where the spooled rows of each job lie in the journal's file.

use std::collections::{BTreeMap, HashMap};

use domain::{JobId, SweepName, Table};

/// A batch of rows in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub offset: u64,
    pub bytes: u32,
    pub row_count: u32,
    pub check: u64,
}

/// A job of a sweep.
pub type Key = (SweepName, JobId);

/// The batches of a job, by table and first row.
type Batches = BTreeMap<(Table, u64), Place>;

/// The places of all rows.
#[derive(Clone, Debug, Default)]
pub struct Spool {
    jobs: HashMap<Key, Batches>,
    /// Bytes of all rows.
    bytes: u64,
}

impl Spool {
    /// Bytes of all rows that are in it.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Rows of a job were added.
    pub fn put(&mut self, key: Key, table: Table, first_row: u64, place: Place) {
        let old = self.jobs.entry(key).or_default().insert((table, first_row), place);
        self.bytes += u64::from(place.bytes);
        self.bytes -= old.map_or(0, |old| u64::from(old.bytes));
    }

    /// A job's rows of `table` from `from_row` on are dropped.
    pub fn truncate(&mut self, key: &Key, table: Table, from_row: u64) {
        let Some(batches) = self.jobs.get_mut(key) else { return };
        let mut dropped = 0;
        batches.retain(|(of, first_row), place| {
            let stays = *of != table || *first_row < from_row;
            dropped += if stays { 0 } else { u64::from(place.bytes) };
            stays
        });
        self.bytes -= dropped;
        if batches.is_empty() {
            self.jobs.remove(key);
        }
    }

    /// All rows of a job are dropped.
    pub fn drop_job(&mut self, key: &Key) {
        let batches = self.jobs.remove(key).unwrap_or_default();
        self.bytes -= batches.values().map(|place| u64::from(place.bytes)).sum::<u64>();
    }

    /// The batches of one job and table, by row number.
    pub fn rows(&self, key: &Key, table: Table) -> Vec<(u64, Place)> {
        let batches = self.jobs.get(key).into_iter().flatten();
        let of_table = batches.filter(|((of, _), _)| *of == table);
        of_table.map(|((_, first_row), place)| (*first_row, *place)).collect()
    }

    /// Every batch, in the order in which it lies in the file.
    pub fn all(&self) -> Vec<(&Key, Table, u64, Place)> {
        let batches = |(key, batches): (_, &'_ Batches)| {
            let places = batches.iter();
            let places = places.map(move |((table, row), place)| (key, *table, *row, *place));
            places.collect::<Vec<_>>()
        };
        let mut all: Vec<_> = self.jobs.iter().flat_map(batches).collect();
        all.sort_unstable_by_key(|(_, _, _, place)| place.offset);
        all
    }
}

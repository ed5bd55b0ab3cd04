//! Some columns of a table in memory, typed.

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use domain::{Column, ColumnType, Table};

use super::difference::Difference;

/// The columns that were asked for, all of one length. Rows keep the order of the segments and of the rows in them.
#[derive(Clone, Debug)]
pub struct Frame {
    table: Table,
    row_count: usize,
    columns: Vec<FrameColumn>,
    differences: Vec<Difference>,
}

#[derive(Clone, Debug)]
struct FrameColumn {
    column: &'static Column,
    chunks: Vec<ArrayRef>,
}

impl Frame {
    pub(super) fn new(table: Table, columns: &[&'static Column]) -> Self {
        let columns = columns.iter().map(|column| FrameColumn { column, chunks: Vec::new() });
        Self { table, row_count: 0, columns: columns.collect(), differences: Vec::new() }
    }

    /// Adds rows: one array a column, all of length `row_count`, in the order of the columns.
    pub(super) fn push(&mut self, row_count: usize, arrays: impl IntoIterator<Item = ArrayRef>) {
        self.row_count += row_count;
        for (column, array) in self.columns.iter_mut().zip(arrays) {
            column.chunks.push(array);
        }
    }

    pub(super) fn append(&mut self, other: &Self) {
        self.row_count += other.row_count;
        for (column, more) in self.columns.iter_mut().zip(&other.columns) {
            column.chunks.extend(more.chunks.iter().cloned());
        }
    }

    pub(super) fn set_differences(&mut self, differences: Vec<Difference>) {
        self.differences = differences;
    }

    /// How many rows there are.
    pub fn row_count(&self) -> usize {
        self.row_count
    }

    /// How the segments differ from the column list; each column is listed once.
    pub fn differences(&self) -> &[Difference] {
        &self.differences
    }

    /// The values of an integer column, or of a time: microseconds since the Unix epoch.
    ///
    /// # Panics
    /// Like every accessor here: if the column was not read or is of another type, the caller's bug.
    #[track_caller]
    pub fn ints(&self, name: &str) -> Vec<Option<i64>> {
        let found = self.column(name);
        let chunks = found.chunks.iter();
        match found.column.kind {
            ColumnType::Int32 => {
                let numbers = chunks.flat_map(|array| array.as_primitive::<Int32Type>());
                numbers.map(|number| number.map(i64::from)).collect()
            }
            ColumnType::Int64 => {
                chunks.flat_map(|array| array.as_primitive::<Int64Type>()).collect()
            }
            ColumnType::Timestamp => {
                chunks.flat_map(|array| array.as_primitive::<TimestampMicrosecondType>()).collect()
            }
            kind => self.mistyped(name, kind, "integers"),
        }
    }

    /// The values of a column of numbers; never NaN, which no writer of ours puts there.
    #[track_caller]
    pub fn floats(&self, name: &str) -> Vec<Option<f64>> {
        let all = self.floats_as_stored(name).into_iter();
        all.map(|number| number.filter(|number| !number.is_nan())).collect()
    }

    /// The same with what else a file may hold.
    #[track_caller]
    pub fn floats_as_stored(&self, name: &str) -> Vec<Option<f64>> {
        let found = self.column(name);
        match found.column.kind {
            ColumnType::Float64 => {
                found.chunks.iter().flat_map(|array| array.as_primitive::<Float64Type>()).collect()
            }
            kind => self.mistyped(name, kind, "floats"),
        }
    }

    /// The values of a column of words.
    #[track_caller]
    pub fn texts(&self, name: &str) -> Vec<Option<&str>> {
        let found = self.column(name);
        match found.column.kind {
            ColumnType::Utf8 => {
                found.chunks.iter().flat_map(|array| array.as_string::<i32>()).collect()
            }
            kind => self.mistyped(name, kind, "texts"),
        }
    }

    /// The values of a column of flags.
    #[track_caller]
    pub fn flags(&self, name: &str) -> Vec<Option<bool>> {
        let found = self.column(name);
        match found.column.kind {
            ColumnType::Boolean => {
                found.chunks.iter().flat_map(|array| array.as_boolean()).collect()
            }
            kind => self.mistyped(name, kind, "flags"),
        }
    }

    /// The counts of a column of histograms.
    #[track_caller]
    pub fn counts(&self, name: &str) -> Vec<Option<Vec<i64>>> {
        let found = self.column(name);
        match found.column.kind {
            ColumnType::Histogram => found
                .chunks
                .iter()
                .flat_map(|array| array.as_fixed_size_list().iter())
                .map(|list| list.map(|list| list.as_primitive::<Int64Type>().values().to_vec()))
                .collect(),
            kind => self.mistyped(name, kind, "counts"),
        }
    }

    pub(crate) fn kind(&self, name: &str) -> ColumnType {
        self.column(name).column.kind
    }

    #[track_caller]
    fn column(&self, name: &str) -> &FrameColumn {
        let found = self.columns.iter().find(|column| column.column.name == name);
        found.unwrap_or_else(|| panic!("{name} of {} was not asked for", self.table.as_str()))
    }

    #[track_caller]
    fn mistyped(&self, name: &str, kind: ColumnType, asked: &str) -> ! {
        panic!("{name} of {} is {kind:?}, read as {asked}", self.table.as_str())
    }
}

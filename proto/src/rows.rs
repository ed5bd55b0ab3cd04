//! Row batches on the wire and in the spool: a table's own columns one after the other, each as short as its values allow.
//!
//! ```text
//! batch     which columns these are (4 bytes), then each of them
//! column    0                       every cell is null
//!           1, values               no cell is null
//!           2, bits, values         bit i of the bits, lowest first: cell i is not null; values of those
//!           3, value                every cell is this
//! value     whole numbers and times: zigzag, then 7 bits a byte, lowest first; floats: 8 bytes, little end first;
//!           flags: a byte; texts: their length as a whole number, then UTF-8; histograms: as many whole numbers as bins
//! ```
//!
//! How many rows there are is told beside the batch. A jobs row takes some 200 bytes this way and a microsecond to read;
//! what travels describes no types, so there is nothing in it that a reader would have to believe.

use std::sync::LazyLock;

use domain::table::HISTOGRAM_BINS;
use domain::{Cell, Column, ColumnType, Row, Table};

use crate::error::WireError;
use crate::limits::{ROW_BATCH_BYTES_MAX, ROW_BATCH_ROWS_MAX};

/// How a column is written.
mod form {
    pub const NULLS: u8 = 0;
    pub const FULL: u8 = 1;
    pub const SOME: u8 = 2;
    pub const SAME: u8 = 3;
}

/// One cell as it lies in a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    /// Microseconds since the Unix epoch.
    Time(i64),
    /// As many as a histogram has bins.
    Counts(&'a [i64]),
}

impl<'a> From<&'a Cell> for Value<'a> {
    fn from(cell: &'a Cell) -> Self {
        match cell {
            Cell::Null => Self::Null,
            Cell::Bool(flag) => Self::Bool(*flag),
            Cell::Int(number) => Self::Int(*number),
            Cell::Float(number) => Self::Float(*number),
            Cell::Text(text) => Self::Text(text),
            Cell::Time(micros) => Self::Time(*micros),
            Cell::Counts(counts) => Self::Counts(counts),
        }
    }
}

impl From<Value<'_>> for Cell {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(flag),
            Value::Int(number) => Self::Int(number),
            Value::Float(number) => Self::Float(number),
            Value::Text(text) => Self::Text(text.to_owned()),
            Value::Time(micros) => Self::Time(micros),
            Value::Counts(counts) => Self::Counts(counts.to_vec()),
        }
    }
}

/// Says which columns a batch is made of, by their names and types: two builds that differ in them do not mix them up.
fn fingerprint(table: Table) -> [u8; 4] {
    static ALL: LazyLock<[[u8; 4]; Table::ALL.len()]> = LazyLock::new(|| {
        Table::ALL.map(|table| {
            // FNV-1a.
            let mut hash: u32 = 0x811c_9dc5;
            let mut add = |byte: u8| hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
            for column in table.own_columns() {
                column.name.bytes().for_each(&mut add);
                add(0);
                add(column.kind as u8);
            }
            hash.to_le_bytes()
        })
    });
    let index = Table::ALL.iter().position(|known| *known == table);
    ALL[index.expect("it is one of them all")]
}

/// The bytes of `rows`. A cell of another type than its column's, and a number that is not finite, becomes null.
///
/// # Panics
/// If a row has another number of cells than the table has own columns, or a histogram another number of bins than
/// [`HISTOGRAM_BINS`]: the caller's bug, never data.
pub fn encode(table: Table, rows: &[Row]) -> Vec<u8> {
    let columns = table.own_columns();
    assert!(rows.iter().all(|row| row.len() == columns.len()), "one cell a column");
    let mut bytes = fingerprint(table).to_vec();
    let mut values = Vec::with_capacity(rows.len());
    for (index, column) in columns.iter().enumerate() {
        values.clear();
        values.extend(rows.iter().map(|row| fitting(column.kind, &row[index])));
        put_column(&mut bytes, &values);
    }
    bytes
}

/// The cell as a value of the column's type.
fn fitting(kind: ColumnType, cell: &Cell) -> Value<'_> {
    let value = Value::from(cell);
    match (kind, value) {
        (ColumnType::Int32, Value::Int(number)) if i32::try_from(number).is_ok() => value,
        (ColumnType::Float64, Value::Float(number)) if number.is_finite() => value,
        (ColumnType::Histogram, Value::Counts(counts)) => {
            assert_eq!(counts.len(), HISTOGRAM_BINS, "a histogram has its bins");
            value
        }
        (ColumnType::Int64, Value::Int(_))
        | (ColumnType::Utf8, Value::Text(_))
        | (ColumnType::Boolean, Value::Bool(_))
        | (ColumnType::Timestamp, Value::Time(_)) => value,
        _ => Value::Null,
    }
}

fn put_column(bytes: &mut Vec<u8>, values: &[Value<'_>]) {
    let nulls = values.iter().filter(|value| **value == Value::Null).count();
    if nulls == values.len() {
        bytes.push(form::NULLS);
        return;
    }
    if values.len() > 1 && values.iter().all(|value| is_same(*value, values[0])) {
        bytes.push(form::SAME);
        put_value(bytes, values[0]);
        return;
    }
    if nulls == 0 {
        bytes.push(form::FULL);
    } else {
        bytes.push(form::SOME);
        let bits = |eight: &[Value<'_>]| {
            let flags = eight.iter().map(|value| u8::from(*value != Value::Null));
            flags.enumerate().fold(0, |bits, (place, flag)| bits | flag << place)
        };
        bytes.extend(values.chunks(8).map(bits));
    }
    for value in values {
        put_value(bytes, *value);
    }
}

/// Whether both are written with the same bytes: 0.0 and -0.0 are not.
fn is_same(a: Value<'_>, b: Value<'_>) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
        _ => a == b,
    }
}

fn put_value(bytes: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Null => {}
        Value::Bool(flag) => bytes.push(u8::from(flag)),
        Value::Int(number) | Value::Time(number) => put_whole(bytes, number),
        Value::Float(number) => bytes.extend_from_slice(&number.to_le_bytes()),
        Value::Text(text) => {
            put_whole(bytes, text.len() as i64);
            bytes.extend_from_slice(text.as_bytes());
        }
        Value::Counts(counts) => counts.iter().for_each(|count| put_whole(bytes, *count)),
    }
}

fn put_whole(bytes: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}

/// Reads a batch: `visit` is told every cell, column after column, each with the index of its own column and in the order
/// of the rows.
///
/// # Errors
/// [`WireError`] for bytes that are not exactly `row_count` rows of the table's own columns: cut, longer, of other columns,
/// or larger than is accepted. What was visited before is then worth nothing.
pub fn read(
    table: Table,
    bytes: &[u8],
    row_count: u32,
    mut visit: impl FnMut(usize, Value<'_>),
) -> Result<(), WireError> {
    let cell = |_: &mut (), index: usize, value: Value<'_>| visit(index, value);
    read_columns(table, bytes, row_count, cell, |(), _| ())
}

/// The bytes of one row with other values in some places: `change` is told every cell, by its own column, and answers what
/// is to be there instead, if anything is. The rest is copied as it is.
///
/// # Errors
/// As [`read`].
pub fn revise<'v>(
    table: Table,
    bytes: &[u8],
    mut change: impl FnMut(&'static Column, Value<'_>) -> Option<Value<'v>>,
) -> Result<Vec<u8>, WireError> {
    let mut revised = fingerprint(table).to_vec();
    let columns = table.own_columns();
    let cell = |new: &mut Option<Value<'v>>, index: usize, value: Value<'_>| {
        *new = change(&columns[index], value);
    };
    read_columns(table, bytes, 1, cell, |new, raw| match new {
        Some(value) => put_column(&mut revised, &[value]),
        None => revised.extend_from_slice(raw),
    })?;
    Ok(revised)
}

/// Reads a batch column by column: `visit` is told every cell, and `over` the bytes of each column after its cells, with
/// what `visit` left for it.
fn read_columns<S: Default>(
    table: Table,
    bytes: &[u8],
    row_count: u32,
    mut visit: impl FnMut(&mut S, usize, Value<'_>),
    mut over: impl FnMut(S, &[u8]),
) -> Result<(), WireError> {
    if bytes.len() > ROW_BATCH_BYTES_MAX {
        let (found, limit) = (bytes.len() as u64, ROW_BATCH_BYTES_MAX as u64);
        return Err(WireError::TooLarge { field: "rows.cells", found, limit });
    }
    if row_count == 0 || row_count > ROW_BATCH_ROWS_MAX {
        let (found, limit) = (u64::from(row_count), u64::from(ROW_BATCH_ROWS_MAX));
        return Err(WireError::TooLarge { field: "rows.row_count", found, limit });
    }
    let problem = |problem: String| WireError::Rows { table: table.as_str(), problem };
    let mut reader = Reader { rest: bytes, counts: Vec::new() };
    match reader.take(fingerprint(table).len()) {
        Ok(found) if found == fingerprint(table) => {}
        Ok(_) => return Err(problem("they are not of this table's columns".to_owned())),
        Err(cause) => return Err(problem(cause.to_string())),
    }
    for (index, column) in table.own_columns().iter().enumerate() {
        let (before, mut state) = (reader.rest, S::default());
        let cell = |value: Value<'_>| visit(&mut state, index, value);
        let read = reader.column(column.kind, row_count as usize, cell);
        read.map_err(|cause| problem(format!("column {}: {cause}", column.name)))?;
        over(state, &before[..before.len() - reader.rest.len()]);
    }
    if !reader.rest.is_empty() {
        return Err(problem(format!("{} bytes follow the last column", reader.rest.len())));
    }
    Ok(())
}

/// Whether `bytes` are exactly `row_count` rows of the table.
///
/// # Errors
/// As [`read`].
pub fn check(table: Table, bytes: &[u8], row_count: u32) -> Result<(), WireError> {
    read(table, bytes, row_count, |_, _| ())
}

/// The rows of a batch.
///
/// # Errors
/// As [`read`].
pub fn decode(table: Table, bytes: &[u8], row_count: u32) -> Result<Vec<Row>, WireError> {
    check(table, bytes, row_count)?;
    let mut rows = vec![Row::with_capacity(table.own_columns().len()); row_count as usize];
    let mut next = (0..rows.len()).cycle();
    read(table, bytes, row_count, |_, value| {
        rows[next.next().unwrap_or_default()].push(value.into());
    })?;
    Ok(rows)
}

/// Why a column cannot be read.
#[derive(Debug, thiserror::Error)]
enum BadColumn {
    #[error("it is cut short")]
    Short,
    #[error("{0} is no form of a column")]
    Form(u8),
    #[error("{found} is no {what}")]
    Value { what: &'static str, found: i64 },
    #[error("a number is longer than 64 bits")]
    Long,
    #[error("a number is not finite")]
    NotFinite,
    #[error("a text is not UTF-8")]
    Utf8,
    #[error("one text of {bytes} bytes in every row is more than is accepted")]
    Large { bytes: usize },
}

struct Reader<'a> {
    rest: &'a [u8],
    counts: Vec<i64>,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], BadColumn> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(BadColumn::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, BadColumn> {
        let (byte, rest) = self.rest.split_first().ok_or(BadColumn::Short)?;
        self.rest = rest;
        Ok(*byte)
    }

    fn whole(&mut self) -> Result<i64, BadColumn> {
        let mut zigzag = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(BadColumn::Long);
            }
            zigzag |= bits << shift;
            if byte < 0x80 {
                return Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
            }
        }
        Err(BadColumn::Long)
    }

    fn column(
        &mut self,
        kind: ColumnType,
        row_count: usize,
        mut visit: impl FnMut(Value<'_>),
    ) -> Result<(), BadColumn> {
        match self.byte()? {
            form::NULLS => (0..row_count).for_each(|_| visit(Value::Null)),
            form::FULL => {
                for _ in 0..row_count {
                    visit(self.value(kind)?);
                }
            }
            form::SOME => {
                let bits = self.take(row_count.div_ceil(8))?;
                for row in 0..row_count {
                    let is_there = bits[row / 8] >> (row % 8) & 1 == 1;
                    visit(if is_there { self.value(kind)? } else { Value::Null });
                }
            }
            form::SAME => {
                let value = self.value(kind)?;
                if let Value::Text(text) = value
                    && text.len().saturating_mul(row_count) > ROW_BATCH_BYTES_MAX
                {
                    return Err(BadColumn::Large { bytes: text.len() });
                }
                (0..row_count).for_each(|_| visit(value));
            }
            other => return Err(BadColumn::Form(other)),
        }
        Ok(())
    }

    fn value(&mut self, kind: ColumnType) -> Result<Value<'_>, BadColumn> {
        Ok(match kind {
            ColumnType::Int32 => {
                let number = self.whole()?;
                let wrong = |_| BadColumn::Value { what: "32-bit number", found: number };
                i32::try_from(number).map_err(wrong)?;
                Value::Int(number)
            }
            ColumnType::Int64 => Value::Int(self.whole()?),
            ColumnType::Timestamp => Value::Time(self.whole()?),
            ColumnType::Float64 => {
                let bytes = self.take(8)?.try_into().map_err(|_| BadColumn::Short)?;
                let number = f64::from_le_bytes(bytes);
                if !number.is_finite() {
                    return Err(BadColumn::NotFinite);
                }
                Value::Float(number)
            }
            ColumnType::Boolean => match self.byte()? {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                other => return Err(BadColumn::Value { what: "flag", found: i64::from(other) }),
            },
            ColumnType::Utf8 => {
                let length = self.whole()?;
                let wrong = |_| BadColumn::Value { what: "length", found: length };
                let text = self.take(usize::try_from(length).map_err(wrong)?)?;
                Value::Text(std::str::from_utf8(text).map_err(|_| BadColumn::Utf8)?)
            }
            ColumnType::Histogram => {
                self.counts.clear();
                for _ in 0..HISTOGRAM_BINS {
                    let count = self.whole()?;
                    self.counts.push(count);
                }
                Value::Counts(&self.counts)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use domain::{ConfusionRow, StepRow};
    use proptest::prelude::*;

    use super::*;

    fn rows() -> Vec<Row> {
        let row = |step| StepRow { step, risk: Some(0.5), ..StepRow::default() };
        vec![row(0).into_row(), StepRow { running_loss: Some(-0.0), ..row(7) }.into_row()]
    }

    #[test]
    fn a_revised_row_has_its_new_cells_and_all_others() {
        let row = rows().remove(1);
        let bytes = encode(Table::Steps, std::slice::from_ref(&row));
        let same = revise(Table::Steps, &bytes, |_, _| None).expect("reads");
        assert_eq!(same, bytes);
        let mut seen = Vec::new();
        let revised = revise(Table::Steps, &bytes, |column, value| {
            seen.push(Cell::from(value));
            match column.name {
                "risk" => Some(Value::Float(0.25)),
                "running_loss" => Some(Value::Null),
                _ => None,
            }
        });
        assert_eq!(seen, row);
        let mut expected = row;
        expected[Table::Steps.own_index("risk").expect("a column")] = 0.25.into();
        expected[Table::Steps.own_index("running_loss").expect("a column")] = Cell::Null;
        let revised = revised.expect("reads");
        assert_eq!(decode(Table::Steps, &revised, 1).expect("reads"), [expected]);
        for cut in 0..bytes.len() {
            assert!(revise(Table::Steps, &bytes[..cut], |_, _| None).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_batch_is_short() {
        let row = |step| ConfusionRow {
            step,
            scope: "samples",
            mode: "eval",
            eta: Some(0.1 + step as f64),
            histogram: Some(vec![0; HISTOGRAM_BINS]),
            ..ConfusionRow::default()
        };
        let one = encode(Table::Confusion, &[row(0).into_row()]).len();
        assert!(one < 300, "{one} bytes");
        let rows: Vec<_> = (0..100).map(|step| row(step).into_row()).collect();
        let hundred = encode(Table::Confusion, &rows).len();
        assert!(hundred < 5_000, "{hundred} bytes: 9 a row and what they share");
    }

    #[test]
    fn a_number_that_is_not_finite_is_no_value() {
        let mut row = rows().remove(0);
        let risk = Table::Steps.own_index("risk").expect("is a column");
        row[risk] = Cell::Float(f64::NAN);
        let bytes = encode(Table::Steps, std::slice::from_ref(&row));
        assert_eq!(decode(Table::Steps, &bytes, 1).expect("decodes")[0][risk], Cell::Null);
        row[risk] = Cell::Float(0.125);
        let mut bytes = encode(Table::Steps, &[row]);
        let at = bytes.windows(8).position(|eight| eight == 0.125f64.to_le_bytes());
        let at = at.expect("it is written as it is");
        bytes[at..at + 8].copy_from_slice(&f64::INFINITY.to_le_bytes());
        let refused = decode(Table::Steps, &bytes, 1).expect_err("is refused").to_string();
        assert!(refused.contains("column risk: a number is not finite"), "{refused}");
    }

    #[test]
    fn every_truncation_is_refused_and_a_flipped_byte_is_refused_or_reads_as_two_rows() {
        let bytes = encode(Table::Steps, &rows());
        for length in 0..bytes.len() {
            assert!(decode(Table::Steps, &bytes[..length], 2).is_err(), "cut at {length}");
        }
        for index in 0..bytes.len() {
            for flip in 1..=255 {
                let mut damaged = bytes.clone();
                damaged[index] ^= flip;
                if let Ok(rows) = decode(Table::Steps, &damaged, 2) {
                    assert_eq!(rows.len(), 2);
                }
            }
        }
    }

    #[test]
    fn another_table_another_count_and_more_bytes_are_refused() {
        let bytes = encode(Table::Steps, &rows());
        let refusal = |table, bytes: &[u8], count| {
            decode(table, bytes, count).expect_err("is refused").to_string()
        };
        assert!(refusal(Table::Jobs, &bytes, 2).contains("not of this table's columns"));
        assert!(decode(Table::Steps, &bytes, 3).is_err());
        assert!(refusal(Table::Steps, &bytes, 0).contains("row_count"));
        assert!(refusal(Table::Steps, &[], 1).contains("cut short"));
        let longer = [&bytes[..], &[0]].concat();
        assert!(refusal(Table::Steps, &longer, 2).contains("1 bytes follow"));
    }

    #[test]
    fn few_bytes_cannot_claim_many() {
        // A status of 2,000 bytes in each of 8,192 rows: 16 MB out of 2 KB.
        let mut row = vec![Cell::Null; Table::Jobs.own_columns().len()];
        row[0] = Cell::Text("x".repeat(2_000));
        let bytes = encode(Table::Jobs, &[row.clone(), row]);
        assert!(check(Table::Jobs, &bytes, 2).is_ok());
        let refused = check(Table::Jobs, &bytes, ROW_BATCH_ROWS_MAX).expect_err("is refused");
        assert!(refused.to_string().contains("more than is accepted"), "{refused}");
    }

    fn cell(kind: ColumnType) -> BoxedStrategy<Cell> {
        let value = match kind {
            ColumnType::Int32 => any::<i32>().prop_map(|n| Cell::Int(n.into())).boxed(),
            ColumnType::Int64 => any::<i64>().prop_map(Cell::Int).boxed(),
            ColumnType::Float64 => proptest::num::f64::NORMAL.prop_map(Cell::Float).boxed(),
            ColumnType::Utf8 => ".{0,9}".prop_map(Cell::Text).boxed(),
            ColumnType::Boolean => any::<bool>().prop_map(Cell::Bool).boxed(),
            ColumnType::Timestamp => any::<i64>().prop_map(Cell::Time).boxed(),
            ColumnType::Histogram => {
                prop::collection::vec(any::<i64>(), HISTOGRAM_BINS).prop_map(Cell::Counts).boxed()
            }
        };
        prop_oneof![1 => Just(Cell::Null), 2 => value].boxed()
    }

    fn batch() -> impl Strategy<Value = (Table, Vec<Row>)> {
        prop::sample::select(&Table::ALL[..]).prop_flat_map(|table| {
            let cells = table.own_columns().iter().map(|column| cell(column.kind));
            let row = cells.collect::<Vec<_>>();
            // Rows in runs, so that columns of one value occur.
            let rows = prop::collection::vec((row, 1..4usize), 1..12);
            rows.prop_map(move |runs| {
                let rows = runs.into_iter().flat_map(|(row, times)| vec![row; times]);
                (table, rows.collect())
            })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        /// Law: rows come back as they went.
        #[test]
        fn rows_come_back_as_they_went((table, rows) in batch()) {
            let bytes = encode(table, &rows);
            prop_assert_eq!(decode(table, &bytes, rows.len() as u32).expect("decodes"), rows);
        }
    }
}

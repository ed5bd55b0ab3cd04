//! Row batches on the wire and in the spool: Arrow IPC streams with exactly a table's own columns.

use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, FixedSizeListBuilder, Float64Builder, Int32Builder, Int64Builder,
    StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::ArrowError;
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use domain::table::HISTOGRAM_BINS;
use domain::{Cell, Column, ColumnType, Row, Table};

use crate::error::WireError;
use crate::limits::{ROW_BATCH_BYTES_MAX, ROW_BATCH_ROWS_MAX};

/// The Arrow type of a column.
pub fn data_type(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::Int32 => DataType::Int32,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Float64 => DataType::Float64,
        ColumnType::Utf8 => DataType::Utf8,
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnType::Histogram => {
            let item = Field::new("item", DataType::Int64, false);
            DataType::FixedSizeList(Arc::new(item), HISTOGRAM_BINS as i32)
        }
    }
}

/// The schema of a table's own columns, without metadata: what travels.
pub fn own_schema(table: Table) -> Arc<Schema> {
    let field = |column: &Column| Field::new(column.name, data_type(column.kind), true);
    Arc::new(Schema::new(table.own_columns().iter().map(field).collect::<Vec<_>>()))
}

/// One array out of the cells of one column. A cell of another type becomes null.
///
/// # Panics
/// If a histogram has another number of bins than [`HISTOGRAM_BINS`]: the measure's bug, never data.
pub fn column_array<'a>(kind: ColumnType, cells: impl Iterator<Item = &'a Cell>) -> ArrayRef {
    match kind {
        ColumnType::Int32 => {
            let mut array = Int32Builder::new();
            cells.for_each(|cell| {
                array.append_option(int(cell).and_then(|number| i32::try_from(number).ok()))
            });
            Arc::new(array.finish())
        }
        ColumnType::Int64 => {
            let mut array = Int64Builder::new();
            cells.for_each(|cell| array.append_option(int(cell)));
            Arc::new(array.finish())
        }
        ColumnType::Float64 => {
            let mut array = Float64Builder::new();
            cells.for_each(|cell| match cell {
                Cell::Float(number) => array.append_value(*number),
                _ => array.append_null(),
            });
            Arc::new(array.finish())
        }
        ColumnType::Utf8 => {
            let mut array = StringBuilder::new();
            cells.for_each(|cell| match cell {
                Cell::Text(text) => array.append_value(text),
                _ => array.append_null(),
            });
            Arc::new(array.finish())
        }
        ColumnType::Boolean => {
            let mut array = BooleanBuilder::new();
            cells.for_each(|cell| match cell {
                Cell::Bool(flag) => array.append_value(*flag),
                _ => array.append_null(),
            });
            Arc::new(array.finish())
        }
        ColumnType::Timestamp => {
            let mut array = TimestampMicrosecondBuilder::new();
            cells.for_each(|cell| match cell {
                Cell::Time(micros) => array.append_value(*micros),
                _ => array.append_null(),
            });
            Arc::new(array.finish().with_timezone("UTC"))
        }
        ColumnType::Histogram => {
            let item = Field::new("item", DataType::Int64, false);
            let mut array = FixedSizeListBuilder::new(Int64Builder::new(), HISTOGRAM_BINS as i32)
                .with_field(item);
            cells.for_each(|cell| match cell {
                Cell::Counts(counts) => {
                    assert_eq!(counts.len(), HISTOGRAM_BINS, "a histogram has its bins");
                    array.values().append_slice(counts);
                    array.append(true);
                }
                _ => {
                    array.values().append_slice(&[0; HISTOGRAM_BINS]);
                    array.append(false);
                }
            });
            Arc::new(array.finish())
        }
    }
}

fn int(cell: &Cell) -> Option<i64> {
    match cell {
        Cell::Int(number) => Some(*number),
        _ => None,
    }
}

/// The bytes of `rows` as an Arrow IPC stream of the table's own columns.
///
/// # Panics
/// If a row has another number of cells than the table has own columns: the caller's bug.
pub fn encode(table: Table, rows: &[Row]) -> Vec<u8> {
    let columns = table.own_columns();
    assert!(rows.iter().all(|row| row.len() == columns.len()), "one cell a column");
    let arrays = columns
        .iter()
        .enumerate()
        .map(|(index, column)| column_array(column.kind, rows.iter().map(move |row| &row[index])));
    let batch = RecordBatch::try_new(own_schema(table), arrays.collect())
        .expect("the arrays were built from the schema's own columns");
    encode_batch(&batch).expect("writing to memory does not fail")
}

fn encode_batch(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(batch)?;
    writer.into_inner()
}

/// The rows of an Arrow IPC stream, if it holds exactly `row_count` rows of the table's own columns.
///
/// # Errors
/// [`WireError`] for every other input: truncated, of another schema, oversized, or not Arrow at all.
pub fn decode(table: Table, bytes: &[u8], row_count: u32) -> Result<RecordBatch, WireError> {
    let problem = |problem: String| WireError::Rows { table: table.as_str(), problem };
    if bytes.len() > ROW_BATCH_BYTES_MAX {
        let (found, limit) = (bytes.len() as u64, ROW_BATCH_BYTES_MAX as u64);
        return Err(WireError::TooLarge { field: "rows.arrow", found, limit });
    }
    if row_count == 0 || row_count > ROW_BATCH_ROWS_MAX {
        let (found, limit) = (u64::from(row_count), u64::from(ROW_BATCH_ROWS_MAX));
        return Err(WireError::TooLarge { field: "rows.row_count", found, limit });
    }
    check_framing(bytes).map_err(|cause| problem(cause.to_owned()))?;
    // The Arrow reader validates what it reads, but a flatbuffer made to harm could still trip one of its assertions;
    // a peer must not be able to take the coordinator down with one.
    let read = std::panic::catch_unwind(|| -> Result<Vec<RecordBatch>, ArrowError> {
        StreamReader::try_new(bytes, None)?.collect()
    });
    let batches = match read {
        Ok(Ok(batches)) => batches,
        Ok(Err(error)) => return Err(problem(error.to_string())),
        Err(_) => return Err(problem("the Arrow reader gave up".to_owned())),
    };
    let [batch] = <[RecordBatch; 1]>::try_from(batches)
        .map_err(|batches| problem(format!("expected 1 record batch, found {}", batches.len())))?;
    if batch.schema().fields() != own_schema(table).fields() {
        return Err(problem("the columns are not those of the table".to_owned()));
    }
    if batch.num_rows() != row_count as usize {
        let found = batch.num_rows();
        return Err(problem(format!("announced {row_count} rows, found {found}")));
    }
    Ok(batch)
}

/// Whether every message of the stream lies within it. The Arrow reader allocates what a message announces before it
/// looks for the bytes, and an allocation that fails takes the process down.
fn check_framing(bytes: &[u8]) -> Result<(), &'static str> {
    const CONTINUATION: [u8; 4] = [0xff; 4];
    let mut rest = bytes;
    while !rest.is_empty() {
        let (marker, after) = rest.split_first_chunk::<4>().ok_or("a message is cut short")?;
        if *marker != CONTINUATION {
            return Err("a message does not begin like one");
        }
        let (size, after) = after.split_first_chunk::<4>().ok_or("a message is cut short")?;
        let size = usize::try_from(i32::from_le_bytes(*size)).map_err(|_| "a size is negative")?;
        if size == 0 {
            return Ok(());
        }
        let (head, after) = after.split_at_checked(size).ok_or("a message is cut short")?;
        let message = arrow_ipc::root_as_message(head).map_err(|_| "a message is damaged")?;
        let body = usize::try_from(message.bodyLength()).map_err(|_| "a size is negative")?;
        rest = after.get(body..).ok_or("a message is cut short")?;
    }
    Ok(())
}

/// `batch` with the named own columns replaced by one value each, and encoded again.
///
/// # Errors
/// [`WireError::Rows`] where a replacement is of another type than its column.
pub fn with_columns(
    table: Table,
    batch: &RecordBatch,
    values: &[(&'static str, Cell)],
) -> Result<Vec<u8>, WireError> {
    let problem = |problem: String| WireError::Rows { table: table.as_str(), problem };
    let mut arrays = batch.columns().to_vec();
    for (name, cell) in values {
        let index = table.own_index(name).ok_or_else(|| problem(format!("no column {name}")))?;
        let kind = table.own_columns()[index].kind;
        arrays[index] = column_array(kind, std::iter::repeat_n(cell, batch.num_rows()));
    }
    let batch = RecordBatch::try_new(own_schema(table), arrays)
        .map_err(|error| problem(error.to_string()))?;
    encode_batch(&batch).map_err(|error| problem(error.to_string()))
}

/// The number in a column of the first row, as an f64; `None` where it is null or not a number.
pub fn first_number(table: Table, batch: &RecordBatch, name: &str) -> Option<f64> {
    use arrow_array::cast::AsArray;
    use arrow_array::types::Float64Type;
    let array = batch.column(table.own_index(name)?).as_primitive_opt::<Float64Type>()?;
    (!array.is_empty() && array.is_valid(0)).then(|| array.value(0))
}

/// The word in a column of the first row.
pub fn first_word(table: Table, batch: &RecordBatch, name: &str) -> Option<String> {
    use arrow_array::cast::AsArray;
    let array = batch.column(table.own_index(name)?).as_string_opt::<i32>()?;
    (!array.is_empty() && array.is_valid(0)).then(|| array.value(0).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{ConfusionRow, StepRow};

    fn rows() -> Vec<Row> {
        let row = |step| StepRow { step, risk: Some(0.5), ..StepRow::default() };
        vec![row(0).into_row(), row(7).into_row()]
    }

    #[test]
    fn rows_come_back_as_they_went() {
        let batch = decode(Table::Steps, &encode(Table::Steps, &rows()), 2).expect("decodes");
        assert_eq!(batch.num_rows(), 2);
        assert_eq!(first_number(Table::Steps, &batch, "risk"), Some(0.5));
        assert_eq!(first_number(Table::Steps, &batch, "excess_risk"), None);
        let histogram = Some(vec![1; HISTOGRAM_BINS]);
        let row = ConfusionRow { scope: "samples", histogram, ..ConfusionRow::default() };
        let bytes = encode(Table::Confusion, &[row.into_row()]);
        let batch = decode(Table::Confusion, &bytes, 1).expect("decodes");
        assert_eq!(first_word(Table::Confusion, &batch, "scope").as_deref(), Some("samples"));
    }

    #[test]
    fn the_coordinator_can_fill_in_what_it_knows() {
        let batch = decode(Table::Steps, &encode(Table::Steps, &rows()), 2).expect("decodes");
        let filled = with_columns(Table::Steps, &batch, &[("risk", Cell::Float(0.25))]);
        let batch = decode(Table::Steps, &filled.expect("fills"), 2).expect("decodes");
        assert_eq!(first_number(Table::Steps, &batch, "risk"), Some(0.25));
    }

    #[test]
    fn every_truncation_and_every_flipped_byte_is_refused_or_harmless() {
        let bytes = encode(Table::Steps, &rows());
        for length in 0..bytes.len() - 8 {
            // Dropping only the end-of-stream marker (8 bytes) loses no row.
            assert!(decode(Table::Steps, &bytes[..length], 2).is_err(), "cut at {length}");
        }
        for index in 0..bytes.len() {
            for flip in [0x01, 0x55, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[index] ^= flip;
                if let Ok(batch) = decode(Table::Steps, &damaged, 2) {
                    assert_eq!(batch.num_rows(), 2);
                }
            }
        }
    }

    #[test]
    fn another_table_or_another_count_is_refused() {
        let bytes = encode(Table::Steps, &rows());
        assert!(decode(Table::Jobs, &bytes, 2).is_err());
        assert!(decode(Table::Steps, &bytes, 3).is_err());
        assert!(decode(Table::Steps, &bytes, 0).is_err());
        assert!(decode(Table::Steps, &[], 1).is_err());
    }
}

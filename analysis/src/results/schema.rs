//! The Arrow side of the column list: what type a column has in a file, and the schema of a table.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use domain::table::{HISTOGRAM_BINS, IDENTITY};
use domain::{Column, ColumnType, Table};

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

/// The schema of a table's files: every column nullable, in the order of the column list, without `sweep`.
pub fn table_schema(table: Table) -> SchemaRef {
    schema_of(table.columns())
}

fn schema_of(columns: impl Iterator<Item = &'static Column>) -> SchemaRef {
    let field = |column: &Column| Field::new(column.name, data_type(column.kind), true);
    Arc::new(Schema::new(columns.map(field).collect::<Vec<_>>()))
}

/// The name of the table of [`domain::table::QUANTITIES`], and of its folder.
pub const QUANTITIES: &str = "quantities";

/// The schema of [`QUANTITIES`]: the job and its settings as in every table, then its own columns.
pub fn quantities_schema() -> SchemaRef {
    schema_of(IDENTITY.iter().chain(domain::table::QUANTITIES))
}

/// Whether a file's column of type `found` can be read as `kind`. The name and nullability of a histogram's items do
/// not matter: other writers of Parquet choose their own.
pub(super) fn fits(kind: ColumnType, found: &DataType) -> bool {
    match (kind, found) {
        (ColumnType::Histogram, DataType::FixedSizeList(item, bins)) => {
            *item.data_type() == DataType::Int64 && *bins == HISTOGRAM_BINS as i32
        }
        (kind, found) => data_type(kind) == *found,
    }
}

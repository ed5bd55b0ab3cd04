//! Arrow arrays in the making, one a column of a table.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::{
    BooleanBuilder, FixedSizeListBuilder, Float64Builder, Int32Builder, Int64Builder,
    StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_schema::{DataType, Field, TimeUnit};
use domain::ColumnType;
use domain::table::HISTOGRAM_BINS;
use proto::rows::Value;

/// The Arrow type of a column.
pub fn data_type(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::Int32 => DataType::Int32,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Float64 => DataType::Float64,
        ColumnType::Utf8 => DataType::Utf8,
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnType::Histogram => DataType::FixedSizeList(Arc::new(bin()), HISTOGRAM_BINS as i32),
    }
}

fn bin() -> Field {
    Field::new("item", DataType::Int64, false)
}

/// One column.
pub enum Column {
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Utf8(StringBuilder),
    Boolean(BooleanBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Histogram(Box<FixedSizeListBuilder<Int64Builder>>),
}

impl Column {
    /// A column without a row.
    pub fn new(kind: ColumnType) -> Self {
        match kind {
            ColumnType::Int32 => Self::Int32(Int32Builder::new()),
            ColumnType::Int64 => Self::Int64(Int64Builder::new()),
            ColumnType::Float64 => Self::Float64(Float64Builder::new()),
            ColumnType::Utf8 => Self::Utf8(StringBuilder::new()),
            ColumnType::Boolean => Self::Boolean(BooleanBuilder::new()),
            ColumnType::Timestamp => {
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone("UTC"))
            }
            ColumnType::Histogram => {
                let bins = FixedSizeListBuilder::new(Int64Builder::new(), HISTOGRAM_BINS as i32);
                Self::Histogram(Box::new(bins.with_field(bin())))
            }
        }
    }

    /// Adds a cell. One of another type is null.
    ///
    /// # Panics
    /// If a histogram has another number of bins than [`HISTOGRAM_BINS`].
    pub fn append(&mut self, value: Value<'_>) {
        match (self, value) {
            (Self::Int32(array), value) => array.append_option(match value {
                Value::Int(number) => i32::try_from(number).ok(),
                _ => None,
            }),
            (Self::Int64(array), Value::Int(number)) => array.append_value(number),
            (Self::Int64(array), _) => array.append_null(),
            (Self::Float64(array), Value::Float(number)) => array.append_value(number),
            (Self::Float64(array), _) => array.append_null(),
            (Self::Utf8(array), Value::Text(text)) => array.append_value(text),
            (Self::Utf8(array), _) => array.append_null(),
            (Self::Boolean(array), Value::Bool(flag)) => array.append_value(flag),
            (Self::Boolean(array), _) => array.append_null(),
            (Self::Timestamp(array), Value::Time(micros)) => array.append_value(micros),
            (Self::Timestamp(array), _) => array.append_null(),
            (Self::Histogram(array), Value::Counts(counts)) => {
                array.values().append_slice(counts);
                array.append(true);
            }
            (Self::Histogram(array), _) => {
                array.values().append_slice(&[0; HISTOGRAM_BINS]);
                array.append(false);
            }
        }
    }

    /// The rows so far; the column begins anew.
    pub fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Int32(array) => Arc::new(array.finish()),
            Self::Int64(array) => Arc::new(array.finish()),
            Self::Float64(array) => Arc::new(array.finish()),
            Self::Utf8(array) => Arc::new(array.finish()),
            Self::Boolean(array) => Arc::new(array.finish()),
            Self::Timestamp(array) => Arc::new(array.finish()),
            Self::Histogram(array) => Arc::new(array.finish()),
        }
    }
}

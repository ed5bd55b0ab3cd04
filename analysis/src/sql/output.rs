//! Writing the answer of a query: as a table for people, CSV, JSON lines, or a Parquet file.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use datafusion::arrow::csv;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json;
use datafusion::arrow::json::writer::LineDelimited;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::arrow::util::pretty::pretty_format_batches_with_options;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::error::SqlError;

/// Entries of a list that a table for people shows; a histogram has 200.
const LIST_ENTRIES_MAX: usize = 4;
/// How a table for people shows null, which is not the empty text.
const NULL: &str = "null";

/// How to write an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people: aligned, long lists shortened, the number of rows below.
    Table,
    /// A line of names, then one line a row; null is empty, a list its text.
    Csv,
    /// One object a line, null included.
    Json,
    /// This file, put in place when it is whole.
    Parquet(PathBuf),
}

/// Writes an answer to `out`, or to the file that the format names.
///
/// # Errors
/// If it cannot be written, or the format has no way of saying it.
pub fn write(
    format: &Format,
    batches: &[RecordBatch],
    out: &mut dyn Write,
) -> Result<(), SqlError> {
    match format {
        Format::Table => write_table(batches, out),
        Format::Csv => write_csv(batches, out),
        Format::Json => write_json(batches, out),
        Format::Parquet(path) => write_parquet(path, batches),
    }
}

fn write_table(batches: &[RecordBatch], out: &mut dyn Write) -> Result<(), SqlError> {
    let flat = batches.iter().map(|batch| flat(batch, LIST_ENTRIES_MAX));
    let flat = flat.collect::<Result<Vec<_>, _>>().map_err(SqlError::Format)?;
    let options = FormatOptions::default().with_null(NULL);
    let table = pretty_format_batches_with_options(&flat, &options).map_err(SqlError::Format)?;
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let s = if rows == 1 { "" } else { "s" };
    writeln!(out, "{table}\n{rows} row{s}").map_err(SqlError::Output)
}

/// Batches go through a buffer: the writer's own errors are of another kind than those of `out`, such as a closed pipe.
fn write_csv(batches: &[RecordBatch], out: &mut dyn Write) -> Result<(), SqlError> {
    for (index, batch) in batches.iter().enumerate() {
        let flat = flat(batch, usize::MAX).map_err(SqlError::Format)?;
        let mut buffer = Vec::new();
        let mut writer = csv::WriterBuilder::new().with_header(index == 0).build(&mut buffer);
        writer.write(&flat).map_err(SqlError::Format)?;
        drop(writer);
        out.write_all(&buffer).map_err(SqlError::Output)?;
    }
    Ok(())
}

fn write_json(batches: &[RecordBatch], out: &mut dyn Write) -> Result<(), SqlError> {
    for batch in batches {
        let builder = json::WriterBuilder::new().with_explicit_nulls(true);
        let mut writer = builder.build::<_, LineDelimited>(Vec::new());
        writer.write(batch).and_then(|()| writer.finish()).map_err(SqlError::Format)?;
        out.write_all(&writer.into_inner()).map_err(SqlError::Output)?;
    }
    Ok(())
}

fn write_parquet(path: &Path, batches: &[RecordBatch]) -> Result<(), SqlError> {
    let aside = aside(path);
    let unwritten = |source| SqlError::File { path: path.to_owned(), source };
    let unsaid = |source| SqlError::Parquet { path: path.to_owned(), source };
    let file = File::create(&aside).map_err(unwritten)?;
    let written = fill_parquet(&file, batches).map_err(unsaid);
    let placed = written
        .and_then(|()| file.sync_all().and_then(|()| fs::rename(&aside, path)).map_err(unwritten));
    if placed.is_err() {
        // What went wrong is said already; that half a file stays behind would add nothing.
        let _ = fs::remove_file(&aside);
    }
    placed
}

/// The name under which a file is written until it is whole.
fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

fn fill_parquet(file: &File, batches: &[RecordBatch]) -> parquet::errors::Result<()> {
    let schema = batches.first().map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let properties = WriterProperties::builder().set_compression(zstd).build();
    let mut writer = ArrowWriter::try_new(file, schema, Some(properties))?;
    batches.iter().try_for_each(|batch| writer.write(batch))?;
    writer.close()?;
    Ok(())
}

/// The batch with text in the place of lists and other nested columns, at most `entries_max` entries of a list.
fn flat(batch: &RecordBatch, entries_max: usize) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    let columns = columns.map(|(field, array)| {
        if !field.data_type().is_nested() {
            return Ok((Arc::clone(field), Arc::clone(array)));
        }
        let text = Field::new(field.name(), DataType::Utf8, true);
        Ok((Arc::new(text), Arc::new(texts(array, entries_max)?) as ArrayRef))
    });
    let (fields, arrays): (Vec<_>, Vec<_>) =
        columns.collect::<Result<Vec<_>, ArrowError>>()?.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
}

fn texts(array: &ArrayRef, entries_max: usize) -> Result<StringArray, ArrowError> {
    let whole = ArrayFormatter::try_new(array, &FormatOptions::default())?;
    let text = |row| {
        if array.is_null(row) {
            return Ok(None);
        }
        let fixed = array.as_fixed_size_list_opt().map(|lists| lists.value(row));
        let list = fixed.or_else(|| array.as_list_opt::<i32>().map(|lists| lists.value(row)));
        match list {
            Some(list) if list.len() > entries_max => {
                let entries = ArrayFormatter::try_new(&list, &FormatOptions::default())?;
                let shown = (0..entries_max).map(|entry| entries.value(entry).to_string());
                let shown = shown.collect::<Vec<_>>().join(", ");
                Ok(Some(format!("[{shown}, … {} in all]", list.len())))
            }
            _ => Ok(Some(whole.value(row).try_to_string()?)),
        }
    };
    (0..array.len()).map(text).collect()
}

//! Writing the answer of a query as its rows come: as a table for people, CSV, JSON lines, Arrow IPC, or Parquet.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use datafusion::arrow::csv;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::writer::{FileWriter, StreamWriter};
use datafusion::arrow::json;
use datafusion::arrow::json::writer::LineDelimited;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::arrow::util::pretty::pretty_format_batches_with_options;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::error::SqlError;
use crate::words::counted;

/// Entries of a list that a table for people shows; a histogram has 200.
const LIST_ENTRIES_MAX: usize = 4;
/// Rows of a table for people: it is aligned, so all of it is in memory.
pub const TABLE_ROWS_MAX: usize = 10_000;
/// How a table for people shows null, which is not the empty text.
const NULL: &str = "null";

/// How to write an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people: aligned, long lists shortened, the number of rows below; at most [`TABLE_ROWS_MAX`] rows.
    Table,
    /// A line of names, then one line a row; null is empty, a list its text.
    Csv,
    /// One object a line, null included.
    Json,
    /// A stream of Arrow IPC.
    Arrow,
}

/// Takes an answer, some rows at a time.
pub trait Writer {
    /// Writes the next rows; whether it takes more.
    ///
    /// # Errors
    /// If they cannot be written, or the format has no way of saying them.
    fn write(&mut self, batch: &RecordBatch) -> Result<bool, SqlError>;

    /// Writes what comes after the last row.
    ///
    /// # Errors
    /// As [`Self::write`].
    fn finish(self: Box<Self>) -> Result<(), SqlError>;
}

/// Writes an answer to `out`.
pub fn writer<'a>(format: Format, out: Box<dyn Write + 'a>) -> Box<dyn Writer + 'a> {
    match format {
        Format::Table => Box::new(People { out, batches: Vec::new(), rows: 0, are_more: false }),
        Format::Csv => Box::new(Csv { out, has_begun: false }),
        Format::Json => Box::new(Json { out }),
        Format::Arrow => Box::new(Stream { out, writer: None }),
    }
}

struct People<'a> {
    out: Box<dyn Write + 'a>,
    batches: Vec<RecordBatch>,
    rows: usize,
    are_more: bool,
}

impl Writer for People<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<bool, SqlError> {
        let taken = batch.num_rows().min(TABLE_ROWS_MAX - self.rows);
        self.are_more = taken < batch.num_rows();
        self.rows += taken;
        let batch = flat(&batch.slice(0, taken), LIST_ENTRIES_MAX).map_err(SqlError::Format)?;
        self.batches.push(batch);
        Ok(!self.are_more)
    }

    fn finish(mut self: Box<Self>) -> Result<(), SqlError> {
        let options = FormatOptions::default().with_null(NULL);
        let table = pretty_format_batches_with_options(&self.batches, &options);
        let (table, rows) = (table.map_err(SqlError::Format)?, self.rows);
        let more = match self.are_more {
            true => ", and there are more: LIMIT takes fewer, --format csv or --out FILE has all",
            false => "",
        };
        writeln!(self.out, "{table}\n{}{more}", counted(rows, "row")).map_err(SqlError::Output)
    }
}

/// Rows go through a buffer: the writer's own errors are of another kind than those of `out`, such as a closed pipe.
struct Csv<'a> {
    out: Box<dyn Write + 'a>,
    has_begun: bool,
}

impl Writer for Csv<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<bool, SqlError> {
        let flat = flat(batch, usize::MAX).map_err(SqlError::Format)?;
        let mut buffer = Vec::new();
        let mut writer = csv::WriterBuilder::new().with_header(!self.has_begun).build(&mut buffer);
        writer.write(&flat).map_err(SqlError::Format)?;
        drop(writer);
        self.has_begun = true;
        self.out.write_all(&buffer).map_err(SqlError::Output)?;
        Ok(true)
    }

    fn finish(mut self: Box<Self>) -> Result<(), SqlError> {
        self.out.flush().map_err(SqlError::Output)
    }
}

struct Json<'a> {
    out: Box<dyn Write + 'a>,
}

impl Writer for Json<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<bool, SqlError> {
        let builder = json::WriterBuilder::new().with_explicit_nulls(true);
        let mut writer = builder.build::<_, LineDelimited>(Vec::new());
        writer.write(batch).and_then(|()| writer.finish()).map_err(SqlError::Format)?;
        self.out.write_all(&writer.into_inner()).map_err(SqlError::Output)?;
        Ok(true)
    }

    fn finish(mut self: Box<Self>) -> Result<(), SqlError> {
        self.out.flush().map_err(SqlError::Output)
    }
}

/// Arrow IPC as it comes, for a pipe.
struct Stream<'a> {
    out: Box<dyn Write + 'a>,
    /// Made when the columns are known.
    writer: Option<StreamWriter<Vec<u8>>>,
}

impl Stream<'_> {
    fn pass_on(&mut self) -> Result<(), SqlError> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        self.out.write_all(&std::mem::take(writer.get_mut())).map_err(SqlError::Output)
    }
}

impl Writer for Stream<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<bool, SqlError> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                let begun = StreamWriter::try_new(Vec::new(), &batch.schema());
                none.insert(begun.map_err(SqlError::Format)?)
            }
        };
        writer.write(batch).map_err(SqlError::Format)?;
        self.pass_on()?;
        Ok(true)
    }

    fn finish(mut self: Box<Self>) -> Result<(), SqlError> {
        self.writer.iter_mut().try_for_each(StreamWriter::finish).map_err(SqlError::Format)?;
        self.pass_on()?;
        self.out.flush().map_err(SqlError::Output)
    }
}

/// What a file is filled by.
enum Inside {
    Text(Box<dyn Writer>),
    Arrow(Box<FileWriter<BufWriter<File>>>),
    Parquet(Box<ArrowWriter<File>>),
}

/// An answer in a file, which is put in place when it is whole.
pub struct FileAnswer {
    path: PathBuf,
    /// Where it is until then.
    aside: PathBuf,
    file: File,
    ending: Ending,
    /// Made when the columns are known.
    inside: Option<Inside>,
}

/// The kinds of files, told by their names' endings.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Parquet,
    Arrow,
    Csv,
    Json,
}

impl FileAnswer {
    /// Begins the file at `path`: Parquet, an Arrow IPC file, CSV or JSON lines, by the ending of its name.
    ///
    /// # Errors
    /// Where the ending is another, something else than a file is there, or the place is among the results.
    pub fn create(path: &Path, results: Option<&Path>) -> Result<Self, SqlError> {
        let ending = match path.extension().and_then(|ending| ending.to_str()) {
            Some("parquet") => Ending::Parquet,
            Some("arrow") => Ending::Arrow,
            Some("csv") => Ending::Csv,
            Some("json") => Ending::Json,
            _ => return Err(SqlError::Ending { path: path.to_owned() }),
        };
        let unwritten = |source| SqlError::File { path: path.to_owned(), source };
        // Where it is in truth: links followed, those of the file itself too.
        let place = match fs::metadata(path) {
            Ok(found) if !found.is_file() => {
                return Err(SqlError::NotAFile { path: path.to_owned() });
            }
            Ok(_) => path.canonicalize().map_err(unwritten)?,
            Err(_) => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                let folder = folder.unwrap_or(Path::new(".")).canonicalize().map_err(unwritten)?;
                folder.join(path.file_name().unwrap_or_default())
            }
        };
        let results = results.and_then(|root| root.canonicalize().ok());
        if results.is_some_and(|root| place.starts_with(root)) {
            return Err(SqlError::AmongResults { path: path.to_owned() });
        }
        let mut name = place.as_os_str().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let aside = PathBuf::from(name);
        let file = File::create(&aside).map_err(unwritten)?;
        Ok(Self { path: place, aside, file, ending, inside: None })
    }

    fn unwritten(&self, source: io::Error) -> SqlError {
        SqlError::File { path: self.path.clone(), source }
    }

    /// The same for an error that may be one of writing.
    fn unsaid(&self, error: impl std::error::Error + Send + Sync + 'static) -> SqlError {
        self.unwritten(io::Error::other(error))
    }

    fn begin(&self, schema: &Arc<Schema>) -> Result<Inside, SqlError> {
        let file = self.file.try_clone().map_err(|error| self.unwritten(error))?;
        let text = |format| {
            let out = Box::new(BufWriter::new(file.try_clone()?));
            Ok(Inside::Text(writer(format, out)))
        };
        match self.ending {
            Ending::Csv => text(Format::Csv).map_err(|error| self.unwritten(error)),
            Ending::Json => text(Format::Json).map_err(|error| self.unwritten(error)),
            Ending::Arrow => {
                let writer = FileWriter::try_new(BufWriter::new(file), schema);
                Ok(Inside::Arrow(Box::new(writer.map_err(|error| self.unsaid(error))?)))
            }
            Ending::Parquet => {
                let zstd = Compression::ZSTD(ZstdLevel::default());
                let properties = WriterProperties::builder().set_compression(zstd).build();
                let writer = ArrowWriter::try_new(file, Arc::clone(schema), Some(properties));
                Ok(Inside::Parquet(Box::new(writer.map_err(|error| self.unsaid(error))?)))
            }
        }
    }
}

impl Writer for FileAnswer {
    fn write(&mut self, batch: &RecordBatch) -> Result<bool, SqlError> {
        let mut inside = match self.inside.take() {
            Some(inside) => inside,
            None => self.begin(&batch.schema())?,
        };
        match &mut inside {
            Inside::Text(writer) => {
                writer.write(batch)?;
            }
            Inside::Arrow(writer) => writer.write(batch).map_err(|error| self.unsaid(error))?,
            Inside::Parquet(writer) => writer.write(batch).map_err(|error| self.unsaid(error))?,
        }
        self.inside = Some(inside);
        Ok(true)
    }

    fn finish(mut self: Box<Self>) -> Result<(), SqlError> {
        match self.inside.take() {
            None => {}
            Some(Inside::Text(writer)) => writer.finish()?,
            Some(Inside::Arrow(mut writer)) => {
                writer.finish().map_err(|error| self.unsaid(error))?;
                writer.get_mut().flush().map_err(|error| self.unwritten(error))?;
            }
            Some(Inside::Parquet(writer)) => {
                writer.close().map_err(|error| self.unsaid(error))?;
            }
        }
        let placed = self.file.sync_all().and_then(|()| fs::rename(&self.aside, &self.path));
        placed.map_err(|error| self.unwritten(error))
    }
}

impl Drop for FileAnswer {
    fn drop(&mut self) {
        // In place, it is not here any more. What went wrong is said already; that half a file stays would add nothing.
        drop(fs::remove_file(&self.aside));
    }
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

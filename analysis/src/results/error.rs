//! Why results cannot be read.

use std::io;
use std::path::PathBuf;

use arrow_schema::DataType;
use domain::table::FORMAT;
use domain::{ColumnType, SweepName, Table};
use parquet::errors::ParquetError;

use super::schema::data_type;

/// Every way in which reading results fails. Whatever is wrong with a file names the file.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    #[error("there is no folder {}", path.display())]
    NoSuchFolder { path: PathBuf },
    #[error("{} is a file, not a folder of results", path.display())]
    NotAFolder { path: PathBuf },
    #[error(
        "{} is not a folder of results: it holds none of jobs, steps, confusion, failures, sweeps",
        path.display()
    )]
    NotResults { path: PathBuf },
    #[error("{} holds no sweep: no folder in its tables is called sweep=NAME", path.display())]
    NoSweeps { path: PathBuf },
    #[error("{} cannot be read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} holds no sweep \"{sweep}\"; {}", path.display(), list_of(known))]
    NoSuchSweep { path: PathBuf, sweep: String, known: Vec<SweepName> },
    #[error("the table {} has no column \"{column}\"", table.as_str())]
    NoSuchColumn { table: Table, column: String },
    #[error("{} is cut short: {bytes} bytes of a Parquet file without its end", path.display())]
    Truncated { path: PathBuf, bytes: u64 },
    #[error("{} is damaged, or not a Parquet file", path.display())]
    Damaged { path: PathBuf, source: ParquetError },
    #[error("{} is no segment of {}: it has no column job_id", path.display(), table.as_str())]
    NotASegment { path: PathBuf, table: Table },
    #[error(
        "{} is of format {found}, and this version of gradsweep reads {FORMAT}",
        path.display()
    )]
    Format { path: PathBuf, found: String },
    #[error(
        "the column {column} of {} is {found} where {} is expected",
        path.display(),
        data_type(*expected)
    )]
    WrongType { path: PathBuf, column: &'static str, expected: ColumnType, found: DataType },
}

fn list_of(known: &[SweepName]) -> String {
    match known {
        [] => "it holds none so far".to_owned(),
        known => {
            let names: Vec<_> = known.iter().map(SweepName::as_str).collect();
            format!("there are: {}", names.join(", "))
        }
    }
}

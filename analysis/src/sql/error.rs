//! Why a query has no answer, in words that say what there is instead.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use datafusion::arrow::error::ArrowError;
use datafusion::common::{SchemaError, TableReference};
use datafusion::error::DataFusionError;
use domain::Table;
use domain::settings::suggest::nearest;

use crate::results::{QUANTITIES, ResultsError};

/// Every way in which a query, or writing its answer, fails.
///
/// The engine's own words are part of the message, so they are not the `source` as well.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    #[error(transparent)]
    Results(#[from] ResultsError),
    #[error("the engine cannot start its threads")]
    Runtime(#[source] io::Error),
    #[error("there is no table \"{table}\"; there are: {}", known.join(", "))]
    UnknownTable { table: String, known: Vec<&'static str> },
    #[error(
        "there is no column \"{column}\"{}; there are: {}",
        meant.as_ref().map_or(String::new(), |word| format!(", did you mean {word}?")),
        known.join(", ")
    )]
    UnknownColumn { column: String, meant: Option<String>, known: Vec<String> },
    #[error(
        "only queries are allowed (SELECT, EXPLAIN, DESCRIBE, SHOW): results are never changed"
    )]
    NotAQuery,
    #[error("this query cannot be understood: {}", words(cause))]
    Refused { cause: Box<DataFusionError> },
    #[error("the query failed: {}", words(cause))]
    Failed { cause: Box<DataFusionError> },
    #[error("the answer cannot be put into this format")]
    Format(#[source] ArrowError),
    #[error("the answer cannot be written")]
    Output(#[source] io::Error),
    #[error("the answer cannot be written to {}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{} ends in none of .parquet, .arrow, .csv and .json", path.display())]
    Ending { path: PathBuf },
    #[error("{} is there and is no file", path.display())]
    NotAFile { path: PathBuf },
    #[error("{} lies among the results, which are never changed; write it elsewhere", path.display())]
    AmongResults { path: PathBuf },
    #[error(
        "the query needs more than {} MiB of memory, which is half of what there is: ask for fewer rows or columns",
        bytes >> 20
    )]
    TooLarge { bytes: usize },
    #[error("there is no question \"{name}\"; there are: {}", known.join(", "))]
    UnknownQuestion { name: String, known: Vec<&'static str> },
}

impl SqlError {
    pub(super) fn refused(cause: DataFusionError) -> Self {
        Self::Refused { cause: Box::new(cause) }
    }

    pub(super) fn failed(cause: DataFusionError) -> Self {
        Self::Failed { cause: Box::new(cause) }
    }

    /// Why no plan was found for a query that names these tables.
    pub(super) fn of_plan(cause: DataFusionError, tables: &[TableReference]) -> Self {
        if let DataFusionError::SchemaError(error, _) = cause.find_root()
            && let SchemaError::FieldNotFound { field, valid_fields } = error.as_ref()
        {
            let mut seen = BTreeSet::new();
            let names = valid_fields.iter().map(|valid| valid.name().to_owned());
            let known: Vec<_> = names.filter(|name| seen.insert(name.clone())).collect();
            let column = field.flat_name();
            let meant = meant_column(&column, field.name(), &known);
            return Self::UnknownColumn { column, meant, known };
        }
        let text = cause.to_string();
        let is_missing = |table: &&TableReference| {
            Table::from_name(table.table()).is_none()
                && table.table() != QUANTITIES
                && text.contains(&format!("{}' not found", table.table()))
        };
        match tables.iter().find(is_missing) {
            Some(table) => {
                let known =
                    Table::ALL.iter().map(|table| table.as_str()).chain([QUANTITIES]).collect();
                Self::UnknownTable { table: table.table().to_owned(), known }
            }
            None => Self::refused(cause),
        }
    }
}

/// The column that was meant: a setting by its name in the sweep file, with a dot, or a misspelt word.
fn meant_column(column: &str, last: &str, known: &[String]) -> Option<String> {
    let undotted = column.replace('.', "_").to_lowercase();
    let words = || known.iter().map(String::as_str);
    let same = words().find(|word| *word == undotted);
    same.or_else(|| nearest(&last.to_lowercase(), words())).map(str::to_owned)
}

/// Whether a failure may come from the files rather than from the query.
pub(super) fn is_about_files(cause: &DataFusionError) -> bool {
    use ArrowError as A;
    use DataFusionError as E;
    match cause.find_root() {
        E::ParquetError(_) | E::ObjectStore(_) | E::IoError(_) | E::External(_) => true,
        E::ExecutionJoin(_) | E::Internal(_) | E::Execution(_) | E::Plan(_) => true,
        E::ArrowError(error, _) => !matches!(
            error.as_ref(),
            A::DivideByZero | A::ArithmeticOverflow(_) | A::MemoryError(_)
        ),
        _ => false,
    }
}

/// The engine's words in one line, without its names for the kinds of errors.
fn words(cause: &DataFusionError) -> String {
    let text = match cause.find_root() {
        DataFusionError::SQL(error, _) => match error.as_ref() {
            datafusion::sql::sqlparser::parser::ParserError::ParserError(text)
            | datafusion::sql::sqlparser::parser::ParserError::TokenizerError(text) => text.clone(),
            other => other.to_string(),
        },
        DataFusionError::Plan(text) | DataFusionError::NotImplemented(text) => text.clone(),
        DataFusionError::Execution(text) => text.clone(),
        other => other.strip_backtrace(),
    };
    let text = text.split(DataFusionError::BACK_TRACE_SEP).next().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

//! The analysis of gradsweep: reading results, the table that ends a run, statistics, claims, figures, the report, SQL.
//!
//! It knows results as files: it never talks to a coordinator, and the column list in `domain` is all it shares with
//! those who write them. `sql` brings DataFusion and stands behind the feature of that name; all else needs Arrow and
//! Parquet alone.

pub mod claims;
pub mod figures;
pub mod report;
pub mod results;
pub mod scaling;
pub mod simulated;
#[cfg(feature = "sql")]
pub mod sql;
pub mod statistics;
pub mod study;
pub mod summary;
pub mod theorem;
mod words;

pub use results::{Frame, Results, ResultsError};
pub use study::Study;
pub use summary::ClosingTable;

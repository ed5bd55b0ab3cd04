//! The words of gradsweep: what a sweep is, which jobs it asks for, what a job measures and how it ends.
//!
//! Pure: no I/O, no clock, no async, no Arrow, no protobuf. Every other crate speaks in these types, and the list of
//! result columns in [`table`] is the contract between those who write results and those who read them.

pub mod axis;
pub mod canonical;
pub mod failure;
pub mod grid;
pub mod id;
pub mod json;
pub mod row;
pub mod settings;
pub mod spec;
pub mod sweep;
pub mod sweep_file;
pub mod table;
pub mod time;
pub mod value;

pub use canonical::CanonicalError;
pub use failure::{FailureClass, FailureReport};
pub use id::{AttemptNo, Digest, Epoch, JobId, JournalId, SweepId, SweepName, WorkerId};
pub use row::{Cell, ConfusionRow, JobFigures, Row, StepRow};
pub use settings::{Field, SettingError, Settings};
pub use spec::{FileFacts, JobSpec};
pub use sweep::{FieldChange, Point, Sweep};
pub use sweep_file::{DataPath, Draft, SweepFileError};
pub use table::{Column, ColumnType, Table};
pub use time::Timestamp;
pub use value::Value;

//! The coordinator of gradsweep: the pure job machine, its journal, the Parquet sink, the async shell.
//!
//! shell → {machine, journal, sink}; machine knows none of the others. See ARCHITECTURE.md.

pub mod config;
pub mod journal;
pub mod machine;
pub mod shell;
pub mod sink;

pub use config::Config;
pub use shell::{Coordinator, Place, ServeError, serve};

//! The coordinator of gradsweep: the pure job machine, its journal, the Parquet sink, the async shell.

pub mod config;

pub use config::Config;

//! Data sets: generated inputs and labels, and the IDX files of the MNIST family.

pub mod bundle;
mod error;

pub use bundle::{Bundle, Facts};
pub use error::DataError;

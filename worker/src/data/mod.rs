//! Data sets: generated inputs and labels, the IDX files of the MNIST family, and the archives of CIFAR.
//!
//! Everything drawn comes from the data seed, row by row, and never depends on the network: every cell of a sweep sees
//! the same examples.

pub mod bundle;
mod cifar;
mod error;
mod idx;
mod inputs;
mod labels;
mod set;

pub use bundle::{Bundle, Facts};
pub use error::DataError;
pub use labels::{Label, accuracy, targets};
pub use set::{Dataset, Examples, load};

#[cfg(test)]
mod tests;

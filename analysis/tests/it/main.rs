//! What the analysis makes of files on a disk: reading them, and the table that ends a run.

mod results;
mod sample;
mod summary;

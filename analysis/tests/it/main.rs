//! What the analysis makes of files on a disk: reading them, and the table that ends a run.

#![expect(clippy::unwrap_used, reason = "test helpers are tests too")]

mod claims;
mod figures;
mod kept;
mod report;
mod results;
mod sample;
mod scaling_claim;
mod study;
mod summary;
mod sweeps;
mod truth;

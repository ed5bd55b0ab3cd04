//! Real processes, killed again and again: too long for every run of the tests, so each has to be asked for.
//!
//! ```text
//! cargo test --release --test chaos -- --ignored --nocapture --test-threads 1
//! GRADSWEEP_KILLS=1000 GRADSWEEP_STORMS=100    how often, where that is not enough or too much
//! GRADSWEEP_CUTS=20 GRADSWEEP_SYNCS=5          power cuts; disks whose sync fails
//! GRADSWEEP_FAR_STORMS=5                       kill storms on hosts behind slow and lossy wires
//! GRADSWEEP_AWAY=600                           seconds for which the coordinator is away
//! GRADSWEEP_BATCHES=1000000                    batches of one row each
//! ```
//!
//! What is checked is always the same: everything that was acknowledged is there, and the Parquet content is row for row
//! and bit for bit that of an undisturbed run.

#![expect(clippy::disallowed_methods, reason = "kills come at random times")]

use std::process::{Command, Stdio};

#[path = "../it/beyond.rs"]
mod beyond;
#[path = "../it/content.rs"]
mod content;
#[expect(dead_code, reason = "shared with tests/it, which uses all of it")]
#[path = "../it/harness.rs"]
mod harness;
#[path = "../../benches/orchestration/idle_worker.rs"]
mod idle_worker;
#[path = "../it/skip.rs"]
mod skip;

mod away;
mod batches;
mod calm;
mod clocks;
mod disks;
mod kills;
mod memory;
mod mounts;
mod partition;
mod slurm;
mod steps;
mod storms;
mod wire;

/// How often: the variable's number, or else `usual`.
fn times(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().map_or(usual, |text| text.parse().expect("a number"))
}

/// Whether a command of the machine's does what it is asked; it tells nobody.
fn works(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A generator whose seed is told, so that a run can be repeated as far as processes allow.
fn chance(of: &str) -> rand_chacha::ChaCha8Rng {
    let seed = times("GRADSWEEP_SEED", 1);
    println!("{of}: GRADSWEEP_SEED={seed}");
    rand::SeedableRng::seed_from_u64(seed)
}

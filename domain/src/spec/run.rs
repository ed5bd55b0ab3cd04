//! How the jobs of a sweep are run. Nothing here can change a result row, so none of it is part of a job's identity.

use std::time::Duration;

use super::words;

/// Most threads of one job: they share the images of a minibatch or a tile, and more cores than this are rare in one machine.
pub const THREADS_MAX: u32 = 256;

/// The `[run]` section of a sweep file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunPolicy {
    /// How often a job may fail of its own before it is abandoned.
    pub attempts: u32,
    /// Higher goes first.
    pub priority: i32,
    /// The longest an attempt may run.
    pub timeout: Option<Duration>,
    /// How often a running job stores a checkpoint.
    pub checkpoint: Duration,
    pub keep_weights: KeepWeights,
    /// Threads of one job, from 1 to [`THREADS_MAX`]. Only convolutional networks use more than one.
    pub threads: u32,
    /// Bytes that one job needs; estimated where `None`.
    pub memory: Option<u64>,
}

impl Default for RunPolicy {
    fn default() -> Self {
        Self {
            attempts: 3,
            priority: 0,
            timeout: None,
            checkpoint: Duration::from_secs(60),
            keep_weights: KeepWeights::None,
            threads: 1,
            memory: None,
        }
    }
}

words! {
    /// Which weights are kept with the results: those at the last step, or at every measured one, as long as they are finite.
    KeepWeights { None = "none", Final = "final", Measured = "measured" }
}

impl KeepWeights {
    /// Whether the weights of a measured step are kept; `is_last`: whether the trial ends there.
    pub fn keeps(self, is_last: bool) -> bool {
        match self {
            Self::None => false,
            Self::Final => is_last,
            Self::Measured => true,
        }
    }

    /// At how many steps weights were kept by a trial that has measured `measured` steps and is not over.
    pub fn kept_by(self, measured: u64) -> u64 {
        if self.keeps(false) { measured } else { 0 }
    }
}

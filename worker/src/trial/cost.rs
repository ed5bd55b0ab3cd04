//! What a job costs, from its spec alone.

use domain::JobSpec;

/// Floating-point operations and memory of one job.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    pub training_flop: f64,
    pub measuring_flop: f64,
    pub memory_bytes: u64,
}

/// The cost of the job.
pub fn cost(spec: &JobSpec) -> Cost {
    Cost { training_flop: spec.train.steps as f64, measuring_flop: 0.0, memory_bytes: 0 }
}

//! The `[run]` section. Its fields do not depend on each other, and hold for the whole sweep: what they ask of its points is
//! checked where the points are.

use crate::settings::{Field, Settings};
use crate::spec::{KeepWeights, RunPolicy};

pub(super) fn build(settings: &Settings) -> RunPolicy {
    let default = RunPolicy::default();
    let duration = |field| humantime::parse_duration(settings.text(field)?).ok();
    let keep_weights = settings.text(Field::RunKeepWeights).and_then(KeepWeights::from_word);
    RunPolicy {
        attempts: settings.int(Field::RunAttempts).unwrap_or(default.attempts),
        priority: settings.int(Field::RunPriority).unwrap_or(default.priority),
        timeout: duration(Field::RunTimeout).or(default.timeout),
        checkpoint: duration(Field::RunCheckpoint).unwrap_or(default.checkpoint),
        keep_weights: keep_weights.unwrap_or(default.keep_weights),
        threads: settings.int(Field::RunThreads).unwrap_or(default.threads),
        memory: settings.int(Field::RunMemory).or(default.memory),
    }
}

//! How long to wait before the next try to reach the coordinator.

use std::time::Duration;

use domain::WorkerId;

/// The first wait: a coordinator that restarts is back in about this time.
pub const FIRST: Duration = Duration::from_millis(50);

/// The longest wait: 10,000 workers then make 2,000 tries a second, which one coordinator takes.
pub const LONGEST: Duration = Duration::from_secs(5);

/// The wait before try `number` (from 0): [`FIRST`], doubling up to [`LONGEST`], of which half is jitter, so that a
/// fleet that lost its coordinator at one instant does not come back at one instant. The jitter is a hash of the worker
/// and the number: different on every worker, with no source of randomness.
pub fn wait(worker: WorkerId, number: u32) -> Duration {
    let whole = FIRST.saturating_mul(1 << number.min(16)).min(LONGEST);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&worker.0).update(&number.to_le_bytes());
    let share = f64::from(hasher.finalize().as_bytes()[0]) / 255.0;
    whole.mul_f64(0.5 + 0.5 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_their_limit_and_differ_between_workers() {
        for number in 0..40 {
            let whole = FIRST.saturating_mul(1 << number.min(16)).min(LONGEST);
            let wait = wait(WorkerId([3; 16]), number);
            assert!(whole / 2 <= wait && wait <= whole, "{number}: {wait:?}");
        }
        let fleet: std::collections::BTreeSet<_> =
            (0..100).map(|id| wait(WorkerId([id; 16]), 9)).collect();
        assert!(fleet.len() > 50);
    }
}

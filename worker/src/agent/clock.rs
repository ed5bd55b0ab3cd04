//! The clocks. Only this file of the worker reads one; what lies below the agent never does.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use domain::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// The time of day.
#[expect(clippy::disallowed_methods, reason = "one of the two places that read the clock")]
pub fn wall() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::ZERO + since_epoch
}

/// A point to measure durations from; it never steps back.
#[expect(clippy::disallowed_methods, reason = "one of the two places that read the clock")]
pub fn instant() -> Instant {
    Instant::now()
}

/// As [`instant`], on the clock of tokio's timers, which tests may stop.
pub fn timer() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// CPU time of this process so far, all threads together.
pub fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_never_falls_and_the_wall_clock_is_of_this_century() {
        let (before, after) = (cpu(), cpu());
        assert!(before <= after);
        assert!(wall() > Timestamp::from_millis(946_684_800_000));
    }
}

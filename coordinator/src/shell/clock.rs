//! The one place of the coordinator that reads a clock.

use std::time::{SystemTime, UNIX_EPOCH};

use domain::Timestamp;
use tokio::time::Instant;

/// A clock that starts at the wall-clock time and then only runs forward: when the machine's clock is set, no lease runs
/// out early and none lasts for ever. It is the clock of tokio's timers, which a simulation may turn.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Timestamp,
    since: Instant,
}

impl Clock {
    /// A clock that begins now, or at `latest` if the wall clock was set back behind it.
    #[expect(clippy::disallowed_methods, reason = "the coordinator's one reading of the clocks")]
    pub fn start(latest: Timestamp) -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = i64::try_from(wall.as_micros()).unwrap_or(i64::MAX);
        Self { started: Timestamp::from_micros(micros).max(latest), since: Instant::now() }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.started + self.since.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_goes_on_where_the_journal_left_off() {
        let later = Timestamp::from_millis(i64::MAX / 4_000);
        assert!(Clock::start(later).now() >= later);
        assert!(Clock::start(Timestamp::ZERO).now() < later);
    }
}

//! The one place of the coordinator that reads a clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use domain::Timestamp;

use crate::machine::{Change, Event};

/// A clock that starts at the wall-clock time and then only runs forward: when the machine's clock is set, no lease runs
/// out early and none lasts for ever.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Timestamp,
    since: Instant,
}

impl Clock {
    /// A clock that begins now, or where `events` left off.
    #[expect(clippy::disallowed_methods, reason = "the coordinator's one reading of the clocks")]
    pub fn start(events: &[Event]) -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = i64::try_from(wall.as_micros()).unwrap_or(i64::MAX);
        let started = started_at(Timestamp::from_micros(micros), events);
        Self { started, since: Instant::now() }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.started + self.since.elapsed()
    }
}

/// Where a clock starts that must not run behind the journal: at the wall-clock time, or at the latest time in `events`
/// if the wall clock was set back since. Else a job that waits for its next try would wait for as long as it was set back.
pub fn started_at(wall: Timestamp, events: &[Event]) -> Timestamp {
    let times = events.iter().filter_map(|event| match event {
        Event::Submitted(submitted) => Some(submitted.at),
        Event::Job { change: Change::Failed(failed), .. } => Some(failed.at),
        _ => None,
    });
    times.fold(wall, Timestamp::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Submitted;

    #[test]
    fn a_clock_that_was_set_back_goes_on_where_the_journal_left_off() {
        let at = Timestamp::from_millis;
        let (canonical, file_name, file_text) = (String::new(), String::new(), String::new());
        let events =
            [Event::Submitted(Submitted { canonical, file_name, file_text, at: at(5_000) })];
        assert_eq!(started_at(at(1_000), &events), at(5_000));
        assert_eq!(started_at(at(9_000), &events), at(9_000));
    }
}

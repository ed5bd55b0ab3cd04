//! How long a sweep still takes, from how fast it went lately.

use std::collections::VecDeque;
use std::time::Duration;

/// How far back speed is looked at: long enough for a few jobs to end, short enough to notice that jobs got larger.
const WINDOW: Duration = Duration::from_secs(120);

/// Before this much of a run is seen, a guess says nothing.
const WARM_UP: Duration = Duration::from_secs(3);

/// Samples kept; more come in a window only if snapshots come faster than people read.
const SAMPLES_MAX: usize = 1_024;

/// Work done at points in time. Work is in jobs, with fractions of those that run.
#[derive(Debug, Default)]
pub struct Estimate {
    samples: VecDeque<(Duration, f64)>,
}

impl Estimate {
    /// At `elapsed` since the start, `done` of the work is done.
    pub fn observe(&mut self, elapsed: Duration, done: f64) {
        if self.samples.len() >= SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back((elapsed, done));
        // The newest sample outside the window stays: it is where the window begins.
        while self.samples.get(1).is_some_and(|(at, _)| *at + WINDOW < elapsed) {
            self.samples.pop_front();
        }
    }

    /// How long the rest of `total` takes; `None` while that cannot be said.
    pub fn left(&self, elapsed: Duration, total: f64) -> Option<Duration> {
        let (first, before) = *self.samples.front()?;
        let (_, done) = *self.samples.back()?;
        let seen = elapsed.saturating_sub(first);
        let speed = (done - before) / seen.as_secs_f64();
        if seen < WARM_UP || !speed.is_finite() || speed <= 0.0 {
            return None;
        }
        Duration::try_from_secs_f64(((total - done) / speed).max(0.0)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn work_that_was_done_before_the_start_does_not_count_as_speed() {
        let mut estimate = Estimate::default();
        estimate.observe(seconds(0), 900.0);
        assert_eq!(estimate.left(seconds(2), 1_000.0), None);
        estimate.observe(seconds(10), 910.0);
        assert_eq!(estimate.left(seconds(10), 1_000.0), Some(seconds(90)));
    }

    #[test]
    fn nothing_is_said_while_nothing_moves_or_work_is_lost() {
        let mut estimate = Estimate::default();
        assert_eq!(estimate.left(seconds(9), 10.0), None);
        estimate.observe(seconds(0), 5.0);
        estimate.observe(seconds(10), 5.0);
        assert_eq!(estimate.left(seconds(10), 10.0), None);
        estimate.observe(seconds(20), 4.5);
        assert_eq!(estimate.left(seconds(20), 10.0), None);
    }

    #[test]
    fn only_the_speed_of_late_counts() {
        let mut estimate = Estimate::default();
        for at in 0..=1_000 {
            estimate.observe(seconds(at), at as f64);
        }
        for at in 1_001..=1_200 {
            estimate.observe(seconds(at), 1_000.0 + (at - 1_000) as f64 / 10.0);
        }
        let left = estimate.left(seconds(1_200), 1_021.0).expect("it moves");
        assert!(left > seconds(8) && left < seconds(12), "{left:?}");
    }
}

//! The clock. Only this file of the command line reads it; everything that computes with time is handed a point in time.

use std::time::Instant;

/// A point to measure durations from.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of the command line that reads the clock"
)]
pub fn now() -> Instant {
    Instant::now()
}

//! The log of a long-running process: events to standard error, from INFO on unless the environment says otherwise.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::config;
use crate::paint::Paint;

/// Starts the log. What a process logs before is lost, so this comes first.
pub fn start() {
    let filter =
        EnvFilter::try_new(config::log_filter()).unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(Paint::of(&io::stderr()) == Paint::Colour);
    // It fails only where a log was started before: one is enough.
    drop(log.try_init());
}

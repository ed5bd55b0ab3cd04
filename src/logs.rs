//! The log of a long-running process: events to standard error, from INFO on unless the environment says otherwise.

use std::io;

use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config;
use crate::paint::Paint;

/// Starts the log. What a process logs before is lost, so this comes first.
pub fn start() {
    let log = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(Paint::of(&io::stderr()) == Paint::Colour);
    // It fails only where a log was started before: one is enough.
    drop(
        tracing_subscriber::registry()
            .with(log.with_filter(filter(&config::log_filter())))
            .try_init(),
    );
}

/// The levels that `directives` asks for, as in "warn,coordinator=debug"; INFO everywhere where it cannot be read.
fn filter(directives: &str) -> Targets {
    directives.parse().unwrap_or_else(|_| Targets::new().with_default(Level::INFO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read_and_nonsense_means_info() {
        let asked = filter("warn,coordinator=debug");
        assert!(asked.would_enable("coordinator::shell", &Level::DEBUG));
        assert!(!asked.would_enable("worker", &Level::INFO));
        let nonsense = filter("coordinator=loudest");
        assert!(nonsense.would_enable("worker", &Level::INFO));
        assert!(!nonsense.would_enable("worker", &Level::DEBUG));
    }
}

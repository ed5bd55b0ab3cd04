//! How the end of a trial process is read: its exit code or signal, its last words and the kernel's counters.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use domain::{FailureClass, FailureReport};
use proto::limits::LOG_TAIL_BYTES_MAX;

/// A trial process that ended before its job did.
#[derive(Clone, Debug)]
pub struct Death {
    pub status: ExitStatus,
    /// The last lines of its standard error.
    pub log_tail: String,
    /// Which counter of kills for memory rose while it ran; `None`: none.
    pub oom_evidence: Option<String>,
}

const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;

impl Death {
    /// Whether somebody asked it to go, as those do who stop everything on a host.
    pub fn was_asked_for(&self) -> bool {
        matches!(self.status.signal(), Some(1 | 2 | SIGKILL | 15)) && self.oom_evidence.is_none()
    }

    /// What to report of the attempt.
    pub fn report(self) -> FailureReport {
        let (exit_code, signal) = (self.status.code(), self.status.signal());
        // What the allocator writes before it aborts.
        let refused =
            self.log_tail.lines().rev().find(|line| line.contains("memory allocation of"));
        let (class, message) = match (signal, &self.oom_evidence, refused) {
            (Some(SIGKILL), Some(evidence), _) => (
                FailureClass::OutOfMemory,
                format!("the kernel killed the trial process for memory: {evidence}"),
            ),
            (Some(SIGABRT), _, Some(line)) => {
                (FailureClass::OutOfMemory, format!("the trial process ran out of memory: {line}"))
            }
            (Some(number), ..) => {
                let name = signal_name(number);
                (FailureClass::Signal, format!("the trial process was ended by {name}"))
            }
            (None, ..) => {
                let code = exit_code.unwrap_or(-1);
                (FailureClass::Exit, format!("the trial process exited with code {code}"))
            }
        };
        FailureReport { exit_code, signal, log_tail: self.log_tail, ..failure(class, &message) }
    }
}

/// A report with its message within the bounds of the wire.
pub fn failure(class: FailureClass, message: &str) -> FailureReport {
    let end = message.floor_char_boundary(LOG_TAIL_BYTES_MAX.min(message.len()));
    FailureReport::new(class, &message[..end])
}

/// The report of a trial that its agent ended for its time.
pub fn timeout(limit: Duration, log_tail: String) -> FailureReport {
    let message = format!("the trial ran longer than its limit of {} s", limit.as_secs_f64());
    FailureReport { log_tail, signal: Some(SIGKILL), ..failure(FailureClass::Timeout, &message) }
}

fn signal_name(number: i32) -> String {
    let name = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        4 => "SIGILL",
        SIGABRT => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        SIGKILL => "SIGKILL",
        11 => "SIGSEGV",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        _ => return format!("signal {number}"),
    };
    format!("{name} ({number})")
}

/// An error and its causes on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: i32, oom: bool, log: &str, class: FailureClass) -> FailureReport {
        let oom_evidence = oom.then(|| "oom_kill rose".to_owned());
        let death = Death { status: ExitStatus::from_raw(raw), log_tail: log.into(), oom_evidence };
        let report = death.report();
        assert_eq!(report.class, class, "{report:?}");
        assert_eq!(report.log_tail, log);
        report
    }

    #[test]
    fn exit_codes_signals_and_kills_for_memory_are_told_apart() {
        assert_eq!(check(3 << 8, false, "", FailureClass::Exit).exit_code, Some(3));
        assert_eq!(check(0, true, "", FailureClass::Exit).exit_code, Some(0));
        assert_eq!(check(11, true, "", FailureClass::Signal).signal, Some(11));
        assert_eq!(check(9, false, "", FailureClass::Signal).signal, Some(9));
        assert_eq!(check(9, true, "", FailureClass::OutOfMemory).signal, Some(9));
        let words = "memory allocation of 64 bytes failed";
        assert_eq!(check(6, false, words, FailureClass::OutOfMemory).signal, Some(6));
        assert_eq!(check(6, false, "panicked", FailureClass::Signal).signal, Some(6));
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let long = "é".repeat(LOG_TAIL_BYTES_MAX);
        let report = failure(FailureClass::Bug, &long);
        assert!(report.message.len() <= LOG_TAIL_BYTES_MAX && !report.message.is_empty());
    }
}

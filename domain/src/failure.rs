//! How an attempt ends without a result. A diverged trial is a result, and so is not here.

use std::fmt;
use std::str::FromStr;

/// Why an attempt gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureClass {
    /// It ran longer than `run.timeout`.
    Timeout,
    /// The kernel killed it for memory, or it asked for more than it may have.
    OutOfMemory,
    /// A signal ended the trial process.
    Signal,
    /// The trial process exited without an outcome.
    Exit,
    /// The job itself was refused: its spec, its data, or that it needs more memory than `run.memory`. Tried again it would
    /// be refused again, so it is given up at once.
    Refused,
    /// The data or a checkpoint could not be had.
    Input,
    /// gradsweep itself failed: a panic, or a broken promise between its parts.
    Bug,
    /// The worker vanished and its lease ran out.
    LeaseLost,
}

impl FailureClass {
    /// Every class, in the order of their meaning.
    pub const ALL: [Self; 8] = [
        Self::Timeout,
        Self::OutOfMemory,
        Self::Signal,
        Self::Exit,
        Self::Refused,
        Self::Input,
        Self::Bug,
        Self::LeaseLost,
    ];

    /// The name in tables, on the wire and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::OutOfMemory => "out-of-memory",
            Self::Signal => "signal",
            Self::Exit => "exit",
            Self::Refused => "refused",
            Self::Input => "input",
            Self::Bug => "bug",
            Self::LeaseLost => "lease-lost",
        }
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no class.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{found}\" is not a failure class")]
pub struct UnknownClass {
    pub found: String,
}

impl FromStr for FailureClass {
    type Err = UnknownClass;

    fn from_str(text: &str) -> Result<Self, UnknownClass> {
        let named = Self::ALL.into_iter().find(|class| class.as_str() == text);
        named.ok_or_else(|| UnknownClass { found: text.chars().take(40).collect() })
    }
}

/// What is known of an attempt that ended without a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureReport {
    pub class: FailureClass,
    /// Exit code of the trial process, where it exited.
    pub exit_code: Option<i32>,
    /// Number of the signal that ended it, where one did.
    pub signal: Option<i32>,
    /// One line for a person.
    pub message: String,
    /// The last lines the trial process wrote to its standard error.
    pub log_tail: String,
}

impl FailureReport {
    /// A report of `class` with its message and nothing else known.
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { class, exit_code: None, signal: None, message, log_tail: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_reads_back_by_its_name() {
        for class in FailureClass::ALL {
            assert_eq!(class.as_str().parse(), Ok(class));
        }
        assert!("Timeout".parse::<FailureClass>().is_err());
    }
}

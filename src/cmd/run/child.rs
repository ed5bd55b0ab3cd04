//! A child process of a run: the same binary, in a process group of its own so that Ctrl-C at the terminal reaches only
//! the run, and with a pipe as standard input whose end tells it that the run is gone.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::{ChildStdin, Command};

use super::place::Place;
use crate::failure::Failure;

/// A running child.
pub struct Child {
    process: tokio::process::Child,
    pid: Option<Pid>,
    log: PathBuf,
    /// Where in the log its own words begin.
    log_start: u64,
    _stdin: Option<ChildStdin>,
}

impl Child {
    /// Starts `gradsweep ARGUMENTS --exit-with-parent`; what it says goes to the log called `name`.
    pub fn start(place: &Place, name: &str, arguments: &[OsString]) -> Result<Self, Failure> {
        let failed = |source| Failure::Start { name: name.to_owned(), source };
        let log = place.open_log(name)?;
        let log_start = log.metadata().map_err(failed)?.len();
        let mut process = Command::new(program().map_err(failed)?)
            .args(arguments)
            .arg("--exit-with-parent")
            .stdin(Stdio::piped())
            .stdout(Stdio::from(log.try_clone().map_err(failed)?))
            .stderr(Stdio::from(log))
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let pid = process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let stdin = process.stdin.take();
        Ok(Self { process, pid, log: place.log(name), log_start, _stdin: stdin })
    }

    /// Where it writes what it says.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines that it wrote there.
    pub fn last_words(&self) -> String {
        tail(&self.log, self.log_start)
    }

    /// How it ended, once it has. Nothing is lost if the wait is given up.
    pub async fn ended(&mut self) -> ExitStatus {
        // Waiting fails only for a process that was waited for elsewhere, which nothing does.
        self.process.wait().await.unwrap_or_default()
    }

    /// Asks it to leave in good order.
    pub fn ask_to_leave(&self) {
        if let (Some(pid), Some(_)) = (self.pid, self.process.id()) {
            // It may have left just now.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Ends it and whatever it started, at once.
    pub fn kill(&self) {
        if let (Some(pid), Some(_)) = (self.pid, self.process.id()) {
            // It may have left just now.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }

    /// Asks it to leave, and ends it where that takes longer than `grace`.
    pub async fn stop(&mut self, grace: Duration) -> ExitStatus {
        self.ask_to_leave();
        if let Ok(status) = tokio::time::timeout(grace, self.ended()).await {
            return status;
        }
        self.kill();
        self.ended().await
    }
}

/// This binary. Where it was replaced while it ran (a new build), the kernel still has the one that runs.
fn program() -> io::Result<PathBuf> {
    let path = env::current_exe()?;
    Ok(if path.exists() { path } else { PathBuf::from("/proc/self/exe") })
}

/// Bytes at the end of a log that are looked at for its last lines.
const TAIL_BYTES: u64 = 16 << 10;

/// Lines of a log in an error message.
const TAIL_LINES: usize = 8;

/// The last lines of a log from `start` on.
fn tail(log: &Path, start: u64) -> String {
    let text = last_bytes(log, start).unwrap_or_else(|error| format!("(no log: {error})"));
    let all: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &all[all.len().saturating_sub(TAIL_LINES)..];
    if last.is_empty() { "  (nothing)".to_owned() } else { format!("  {}", last.join("\n  ")) }
}

fn last_bytes(log: &Path, start: u64) -> io::Result<String> {
    let mut file = File::open(log)?;
    let start = start.max(file.metadata()?.len().saturating_sub(TAIL_BYTES));
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_tail_is_the_last_lines_of_the_process_itself() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = folder.path().join("x.log");
        assert!(tail(&log, 0).contains("no log"));
        fs::write(&log, "an earlier process\n").expect("writes");
        assert_eq!(tail(&log, 19), "  (nothing)");
        fs::write(&log, "an earlier process\nb\n\nc\n").expect("writes");
        assert_eq!(tail(&log, 19), "  b\n  c");
        fs::write(&log, "line\n".repeat(10_000)).expect("writes");
        assert_eq!(tail(&log, 0).lines().count(), TAIL_LINES);
    }
}

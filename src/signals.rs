//! How a process of gradsweep is asked to stop: signals, and the end of the process that started it.

use std::io::{self, Read};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// A wish that this process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM, SIGUSR1 or SIGHUP, from a scheduler, a service manager or a terminal that closes.
    Terminate,
}

/// The signals that ask this process to stop, from now on handled here alone.
pub struct Stops {
    interrupt: Signal,
    terminate: Signal,
    user: Signal,
    /// None under `nohup`, which wants it ignored.
    hang_up: Option<Signal>,
}

impl Stops {
    /// Starts to listen.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            user: signal(SignalKind::user_defined1())?,
            hang_up: match ignores_hang_up() {
                true => None,
                false => Some(signal(SignalKind::hangup())?),
            },
        })
    }

    /// The next signal. Nothing is lost if the wait is given up.
    pub async fn next(&mut self) -> Stop {
        let Self { interrupt, terminate, user, hang_up } = self;
        let hung_up = async { hang_up.as_mut()?.recv().await };
        tokio::select! {
            _ = interrupt.recv() => Stop::Interrupt,
            _ = terminate.recv() => Stop::Terminate,
            _ = user.recv() => Stop::Terminate,
            Some(()) = hung_up => Stop::Terminate,
        }
    }
}

/// Whether this process was started to ignore SIGHUP. Where nobody tells, it was not.
fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}

/// Resolves when standard input ends, where `wanted`: the process at its other end is gone, however it ended. Never
/// resolves otherwise.
pub async fn parent_gone(wanted: bool) {
    if !wanted {
        return std::future::pending().await;
    }
    let (tell, told) = oneshot::channel::<()>();
    // A thread of its own: a read of standard input cannot be given up, and would hold the runtime's end up.
    std::thread::spawn(move || {
        let mut ignored = [0; 64];
        let mut input = io::stdin().lock();
        loop {
            match input.read(&mut ignored) {
                Ok(0) => break,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => break,
                Ok(_) | Err(_) => {}
            }
        }
        drop(tell);
    });
    // The sender is dropped, never used: either way the wait is over.
    drop(told.await);
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn a_terminal_that_closes_asks_to_stop_as_a_scheduler_does() {
        if ignores_hang_up() {
            return;
        }
        let mut stops = Stops::listen().expect("listens");
        kill_process(getpid(), Signal::HUP).expect("is sent");
        assert_eq!(stops.next().await, Stop::Terminate);
    }
}

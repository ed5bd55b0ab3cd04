//! How a process of gradsweep is asked to stop: signals, and the end of the process that started it.

use std::io::{self, Read};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// A wish that this process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM or SIGUSR1, from a scheduler or a service manager.
    Terminate,
}

/// The signals that ask this process to stop, from now on handled here alone.
pub struct Stops {
    interrupt: Signal,
    terminate: Signal,
    user: Signal,
}

impl Stops {
    /// Starts to listen.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            user: signal(SignalKind::user_defined1())?,
        })
    }

    /// The next signal. Nothing is lost if the wait is given up.
    pub async fn next(&mut self) -> Stop {
        tokio::select! {
            _ = self.interrupt.recv() => Stop::Interrupt,
            _ = self.terminate.recv() => Stop::Terminate,
            _ = self.user.recv() => Stop::Terminate,
        }
    }
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

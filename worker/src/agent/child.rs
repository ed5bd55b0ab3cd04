//! A trial process as the agent sees it: started, told, heard, and ended.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::frame::{Frame, FrameError};
use super::message::{FromTrial, ToTrial};
use super::tail::Tail;

/// Frames read ahead of the slot. With a full queue the pipe fills, and the trial waits in its write.
const FRAMES_WAITING: usize = 2;

/// How long a trial process may leave an order unread. Its reading thread does nothing else, so it is stuck then.
const ORDER_LIMIT: Duration = Duration::from_secs(10);

/// How long a trial process may take to leave when there is nothing left to do.
const EXIT_LIMIT: Duration = Duration::from_secs(2);

/// How to start a trial process.
#[derive(Clone, Debug)]
pub struct Launch {
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
}

/// A running trial process. It does not outlive this value: its input closes and it is killed.
pub struct Child {
    process: tokio::process::Child,
    input: ChildStdin,
    frames: mpsc::Receiver<Result<FromTrial, FrameError>>,
    log: Arc<Mutex<Tail>>,
    log_reader: JoinHandle<()>,
}

/// How a trial process ended.
pub struct Remains {
    pub status: ExitStatus,
    pub log_tail: String,
}

impl Child {
    /// Starts one, in a process group of its own: what a terminal or a batch system sends to the agent's group is the
    /// agent's to hear.
    pub fn start(launch: &Launch) -> io::Result<Self> {
        let mut process = Command::new(&launch.program)
            .args(&launch.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let missing = || io::Error::from(io::ErrorKind::BrokenPipe);
        let input = process.stdin.take().ok_or_else(missing)?;
        let output = process.stdout.take().ok_or_else(missing)?;
        let errors = process.stderr.take().ok_or_else(missing)?;
        let (sender, frames) = mpsc::channel(FRAMES_WAITING);
        tokio::spawn(read_frames(output, sender));
        let log = Arc::new(Mutex::new(Tail::default()));
        let log_reader = tokio::spawn(read_log(errors, Arc::clone(&log)));
        Ok(Self { process, input, frames, log, log_reader })
    }

    /// Whether it has not ended.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Tells the process something. An error means that it is dead or stuck.
    pub async fn tell(&mut self, message: &ToTrial) -> io::Result<()> {
        let head = Frame::from(message).head();
        let written = timeout(ORDER_LIMIT, self.input.write_all(&head)).await;
        written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// What it says next; `None`: it closed its output. May be cancelled.
    pub async fn hear(&mut self) -> Option<Result<FromTrial, FrameError>> {
        self.frames.recv().await
    }

    /// Forgets what it wrote to its standard error so far.
    pub fn forget_log(&self) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The last lines it wrote to its standard error.
    pub fn log_tail(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).text()
    }

    /// Ends it by force and waits for it.
    pub async fn kill(mut self) -> io::Result<Remains> {
        // Fails where it is dead already, which is what is wanted.
        drop(self.process.start_kill());
        self.wait().await
    }

    /// Closes its input and waits; by force if it takes its time.
    pub async fn leave(mut self) -> io::Result<Remains> {
        // A dead one hears nothing, and its status says why.
        drop(self.tell(&ToTrial::Exit).await);
        self.frames.close();
        if timeout(EXIT_LIMIT, self.process.wait()).await.is_err() {
            drop(self.process.start_kill());
        }
        self.wait().await
    }

    async fn wait(mut self) -> io::Result<Remains> {
        let status = self.process.wait().await?;
        // Its last words are in the pipe; only a grandchild could hold that open for longer.
        drop(timeout(EXIT_LIMIT, &mut self.log_reader).await);
        Ok(Remains { status, log_tail: self.log_tail() })
    }
}

async fn read_frames(mut output: ChildStdout, frames: mpsc::Sender<Result<FromTrial, FrameError>>) {
    loop {
        let message = match Frame::read_async(&mut output).await {
            Ok(Some(frame)) => FromTrial::try_from(frame),
            Ok(None) => return,
            Err(error) => Err(error),
        };
        let is_last = message.is_err();
        if frames.send(message).await.is_err() || is_last {
            return;
        }
    }
}

async fn read_log(mut errors: ChildStderr, log: Arc<Mutex<Tail>>) {
    let mut piece = vec![0; 4 << 10];
    while let Ok(length @ 1..) = errors.read(&mut piece).await {
        log.lock().unwrap_or_else(PoisonError::into_inner).push(&piece[..length]);
    }
}

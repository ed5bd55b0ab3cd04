//! The trial process: it runs one job after the other, as the agent at the other end of its pipes says.
//!
//! One thread reads: orders for the running job must arrive while it runs, and the end of its input means that the agent
//! is gone, so that nobody wants the results; the process then leaves at once, in the middle of a job or not. The other
//! thread runs the jobs and writes.

use std::any::Any;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use domain::spec::KeepWeights;
use domain::{Digest, FailureClass, JobSpec, Table};
use proto::rows;

use super::ending::chain;
use super::frame::{Frame, FrameError};
use super::jobs_row::Facts;
use super::message::{FromTrial, Start, ToTrial};
use super::reporter::{Orders, Reporter};
use super::{clock, host};
use crate::data::{Bundle, DataError};
use crate::trial::{self, Ending, Given, TrialError};

/// Exit code of a trial process whose pipes failed: I/O, as everywhere in gradsweep.
const EXIT_IO: u8 = 74;

/// Jobs that wait in the process: the agent sends one when the one before has ended.
const STARTS_WAITING: usize = 1;

/// The body of the hidden subcommand `trial`: jobs come on standard input, what they measure leaves on standard output.
pub fn trial_process() -> ExitCode {
    outlive_signals();
    let pipes = io::stdin().as_fd().try_clone_to_owned().and_then(|input| {
        Ok((File::from(input), File::from(io::stdout().as_fd().try_clone_to_owned()?)))
    });
    let leave = |code| move || std::process::exit(code);
    match pipes {
        Ok((input, mut output)) => match serve(input, &mut output, leave(0)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(EXIT_IO),
        },
        Err(_) => ExitCode::from(EXIT_IO),
    }
}

/// Makes the signals that stop a host, a batch step or a terminal's job do nothing here: they are for the agent, which
/// asks for a checkpoint first. The handlers stay when the runtime that set them is gone.
fn outlive_signals() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else {
        return;
    };
    let _context = runtime.enter();
    for kind in [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
        SignalKind::user_defined1(),
        SignalKind::user_defined2(),
    ] {
        drop(signal(kind));
    }
}

/// Runs the jobs that `input` names until it says [`ToTrial::Exit`]. Where it ends without, or makes no sense, `gone` is
/// called on the reading thread.
fn serve<W: Write>(
    input: impl Read + Send + 'static,
    output: &mut W,
    gone: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let orders = Arc::new(Orders::default());
    let (sender, starts) = sync_channel(STARTS_WAITING);
    let reader_orders = Arc::clone(&orders);
    std::thread::Builder::new().name("orders".into()).spawn(move || {
        if !matches!(read_orders(input, &sender, &reader_orders), Ok(Over::InOrder)) {
            gone();
        }
    })?;
    run_jobs(&starts, output, &orders)
}

/// How the agent's orders ended.
enum Over {
    InOrder,
    Abruptly,
}

fn read_orders(
    mut input: impl Read,
    starts: &SyncSender<Start>,
    orders: &Orders,
) -> Result<Over, FrameError> {
    while let Some(frame) = Frame::read(&mut input)? {
        match ToTrial::try_from(frame)? {
            ToTrial::Start(start) => {
                if starts.send(start).is_err() {
                    return Ok(Over::InOrder);
                }
            }
            ToTrial::Checkpoint { tag } => orders.checkpoint.store(tag, Ordering::Release),
            ToTrial::Stop { tag, keep: true } => orders.hand_back.store(tag, Ordering::Release),
            ToTrial::Stop { tag, keep: false } => orders.stop.store(tag, Ordering::Release),
            ToTrial::Exit => return Ok(Over::InOrder),
        }
    }
    Ok(Over::Abruptly)
}

fn run_jobs(
    starts: &Receiver<Start>,
    output: &mut impl Write,
    orders: &Arc<Orders>,
) -> io::Result<()> {
    let host = host::name();
    let mut bundle = None;
    while let Ok(start) = starts.recv() {
        run_job(&start, &host, &mut bundle, Reporter::new(output, Arc::clone(orders), &start))?;
    }
    Ok(())
}

/// Runs one job and tells how it ended. An error means that nobody listens any more.
fn run_job<W: Write>(
    start: &Start,
    host: &str,
    bundle: &mut Option<Bundle>,
    mut reporter: Reporter<'_, W>,
) -> io::Result<()> {
    host::reset_peak_memory();
    let (started_at, cpu_before) = (clock::wall(), clock::cpu());
    // A panic leaves the reporter and the bundle as they are: whole, for neither is changed half-way by a trial.
    let caught = catch_unwind(AssertUnwindSafe(|| run_trial(start, bundle, &mut reporter)));
    let (class, message) = match caught {
        Ok(Ok((spec, Ending::Finished(figures)))) => {
            let facts = Facts {
                spec: &spec,
                canonical: &start.spec,
                figures: &figures,
                host,
                started_at,
                finished_at: clock::wall(),
                wall: reporter.elapsed(),
                cpu: clock::cpu().saturating_sub(cpu_before),
                peak_memory_bytes: host::peak_memory_bytes(),
            };
            let cells = rows::encode(Table::Jobs, &[facts.row()]);
            return reporter.tell_result(cells);
        }
        Ok(Ok((_, Ending::Stopped { step }))) => {
            return reporter.tell_only(FromTrial::Stopped { step });
        }
        Ok(Err(error)) => (error.class(), chain(&error)),
        Err(panic) => (FailureClass::Bug, format!("the trial panicked: {}", words_of(&*panic))),
    };
    reporter.tell_only(FromTrial::Failed { class, message })
}

/// Why a job cannot be run here.
#[derive(Debug, thiserror::Error)]
enum JobError {
    #[error("the job's spec cannot be read")]
    Spec(#[source] Box<domain::CanonicalError>),
    #[error("{path} cannot be read")]
    File { path: String, source: io::Error },
    #[error("the data set in {path} cannot be used")]
    Bundle { path: String, source: DataError },
    #[error("the data set in {path} has the digest {found}, the job asks for {expected}")]
    OtherData { path: String, found: Digest, expected: Digest },
    #[error("the trial cannot start")]
    Trial(#[from] TrialError),
}

impl JobError {
    fn class(&self) -> FailureClass {
        match self {
            Self::File { .. } | Self::Bundle { .. } | Self::OtherData { .. } => FailureClass::Input,
            Self::Trial(TrialError::Checkpoint(_) | TrialError::DataMissing) => FailureClass::Input,
            Self::Spec(_)
            | Self::Trial(
                TrialError::Data(_)
                | TrialError::Overlap { .. }
                | TrialError::ExamplesInTrainMode
                | TrialError::TooFewGradients { .. }
                | TrialError::NotImages { .. }
                | TrialError::NotMeasured { .. }
                | TrialError::EndedBefore { .. }
                | TrialError::Zero { .. },
            ) => FailureClass::Refused,
        }
    }
}

fn run_trial<W: Write>(
    start: &Start,
    bundle: &mut Option<Bundle>,
    reporter: &mut Reporter<'_, W>,
) -> Result<(JobSpec, Ending), JobError> {
    let spec =
        JobSpec::from_canonical(&start.spec).map_err(|error| JobError::Spec(Box::new(error)))?;
    let data = match (&start.bundle, spec.data.digest) {
        (Some(path), Some(digest)) => Some(load(bundle, path, digest)?),
        _ => None,
    };
    let resume = match &start.resume {
        Some(resume) => Some(read(&resume.path)?),
        None => None,
    };
    let keep = KeepWeights::from_word(&start.keep_weights).unwrap_or(KeepWeights::None);
    let given = Given { data, resume: resume.as_deref(), threads: start.threads as usize, keep };
    let ending = trial::run(&spec, given, reporter)?;
    Ok((spec, ending))
}

fn read(path: &str) -> Result<Vec<u8>, JobError> {
    fs::read(path).map_err(|source| JobError::File { path: path.to_owned(), source })
}

/// The data set of this digest: the one of the job before, or that in the file.
fn load<'a>(
    bundle: &'a mut Option<Bundle>,
    path: &str,
    expected: Digest,
) -> Result<&'a Bundle, JobError> {
    let kept = bundle.take().filter(|bundle| bundle.digest() == expected);
    let loaded = match kept {
        Some(kept) => kept,
        None => Bundle::from_bytes(&read(path)?)
            .map_err(|source| JobError::Bundle { path: path.to_owned(), source })?,
    };
    let found = loaded.digest();
    if found != expected {
        return Err(JobError::OtherData { path: path.to_owned(), found, expected });
    }
    Ok(bundle.insert(loaded))
}

fn words_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

#[cfg(test)]
pub mod tests;

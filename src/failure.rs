//! Why a command failed, in words for the person at the terminal, with what to do next and its exit code.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use analysis::ResultsError;
use analysis::report::ReportError;
use coordinator::ServeError;
use domain::{SweepFileError, SweepName};
use proto::connection::ConnectionError;
use proto::error::{ApiError, CallError};
use store::{OpenError, PrepareError};
use worker::agent::AgentError;

use crate::text;

/// The exit codes, as `--help` lists them. Scripts rely on them: add, never renumber.
pub const EXIT_CODES: &str = "\
Exit codes:
    0  done; jobs that diverged are results
    1  the answer is no: jobs were abandoned or cancelled
    2  the input is wrong: flags, a sweep file, a refused submission
   65  the journal is damaged, or of another format
   69  no coordinator answers
   70  gradsweep itself failed
   73  another process uses the folder
   74  a file, folder or socket cannot be used
   75  drained or preempted with work left: run the same command again
   76  versions that do not work together
   77  the coordinator does not accept the token
  130  interrupted";

/// Every way a command ends without doing what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("cannot read the sweep file {}", path.display())]
    ReadSweep { path: PathBuf, source: io::Error },
    #[cfg(feature = "sql")]
    #[error("cannot read the query in {}", path.display())]
    ReadQuery { path: PathBuf, source: io::Error },
    #[error("the sweep file is not valid\n{0}")]
    BadSweep(SweepFileError),
    #[error("{} takes {} to hand in, and at most {} are taken{}", path.display(), text::bytes(*found), text::bytes(*limit), longest(axis))]
    LongSweep { path: PathBuf, found: u64, limit: u64, axis: Option<(String, u64)> },
    #[error("there is no home folder to keep the connection file in")]
    NoStateFolder,
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the connection to the coordinator was lost {} ago and does not come back", text::duration(*after))]
    Lost { after: Duration, source: CallError },
    #[error("data set {digest} of the sweep cannot be read again for its upload")]
    Upload { digest: domain::Digest, source: worker::data::DataError },
    #[error("the data in {} changed since the sweep file was read", folder.display())]
    DataChanged { folder: PathBuf },
    #[error("no worker is called {name}{}", list_of(" there are: ", known))]
    NoSuchWorker { name: String, known: Vec<String> },
    #[error("run.threads is {threads}, and this machine has {} for a job", text::counted(u64::from(*cores), "core"))]
    TooFewCores { threads: u32, cores: u32 },
    #[error("cannot use {}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("{} is used by another gradsweep{}", folder.display(), process_of(*process))]
    InUse { folder: PathBuf, process: Option<u32> },
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Worker(#[from] AgentError),
    #[error("cannot set up this process: signals, threads or timers")]
    Setup(#[source] io::Error),
    #[error("cannot start {name}")]
    Start { name: String, source: io::Error },
    #[error("the coordinator process ended by itself ({status}); its last words:\n{tail}")]
    CoordinatorDied { status: ExitStatus, log: PathBuf, tail: String },
    #[error("the coordinator process does not answer after {}; its last words:\n{tail}", text::duration(*after))]
    CoordinatorSilent { after: Duration, log: PathBuf, tail: String },
    #[error(
        "worker processes keep ending ({status}, {count} times in a minute); the last words of one:\n{tail}"
    )]
    WorkersDie { status: ExitStatus, count: usize, log: PathBuf, tail: String },
    #[error("{}", unfinished(sweep, *abandoned, *cancelled))]
    Unfinished { sweep: SweepName, abandoned: u64, cancelled: u64 },
    #[error("stopped with work left")]
    WorkLeft,
    #[error("interrupted")]
    Interrupted,
    #[error("the watch ended; the sweep goes on")]
    WatchEnded,
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Results(#[from] ResultsError),
    #[error(transparent)]
    Report(ReportError),
    #[error(transparent)]
    Export(#[from] ExportError),
    #[cfg(feature = "sql")]
    #[error(transparent)]
    Sql(analysis::sql::SqlError),
    #[cfg(feature = "sql")]
    #[error("the live rows cannot be taken")]
    Live(#[from] coordinator::sink::LiveError),
    #[cfg(not(feature = "sql"))]
    #[error(
        "this gradsweep was built without SQL; `cargo install --path . --features sql` builds it with, and any engine that \
         reads Parquet (DuckDB, polars, pandas) reads the results folder as it stands"
    )]
    NoSql,
    #[error("cannot write the output")]
    Output(#[source] io::Error),
}

/// Why a job cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("--weights and --data name the same file, {}: each needs its own", path.display())]
    OneFile { path: PathBuf },
    #[error("{} has no job whose id begins with \"{prefix}\" among its {count}", folder.display())]
    NoJob { folder: PathBuf, prefix: String, count: u64 },
    #[error("{count} jobs have an id that begins with \"{prefix}\": {}, ...", ids.join(", "))]
    Ambiguous { prefix: String, count: usize, ids: Vec<String> },
    #[error("the stored spec of job {job} cannot be read")]
    Spec { job: String, source: Box<domain::CanonicalError> },
    #[error("job {job} has no measured step with a risk in the table steps")]
    NoStep { job: String },
    #[error("job {job} reads the data set {digest}, which is in no folder that was named")]
    NoData { job: String, digest: domain::Digest },
    #[error("the kept weights of job {job} at step {step} cannot be taken")]
    Kept { job: String, step: u64, source: analysis::results::WeightsError },
    #[error("job {job} cannot be run again to this step")]
    Trial { job: String, source: worker::trial::TrialError },
}

impl Failure {
    /// The exit code; see [`EXIT_CODES`].
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Unfinished { .. } => 1,
            Self::ReadSweep { .. }
            | Self::BadSweep(_)
            | Self::LongSweep { .. }
            | Self::NoStateFolder
            | Self::NoSuchWorker { .. }
            | Self::TooFewCores { .. }
            | Self::Open(_)
            | Self::DataChanged { .. } => 2,
            Self::Connection(error) => connection_code(error),
            Self::Call(error) => call_code(error),
            Self::Lost { .. } => 69,
            Self::Export(ExportError::Kept { .. }) => 74,
            Self::Export(_) => 2,
            Self::InUse { .. } => 73,
            Self::Serve(error) if error.is_in_use() => 73,
            Self::Serve(error) if error.is_unreadable() => 65,
            Self::Worker(error) => worker_code(error),
            Self::Folder { .. }
            | Self::Serve(_)
            | Self::Setup(_)
            | Self::Start { .. }
            | Self::Upload { .. }
            | Self::Output(_) => 74,
            Self::CoordinatorDied { status, .. } | Self::WorkersDie { status, .. } => {
                // A child speaks the same codes; one that was killed by a signal has none.
                status
                    .code()
                    .and_then(|code| u8::try_from(code).ok())
                    .filter(is_fault)
                    .unwrap_or(70)
            }
            Self::CoordinatorSilent { .. } => 69,
            Self::WorkLeft => 75,
            Self::Interrupted | Self::WatchEnded => 130,
            Self::Results(error) => results_code(error),
            Self::Report(ReportError::Results(error)) => results_code(error),
            Self::Report(ReportError::Write { .. }) => 74,
            #[cfg(feature = "sql")]
            Self::ReadQuery { .. } => 2,
            #[cfg(feature = "sql")]
            Self::Sql(error) => sql_code(error),
            #[cfg(feature = "sql")]
            Self::Live(error) => {
                if error.is_foreign() {
                    76
                } else {
                    74
                }
            }
            #[cfg(not(feature = "sql"))]
            Self::NoSql => 2,
        }
    }

    /// What to do next, for failures whose own words do not say it.
    pub fn advice(&self) -> Option<String> {
        let text = match self {
            Self::ReadSweep { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "check the path; sweeps/quickstart.toml is one to start from"
            }
            Self::BadSweep(_) => {
                "mend the lines above; `gradsweep plan FILE` checks a file and runs nothing"
            }
            Self::LongSweep { .. } => {
                "make two axes of it, whose points are all pairs of their values, or several sweeps"
            }
            Self::NoStateFolder => "name the file with --connection FILE",
            Self::Connection(ConnectionError::Read { .. }) => {
                "start one with `gradsweep coordinator`, or name its file with --connection FILE or $GRADSWEEP_CONNECTION"
            }
            Self::Connection(
                ConnectionError::Malformed { .. } | ConnectionError::Format { .. },
            ) => {
                "take the file that the coordinator wrote at its start, from the same version of gradsweep"
            }
            Self::Call(error) => return call_advice(error).map(str::to_owned),
            Self::Lost { .. } => {
                "the sweep goes on where its workers are; run the same command again to look"
            }
            Self::DataChanged { .. } => "run the command again: it reads the data anew",
            Self::NoSuchWorker { .. } => "`gradsweep workers` lists them",
            Self::TooFewCores { .. } => {
                "set run.threads to no more than the cores: the jobs and their results are the same with any number"
            }
            Self::Open(OpenError::NotBuilt { .. }) => {
                "`cargo install --path . --features cloud` builds it with them (`--features sql,cloud` with SQL as well)"
            }
            Self::Open(OpenError::Settings { .. }) => {
                "credentials, region and endpoint come from AWS_*, GOOGLE_* and AZURE_* in the environment: docs/results.md"
            }
            Self::Serve(ServeError::Results(PrepareError::ManyCreators { .. })) => {
                "keep the results in a store with conditional writes (S3, Google, Azure, SeaweedFS), or in a folder"
            }
            Self::Serve(ServeError::Results(PrepareError::Unusable { .. })) => {
                "see that the bucket is there and that AWS_*, GOOGLE_* or AZURE_* in the environment fit: docs/results.md"
            }
            Self::Export(ExportError::NoJob { .. }) => {
                "the column job_id of the table jobs lists them; its first digits do, where no other job has them"
            }
            Self::Export(ExportError::Ambiguous { .. }) => "give more digits of the id",
            Self::Export(ExportError::Kept { .. }) => {
                "--train-again makes the same weights anew, from the job's spec"
            }
            Self::Export(ExportError::NoData { .. }) => {
                "name the folder with its files, or one above it, with --data-folder DIR"
            }
            Self::Folder { .. } | Self::Report(ReportError::Write { .. }) => {
                "check that the folder exists, is yours to write, and that its disk has room"
            }
            Self::InUse { .. } => {
                "wait for it or stop it (Ctrl-C), or choose another folder with --out DIR"
            }
            Self::Serve(error) if error.is_in_use() => {
                "stop the other coordinator, or choose another --journal DIR"
            }
            Self::Serve(ServeError::Listen { .. }) => {
                "choose another --listen HOST:PORT; port 0 takes a free one"
            }
            Self::Worker(AgentError::Unreachable { .. }) => {
                "see that the coordinator runs and that --connection names its file"
            }
            Self::Worker(AgentError::Denied { .. }) => {
                "copy the coordinator's connection file anew"
            }
            Self::Worker(AgentError::Incompatible { .. }) => {
                "use the same version of gradsweep for the coordinator and its workers"
            }
            Self::Worker(AgentError::RowsKept { .. }) => "give it more with --rows-memory SIZE",
            Self::Worker(AgentError::Cache { .. } | AgentError::CachePath { .. }) => {
                "choose another folder with --cache DIR"
            }
            Self::CoordinatorDied { status, log, .. } if status.code() == Some(65) => {
                return Some(format!(
                    "{UNREADABLE} with --out; the whole log is {}",
                    log.display()
                ));
            }
            Self::Serve(error) if error.is_unreadable() => {
                return Some(format!("{UNREADABLE} with --journal and --results"));
            }
            Self::CoordinatorDied { log, .. } | Self::CoordinatorSilent { log, .. } => {
                return Some(format!(
                    "run the same command again: nothing that was measured is lost; the whole log is {}",
                    log.display()
                ));
            }
            Self::WorkersDie { log, .. } => {
                return Some(format!(
                    "the whole log is {}; where memory is short, --workers N starts fewer of them; then run the same \
                     command again, it goes on",
                    log.display()
                ));
            }
            Self::Unfinished { sweep, .. } => {
                return Some(format!(
                    "the table `failures` has every failed attempt; handing {sweep} in again gives these jobs new ones"
                ));
            }
            Self::WorkLeft | Self::Interrupted => "the same command goes on from here",
            Self::Results(error) | Self::Report(ReportError::Results(error)) => {
                return results_advice(error).map(str::to_owned);
            }
            _ => return None,
        };
        Some(text.to_owned())
    }

    /// Whether it is a way to end rather than something that went wrong.
    pub fn is_stop(&self) -> bool {
        match self {
            Self::WorkLeft | Self::Interrupted | Self::WatchEnded => true,
            Self::Output(error) => error.kind() == io::ErrorKind::BrokenPipe,
            _ => false,
        }
    }
}

/// What to do where the journal cannot be read; the option that names other folders follows.
const UNREADABLE: &str = "put a copy of the journal in its place, or begin anew in another folder: what is in \
    the Parquet files is whole and stays readable. Choose the folder";

/// Codes by which a child says what went wrong; others are not of gradsweep's making.
fn is_fault(code: &u8) -> bool {
    matches!(code, 2 | 65 | 69 | 70 | 73 | 74 | 76 | 77)
}

fn connection_code(error: &ConnectionError) -> u8 {
    match error {
        ConnectionError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => 69,
        ConnectionError::Read { .. } | ConnectionError::Write { .. } => 74,
        ConnectionError::Malformed { .. } => 2,
        ConnectionError::Format { .. } => 76,
    }
}

fn call_code(error: &CallError) -> u8 {
    match error {
        CallError::Answer(
            ApiError::Unknown { .. } | ApiError::Invalid { .. } | ApiError::Refused { .. },
        ) => 2,
        CallError::Answer(ApiError::Unavailable { .. }) | CallError::Unreachable { .. } => 69,
        CallError::Answer(ApiError::Unauthenticated) => 77,
        CallError::Answer(ApiError::Incompatible { .. }) | CallError::Malformed(_) => 76,
        CallError::Server { .. } => 70,
        CallError::BadConnection { .. } => 2,
    }
}

fn call_advice(error: &CallError) -> Option<&'static str> {
    match error {
        CallError::Answer(ApiError::Unknown { .. }) => Some("`gradsweep status` lists the sweeps"),
        CallError::Answer(ApiError::Invalid { .. } | ApiError::Refused { .. }) => None,
        CallError::Answer(ApiError::Unavailable { .. }) => Some("try again in a moment"),
        CallError::Answer(ApiError::Unauthenticated) => {
            Some("copy the coordinator's connection file anew, or name it with --connection FILE")
        }
        CallError::Answer(ApiError::Incompatible { .. }) | CallError::Malformed(_) => {
            Some("use the gradsweep version of the coordinator")
        }
        CallError::Unreachable { .. } => Some(
            "see that the coordinator runs and can be reached from here, and that --connection names its file",
        ),
        CallError::Server { .. } => Some("see the coordinator's log"),
        CallError::BadConnection { .. } => {
            Some("take the connection file that the coordinator wrote at its start")
        }
    }
}

fn longest(axis: &Option<(String, u64)>) -> String {
    let said = |(field, count): &(String, u64)| {
        format!(": axis {field} has {}", text::counted(*count, "value"))
    };
    axis.as_ref().map(said).unwrap_or_default()
}

fn worker_code(error: &AgentError) -> u8 {
    match error {
        AgentError::Slots { .. } | AgentError::RowsKept { .. } | AgentError::CachePath { .. } => 2,
        AgentError::Unreachable { .. } => 69,
        AgentError::Cache { .. } => 74,
        AgentError::Incompatible { .. } => 76,
        AgentError::Denied { .. } => 77,
    }
}

fn results_code(error: &ResultsError) -> u8 {
    match error {
        ResultsError::NoSuchFolder { .. }
        | ResultsError::NotAFolder { .. }
        | ResultsError::NotResults { .. }
        | ResultsError::NoSuchSweep { .. }
        | ResultsError::NoSuchColumn { .. } => 2,
        _ => 74,
    }
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Results(error) => Self::Results(error),
            error => Self::Report(error),
        }
    }
}

#[cfg(feature = "sql")]
impl From<analysis::sql::SqlError> for Failure {
    fn from(error: analysis::sql::SqlError) -> Self {
        use analysis::sql::SqlError;
        match error {
            SqlError::Results(error) => Self::Results(error),
            SqlError::Output(error) => Self::Output(error),
            error => Self::Sql(error),
        }
    }
}

/// What to do with results that cannot be read.
fn results_advice(error: &ResultsError) -> Option<&'static str> {
    match error {
        ResultsError::Truncated { .. }
        | ResultsError::Damaged { .. }
        | ResultsError::NotASegment { .. }
        | ResultsError::WrongType { .. } => Some(
            "put a whole copy in its place, or move it away: then rows that no other file has are missing",
        ),
        ResultsError::Format { .. } => {
            Some("read it with the version that wrote it, or a newer one")
        }
        ResultsError::NoSweeps { .. } => {
            Some("name the folder that holds jobs/sweep=NAME, as `gradsweep run --out` was told")
        }
        _ => None,
    }
}

#[cfg(feature = "sql")]
fn sql_code(error: &analysis::sql::SqlError) -> u8 {
    use analysis::sql::SqlError;
    match error {
        SqlError::Runtime(_) | SqlError::Output(_) | SqlError::File { .. } => 74,
        SqlError::Failed { .. } | SqlError::TooLarge { .. } => 74,
        _ => 2,
    }
}

fn unfinished(sweep: &SweepName, abandoned: u64, cancelled: u64) -> String {
    let counts = [(abandoned, "abandoned"), (cancelled, "cancelled")];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let counts = counts.map(|(count, word)| format!("{} {word}", text::counted(count, "job")));
    format!("sweep {sweep} has no result of {}", counts.collect::<Vec<_>>().join(" and "))
}

fn list_of(intro: &str, names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(";{intro}{}", names.join(", ")) }
}

fn process_of(process: Option<u32>) -> String {
    process.map(|process| format!(" (process {process})")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[track_caller]
    fn check(failure: Failure, code: u8) {
        assert_eq!(failure.exit_code(), code, "{failure}");
        let listed = |line: &str| line.trim_start().starts_with(&format!("{code} "));
        assert!(EXIT_CODES.lines().any(listed), "{code} is in --help");
    }

    fn died(raw: i32) -> Failure {
        let (log, tail) = (PathBuf::from("log"), String::new());
        Failure::CoordinatorDied { status: ExitStatus::from_raw(raw), log, tail }
    }

    #[test]
    fn every_code_is_listed_in_the_help() {
        let not_found = || io::Error::from(io::ErrorKind::NotFound);
        let url = String::new;
        check(Failure::Output(io::ErrorKind::BrokenPipe.into()), 0);
        check(
            Failure::Unfinished { sweep: "a".parse().expect("a name"), abandoned: 3, cancelled: 0 },
            1,
        );
        check(Failure::ReadSweep { path: "x".into(), source: not_found() }, 2);
        check(ConnectionError::Read { path: "x".into(), source: not_found() }.into(), 69);
        check(CallError::Unreachable { url: url(), reason: url() }.into(), 69);
        check(died(9), 70);
        check(died(1 << 8), 70);
        check(died(65 << 8), 65);
        check(died(73 << 8), 73);
        check(died(74 << 8), 74);
        check(Failure::InUse { folder: "x".into(), process: Some(7) }, 73);
        check(Failure::Output(io::ErrorKind::StorageFull.into()), 74);
        check(Failure::WorkLeft, 75);
        check(CallError::Answer(ApiError::Incompatible { reason: url() }).into(), 76);
        check(CallError::Answer(ApiError::Unauthenticated).into(), 77);
        check(Failure::Interrupted, 130);
    }
}

//! The subcommands, one file each. Argument structs do no I/O; commands write their answers to an [`Output`].

mod cancel;
mod coordinator;
mod drain;
mod explain;
mod export;
mod flush;
mod jobs;
mod pause;
mod plan;
mod report;
mod retry;
mod run;
mod sql;
mod status;
mod submit;
mod version;
mod watch;
mod worker;
mod workers;

use clap::Subcommand;

use crate::failure::Failure;
use crate::output::Output;

/// Everything that gradsweep does.
#[derive(Debug, Subcommand)]
pub enum Command {
    Plan(plan::PlanArgs),
    Run(run::RunArgs),
    Submit(submit::SubmitArgs),
    Watch(watch::WatchArgs),
    Status(status::StatusArgs),
    Jobs(jobs::JobsArgs),
    Workers(workers::WorkersArgs),
    Explain(explain::ExplainArgs),
    Cancel(cancel::CancelArgs),
    Pause(pause::PauseArgs),
    Resume(pause::ResumeArgs),
    Retry(retry::RetryArgs),
    Drain(drain::DrainArgs),
    Flush(flush::FlushArgs),
    Coordinator(coordinator::CoordinatorArgs),
    Worker(worker::WorkerArgs),
    Report(report::ReportArgs),
    Export(export::ExportArgs),
    Sql(sql::SqlArgs),
    Version(version::VersionArgs),
    /// Run trials that come on standard input: a worker starts this.
    #[command(hide = true)]
    Trial,
}

impl Command {
    /// Does what was asked, to the end.
    pub fn run(&self, out: &mut Output<'_>) -> Result<(), Failure> {
        match self {
            Self::Plan(args) => plan::run(args, out),
            Self::Run(args) => run::run(args, out),
            Self::Submit(args) => submit::run(args, out),
            Self::Watch(args) => watch::run(args, out),
            Self::Status(args) => status::run(args, out),
            Self::Jobs(args) => jobs::run(args, out),
            Self::Workers(args) => workers::run(args, out),
            Self::Explain(args) => explain::run(args, out),
            Self::Cancel(args) => cancel::run(args, out),
            Self::Pause(args) => pause::pause(args, out),
            Self::Resume(args) => pause::resume(args, out),
            Self::Retry(args) => retry::run(args, out),
            Self::Drain(args) => drain::run(args, out),
            Self::Flush(args) => flush::run(args, out),
            Self::Coordinator(args) => coordinator::run(args),
            Self::Worker(args) => worker::run(args),
            Self::Report(args) => report::run(args, out),
            Self::Export(args) => export::run(args, out),
            Self::Sql(args) => sql::run(args, out),
            Self::Version(args) => version::run(args, out),
            // `main` answers it before anything is set up that a trial must not share.
            Self::Trial => Ok(()),
        }
    }
}

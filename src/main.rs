//! The one binary of gradsweep: reads the command line, runs the subcommand, says how it ended.

mod clock;
mod closing;
mod cmd;
mod config;
mod cost;
mod failure;
mod follow;
mod host;
mod load;
mod logs;
mod output;
mod paint;
mod progress;
mod reach;
mod rows;
mod signals;
mod submit;
mod table;
mod text;

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::Parser;

use cmd::Command;
use failure::{EXIT_CODES, Failure};
use output::{Output, note};
use paint::Paint;

/// Distributed parameter sweeps for the study of gradient confusion.
#[derive(Debug, Parser)]
#[command(name = "gradsweep", version, after_help = EXIT_CODES, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // A trial talks to its agent on standard output, and has no use for anything below.
    if let Command::Trial = cli.command {
        return worker::agent::trial_process();
    }
    let stdout = io::stdout();
    let paint = Paint::of(&stdout);
    let mut writer = BufWriter::new(stdout.lock());
    let done = cli.command.run(&mut Output { writer: &mut writer, paint });
    let done = done.and_then(|()| writer.flush().map_err(Failure::Output));
    let Err(failure) = done else { return ExitCode::SUCCESS };
    // What was written before it failed is wanted; that it cannot be written is the lesser failure.
    drop(writer.flush());
    report(&failure);
    ExitCode::from(failure.exit_code())
}

fn report(failure: &Failure) {
    let paint = Paint::of(&io::stderr());
    match (failure.is_stop(), failure) {
        (true, Failure::Output(_)) => return,
        (true, _) => note(&failure.to_string()),
        (false, _) => note(&format!("{} {}", paint.bad("error:"), text::chain(failure))),
    }
    if let Some(advice) = failure.advice() {
        note(&format!("{} {advice}", paint.warn("next:")));
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_subcommand_and_flag_has_help() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name} says what it does");
            for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
                assert!(arg.get_help().is_some(), "{name} {} has help", arg.get_id());
            }
        }
    }
}

//! `gradsweep workers`: who works for a coordinator.

use std::io::{self, Write};

use clap::Args;
use proto::message::WorkerLine;

use crate::config::ConnectionArgs;
use crate::failure::Failure;
use crate::output::{Format, Output, json_line};
use crate::paint::Paint;
use crate::reach::with_client;
use crate::rows::WorkerRow;
use crate::table::{Side, Table};
use crate::text;

/// List the workers of a coordinator.
#[derive(Debug, Args)]
pub struct WorkersArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// How to print: `text` for people, `json` for programs (one object a worker).
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Prints one line a worker.
pub fn run(args: &WorkersArgs, out: &mut Output<'_>) -> Result<(), Failure> {
    let workers = with_client(&args.connection, async |client| Ok(client.workers().await?))?;
    write_workers(&workers, args.format, out.writer, out.paint).map_err(Failure::Output)
}

fn write_workers(
    workers: &[WorkerLine],
    format: Format,
    out: &mut dyn Write,
    paint: Paint,
) -> io::Result<()> {
    if format == Format::Json {
        return workers.iter().try_for_each(|worker| json_line(out, &WorkerRow::from(worker)));
    }
    if workers.is_empty() {
        return writeln!(out, "no workers; `gradsweep worker` starts one");
    }
    let mut table = Table::new(&[
        ("worker", Side::Left),
        ("host/process", Side::Left),
        ("state", Side::Left),
        ("jobs", Side::Right),
        ("slots", Side::Right),
        ("memory", Side::Right),
        ("instruction set", Side::Left),
        ("version", Side::Left),
    ]);
    for worker in workers {
        table.row(vec![
            worker.worker.to_string(),
            format!("{}/{}", worker.host, worker.process),
            worker.state.clone(),
            worker.leases.to_string(),
            worker.slots.to_string(),
            text::bytes(worker.memory_bytes),
            worker.instruction_set.clone(),
            worker.version.clone(),
        ]);
    }
    table.write(out, paint)
}

#[cfg(test)]
mod tests {
    use domain::WorkerId;

    use super::*;

    #[test]
    fn a_worker_is_a_line() {
        let worker = WorkerLine {
            worker: WorkerId([7; 16]),
            host: "node1".into(),
            process: 42,
            slots: 8,
            leases: 3,
            state: "working".into(),
            version: "0.1.0".into(),
            instruction_set: "x86-64-v3".into(),
            memory_bytes: 64 << 30,
        };
        let mut out = Vec::new();
        write_workers(&[worker], Format::Text, &mut out, Paint::Plain)
            .expect("a Vec takes every write");
        let text = String::from_utf8(out).expect("text");
        for part in ["node1/42", "working", "64 GiB", "x86-64-v3"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}

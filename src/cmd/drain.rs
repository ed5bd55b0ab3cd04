//! `gradsweep drain`: ask workers to hand their work back and leave.

use clap::Args;
use proto::message::WorkerLine;

use crate::config::ConnectionArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::reach::with_client;
use crate::text;

/// Ask workers to store checkpoints, hand their jobs back and leave. Others go on from the checkpoints.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// The worker: its id or the beginning of it, its host, or host/process as `workers` prints it.
    #[arg(value_name = "WORKER", required_unless_present = "all", conflicts_with = "all")]
    worker: Option<String>,
    /// Drain every worker.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Drains, and says how many.
pub fn run(args: &DrainArgs, out: &mut Output<'_>) -> Result<(), Failure> {
    let count = with_client(&args.connection, async |client| {
        let Some(name) = &args.worker else { return Ok(client.drain(None).await?) };
        let workers = client.workers().await?;
        let meant: Vec<_> = workers.iter().filter(|worker| is_called(worker, name)).collect();
        if meant.is_empty() {
            let known = workers.iter().map(place).collect();
            return Err(Failure::NoSuchWorker { name: name.clone(), known });
        }
        let mut count = 0;
        for worker in meant {
            count += client.drain(Some(worker.worker)).await?;
        }
        Ok(count)
    })?;
    out.line(&format!("{} asked to drain", text::counted(u64::from(count), "worker")))
}

/// Digits of an id that are enough to mean it: fewer are sooner a host's name.
const ID_DIGITS_MIN: usize = 6;

fn is_called(worker: &WorkerLine, name: &str) -> bool {
    worker.host == name
        || place(worker) == name
        || (name.len() >= ID_DIGITS_MIN && worker.worker.to_string().starts_with(name))
}

fn place(worker: &WorkerLine) -> String {
    format!("{}/{}", worker.host, worker.process)
}

#[cfg(test)]
mod tests {
    use domain::WorkerId;

    use super::*;

    #[test]
    fn a_worker_is_known_by_id_host_and_process() {
        let worker = WorkerLine {
            worker: WorkerId([0xab; 16]),
            host: "node1".into(),
            process: 42,
            slots: 1,
            leases: 0,
            state: "idle".into(),
            version: String::new(),
            instruction_set: String::new(),
            memory_bytes: 0,
        };
        for name in ["node1", "node1/42", "ababab", &worker.worker.to_string()] {
            assert!(is_called(&worker, name), "{name}");
        }
        for name in ["", "ab", "node", "node1/4", "node2/42"] {
            assert!(!is_called(&worker, name), "{name}");
        }
    }
}

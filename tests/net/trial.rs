//! The pretended trials: what each measures is a function of its job alone, and it can go on from a checkpoint.

use std::time::Duration;

use domain::{Cell, Digest, JobId, Row, StepRow, Table};
use proto::client::Client;
use proto::message::{Attempt, Checkpoint, FromWorker, Grant, Outcome, RowBatch};
use proto::rows;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

pub const ENGINE: &str = "e1";
pub const INSTRUCTION_SET: &str = "avx2";

/// Steps between two checkpoints.
const CHECKPOINT_EVERY: u64 = 3;
/// How long a transfer may take before it is tried again.
const TRANSFER: Duration = Duration::from_secs(5);

/// Steps of a job; each makes one row.
fn steps_of(job: JobId) -> u64 {
    8 + u64::from(job.0[0] % 8)
}

/// How long a step of it takes.
fn pace_of(job: JobId, step: u64) -> Duration {
    Duration::from_millis(100 + 50 * (u64::from(job.0[1]) * 7 + step * 5) % 800)
}

fn row(job: JobId, step: u64) -> Row {
    let risk = f64::from(job.0[2]) + 1.0 / (step as f64 + 3.0);
    StepRow { step, risk: Some(risk), ..StepRow::default() }.into_row()
}

/// The state of a job after so many steps, as wherever it is made: some chunks of a blob.
fn state(job: JobId, step: u64) -> Vec<u8> {
    let mut bytes: Vec<u8> = job.0.iter().copied().chain(step.to_le_bytes()).collect();
    bytes.resize(300_000, job.0[3]);
    bytes
}

/// Runs a job as its grant says, and tells what it measures and how it ended.
pub async fn run(
    grant: Grant,
    clients: watch::Receiver<Option<Client>>,
    tell: mpsc::Sender<FromWorker>,
) {
    let Attempt { job, .. } = grant.attempt;
    let mut step = 0;
    if let Some(checkpoint) = &grant.resume {
        let bytes =
            transfer(&clients, async |client: &Client| client.get_blob(checkpoint.digest).await)
                .await;
        assert_eq!(bytes, state(job, checkpoint.step), "a checkpoint is that of its job and step");
        step = checkpoint.step;
    }
    while step < steps_of(job) {
        sleep(pace_of(job, step)).await;
        let batch = RowBatch {
            attempt: grant.attempt.clone(),
            table: Table::Steps,
            first_row: step,
            row_count: 1,
            cells: rows::encode(Table::Steps, &[row(job, step)]),
        };
        step += 1;
        drop(tell.send(FromWorker::Rows(batch)).await);
        if step % CHECKPOINT_EVERY == 0 {
            let bytes = state(job, step);
            let digest = Digest::of(&bytes);
            transfer(&clients, async |client: &Client| {
                client.put_blob(digest, bytes.clone()).await
            })
            .await;
            let checkpoint = Checkpoint {
                digest,
                step,
                steps_rows: step,
                confusion_rows: 0,
                engine_revision: ENGINE.to_owned(),
                instruction_set: INSTRUCTION_SET.to_owned(),
            };
            drop(tell.send(FromWorker::Checkpoint(grant.attempt.clone(), checkpoint)).await);
        }
    }
    let cells = rows::encode(Table::Jobs, &[jobs_row(job)]);
    let result = Outcome::Result { steps_rows: step, confusion_rows: 0, weights: 0, cells };
    drop(tell.send(FromWorker::Outcome(grant.attempt, result)).await);
}

/// Does with a client what may take several tries, and several sessions.
async fn transfer<T, E: std::fmt::Debug>(
    clients: &watch::Receiver<Option<Client>>,
    work: impl AsyncFn(&Client) -> Result<T, E>,
) -> T {
    let mut clients = clients.clone();
    loop {
        let client = clients.wait_for(Option::is_some).await.expect("the worker lives").clone();
        if let Some(client) = client
            && let Ok(Ok(done)) = timeout(TRANSFER, work(&client)).await
        {
            return done;
        }
        sleep(Duration::from_millis(300)).await;
    }
}

fn jobs_row(job: JobId) -> Row {
    let cell = |name| match name {
        "status" => Cell::from("completed"),
        "engine_revision" => Cell::from(ENGINE),
        "final_risk" => Cell::from(f64::from(job.0[2])),
        _ => Cell::Null,
    };
    Table::Jobs.own_columns().iter().map(|column| cell(column.name)).collect()
}

//! A job that hands over a million batches of one row each: what the coordinator remembers of them stays small.

use std::time::Instant;

use domain::Table;
use proto::client::Client;
use proto::connection::Connection;
use proto::limits::SESSION_QUEUE;
use proto::message::{FromWorker, Outcome, RowBatch, ToWorker};
use proto::rows;
use tokio::sync::mpsc;

use crate::harness::{Place, Process, gradsweep};
use crate::idle_worker::{hello, jobs_row, step_row, submission};

/// What a batch may cost the coordinator until its job is sealed.
const BYTES_EACH: u64 = 40;
/// Batches on their way.
const WINDOW: u64 = 2_000;
/// What queues and caches may take whatever is sent.
const BYTES_ANYWAY: u64 = 32 << 20;

/// What the process has written to, and keeps.
fn memory(process: &Process) -> u64 {
    process.memory("RssAnon")
}

#[test]
#[ignore = "a minute"]
fn a_million_tiny_batches_are_taken_in_bounded_memory() {
    let batches = crate::times("GRADSWEEP_BATCHES", 1_000_000);
    let place = Place::new();
    let mut coordinator = place.coordinator_by(gradsweep(), "127.0.0.1:0", "60s");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let before = memory(&coordinator);
    let begun = Instant::now();
    let outcome = runtime.block_on(async {
        let connection = Connection::read(&place.path("connection.json")).expect("is there");
        let client = Client::connect(&connection).await.expect("connects");
        client.submit(submission("tiny", 1, 0).expect("a sweep")).await.expect("taken in");
        flood(&client, batches, || memory(&coordinator)).await
    });
    let (most, took) = (outcome, begun.elapsed().as_secs_f64());
    let grown = most.saturating_sub(before);
    println!("{batches} batches in {took:.1} s: {} KiB more memory at most", grown >> 10);
    assert!(grown < BYTES_ANYWAY + batches * BYTES_EACH, "{grown} bytes for {batches} batches");
    // And they are all there, after a death too.
    coordinator.kill();
    let begun = Instant::now();
    coordinator = place.coordinator_by(gradsweep(), "127.0.0.1:0", "60s");
    let took = begun.elapsed().as_secs_f64();
    println!("back after kill -9 in {took:.1} s with {} KiB", memory(&coordinator) >> 10);
    place.wait_over("tiny");
    let results = analysis::results::Results::open(&place.results()).expect("opens");
    let frame = results.read(Table::Steps, &"tiny".parse().expect("a name"), &["step"]);
    let steps = frame.expect("reads").ints("step").into_iter().flatten().collect::<Vec<_>>();
    assert!(steps.into_iter().eq(0..batches as i64), "every row once");
}

/// Does the one job that there is, a row at a time. The most memory that was seen on the way.
async fn flood(client: &Client, batches: u64, memory: impl Fn() -> u64) -> u64 {
    let (outgoing, receiver) = mpsc::channel(SESSION_QUEUE);
    outgoing.send(FromWorker::Hello(hello(1, 1))).await.expect("there is room");
    let mut incoming = client.session(receiver).await.expect("a session");
    outgoing.send(FromWorker::Capacity { free_slots: 1, taken: 0 }).await.expect("open");
    let attempt = loop {
        if let Some(ToWorker::Grant(grant)) = incoming.next().await.expect("answers") {
            break grant.attempt;
        }
    };
    let (mut sent, mut most) = (0, 0);
    while sent < batches {
        // So few at a time that what comes back never fills its queue: whoever does not read is cut off.
        let end = batches.min(sent + WINDOW);
        for first_row in sent..end {
            let cells = rows::encode(Table::Steps, &[step_row(first_row)]);
            let (attempt, table) = (attempt.clone(), Table::Steps);
            let batch = RowBatch { attempt, table, first_row, row_count: 1, cells };
            outgoing.send(FromWorker::Rows(batch)).await.expect("open");
        }
        sent = end;
        loop {
            match incoming.next().await.expect("answers").expect("goes on") {
                ToWorker::Rows { next_row, .. } if next_row == end => break,
                ToWorker::Revoke { reason, .. } => panic!("revoked: {reason}"),
                _ => {}
            }
        }
        most = most.max(memory());
    }
    let cells = rows::encode(Table::Jobs, &[jobs_row()]);
    let outcome = Outcome::Result { steps_rows: batches, confusion_rows: 0, weights: 0, cells };
    outgoing.send(FromWorker::Outcome(attempt.clone(), outcome)).await.expect("open");
    loop {
        if let ToWorker::Outcome { attempt: settled, refusal } =
            incoming.next().await.expect("answers").expect("goes on")
        {
            assert_eq!((settled, refusal), (attempt, None));
            return most;
        }
    }
}

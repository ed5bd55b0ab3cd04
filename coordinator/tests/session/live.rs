//! Rows that are acknowledged and in no segment yet: who has them, and until when.

use std::time::Duration;

use coordinator::Config;
use domain::{JobId, Table};
use proto::client::Client;
use proto::connection::{Connection, Token};
use proto::error::{ApiError, CallError};
use proto::limits::LIVE_BATCHES;
use proto::message::{Attempt, FromWorker, Hello, LiveRows, ToWorker};
use proto::rows;

use crate::fake::*;

/// A coordinator that takes nothing away while a test is busy.
async fn patient(folder: &std::path::Path) -> Running {
    let lease = Duration::from_secs(60);
    serve(Config { lease, ..config(folder, "127.0.0.1:0") }).await
}

async fn live(client: &Client) -> Vec<LiveRows> {
    let mut rows = client.live_rows(&"s".parse().expect("a name")).await.expect("is answered");
    let mut all = Vec::new();
    while let Some(some) = rows.next().await.expect("no error") {
        all.push(some);
    }
    all
}

/// A message: job, table, and of each batch the number of its first row and how many there are.
type Told = (JobId, Table, Vec<(u64, u32)>);

fn told(live: &[LiveRows]) -> Vec<Told> {
    let batches = |rows: &LiveRows| {
        let batches = rows.batches.iter();
        batches.map(|batch| (batch.first_row, batch.row_count)).collect()
    };
    live.iter().map(|rows| (rows.job, rows.table, batches(rows))).collect()
}

async fn tell_rows(worker: &mut FakeWorker, attempt: &Attempt, first_row: u64) {
    worker.say(FromWorker::Rows(step_rows(attempt, first_row))).await;
    assert!(matches!(worker.hear().await, ToWorker::Rows { .. }));
}

#[tokio::test]
async fn acknowledged_rows_are_live_until_their_file_is_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = patient(folder.path()).await;
    let client = running.client().await;
    let submitted = submit(&client, 3).await;
    assert_eq!(live(&client).await, []);
    let mut worker = FakeWorker::join(&client, hello(1)).await;
    let (first, second) = (worker.grant().await, worker.grant().await);
    let (done, at_work) = (&first.attempt, &second.attempt);
    tell_rows(&mut worker, at_work, 0).await;
    let found = live(&client).await;
    assert_eq!(told(&found), [(at_work.job, Table::Steps, vec![(0, 2)])]);
    let batch = &found[0].batches[0];
    let rows = rows::decode(Table::Steps, &batch.cells, batch.row_count).expect("are rows");
    assert_eq!(rows[1][0], 1u64.into(), "the step of the second row");
    assert_eq!(found[0].spec, second.spec);
    assert_eq!((found[0].sweep_id, found[0].attempt), (submitted.sweep_id, at_work.number));

    assert_eq!(worker.finish(done).await, None);
    tell_rows(&mut worker, at_work, 2).await;
    let mut expected = vec![
        (done.job, Table::Jobs, vec![(0, 1)]),
        (done.job, Table::Steps, vec![(0, 2)]),
        (at_work.job, Table::Steps, vec![(0, 2), (2, 2)]),
    ];
    // By job; of each its row of table jobs first.
    expected.sort_by_key(|(job, ..)| *job);
    assert_eq!(told(&live(&client).await), expected);

    // Another coordinator on the same journal has them as well.
    running.stop().await;
    let running = patient(folder.path()).await;
    let client = running.client().await;
    assert_eq!(told(&live(&client).await), expected);

    client.flush(&"s".parse().expect("a name")).await.expect("is written");
    let running_still = vec![(at_work.job, Table::Steps, vec![(0, 2), (2, 2)])];
    assert_eq!(told(&live(&client).await), running_still);
    client.cancel(&"s".parse().expect("a name"), None).await.expect("is cancelled");
    assert_eq!(live(&client).await, [], "a cancelled job gives no result");
    running.stop().await;
}

#[tokio::test]
async fn many_rows_come_in_bounded_messages_and_who_does_not_read_them_harms_nobody() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = patient(folder.path()).await;
    let client = running.client().await;
    submit(&client, 1).await;
    let mut worker = FakeWorker::join(&client, hello(1)).await;
    let attempt = worker.grant().await.attempt;
    let batches = 5 * LIVE_BATCHES as u64 / 2;
    for batch in 0..batches {
        worker.say(FromWorker::Rows(step_rows(&attempt, 2 * batch))).await;
    }
    for _ in 0..batches {
        assert!(matches!(worker.hear().await, ToWorker::Rows { .. }));
    }
    let unread = client.live_rows(&"s".parse().expect("a name")).await.expect("is answered");
    let found = live(&client).await;
    assert_eq!(found.len(), 3, "as many messages");
    assert!(found.iter().all(|rows| rows.batches.len() <= LIVE_BATCHES));
    let rows = told(&found).into_iter().flat_map(|(.., rows)| rows);
    assert!(rows.eq((0..batches).map(|batch| (2 * batch, 2))), "each row once, in order");
    tell_rows(&mut worker, &attempt, 2 * batches).await;
    running.stop().await;
    drop(unread);
}

#[tokio::test]
async fn live_rows_are_for_those_with_the_token_and_of_sweeps_that_are_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    let nobody = client.live_rows(&"nobody".parse().expect("a name")).await;
    assert!(matches!(nobody.err(), Some(CallError::Answer(ApiError::Unknown { .. }))));
    let stranger = Connection { token: Token::new("guess"), ..running.connection.clone() };
    let stranger = Client::connect(&stranger).await.expect("connects");
    let refused = stranger.live_rows(&"s".parse().expect("a name")).await;
    assert!(matches!(refused.err(), Some(CallError::Answer(ApiError::Unauthenticated))));
    running.stop().await;
}

/// A job that begins again from its first row has only the rows of its new attempt.
#[tokio::test]
async fn rows_of_an_attempt_that_began_again_are_not_live() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = patient(folder.path()).await;
    let client = running.client().await;
    submit(&client, 1).await;
    let mut worker = FakeWorker::join(&client, hello(1)).await;
    let first = worker.grant().await.attempt;
    tell_rows(&mut worker, &first, 0).await;
    drop(worker);
    let mut worker = FakeWorker::join(&client, Hello { held: vec![], ..hello(1) }).await;
    let second = worker.grant().await.attempt;
    assert_eq!(second.number.0, 2);
    assert_eq!(live(&client).await, []);
    tell_rows(&mut worker, &second, 0).await;
    assert_eq!(told(&live(&client).await), [(second.job, Table::Steps, vec![(0, 2)])]);
    running.stop().await;
}

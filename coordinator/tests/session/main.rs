//! The real shell over real sockets, with workers played by the test: leases, fencing, restart, refusals, TLS.

mod fake;
mod hostile;
mod kept;
mod live;
mod raw;
mod silent;
mod weights;

use domain::{Digest, FailureClass, FailureReport};
use proto::client::Client;
use proto::connection::{Connection, Token};
use proto::error::{ApiError, CallError};
use proto::message::{FromWorker, Hello, JobsQuery, Outcome, ToWorker};
use tokio::sync::mpsc;

use fake::*;

#[tokio::test]
async fn a_sweep_runs_to_its_end_and_is_kept_after_a_restart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    let submitted = submit(&client, 3).await;
    assert_eq!((submitted.kept, submitted.new), (0, 3));
    let mut worker = FakeWorker::join(&client, hello(1)).await;
    for _ in 0..3 {
        let grant = worker.grant().await;
        assert!(grant.spec.contains("\"kind\":\"mlp\""), "{}", grant.spec);
        assert_eq!(worker.finish(&grant.attempt).await, None);
        assert_eq!(
            worker.commit(&grant.attempt).await,
            None,
            "a repeated outcome is answered again"
        );
    }
    assert_eq!(over(&client).await.committed, 3);
    assert_eq!(files(folder.path(), "jobs").len(), 1);
    assert_eq!(files(folder.path(), "jobs"), files(folder.path(), "steps"));
    running.stop().await;

    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    let again = submit(&client, 3).await;
    assert_eq!((again.kept, again.new, again.settled), (3, 0, 3));
    assert_eq!(over(&client).await.committed, 3);
    assert_eq!(files(folder.path(), "jobs").len(), 1, "nothing was written twice");
    assert_eq!(submit(&client, 4).await.new, 1);
    running.stop().await;
}

#[tokio::test]
async fn a_silent_worker_loses_its_lease_and_cannot_commit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    submit(&client, 1).await;
    let mut zombie = FakeWorker::join(&client, hello(1)).await;
    let stale = zombie.grant().await.attempt;
    // It says nothing for longer than its lease, and is told so.
    match zombie.hear().await {
        ToWorker::Revoke { attempt, .. } => assert_eq!(attempt, stale),
        other => panic!("expected a revocation, heard {other:?}"),
    }
    let mut worker = FakeWorker::join(&client, hello(2)).await;
    let grant = worker.grant().await;
    assert_eq!(grant.attempt.number.0, 2);
    zombie.say(FromWorker::Rows(step_rows(&stale, 0))).await;
    assert!(matches!(zombie.hear().await, ToWorker::Revoke { .. }));
    let refusal = zombie.commit(&stale).await.expect("a stale commit is refused");
    assert!(refusal.contains("attempt 1 no longer holds the job"), "{refusal}");
    // Nor may it use the number of the attempt that replaced it.
    assert!(zombie.commit(&grant.attempt).await.is_some());
    assert_eq!(worker.finish(&grant.attempt).await, None);
    let counts = over(&client).await;
    assert_eq!((counts.committed, counts.failed_attempts), (1, 1));
    assert_eq!(files(folder.path(), "failures").len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn heartbeats_keep_a_lease_and_a_restart_of_the_coordinator_gives_a_full_term() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    submit(&client, 1).await;
    let mut worker = FakeWorker::join(&client, hello(1)).await;
    let attempt = worker.grant().await.attempt;
    for _ in 0..4 {
        tokio::time::sleep(LEASE / 2).await;
        worker.say(FromWorker::Heartbeat(vec![progress(&attempt)])).await;
        assert_eq!(worker.hear().await, ToWorker::Heard);
    }
    worker.say(FromWorker::Rows(step_rows(&attempt, 0))).await;
    assert!(matches!(worker.hear().await, ToWorker::Rows { .. }));
    running.stop().await;

    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    let held = vec![attempt.clone()];
    let mut worker = FakeWorker::join(&client, Hello { held, ..hello(1) }).await;
    // Its rows were acknowledged before the restart: sending them again changes nothing.
    assert_eq!(worker.finish(&attempt).await, None);
    let counts = over(&client).await;
    assert_eq!((counts.committed, counts.failed_attempts), (1, 0));
    running.stop().await;
}

#[tokio::test]
async fn a_grant_that_never_arrived_is_given_again_and_work_handed_back_costs_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    submit(&client, 1).await;
    let mut worker = FakeWorker::join(&client, hello(1)).await;
    assert_eq!(worker.grant().await.attempt.number.0, 1);
    drop(worker);
    // It comes back and knows nothing of the grant.
    let mut worker = FakeWorker::join(&client, hello(1)).await;
    let grant = worker.grant().await;
    assert_eq!(grant.attempt.number.0, 2);
    worker.say(FromWorker::Outcome(grant.attempt, Outcome::Released)).await;
    assert!(matches!(worker.hear().await, ToWorker::Outcome { refusal: None, .. }));
    let grant = worker.grant().await;
    assert_eq!(grant.attempt.number.0, 3);
    assert_eq!(worker.finish(&grant.attempt).await, None);
    assert_eq!(over(&client).await.failed_attempts, 0);
    running.stop().await;
}

#[tokio::test]
async fn a_grant_that_crossed_a_goodbye_costs_its_job_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    submit(&client, 1).await;
    let mut first = FakeWorker::join(&client, hello(1)).await;
    first.grant().await;
    // It left before it could read that.
    first.say(FromWorker::Goodbye).await;
    let mut second = FakeWorker::join(&client, hello(2)).await;
    let grant = second.grant().await;
    assert_eq!(grant.attempt.number.0, 2);
    assert_eq!(second.finish(&grant.attempt).await, None);
    let counts = over(&client).await;
    assert_eq!((counts.committed, counts.failed_attempts), (1, 0), "no lease had to run out");
    running.stop().await;
}

#[tokio::test]
async fn a_job_that_keeps_failing_is_abandoned_with_its_reason_and_runs_when_asked_for_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    submit(&client, 1).await;
    let mut worker = FakeWorker::join(&client, hello(1)).await;
    for _ in 0..2 {
        let attempt = worker.grant().await.attempt;
        let report = FailureReport::new(FailureClass::Exit, "exit code 3");
        worker.say(FromWorker::Outcome(attempt, Outcome::Failure(report))).await;
        assert!(matches!(worker.hear().await, ToWorker::Outcome { refusal: None, .. }));
    }
    assert_eq!(over(&client).await.abandoned, 1);
    let query = JobsQuery {
        sweep: "s".parse().expect("a name"),
        state: Some("abandoned".into()),
        offset: 0,
        limit: 10,
    };
    let page = client.jobs(query).await.expect("lists");
    assert_eq!((page.total, page.jobs[0].note.as_str()), (1, "exit: exit code 3"));
    assert_eq!(submit(&client, 1).await.again, 1);
    let grant = worker.grant().await;
    assert_eq!(worker.finish(&grant.attempt).await, None);
    assert_eq!(over(&client).await.committed, 1);
    running.stop().await;
}

#[tokio::test]
async fn cancelling_revokes_what_runs_and_leaves_what_is_done() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    submit(&client, 3).await;
    let mut worker = FakeWorker::join(&client, hello(1)).await;
    let done = worker.grant().await;
    assert_eq!(worker.finish(&done.attempt).await, None);
    let running_attempt = worker.grant().await.attempt;
    let sweep = "s".parse().expect("a name");
    assert_eq!(client.cancel(&sweep, None).await.expect("cancels"), 2);
    match worker.hear().await {
        ToWorker::Revoke { attempt, .. } => assert_eq!(attempt, running_attempt),
        other => panic!("expected a revocation, heard {other:?}"),
    }
    let counts = over(&client).await;
    assert_eq!((counts.committed, counts.cancelled), (1, 2));
    assert_eq!(client.cancel(&sweep, None).await.expect("is a no-op"), 0);
    running.stop().await;
}

#[tokio::test]
async fn a_page_of_one_state_has_its_jobs_in_grid_order_and_how_many_there_are() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    let name = "s".parse().expect("a name");
    submit(&client, 6).await;
    let ids = sweep(6).job_ids();
    for index in [4, 1] {
        assert_eq!(client.cancel(&name, Some(ids[index])).await.expect("is cancelled"), 1);
    }
    /// State, offset, limit: the indices of the jobs, and how many there are in all.
    type Page = (Option<&'static str>, u64, u32, &'static [usize], u64);
    let pages: [Page; 8] = [
        (None, 0, 2, &[0, 1], 6),
        (None, 5, 9, &[5], 6),
        (None, 9, 9, &[], 6),
        (Some("queued"), 1, 2, &[2, 3], 4),
        (Some("queued"), 3, 9, &[5], 4),
        (Some("queued"), 9, 9, &[], 4),
        (Some("cancelled"), 1, 9, &[4], 2),
        (Some("running"), 0, 9, &[], 0),
    ];
    for (state, offset, limit, indices, total) in pages {
        let (sweep, state) = (name.clone(), state.map(str::to_owned));
        let query = JobsQuery { sweep, state, offset, limit };
        let page = client.jobs(query.clone()).await.expect("lists");
        let expected: Vec<_> = indices.iter().map(|&index| ids[index]).collect();
        let found: Vec<_> = page.jobs.iter().map(|job| job.job).collect();
        assert_eq!((found, page.total), (expected, total), "{query:?}");
    }
    running.stop().await;
}

#[tokio::test]
async fn peers_that_lie_or_lack_the_token_are_refused_and_others_are_not_harmed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    submit(&client, 1).await;
    let mut worker = FakeWorker::join(&client, hello(1)).await;
    let grant = worker.grant().await;

    let stranger = Connection { token: Token::new("guess"), ..running.connection.clone() };
    let stranger = Client::connect(&stranger).await.expect("connects");
    let refused = stranger.workers().await.expect_err("has no token");
    assert!(matches!(refused, CallError::Answer(ApiError::Unauthenticated)), "{refused}");

    let (say, outgoing) = mpsc::channel(4);
    say.send(FromWorker::Hello(Hello { protocol: 99, ..hello(3) })).await.expect("there is room");
    let mut other = client.session(outgoing).await.expect("opens");
    let refused = other.next().await.expect_err("speaks another protocol");
    assert!(matches!(refused, CallError::Answer(ApiError::Incompatible { .. })), "{refused}");

    let mut liar = FakeWorker::join(&client, hello(4)).await;
    let mut garbage = step_rows(&grant.attempt, 0);
    garbage.cells.truncate(40);
    liar.say(FromWorker::Rows(garbage)).await;
    let refused = liar.hear.next().await.expect_err("its rows are no rows");
    assert!(matches!(refused, CallError::Answer(ApiError::Invalid { .. })), "{refused}");

    let unknown = client.watch(&"nobody".parse().expect("a name")).await;
    assert!(matches!(unknown.err(), Some(CallError::Answer(ApiError::Unknown { .. }))));
    assert_eq!(worker.finish(&grant.attempt).await, None);
    assert_eq!(over(&client).await.committed, 1);
    running.stop().await;
}

#[tokio::test]
async fn a_job_of_more_threads_than_any_worker_has_cores_waits_and_says_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    let images = images(8);
    client.put_blob(Digest::of(PICTURES), PICTURES.to_vec()).await.expect("is taken in");
    assert_eq!(hand_in(&client, &images).await.new, 1);
    let small = FakeWorker::join(&client, Hello { cores: 7, ..hello(1) }).await;
    small.say(FromWorker::Capacity { free_slots: 1, taken: 0 }).await;
    let job = images.job_ids()[0].to_string();
    let said = client.explain(images.name(), &job).await.expect("is explained");
    let why = "none of the 1 connected workers fits and takes work: a job wants 8 threads";
    assert!(said.iter().any(|line| line == why), "{said:?}");

    let mut large = FakeWorker::join(&client, Hello { cores: 8, ..hello(2) }).await;
    let grant = large.grant().await;
    assert_eq!((grant.threads, grant.attempt.job), (8, images.job_ids()[0]));
    assert_eq!(large.finish(&grant.attempt).await, None);
    assert_eq!(over(&client).await.committed, 1);
    running.stop().await;
}

#[tokio::test]
async fn beyond_loopback_the_wire_is_encrypted_with_the_certificate_of_the_connection_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "0.0.0.0:0").await;
    assert!(running.connection.url.starts_with("https://"), "{}", running.connection.url);
    assert_eq!(submit(&running.client().await, 1).await.new, 1);
    let plain = Connection {
        url: running.connection.url.replace("https", "http"),
        certificate: None,
        token: running.connection.token.clone(),
    };
    let answered = match Client::connect(&plain).await {
        Ok(client) => client.workers().await.is_ok(),
        Err(_) => false,
    };
    assert!(!answered, "plain text is not answered");
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let impostor = start(elsewhere.path(), "0.0.0.0:0").await;
    let mixed = Connection {
        certificate: running.connection.certificate.clone(),
        ..impostor.connection.clone()
    };
    assert!(Client::connect(&mixed).await.is_err(), "another certificate is not trusted");
    running.stop().await;
    impostor.stop().await;
}

/// A journal that is thrown away takes the knowledge of what is done with it.
#[tokio::test]
async fn jobs_whose_results_a_fresh_journal_does_not_know_are_not_run_again_into_the_same_place() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    submit(&client, 2).await;
    let mut worker = FakeWorker::join(&client, hello(1)).await;
    for _ in 0..2 {
        let grant = worker.grant().await;
        assert_eq!(worker.finish(&grant.attempt).await, None);
    }
    assert_eq!(over(&client).await.committed, 2);
    running.stop().await;

    std::fs::remove_dir_all(folder.path().join("journal")).expect("is removed");
    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    let refused = client.submit(submission(&sweep(3))).await.expect_err("it is refused");
    let said = refused.to_string();
    let file = format!("jobs/sweep=s/{}", files(folder.path(), "jobs")[0]);
    for word in ["2 jobs of s have results in", "they would be there twice", &*file] {
        assert!(said.contains(word), "{word}: {said}");
    }
    // A file that cannot be read may hold any of them.
    std::fs::write(folder.path().join("results").join(&file), "PAR1").expect("is damaged");
    let refused = client.submit(submission(&sweep(3))).await.expect_err("it is refused");
    assert!(refused.to_string().contains("cannot be read"), "{refused}");
    std::fs::remove_file(folder.path().join("results").join(&file)).expect("is moved away");
    assert_eq!(submit(&client, 3).await.new, 3);
    running.stop().await;
}

#[tokio::test]
async fn a_second_coordinator_on_the_same_journal_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "127.0.0.1:0").await;
    let second = coordinator::serve(config(folder.path(), "127.0.0.1:0"), std::future::pending());
    let refused = second.await.expect_err("the journal is in use");
    assert!(refused.is_in_use(), "{refused}");
    running.stop().await;
}

#[tokio::test]
async fn a_coordinator_whose_journal_is_removed_stops_and_says_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "127.0.0.1:0").await;
    submit(&running.client().await, 1).await;
    std::fs::rename(folder.path().join("journal"), folder.path().join("away")).expect("moves");
    let ended = tokio::time::timeout(PATIENCE, running.task).await.expect("it stops");
    let error = ended.expect("does not panic").expect_err("it acknowledges nothing more");
    assert!(error.to_string().contains("was removed or replaced"), "{error}");
    // Put back, it has all that was acknowledged.
    std::fs::rename(folder.path().join("away"), folder.path().join("journal")).expect("moves");
    let running = start(folder.path(), "127.0.0.1:0").await;
    assert_eq!(submit(&running.client().await, 1).await.kept, 1);
    running.stop().await;
}

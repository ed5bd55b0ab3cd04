//! Workers that fail everything, take everything, read nothing, or come back all at once: the others are not harmed.

use std::time::Duration;

use coordinator::Config;
use domain::{AttemptNo, FailureClass, FailureReport, JobId, WorkerId};
use proto::limits::{ATTEMPTS_MAX, OUTBOX_QUEUE};
use proto::message::{Attempt, FromWorker, Hello, Outcome, ToWorker};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::fake::{
    FakeWorker, LEASE, PATIENCE, config, hello, over, progress, result_of, serve, start, step_rows,
    submit,
};

fn on_host(number: u8, host: &str) -> Hello {
    Hello { host: host.into(), ..hello(number) }
}

#[tokio::test]
async fn a_host_on_which_every_job_fails_is_drained_and_the_others_do_its_work() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    submit(&client, 9).await;
    let mut bad = FakeWorker::join(&client, on_host(1, "bad")).await;
    let mut good = FakeWorker::join(&client, on_host(2, "good")).await;
    for failed in 1..=4 {
        let attempt = bad.grant().await.attempt;
        let report = FailureReport::new(FailureClass::Exit, "no such device");
        bad.say(FromWorker::Outcome(attempt, Outcome::Failure(report))).await;
        let mut heard = vec![bad.hear().await];
        if failed == 1 {
            let attempt = good.grant().await.attempt;
            assert_eq!(good.finish(&attempt).await, None);
        }
        if failed == 4 {
            heard.push(bad.hear().await);
        }
        let drained = heard.iter().find_map(|message| match message {
            ToWorker::Drain { reason } => Some(reason.clone()),
            _ => None,
        });
        assert_eq!(drained.is_some(), failed == 4, "{heard:?}");
        assert!(drained.is_none_or(|reason| reason.contains("every job fails on host bad")));
    }
    let lines = client.workers().await.expect("answers");
    let state = |host: &str| lines.iter().find(|l| l.host == host).map(|l| l.state.clone());
    assert_eq!(state("bad").as_deref(), Some("failing"), "{lines:?}");
    for _ in 1..9 {
        let attempt = good.grant().await.attempt;
        assert_eq!(good.finish(&attempt).await, None);
    }
    let counts = over(&client).await;
    assert_eq!((counts.committed, counts.failed_attempts), (9, 4));
    running.stop().await;
}

#[tokio::test]
async fn a_worker_that_takes_all_it_can_and_answers_nothing_delays_its_jobs_by_a_lease() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    submit(&client, 100).await;
    let mut greedy = FakeWorker::join(&client, hello(1)).await;
    greedy.say(FromWorker::Capacity { free_slots: ATTEMPTS_MAX, taken: 0 }).await;
    assert!(matches!(greedy.hear().await, ToWorker::Grant(_)));
    let mut honest = FakeWorker::join(&client, hello(2)).await;
    let mut grants = 0;
    for _ in 0..100 {
        let attempt = honest.grant().await.attempt;
        assert_eq!(honest.finish(&attempt).await, None);
        grants += u32::from(attempt.number.0 > 1);
    }
    assert_eq!(grants, 4 * 17, "a worker of four slots gets so many, whatever it says");
    assert_eq!(over(&client).await.committed, 100);
    running.stop().await;
}

#[tokio::test]
async fn a_worker_that_reads_nothing_is_cut_off_and_costs_bounded_memory() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    submit(&client, 1).await;
    let deaf = FakeWorker::join(&client, hello(1)).await;
    // Each asks for an answer: that the attempt is not this worker's.
    let sweep = "s".parse().expect("a good name");
    let other = Attempt { sweep, job: JobId([9; 16]), number: AttemptNo(1) };
    let shout = async {
        let mut said = 0usize;
        let words = || FromWorker::Heartbeat(vec![progress(&other); 10]);
        // Its words are refused, or not taken in any more.
        while let Ok(Ok(())) = tokio::time::timeout(LEASE, deaf.say.send(words())).await {
            said += 10;
        }
        said
    };
    let said = tokio::time::timeout(PATIENCE, shout).await.expect("it is cut off");
    assert!(said > OUTBOX_QUEUE, "not before its queue was full: {said}");
    let mut worker = FakeWorker::join(&client, hello(2)).await;
    let attempt = worker.grant().await.attempt;
    assert_eq!(worker.finish(&attempt).await, None);
    running.stop().await;
}

#[tokio::test]
async fn two_hundred_workers_that_come_back_at_once_keep_their_leases() {
    const WORKERS: u8 = 200;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let lease = 10 * LEASE;
    let config = || Config { lease, ..config(folder.path(), "127.0.0.1:0") };
    let running = serve(config()).await;
    let client = running.client().await;
    submit(&client, u32::from(WORKERS)).await;
    let mut attempts = Vec::new();
    for number in 0..WORKERS {
        let mut worker = FakeWorker::join(&client, hello(number)).await;
        attempts.push((number, worker.grant().await.attempt));
    }
    running.stop().await;

    let running = serve(config()).await;
    let mut back = JoinSet::new();
    let begun = Instant::now();
    for (number, attempt) in attempts {
        let client = running.client().await;
        back.spawn(async move {
            let held = vec![attempt.clone()];
            let hello = Hello { held, worker: WorkerId([number; 16]), ..hello(number) };
            let mut worker = FakeWorker::join(&client, hello).await;
            worker.say(FromWorker::Heartbeat(vec![progress(&attempt)])).await;
            assert_eq!(worker.hear().await, ToWorker::Heard);
            let heard = begun.elapsed();
            assert_eq!(worker.finish(&attempt).await, None);
            heard
        });
    }
    let heard = back.join_all().await;
    let slowest = heard.into_iter().max().unwrap_or(Duration::ZERO);
    assert!(slowest < lease, "the last heartbeat was answered after {slowest:?}");
    let counts = over(&running.client().await).await;
    assert_eq!((counts.committed, counts.failed_attempts), (u64::from(WORKERS), 0));
    running.stop().await;
}

#[tokio::test]
async fn a_hello_that_cannot_be_taken_is_refused_for_what_is_wrong_with_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    let (say, outgoing) = mpsc::channel(1);
    let hello = on_host(1, &"h".repeat(257));
    say.send(FromWorker::Hello(hello)).await.expect("there is room");
    let mut session = client.session(outgoing).await.expect("opens");
    let refused = session.next().await.expect_err("its host is too long").to_string();
    assert!(refused.contains("hello.host"), "{refused}");
    running.stop().await;
}

/// What is remembered of a result is bounded, whatever a worker says.
#[tokio::test]
async fn a_result_of_an_engine_with_an_endless_name_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    submit(&client, 1).await;
    let mut worker = FakeWorker::join(&client, hello(1)).await;
    let attempt = worker.grant().await.attempt;
    worker.say(FromWorker::Rows(step_rows(&attempt, 0))).await;
    assert!(matches!(worker.hear().await, ToWorker::Rows { next_row: 2, .. }));
    let long = result_of(&"e".repeat(257));
    worker.say(FromWorker::Outcome(attempt.clone(), long)).await;
    let ToWorker::Outcome { refusal: Some(refusal), .. } = worker.hear().await else {
        panic!("it was taken");
    };
    assert!(refusal.contains("engine revision of 257 bytes"), "{refusal}");
    assert_eq!(worker.commit(&attempt).await, None);
    running.stop().await;
}

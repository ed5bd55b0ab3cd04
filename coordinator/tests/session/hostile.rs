//! Peers that fail everything, take everything, read nothing, send what is no message or too large, or come back all at once:
//! the others are not harmed.

use std::time::Duration;

use coordinator::Config;
use domain::{AttemptNo, FailureClass, FailureReport, JobId, WorkerId};
use proto::client::Client;
use proto::error::{ApiError, CallError};
use proto::limits::{
    ATTEMPTS_MAX, MESSAGE_BYTES_MAX, OUTBOX_QUEUE, ROW_BATCH_BYTES_MAX, ROW_BATCH_ROWS_MAX,
    SWEEP_BYTES_MAX,
};
use proto::message::{Attempt, FromWorker, Hello, Outcome, Progress, ToWorker};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Code;

use crate::fake::{
    FakeWorker, LEASE, PATIENCE, Running, config, hello, over, progress, result_of, serve, start,
    step_rows, submission, submit, sweep,
};
use crate::raw::{Raw, WINDOW};

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
    let lease = 20 * LEASE;
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

/// Whoever is asked afterwards does the sweep's one job, and the coordinator stops in good order.
async fn serves_others(running: Running, client: &Client) {
    let mut worker = FakeWorker::join(client, hello(200)).await;
    let attempt = worker.grant().await.attempt;
    assert_eq!(worker.finish(&attempt).await, None);
    assert_eq!(over(client).await.committed, 1);
    running.stop().await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_by_name_and_others_are_served() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    submit(&client, 1).await;

    let raw = Raw::connect(&running.connection).await;
    for method in ["Sweeps/Submit", "Sweeps/PutBlob", "Fleet/Session"] {
        let large = vec![vec![0; MESSAGE_BYTES_MAX + 1]];
        let refused = raw.ask(method, large).await.expect_err("no message is as large");
        assert_eq!(refused.code(), Code::OutOfRange, "{method}: {refused}");
    }

    let too_long = |text: &mut String, most| *text = "#".repeat(most + 1);
    let [mut long_sweep, mut long_file] = [(); 2].map(|()| submission(&sweep(1)));
    too_long(&mut long_sweep.sweep, SWEEP_BYTES_MAX);
    too_long(&mut long_file.file_text, SWEEP_BYTES_MAX);
    for (submission, field) in [(long_sweep, "submit.sweep"), (long_file, "submit.file_text")] {
        let refused = client.submit(submission).await.expect_err("no sweep is as large");
        let invalid = matches!(refused, CallError::Answer(ApiError::Invalid { .. }));
        assert!(invalid && refused.to_string().contains(field), "{refused}");
    }

    for (number, field) in [(1, "rows.cells"), (2, "rows.row_count")] {
        let mut worker = FakeWorker::join(&client, hello(number)).await;
        let sweep = "s".parse().expect("a good name");
        let mut rows = step_rows(&Attempt { sweep, job: JobId([9; 16]), number: AttemptNo(1) }, 0);
        match field {
            "rows.cells" => rows.cells = vec![0; ROW_BATCH_BYTES_MAX + 1],
            _ => rows.row_count = ROW_BATCH_ROWS_MAX + 1,
        }
        worker.say(FromWorker::Rows(rows)).await;
        let refused = worker.hear.next().await.expect_err("no batch is as large");
        let invalid = matches!(refused, CallError::Answer(ApiError::Invalid { .. }));
        assert!(invalid && refused.to_string().contains(field), "{refused}");
    }
    serves_others(running, &client).await;
}

/// Every method of both services.
const METHODS: [&str; 15] = [
    "Fleet/Session",
    "Sweeps/Submit",
    "Sweeps/List",
    "Sweeps/Watch",
    "Sweeps/Jobs",
    "Sweeps/Workers",
    "Sweeps/Cancel",
    "Sweeps/Pause",
    "Sweeps/Retry",
    "Sweeps/Explain",
    "Sweeps/Drain",
    "Sweeps/Flush",
    "Sweeps/PutBlob",
    "Sweeps/GetBlob",
    "Sweeps/NoSuchThing",
];

/// Bytes that are no protobuf, or none that means anything, each in its own way.
fn garbage() -> Vec<Vec<u8>> {
    let mut garbage = vec![
        vec![],
        vec![0xff; 11],                                 // a number that does not end
        vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],       // a field of 4 GiB
        vec![0x0a, 5, 1],                               // a field that is cut off
        vec![0x0a, 1, 0xff],                            // a text that is none
        vec![0x0b; 200],                                // groups in groups
        vec![0x07],                                     // a wire type that there is not
        vec![0x00, 0x00],                               // field 0
        [vec![0x0a, 200, 1], vec![0x0a; 200]].concat(), // messages in messages
    ];
    let mut state = 1u64;
    garbage.extend((0..8).map(|length| {
        let byte = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        (0..length * 31).map(byte).collect()
    }));
    garbage
}

#[tokio::test]
async fn what_is_no_message_is_refused_by_every_method_and_others_are_served() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    submit(&client, 1).await;
    let raw = Raw::connect(&running.connection).await;
    let mut refused = 0;
    for method in METHODS {
        for bytes in garbage() {
            let asked = raw.ask(method, vec![bytes.clone(), bytes.clone()]);
            let answer = tokio::time::timeout(PATIENCE, asked).await.expect("is answered");
            // Some of it is a question that asks for nothing, as it happens.
            let Err(status) = answer else { continue };
            let code = status.code();
            let fits = match method {
                "Sweeps/NoSuchThing" => code == Code::Unimplemented,
                _ => matches!(code, Code::Internal | Code::InvalidArgument | Code::NotFound),
            };
            assert!(fits, "{method} says of {bytes:?}: {status}");
            refused += 1;
        }
    }
    assert!(refused > METHODS.len() * garbage().len() / 2, "{refused} refused");

    // Nor is it HTTP/2 that comes, but for how it begins.
    let address = running.connection.url.trim_start_matches("http://").to_owned();
    for bytes in garbage() {
        let mut peer = TcpStream::connect(&address).await.expect("connects");
        peer.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("it listens");
        // It may have hung up before it has heard all.
        drop(peer.write_all(&bytes.repeat(9)).await);
    }
    serves_others(running, &client).await;
}

/// It is told of the latest when it reads, and not of all that it has missed.
#[tokio::test]
async fn a_watcher_that_never_reads_is_kept_a_few_snapshots_and_others_are_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let lease = 50 * LEASE;
    let running = serve(Config { lease, ..config(folder.path(), "127.0.0.1:0") }).await;
    let client = running.client().await;
    submit(&client, 68).await;
    // Its name is in the line of each of its jobs: snapshots of some 15 KiB.
    let mut worker = FakeWorker::join(&client, on_host(1, &"h".repeat(200))).await;
    worker.say(FromWorker::Capacity { free_slots: 68, taken: 0 }).await;
    let mut held = Vec::new();
    while held.len() < 68 {
        if let ToWorker::Grant(grant) = worker.hear().await {
            held.push(grant.attempt);
        }
    }
    let raw = Raw::connect(&running.connection).await;
    let mut deaf = raw.call("Sweeps/Watch", vec![vec![0x0a, 1, b's']]).await.expect("watches");
    // Each beat changes the line of every job, and is told with the next tick.
    for step in 0..40 {
        let beat = held.iter().map(|attempt| Progress { step, ..progress(attempt) });
        worker.say(FromWorker::Heartbeat(beat.collect())).await;
        assert_eq!(worker.hear().await, ToWorker::Heard);
        tokio::time::sleep(LEASE / 4).await;
    }
    let mut waiting = Vec::new();
    while let Ok(next) = tokio::time::timeout(LEASE / 12, deaf.message()).await {
        waiting.push(next.expect("no error").expect("it is not over").len());
    }
    let on_the_way = WINDOW as usize / waiting[waiting.len() / 2];
    println!("{} snapshots of some {} bytes waited", waiting.len(), waiting[waiting.len() / 2]);
    // Four wait for it, some have left already, and some are in between.
    assert!(waiting.len() <= on_the_way + 10, "{waiting:?}");
    for attempt in held {
        assert_eq!(worker.finish(&attempt).await, None);
    }
    assert_eq!(over(&client).await.committed, 68);
    running.stop().await;
}

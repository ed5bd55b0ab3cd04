//! Workers that talk without end and read nothing of what they are told: what each costs the coordinator's process.

use domain::{AttemptNo, JobId, WorkerId};
use proto::client::Client;
use proto::connection::Connection;
use proto::limits::{OUTBOX_QUEUE, PROTOCOL};
use proto::message::{Attempt, FromWorker, Hello, Progress};
use tokio::sync::mpsc;
use tokio::time::{Duration, timeout};

use crate::content::assert_exactly_once;
use crate::end_to_end::SMALL;
use crate::harness::{Place, succeed};

/// How many there are, and what each may cost: its full queue of some 300 bytes a message, and what is on the way to it and
/// from it.
const DEAF: u8 = 8;
const BYTES_EACH: u64 = 4 << 20;

fn hello(number: u8) -> Hello {
    Hello {
        worker: WorkerId([number; 16]),
        protocol: PROTOCOL,
        version: "0".into(),
        engine_revision: "0".into(),
        instruction_set: "none".into(),
        host: "deaf".into(),
        process: u32::from(number),
        slots: 1,
        cores: 1,
        memory_bytes: 1 << 30,
        held: Vec::new(),
        time_left: None,
    }
}

/// Says what wants an answer until nothing is taken in any more; how many answers it did not read.
async fn shout(say: &mpsc::Sender<FromWorker>, number: u8) -> usize {
    say.send(FromWorker::Hello(hello(number))).await.expect("there is room");
    // That the attempt is not this worker's.
    let sweep = "small".parse().expect("a good name");
    let attempt = Attempt { sweep, job: JobId([9; 16]), number: AttemptNo(1) };
    let progress =
        Progress { attempt, step: 1, steps: 10, risk: None, min_cos: None, rms_cos: None };
    let mut said = 0;
    let words = || FromWorker::Heartbeat(vec![progress.clone(); 100]);
    while let Ok(Ok(())) = timeout(Duration::from_secs(1), say.send(words())).await {
        said += 100;
    }
    said
}

#[test]
fn workers_that_read_nothing_cost_bounded_memory_and_others_do_the_work() {
    let place = Place::new();
    let coordinator = place.coordinator();
    succeed(place.client(&["submit"]).arg(place.sweep(SMALL)));
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build().expect("a runtime");
    let connection = Connection::read(&place.path("connection.json")).expect("is there");
    let before = coordinator.memory("VmRSS");
    let sessions: Vec<_> = (1..=DEAF)
        .map(|number| {
            runtime.block_on(async {
                let client = Client::connect(&connection).await.expect("connects");
                let (say, outgoing) = mpsc::channel(64);
                let unread = client.session(outgoing).await.expect("the session opens");
                let said = shout(&say, number).await;
                assert!(said > OUTBOX_QUEUE, "not before its queue was full: {said}");
                // The connection stays: it is the coordinator that must not wait for it.
                (client, say, unread)
            })
        })
        .collect();
    let grown = coordinator.memory("VmRSS").saturating_sub(before);
    println!("{DEAF} of them: {} KiB more", grown >> 10);
    assert!(grown < u64::from(DEAF) * BYTES_EACH, "{grown} bytes more for {DEAF} of them");
    let _worker = place.worker(1);
    place.wait_over("small");
    assert_exactly_once(&place.results(), "small", 6);
    drop(sessions);
}

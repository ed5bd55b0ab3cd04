//! Kept weights between a coordinator and a worker that the tests play: what is taken, what is refused, and what is tidied up.

use std::collections::BTreeMap;
use std::path::Path;

use domain::spec::KeepWeights;
use domain::{Digest, Sweep, sweep_file};
use proto::client::Client;
use proto::message::{Attempt, Checkpoint, FromWorker, Grant, Kept, Outcome, ToWorker};
use safetensors::tensor::{Dtype, TensorView};

use super::fake::{
    FakeWorker, PATIENCE, PICTURES, files, hand_in, hello, images, over, result, start, step_rows,
};

fn keeping(keep: &str) -> Sweep {
    called("s", &format!("[run]\nkeep_weights = \"{keep}\"\n"))
}

/// A sweep of one job; `rest` is what else its file says.
fn called(name: &str, rest: &str) -> Sweep {
    let text = format!(
        "name = \"{name}\"\n[model]\nkind = \"mlp\"\nwidth = 4\ndepth = 1\n[data]\nkind = \"sphere\"\nsamples = 8\ndim = 4\n[train]\nsteps = 10\nstep_size = 0.1\n{rest}"
    );
    let draft = sweep_file::parse(&text, "s.toml").expect("the test's sweep is valid");
    draft.resolve(&BTreeMap::new()).expect("it needs no files")
}

fn blob(byte: u8) -> Vec<u8> {
    let bytes = [byte; 16];
    let array = TensorView::new(Dtype::F64, vec![2], &bytes).expect("it fits");
    safetensors::serialize([("weights.0", array)], None).expect("one name")
}

fn with_weights(weights: u64) -> Outcome {
    match result() {
        Outcome::Result { steps_rows, confusion_rows, cells, .. } => {
            Outcome::Result { steps_rows, confusion_rows, weights, cells }
        }
        other => other,
    }
}

/// Stores a blob of weights and says so; what the coordinator answers.
async fn keep(worker: &mut FakeWorker, client: &Client, attempt: &Attempt, step: u64) -> ToWorker {
    let bytes = blob(step as u8);
    let digest = Digest::of(&bytes);
    client.put_blob(digest, bytes).await.expect("is taken in");
    tell(worker, attempt, Kept { step, digest }).await
}

async fn tell(worker: &mut FakeWorker, attempt: &Attempt, kept: Kept) -> ToWorker {
    worker.say(FromWorker::Weights(attempt.clone(), kept)).await;
    worker.hear().await
}

/// A worker with a grant whose two step rows are durable.
async fn begun(client: &Client, number: u8) -> (FakeWorker, Grant) {
    let mut worker = FakeWorker::join(client, hello(number)).await;
    let grant = worker.grant().await;
    worker.say(FromWorker::Rows(step_rows(&grant.attempt, 0))).await;
    assert!(matches!(worker.hear().await, ToWorker::Rows { next_row: 2, .. }));
    (worker, grant)
}

async fn outcome(worker: &mut FakeWorker, attempt: &Attempt, weights: u64) -> Option<String> {
    worker.say(FromWorker::Outcome(attempt.clone(), with_weights(weights))).await;
    match worker.hear().await {
        ToWorker::Outcome { refusal, .. } => refusal,
        other => panic!("expected an answer to the outcome, heard {other:?}"),
    }
}

fn blobs(folder: &Path) -> usize {
    std::fs::read_dir(folder.join("journal/blobs")).expect("is there").count()
}

/// Waits until no blob is left.
async fn tidied(folder: &Path) {
    for _ in 0..2_000 {
        if blobs(folder) == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{} blobs stay", blobs(folder));
}

#[tokio::test]
async fn a_result_is_accepted_with_its_weights_alone_and_they_end_in_a_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    hand_in(&client, &keeping("measured")).await;
    let (mut worker, grant) = begun(&client, 1).await;
    assert_eq!(grant.keep_weights, KeepWeights::Measured);
    let attempt = grant.attempt;
    for step in [0, 10] {
        let answer = keep(&mut worker, &client, &attempt, step).await;
        assert_eq!(answer, ToWorker::Weights { attempt: attempt.clone(), step });
    }
    // Told again: the same answer.
    let answer = keep(&mut worker, &client, &attempt, 0).await;
    assert_eq!(answer, ToWorker::Weights { attempt: attempt.clone(), step: 0 });
    let refusal = outcome(&mut worker, &attempt, 3).await.expect("one is missing");
    assert!(refusal.contains("weights of 3 steps, 2 are stored"), "{refusal}");
    assert_eq!(outcome(&mut worker, &attempt, 2).await, None);
    assert_eq!(over(&client).await.committed, 1);
    assert_eq!(files(folder.path(), "weights").len(), 1);
    assert_eq!(files(folder.path(), "weights_index").len(), 1);
    tidied(folder.path()).await;
    running.stop().await;
}

#[tokio::test]
async fn weights_that_are_not_there_cost_the_attempt_and_no_more() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    hand_in(&client, &keeping("final")).await;
    let (mut worker, grant) = begun(&client, 1).await;
    let lost = Kept { step: 10, digest: Digest([9; 32]) };
    let answer = tell(&mut worker, &grant.attempt, lost).await;
    let ToWorker::Revoke { reason, .. } = answer else { panic!("{answer:?}") };
    assert!(reason.contains("not here any more"), "{reason}");
    let again = worker.grant().await;
    assert_eq!((again.attempt.number.0, again.resume), (2, None));
    worker.say(FromWorker::Rows(step_rows(&again.attempt, 0))).await;
    assert!(matches!(worker.hear().await, ToWorker::Rows { next_row: 2, .. }));
    keep(&mut worker, &client, &again.attempt, 10).await;
    assert_eq!(outcome(&mut worker, &again.attempt, 1).await, None);
    let counts = over(&client).await;
    assert_eq!((counts.committed, counts.failed_attempts), (1, 0));
    running.stop().await;
}

#[tokio::test]
async fn what_is_no_file_of_weights_ends_the_session_and_harms_nobody() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    hand_in(&client, &keeping("final")).await;
    let (mut liar, grant) = begun(&client, 1).await;
    let bytes = b"no weights at all".to_vec();
    let digest = Digest::of(&bytes);
    client.put_blob(digest, bytes).await.expect("is taken in");
    liar.say(FromWorker::Weights(grant.attempt.clone(), Kept { step: 10, digest })).await;
    let ended = liar.hear.next().await;
    assert!(format!("{ended:?}").contains("none of weights"), "{ended:?}");
    // Its lease runs out, and another does the work.
    let (mut worker, grant) = begun(&client, 2).await;
    assert_eq!(grant.attempt.number.0, 2);
    keep(&mut worker, &client, &grant.attempt, 10).await;
    assert_eq!(outcome(&mut worker, &grant.attempt, 1).await, None);
    assert_eq!(over(&client).await.committed, 1);
    running.stop().await;
}

#[tokio::test]
async fn weights_stored_before_a_restart_may_be_spoken_of_after_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    hand_in(&client, &keeping("final")).await;
    let stray = b"nobody asks for this".to_vec();
    client.put_blob(Digest::of(&stray), stray).await.expect("is taken in");
    let bytes = blob(10);
    let kept = Kept { step: 10, digest: Digest::of(&bytes) };
    client.put_blob(kept.digest, bytes).await.expect("is taken in");
    let (_worker, Grant { attempt, .. }) = begun(&client, 1).await;
    running.stop().await;

    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    let held = vec![attempt.clone()];
    let hello = proto::message::Hello { held, ..hello(1) };
    let mut worker = FakeWorker::join(&client, hello).await;
    let answer = tell(&mut worker, &attempt, kept).await;
    assert_eq!(answer, ToWorker::Weights { attempt: attempt.clone(), step: 10 });
    assert_eq!(outcome(&mut worker, &attempt, 1).await, None);
    let counts = over(&client).await;
    assert_eq!((counts.committed, counts.failed_attempts), (1, 0));
    // After a lease the stray is gone too.
    tidied(folder.path()).await;
    running.stop().await;
}

/// Two sweeps that ask for the same job make the same bytes.
#[tokio::test]
async fn the_end_of_one_sweep_leaves_a_checkpoint_that_another_needs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    hand_in(&client, &called("s", "")).await;
    let (mut first, of_s) = begun(&client, 1).await;
    hand_in(&client, &called("t", "")).await;
    let (mut second, of_t) = begun(&client, 2).await;
    assert_eq!(of_s.attempt.job, of_t.attempt.job);
    let (own, shared) = (b"one alone", b"both have");
    let file =
        |bytes: &[u8]| folder.path().join("journal/blobs").join(Digest::of(bytes).to_string());
    let (own_file, shared_file) = (file(own), file(shared));
    let stored = async |worker: &mut FakeWorker, attempt: &Attempt, step, bytes: &[u8]| {
        let digest = Digest::of(bytes);
        client.put_blob(digest, bytes.to_vec()).await.expect("is taken in");
        worker.say(FromWorker::Checkpoint(attempt.clone(), checkpoint(step, digest))).await;
        assert!(matches!(worker.hear().await, ToWorker::Checkpoint { .. }));
    };
    stored(&mut first, &of_s.attempt, 1, own).await;
    stored(&mut first, &of_s.attempt, 2, shared).await;
    stored(&mut second, &of_t.attempt, 2, shared).await;
    second.say(FromWorker::Outcome(of_t.attempt, Outcome::Released)).await;
    assert!(matches!(second.hear().await, ToWorker::Outcome { refusal: None, .. }));
    assert_eq!(first.commit(&of_s.attempt).await, None);
    let gone = async {
        while own_file.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("what the first had alone is removed");
    assert!(shared_file.exists(), "the other job goes on from it");
    let again = second.grant().await;
    assert_eq!(again.resume.map(|checkpoint| checkpoint.step), Some(2));
    running.stop().await;
}

fn checkpoint(step: u64, digest: Digest) -> Checkpoint {
    Checkpoint {
        digest,
        step,
        steps_rows: 0,
        confusion_rows: 0,
        engine_revision: "e1".into(),
        instruction_set: "avx2".into(),
    }
}

/// Whatever a worker names as its checkpoint, it cannot have a data set removed by letting go of it.
#[tokio::test]
async fn a_data_set_that_a_worker_names_as_its_checkpoint_stays() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    client.put_blob(Digest::of(PICTURES), PICTURES.to_vec()).await.expect("is taken in");
    assert_eq!(hand_in(&client, &images(1)).await.new, 1);
    let mut liar = FakeWorker::join(&client, hello(1)).await;
    let attempt = liar.grant().await.attempt;
    liar.say(FromWorker::Checkpoint(attempt.clone(), checkpoint(1, Digest::of(PICTURES)))).await;
    let stored = liar.hear().await;
    assert_eq!(stored, ToWorker::Checkpoint { attempt: attempt.clone(), step: 1 });
    // The result lets go of the checkpoint, and another blob shows when that is done.
    let other = b"a checkpoint".to_vec();
    let digest = Digest::of(&other);
    client.put_blob(digest, other).await.expect("is taken in");
    liar.say(FromWorker::Checkpoint(attempt.clone(), checkpoint(2, digest))).await;
    assert!(matches!(liar.hear().await, ToWorker::Checkpoint { step: 2, .. }));
    assert_eq!(liar.finish(&attempt).await, None);
    let data_set = folder.path().join("journal/blobs").join(Digest::of(PICTURES).to_string());
    let other = folder.path().join("journal/blobs").join(digest.to_string());
    let gone = async {
        while other.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("the checkpoint is removed");
    client.workers().await.expect("the loop went on");
    assert!(data_set.exists(), "others read it");
    running.stop().await;
}

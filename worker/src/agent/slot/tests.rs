//! A slot with processes that do not behave: each of their ends has its class, and the slot goes on.

use std::time::Duration;

use domain::spec::KeepWeights;
use domain::{AttemptNo, JobId};

use super::*;
use crate::agent::clock;
use crate::agent::frame::Frame;
use crate::agent::process::tests::tiny_spec;
use crate::trial::cost;

/// A slot whose trial process is `script`, run by the shell; the folder goes when it does.
struct Bench {
    assignments: mpsc::Sender<Assignment>,
    tales: mpsc::Receiver<FromWorker>,
    signals: mpsc::Receiver<Signal>,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new(program: &str, script: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // Dropped at once: this agent has no coordinator and will have none.
        let (_, clients) = watch::channel(None);
        let exchange = Exchange::new(clients);
        let blobs = Blobs::open(folder.path().to_owned(), vec![], exchange.clone());
        let (told, tales) = mpsc::channel(16);
        let (sender, signals) = mpsc::channel(16);
        let launch = Launch {
            program: program.into(),
            arguments: ["-c", script].into_iter().map(Into::into).collect(),
        };
        let blobs = Arc::new(blobs.expect("the cache opens"));
        let common = Common { launch, blobs, exchange, tales: told, signals: sender };
        let (assignments, receiver) = mpsc::channel(1);
        tokio::spawn(Slot::new(0, common).serve(receiver));
        Self { assignments, tales, signals, _folder: folder }
    }

    async fn outcome(&mut self, grant: Grant, intent: Intent) -> Option<Outcome> {
        let (_sender, intent) = watch::channel(intent);
        let assignment = Assignment { grant, intent };
        self.assignments.send(assignment).await.expect("the slot takes it");
        while !matches!(self.signals.recv().await.expect("an end"), Signal::Vacated { slot: 0, .. })
        {
        }
        // What came of it was told before.
        while let Ok(tale) = self.tales.try_recv() {
            if let FromWorker::Outcome(_, outcome) = tale {
                return Some(outcome);
            }
        }
        None
    }
}

fn grant() -> Grant {
    let attempt =
        Attempt { sweep: "s".parse().expect("a name"), job: JobId([1; 16]), number: AttemptNo(1) };
    Grant {
        attempt,
        spec: tiny_spec(10).canonical(),
        resume: None,
        timeout: None,
        checkpoint: Duration::from_secs(60),
        memory_bytes: 0,
        threads: 1,
        keep_weights: KeepWeights::None,
        data_path: None,
    }
}

#[tokio::test]
async fn a_cache_that_cannot_be_used_costs_a_job_nothing_and_is_not_tried_again_at_once() {
    let mut bench = Bench::new("/bin/sh", "exit 0");
    let cache = bench._folder.path().to_owned();
    std::fs::remove_dir_all(&cache).expect("removed");
    std::fs::write(&cache, b"in the way").expect("written");
    let checkpoint = Checkpoint {
        digest: domain::Digest([1; 32]),
        step: 1,
        steps_rows: 0,
        confusion_rows: 0,
        engine_revision: "e1".into(),
        instruction_set: "avx2".into(),
    };
    let begun = clock::timer();
    let grant = Grant { resume: Some(checkpoint), ..grant() };
    assert_eq!(bench.outcome(grant, Intent::Run).await, Some(Outcome::Released));
    assert!(begun.elapsed() >= CACHE_PAUSE, "{:?}", begun.elapsed());
    std::fs::remove_file(&cache).expect("removed");
}

/// Runs a job twice on a slot of `script`s: the slot must go on after the first failure.
async fn failure_of(script: &str) -> FailureReport {
    let mut bench = Bench::new("/bin/sh", script);
    let first = bench.outcome(grant(), Intent::Run).await;
    let second = bench.outcome(grant(), Intent::Run).await;
    assert_eq!(first, second, "{script}");
    match first {
        Some(Outcome::Failure(report)) => report,
        other => panic!("{script}: {other:?}"),
    }
}

#[tokio::test]
async fn a_process_that_exits_has_its_code_and_last_words_reported() {
    let report = failure_of("echo first >&2; echo last words >&2; exit 3").await;
    assert_eq!((report.class, report.exit_code), (FailureClass::Exit, Some(3)));
    assert_eq!(report.log_tail, "first\nlast words\n");
}

#[tokio::test]
async fn a_process_that_a_signal_ends_has_the_signal_reported() {
    let report = failure_of("kill -SEGV $$").await;
    assert_eq!((report.class, report.signal), (FailureClass::Signal, Some(11)));
    let report = failure_of("echo memory allocation of 8 bytes failed >&2; kill -ABRT $$").await;
    assert_eq!((report.class, report.signal), (FailureClass::OutOfMemory, Some(6)));
}

#[tokio::test]
async fn a_process_that_talks_nonsense_is_a_bug() {
    let report = failure_of("echo 'this is not a frame'; exec sleep 1000").await;
    assert_eq!(report.class, FailureClass::Bug);
}

#[tokio::test]
async fn a_job_that_needs_more_memory_than_it_was_granted_is_not_started() {
    let needed = cost(&tiny_spec(10), 1).memory_bytes;
    let mut bench = Bench::new("/bin/sh", "exit 3");
    let granted = |memory_bytes| Grant { memory_bytes, ..grant() };
    match bench.outcome(granted(needed - 1), Intent::Run).await {
        Some(Outcome::Failure(report)) => {
            assert_eq!((report.class, report.exit_code), (FailureClass::Refused, None));
            for part in [needed.to_string(), (needed - 1).to_string(), "run.memory".to_owned()] {
                assert!(report.message.contains(&part), "{part} in {}", report.message);
            }
        }
        other => panic!("{other:?}"),
    }
    // Enough, or no limit: the trial process is started, and exits.
    for memory_bytes in [needed, 0] {
        match bench.outcome(granted(memory_bytes), Intent::Run).await {
            Some(Outcome::Failure(report)) => assert_eq!(report.exit_code, Some(3)),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn the_trial_process_is_told_what_was_granted() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = folder.path().join("said");
    let granted = Grant { threads: 3, ..grant() };
    let start = Start {
        tag: 1,
        spec: granted.spec.clone(),
        bundle: None,
        resume: None,
        threads: granted.threads,
        keep_weights: granted.keep_weights.as_str().to_owned(),
    };
    let expected = Frame::from(&ToTrial::Start(start)).head();
    let script = format!("head -c {} > {}; exit 3", expected.len(), said.display());
    let mut bench = Bench::new("/bin/sh", &script);
    bench.outcome(granted, Intent::Run).await.expect("it ends");
    assert_eq!(std::fs::read(said).expect("it was told"), expected);
}

#[tokio::test]
async fn a_stuck_trial_is_killed_at_its_limit() {
    let mut bench = Bench::new("/bin/sh", "exec sleep 1000");
    let limited = Grant { timeout: Some(Duration::from_millis(50)), ..grant() };
    match bench.outcome(limited, Intent::Run).await {
        Some(Outcome::Failure(report)) => {
            assert_eq!(report.class, FailureClass::Timeout);
            assert!(report.message.contains("0.05 s"), "{}", report.message);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_stuck_trial_is_handed_back_or_dropped_all_the_same() {
    let mut bench = Bench::new("/bin/sh", "exec sleep 1000");
    let by = clock::timer() + Duration::from_millis(50);
    let released = bench.outcome(grant(), Intent::HandBack { by }).await;
    assert_eq!(released, Some(Outcome::Released));
    assert_eq!(bench.outcome(grant(), Intent::Drop).await, None);
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let mut bench = Bench::new("/no/such/program", "");
    match bench.outcome(grant(), Intent::Run).await {
        Some(Outcome::Failure(report)) => {
            assert_eq!(report.class, FailureClass::Exit);
            assert!(report.message.contains("/no/such/program"), "{}", report.message);
        }
        other => panic!("{other:?}"),
    }
    for (bad, class) in [
        (Grant { spec: "{}".into(), ..grant() }, FailureClass::Refused),
        (
            Grant {
                resume: Some(Checkpoint {
                    digest: domain::Digest([0; 32]),
                    step: 1,
                    steps_rows: 1,
                    confusion_rows: 1,
                    engine_revision: "1".into(),
                    instruction_set: "x".into(),
                }),
                ..grant()
            },
            FailureClass::Input,
        ),
    ] {
        match bench.outcome(bad, Intent::Run).await {
            Some(Outcome::Failure(report)) => assert_eq!(report.class, class, "{report:?}"),
            other => panic!("{other:?}"),
        }
    }
}

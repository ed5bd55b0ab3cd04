//! A journal that an earlier build wrote: this one goes on from it.

use std::fs;
use std::path::Path;

use crate::fake::{FakeWorker, hello, start};

#[tokio::test]
async fn a_journal_of_format_3_is_gone_on_from() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let journal = folder.path().join("journal");
    fs::create_dir(&journal).expect("made");
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/journal-format-3");
    for name in ["log.0", "log.mark"] {
        fs::copy(kept.join(name), journal.join(name)).expect("copied");
    }
    let running = start(folder.path(), "127.0.0.1:0").await;
    let client = running.client().await;
    let sweep = client.list().await.expect("lists").remove(0);
    assert_eq!((sweep.sweep.as_str(), sweep.counts.committed), ("kept", 4));
    assert_eq!(client.flush(&sweep.sweep).await.expect("flushes"), 1);
    let rows = |table: &str| {
        let folder = folder.path().join(table).join("sweep=kept");
        fs::read_dir(folder).expect("is there").count()
    };
    assert_eq!((rows("results/jobs"), rows("results/steps")), (1, 1));
    // Leases outlive the coordinator; when they have run out, somebody else does the rest.
    let mut worker = FakeWorker::join(&client, hello(1)).await;
    for _ in 0..2 {
        let grant = worker.grant().await;
        assert!(grant.spec.contains("\"width\":"), "{}", grant.spec);
        assert_eq!(worker.finish(&grant.attempt).await, None);
    }
    let done = client.list().await.expect("lists").remove(0).counts;
    assert_eq!((done.committed, done.abandoned), (6, 0));
    running.stop().await;
}

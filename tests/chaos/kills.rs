//! kill -9 of the coordinator while it commits, many times: nothing acknowledged is lost.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::{JobId, SweepName};
use proto::client::Client;
use proto::connection::Connection;
use proto::message::JobsQuery;
use rand::RngExt;

use crate::harness::Place;
use crate::idle_worker::{IdleWorker, submission};

/// What was acknowledged, over all lives of the coordinator.
#[derive(Default)]
struct Acknowledged {
    sweeps: BTreeSet<SweepName>,
    /// The same job is in every sweep.
    jobs: BTreeSet<(SweepName, JobId)>,
}

#[test]
#[ignore = "minutes"]
fn nothing_acknowledged_is_lost_by_a_thousand_kills_of_the_coordinator() {
    let kills = crate::times("GRADSWEEP_KILLS", 1_000);
    let mut rng = crate::chance("kills of the coordinator");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let place = Place::new();
    let known = Arc::new(Mutex::new(Acknowledged::default()));
    for life in 0..=kills {
        let mut coordinator = place.coordinator();
        let connection = Connection::read(&place.path("connection.json")).expect("is there");
        let client = runtime.block_on(Client::connect(&connection)).expect("connects");
        runtime.block_on(check(&client, &known));
        if life == kills {
            break;
        }
        let work = runtime.spawn(work(client, life, Arc::clone(&known)));
        std::thread::sleep(Duration::from_micros(rng.random_range(0..60_000)));
        coordinator.kill();
        // It ends by the loss of its connection.
        drop(runtime.block_on(work));
    }
    let known = known.lock().expect("no panic");
    let (sweeps, jobs) = (known.sweeps.len(), known.jobs.len());
    println!("{kills} kills: {sweeps} sweeps and {jobs} results were acknowledged, none was lost");
    // Many die before they have listened for long. A coordinator that commits nothing would prove nothing.
    assert!(jobs as u64 > kills / 4, "only {jobs} results in {kills} lives");
}

/// Hands sweeps in and does their jobs, as fast as the coordinator answers.
async fn work(client: Client, life: u64, known: Arc<Mutex<Acknowledged>>) -> anyhow::Result<()> {
    let submitting = async {
        for part in 0.. {
            let submitted = client.submit(submission(&format!("s-{life}-{part}"), 40, 0)?).await?;
            known.lock().expect("no panic").sweeps.insert(submitted.sweep);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    let working = async {
        let mut worker = IdleWorker::join(&client, 1 + (life % 250) as u8, 4).await?;
        let acknowledged = |attempt: &proto::message::Attempt| {
            let job = (attempt.sweep.clone(), attempt.job);
            known.lock().expect("no panic").jobs.insert(job);
        };
        worker.run(None, u64::MAX, 0, acknowledged).await
    };
    let (submitted, worked) = tokio::join!(submitting, working);
    submitted.and(worked)
}

async fn check(client: &Client, known: &Mutex<Acknowledged>) {
    let sweeps = client.list().await.expect("answers");
    let there: BTreeSet<_> = sweeps.iter().map(|progress| progress.sweep.clone()).collect();
    let committed: u64 = sweeps.iter().map(|progress| progress.counts.committed).sum();
    {
        let known = known.lock().expect("no panic");
        let lost: Vec<_> = known.sweeps.difference(&there).collect();
        assert!(lost.is_empty(), "acknowledged sweeps are gone: {lost:?}");
        let acknowledged = known.jobs.len() as u64;
        assert!(committed >= acknowledged, "{acknowledged} acknowledged, {committed} there");
    }
    // One sweep is looked at job by job.
    if let Some(progress) = sweeps.last() {
        let sweep = progress.sweep.clone();
        let query = JobsQuery { sweep, state: Some("committed".into()), offset: 0, limit: 100 };
        let page = client.jobs(query).await.expect("answers");
        assert_eq!(page.total, progress.counts.committed);
    }
}

//! kill -9 of the coordinator while it commits, many times: nothing acknowledged is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::{JobId, SweepName};
use proto::client::Client;
use proto::connection::Connection;
use proto::message::{JobsQuery, SweepProgress};
use rand::RngExt;

use crate::content::assert_exactly_once;
use crate::harness::Place;
use crate::idle_worker::{IdleWorker, submission};

/// Jobs of a sweep.
const JOBS: u64 = 40;

/// What was acknowledged or shown, over all lives of the coordinator.
#[derive(Default)]
struct Known {
    sweeps: BTreeSet<SweepName>,
    /// Those with results. The same job is in every sweep.
    jobs: BTreeMap<SweepName, BTreeSet<JobId>>,
    /// Results that a worker was told are accepted.
    acknowledged: u64,
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
    let known = Arc::new(Mutex::new(Known::default()));
    for life in 0..=kills {
        let mut coordinator = place.coordinator();
        let connection = Connection::read(&place.path("connection.json")).expect("is there");
        let client = runtime.block_on(Client::connect(&connection)).expect("connects");
        runtime.block_on(check(&client, &known));
        if life == kills {
            runtime.block_on(finish(&client, &known, &place.results()));
            break;
        }
        let work = runtime.spawn(work(client, life, Arc::clone(&known)));
        std::thread::sleep(Duration::from_micros(rng.random_range(0..60_000)));
        coordinator.kill();
        // It ends by the loss of its connection.
        drop(runtime.block_on(work));
    }
    let known = known.lock().expect("no panic");
    let (sweeps, jobs) = (known.sweeps.len(), known.acknowledged);
    println!("{kills} kills: {sweeps} sweeps and {jobs} results were acknowledged, none was lost");
    // Many die before they have listened for long. A coordinator that commits nothing would prove nothing.
    assert!(jobs > kills / 4, "only {jobs} results in {kills} lives");
}

/// Hands sweeps in and does their jobs, as fast as the coordinator answers.
async fn work(client: Client, life: u64, known: Arc<Mutex<Known>>) -> anyhow::Result<()> {
    let submitting = async {
        for part in 0.. {
            let submitted =
                client.submit(submission(&format!("s-{life}-{part}"), JOBS, 0)?).await?;
            known.lock().expect("no panic").sweeps.insert(submitted.sweep);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    let working = async {
        let mut worker = IdleWorker::join(&client, 1 + (life % 250) as u8, 4).await?;
        let acknowledged = |attempt: &proto::message::Attempt| {
            let mut known = known.lock().expect("no panic");
            known.acknowledged += 1;
            known.jobs.entry(attempt.sweep.clone()).or_default().insert(attempt.job);
        };
        worker.run(None, u64::MAX, 0, acknowledged).await
    };
    let (submitted, worked) = tokio::join!(submitting, working);
    submitted.and(worked)
}

/// What was acknowledged or shown before must be there now, job by job; what is there now must be there from now on.
async fn check(client: &Client, known: &Mutex<Known>) {
    let sweeps = client.list().await.expect("answers");
    let there: BTreeSet<_> = sweeps.iter().map(|progress| progress.sweep.clone()).collect();
    let lost: Vec<_> = known.lock().expect("no panic").sweeps.difference(&there).cloned().collect();
    assert!(lost.is_empty(), "acknowledged sweeps are gone: {lost:?}");
    for SweepProgress { sweep, total, counts, .. } in sweeps {
        // Where all jobs are committed, each is.
        if counts.committed == total {
            continue;
        }
        let there = committed(client, &sweep).await;
        assert_eq!(there.len() as u64, counts.committed, "what is listed of {sweep} is counted");
        let mut known = known.lock().expect("no panic");
        let before = known.jobs.entry(sweep.clone()).or_default();
        let lost: Vec<_> = before.difference(&there).collect();
        assert!(lost.is_empty(), "results of {sweep} are gone: {lost:?}");
        *before = there;
    }
}

/// The jobs of a sweep that have results.
async fn committed(client: &Client, sweep: &SweepName) -> BTreeSet<JobId> {
    let (sweep, state) = (sweep.clone(), Some("committed".into()));
    let query = JobsQuery { sweep, state, offset: 0, limit: JOBS as u32 };
    let page = client.jobs(query).await.expect("answers");
    page.jobs.into_iter().map(|line| line.job).collect()
}

/// Does what is left, and looks for every job in the files.
async fn finish(client: &Client, known: &Mutex<Known>, results: &Path) {
    let mut worker = IdleWorker::join(client, 251, 4).await.expect("joins");
    let over = async {
        while !client.list().await.expect("answers").iter().all(SweepProgress::is_over) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        ended = worker.run(None, u64::MAX, 0, |_| ()) => panic!("its session ended: {ended:?}"),
        () = over => {}
    }
    for sweep in &known.lock().expect("no panic").sweeps {
        assert_exactly_once(results, sweep.as_str(), JOBS as usize);
    }
}

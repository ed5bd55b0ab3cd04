//! kill -9 of the coordinator while it commits, many times: nothing acknowledged is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::{JobId, SweepName, sweep_file};
use proto::client::Client;
use proto::connection::Connection;
use proto::message::{JobsQuery, Submission};
use rand::RngExt;

use crate::harness::Place;
use crate::idle_worker::{ENGINE, IdleWorker};

fn submission(name: &str, jobs: u64) -> Submission {
    let text = format!(
        "name = \"{name}\"\n[axes]\nseed = {{ start = 0, count = {jobs} }}\n[model]\nkind = \"mlp\"\nwidth = 4\ndepth = 1\n\
         [data]\nkind = \"sphere\"\nsamples = 8\ndim = 4\n[train]\nsteps = 10\nstep_size = 0.1\n"
    );
    let draft = sweep_file::parse(&text, "chaos.toml").expect("a good sweep");
    let sweep = draft.resolve(&BTreeMap::new()).expect("it needs no files").canonical();
    let file_name = "chaos.toml".to_owned();
    let (file_text, engine_revision) = (text, ENGINE.to_owned());
    Submission { sweep, file_name, file_text, revise: false, strict: false, engine_revision }
}

/// What was acknowledged, over all lives of the coordinator.
#[derive(Default)]
struct Acknowledged {
    sweeps: BTreeSet<SweepName>,
    jobs: BTreeSet<JobId>,
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
            let submitted = client.submit(submission(&format!("s-{life}-{part}"), 40)).await?;
            known.lock().expect("no panic").sweeps.insert(submitted.sweep);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    let working = async {
        let mut worker = IdleWorker::join(&client, 1 + (life % 250) as u8, 4).await?;
        let acknowledged = |attempt: &proto::message::Attempt| {
            known.lock().expect("no panic").jobs.insert(job_of(attempt));
        };
        worker.run(u64::MAX, 0, acknowledged).await
    };
    let (submitted, worked) = tokio::join!(submitting, working);
    submitted.and(worked)
}

/// The same job is in every sweep: what was acknowledged is a job of one of them.
fn job_of(attempt: &proto::message::Attempt) -> JobId {
    let name = blake3_of(attempt.sweep.as_str());
    let mut id = attempt.job.0;
    id.iter_mut().zip(name).for_each(|(byte, other)| *byte ^= other);
    JobId(id)
}

fn blake3_of(text: &str) -> [u8; 16] {
    let digest = domain::Digest::of(text.as_bytes());
    let mut short = [0; 16];
    short.copy_from_slice(&digest.0[..16]);
    short
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

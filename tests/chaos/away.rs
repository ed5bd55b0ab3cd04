//! A coordinator that is away for as long as a person needs to notice: no job starts again for it.

use std::fs;
use std::time::{Duration, Instant};

use domain::Table;

use crate::calm;
use crate::content::{assert_exactly_once, content};
use crate::harness::{Place, Process, gradsweep, succeed, wait_for};

/// Six jobs of some seconds: more than the two slots have at a time.
fn sweep() -> String {
    calm::sweep("long", 3, 4_000_000, "[measure]\nat = { every = 2_000 }\n")
}

#[test]
#[ignore = "ten minutes"]
fn a_coordinator_that_is_away_for_ten_minutes_restarts_no_job() {
    let away = Duration::from_secs(crate::times("GRADSWEEP_AWAY", 600));
    let place = Place::new();
    // The term of a lease that people have who say nothing.
    let start = || place.coordinator_by(gradsweep(), "127.0.0.1:0", "30s");
    let mut coordinator = start();
    let workers = [place.worker(1), place.worker(1)];
    succeed(place.client(&["submit"]).arg(place.sweep(&sweep())));
    place.wait_status("long", |status| status["leased"] == 2);
    coordinator.kill();
    let gone = Instant::now();
    for worker in &workers {
        wait_for(|| worker.log().contains("no coordinator").then_some(()), || worker.log());
    }
    while gone.elapsed() < away {
        std::thread::sleep(Duration::from_millis(200));
    }
    let coordinator = start();
    place.wait_over("long");
    assert_eq!(place.status("long")["failed_attempts"], 0, "{}", coordinator.log());
    assert_exactly_once(&place.results(), "long", 6);
    let results = analysis::results::Results::open(&place.results()).expect("opens");
    let name = "long".parse().expect("a good name");
    let jobs = results.read(Table::Jobs, &name, &["attempt"]).expect("reads");
    assert_eq!(jobs.ints("attempt"), [Some(1); 6], "every job was tried once");
    assert_eq!(content(&place.results(), "long"), calm::undisturbed(&sweep(), "long"));
    println!("away for {} s: no job was tried twice", away.as_secs());
}

/// One job with some 90 MiB of rows: more than a worker keeps in memory, by much less than it keeps on disk.
const MANY_ROWS: &str = r#"
name = "rows"
[model]
kind = "mlp"
width = 4
depth = 4
[data]
kind = "sphere"
samples = 4
dim = 4
[train]
steps = 40_000
step_size = 0.05
[measure]
at = { every = 1 }
layers = true
confusion = [{ scope = "samples", count = 4 }]
"#;

/// Rows of table `confusion` a step: the network, and its weight matrices.
const ROWS_A_STEP: usize = 7;

/// Bytes of the files without a name in which a worker keeps rows.
fn bytes_on_disk(worker: &Process) -> u64 {
    let open = fs::read_dir(format!("/proc/{}/fd", worker.id())).expect("it lives").flatten();
    let kept = open.filter(|file| {
        fs::read_link(file.path()).is_ok_and(|path| path.to_string_lossy().contains("/.rows."))
    });
    kept.filter_map(|file| fs::metadata(file.path()).ok()).map(|file| file.len()).sum()
}

#[test]
#[ignore = "a minute"]
fn a_trial_goes_on_beyond_its_worker_s_memory_while_the_coordinator_is_away() {
    let place = Place::new();
    let start = || place.coordinator_by(gradsweep(), "127.0.0.1:0", "60s");
    let mut coordinator = start();
    let worker = place.worker(1);
    succeed(place.client(&["submit"]).arg(place.sweep(MANY_ROWS)));
    place.wait_status("rows", |status| status["leased"] == 1);
    coordinator.kill();
    let (gone, patience) = (Instant::now(), Duration::from_secs(600));
    while bytes_on_disk(&worker) < 4 << 20 {
        assert!(gone.elapsed() < patience, "nothing goes to disk: {}", worker.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(worker.log().contains("more go to disk"), "{}", worker.log());
    let resident = crate::memory_of(&worker, "VmRSS") >> 10;
    assert!(resident < 200 << 10, "its memory stays bounded: {resident} KiB");
    let most = bytes_on_disk(&worker);
    let coordinator = start();
    place.wait_over("rows");
    assert_eq!(place.status("rows")["failed_attempts"], 0, "{}", coordinator.log());
    assert!(!coordinator.log().contains("goes on from its checkpoint"), "nothing was restarted");
    wait_for(|| (bytes_on_disk(&worker) == 0).then_some(()), || worker.log());
    println!("{} KiB on disk when the coordinator came back, {resident} KiB in memory", most >> 10);
    // Every row once, by its step.
    let results = analysis::results::Results::open(&place.results()).expect("opens");
    let sweep = "rows".parse().expect("a good name");
    for (table, each) in [(Table::Steps, 1), (Table::Confusion, ROWS_A_STEP)] {
        let frame = results.read(table, &sweep, &["step"]).expect("reads");
        let mut steps: Vec<_> = frame.ints("step").into_iter().flatten().collect();
        steps.sort_unstable();
        let all: Vec<_> = (0..=40_000i64).flat_map(|step| vec![step; each]).collect();
        assert!(steps == all, "{} rows of {table:?}", steps.len());
    }
}

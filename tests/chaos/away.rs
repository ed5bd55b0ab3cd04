//! A coordinator that is away for as long as a person needs to notice: no job starts again for it.

use std::time::{Duration, Instant};

use domain::Table;

use crate::beyond::goes_on_beyond_memory;
use crate::calm;
use crate::content::{assert_exactly_once, content};
use crate::harness::{Place, gradsweep, succeed, wait_for};

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

/// Some 90 MiB of rows: more than a worker keeps in memory, by much less than it keeps on disk.
#[test]
#[ignore = "a minute"]
fn a_trial_goes_on_beyond_its_worker_s_memory_while_the_coordinator_is_away() {
    let (most, resident) = goes_on_beyond_memory(40_000, 4 << 20, &[]);
    assert!(resident < 200 << 20, "its memory stays bounded: {resident} bytes");
    let (most, resident) = (most >> 10, resident >> 10);
    println!("{most} KiB on disk when the coordinator came back, {resident} KiB in memory");
}

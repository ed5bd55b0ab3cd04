//! A coordinator that is away for as long as a person needs to notice: no job starts again for it.

use std::time::{Duration, Instant};

use domain::Table;

use crate::beyond::goes_on_beyond_memory;
use crate::calm;
use crate::content::{assert_exactly_once, content};
use crate::harness::{Place, gradsweep, succeed, wait_for};

/// Steps of the short jobs.
const SHORT: u64 = 1_000_000;

/// Two jobs of `long` steps, and two short ones after them.
fn sweep(long: u64) -> String {
    format!(
        r#"
name = "long"
[axes]
"train.steps" = [{long}, {SHORT}]
"model.width" = [4, 8]
[model]
kind = "mlp"
depth = 1
[data]
kind = "sphere"
samples = 16
dim = 8
[train]
step_size = 0.05
[measure]
at = {{ every = 200_000 }}
"#
    )
}

/// How many steps a trial does in this time here, where two are at it.
fn steps_within(time: Duration) -> u64 {
    let begun = Instant::now();
    calm::undisturbed(&sweep(2 * SHORT), "long");
    let a_second = (3 * SHORT) as f64 / begun.elapsed().as_secs_f64();
    (a_second * time.as_secs_f64()) as u64
}

/// The step at which each running job was last seen.
fn steps(place: &Place) -> Vec<u64> {
    let status = place.status("long");
    let running = status["running"].as_array().cloned().unwrap_or_default();
    running.iter().filter_map(|job| job["step"].as_u64()).collect()
}

/// What they were doing they do on: when the coordinator comes back each is in the middle of its job, and far from where it was.
#[test]
#[ignore = "half an hour"]
fn a_coordinator_that_is_away_for_ten_minutes_restarts_no_job() {
    let away = Duration::from_secs(crate::times("GRADSWEEP_AWAY", 600));
    // Longer than the absence by half, and by what the clean run beside them takes away.
    let long = steps_within(away * 3 / 2).max(5 * SHORT);
    let place = Place::new();
    // The term of a lease that people have who say nothing.
    let start = || place.coordinator_by(gradsweep(), "127.0.0.1:0", "30s");
    let mut coordinator = start();
    let workers = [place.worker(1), place.worker(1)];
    succeed(place.client(&["submit"]).arg(place.sweep(&sweep(long))));
    let both =
        || Some(steps(&place)).filter(|steps| steps.len() == 2 && steps.iter().all(|&s| s > 0));
    let before = wait_for(both, || place.status("long").to_string());
    coordinator.kill();
    let gone = Instant::now();
    let undisturbed = std::thread::spawn(move || calm::undisturbed(&sweep(long), "long"));
    for worker in &workers {
        wait_for(|| worker.log().contains("no coordinator").then_some(()), || worker.log());
    }
    while gone.elapsed() < away {
        std::thread::sleep(Duration::from_millis(200));
    }
    let coordinator = start();
    let after = wait_for(both, || place.status("long").to_string());
    assert_eq!(place.status("long")["committed"], 0, "they are in the middle of their jobs");
    let (before, after) = (before.into_iter().max(), after.into_iter().min());
    assert!(after > before.map(|step| step + long / 10), "they did on: {before:?}, {after:?}");
    let patience = Instant::now() + 4 * away + Duration::from_secs(60);
    while place.status("long")["over"] != true {
        assert!(Instant::now() < patience, "{}", place.status("long"));
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(place.status("long")["failed_attempts"], 0, "{}", coordinator.log());
    assert_exactly_once(&place.results(), "long", 4);
    let results = analysis::results::Results::open(&place.results()).expect("opens");
    let name = "long".parse().expect("a good name");
    let jobs = results.read(Table::Jobs, &name, &["attempt"]).expect("reads");
    assert_eq!(jobs.ints("attempt"), [Some(1); 4], "every job was tried once");
    let undisturbed = undisturbed.join().expect("no panic");
    assert_eq!(content(&place.results(), "long"), undisturbed);
    println!(
        "away for {} s, in which trials went on to step {}: no job was tried twice",
        away.as_secs(),
        after.unwrap_or(0)
    );
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

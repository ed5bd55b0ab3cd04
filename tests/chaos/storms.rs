//! Kill storms: coordinator and workers are killed at random until a sweep is done in spite of it.

use std::ops::Range;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::calm;
use crate::content::{Content, assert_exactly_once, content};
use crate::harness::{Place, Process, succeed};
use crate::wire::{HERE, HOSTS, LISTEN, SlowWires, inside};

/// Thirty jobs of some tenths of a second, which may be lost very often.
fn sweep() -> String {
    calm::sweep("storm", 15, 150_000, "[run]\nattempts = 50\ncheckpoint = \"1s\"\n")
}

const WORKERS: usize = 3;
/// A storm that takes longer makes no progress.
const PATIENCE: Duration = Duration::from_secs(180);

/// How often what was given up is tried again after a storm.
const CALMS: usize = 5;

/// Storms of one kind, and what they did so far.
struct Storms {
    rng: ChaCha8Rng,
    expected: Content,
    /// The share of kills that are of the coordinator.
    of_coordinators: f64,
    pause_ms: Range<u64>,
    coordinators: u64,
    workers: u64,
    given_up: u64,
    /// Of one job.
    attempts_max: u64,
}

impl Storms {
    fn new(of: &str, of_coordinators: f64, pause_ms: Range<u64>) -> Self {
        let expected = calm::undisturbed(&sweep(), "storm");
        let (coordinators, workers, given_up, attempts_max) = (0, 0, 0, 0);
        let rng = crate::chance(of);
        Self {
            rng,
            expected,
            of_coordinators,
            pause_ms,
            coordinators,
            workers,
            given_up,
            attempts_max,
        }
    }

    /// One storm over what `start` and `work` start, the latter a worker by its number.
    fn rage(
        &mut self,
        place: &Place,
        start: impl Fn() -> Process,
        work: impl Fn(usize) -> Process,
    ) {
        let mut coordinator = start();
        let mut workers: Vec<_> = (0..WORKERS).map(&work).collect();
        succeed(place.client(&["submit"]).arg(place.sweep(&sweep())));
        let begun = Instant::now();
        while place.status("storm")["over"] != true {
            assert!(begun.elapsed() < PATIENCE, "{} {}", place.status("storm"), coordinator.log());
            std::thread::sleep(Duration::from_millis(self.rng.random_range(self.pause_ms.clone())));
            if self.rng.random_bool(self.of_coordinators) {
                coordinator.kill();
                coordinator = start();
                self.coordinators += 1;
            } else {
                let struck = self.rng.random_range(0..WORKERS);
                workers[struck].kill();
                workers[struck] = work(struck);
                self.workers += 1;
            }
        }
        // On a slow machine workers die faster than a job is done, and a job that lost three in a row without a checkpoint
        // between is given up, as is promised. It is said, and in the calm after the storm it is done like any other. (Where a
        // busy machine lets the workers wait for longer than a lease, that takes more than one try.)
        let abandoned = || place.status("storm")["abandoned"].as_u64().expect("it is told");
        self.given_up += abandoned();
        for _ in 0..CALMS {
            let given_up = abandoned();
            assert_exactly_once(&place.results(), "storm", 30 - given_up as usize);
            if given_up == 0 {
                break;
            }
            let queued = succeed(&mut place.client(&["retry", "storm", "--failed"]));
            assert!(queued.contains(&format!("{given_up} job")), "{queued}");
            place.wait_over("storm");
        }
        assert_exactly_once(&place.results(), "storm", 30);
        assert_eq!(content(&place.results(), "storm"), self.expected);
        let jobs = succeed(&mut place.client(&["jobs", "storm", "--format", "json"]));
        let attempts = jobs.lines().map(|line| {
            let job: serde_json::Value = serde_json::from_str(line).expect("JSON");
            job["attempt"].as_u64().expect("is told")
        });
        self.attempts_max = attempts.max().unwrap_or(0).max(self.attempts_max);
    }

    fn tell(&self, storms: u64) {
        let Self { coordinators, workers, given_up, attempts_max, .. } = self;
        println!(
            "{storms} storms, {coordinators} coordinators and {workers} workers killed, {given_up} jobs given up and done after \
             it, {attempts_max} attempts of one job at most: the content is the same each time"
        );
    }
}

#[test]
#[ignore = "minutes"]
fn the_content_after_kill_storms_is_that_of_an_undisturbed_run() {
    let count = crate::times("GRADSWEEP_STORMS", 100);
    let mut storms = Storms::new("kill storms", 0.3, 50..600);
    for storm in 1..=count {
        let place = Place::new();
        storms.rage(&place, || place.coordinator(), |_| place.worker(1));
        if storm % 10 == 0 {
            storms.tell(storm);
        }
    }
    storms.tell(count);
}

/// Three hosts, of which one loses its worker every half second, and every packet is late by 20 ms each way, if it is not one
/// of the 5 in 100 that are lost.
#[test]
#[ignore = "needs root, network namespaces and python3; minutes"]
fn workers_that_are_killed_on_hosts_behind_slow_and_lossy_wires_still_get_everything_done() {
    let count = crate::times("GRADSWEEP_FAR_STORMS", 5);
    let mut storms = Storms::new("kill storms far away", 0.0, 450..550);
    let mut packets = [0, 0];
    for _ in 0..count {
        let mut place = Place::new();
        place.command = || inside(HERE);
        let Some(wires) = SlowWires::lay(&place) else { return };
        let start = || place.coordinator_by(inside(HERE), LISTEN, "2s");
        storms.rage(&place, start, |number| place.worker_by(inside(HOSTS[number]), 1, &[]));
        let sums = wires.packets();
        packets = [packets[0] + sums[0], packets[1] + sums[1]];
    }
    storms.tell(count);
    let [carried, lost] = packets;
    println!("{carried} packets were carried, and {lost} lost");
    assert!(lost * 100 > carried, "wires that lose nothing prove nothing");
}

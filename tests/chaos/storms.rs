//! Kill storms: coordinator and workers are killed at random until a sweep is done in spite of it.

use std::time::{Duration, Instant};

use rand::RngExt;

use crate::calm;
use crate::content::{assert_exactly_once, content};
use crate::harness::{Place, succeed};

/// Thirty jobs of some tenths of a second, which may be lost very often.
fn sweep() -> String {
    calm::sweep("storm", 15, 150_000, "[run]\nattempts = 50\ncheckpoint = \"1s\"\n")
}

const WORKERS: usize = 3;
/// A storm that takes longer makes no progress.
const PATIENCE: Duration = Duration::from_secs(180);

#[test]
#[ignore = "minutes"]
fn the_content_after_kill_storms_is_that_of_an_undisturbed_run() {
    let storms = crate::times("GRADSWEEP_STORMS", 100);
    let mut rng = crate::chance("kill storms");
    let expected = calm::undisturbed(&sweep(), "storm");
    let (mut workers_killed, mut coordinators_killed, mut given_up) = (0, 0, 0);
    for storm in 0..storms {
        let place = Place::new();
        let mut coordinator = place.coordinator();
        let mut workers: Vec<_> = (0..WORKERS).map(|_| place.worker(1)).collect();
        succeed(place.client(&["submit"]).arg(place.sweep(&sweep())));
        let begun = Instant::now();
        while place.status("storm")["over"] != true {
            let waited = begun.elapsed();
            assert!(waited < PATIENCE, "storm {storm}: {}", place.status("storm"));
            std::thread::sleep(Duration::from_millis(rng.random_range(50..600)));
            if rng.random_bool(0.3) {
                coordinator.kill();
                coordinator = place.coordinator();
                coordinators_killed += 1;
            } else {
                let struck = rng.random_range(0..WORKERS);
                workers[struck].kill();
                workers[struck] = place.worker(1);
                workers_killed += 1;
            }
        }
        // On a slow machine workers die faster than a job is done, and a job that lost three in a row without a checkpoint
        // between is given up, as is promised. It is said, and in the calm after the storm it is done like any other.
        let abandoned = place.status("storm")["abandoned"].as_u64().expect("it is told");
        let done = 30 - abandoned as usize;
        assert_exactly_once(&place.results(), "storm", done);
        if abandoned > 0 {
            given_up += abandoned;
            let queued = succeed(&mut place.client(&["retry", "storm", "--failed"]));
            assert!(queued.contains(&format!("{abandoned} job")), "{queued}");
            place.wait_status("storm", |status| status["committed"] == 30);
            place.wait_over("storm");
            assert_exactly_once(&place.results(), "storm", 30);
        }
        assert_eq!(content(&place.results(), "storm"), expected, "storm {storm}");
        if storm % 10 == 9 {
            println!("{} storms", storm + 1);
        }
    }
    println!(
        "{storms} storms, {coordinators_killed} coordinators and {workers_killed} workers killed, {given_up} jobs given up and \
         done after it: the content is the same each time"
    );
}

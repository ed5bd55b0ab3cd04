//! A worker and a coordinator that cannot hear each other: unplugged, in a black hole, or in one direction only.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::calm;
use crate::content::{assert_exactly_once, content};
use crate::harness::{Place, Process, succeed, text, wait_for};
use crate::wire::{HERE, LISTEN, THERE, Wire, inside};

/// Two jobs of some seconds.
fn sweep() -> String {
    calm::sweep("cut", 1, 3_000_000, "")
}

/// A coordinator at one end of the wire.
struct Scene {
    place: Place,
    coordinator: Process,
}

impl Scene {
    fn set(lease: &str) -> Self {
        let mut place = Place::new();
        place.command = || inside(HERE);
        let coordinator = place.coordinator_by(inside(HERE), LISTEN, lease);
        Self { place, coordinator }
    }

    fn worker(&self, namespace: &str) -> Process {
        self.place.worker_by(inside(namespace), 1, &[])
    }

    fn submit(&self, sweep: &str) {
        succeed(self.place.client(&["submit"]).arg(self.place.sweep(sweep)));
    }

    fn status(&self) -> serde_json::Value {
        self.place.status("cut")
    }

    #[track_caller]
    fn wait(&self, wanted: impl Fn(&serde_json::Value) -> bool) {
        wait_for(
            || wanted(&self.status()).then_some(()),
            || format!("{} {}", self.status(), self.coordinator.log()),
        );
    }

    /// The end: everything once, and as if nothing had happened.
    #[track_caller]
    fn check(&self, sweep: &str, jobs: usize) {
        self.wait(|status| status["over"] == true);
        assert_exactly_once(&self.place.results(), "cut", jobs);
        assert_eq!(content(&self.place.results(), "cut"), calm::undisturbed(sweep, "cut"));
    }
}

#[test]
#[ignore = "needs root and network namespaces"]
fn a_worker_behind_a_cut_wire_cannot_commit_when_it_is_mended() {
    let Some(wire) = Wire::lay() else { return };
    let scene = Scene::set("2s");
    let far = scene.worker(THERE);
    scene.submit(&sweep());
    scene.wait(|status| status["leased"] == 1);
    wire.unplug();
    let _near = scene.worker(HERE);
    scene.wait(|status| status["committed"] == 2);
    wire.plug_in();
    wait_for(|| far.log().contains("revoked").then_some(()), || far.log());
    scene.check(&sweep(), 2);
}

/// Nothing is refused and nothing is closed: TCP will not tell, so the two ends must.
#[test]
#[ignore = "needs root, network namespaces and nft"]
fn a_coordinator_in_a_black_hole_is_noticed_and_found_again() {
    let Some(wire) = Wire::lay_with_filter() else { return };
    let scene = Scene::set("4s");
    let far = scene.worker(THERE);
    scene.submit(&sweep());
    scene.wait(|status| status["leased"] == 1);
    wire.swallow_what_arrives();
    wire.swallow_what_leaves();
    wait_for(|| far.log().contains("no coordinator").then_some(()), || far.log());
    // A person there is told so, and is not kept waiting.
    let mut status = inside(THERE);
    status.args(["status", "cut", "--connection"]).arg(scene.place.path("connection.json"));
    let output = status.output().expect("starts");
    assert_eq!(output.status.code(), Some(69), "{}", text(&output));
    // The coordinator takes the lease back when it has run out, not before.
    scene.wait(|status| status["leased"] == 0 && status["failed_attempts"] == 1);
    wire.heal();
    let connections = || far.log().matches("connected").count();
    wait_for(|| (connections() >= 2).then_some(()), || far.log());
    scene.check(&sweep(), 2);
}

/// Waits until a worker's trial has computed something, and then nothing more for a while.
fn wait_until_idle(worker: &Process) {
    let ticks = || -> u64 {
        let Some(trial) = worker.children().first().copied() else { return 0 };
        let stat = fs::read_to_string(format!("/proc/{trial}/stat")).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default();
        fields.split_whitespace().nth(11).and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
    };
    let mut last = (ticks(), Instant::now());
    let quiet = || {
        let now = ticks();
        if now != last.0 {
            last = (now, Instant::now());
        }
        (now > 0 && last.1.elapsed() > Duration::from_secs(2)).then_some(())
    };
    wait_for(quiet, || worker.log());
}

/// The whole worker is frozen when its trial has computed everything and nothing of its end has arrived. Its job goes to
/// another; what lay in its sockets arrives while it sleeps, and what it kept when it wakes: all of it is refused.
#[test]
#[ignore = "needs root, network namespaces and nft"]
fn a_worker_frozen_with_its_result_in_hand_cannot_commit_when_it_wakes() {
    let Some(wire) = Wire::lay_with_filter() else { return };
    let one = calm::sweep("cut", 1, 1_500_000, "").replace("[4, 8]", "[4]");
    let scene = Scene::set("12s");
    let far = scene.worker(THERE);
    scene.submit(&one);
    scene.wait(|status| status["leased"] == 1);
    wire.swallow_what_leaves();
    wait_until_idle(&far);
    assert_eq!(scene.status()["leased"], 1, "its lease has not run out: {}", far.log());
    let trials: Vec<_> = far.children().iter().map(ToString::to_string).collect();
    far.signal("STOP");
    succeed(Command::new("kill").args(["-s", "STOP"]).args(&trials));
    let near = scene.worker(HERE);
    scene.wait(|status| status["committed"] == 1);
    assert_eq!(scene.status()["failed_attempts"], 1, "the lease ran out: {}", near.log());
    wire.heal();
    // Whatever its kernel still sends for it arrives meanwhile.
    std::thread::sleep(Duration::from_secs(1));
    succeed(Command::new("kill").args(["-s", "CONT"]).args(&trials));
    far.signal("CONT");
    wait_for(|| far.log().contains("revoked").then_some(()), || far.log());
    scene.check(&one, 1);
    assert_eq!(scene.status()["failed_attempts"], 1, "and nothing else: {}", far.log());
}

/// The commit arrives and its acknowledgement does not: the worker says it again, and is answered as the first time.
#[test]
#[ignore = "needs root, network namespaces and nft"]
fn a_commit_whose_acknowledgement_was_lost_is_one_result() {
    let Some(wire) = Wire::lay_with_filter() else { return };
    let one = calm::sweep("cut", 1, 1_500_000, "").replace("[4, 8]", "[4]");
    let scene = Scene::set("60s");
    let far = scene.worker(THERE);
    scene.submit(&one);
    scene.wait(|status| status["leased"] == 1);
    // Everything that the trial ends with lies in front of a coordinator that has not read it yet.
    scene.coordinator.signal("STOP");
    wait_until_idle(&far);
    wire.swallow_what_arrives();
    scene.coordinator.signal("CONT");
    // Settled, and its worker cannot know.
    scene.wait(|status| status["committed"] == 1);
    wait_for(|| far.log().contains("no coordinator").then_some(()), || far.log());
    wire.heal();
    let connections = || far.log().matches("connected").count();
    wait_for(|| (connections() >= 2).then_some(()), || far.log());
    scene.check(&one, 1);
    assert_eq!(scene.status()["failed_attempts"], 0);
    // It holds nothing any more, so it leaves at once when it is asked to, with nothing left to do.
    far.signal("TERM");
    let mut far = far;
    assert_eq!(far.exit_code(), Some(0), "{}", far.log());
    for word in ["revoked", "not accepted"] {
        assert!(!far.log().contains(word), "{word}: {}", far.log());
    }
}

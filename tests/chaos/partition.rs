//! A worker cut off from the coordinator for longer than its lease, in network namespaces that the test makes itself.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::content::{assert_exactly_once, content};
use crate::harness::{Place, Process, gradsweep, succeed, wait_for};

/// Two jobs of some seconds.
const SWEEP: &str = r#"
name = "cut"
[axes]
"model.width" = [4, 8]
[model]
kind = "mlp"
depth = 1
[data]
kind = "sphere"
samples = 16
dim = 8
[train]
steps = 3_000_000
step_size = 0.05
"#;

/// Two namespaces and a wire between them, gone with this.
struct Wire;

const HERE: &str = "gradsweep-a";
const THERE: &str = "gradsweep-b";

fn ip(arguments: &str) -> bool {
    let words = arguments.split_whitespace();
    let status = Command::new("ip").args(words).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

impl Wire {
    /// `None`: this machine does not let us.
    fn lay() -> Option<Self> {
        if !ip(&format!("netns add {HERE}")) {
            return None;
        }
        let wire = Self;
        let laid = ip(&format!("netns add {THERE}"))
            && ip(&format!("link add gs-a netns {HERE} type veth peer name gs-b netns {THERE}"))
            && ip(&format!("-n {HERE} addr add 10.99.0.1/24 dev gs-a"))
            && ip(&format!("-n {THERE} addr add 10.99.0.2/24 dev gs-b"))
            && ip(&format!("-n {HERE} link set gs-a up"))
            && ip(&format!("-n {THERE} link set gs-b up"))
            && ip(&format!("-n {HERE} link set lo up"))
            && ip(&format!("-n {THERE} link set lo up"));
        laid.then_some(wire)
    }

    fn cut(&self) {
        assert!(ip(&format!("-n {THERE} link set gs-b down")));
    }

    fn mend(&self) {
        assert!(ip(&format!("-n {THERE} link set gs-b up")));
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        ip(&format!("netns del {HERE}"));
        ip(&format!("netns del {THERE}"));
    }
}

/// gradsweep inside a namespace.
fn inside(namespace: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(gradsweep().get_program());
    command.env("NO_COLOR", "1");
    command
}

fn worker(place: &Place, namespace: &str, connection: &Path, name: &str) -> Process {
    let mut command = inside(namespace);
    command.arg("worker").arg("--connection").arg(connection).args(["--slots", "1"]);
    command.arg("--cache").arg(place.path(&format!("cache-{name}")));
    Process::start(&mut command, place.path(&format!("{name}.log")))
}

#[test]
#[ignore = "needs root and network namespaces"]
fn a_worker_behind_a_cut_wire_cannot_commit_when_it_is_mended() {
    let Some(wire) = Wire::lay() else {
        println!("SKIPPED: no network namespaces here; run as root with `ip` from iproute2");
        return;
    };
    let place = Place::new();
    let connection = place.path("connection.json");
    let mut command = inside(HERE);
    command.args(["coordinator", "--listen", "10.99.0.1:7077", "--lease", "2s"]);
    command.arg("--journal").arg(place.path("journal"));
    command.arg("--results").arg(place.results()).arg("--connection").arg(&connection);
    let coordinator = Process::start(&mut command, place.path("coordinator.log"));
    wait_for(|| connection.exists().then_some(()), || coordinator.log());
    let far = worker(&place, THERE, &connection, "far");
    let client = |arguments: &[&str]| {
        let mut command = inside(HERE);
        command.args(arguments).arg("--connection").arg(&connection);
        command
    };
    let sweep = place.sweep(SWEEP);
    succeed(client(&["submit"]).arg(&sweep));
    let status = || -> serde_json::Value {
        let output = client(&["status", "cut", "--format", "json"]).output().expect("starts");
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    };
    wait_for(|| (status()["leased"] == 1).then_some(()), || far.log());
    wire.cut();
    let _near = worker(&place, HERE, &connection, "near");
    wait_for(|| (status()["committed"] == 2).then_some(()), || coordinator.log());
    wire.mend();
    wait_for(|| far.log().contains("revoked").then_some(()), || far.log());
    wait_for(|| (status()["over"] == true).then_some(()), || coordinator.log());
    assert_exactly_once(&place.results(), "cut", 2);
    let calm = Place::new();
    succeed(&mut calm.run(&calm.sweep(SWEEP), 2));
    assert_eq!(content(&place.results(), "cut"), content(&calm.results(), "cut"));
}

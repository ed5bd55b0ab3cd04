//! A coordinator whose wall clock is set by an hour, forward and back, while it runs and between two lives.

use std::fs;
use std::path::Path;
use std::process::Command;

use domain::Table;

use crate::calm;
use crate::content::{assert_exactly_once, content};
use crate::harness::{Place, Process, gradsweep, succeed, wait_for};
use crate::skip::skip;

/// Where Debian puts it.
const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// Twelve jobs of about a second.
fn sweep() -> String {
    calm::sweep("hours", 6, 400_000, "")
}

/// A command whose wall clock is off by what the file says, live.
fn by_the_clock_of(file: &Path) -> Command {
    let mut command = gradsweep();
    command.env("LD_PRELOAD", LIBRARY).env("FAKETIME_TIMESTAMP_FILE", file);
    command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    command
}

/// Day and hour as `date` gives them, `offset` from now.
fn hour(offset: &str) -> String {
    let offset = offset.replace('h', " hours");
    succeed(Command::new("date").args(["-u", "-d", &offset, "+%Y-%m-%dT%H"])).trim().to_owned()
}

/// The day and hour that the coordinator gives when a worker joins it.
fn told_hour(place: &Place, coordinator: &Process) -> String {
    let joined = |log: &str| log.matches("worker joined").count();
    let before = joined(&coordinator.log());
    let mut passing = place.worker(1);
    wait_for(|| (joined(&coordinator.log()) > before).then_some(()), || coordinator.log());
    passing.signal("TERM");
    passing.exit_code();
    let log = coordinator.log();
    let line = log.lines().rfind(|line| line.contains("worker joined")).expect("a moment ago");
    line[..13].to_owned()
}

#[test]
#[ignore = "needs libfaketime"]
fn a_clock_that_is_set_takes_no_lease_away_and_shows_in_no_result() {
    if !Path::new(LIBRARY).exists() {
        skip(format_args!("{LIBRARY} is not there; install libfaketime"));
        return;
    }
    let place = Place::new();
    let file = place.path("clock");
    let set = |text: &str| fs::write(&file, format!("{text}\n")).expect("written");
    set("+0");
    let start = || place.coordinator_by(by_the_clock_of(&file), "127.0.0.1:0", "2s");
    let mut coordinator = start();
    let worker = place.worker(2);
    succeed(place.client(&["submit"]).arg(place.sweep(&sweep())));
    let done = || place.status("hours")["committed"].as_u64().unwrap_or(0);
    for (number, offset) in ["+1h", "-1h", "+0h", "-1h", "+1h"].into_iter().enumerate() {
        let wanted = 1 + 2 * number as u64;
        wait_for(|| (done() >= wanted).then_some(()), || coordinator.log());
        set(offset);
        if number >= 3 {
            // The next two wake up in another hour than they went to sleep in.
            coordinator.kill();
            coordinator = start();
        }
        let before = hour(offset);
        let told = told_hour(&place, &coordinator);
        assert!(told == before || told == hour(offset), "{offset}: it says {told}");
    }
    place.wait_over("hours");
    let status = place.status("hours");
    let results = analysis::results::Results::open(&place.results()).expect("opens");
    let name = "hours".parse().expect("a good name");
    let failures = results.read(Table::Failures, &name, &["class", "message"]).expect("reads");
    assert_eq!(failures.texts("message"), [None; 0], "an attempt was lost");
    assert_eq!(status["committed"], 12, "{}", worker.log());
    assert_exactly_once(&place.results(), "hours", 12);
    assert_eq!(content(&place.results(), "hours"), calm::undisturbed(&sweep(), "hours"));
}

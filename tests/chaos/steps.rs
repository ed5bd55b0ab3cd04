//! The coordinator ends between any two of the steps by which it stores things: at the first call of a kind that writes, syncs,
//! renames or removes, then at the second, until a whole sweep is done without as many.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::calm;
use crate::content::{Content, assert_exactly_once, content};
use crate::disks::{Disk, cut};
use crate::harness::{Place, Process, gradsweep, wait_for};
use crate::skip::skip;
use crate::works;

/// Two jobs with a checkpoint or two and weights: every kind of file is written, and some are removed.
fn sweep() -> String {
    let rest = "[run]\ncheckpoint = \"1s\"\nkeep_weights = \"measured\"\n";
    calm::sweep("steps", 1, 1_200_000, rest)
}

/// A coordinator to which something happens when one of its threads makes a certain call for the n-th time.
struct Traced {
    strace: Process,
    trace: PathBuf,
}

impl Traced {
    fn start(place: &Place, call: &str, number: u32, signal: &str) -> Self {
        let trace = place.path("trace");
        let mut command = Command::new("strace");
        command.args(["-f", "-q", "-e", &format!("trace={call}"), "-o"]).arg(&trace);
        command.args(["-e", &format!("inject={call}:signal={signal}:when={number}")]);
        command.arg(gradsweep().get_program()).env_remove("GRADSWEEP_CONNECTION");
        // A lease that outlasts the longest wait between two tries to come back.
        Self { strace: place.start_coordinator(command, "127.0.0.1:0", "30s"), trace }
    }

    /// Whether it has happened.
    fn is_struck(&self) -> bool {
        let trace = fs::read_to_string(&self.trace).unwrap_or_default();
        trace.contains("killed by SIGKILL") || trace.contains("stopped by SIGSTOP")
    }

    /// Kills it, and waits until nothing of it is left that holds files of `place`.
    fn kill(&mut self, place: &Place) {
        for child in self.strace.children() {
            works(Command::new("kill").args(["-s", "KILL", &child.to_string()]));
        }
        // It ends with what it traces, of which a thread may still be in a sync.
        self.strace.exit_code();
        let is_free = |file: &fs::File| file.try_lock().is_ok();
        let path = place.path("journal/log.mark");
        let gone = || fs::File::open(&path).map_or(true, |mark| is_free(&mark)).then_some(());
        wait_for(gone, || self.strace.log());
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        for child in self.strace.children() {
            works(Command::new("kill").args(["-s", "KILL", &child.to_string()]));
        }
    }
}

/// A client of a coordinator that may be standing still.
fn hasty() -> Command {
    let mut command = Command::new("timeout");
    command.arg("3").arg(gradsweep().get_program()).env_remove("GRADSWEEP_CONNECTION");
    command
}

/// How it ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// kill -9 as it enters the call.
    Killed,
    /// The power goes when it has made the call, on journal and results.
    PowerCut,
}

/// A sweep on which a coordinator works that ends at the n-th such call, and then another. Whether it came to so many; `None`: it
/// cannot be tried here.
fn a_sweep_with_an_end(expected: &Content, call: &str, number: u32, end: End) -> Option<bool> {
    let mut place = Place::new();
    place.command = hasty;
    let disks = match end {
        End::Killed => None,
        End::PowerCut => Some([
            Disk::mount(place.path("image"), place.path("journal"))?,
            Disk::mount(place.path("image-2"), place.results())?,
        ]),
    };
    let signal = if end == End::Killed { "KILL" } else { "STOP" };
    let mut first = Traced::start(&place, call, number, signal);
    let worker = place.worker_by(gradsweep(), 2, &[]);
    let sweep = place.sweep(&sweep());
    let (mut second, mut is_submitted, mut acknowledged) = (None, false, 0);
    let step = format!("{call} {number}");
    let over = || {
        if second.is_none() && first.is_struck() {
            if let Some([one, two]) = &disks
                && !cut([one, two])
            {
                return Some(None);
            }
            first.kill(&place);
            disks.iter().flatten().for_each(Disk::again);
            second = Some(place.coordinator_by(gradsweep(), "127.0.0.1:0", "30s"));
            let status = place.status("steps");
            assert!(!is_submitted || status["committed"].is_u64(), "{step}: the sweep is gone");
            let there = status["committed"].as_u64().unwrap_or(0);
            assert!(there >= acknowledged, "{step}: {acknowledged} were done, {there} are");
        }
        if second.is_some() || !first.is_struck() {
            is_submitted |= works(place.client(&["submit"]).arg(&sweep));
            let status = place.status("steps");
            acknowledged = status["committed"].as_u64().unwrap_or(0).max(acknowledged);
            let is_over = is_submitted && status["over"] == true;
            if is_over && second.is_none() {
                // It may come to it yet: blobs go when everything else is done.
                std::thread::sleep(Duration::from_millis(500));
            }
            let is_done = is_over && (second.is_some() || !first.is_struck());
            return is_done.then_some(Some(second.is_some()));
        }
        None
    };
    let is_struck = wait_for(over, || format!("{step}: {}", worker.log()))?;
    assert_eq!(place.status("steps")["failed_attempts"], 0, "{step}: {}", worker.log());
    assert_exactly_once(&place.results(), "steps", 2);
    assert_eq!(&content(&place.results(), "steps"), expected, "{step}");
    drop(second);
    first.kill(&place);
    no_blob_stays(&place);
    Some(is_struck)
}

/// What was stored and never spoken of (a trial may end while its checkpoint is on its way) stays for an hour or two, or until a
/// coordinator has been back for a lease.
pub fn no_blob_stays(place: &Place) {
    let coordinator = place.coordinator_by(gradsweep(), "127.0.0.1:0", "1s");
    let blobs = || fs::read_dir(place.path("journal/blobs")).expect("reads").count();
    wait_for(|| (blobs() == 0).then_some(()), || format!("{} stay {}", blobs(), coordinator.log()));
}

fn at_every_step(calls: &[&str], end: End) {
    if !works(Command::new("strace").args(["-o", "/dev/null", "true"])) {
        skip("no process can be traced here; install strace");
        return;
    }
    let expected = calm::undisturbed(&sweep(), "steps");
    let mut steps = Vec::new();
    for call in calls {
        for number in 1.. {
            match a_sweep_with_an_end(&expected, call, number, end) {
                None => return,
                Some(true) => {}
                Some(false) => {
                    steps.push(format!("{} of {call}", number - 1));
                    break;
                }
            }
        }
    }
    println!("it ended at {}: nothing that was acknowledged was lost", steps.join(", "));
}

#[test]
#[ignore = "needs strace; some minutes"]
fn a_coordinator_that_is_killed_at_any_step_of_storing_loses_nothing() {
    let calls =
        ["pwrite64", "fdatasync", "fsync", "rename", "write", "fallocate", "mkdir", "unlink"];
    at_every_step(&calls, End::Killed);
}

#[test]
#[ignore = "needs root, strace, ext4 and python3; some minutes"]
fn power_that_goes_at_any_step_of_storing_takes_nothing_with_it() {
    at_every_step(&["pwrite64", "fdatasync", "fsync", "rename", "unlink"], End::PowerCut);
}

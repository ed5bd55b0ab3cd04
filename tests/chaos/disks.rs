//! The disks under what the coordinator keeps and writes lose their power, or stop storing what they take: real file
//! systems, mounted by the test.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rand::RngExt;
use store::{PutError, Store};

use crate::calm;
use crate::content::{assert_exactly_once, content};
use crate::harness::{Place, Process, gradsweep, succeed, wait_for};
use crate::skip::skip;
use crate::steps::no_blob_stays;
use crate::works;

/// Thirty jobs of some tenths of a second, with checkpoints.
fn sweep() -> String {
    calm::sweep("disk", 15, 300_000, "[run]\ncheckpoint = \"1s\"\n")
}

/// The same with blobs of each kind.
fn weighty_sweep() -> String {
    sweep() + "keep_weights = \"measured\"\n"
}

/// ext4's call to stop where it is, and the flag by which nothing that is not on disk gets there.
const CUT: &str = "import fcntl, os, struct, sys
for disk in [os.open(path, 0) for path in sys.argv[1:]]:
    fcntl.ioctl(disk, 0x8004587d, struct.pack('I', 2))";

/// Takes the power away from these, one right after the other: what was not synced is gone. `false`, with word of it: it cannot
/// be done here.
pub fn cut(disks: [&Disk; 2]) -> bool {
    let is_cut =
        works(Command::new("python3").args(["-c", CUT]).args(disks.map(|disk| &disk.mounted)));
    if !is_cut {
        skip("no disk's power can be cut; install python3, and have ext4's shutdown call");
    }
    is_cut
}

/// An ext4 in a file, mounted; gone with this.
pub struct Disk {
    image: PathBuf,
    mounted: PathBuf,
}

impl Disk {
    /// `None`, with word of it: this machine does not let us.
    pub fn mount(image: PathBuf, at: PathBuf) -> Option<Self> {
        fs::create_dir_all(&at).expect("the folder is made");
        let file = fs::File::create(&image).expect("the image is made");
        file.set_len(64 << 20).expect("it is sparse");
        let disk = Self { image, mounted: at };
        let made = works(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&disk.image));
        if !(made && disk.attach()) {
            skip(
                "no ext4 in a file can be mounted here; run as root with mkfs.ext4 from e2fsprogs",
            );
            return None;
        }
        Some(disk)
    }

    /// On an error in its own writes ext4 goes on, so that it is ours to notice.
    fn attach(&self) -> bool {
        let mut command = Command::new("mount");
        works(command.args(["-o", "loop,errors=continue"]).arg(&self.image).arg(&self.mounted))
    }

    /// Takes it out and puts it in again, as it is on the medium.
    pub fn again(&self) {
        let out = || works(Command::new("umount").arg(&self.mounted)).then_some(());
        wait_for(out, || format!("{} is busy", self.mounted.display()));
        assert!(self.attach(), "it mounts again");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        works(Command::new("umount").arg("-l").arg(&self.mounted));
    }
}

fn committed(place: &Place) -> u64 {
    place.status("disk")["committed"].as_u64().unwrap_or(0)
}

/// The `jobs` rows that are visible, each with all that is its.
fn visible(place: &Place) -> BTreeSet<String> {
    if !fs::exists(place.results().join("jobs")).unwrap_or(false) {
        return BTreeSet::new();
    }
    // Read after the jobs: of a segment that comes meanwhile, the weights may be there without its jobs.
    let content = content(&place.results(), "disk");
    let weights = |job: &String| {
        let of = |weights: &&String| weights.split(' ').next().is_some_and(|id| job.contains(id));
        content["weights"].iter().filter(of).count()
    };
    let counts: BTreeSet<_> = content["jobs"].iter().map(weights).collect();
    assert!(counts.len() < 2 && !counts.contains(&0), "weights of each job: {counts:?}");
    assert!(content["steps"].len() >= content["jobs"].len(), "whoever sees a job sees its rows");
    content["jobs"].iter().cloned().collect()
}

/// Files below a folder that were not put in place.
fn aside(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).expect("reads").flatten().map(|entry| entry.path());
    let is_aside = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "tmp");
    paths
        .flat_map(|path| if path.is_dir() { aside(&path) } else { vec![path] })
        .filter(is_aside)
        .collect()
}

/// Journal and blobs are on one disk, results on another, so that none is synced by the way with the other.
#[test]
#[ignore = "needs root, ext4 and python3; a minute"]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let wanted = crate::times("GRADSWEEP_CUTS", 20);
    let mut rng = crate::chance("power cuts");
    let sweep = weighty_sweep();
    let expected = calm::undisturbed(&sweep, "disk");
    let (mut cuts, mut kept) = (0, 0);
    while cuts < wanted {
        let place = Place::new();
        let Some(disk) = Disk::mount(place.path("image"), place.path("journal")) else { return };
        let Some(results) = Disk::mount(place.path("image-2"), place.results()) else { return };
        // A lease that outlasts the longest wait between two tries to come back.
        let start = || place.coordinator_by(gradsweep(), "127.0.0.1:0", "30s");
        let mut coordinator = start();
        let worker = place.worker(2);
        succeed(place.client(&["submit"]).arg(place.sweep(&sweep)));
        while place.status("disk")["over"] != true && cuts < wanted {
            std::thread::sleep(Duration::from_millis(rng.random_range(100..1_500)));
            // What a flush has answered is final; another may be on its way when the power goes.
            if rng.random_bool(0.3) {
                succeed(&mut place.client(&["flush", "disk"]));
            }
            let final_before = visible(&place);
            let log = place.path("flush.log");
            let flush = Process::start(&mut place.client(&["flush", "disk"]), log);
            std::thread::sleep(Duration::from_millis(rng.random_range(0..60)));
            let acknowledged = committed(&place);
            let disks = if rng.random_bool(0.5) { [&disk, &results] } else { [&results, &disk] };
            if !cut(disks) {
                return;
            }
            // It may try for a while, and can acknowledge nothing any more.
            std::thread::sleep(Duration::from_millis(rng.random_range(0..300)));
            coordinator.kill();
            drop(flush);
            disk.again();
            results.again();
            let final_after = visible(&place);
            assert!(final_after.is_superset(&final_before), "what was final is gone");
            kept += final_before.len();
            coordinator = start();
            let there = committed(&place);
            assert!(there >= acknowledged, "{acknowledged} were acknowledged, {there} are there");
            cuts += 1;
        }
        place.wait_over("disk");
        let logs = || format!("{}\n{}", coordinator.log(), worker.log());
        assert_eq!(place.status("disk")["failed_attempts"], 0, "{}", logs());
        assert_exactly_once(&place.results(), "disk", 30);
        assert_eq!(
            content(&place.results(), "disk"),
            expected,
            "after {cuts} cuts: {}",
            worker.log()
        );
        let left = aside(&place.results());
        assert!(left.is_empty(), "left aside: {left:?}");
        drop((coordinator, worker));
        no_blob_stays(&place);
    }
    println!(
        "{cuts} power cuts, before which {kept} jobs had been seen in files: nothing that was acknowledged was lost"
    );
}

/// Whoever renamed a file may have died before that was durable: whoever finds it there must not take it for safe.
#[test]
#[ignore = "needs root, ext4 and python3"]
fn a_file_that_is_found_in_its_place_outlives_a_power_cut() {
    let place = Place::new();
    let Some(disk) = Disk::mount(place.path("image"), place.results()) else { return };
    let folder = place.results().join("jobs");
    fs::create_dir(&folder).expect("makes");
    let mut file = fs::File::create(folder.join(".file.tmp")).expect("creates");
    file.write_all(b"whole").expect("writes");
    file.sync_all().expect("syncs");
    drop(file);
    fs::rename(folder.join(".file.tmp"), folder.join("file")).expect("renames");
    let put =
        Store::Folder(place.results()).put::<PutError>("jobs/file", |_| panic!("it is there"));
    put.expect("it is there, and stays");
    if !cut([&disk, &disk]) {
        return;
    }
    disk.again();
    assert_eq!(fs::read(folder.join("file")).ok().as_deref(), Some(&b"whole"[..]));
    println!("a file that was found in its place outlived a power cut");
}

/// A small tmpfs; gone with this.
struct Backing(PathBuf);

impl Backing {
    fn mount(path: &Path) -> Option<Self> {
        fs::create_dir_all(path).expect("the folder is made");
        let mut command = Command::new("mount");
        let mounted = works(command.args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(path));
        if !mounted {
            skip("no tmpfs can be mounted here; run as root");
        }
        mounted.then(|| Self(path.to_owned()))
    }

    /// Takes all the room that is left: the image in it was promised four times as much as there is.
    fn fill(&self) {
        let mut file = fs::File::create(self.0.join("filler")).expect("there is room for a name");
        while file.write_all(&[1; 4_096]).is_ok() {}
    }
}

impl Drop for Backing {
    fn drop(&mut self) {
        works(Command::new("umount").arg("-l").arg(&self.0));
    }
}

/// Writes succeed, the sync fails, and the one after it would succeed with the data gone: it must not be tried.
#[test]
#[ignore = "needs root and ext4"]
fn a_sync_that_fails_stops_the_coordinator_and_nothing_is_acknowledged_after_it() {
    let wanted = crate::times("GRADSWEEP_SYNCS", 5);
    let expected = calm::undisturbed(&sweep(), "disk");
    for round in 0..wanted {
        let place = Place::new();
        let Some(backing) = Backing::mount(&place.path("backing")) else { return };
        let image = place.path("backing/image");
        let Some(disk) = Disk::mount(image, place.path("journal")) else { return };
        // A lease that outlasts the longest wait between two tries to come back.
        let start = || place.coordinator_by(gradsweep(), "127.0.0.1:0", "30s");
        let mut coordinator = start();
        let worker = place.worker(2);
        succeed(place.client(&["submit"]).arg(place.sweep(&sweep())));
        wait_for(|| (committed(&place) > round).then_some(()), || coordinator.log());
        backing.fill();
        // What it shows until it stops it must have stored.
        let (mut acknowledged, begun) = (0, Instant::now());
        while !coordinator.log().contains("cannot store") {
            acknowledged = committed(&place).max(acknowledged);
            assert!(begun.elapsed() < Duration::from_secs(60), "it goes on: {}", coordinator.log());
        }
        assert_eq!(coordinator.exit_code(), Some(74), "{}", coordinator.log());
        fs::remove_file(place.path("backing/filler")).expect("there is room again");
        disk.again();
        let coordinator = start();
        let there = committed(&place);
        assert!(there >= acknowledged, "{acknowledged} were acknowledged, {there} are there");
        place.wait_over("disk");
        assert_eq!(place.status("disk")["failed_attempts"], 0, "{}", coordinator.log());
        assert_exactly_once(&place.results(), "disk", 30);
        assert_eq!(content(&place.results(), "disk"), expected, "{}", worker.log());
        drop((coordinator, worker));
    }
    println!(
        "{wanted} disks whose sync failed: the coordinator stopped each time, and nothing was lost"
    );
}

//! Processes killed in the middle: nothing is lost, nothing is there twice, and the rows are those of an undisturbed run.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use domain::sweep_file;
use proto::client::Client;
use proto::connection::Connection;
use proto::message::Submission;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::beyond::goes_on_beyond_memory;
use crate::content::{assert_exactly_once, content};
use crate::end_to_end::{SMALL, with_seeds};
use crate::harness::{Place, Process, gradsweep, succeed, text, wait_for};
use crate::health::Health;
use crate::skip::skip;

/// Twelve jobs of some tenths of a second each.
pub fn slow() -> String {
    with_seeds(SMALL, 6).replace("steps = 200", "steps = 200000")
}

/// Two jobs of some seconds each, that store a checkpoint every second.
fn long() -> String {
    let text = with_seeds(SMALL, 1).replace("steps = 200", "steps = 5000000");
    format!("{text}\n[run]\ncheckpoint = \"1s\"\n")
}

/// The content of the same sweep, undisturbed.
pub fn undisturbed(text: &str) -> crate::content::Content {
    let place = Place::new();
    succeed(&mut place.run(&place.sweep(text), 2));
    content(&place.results(), "small")
}

pub fn committed(place: &Place) -> u64 {
    place.status("small")["committed"].as_u64().unwrap_or(0)
}

/// `cargo test --test chaos -- --ignored beyond` does it with the bounds that workers have.
#[test]
fn a_trial_goes_on_beyond_its_worker_s_memory_while_the_coordinator_is_away() {
    goes_on_beyond_memory(6_000, 1 << 20, &["--rows-memory", "1MiB"]);
}

#[test]
fn a_killed_worker_costs_nothing_but_time() {
    let place = Place::new();
    let _coordinator = place.coordinator();
    let mut first = place.worker(2);
    succeed(place.client(&["submit"]).arg(place.sweep(&slow())));
    wait_for(|| (committed(&place) >= 2).then_some(()), || first.log());
    first.kill();
    let _second = place.worker(2);
    place.wait_over("small");
    assert_exactly_once(&place.results(), "small", 12);
    assert_eq!(content(&place.results(), "small"), undisturbed(&slow()));
}

#[test]
fn a_killed_worker_s_job_goes_on_from_its_checkpoint() {
    let place = Place::new();
    let coordinator = place.coordinator();
    let mut first = place.worker(2);
    succeed(place.client(&["submit"]).arg(place.sweep(&long())));
    wait_for(|| (!blobs(&place).is_empty()).then_some(()), || first.log());
    // Stored is a moment before recorded.
    std::thread::sleep(Duration::from_millis(200));
    first.kill();
    let _second = place.worker(2);
    place.wait_over("small");
    let log = coordinator.log();
    assert!(log.contains("goes on from its checkpoint"), "it started over: {log}");
    assert_exactly_once(&place.results(), "small", 2);
    assert_eq!(content(&place.results(), "small"), undisturbed(&long()));
}

/// One failed attempt is all that its jobs may have, and a checkpoint that is damaged on the coordinator's disk is none.
#[test]
fn a_job_whose_checkpoint_is_damaged_goes_on_from_the_one_before_or_from_nothing() {
    let sweep = format!("{}attempts = 1\n", long());
    let place = Place::new();
    let coordinator = place.coordinator();
    let mut first = place.worker(1);
    succeed(place.client(&["submit"]).arg(place.sweep(&sweep)));
    wait_for(|| (blobs(&place).len() == 2).then_some(()), || first.log());
    first.kill();
    // Both of them, the latest and the one before: what is left is the beginning.
    let lost = |status: &serde_json::Value| status["failed_attempts"].as_u64() == Some(1);
    place.wait_status("small", lost);
    let damaged = blobs(&place);
    for blob in &damaged {
        let mut bytes = fs::read(blob).expect("reads");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(blob, bytes).expect("is damaged");
    }
    let second = place.worker(1);
    place.wait_over("small");
    let status = place.status("small");
    assert_eq!((&status["committed"], &status["abandoned"]), (&2.into(), &0.into()), "{status}");
    assert!(second.log().contains("arrived as"), "it met the damage: {}", second.log());
    assert_exactly_once(&place.results(), "small", 2);
    assert_eq!(content(&place.results(), "small"), undisturbed(&sweep), "{}", coordinator.log());
}

/// The blobs that lie in the journal's folder.
fn blobs(place: &Place) -> Vec<PathBuf> {
    let entries = fs::read_dir(place.path("journal/blobs")).into_iter().flatten().flatten();
    let is_whole = |entry: &fs::DirEntry| !entry.file_name().to_string_lossy().starts_with('.');
    entries.filter(is_whole).map(|entry| entry.path()).collect()
}

#[test]
fn a_killed_coordinator_comes_back_and_its_workers_go_on() {
    let place = Place::new();
    let mut coordinator = place.coordinator();
    let _worker = place.worker(2);
    succeed(place.client(&["submit"]).arg(place.sweep(&slow())));
    for target in [2, 5, 8] {
        wait_for(|| (committed(&place) >= target).then_some(()), || coordinator.log());
        coordinator.kill();
        coordinator = place.coordinator();
    }
    place.wait_over("small");
    assert_exactly_once(&place.results(), "small", 12);
    assert_eq!(content(&place.results(), "small"), undisturbed(&slow()));
    let lost = place.status("small")["failed_attempts"].as_u64();
    assert_eq!(lost, Some(0), "no attempt was lost: {}", coordinator.log());
}

#[test]
fn a_killed_trial_process_is_a_failed_attempt_with_its_signal() {
    let place = Place::new();
    let _coordinator = place.coordinator();
    let worker = place.worker(1);
    succeed(place.client(&["submit"]).arg(place.sweep(&slow())));
    wait_for(|| (committed(&place) >= 1).then_some(()), || worker.log());
    let trials = worker.children();
    assert_eq!(trials.len(), 1, "one trial process a slot: {trials:?}");
    succeed(std::process::Command::new("kill").args(["-9", &trials[0].to_string()]));
    place.wait_over("small");
    assert_exactly_once(&place.results(), "small", 12);
    assert_eq!(content(&place.results(), "small"), undisturbed(&slow()));
    let results = analysis::results::Results::open(&place.results()).expect("opens");
    let sweep = "small".parse().expect("a good name");
    let failures = results
        .read(domain::Table::Failures, &sweep, &["class", "signal"])
        .expect("the failures read");
    // Killed between two jobs, it costs none of them an attempt.
    for (class, signal) in failures.texts("class").into_iter().zip(failures.ints("signal")) {
        assert_eq!((class, signal), (Some("signal"), Some(9)));
    }
}

#[test]
fn a_job_that_was_given_up_is_queued_again_by_the_class_of_its_failure_after_a_restart() {
    let place = Place::new();
    let mut coordinator = place.coordinator();
    let worker = place.worker(1);
    let sweep = with_seeds(SMALL, 1).replace("steps = 200", "steps = 2000000");
    let sweep = format!("{sweep}\n[run]\nattempts = 1\n");
    succeed(place.client(&["submit"]).arg(place.sweep(&sweep)));
    let running = |status: &serde_json::Value| status["running"][0]["step"].as_u64() > Some(0);
    place.wait_status("small", running);
    let trials = worker.children();
    assert_eq!(trials.len(), 1, "one trial process a slot: {trials:?}");
    succeed(std::process::Command::new("kill").args(["-9", &trials[0].to_string()]));
    place.wait_status("small", |status| status["abandoned"] == 1);
    coordinator.kill();
    coordinator = place.coordinator();
    assert_eq!(place.status("small")["abandoned"], 1, "{}", coordinator.log());
    let retry =
        |class: &str| succeed(&mut place.client(&["retry", "small", "--failed", "--class", class]));
    let none = retry("timeout");
    assert!(none.contains("0 jobs of small queued again"), "{none}");
    let one = retry("signal");
    assert!(one.contains("1 job of small queued again"), "{one}");
    place.wait_over("small");
    let status = place.status("small");
    assert_eq!((&status["abandoned"], &status["failed_attempts"]), (&0.into(), &1.into()));
    assert_exactly_once(&place.results(), "small", 2);
    assert_eq!(content(&place.results(), "small"), undisturbed(&sweep));
}

#[test]
fn a_frozen_worker_that_wakes_after_its_lease_cannot_commit() {
    let place = Place::new();
    let _coordinator = place.coordinator();
    let frozen = place.worker(1);
    let long = SMALL.replace("steps = 200", "steps = 2000000").replace("count = 3", "count = 1");
    succeed(place.client(&["submit"]).arg(place.sweep(&long)));
    place.wait_status("small", |status| status["leased"] == 1);
    frozen.signal("STOP");
    let _other = place.worker(1);
    wait_for(|| (committed(&place) >= 2).then_some(()), || frozen.log());
    frozen.signal("CONT");
    place.wait_over("small");
    // It may finish what it held, and is refused; what it says changes nothing.
    wait_for(|| frozen.log().contains("revoked job").then_some(()), || frozen.log());
    assert_exactly_once(&place.results(), "small", 2);
    assert_eq!(content(&place.results(), "small"), undisturbed(&long));
}

/// Frozen for longer than every lease, it hears nobody: what its workers said meanwhile lies in its sockets, and they have
/// hung up. That is no reason to take anything from them.
#[test]
fn a_frozen_coordinator_takes_no_lease_away_when_it_wakes() {
    let place = Place::new();
    let coordinator = place.coordinator();
    let worker = place.worker(2);
    succeed(place.client(&["submit"]).arg(place.sweep(&slow())));
    wait_for(|| (committed(&place) >= 2).then_some(()), || coordinator.log());
    place.wait_status("small", |status| status["leased"].as_u64() >= Some(2));
    coordinator.signal("STOP");
    std::thread::sleep(Duration::from_secs(5));
    coordinator.signal("CONT");
    place.wait_over("small");
    let lost = place.status("small")["failed_attempts"].as_u64();
    assert_eq!(lost, Some(0), "no attempt was lost: {}", coordinator.log());
    assert!(worker.log().contains("no coordinator"), "it was away for long: {}", worker.log());
    assert_exactly_once(&place.results(), "small", 12);
    assert_eq!(content(&place.results(), "small"), undisturbed(&slow()));
}

/// How long a worker takes at most that is told to go because its host is about to stop: `LEAVE_LIMIT` of
/// worker/src/agent/desk.rs, which docs/reliability.md states.
const LEAVES_WITHIN: Duration = Duration::from_secs(25);

/// A worker in the middle of a job leaves when `told` to; another goes on from where it was. How long the first takes to leave.
#[track_caller]
fn hands_back(steps: u32, flags: &[&str], told: impl FnOnce(&Place, &Process)) -> Duration {
    let place = Place::new();
    let coordinator = place.coordinator();
    let mut first = place.worker_by(gradsweep(), 1, flags);
    // Two jobs, which store no checkpoint of their own accord.
    let sweep = with_seeds(SMALL, 1).replace("steps = 200", &format!("steps = {steps}"));
    succeed(place.client(&["submit"]).arg(place.sweep(&sweep)));
    let running = |status: &serde_json::Value| status["running"][0]["step"].as_u64() > Some(0);
    place.wait_status("small", running);
    told(&place, &first);
    let since = Instant::now();
    assert_eq!(first.exit_code(), Some(75), "{}", first.log());
    let took = since.elapsed();
    let status = place.status("small");
    assert_eq!((&status["queued"], &status["failed_attempts"]), (&2.into(), &0.into()));
    let _second = place.worker(1);
    place.wait_over("small");
    let log = coordinator.log();
    assert!(log.contains("goes on from its checkpoint"), "it started over: {log}");
    assert_eq!(place.status("small")["failed_attempts"], 0, "handing back costs nothing");
    assert_exactly_once(&place.results(), "small", 2);
    assert_eq!(content(&place.results(), "small"), undisturbed(&sweep));
    took
}

#[test]
fn a_worker_that_gets_a_sigterm_hands_its_work_back_in_time_and_another_goes_on_from_the_checkpoint()
 {
    let took = hands_back(2_000_000, &[], |_, worker| worker.signal("TERM"));
    assert!(took < LEAVES_WITHIN, "it took {took:?}");
}

#[test]
fn a_drained_worker_hands_its_work_back_and_another_goes_on_from_the_checkpoint() {
    hands_back(2_000_000, &[], |place, worker| {
        let lines = succeed(&mut place.client(&["workers", "--format", "json"]));
        let line: serde_json::Value = serde_json::from_str(lines.trim()).expect("one worker");
        let name = format!("{}/{}", line["host"].as_str().expect("is told"), worker.id());
        let said = succeed(&mut place.client(&["drain", &name]));
        assert!(said.contains("1 worker asked to drain"), "{said}");
    });
}

/// As `workers.sbatch` says it: it goes at half of its time here, as less than two minutes are left.
#[test]
fn a_worker_whose_time_is_up_hands_its_work_back_before_and_another_goes_on_from_the_checkpoint() {
    let begun = Instant::now();
    hands_back(4_000_000, &["--time-left", "6s"], |_, worker| {
        let told = || worker.log().contains("drained by its own time limit").then_some(());
        wait_for(told, || worker.log());
        assert!(begun.elapsed() >= Duration::from_secs(3), "not before half of its time");
    });
}

/// One job of some seconds with a checkpoint of 4 MB.
const LARGE: &str = r#"
name = "small"
[axes]
seed = [0]
[model]
kind = "linear"
[data]
kind = "gaussian"
samples = 4
dim = 1_000_000
[train]
steps = 400
step_size = 1e-9
[measure]
at = { log = 3 }
confusion = []
"#;

/// As a scheduler does where the time is too short: TERM, and KILL before the worker is done with handing back.
#[test]
fn a_worker_killed_in_the_middle_of_handing_a_checkpoint_over_leaves_nothing_behind() {
    let place = Place::new();
    let coordinator = place.coordinator();
    let mut first = place.worker(1);
    succeed(place.client(&["submit"]).arg(place.sweep(LARGE)));
    let running = |status: &serde_json::Value| status["running"][0]["step"].as_u64() > Some(0);
    place.wait_status("small", running);
    let files = || {
        let entries = fs::read_dir(place.path("journal/blobs")).expect("is there").flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    first.signal("TERM");
    let is_half = |file: &String| file.ends_with(".tmp");
    // A busy machine may have it stored before we look: then the worker is killed a little late.
    if !(0..200_000).any(|_| files().iter().any(is_half)) {
        println!("the checkpoint was there, or none came, before a half was seen: {}", first.log());
    }
    first.kill();
    let gone = || (!files().iter().any(is_half)).then_some(());
    wait_for(gone, || format!("{:?} {}", files(), coordinator.log()));
    let _second = place.worker(1);
    place.wait_over("small");
    assert_exactly_once(&place.results(), "small", 1);
    assert_eq!(content(&place.results(), "small"), undisturbed(LARGE), "{}", coordinator.log());
}

#[test]
fn an_interrupted_run_goes_on_and_ends_as_if_undisturbed() {
    let place = Place::new();
    let sweep = place.sweep(&slow());
    let run = |name: &str| Process::start(&mut place.run(&sweep, 2), place.path(name));
    let jobs_seen = |process: &Process| {
        let log = process.log();
        (log.contains("of 12") || log.contains("/12")).then_some(())
    };
    // kill -9 of the run itself, then Ctrl-C, then to the end.
    let mut first = run("first.log");
    wait_for(|| jobs_seen(&first), || first.log());
    first.kill();
    let mut second = run("second.log");
    wait_for(|| jobs_seen(&second), || second.log());
    second.signal("INT");
    let code = second.exit_code();
    assert!(code == Some(130) || code == Some(0), "{code:?}: {}", second.log());
    if code == Some(130) {
        assert!(second.log().contains("goes on from here"), "how to go on: {}", second.log());
    }
    let last = place.run(&sweep, 2).output().expect("starts");
    assert!(last.status.success(), "{}", text(&last));
    assert_exactly_once(&place.results(), "small", 12);
    assert_eq!(content(&place.results(), "small"), undisturbed(&slow()));
    let third = place.run(&sweep, 2).output().expect("starts");
    assert!(text(&third).contains("left to do"), "{}", text(&third));
}

#[test]
fn no_half_written_file_is_ever_visible() {
    let place = Place::new();
    let mut coordinator = place.coordinator();
    let _worker = place.worker(2);
    succeed(place.client(&["submit"]).arg(place.sweep(&slow())));
    for _ in 0..3 {
        succeed(&mut place.client(&["flush", "small"]));
        coordinator.kill();
        // Whatever is visible now is whole: the reader fails on a file that is not.
        if fs::exists(place.results().join("jobs")).unwrap_or(false) {
            let visible = content(&place.results(), "small");
            let jobs = visible["jobs"].len();
            assert!(visible["steps"].len() >= jobs, "whoever sees a job sees its rows");
        }
        coordinator = place.coordinator();
    }
    place.wait_over("small");
    assert_exactly_once(&place.results(), "small", 12);
}

/// A small file system of its own; gone with this.
struct Tmpfs(PathBuf);

impl Tmpfs {
    /// `None`: this machine does not let us.
    fn mount(path: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir_all(&path).expect("the folder is made");
        let options = format!("size={size}");
        let mut command = std::process::Command::new("mount");
        let mounted = command.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&path).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(path))
    }

    /// Takes all the room that is left but `spare` bytes.
    fn fill(&self, spare: u64) {
        let mut file = fs::File::create(self.0.join(".filler")).expect("there is room for a name");
        while file.write_all(&[1; 4_096]).is_ok() {}
        let length = file.metadata().expect("it is there").len();
        file.set_len(length.saturating_sub(spare)).expect("it is ours");
    }

    fn grow(&self, size: &str) {
        let options = format!("remount,size={size}");
        let mut command = std::process::Command::new("mount");
        succeed(command.args(["-o", &options]).arg(&self.0));
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        drop(std::process::Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

/// How long it takes until a sweep is refused for want of room, whose file is longer than what the journal has reserved.
fn refused_after(place: &Place) -> Duration {
    let draft = sweep_file::parse(&SMALL.replace("\"small\"", "\"other\""), "other.toml");
    let sweep = draft.expect("is valid").resolve(&BTreeMap::new()).expect("needs no files");
    let submission = Submission {
        sweep: sweep.canonical(),
        file_name: "other.toml".into(),
        file_text: "#".repeat(2 << 20),
        revise: false,
        strict: false,
        engine_revision: "e".into(),
    };
    let connection = Connection::read(&place.path("connection.json")).expect("is there");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let client = Client::connect(&connection).await.expect("connects");
        let begun = Instant::now();
        let answer = tokio::time::timeout(Duration::from_secs(30), client.submit(submission)).await;
        let refused = answer.expect("an answer").expect_err("there is no room");
        assert!(refused.to_string().contains("no room to store"), "{refused}");
        begun.elapsed()
    })
}

#[test]
fn a_full_disk_under_the_journal_is_told_and_waited_for_and_nothing_is_lost() {
    let place = Place::new();
    let Some(disk) = Tmpfs::mount(place.path("journal"), "1m") else {
        skip("no tmpfs can be mounted here; run as root to have this tested");
        return;
    };
    let coordinator = place.coordinator();
    let health = Health::of(&place);
    succeed(place.client(&["submit"]).arg(place.sweep(&slow())));
    assert_eq!(health.asked(), ServingStatus::Serving);
    disk.fill(0);
    // New work is refused at once; a busy machine may need another try for the clock to show it.
    let took = (0..5).map(|_| refused_after(&place)).min().expect("five");
    assert!(took < Duration::from_secs(1), "refused after {took:?}");
    assert_eq!(health.asked(), ServingStatus::NotServing);
    let worker = place.worker(2);
    let told = || {
        let output = place.client(&["status"]).output().expect("starts");
        text(&output).contains("no room to store").then_some(output)
    };
    let output = wait_for(told, || coordinator.log());
    assert_eq!(output.status.code(), Some(69), "{}", text(&output));
    assert!(text(&output).contains("free some space"), "{}", text(&output));
    assert_eq!(health.asked(), ServingStatus::NotServing);
    disk.grow("50m");
    place.wait_over("small");
    assert_eq!(health.asked(), ServingStatus::Serving);
    assert_exactly_once(&place.results(), "small", 12);
    assert_eq!(content(&place.results(), "small"), undisturbed(&slow()), "{}", worker.log());
    assert_eq!(place.status("small")["failed_attempts"].as_u64(), Some(0), "{}", coordinator.log());
}

/// All files below a folder but those whose names begin with a dot, which readers pass over.
fn visible(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_seen = |entry: &fs::DirEntry| !entry.file_name().to_string_lossy().starts_with('.');
    let paths = entries.filter(is_seen).map(|entry| entry.path());
    paths.flat_map(|path| if path.is_dir() { visible(&path) } else { vec![path] }).collect()
}

#[test]
fn a_full_disk_under_the_results_is_told_while_jobs_go_on_and_everything_is_there_once_it_has_room()
{
    let place = Place::new();
    let Some(disk) = Tmpfs::mount(place.results(), "1m") else {
        skip("no tmpfs can be mounted here; run as root to have this tested");
        return;
    };
    let coordinator = place.coordinator();
    succeed(place.client(&["submit"]).arg(place.sweep(&slow())));
    // The record of the sweep, which is first, and one of the files of a segment find room, and no more.
    wait_for(|| (visible(&place.results()).len() == 1).then_some(()), || coordinator.log());
    disk.fill(40 << 10);
    let worker = place.worker(2);
    wait_for(|| (committed(&place) >= 4).then_some(()), || coordinator.log());
    let mut flush = Process::start(&mut place.client(&["flush", "small"]), place.path("flush.log"));
    let told = |status: &serde_json::Value| {
        status["trouble"].as_str().is_some_and(|trouble| trouble.contains("free some space"))
    };
    place.wait_status("small", told);
    // All jobs are done in spite of it; nothing is over before it is in place, and people are told why.
    place.wait_status("small", |status| status["committed"] == 12);
    let status = place.status("small");
    assert!(status["over"] == false && told(&status), "{status}");
    let output = place.client(&["status", "small"]).output().expect("starts");
    let said = text(&output);
    assert!(output.status.success() && said.contains("writing"), "{said}");
    assert!(said.contains("No space left") && said.contains("results/"), "{said}");
    // What is visible is whole; no job is visible, as not all of its rows are.
    let files = visible(&place.results());
    assert!(files.len() > 1, "some of the segment found room: {files:?}");
    for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == "parquet")) {
        let bytes = fs::read(file).expect("reads");
        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"), "{}", file.display());
        assert!(!file.starts_with(place.results().join("jobs")), "{}", file.display());
    }
    disk.grow("50m");
    place.wait_over("small");
    assert_eq!(flush.exit_code(), Some(0), "the flush came through: {}", flush.log());
    let status = place.status("small");
    assert_eq!((&status["trouble"], &status["failed_attempts"]), (&"".into(), &0.into()));
    assert_exactly_once(&place.results(), "small", 12);
    assert_eq!(content(&place.results(), "small"), undisturbed(&slow()), "{}", worker.log());
    drop(disk);
}

#[test]
fn a_paused_sweep_waits_and_a_job_that_was_given_up_is_explained_and_retried_after_a_restart() {
    let place = Place::new();
    let mut coordinator = place.coordinator();
    succeed(place.client(&["submit"]).arg(place.sweep(SMALL)));
    let jobs = succeed(&mut place.client(&["jobs", "small", "--format", "json"]));
    let first: serde_json::Value =
        serde_json::from_str(jobs.lines().next().expect("a job")).expect("JSON");
    let id = first["job_id"].as_str().expect("an id").to_owned();
    let explain = || succeed(&mut place.client(&["explain", "small", &id[..12]]));
    assert!(explain().contains("no worker is connected"), "{}", explain());
    let paused = succeed(&mut place.client(&["pause", "small"]));
    assert!(paused.contains("gradsweep resume small"), "{paused}");
    succeed(&mut place.client(&["cancel", "small", "--job", &id]));
    coordinator.kill();
    coordinator = place.coordinator();
    let worker = place.worker(2);
    wait_for(|| worker.log().contains("connected").then_some(()), || worker.log());
    std::thread::sleep(Duration::from_millis(500));
    let status = place.status("small");
    assert_eq!((&status["paused"], &status["committed"]), (&true.into(), &0.into()), "{status}");
    assert!(explain().contains("is cancelled"), "{}", explain());
    let again = succeed(&mut place.client(&["retry", "small", "--job", &id]));
    assert!(again.contains("1 job of small queued again"), "{again}");
    assert!(explain().contains("the sweep is paused"), "{}", explain());
    succeed(&mut place.client(&["resume", "small"]));
    place.wait_over("small");
    assert_exactly_once(&place.results(), "small", 6);
    assert!(explain().contains("its rows are in"), "{}", explain());
    let none = succeed(&mut place.client(&["retry", "small", "--failed"]));
    assert!(none.contains("0 jobs"), "{none}");
    let unknown = place.client(&["explain", "small", "ffffff"]).output().expect("starts");
    assert!(text(&unknown).contains("not known"), "{} {}", text(&unknown), coordinator.log());
}

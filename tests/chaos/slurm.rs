//! Slurm loses a node, or believes so, and starts its task again elsewhere under the same id; or it forgets a submission and gives
//! the id to the next. A real Slurm, whose nodes are network namespaces of this machine.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::calm;
use crate::content::{Content, assert_exactly_once, content};
use crate::harness::{Place, gradsweep, succeed, wait_for};
use crate::skip::skip;
use crate::wire::inside;
use crate::works;

/// The host of the controller, and of the person.
const HERE: &str = "gs-c";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chaos/slurm_lab.sh");
const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");

/// Sixty jobs of a second or two: more than is done while Slurm notices that a node is lost.
fn sweep() -> String {
    calm::sweep("slurm", 30, 1_200_000, "[run]\ncheckpoint = \"2s\"\n")
}

fn undisturbed() -> &'static Content {
    static CONTENT: OnceLock<Content> = OnceLock::new();
    CONTENT.get_or_init(|| calm::undisturbed(&sweep(), "slurm"))
}

/// A Slurm of four nodes, gone with this. There is one at a time, as its hosts have the same names each time.
struct Lab {
    folder: PathBuf,
    place: Place,
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());

impl Lab {
    /// `None`, with word of it: this machine does not let us.
    fn up() -> Option<Self> {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut place = Place::new();
        place.command = || inside(HERE);
        let lab = Self { folder: place.path("lab"), place, _alone: alone };
        let tools = ["slurmctld", "slurmd", "sbatch", "munged", "ip", "nsenter", "unshare"];
        let lacks = |tool: &&str| !works(Command::new("sh").args(["-c", "command -v $0", tool]));
        if let Some(missing) = tools.into_iter().find(lacks) {
            skip(format_args!(
                "no {missing} here; install slurmctld, slurmd, slurm-client, munge and iproute2"
            ));
            return None;
        }
        if !works(Command::new(SCRIPT).arg("up").arg(&lab.folder)) {
            skip(format_args!("no Slurm can be set up here: run as root; `{SCRIPT} up` says more"));
            return None;
        }
        Some(lab)
    }

    /// Does to a node what the script knows.
    fn node(&self, what: &str, node: &str) {
        succeed(Command::new(SCRIPT).args([what, node]));
    }

    /// A command of Slurm's, or one that uses them.
    fn slurm(&self, command: &str) -> Command {
        let mut there = Command::new("ip");
        let config = format!("SLURM_CONF={}/slurm.conf", self.folder.display());
        there.args(["netns", "exec", HERE, "env", &config, command]);
        there.env("GRADSWEEP", gradsweep().get_program()).env("GRADSWEEP_DIR", self.place.path(""));
        // What killed workers leave there goes with the rest.
        there.env("TMPDIR", self.place.path(""));
        there.current_dir(self.place.path(""));
        there
    }

    fn submit(&self, script: &str, flags: &str) -> String {
        let mut command = self.slurm("sbatch");
        command.args(["--parsable", "--time=30"]).args(flags.split(' '));
        succeed(command.arg(format!("{DEPLOY}/slurm/{script}"))).trim().to_owned()
    }

    /// Does to the controller what the script knows.
    fn controller(&self, what: &str) {
        succeed(Command::new(SCRIPT).arg(what).arg(&self.folder));
    }

    /// The id of a coordinator that may not listen yet.
    fn coordinator_on(&self, node: &str) -> String {
        let flags = format!("--nodelist={node} --cpus-per-task=1 --mem=500M");
        self.submit("coordinator.sbatch", &flags)
    }

    /// A coordinator that listens, and has a sweep; its id.
    fn coordinator(&self) -> String {
        let id = self.coordinator_on("gs-1");
        let told = || self.place.path("connection.json").exists().then_some(());
        wait_for(told, || format!("{:?}", self.task(&id)));
        succeed(self.place.client(&["submit"]).arg(self.place.sweep(&sweep())));
        id
    }

    /// Two workers of `slots` slots each; their id.
    fn workers(&self, slots: u32, where_to: &str) -> String {
        let flags = format!("--array=0-1 --cpus-per-task={slots} --mem-per-cpu=250M {where_to}");
        let id = self.submit("workers.sbatch", &flags);
        self.place.wait_status("slurm", |status| {
            status["leased"].as_u64() >= Some(2 * u64::from(slots))
                && status["committed"].as_u64() >= Some(2)
        });
        id
    }

    /// Waits for the sweep's end and looks at its results; how many attempts were lost on the way.
    fn finish(&self) -> u64 {
        let place = &self.place;
        // In two steps: a busy machine needs longer for all of it than is waited for anything.
        place.wait_status("slurm", |status| status["committed"].as_u64() >= Some(35));
        place.wait_over("slurm");
        let status = place.status("slurm");
        assert_eq!(status["committed"], 60, "{status}");
        assert_exactly_once(&place.results(), "slurm", 60);
        assert_eq!(&content(&place.results(), "slurm"), undisturbed());
        status["failed_attempts"].as_u64().expect("is told")
    }

    /// State and node of a task.
    fn task(&self, id: &str) -> (String, String) {
        let mut command = self.slurm("squeue");
        let told = succeed(command.args(["--noheader", "--jobs", id, "--format", "%T %N"]));
        let mut words = told.split_whitespace().map(str::to_owned);
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    }

    /// How often Slurm started a task anew under its id.
    fn restarts(&self, id: &str) -> u32 {
        let told = succeed(self.slurm("scontrol").args(["show", "job", id]));
        let restarts = told.split_whitespace().find_map(|word| word.strip_prefix("Restarts="));
        restarts.expect("is told").parse().expect("a number")
    }

    /// Host and identity of each worker that ever joined.
    fn joined(&self, coordinator: &str) -> BTreeSet<(String, String)> {
        let log = self.place.path(&format!("gradsweep-coordinator-{coordinator}.log"));
        let log = std::fs::read_to_string(log).unwrap_or_default();
        let joined = log.lines().filter(|line| line.contains("worker joined"));
        let field = |line: &str, name: &str| {
            let value = line.split(name).nth(1).and_then(|rest| rest.split_whitespace().next());
            value.expect("is told").to_owned()
        };
        joined.map(|line| (field(line, "host="), field(line, "worker="))).collect()
    }

    /// Waits until these are.
    #[track_caller]
    fn wait_connected(&self, hosts: &[&str]) {
        let ready = || (self.connected() == hosts).then_some(());
        wait_for(ready, || format!("{:?}", self.connected()));
    }

    /// Hosts of the workers that are connected now, in order.
    fn connected(&self) -> Vec<String> {
        let lines = succeed(&mut self.place.client(&["workers", "--format", "json"]));
        let workers = lines.lines().map(|line| {
            let worker: serde_json::Value = serde_json::from_str(line).expect("JSON");
            worker
        });
        let connected = workers.filter(|worker| worker["state"] != "away");
        let host = |worker: serde_json::Value| worker["host"].as_str().expect("is told").to_owned();
        let mut hosts: Vec<_> = connected.map(host).collect();
        hosts.sort();
        hosts
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        works(Command::new(SCRIPT).arg("down").arg(&self.folder));
    }
}

#[test]
#[ignore = "needs root and Slurm"]
fn the_slurm_scripts_do_a_sweep() {
    let Some(lab) = Lab::up() else { return };
    let told = succeed(&mut lab.slurm(&format!("{DEPLOY}/test-slurm.sh")));
    assert!(told.contains("8 of 8 jobs have results"), "{told}");
}

/// A sweep that runs when Slurm loses a node of its workers by `loss`, as it believes, and starts the task again elsewhere;
/// `meanwhile`: with the hosts that it ran on and runs on.
fn with_a_lost_node(loss: &str, meanwhile: impl Fn(&Lab, &str, &str)) {
    let Some(lab) = Lab::up() else { return };
    let coordinator = lab.coordinator();
    let workers = lab.workers(4, "--exclude=gs-1");
    let task = format!("{workers}_1");
    let (_, lost) = lab.task(&task);
    assert!(["gs-2", "gs-3", "gs-4"].contains(&&*lost), "{lost}");
    lab.node(loss, &lost);
    let moved =
        || Some(lab.task(&task)).filter(|(state, node)| state == "RUNNING" && *node != lost);
    let (_, now) = wait_for(moved, || format!("{:?}", lab.task(&task)));
    let joined = || Some(lab.joined(&coordinator)).filter(|joined| joined.len() == 3);
    let joined = wait_for(joined, || format!("{:?}", lab.joined(&coordinator)));
    let hosts: BTreeSet<_> = joined.iter().map(|(host, _)| &**host).collect();
    let identities: BTreeSet<_> = joined.iter().map(|(_, worker)| worker).collect();
    assert!(hosts.contains(&*lost) && hosts.contains(&*now), "{hosts:?}");
    assert_eq!(identities.len(), 3, "whoever is started again is somebody new");
    assert_eq!(lab.restarts(&task), 1, "the same task");
    meanwhile(&lab, &lost, &now);
    let lost_attempts = lab.finish();
    println!("{loss} of {lost}: its task went to {now}; {lost_attempts} attempts lost");
}

#[test]
#[ignore = "needs root and Slurm; two minutes"]
fn a_slurm_node_that_loses_its_power_costs_nothing_but_time() {
    with_a_lost_node("poweroff", |lab, lost, _| {
        // Its lease has to run out first.
        lab.place.wait_status("slurm", |status| status["failed_attempts"].as_u64() >= Some(1));
        assert!(!lab.connected().contains(&lost.to_owned()), "nothing of it is there");
    });
}

/// Slurm believes that the node is lost; its worker works on, beside the one that was started in its place.
#[test]
#[ignore = "needs root and Slurm; two minutes"]
fn two_workers_of_one_slurm_task_do_no_job_twice() {
    with_a_lost_node("cut", |lab, lost, now| {
        let connected = lab.connected();
        for host in [lost, now] {
            assert!(connected.contains(&host.to_owned()), "{host} is not in {connected:?}");
        }
        // The old one is ended once Slurm hears of the node again.
        lab.node("heal", lost);
        let gone = || (!lab.connected().contains(&lost.to_owned())).then_some(());
        wait_for(gone, || format!("{:?}", lab.connected()));
    });
}

/// The controller is killed after it started an array and before it saved that. (What it had saved before the submission is put
/// back, since it may be quick.) The next array then gets the same id, and its tasks run on another node beside those of the
/// first: Slurm does not hear of these, as the daemon of their node stands still.
#[test]
#[ignore = "needs root and Slurm; two minutes"]
fn workers_whose_id_slurm_gives_out_again_are_four_workers() {
    let Some(lab) = Lab::up() else { return };
    let coordinator = lab.coordinator();
    lab.controller("keep");
    let first = lab.workers(2, "--nodelist=gs-2");
    lab.node("hang", "gs-2");
    lab.controller("forget");
    let second = lab.workers(2, "--nodelist=gs-3");
    assert_eq!(first, second, "Slurm forgot nothing");
    let tasks = [0, 1].map(|number| format!("{second}_{number}"));
    lab.wait_connected(&["gs-2", "gs-2", "gs-3", "gs-3"]);
    let joined = lab.joined(&coordinator);
    let identities: BTreeSet<_> = joined.iter().map(|(_, worker)| worker).collect();
    assert_eq!(identities.len(), 4, "each is somebody: {joined:?}");
    // A time limit comes near for one of the first, and its script would have the task requeued: but that is another's now.
    lab.node("warn", "gs-2");
    lab.wait_connected(&["gs-2", "gs-3", "gs-3"]);
    // The other is ended once Slurm hears of the node again.
    lab.node("wake", "gs-2");
    lab.wait_connected(&["gs-3", "gs-3"]);
    let committed = lab.place.status("slurm")["committed"].clone();
    for task in &tasks {
        assert_eq!(lab.task(task), ("RUNNING".to_owned(), "gs-3".to_owned()), "{task}");
        assert_eq!(lab.restarts(task), 0, "the second's task is disturbed by the first's");
    }
    // One of the second's own is requeued, though.
    lab.node("warn", "gs-3");
    let restarts = || tasks.each_ref().map(|task| lab.restarts(task)).into_iter().sum::<u32>();
    wait_for(|| (restarts() == 1).then_some(()), || restarts().to_string());
    let lost_attempts = lab.finish();
    println!(
        "job {first} twice: {joined:?}; {committed} of 60 jobs were done when the first was gone, {lost_attempts} attempts lost"
    );
    assert!(lost_attempts <= 2, "no more than the slots of the one that was ended");
}

/// The same with the coordinator: the second may not touch what the first still writes to, and takes over once it is gone.
#[test]
#[ignore = "needs root and Slurm; two minutes"]
fn a_coordinator_whose_id_slurm_gives_out_again_waits_for_the_first() {
    let Some(lab) = Lab::up() else { return };
    lab.controller("keep");
    let first = lab.coordinator();
    lab.workers(2, "--nodelist=gs-2");
    for node in ["gs-1", "gs-2"] {
        lab.node("hang", node);
    }
    lab.controller("forget");
    let second = lab.coordinator_on("gs-3");
    assert_eq!(first, second, "Slurm forgot nothing");
    let refused = || (lab.restarts(&second) >= 1).then_some(());
    wait_for(refused, || format!("{:?}", lab.task(&second)));
    lab.wait_connected(&["gs-2", "gs-2"]);
    let committed = lab.place.status("slurm")["committed"].clone();
    // The first is ended once Slurm hears of its node again.
    lab.node("wake", "gs-1");
    let connection = || std::fs::read_to_string(lab.place.path("connection.json")).expect("reads");
    wait_for(|| connection().contains("gs-3").then_some(()), connection);
    let lost_attempts = lab.finish();
    println!(
        "job {first} twice: the second came {} times; {committed} of 60 jobs were done when it took over, {lost_attempts} attempts lost",
        lab.restarts(&second) + 1
    );
    assert_eq!(lost_attempts, 0);
}

/// The controller is killed and comes back with what it had saved.
#[test]
#[ignore = "needs root and Slurm; a minute"]
fn a_slurm_controller_that_comes_back_disturbs_nobody() {
    let Some(lab) = Lab::up() else { return };
    let coordinator = lab.coordinator();
    let workers = lab.workers(2, "--exclude=gs-1");
    // Slurm saves what is new no later than five seconds after.
    std::thread::sleep(Duration::from_secs(6));
    let ids = [coordinator.clone(), format!("{workers}_0"), format!("{workers}_1")];
    let started = || {
        let format = "--format=%i %T %N %S";
        let told =
            |id: &String| succeed(lab.slurm("squeue").args(["--noheader", format, "--jobs", id]));
        ids.each_ref().map(told)
    };
    let before = started();
    lab.controller("restart");
    let committed = lab.place.status("slurm")["committed"].clone();
    assert_eq!(started(), before);
    let lost_attempts = lab.finish();
    assert_eq!(started(), before, "all the same tasks on the same nodes");
    assert_eq!(lab.joined(&coordinator).len(), 2, "nobody joined anew");
    println!("{before:?} stayed; {committed} of 60 jobs were done, {lost_attempts} attempts lost");
    assert_eq!(lost_attempts, 0);
}

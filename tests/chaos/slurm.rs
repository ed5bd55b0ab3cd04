//! Slurm loses a node, or believes so, and starts its task again elsewhere under the same id: a real Slurm, whose nodes are
//! network namespaces of this machine.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

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
        there.current_dir(self.place.path(""));
        there
    }

    fn submit(&self, script: &str, flags: &str) -> String {
        let mut command = self.slurm("sbatch");
        command.args(["--parsable", "--time=30"]).args(flags.split(' '));
        succeed(command.arg(format!("{DEPLOY}/slurm/{script}"))).trim().to_owned()
    }

    /// State and node of a task.
    fn task(&self, id: &str) -> (String, String) {
        let mut command = self.slurm("squeue");
        let told = succeed(command.args(["--noheader", "--jobs", id, "--format", "%T %N"]));
        let mut words = told.split_whitespace().map(str::to_owned);
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
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

    /// Hosts of the workers that are connected now.
    fn connected(&self) -> Vec<String> {
        let lines = succeed(&mut self.place.client(&["workers", "--format", "json"]));
        let workers = lines.lines().map(|line| {
            let worker: serde_json::Value = serde_json::from_str(line).expect("JSON");
            worker
        });
        let connected = workers.filter(|worker| worker["state"] != "away");
        connected.map(|worker| worker["host"].as_str().expect("is told").to_owned()).collect()
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
    let place = &lab.place;
    let coordinator =
        lab.submit("coordinator.sbatch", "--nodelist=gs-1 --cpus-per-task=1 --mem=500M");
    let told = || place.path("connection.json").exists().then_some(());
    wait_for(told, || format!("{:?}", lab.task(&coordinator)));
    let workers = lab.submit(
        "workers.sbatch",
        "--array=0-1 --cpus-per-task=4 --mem-per-cpu=250M --exclude=gs-1",
    );
    succeed(place.client(&["submit"]).arg(place.sweep(&sweep())));
    place.wait_status("slurm", |status| {
        status["leased"].as_u64() >= Some(8) && status["committed"].as_u64() >= Some(2)
    });
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
    let told = succeed(lab.slurm("scontrol").args(["show", "job", &task]));
    assert!(told.contains("Restarts=1"), "the same task: {told}");
    meanwhile(&lab, &lost, &now);
    place.wait_over("slurm");
    let status = place.status("slurm");
    assert_eq!(status["committed"], 60, "{status}");
    println!(
        "{loss} of {lost}: its task went to {now}; {} attempts lost",
        status["failed_attempts"]
    );
    succeed(lab.slurm("scancel").args([&workers, &coordinator]));
    assert_exactly_once(&place.results(), "slurm", 60);
    assert_eq!(&content(&place.results(), "slurm"), undisturbed());
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

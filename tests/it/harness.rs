//! Starts gradsweep's processes in a temporary folder, waits for what they do, and ends them whatever happens.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// Longest a test waits for anything. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(20);

/// The binary under test.
pub fn gradsweep() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradsweep"));
    // Nothing of the person who runs the tests may leak in, nor anything of the tests out.
    command.env_remove("GRADSWEEP_CONNECTION").env_remove("GRADSWEEP_LOG").env("NO_COLOR", "1");
    command
}

/// Polls until `ready` answers, or panics with what `describe` says was last seen.
#[track_caller]
pub fn wait_for<T>(mut ready: impl FnMut() -> Option<T>, describe: impl Fn() -> String) -> T {
    for _ in 0..PATIENCE.as_millis() / POLL.as_millis() {
        if let Some(value) = ready() {
            return value;
        }
        std::thread::sleep(POLL);
    }
    panic!("waited {PATIENCE:?} in vain; last seen: {}", describe());
}

/// Standard output of a command that must succeed.
#[track_caller]
pub fn succeed(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("the command starts");
    assert!(output.status.success(), "{command:?} failed: {}", text(&output));
    String::from_utf8(output.stdout).expect("its output is UTF-8")
}

/// What a command printed, for people who read a failed test.
pub fn text(output: &Output) -> String {
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\n--- stdout\n{out}\n--- stderr\n{err}", output.status)
}

/// Writes an archive of made-up pictures.
pub fn pictures(folder: &Path) {
    fs::create_dir_all(folder).expect("made");
    for batch in 1..=5u32 {
        let mut bytes = Vec::new();
        for picture in 0..3u32 {
            bytes.push(((batch + picture) % 10) as u8);
            let seed = (batch * 7 + picture).wrapping_mul(2_654_435_761);
            let pixel = |i: u32| ((seed ^ i.wrapping_mul(40_503)).wrapping_mul(69_069) >> 13) as u8;
            bytes.extend((0..3072).map(pixel));
        }
        fs::write(folder.join(format!("data_batch_{batch}.bin")), bytes).expect("written");
    }
}

/// A process that is killed when the test is done with it.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output in a file.
    pub fn start(command: &mut Command, log: PathBuf) -> Self {
        let file = File::create(&log).expect("the log can be made");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a second handle"))
            .stderr(file)
            .spawn()
            .expect("the process starts");
        Self { child, log }
    }

    /// kill -9, and waits until it is gone.
    pub fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Bytes of memory that it holds: `VmRSS`, or the part of it that `field` names.
    pub fn memory(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it lives");
        let told = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let kib = told.expect("is told").trim().trim_end_matches(" kB");
        kib.parse::<u64>().expect("a number") << 10
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().expect("kill is there");
        assert!(sent.success(), "signal {name} to {id}");
    }

    /// Waits for its end; the exit code.
    #[track_caller]
    pub fn exit_code(&mut self) -> Option<i32> {
        let log = self.log.clone();
        let child = &mut self.child;
        let ended = || child.try_wait().expect("it is our child");
        wait_for(ended, || fs::read_to_string(&log).unwrap_or_default()).code()
    }

    /// What it wrote so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Process ids of its children.
    pub fn children(&self) -> Vec<u32> {
        let id = self.child.id();
        let list = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        let mut children: Vec<u32> =
            list.split_whitespace().filter_map(|id| id.parse().ok()).collect();
        // A child belongs to the thread that started it.
        for thread in fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten() {
            let list = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            children.extend(list.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        }
        children.sort_unstable();
        children.dedup();
        children
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A folder with a sweep file, a journal, results and a connection file.
pub struct Place {
    folder: TempDir,
    /// How gradsweep is started here, where nothing else is said.
    pub command: fn() -> Command,
    /// Where the coordinator puts results, if not in the folder, and the environment that it needs for that.
    pub elsewhere: Option<(String, Vec<(&'static str, String)>)>,
    processes: std::cell::Cell<u32>,
}

impl Place {
    /// An empty place.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let processes = std::cell::Cell::new(0);
        Self { folder, command: gradsweep, elsewhere: None, processes }
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the results are.
    pub fn results(&self) -> PathBuf {
        self.path("results")
    }

    /// Writes a sweep file; its path.
    pub fn sweep(&self, text: &str) -> PathBuf {
        let path = self.path("sweep.toml");
        fs::write(&path, text).expect("the sweep file is written");
        path
    }

    /// `gradsweep run` on a sweep file, with this place's results.
    pub fn run(&self, sweep: &Path, workers: u32) -> Command {
        let mut command = (self.command)();
        command.arg("run").arg(sweep).arg("--out").arg(self.results());
        command.args(["--workers", &workers.to_string()]);
        command
    }

    fn log(&self, name: &str) -> PathBuf {
        self.processes.set(self.processes.get() + 1);
        self.path(&format!("{name}-{}.log", self.processes.get()))
    }

    /// Starts a coordinator on a free port and waits until it listens.
    pub fn coordinator(&self) -> Process {
        self.coordinator_by((self.command)(), "127.0.0.1:0", "2s")
    }

    /// The same by a command that ends as [`gradsweep`] does, at an address and with a lease of choice.
    pub fn coordinator_by(&self, command: Command, listen: &str, lease: &str) -> Process {
        let connection = self.path("connection.json");
        drop(fs::remove_file(&connection));
        let process = self.start_coordinator(command, listen, lease);
        wait_for(|| connection.exists().then_some(()), || process.log());
        process
    }

    /// The same, and it may never come to listen.
    pub fn start_coordinator(&self, mut command: Command, listen: &str, lease: &str) -> Process {
        command.args(["coordinator", "--listen", listen, "--lease", lease]);
        command.arg("--journal").arg(self.path("journal"));
        match &self.elsewhere {
            None => command.arg("--results").arg(self.results()),
            Some((url, environment)) => {
                command.arg("--results").arg(url).envs(environment.iter().cloned())
            }
        };
        command.arg("--connection").arg(self.path("connection.json"));
        Process::start(&mut command, self.log("coordinator"))
    }

    /// Starts a worker.
    pub fn worker(&self, slots: u32) -> Process {
        self.worker_by((self.command)(), slots, &[])
    }

    /// The same by a command that ends as [`gradsweep`] does, and with more flags.
    pub fn worker_by(&self, mut command: Command, slots: u32, flags: &[&str]) -> Process {
        command.arg("worker").arg("--connection").arg(self.path("connection.json")).args(flags);
        command.arg("--cache").arg(self.path("cache"));
        command.args(["--slots", &slots.to_string()]);
        Process::start(&mut command, self.log("worker"))
    }

    /// A client command on this place's coordinator.
    pub fn client(&self, arguments: &[&str]) -> Command {
        let mut command = (self.command)();
        command.args(arguments).arg("--connection").arg(self.path("connection.json"));
        command
    }

    /// `status NAME --format json`, as JSON.
    pub fn status(&self, sweep: &str) -> serde_json::Value {
        let output = self.client(&["status", sweep, "--format", "json"]).output().expect("starts");
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// Waits until the sweep's status fulfils `wanted`.
    #[track_caller]
    pub fn wait_status(&self, sweep: &str, wanted: impl Fn(&serde_json::Value) -> bool) {
        let seen = std::cell::RefCell::new(serde_json::Value::Null);
        let ready = || {
            *seen.borrow_mut() = self.status(sweep);
            wanted(&seen.borrow()).then_some(())
        };
        wait_for(ready, || seen.borrow().to_string());
    }

    /// Waits until every job is settled and every file is there.
    #[track_caller]
    pub fn wait_over(&self, sweep: &str) {
        self.wait_status(sweep, |status| status["over"] == true);
    }
}

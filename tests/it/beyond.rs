//! A trial that measures more than its worker keeps in memory, while the coordinator is away: rows go to disk and come back.

use std::fs;
use std::time::Duration;

use domain::Table;

use crate::harness::{Place, Process, gradsweep, succeed, wait_for};

/// One job of so many steps, with some 2 KiB of rows a step.
fn many_rows(steps: u32) -> String {
    format!(
        r#"
name = "rows"
[model]
kind = "mlp"
width = 4
depth = 4
[data]
kind = "sphere"
samples = 4
dim = 4
[train]
steps = {steps}
step_size = 0.05
[measure]
at = {{ every = 1 }}
layers = true
confusion = [{{ scope = "samples", count = 4 }}]
"#
    )
}

/// How long rows may take to fill a worker's memory, and how often it is looked.
const PATIENCE: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(50);

/// Rows of table `confusion` a step: the network, and its weight matrices.
const ROWS_A_STEP: usize = 7;

/// Bytes of the files without a name in which a worker keeps rows.
fn bytes_on_disk(worker: &Process) -> u64 {
    let open = fs::read_dir(format!("/proc/{}/fd", worker.id())).expect("it lives").flatten();
    let kept = open.filter(|file| {
        fs::read_link(file.path()).is_ok_and(|path| path.to_string_lossy().contains("/.rows."))
    });
    kept.filter_map(|file| fs::metadata(file.path()).ok()).map(|file| file.len()).sum()
}

/// Kills the coordinator under a job of so many steps, brings it back once `wanted` bytes of rows are on the disk of the
/// worker, and checks that the job was never restarted and every row is there once. Bytes that were
/// on disk then, and in memory.
pub fn goes_on_beyond_memory(steps: u32, wanted: u64, flags: &[&str]) -> (u64, u64) {
    let place = Place::new();
    let start = || place.coordinator_by(gradsweep(), "127.0.0.1:0", "60s");
    let mut coordinator = start();
    let worker = place.worker_by(gradsweep(), 1, flags);
    succeed(place.client(&["submit"]).arg(place.sweep(&many_rows(steps))));
    place.wait_status("rows", |status| status["leased"] == 1);
    coordinator.kill();
    for _ in 0..PATIENCE.as_millis() / POLL.as_millis() {
        if bytes_on_disk(&worker) >= wanted {
            break;
        }
        std::thread::sleep(POLL);
    }
    assert!(worker.log().contains("more go to disk"), "{}", worker.log());
    assert!(bytes_on_disk(&worker) >= wanted, "{} bytes on disk", bytes_on_disk(&worker));
    let (most, resident) = (bytes_on_disk(&worker), worker.memory("VmRSS"));
    let coordinator = start();
    place.wait_over("rows");
    assert_eq!(place.status("rows")["failed_attempts"], 0, "{}", coordinator.log());
    assert!(!coordinator.log().contains("goes on from its checkpoint"), "nothing was restarted");
    wait_for(|| (bytes_on_disk(&worker) == 0).then_some(()), || worker.log());
    // Every row once, by its step.
    let results = analysis::results::Results::open(&place.results()).expect("opens");
    let sweep = "rows".parse().expect("a good name");
    for (table, each) in [(Table::Steps, 1), (Table::Confusion, ROWS_A_STEP)] {
        let frame = results.read(table, &sweep, &["step"]).expect("reads");
        let mut found: Vec<_> = frame.ints("step").into_iter().flatten().collect();
        found.sort_unstable();
        let all: Vec<_> = (0..=i64::from(steps)).flat_map(|step| vec![step; each]).collect();
        assert!(found == all, "{} rows of {table:?}", found.len());
    }
    (most, resident)
}

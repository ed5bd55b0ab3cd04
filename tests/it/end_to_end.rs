//! `plan`, `run` and the separate processes, from sweep file to Parquet.

use std::fs;
use std::process::Stdio;

use crate::content::{assert_exactly_once, content};
use crate::harness::{Place, gradsweep, succeed, text, wait_for};

/// Six jobs of some hundredths of a second.
pub const SMALL: &str = r#"
name = "small"
[axes]
"model.width" = [4, 8]
seed = { start = 0, count = 3 }
[model]
kind = "mlp"
depth = 1
[data]
kind = "sphere"
samples = 16
dim = 8
[train]
steps = 200
step_size = 0.05
[measure]
at = { log = 6 }
"#;

/// `text` with the count of seeds replaced.
pub fn with_seeds(text: &str, count: u32) -> String {
    text.replace("count = 3", &format!("count = {count}"))
}

#[test]
fn a_sweep_runs_from_file_to_parquet_and_a_second_run_has_nothing_to_do() {
    let place = Place::new();
    let sweep = place.sweep(SMALL);
    let printed = succeed(&mut place.run(&sweep, 2));
    assert!(printed.contains("width"), "the closing table: {printed}");
    assert!(printed.contains("results"), "where the results are: {printed}");
    assert_exactly_once(&place.results(), "small", 6);
    let before = content(&place.results(), "small");
    let record = fs::read_dir(place.results().join("sweeps/small")).expect("is there").count();
    assert_eq!(record, 1, "one revision on record");

    let output = place.run(&sweep, 2).output().expect("starts");
    assert!(output.status.success(), "{}", text(&output));
    let said = text(&output);
    assert!(said.contains("nothing") && said.contains("left to do"), "{said}");
    assert_eq!(content(&place.results(), "small"), before);
}

#[test]
fn a_report_of_a_run_is_a_page_and_an_unknown_sweep_is_bad_input() {
    let place = Place::new();
    succeed(&mut place.run(&place.sweep(SMALL), 2));
    let out = place.path("report");
    let printed = succeed(gradsweep().arg("report").arg(place.results()).arg("--out").arg(&out));
    let page = out.join("small/index.html");
    assert!(printed.contains(&page.display().to_string()), "{printed}");
    let html = fs::read_to_string(page).expect("the page is there");
    assert!(html.contains("6 trials with a result") && html.contains("cannot tell"), "{html}");

    let output = gradsweep().arg("report").arg(place.results()).args(["--sweep", "smal"]).output();
    let output = output.expect("starts");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("there are: small"), "{}", text(&output));
    // Twice the same results: the same page, and no segment was touched by a report among them.
    let before = content(&place.results(), "small");
    succeed(gradsweep().arg("report").arg(place.results()));
    let inside = place.results().join("report/small/index.html");
    assert_eq!(fs::read_to_string(inside).expect("is there"), html);
    assert_eq!(content(&place.results(), "small"), before);
}

/// Two settings with too little data: what the page asks for runs, one file after the other, beside what was there.
#[test]
fn what_a_report_asks_for_runs_into_the_same_results() {
    let place = Place::new();
    let sweep = SMALL.replace("[axes]\n", "[axes]\n\"model.init\" = [\"lecun\", \"paper\"]\n");
    succeed(&mut place.run(&place.sweep(&sweep), 2));
    let before = content(&place.results(), "small");
    let out = place.path("report");
    let report = || succeed(gradsweep().arg("report").arg(place.results()).arg("--out").arg(&out));
    report();
    let files = [1, 2]
        .map(|n| fs::read_to_string(out.join(format!("small/more-{n}.toml"))).expect("asked for"));
    let html = fs::read_to_string(out.join("small/index.html")).expect("the page");
    let mut done = before["jobs"].len();
    for (n, file) in (1..).zip(&files) {
        let command = format!("gradsweep run more-{n}.toml --out RESULTS --revise");
        assert!(html.contains(&command), "{html}");
        let path = place.path(&format!("more-{n}.toml"));
        fs::write(&path, file).expect("writes");
        succeed(place.run(&path, 2).arg("--revise"));
        let after = content(&place.results(), "small");
        assert!(
            before["jobs"].iter().all(|row| after["jobs"].contains(row)),
            "what was there stays"
        );
        assert!(after["jobs"].len() > done, "file {n} asked for nothing new");
        done = after["jobs"].len();
    }
    report();
    let html = fs::read_to_string(out.join("small/index.html")).expect("the page");
    assert!(html.contains(&format!("{done} trials with a result")), "{html}");
    assert!(!html.contains("too few for a region"), "{html}");
}

#[test]
fn longer_axes_run_only_the_new_jobs() {
    let place = Place::new();
    succeed(&mut place.run(&place.sweep(SMALL), 1));
    let before = content(&place.results(), "small");
    let output = place.run(&place.sweep(&with_seeds(SMALL, 4)), 1).output().expect("starts");
    assert!(output.status.success(), "{}", text(&output));
    let said = text(&output);
    assert!(said.contains("kept 6") && said.contains("new 2"), "{said}");
    assert_exactly_once(&place.results(), "small", 8);
    let after = content(&place.results(), "small");
    assert!(before["jobs"].iter().all(|row| after["jobs"].contains(row)), "what was there stays");
}

#[test]
fn a_changed_base_setting_is_refused_by_name_and_accepted_as_a_revision() {
    let place = Place::new();
    succeed(&mut place.run(&place.sweep(SMALL), 1));
    let changed = place.sweep(&SMALL.replace("steps = 200", "steps = 300"));
    let output = place.run(&changed, 1).output().expect("starts");
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("train.steps was 200 and is now 300"), "{said}");
    assert!(said.contains("--revise"), "{said}");
    assert_exactly_once(&place.results(), "small", 6);
    succeed(place.run(&changed, 1).arg("--revise"));
    assert_exactly_once(&place.results(), "small", 12);
}

#[test]
fn plan_counts_and_runs_nothing() {
    let place = Place::new();
    let sweep = place.sweep(SMALL);
    let printed = succeed(gradsweep().arg("plan").arg(&sweep).current_dir(place.path("")));
    assert!(printed.contains("6 jobs"), "{printed}");
    assert!(printed.contains("2 cells"), "{printed}");
    let json = succeed(gradsweep().args(["plan", "--format", "json"]).arg(&sweep));
    let lines: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    assert!(lines.len() >= 6, "{json}");
    let left: Vec<_> = fs::read_dir(place.path("")).expect("is there").flatten().collect();
    assert_eq!(left.len(), 1, "only the sweep file is there: {left:?}");
}

#[test]
fn separate_processes_do_the_same_as_run() {
    let place = Place::new();
    let sweep = place.sweep(SMALL);
    let _coordinator = place.coordinator();
    let mut worker = place.worker(2);
    let said = succeed(place.client(&["submit"]).arg(&sweep));
    assert!(said.contains("new 6"), "{said}");
    succeed(&mut place.client(&["watch", "small"]));
    assert_exactly_once(&place.results(), "small", 6);
    let jobs = succeed(&mut place.client(&["jobs", "small", "--format", "json"]));
    assert_eq!(jobs.lines().count(), 6, "{jobs}");
    assert!(jobs.lines().all(|line| line.contains("completed")), "{jobs}");
    let workers = succeed(&mut place.client(&["workers", "--format", "json"]));
    assert_eq!(workers.lines().count(), 1, "{workers}");
    succeed(&mut place.client(&["drain", "--all"]));
    assert_eq!(worker.exit_code(), Some(0), "drained with nothing left: {}", worker.log());

    let other = Place::new();
    succeed(&mut other.run(&other.sweep(SMALL), 1));
    assert_eq!(content(&place.results(), "small"), content(&other.results(), "small"));
}

#[test]
fn cancelling_a_sweep_ends_it() {
    let place = Place::new();
    let sweep = place.sweep(&SMALL.replace("steps = 200", "steps = 100000000"));
    let _coordinator = place.coordinator();
    let _worker = place.worker(1);
    succeed(place.client(&["submit"]).arg(&sweep));
    place.wait_status("small", |status| status["leased"] == 1);
    succeed(&mut place.client(&["cancel", "small"]));
    place.wait_over("small");
    assert_eq!(place.status("small")["cancelled"], 6);
    // The worker is free again: it takes other work.
    let other = place.sweep(&SMALL.replace("\"small\"", "\"other\""));
    succeed(place.client(&["submit"]).arg(&other));
    place.wait_over("other");
}

#[test]
fn nobody_is_there_is_said_with_its_own_exit_code() {
    let place = Place::new();
    let output = place.client(&["status"]).output().expect("starts");
    assert_eq!(output.status.code(), Some(69), "{}", text(&output));
    let mut coordinator = place.coordinator();
    coordinator.kill();
    let output = place.client(&["status"]).output().expect("starts");
    assert_eq!(output.status.code(), Some(69), "{}", text(&output));
}

#[test]
fn a_run_whose_terminal_dies_leaves_no_process_behind() {
    let place = Place::new();
    let sweep = place.sweep(&SMALL.replace("steps = 200", "steps = 100000000"));
    let mut run = place.run(&sweep, 2);
    run.stdin(Stdio::null());
    let mut process = crate::harness::Process::start(&mut run, place.path("run.log"));
    let alive = |ids: &[u32]| {
        let running = |id: &&u32| {
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            // A zombie is dead; only its parent has not looked yet.
            !stat.is_empty() && !stat.contains(") Z ")
        };
        ids.iter().filter(running).count()
    };
    let ids = wait_for(
        || Some(process.children()).filter(|children| children.len() >= 3),
        || process.log(),
    );
    process.kill();
    wait_for(|| (alive(&ids) == 0).then_some(()), || format!("{} of {ids:?} live", alive(&ids)));
}

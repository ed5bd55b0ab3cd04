//! `sql --live`: rows of jobs that run, and of jobs that are done and in no file yet.

use std::fs;

use crate::harness::{Place, gradsweep, succeed, text, wait_for};

/// One job of a moment, and one that outlasts any test.
const TWO: &str = r#"
name = "two"
[axes]
"train.steps" = [100, 500_000_000]
[model]
kind = "mlp"
width = 4
depth = 1
[data]
kind = "sphere"
samples = 8
dim = 4
[train]
step_size = 0.05
[measure]
at = [0, 1, 2, 3, 4]
"#;

/// Rows and jobs of a table, by the length of the job.
fn counted(place: &Place, table: &str, live: &[&str]) -> String {
    let results = place.results().display().to_string();
    let sql = format!(
        "select train_steps, count(*), count(distinct job_id) from {table} group by 1 order by 1"
    );
    let arguments = [&["sql", &*results, &*sql, "--format", "csv"][..], live].concat();
    let counted = succeed(&mut place.client(&arguments));
    counted.lines().skip(1).collect::<Vec<_>>().join(" ")
}

fn files(place: &Place, table: &str) -> usize {
    fs::read_dir(place.results().join(table).join("sweep=two")).map_or(0, Iterator::count)
}

#[test]
fn rows_are_seen_before_their_file_and_once_after() {
    let place = Place::new();
    let _coordinator = place.coordinator();
    let sweep = place.sweep(TWO);
    succeed(&mut place.client(&["submit", &sweep.display().to_string()]));
    let _worker = place.worker(1);
    // Every measurement but the last, which is never made, of the job that runs, and all of the one that is done.
    let seen = std::cell::RefCell::new(String::new());
    let all = "100,6,1 500000000,5,1";
    let all_is_told = || {
        *seen.borrow_mut() = counted(&place, "steps", &["--live"]);
        (*seen.borrow() == all).then_some(())
    };
    wait_for(all_is_told, || seen.borrow().clone());
    assert_eq!((files(&place, "steps"), files(&place, "jobs")), (0, 0), "no file is there yet");
    assert_eq!(counted(&place, "jobs", &["--live"]), "100,1,1");
    assert_eq!(counted(&place, "steps", &["--live", "--sweep", "two"]), all);
    assert_eq!(counted(&place, "steps", &[]), "", "without --live there is nothing");

    succeed(&mut place.client(&["flush", "two"]));
    assert_eq!((files(&place, "steps"), files(&place, "jobs")), (1, 1));
    for live in [&["--live"][..], &["--live", "--sweep", "two"]] {
        assert_eq!(counted(&place, "steps", live), all);
        assert_eq!(counted(&place, "confusion", live), all);
        assert_eq!(counted(&place, "jobs", live), "100,1,1");
    }
    assert_eq!(counted(&place, "steps", &[]), "100,6,1");

    succeed(&mut place.client(&["cancel", "two"]));
    place.wait_over("two");
    assert_eq!(counted(&place, "steps", &["--live"]), "100,6,1", "a cancelled job has no rows");
}

#[test]
fn without_a_coordinator_live_rows_are_an_error_with_its_code() {
    let place = Place::new();
    fs::create_dir_all(place.results().join("jobs")).expect("made");
    let mut command = gradsweep();
    command.arg("sql").arg(place.results()).args(["select 1", "--live", "--connection"]);
    let output = command.arg(place.path("none.json")).output().expect("starts");
    assert_eq!(output.status.code(), Some(69), "{}", text(&output));
}

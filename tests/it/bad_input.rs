//! Bad input at the command line: its own message, its own exit code, and nothing started.

use std::fs;
use std::path::PathBuf;

use crate::harness::{Place, gradsweep, succeed, text};

fn bad_sweeps() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/bad-sweeps");
    let entries = fs::read_dir(folder).expect("the bad sweeps are there");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("reads").path()).collect();
    files.sort();
    files
}

#[test]
fn every_bad_sweep_file_gets_exit_code_2_and_a_message_with_its_name() {
    let files = bad_sweeps();
    assert!(files.len() >= 30, "{} bad sweeps", files.len());
    for file in files {
        let output = gradsweep().arg("plan").arg(&file).output().expect("starts");
        let name = file.file_name().expect("has a name").to_string_lossy().into_owned();
        assert_eq!(output.status.code(), Some(2), "{name}: {}", text(&output));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(&name), "{name} is named: {said}");
        assert!(output.stdout.is_empty(), "{name}: {}", text(&output));
    }
}

#[test]
fn a_missing_sweep_file_and_a_missing_data_folder_say_what_to_do() {
    let place = Place::new();
    let output = gradsweep().args(["run", "no-such.toml"]).output().expect("starts");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("no-such.toml"));
    let sweep = place.sweep(
        "name = \"x\"\n[model]\nkind = \"mlp\"\nwidth = 4\ndepth = 1\n[data]\nkind = \"idx\"\npath = \"nowhere\"\nsamples = 10\n[train]\nsteps = 10\nstep_size = 0.1\n",
    );
    let output = place.run(&sweep, 1).output().expect("starts");
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("nowhere") && said.contains("dataset-fashion-mnist"), "{said}");
    assert!(!place.results().join("jobs").exists(), "nothing was started");
}

/// Exit code 2, both parts in what is said, and no folder of that name.
#[track_caller]
fn check_place(arguments: &[&str], parts: [&str; 2]) {
    let place = Place::new();
    let output = gradsweep().args(arguments).current_dir(place.path("")).output().expect("starts");
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    let made: Vec<_> = fs::read_dir(place.path("")).expect("is there").flatten().collect();
    assert!(made.iter().all(|entry| !entry.path().join("jobs").exists()), "{made:?}");
}

#[test]
fn a_place_for_results_that_is_none_is_refused() {
    let known = "a path, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://BUCKET/PREFIX";
    check_place(&["report", "s4://b/p"], ["s4:// is not known", known]);
    check_place(&["coordinator", "--results", "s3:///p"], ["names no bucket", "s3:///p"]);
    check_place(
        &["export", "gs://b/../p", "0", "--weights", "w", "--data", "d"],
        ["the prefix", "gs://b/../p"],
    );
}

#[cfg(not(feature = "cloud"))]
#[test]
fn a_build_without_object_stores_says_how_to_get_them() {
    let how = "cargo install --path . --features cloud";
    check_place(&["report", "s3://bucket/p"], ["cannot reach s3://bucket/p", how]);
    check_place(
        &["coordinator", "--listen", "127.0.0.1:0", "--results", "az://c/p"],
        ["cannot reach az://c/p", how],
    );
}

#[test]
fn an_unknown_sweep_is_an_error_of_its_own() {
    let place = Place::new();
    let _coordinator = place.coordinator();
    let output = place.client(&["watch", "nobody"]).output().expect("starts");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("nobody"), "{}", text(&output));
}

#[test]
fn a_damaged_journal_is_named_and_never_advised_to_be_tried_again() {
    let place = Place::new();
    let sweep = place.sweep(
        "name = \"x\"\n[model]\nkind = \"mlp\"\nwidth = 4\ndepth = 1\n[data]\nkind = \"sphere\"\nsamples = 10\ndim = 4\n[train]\nsteps = 10\nstep_size = 0.1\n",
    );
    succeed(&mut place.run(&sweep, 1));
    let journal = place.results().join(".gradsweep/journal/log.0");
    let whole = fs::read(&journal).expect("reads");
    let mut flipped = whole.clone();
    for byte in flipped.iter_mut().skip(8_192).step_by(512) {
        *byte ^= 0xff;
    }
    for damaged in [&whole[..9_000], &flipped] {
        fs::write(&journal, damaged).expect("writes");
        let output = place.run(&sweep, 1).output().expect("starts");
        let said = text(&output);
        assert_eq!(output.status.code(), Some(65), "{said}");
        assert!(said.contains("journal is damaged: "), "{said}");
        assert!(said.contains("--out") && !said.contains("run the same command again"), "{said}");
    }
    fs::write(&journal, whole).expect("writes");
    assert!(succeed(&mut place.run(&sweep, 1)).contains("nothing is left to do"));
}

#[test]
fn a_sweep_that_is_too_long_to_hand_in_is_refused_before_anything_starts() {
    let place = Place::new();
    let sweep = |count: u32| {
        format!(
            "name = \"x\"\n[axes]\nseed = {{ start = 0, count = {count} }}\n[model]\nkind = \"mlp\"\nwidth = 4\ndepth = 1\n[data]\nkind = \"sphere\"\nsamples = 8\ndim = 4\n[train]\nsteps = 10\nstep_size = 0.1\n"
        )
    };
    let output = place.run(&place.sweep(&sweep(700_000)), 1).output().expect("starts");
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("axis seed has 700,000 values") && said.contains("two axes"), "{said}");
    assert!(!place.results().exists(), "nothing was started");
    succeed(gradsweep().arg("plan").arg(place.sweep(&sweep(500_000))));
}

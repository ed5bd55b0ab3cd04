//! What a test says that cannot be run on this machine: loudly, for a test that was skipped has not passed.

use std::fmt::Display;
use std::io::Write;
use std::panic::Location;

/// Says on the real standard error which test is skipped and what would make it run. The test runner keeps what a test
/// prints to itself where the test passes, and this one will pass. `.ci/run` counts these lines.
#[track_caller]
pub fn skip(why: impl Display) {
    // With `--test-threads 1` tests run on the first thread, and the runner has just printed which one this is.
    let thread = std::thread::current();
    let place = Location::caller().to_string();
    let test = thread.name().filter(|name| *name != "main").unwrap_or(&place);
    drop(std::io::stderr().write_all(format!("SKIPPED {test}: {why}\n").as_bytes()));
}

/// Runs itself again, as the test runner does, without `--nocapture`.
#[test]
fn a_skipped_test_passes_and_says_that_it_was_skipped() {
    const AGAIN: &str = "GRADSWEEP_TEST_SKIPS";
    if std::env::var_os(AGAIN).is_some() {
        println!("this is swallowed");
        skip("install nothing");
        return;
    }
    let (_, module) = module_path!().split_once("::").expect("a module of the tests");
    let test = format!("{module}::a_skipped_test_passes_and_says_that_it_was_skipped");
    let mut again = std::process::Command::new(std::env::current_exe().expect("is running"));
    again.args(["--exact", &test, "--test-threads", "2"]).env(AGAIN, "1");
    let output = again.output().expect("starts");
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said, format!("SKIPPED {test}: install nothing\n"));
}

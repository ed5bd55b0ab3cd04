//! `gradsweep export`, and the programs of docs/export.md as they stand there.

use std::fs;
use std::process::Command;

use crate::harness::{Place, gradsweep, pictures, succeed, text};
use crate::skip::skip;

const MLP: &str = r#"
name = "mlp"
[axes]
"model.precision" = ["f64", "f32"]
[model]
kind = "mlp"
width = 8
depth = 2
init = "lecun"
bias = true
[data]
kind = "sphere"
samples = 24
dim = 6
[train]
steps = 200
step_size = 0.1
momentum = 0.5
[measure]
at = { log = 4 }
confusion = [{ scope = "samples", count = 16, average = [5] }]
"#;

/// A Wide ResNet of 10 layers on 12 pictures that nobody took.
const WRN: &str = r#"
name = "wrn"
[axes]
"model.precision" = ["f64", "f32"]
[model]
kind = "wrn"
width = 1
depth = 10
[data]
kind = "cifar10"
path = "pictures"
[train]
loss = "cross-entropy"
batch = 4
steps = 3
step_size = 0.05
[measure]
at = [0]
confusion = [{ scope = "samples", count = 6 }]
"#;

/// The ids of the jobs of a run, in the order of the files.
fn jobs(place: &Place, sweep: &str) -> Vec<String> {
    let results = analysis::Results::open(&place.results()).expect("there are results");
    let sweep = results.sweep(sweep).expect("it ran");
    let frame = results.read(domain::Table::Jobs, &sweep, &["job_id"]).expect("reads");
    frame.texts("job_id").into_iter().map(|id| id.expect("never null").to_owned()).collect()
}

fn export(place: &Place, job: &str) -> Command {
    let mut command = gradsweep();
    command.arg("export").arg(place.results()).arg(job);
    command.arg("--weights").arg(place.path("w")).arg("--data").arg(place.path("d"));
    command
}

/// The Python program of docs/export.md that is marked with `package`, or `None` where that cannot run here.
fn program(place: &Place, package: &str) -> Option<Command> {
    let python = std::env::var("GRADSWEEP_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let import = format!("import safetensors, numpy, {package}");
    let has = Command::new(&python).args(["-c", &import]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        skip(format_args!(
            "no {python} with {package}; `pip install {package} safetensors numpy` makes this test run"
        ));
        return None;
    }
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/export.md");
    let document = fs::read_to_string(document).expect("the document is there");
    let mark = format!("```python {package}\n");
    let (_, rest) = document.split_once(&mark).expect("it has the program");
    let (script, _) = rest.split_once("```").expect("and its end");
    fs::write(place.path("program.py"), script).expect("written");
    let mut command = Command::new(python);
    command.arg(place.path("program.py")).arg(place.path("w")).arg(place.path("d"));
    Some(command)
}

/// Exports every job of the sweep, and has the document's program print its figures beside the stored ones. They may
/// differ by rounding of a few hundred to 80,000 products: in f32 (about 6e-8 each, sums as random walks, with inner products
/// that cancel) 2e-4 of the figure, in f64 1e-9.
fn check(place: &Place, sweep: &str, package: &str) {
    let mut is_f32 = 0;
    for job in jobs(place, sweep) {
        let said = succeed(&mut export(place, &job[..12]));
        assert!(said.contains("has the stored bits"), "{said}");
        let Some(mut program) = program(place, package) else { return };
        let printed = succeed(&mut program);
        let weights = fs::read(place.path("w")).expect("written");
        let head = String::from_utf8_lossy(&weights[..20_000.min(weights.len())]).into_owned();
        let single = head.contains("\"dtype\":\"F32\"");
        is_f32 += u32::from(single);
        let tolerance = if single { 2e-4 } else { 1e-9 };
        assert_eq!(printed.lines().count(), 2, "{printed}");
        for line in printed.lines() {
            let figures: Vec<f64> =
                line.split(' ').skip(1).map(|x| x.parse().expect("a number")).collect();
            let &[found, stored] = figures.as_slice() else { panic!("{line}") };
            let error = (found - stored).abs();
            assert!(error <= tolerance * stored.abs().max(0.1), "{package} {single}: {line}");
        }
        println!("{package} {}: {printed}", if single { "f32" } else { "f64" });
    }
    assert_eq!(is_f32, 1, "each precision once");
}

#[test]
fn an_exported_mlp_has_its_confusion_in_jax() {
    let place = Place::new();
    succeed(&mut place.run(&place.sweep(MLP), 1));
    check(&place, "mlp", "jax");
}

#[test]
fn an_exported_wide_resnet_has_its_confusion_in_torch() {
    let place = Place::new();
    pictures(&place.path("pictures"));
    succeed(&mut place.run(&place.sweep(WRN), 1));
    check(&place, "wrn", "torch");
}

#[test]
fn what_cannot_be_exported_is_said_with_what_would_do() {
    let place = Place::new();
    succeed(&mut place.run(&place.sweep(MLP), 1));
    let job = jobs(&place, "mlp").swap_remove(0);
    for (mut command, parts) in [
        (export(&place, "xyz"), ["no job whose id begins with \"xyz\"", "job_id"]),
        (export(&place, ""), ["2 jobs", "more digits"]),
    ] {
        let output = command.output().expect("starts");
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(parts.iter().all(|part| text(&output).contains(part)), "{}", text(&output));
    }
    let output = export(&place, &job).args(["--step", "7"]).output().expect("starts");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("step 7 is not measured"), "{}", text(&output));
    assert!(!place.path("w").exists(), "nothing was written");
    assert!(succeed(export(&place, &job).args(["--step", "0"])).contains("at step 0"));
}

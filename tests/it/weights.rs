//! Kept weights, from the sweep file to the safetensors files and other people's programs, and through kills.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use analysis::results::{KeptWeights, Results};
use domain::{JobId, SweepName, Table};

use crate::content::{assert_exactly_once, content, kept_weights};
use crate::end_to_end::{SMALL, with_seeds};
use crate::faults::committed;
use crate::harness::{Place, gradsweep, succeed, text, wait_for};
use crate::skip::skip;

fn keeping(text: &str, keep: &str) -> String {
    format!("{text}\n[run]\nkeep_weights = \"{keep}\"\n")
}

/// Where the weights of every job are, by job and step.
fn index(place: &Place, sweep: &str) -> Vec<KeptWeights> {
    let results = Results::open(&place.results()).expect("opens");
    kept_weights(&results, &sweep.parse().expect("a good name"))
}

/// Every kept array, as a file of its own a job and step.
fn weights(place: &Place, sweep: &str) -> BTreeMap<(JobId, u64), Vec<u8>> {
    let results = Results::open(&place.results()).expect("opens");
    let file = |kept: &KeptWeights| results.weights_file(kept, "{}".into()).expect("is whole");
    let kept = index(place, sweep);
    let files: BTreeMap<_, _> =
        kept.iter().map(|kept| ((kept.job, kept.step), file(kept))).collect();
    assert_eq!(files.len(), kept.len(), "each job and step once");
    files
}

/// Files of blobs that a coordinator keeps.
fn blobs(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.path("journal/blobs")).expect("is there").flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn kills_change_no_byte_of_the_weights_and_leave_no_blob() {
    let slow = with_seeds(SMALL, 6).replace("steps = 200", "steps = 200000");
    let sweep = keeping(&slow, "measured") + "checkpoint = \"1s\"\n";
    let calm = Place::new();
    succeed(&mut calm.run(&calm.sweep(&sweep), 2));

    // A lease that outlasts a busy machine.
    let place = Place::new();
    let start = || place.coordinator_by(gradsweep(), "127.0.0.1:0", "10s");
    let mut coordinator = start();
    let mut worker = place.worker(2);
    succeed(place.client(&["submit"]).arg(place.sweep(&sweep)));
    for target in [1, 4, 7, 9] {
        wait_for(|| (committed(&place) >= target).then_some(()), || coordinator.log());
        if target == 4 {
            worker.kill();
            worker = place.worker(2);
        }
        // Some of it is in a file by now, and some in blobs.
        if target == 7 {
            succeed(&mut place.client(&["flush", "small"]));
        }
        coordinator.kill();
        coordinator = start();
    }
    place.wait_over("small");
    assert_exactly_once(&place.results(), "small", 12);
    assert_eq!(content(&place.results(), "small"), content(&calm.results(), "small"));
    let (found, expected) = (weights(&place, "small"), weights(&calm, "small"));
    assert_eq!(expected.len(), 12 * 6, "every measured step of every job");
    assert!(found == expected, "the arrays are the same, bit for bit");
    let stay = || blobs(&place);
    wait_for(|| stay().is_empty().then_some(()), || format!("blobs stay: {:?}", stay()));
    drop(worker);
}

#[test]
fn final_weights_are_one_a_job_and_a_trial_that_diverged_has_none() {
    let place = Place::new();
    let text = SMALL.replace("step_size = 0.05", "step_size = 0.05\nmomentum = 0.9");
    let text = text.replace("[axes]", "[axes]\n\"train.step_size\" = [0.05, 1e200]");
    let text = text.replace("step_size = 0.05\nmomentum", "momentum");
    let text = text.replace("kind = \"mlp\"", "kind = \"mlp\"\noutput = \"identity\"");
    succeed(&mut place.run(&place.sweep(&keeping(&text, "final")), 2));
    let results = Results::open(&place.results()).expect("opens");
    let sweep: SweepName = "small".parse().expect("a good name");
    let jobs = results.read(Table::Jobs, &sweep, &["job_id", "status"]).expect("reads");
    let mut completed: Vec<JobId> = jobs
        .texts("job_id")
        .into_iter()
        .zip(jobs.texts("status"))
        .filter(|(_, status)| *status == Some("completed"))
        .map(|(id, _)| id.expect("never null").parse().expect("an id"))
        .collect();
    completed.sort_unstable();
    assert_eq!((jobs.row_count(), completed.len()), (12, 6), "half of them diverged");
    let kept = index(&place, "small");
    assert_eq!(kept.iter().map(|kept| (kept.job, kept.step)).collect::<Vec<_>>(), {
        completed.into_iter().map(|job| (job, 200)).collect::<Vec<_>>()
    });
    let files: std::collections::BTreeSet<_> = kept.iter().map(|kept| &kept.file).collect();
    assert_eq!(files.len(), 1, "many jobs a file: {files:?}");
    // Momentum is no part of what is kept.
    let file = &weights(&place, "small")[&(kept[0].job, 200)];
    assert!(!String::from_utf8_lossy(&file[..400]).contains("momentum"));
}

#[test]
fn a_job_that_ran_before_keeps_nothing_and_a_longer_axis_keeps_the_new_ones() {
    let place = Place::new();
    succeed(&mut place.run(&place.sweep(SMALL), 1));
    assert!(index(&place, "small").is_empty());
    assert!(
        !place.results().join("weights").exists()
            && !place.results().join("weights_index").exists()
    );
    let longer = place.sweep(&keeping(&with_seeds(SMALL, 4), "final"));
    let said = place.run(&longer, 1).output().expect("starts");
    assert!(text(&said).contains("kept 6") && text(&said).contains("new 2"), "{}", text(&said));
    assert_eq!(index(&place, "small").len(), 2);
}

/// Reads every array as numpy does, and sums it up.
const SCRIPT: &str = r#"
import glob, json, sys
import numpy as np
from safetensors import safe_open
for path in sorted(glob.glob(sys.argv[1] + "/weights/sweep=small/*.safetensors")):
    with safe_open(path, framework="np") as file:
        assert json.loads(file.metadata()["gradsweep"])["content"] == "kept weights"
        for name in sorted(file.keys()):
            array = file.get_tensor(name)
            print(name, array.dtype, list(array.shape), array.tobytes().hex())
"#;

#[test]
fn numpy_reads_the_files_as_they_stand() {
    let python = std::env::var("GRADSWEEP_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&python).args(["-c", "import safetensors, numpy"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        skip(format_args!(
            "no {python} with safetensors; `pip install safetensors numpy` makes this test run"
        ));
        return;
    }
    let place = Place::new();
    // Both precisions in one file.
    let mixed = SMALL.replace("seed =", "\"model.precision\" = [\"f32\", \"f64\"]\nseed =");
    succeed(&mut place.run(&place.sweep(&keeping(&mixed, "measured")), 2));
    let printed = succeed(Command::new(python).args(["-c", SCRIPT]).arg(place.results()));
    let mut expected = Vec::new();
    for ((job, step), file) in weights(&place, "small") {
        let file = safetensors::SafeTensors::deserialize(&file).expect("a file");
        for (name, array) in file.tensors() {
            let dtype =
                if array.dtype() == safetensors::Dtype::F64 { "float64" } else { "float32" };
            let hex: String = array.data().iter().map(|byte| format!("{byte:02x}")).collect();
            expected.push(format!("{job}/{step}/{name} {dtype} {:?} {hex}", array.shape()));
        }
    }
    expected.sort_unstable();
    let mut printed: Vec<&str> = printed.lines().collect();
    printed.sort_unstable();
    assert_eq!(printed.len(), 12 * 6 * 3, "three matrices a job and step");
    assert_eq!(printed, expected);
}

#[test]
fn an_export_takes_kept_weights_and_says_so_and_training_again_gives_the_same_bits() {
    let place = Place::new();
    succeed(&mut place.run(&place.sweep(&keeping(SMALL, "final")), 2));
    let kept = index(&place, "small").swap_remove(0);
    let export = |more: &[&str]| {
        let mut command = gradsweep();
        command.arg("export").arg(place.results()).arg(kept.job.to_string());
        command.arg("--weights").arg(place.path("w")).arg("--data").arg(place.path("d"));
        command.args(more);
        command
    };
    let read = |name: &str| fs::read(place.path(name)).expect("was written");
    let said = succeed(&mut export(&[]));
    assert!(said.contains(&kept.file) && said.contains("nothing was trained again"), "{said}");
    let (weights, data) = (read("w"), read("d"));
    let said = succeed(&mut export(&["--train-again"]));
    assert!(said.contains("the kept weights have the same bits"), "{said}");
    assert!(said.contains("has the stored bits"), "{said}");
    let arrays = |file: &[u8]| -> BTreeMap<String, Vec<u8>> {
        let file = safetensors::SafeTensors::deserialize(file).expect("a file");
        file.tensors().into_iter().map(|(name, array)| (name, array.data().to_vec())).collect()
    };
    assert_eq!((arrays(&read("w")), arrays(&read("d"))), (arrays(&weights), arrays(&data)));
    // A step that was not kept is trained again.
    let said = succeed(&mut export(&["--step", "0"]));
    assert!(said.contains("the run kept no weights of this step"), "{said}");

    let path = place.results().join(&kept.file);
    let whole = fs::read(&path).expect("is there");
    let damage = |bytes: &[u8], word: &str| {
        fs::write(&path, bytes).expect("writes");
        let output = export(&[]).output().expect("starts");
        assert_eq!(output.status.code(), Some(74), "{}", text(&output));
        for part in [word, "--train-again", &*kept.job.to_string()] {
            assert!(text(&output).contains(part), "{part} in {}", text(&output));
        }
    };
    damage(&whole[..whole.len() - 1], "cut short");
    damage(&whole[..4], "cannot be read");
    let mut flipped = whole.clone();
    // The arrays of the first job come first.
    let head = u64::from_le_bytes(whole[..8].try_into().expect("eight bytes")) as usize;
    flipped[8 + head] ^= 1;
    damage(&flipped, "are damaged");
    let mut flipped = whole;
    flipped[9] ^= 0x40;
    damage(&flipped, "not one of safetensors");
}

//! The same JobSpec gives the same bits in every column that is not volatile.

use std::thread::available_parallelism;

use crate::content::content;
use crate::harness::{Place, pictures, succeed, text};
use crate::skip::skip;

/// One job of each kind of model, loss, precision and sampling that there is.
const VARIED: &str = r#"
name = "varied"
[[zip]]
"model.precision" = ["f64", "f32", "f64", "f32"]
"train.batch" = [1, 1, 4, 4]
"train.sampling" = ["uniform", "uniform", "shuffle", "shuffle"]
[[zip]]
"model.activation" = ["tanh", "relu", "sigmoid", "softmax", "identity"]
"model.init" = ["paper", "he", "glorot", "lecun", "orthogonal"]
[model]
kind = "mlp"
width = 8
depth = 2
output = "identity"
bias = true
[data]
kind = "gaussian"
samples = 24
dim = 6
test_samples = 8
[train]
steps = 3000
step_size = 0.01
momentum = 0.5
[measure]
at = { log = 8 }
layers = true
"#;

#[test]
fn one_slot_or_two_the_bits_are_the_same() {
    let (one, two) = (Place::new(), Place::new());
    succeed(&mut one.run(&one.sweep(VARIED), 1));
    let sweep = two.sweep(VARIED);
    let _coordinator = two.coordinator();
    let _worker = two.worker(2);
    succeed(two.client(&["submit"]).arg(&sweep));
    two.wait_over("varied");
    let content = (content(&one.results(), "varied"), content(&two.results(), "varied"));
    assert_eq!(content.0["jobs"].len(), 20);
    assert_eq!(content.0, content.1);
}

/// Wide ResNets of 10 layers and a dense network on 15 pictures that nobody took.
const PICTURES: &str = r#"
name = "pictures"
[axes]
"model.kind" = ["wrn", "cnn", "mlp"]
seed = [0, 1]
[model]
width = 1
depth = 10
init = "he"
[data]
kind = "cifar10"
path = "pictures"
[train]
loss = "cross-entropy"
batch = 4
steps = 3
step_size = 0.01
[measure]
at = { log = 3 }
confusion = [{ scope = "samples", count = 6 }]
[run]
"#;

#[test]
fn one_thread_or_two_the_bits_are_the_same() {
    if available_parallelism().map_or(1, usize::from) < 2 {
        skip("no worker on one core takes jobs of two threads");
        return;
    }
    let [one, two] = [1, 2].map(|threads| {
        let place = Place::new();
        pictures(&place.path("pictures"));
        let sweep = place.sweep(&format!("{PICTURES}threads = {threads}\n"));
        succeed(&mut place.run(&sweep, 1));
        let mut content = content(&place.results(), "pictures");
        // Another policy is another revision of the sweep, of the same jobs.
        for row in content.values_mut().flatten() {
            let cells = row.split(' ').filter(|cell| !cell.starts_with("sweep_id="));
            *row = cells.collect::<Vec<_>>().join(" ");
        }
        content
    });
    assert_eq!((one["jobs"].len(), one["confusion"].len()), (6, 18));
    assert_eq!(one, two);
}

#[test]
fn more_threads_than_this_machine_has_cores_are_refused_and_fewer_go_on() {
    let place = Place::new();
    pictures(&place.path("pictures"));
    let sweep = place.sweep(&format!("{PICTURES}threads = 256\n"));
    let cores = available_parallelism().map_or(1, usize::from);
    if cores >= 256 {
        skip("no sweep may ask for more threads than this machine has cores");
        return;
    }
    let output = place.run(&sweep, 1).output().expect("starts");
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("run.threads is 256, and this machine has"), "{said}");
    let sweep = place.sweep(&format!("{PICTURES}threads = 1\n"));
    succeed(&mut place.run(&sweep, 1));
}

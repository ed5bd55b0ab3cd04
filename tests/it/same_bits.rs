//! The same JobSpec gives the same bits in every column that is not volatile.

use crate::content::content;
use crate::harness::{Place, succeed};

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

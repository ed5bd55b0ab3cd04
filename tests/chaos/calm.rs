//! Sweeps of small jobs, and what they come to where nothing happens to them.

use crate::content::{Content, content};
use crate::harness::{Place, succeed};

/// A sweep of two widths and so many seeds, each job of so many steps; `rest` is what else its file says.
pub fn sweep(name: &str, seeds: u32, steps: u32, rest: &str) -> String {
    format!(
        r#"
name = "{name}"
[axes]
"model.width" = [4, 8]
seed = {{ start = 0, count = {seeds} }}
[model]
kind = "mlp"
depth = 1
[data]
kind = "sphere"
samples = 16
dim = 8
[train]
steps = {steps}
step_size = 0.05
{rest}"#
    )
}

/// The content of the sweep `name` after a run that nobody disturbs.
pub fn undisturbed(sweep: &str, name: &str) -> Content {
    let calm = Place::new();
    succeed(&mut calm.run(&calm.sweep(sweep), 2));
    content(&calm.results(), name)
}

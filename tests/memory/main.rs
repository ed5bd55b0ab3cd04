//! What trials take of the heap: at most what is estimated before they start, and nothing in a training step.

#[path = "../fuzz/heap.rs"]
mod heap;

use std::collections::BTreeMap;
use std::ops::Range;

use domain::spec::{FileFacts, Precision};
use domain::{ConfusionRow, JobSpec, StepRow, sweep_file};
use worker::data::Bundle;
use worker::data::bundle::read_folder;
use worker::trial::{self, Checkpoint, Given, Observer, Wish};

/// Keeps nothing of what a trial tells.
struct Deaf;

impl Observer for Deaf {
    fn step_row(&mut self, _: StepRow) {}
    fn confusion_row(&mut self, _: ConfusionRow) {}
    fn at_checkpoint_step(&mut self, _: u64) -> Wish {
        Wish::Continue
    }
    fn checkpoint(&mut self, _: Checkpoint) {}
}

/// Thirty-two images a training batch, and a test batch of as many.
fn archive() -> Bundle {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, images: Range<usize>| {
        let image = |i: usize| {
            let pixel = move |place: usize| (place * (i + 3) % 251) as u8;
            std::iter::once((i % 10) as u8).chain((0..3_072).map(pixel))
        };
        let bytes: Vec<u8> = images.flat_map(image).collect();
        std::fs::write(folder.path().join(name), bytes).expect("writes");
    };
    (1..=5).for_each(|i| write(&format!("data_batch_{i}.bin"), 32 * i - 32..32 * i));
    write("test_batch.bin", 160..192);
    read_folder(folder.path()).expect("a whole archive")
}

/// A job of a few lines: its network, its minibatch, its steps, its measurement.
#[derive(Clone, Copy)]
struct Case<'a> {
    model: &'a str,
    /// `""`: images.
    data: &'a str,
    batch: u32,
    confusion: &'a str,
    precision: Precision,
}

impl Case<'_> {
    fn spec(&self, steps: u64, archive: &Bundle) -> JobSpec {
        let Self { model, batch, confusion, .. } = *self;
        let (data, loss) = match self.data {
            "" => ("kind = \"cifar10\"\npath = \"images\"", "cross-entropy"),
            data => (data, "squared"),
        };
        let precision = match self.precision {
            Precision::F32 => "f32",
            Precision::F64 => "f64",
        };
        let text = format!(
            "name = \"memory\"\nseed = 1\n[model]\n{model}\nprecision = \"{precision}\"\n[data]\n{data}\n\
             [train]\nloss = \"{loss}\"\nbatch = {batch}\nsteps = {steps}\nstep_size = 0.001\n\
             [measure]\nat = [0, {steps}]\n{confusion}"
        );
        let facts = archive.facts();
        let facts = FileFacts {
            digest: archive.digest(),
            samples: facts.train_samples,
            test_samples: facts.test_samples,
            dim: facts.dim,
            classes: facts.classes,
        };
        let files = BTreeMap::from([("images".to_owned(), facts)]);
        let draft = sweep_file::parse(&text, "memory.toml");
        let draft = draft.unwrap_or_else(|error| panic!("{error}\n{text}"));
        let sweep = draft.resolve(&files).unwrap_or_else(|error| panic!("{error}\n{text}"));
        sweep.job(0)
    }

    fn taken(&self, steps: u64, archive: &Bundle) -> (JobSpec, heap::Taken) {
        let spec = self.spec(steps, archive);
        let data = spec.data.digest.map(|_| archive);
        let given = Given { data, ..Given::default() };
        let (done, taken) = heap::taken_in(|| trial::run(&spec, given, &mut Deaf).map(|_| ()));
        done.unwrap_or_else(|error| panic!("{error}"));
        (spec, taken)
    }
}

const SPHERE: &str = "kind = \"sphere\"\ndim = 64\nsamples = 256";
const MLP: &str = "kind = \"mlp\"\nwidth = 64\ndepth = 2";
const WRN: &str = "kind = \"wrn\"\nwidth = 1\ndepth = 10";
const CNN: &str = "kind = \"cnn\"\nwidth = 1\ndepth = 10";

/// What a trial takes besides its arrays: rows, names, tables.
const BESIDE: usize = 256 << 10;

#[test]
fn no_trial_takes_more_than_what_is_estimated() {
    let archive = archive();
    let many = "confusion = [{ scope = \"samples\", count = 80 }]";
    let few = "confusion = [{ scope = \"samples\", count = 2 }]";
    let layers = "layers = true\nconfusion = [{ scope = \"samples\", count = 40, average = [4] }]";
    let batches = "confusion = [{ scope = \"batches\", count = 5, batch = 8 }]";
    let pairs = "confusion = [{ scope = \"batch-pairs\", count = 5, batch = 8 }]";
    let normalised =
        "mode = \"train\"\nconfusion = [{ scope = \"batches\", count = 2, batch = 80 }]";
    let across = "confusion = [{ scope = \"cross-iterate\" }]";
    let wide = "kind = \"mlp\"\nwidth = 300\ndepth = 1";
    let mut wrong = Vec::new();
    let networks = [
        (MLP, SPHERE, 1),
        (MLP, SPHERE, 100),
        (wide, SPHERE, 16),
        (MLP, "", 16),
        (WRN, "", 8),
        (WRN, "", 90),
        (CNN, "", 8),
    ];
    for (model, data, batch) in networks {
        for confusion in [many, few, layers, batches, pairs, across, normalised] {
            for precision in [Precision::F32, Precision::F64] {
                // Refused: with batch norm a step is no plain SGD, without there is no train mode.
                let refused = if model == WRN { across } else { normalised };
                // One precision is enough for most of them: the other has other bytes a number, and nothing else.
                let is_large = model == CNN || model == WRN && (batch == 90 || confusion != few);
                if confusion == refused || is_large && precision == Precision::F64 {
                    continue;
                }
                let case = Case { model, data, batch, confusion, precision };
                let (spec, taken) = case.taken(2, &archive);
                let estimate = trial::cost(&spec, 1).memory_bytes as usize;
                let bytes = taken.bytes_max;
                let (model, data) = (model.replace('\n', ", "), data.replace('\n', ", "));
                let case = format!("{model}, {data}, batch {batch}, {confusion}, {precision:?}");
                if bytes > estimate + BESIDE || estimate > 3 * bytes + BESIDE {
                    wrong.push(format!("{case}: {bytes} bytes, {estimate} foreseen"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_training_step_asks_for_no_memory() {
    let archive = archive();
    let few = "confusion = [{ scope = \"samples\", count = 2 }]";
    let case =
        |model, data, batch, precision| Case { model, data, batch, confusion: few, precision };
    // What a process makes once, such as a table, belongs to whichever trial is its first.
    case(MLP, SPHERE, 1, Precision::F32).taken(1, &archive);
    for (model, data, batch, steps) in [
        (MLP, SPHERE, 1, [2_000, 4_000]),
        (MLP, SPHERE, 16, [200, 400]),
        (MLP, "", 16, [20, 40]),
        (WRN, "", 8, [3, 6]),
        (CNN, "", 8, [3, 6]),
    ] {
        for precision in [Precision::F32, Precision::F64] {
            let case = case(model, data, batch, precision);
            let [short, long] = steps.map(|steps| case.taken(steps, &archive).1.count);
            assert_eq!(short, long, "{model:?} {data:?} batch {batch} {precision:?} {steps:?}");
        }
    }
}

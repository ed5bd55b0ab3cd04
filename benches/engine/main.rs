//! What one core does: SGD steps a second and seconds a confusion measurement, of whole trials as a worker runs them.
//!
//! ```text
//! cargo bench --bench engine                     the table
//! cargo bench --bench engine -- --json           one JSON object a line, for benches/engine/peers.py
//! cargo bench --bench engine -- 64:64:2          only the rows whose name holds the words
//! cargo bench --bench engine -- --exact NAME     only the row of this name
//! ```
//!
//! A network is written d:w:L: inputs, width, hidden-to-hidden matrices; one tanh output, squared loss.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::collections::BTreeMap;
use std::env;
use std::time::Instant;

use domain::spec::{Activation, Conv, ConvKind, Init, Loss, Mode, Model, Precision, Shape};
use domain::{ConfusionRow, JobSpec, StepRow, sweep_file};
use worker::data::{Examples, Label};
use worker::measure::{ConvTiles, Formed, Workspace};
use worker::nn::conv::{ConvNetwork, ConvPass};
use worker::trial::{self, Checkpoint, Given, Observer, Wish};

/// Repeats of which the median is told.
const REPEATS: usize = 5;
/// What one timed run should take, in seconds.
const RUN_SECONDS: f64 = 0.4;

fn main() {
    let words: Vec<String> = env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let has = |flag: &str| env::args().any(|word| word == flag);
    let (is_json, is_exact) = (has("--json"), has("--exact"));
    if !is_json {
        println!("one core, {}; medians of {REPEATS}", trial::instruction_set());
        println!("{:34} {:>14} {:>9}", "", "", "GFLOP/s");
    }
    for case in cases() {
        let name = case.name();
        let is_asked = |word: &String| if is_exact { name == *word } else { name.contains(word) };
        if words.iter().all(is_asked) {
            let (figure, gflops) = case.measure();
            match is_json {
                true => println!(
                    "{}",
                    serde_json::json!({"case": name, "unit": case.unit(), "figure": figure})
                ),
                false => println!("{name:34} {figure:>10.1} {} {gflops:>9.1}", case.unit()),
            }
        }
    }
}

/// The network d:w:L.
#[derive(Clone, Copy)]
struct Net(u32, u32, u32);

impl Net {
    /// Entries of all weight matrices.
    fn weights(self) -> f64 {
        let Self(dim, width, depth) = self;
        let (dim, width, depth) = (f64::from(dim), f64::from(width), f64::from(depth));
        dim * width + depth * width * width + width
    }

    /// Σ (fan_in + fan_out) over the matrices.
    fn units(self) -> f64 {
        let Self(dim, width, depth) = self;
        let (dim, width, depth) = (f64::from(dim), f64::from(width), f64::from(depth));
        dim + width + depth * 2.0 * width + width + 1.0
    }
}

/// One row of the table.
enum Case {
    /// Steps a second at this batch size.
    Training { net: Net, batch: u32, precision: &'static str },
    /// Milliseconds for a forward and a backward pass of a Wide ResNet over 128 images.
    WideResNet { width: u32, batch_norm: bool },
    /// Milliseconds for the confusion of 128 images, in eval mode.
    WideResNetConfusion { width: u32 },
    /// Milliseconds for the confusion of this many examples.
    Confusion { net: Net, count: u32, precision: &'static str },
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for precision in ["f32", "f64"] {
        let small = [Net(64, 64, 2), Net(784, 64, 2), Net(64, 256, 2), Net(784, 256, 2)];
        cases.extend(small.map(|net| Case::Training { net, batch: 1, precision }));
        cases.push(Case::Training { net: Net(784, 1024, 2), batch: 1, precision });
        let large = [Net(64, 64, 2), Net(64, 256, 2), Net(784, 256, 2), Net(784, 1024, 2)];
        cases.extend(large.map(|net| Case::Training { net, batch: 128, precision }));
    }
    for width in [1, 2] {
        cases.extend([true, false].map(|batch_norm| Case::WideResNet { width, batch_norm }));
    }
    cases.push(Case::WideResNetConfusion { width: 1 });
    for precision in ["f32", "f64"] {
        for count in [512, 2048] {
            let nets = [Net(64, 64, 2), Net(784, 256, 2), Net(784, 1024, 2)];
            cases.extend(nets.map(|net| Case::Confusion { net, count, precision }));
        }
    }
    cases
}

impl Case {
    fn name(&self) -> String {
        match *self {
            Self::Training { net: Net(d, w, l), batch, precision } => {
                format!("sgd {d}:{w}:{l} batch {batch} {precision}")
            }
            Self::WideResNet { width, batch_norm } => {
                let norm = if batch_norm { "" } else { " without batch norm" };
                format!("wrn 16-{width} batch 128 f32{norm}")
            }
            Self::WideResNetConfusion { width } => format!("confusion wrn 16-{width} N 128 f32"),
            Self::Confusion { net: Net(d, w, l), count, precision } => {
                format!("confusion {d}:{w}:{l} N {count} {precision}")
            }
        }
    }

    fn unit(&self) -> &'static str {
        match self {
            Self::Training { .. } => "/s",
            _ => "ms",
        }
    }

    /// The figure in [`Self::unit`], and the rate of arithmetic that it stands for.
    fn measure(&self) -> (f64, f64) {
        match *self {
            Self::Training { net, batch, precision } => {
                let examples = f64::from(batch);
                let first = f64::from(net.0) * f64::from(net.1);
                let flop = examples * (6.0 * net.weights() - 2.0 * first);
                let guess = ((RUN_SECONDS * 3e10 / flop) as u64).max(10);
                let rate = median(|| {
                    let spec = job(net, batch, precision, guess, 2);
                    Watch::over(&spec).rate()
                });
                (rate, rate * flop / 1e9)
            }
            Self::WideResNet { width, batch_norm } => {
                let mut images = Images::new(width, batch_norm);
                let seconds = median(|| images.pass());
                // Forward multiply-adds an image of WRN-16-1 and 16-2; a step does three times as many.
                let flop = if width == 1 { 26.7e6 } else { 101.1e6 } * 6.0 * 128.0;
                (seconds * 1e3, flop / seconds / 1e9)
            }
            Self::WideResNetConfusion { width } => {
                let mut images = Images::new(width, true);
                let seconds = median(|| images.confusion());
                let flop = if width == 1 { 26.7e6 } else { 101.1e6 } * 6.0 * 128.0;
                let pairs = 128.0 * 128.0 * images.network.parameters().len() as f64;
                (seconds * 1e3, (flop + pairs) / seconds / 1e9)
            }
            Self::Confusion { net, count, precision } => {
                let spec = job(net, 1, precision, 1, count);
                let seconds = median(|| Watch::over(&spec).confusion);
                let n = f64::from(count);
                let flop = n * n * net.units() + n * 4.0 * net.weights();
                (seconds * 1e3, flop / seconds / 1e9)
            }
        }
    }
}

/// The job that trains `net` for `steps` steps and compares `count` gradients before and after.
fn job(
    Net(dim, width, depth): Net,
    batch: u32,
    precision: &str,
    steps: u64,
    count: u32,
) -> JobSpec {
    let samples = count.max(256);
    let text = format!(
        r#"name = "bench"
           seed = 0
           [model]
           kind = "mlp"
           width = {width}
           depth = {depth}
           activation = "tanh"
           init = "lecun"
           precision = "{precision}"
           [data]
           kind = "sphere"
           samples = {samples}
           dim = {dim}
           [train]
           loss = "squared"
           batch = {batch}
           steps = {steps}
           step_size = 0.01
           [measure]
           at = [0, {steps}]
           confusion = [{{ scope = "samples", count = {count} }}]"#
    );
    let draft = sweep_file::parse(&text, "bench.toml").unwrap_or_else(|error| panic!("{error}"));
    let sweep = draft.resolve(&BTreeMap::new()).unwrap_or_else(|error| panic!("{error}"));
    sweep.job(0)
}

/// A Wide ResNet of depth 16 and 128 images.
struct Images {
    network: ConvNetwork<f32>,
    pass: ConvPass<f32>,
    examples: Examples<f32>,
    gradient: Vec<f32>,
    workspace: Workspace<f32>,
}

impl Images {
    fn new(width: u32, batch_norm: bool) -> Self {
        let conv = Conv { kind: ConvKind::Wrn, width, depth: 16, batch_norm, skip: true };
        let model = Model {
            shape: Shape::Conv(conv),
            output: Activation::Identity,
            init: Init::He,
            bias: false,
            outputs: 10,
            precision: Precision::F32,
        };
        let network = ConvNetwork::initialise(&model, &conv, 1);
        let pixel = |i: usize| ((i * 7919 % 1000) as f32) / 500.0 - 1.0;
        let examples = Examples {
            inputs: (0..128 * 3072).map(pixel).collect(),
            labels: vec![Label::Class(0); 128],
            targets: (0..1280).map(|i| if i % 10 == i / 10 % 10 { 1.0 } else { 0.0 }).collect(),
        };
        let gradient = vec![0.0; network.parameters().len()];
        let pass = ConvPass::new(&network, 128);
        Self { pass, network, examples, gradient, workspace: Workspace::default() }
    }

    fn pass(&mut self) -> f64 {
        let start = Instant::now();
        self.pass.forward(&self.network, &self.examples.inputs, Mode::Train);
        let targets = &self.examples.targets;
        self.pass.backward(&self.network, Loss::CrossEntropy, targets, &mut self.gradient);
        start.elapsed().as_secs_f64()
    }

    fn confusion(&mut self) -> f64 {
        let start = Instant::now();
        let chosen: Vec<u32> = (0..128).collect();
        let (network, pass) = (&self.network, &mut self.pass);
        let (groups, loss): (Vec<&[u32]>, _) = (chosen.chunks(1).collect(), Loss::CrossEntropy);
        let mut tiles = ConvTiles { network, pass, loss, mode: Mode::Eval };
        let formed = Formed::take(&mut tiles, &self.examples, &groups, &[], &mut self.workspace);
        assert_eq!(formed[0].sq_norms().len(), 128);
        start.elapsed().as_secs_f64()
    }
}

/// Seconds that the parts of a trial took.
struct Watch {
    /// Steps of the trial.
    steps: u64,
    last: Instant,
    /// The first and the last step where the trial might have stored a checkpoint, and when it came there: nothing is measured
    /// between them.
    training: Option<[(u64, Instant); 2]>,
    confusion: f64,
}

impl Watch {
    fn over(spec: &JobSpec) -> Self {
        let mut watch =
            Self { steps: spec.train.steps, last: Instant::now(), training: None, confusion: 0.0 };
        trial::run(spec, Given::default(), &mut watch).unwrap_or_else(|error| panic!("{error}"));
        watch
    }

    /// Steps a second.
    fn rate(&self) -> f64 {
        let [(first, began), (last, ended)] = self.training.expect("a trial begins at step 0");
        (last - first) as f64 / (ended - began).as_secs_f64()
    }
}

impl Observer for Watch {
    fn step_row(&mut self, _: StepRow) {
        self.last = Instant::now();
    }

    fn confusion_row(&mut self, _: ConfusionRow) {
        self.confusion = self.last.elapsed().as_secs_f64();
        self.last = Instant::now();
    }

    fn at_checkpoint_step(&mut self, step: u64) -> Wish {
        // The last step of all comes after its measurements.
        let now = (step, Instant::now());
        if step < self.steps {
            self.training = Some([self.training.map_or(now, |[first, _]| first), now]);
        }
        Wish::Continue
    }

    fn checkpoint(&mut self, _: Checkpoint) {}
}

fn median(mut figure: impl FnMut() -> f64) -> f64 {
    let mut figures: Vec<f64> = (0..REPEATS).map(|_| figure()).collect();
    figures.sort_by(f64::total_cmp);
    figures[REPEATS / 2]
}

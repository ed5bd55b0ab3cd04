//! Whole trials: resuming, stopping, diverging, converging, and what they cost.

use domain::ConfusionRow;
use domain::spec::*;

use safetensors::SafeTensors;

use super::super::{Checkpoint, cost, export};
use super::*;

mod conv;

/// Keeps what it is told; wishes for checkpoints as it was made to.
#[derive(Default)]
struct Listener {
    steps: Vec<StepRow>,
    confusion: Vec<ConfusionRow>,
    checkpoints: Vec<Checkpoint>,
    asked: Vec<u64>,
    /// Step, rows told by then, and bytes.
    weights: Vec<(u64, usize, Vec<u8>)>,
    keep: bool,
    stop_at: Option<u64>,
}

impl Observer for Listener {
    fn step_row(&mut self, row: StepRow) {
        self.steps.push(row);
    }
    fn confusion_row(&mut self, row: ConfusionRow) {
        self.confusion.push(row);
    }
    fn weights(&mut self, step: u64, bytes: Vec<u8>) {
        self.weights.push((step, self.steps.len(), bytes));
    }
    fn at_checkpoint_step(&mut self, step: u64) -> Wish {
        self.asked.push(step);
        match self.stop_at {
            Some(stop) if step >= stop && self.keep => Wish::CheckpointAndStop,
            Some(stop) if step >= stop => Wish::Stop,
            _ if self.keep => Wish::Checkpoint,
            _ => Wish::Continue,
        }
    }
    fn checkpoint(&mut self, checkpoint: Checkpoint) {
        self.checkpoints.push(checkpoint);
    }
}

fn samples(count: u32) -> Confusion {
    Confusion::Samples { count, average: Vec::new() }
}

fn spec() -> JobSpec {
    JobSpec {
        model: Model {
            shape: Shape::Mlp { width: 6, depth: 1, activation: Activation::Tanh },
            output: Activation::Tanh,
            init: Init::Lecun,
            bias: false,
            outputs: 1,
            precision: Precision::F64,
        },
        data: Data {
            kind: DataKind::Sphere,
            samples: 20,
            dim: 5,
            labels: Labels::Teacher,
            noise: 0.0,
            test_samples: 7,
            digest: None,
        },
        train: Train {
            loss: Loss::Squared,
            batch: 1,
            steps: 300,
            step_size: 0.1,
            schedule: vec![Decay { at: 100, factor: 0.5 }],
            sampling: Sampling::Uniform,
            momentum: 0.0,
            weight_decay: 0.0,
            augment: false,
            stop_below: None,
        },
        measure: Measure {
            at: At::Every(70),
            confusion: vec![samples(8)],
            layers: false,
            mode: Mode::Eval,
        },
        seeds: Seeds::all(3),
    }
}

fn linear() -> JobSpec {
    let mut spec = spec();
    spec.model.shape = Shape::Linear;
    spec.model.output = Activation::Identity;
    spec.data.kind = DataKind::Gaussian;
    spec.data.labels = Labels::Linear;
    spec
}

/// Settings that reach every part of a checkpoint.
fn many_specs() -> Vec<JobSpec> {
    let mut specs = vec![spec(), linear()];
    let mut change = |change: &dyn Fn(&mut JobSpec)| {
        let mut spec = spec();
        change(&mut spec);
        specs.push(spec);
    };
    change(&|spec| spec.model.precision = Precision::F32);
    change(&|spec| spec.train.momentum = 0.9);
    change(&|spec| (spec.train.batch, spec.train.sampling) = (3, Sampling::Shuffle));
    change(&|spec| {
        (spec.train.batch, spec.train.momentum) = (4, 0.5);
        (spec.model.bias, spec.measure.layers) = (true, true);
        spec.model.precision = Precision::F32;
    });
    change(&|spec| {
        spec.train.sampling = Sampling::Shuffle;
        (spec.model.bias, spec.train.weight_decay) = (true, 0.01);
        spec.measure.confusion.push(Confusion::Samples { count: 20, average: vec![3, 10] });
    });
    change(&|spec| {
        (spec.train.loss, spec.model.outputs) = (Loss::CrossEntropy, 2);
        spec.data.labels = Labels::Sign;
        (spec.data.kind, spec.data.dim) = (DataKind::Orthogonal, 20);
    });
    change(&|spec| {
        (spec.model.bias, spec.measure.layers) = (true, true);
        spec.model.precision = Precision::F32;
        spec.measure.confusion = vec![
            Confusion::Samples { count: 17, average: vec![4, 2] },
            Confusion::Samples { count: 8, average: vec![4] },
        ];
    });
    change(&|spec| {
        (spec.train.batch, spec.measure.layers) = (2, true);
        spec.measure.confusion = vec![
            Confusion::Batches { count: 3, batch: 4 },
            Confusion::BatchPairs { count: 5, batch: 2 },
            Confusion::CrossIterate,
        ];
    });
    change(&|spec| {
        spec.train.loss = Loss::Logistic;
        spec.data.labels = Labels::Random;
        spec.measure.at = At::Log(6);
    });
    specs
}

/// The checkpoint to go on from.
fn from(bytes: &[u8]) -> Given<'_> {
    Given { resume: Some(bytes), ..Given::default() }
}

fn finish(spec: &JobSpec) -> (Listener, JobFigures) {
    let mut listener = Listener { keep: true, ..Listener::default() };
    match run(spec, Given::default(), &mut listener).expect("a good spec") {
        Ending::Finished(figures) => (listener, figures),
        Ending::Stopped { step } => panic!("stopped at {step}"),
    }
}

#[test]
fn a_run_resumed_from_any_checkpoint_tells_the_rows_of_the_undisturbed_run() {
    for spec in many_specs() {
        let (whole, figures) = finish(&spec);
        assert!(whole.checkpoints.len() >= 3, "{:?}", whole.asked);
        for checkpoint in &whole.checkpoints {
            let mut tail = Listener::default();
            let ending = run(&spec, from(&checkpoint.bytes), &mut tail).expect("its own");
            assert_eq!(ending, Ending::Finished(figures.clone()), "from {}", checkpoint.step);
            assert_eq!(tail.steps, whole.steps[checkpoint.steps_rows as usize..]);
            assert_eq!(tail.confusion, whole.confusion[checkpoint.confusion_rows as usize..]);
        }
    }
}

#[test]
fn weights_are_told_after_the_rows_of_their_step_and_come_again_with_the_same_bits() {
    for spec in many_specs() {
        let keeping = |keep, resume| {
            let mut listener = Listener { keep: true, ..Listener::default() };
            let given = Given { keep, resume, ..Given::default() };
            run(&spec, given, &mut listener).expect("a good spec");
            listener
        };
        let whole = keeping(KeepWeights::Measured, None);
        let steps: Vec<u64> = whole.weights.iter().map(|(step, ..)| *step).collect();
        assert_eq!(steps, spec.measured_steps());
        let rows: Vec<usize> = whole.weights.iter().map(|(_, rows, _)| *rows).collect();
        assert_eq!(rows, (1..=rows.len()).collect::<Vec<_>>());
        for checkpoint in &whole.checkpoints {
            let tail = keeping(KeepWeights::Measured, Some(&checkpoint.bytes));
            let rest = &whole.weights[checkpoint.steps_rows as usize..];
            assert!(tail.weights.iter().map(|w| (w.0, &w.2)).eq(rest.iter().map(|w| (w.0, &w.2))));
        }
        let last = keeping(KeepWeights::Final, None);
        assert_eq!(last.weights, whole.weights[whole.weights.len() - 1..]);
        assert_eq!((&last.steps, &last.confusion), (&whole.steps, &whole.confusion));
        assert_eq!(keeping(KeepWeights::None, None).weights, []);
        // What an export makes of the same step: other bytes in the header alone.
        let (step, _, bytes) = &whole.weights[1];
        let exported = export(&spec, None, *step).expect("it runs").weights_file("{}".into());
        let (kept, exported) =
            (SafeTensors::deserialize(bytes), SafeTensors::deserialize(&exported));
        let (kept, exported) = (kept.expect("a file"), exported.expect("a file"));
        assert_eq!(kept.len(), exported.len());
        for (name, tensor) in kept.tensors() {
            assert_eq!(exported.tensor(&name).expect("is there").data(), tensor.data(), "{name}");
        }
    }
}

#[test]
fn the_same_spec_gives_the_same_bits_twice_and_another_seed_others() {
    for spec in many_specs() {
        let (first, second) = (finish(&spec), finish(&spec));
        assert_eq!((first.0.steps, first.0.confusion), (second.0.steps, second.0.confusion));
        assert_eq!(first.0.checkpoints, second.0.checkpoints);
        let mut other = spec.clone();
        other.seeds = Seeds::all(4);
        assert_ne!(finish(&other).1, first.1);
    }
}

/// A trial of many cheap steps may also stop between two measured steps.
#[test]
fn a_trial_stops_where_it_is_asked_and_goes_on_from_there() {
    let mut spec = spec();
    (spec.train.steps, spec.measure.at) = (100_000, At::Steps(vec![]));
    let (whole, figures) = finish(&spec);
    let stride = checkpoint_stride(&spec);
    let expected: Vec<u64> = (0..100_000).step_by(stride as usize).collect();
    assert!(whole.asked == expected && expected.len() > 2, "{stride}");

    let mut head = Listener { keep: true, stop_at: Some(stride + 1), ..Listener::default() };
    let ending = run(&spec, Given::default(), &mut head).expect("a good spec");
    assert_eq!(ending, Ending::Stopped { step: 2 * stride });
    let last = head.checkpoints.last().expect("it was asked for").clone();
    assert_eq!((last.step, last.steps_rows, last.confusion_rows), (2 * stride, 1, 1));
    let ending = run(&spec, from(&last.bytes), &mut head).expect("its own");
    assert_eq!(ending, Ending::Stopped { step: 3 * stride });
    let mut tail = Listener::default();
    let ending = run(&spec, from(&last.bytes), &mut tail).expect("its own");
    assert_eq!(ending, Ending::Finished(figures));

    let mut brief = Listener { stop_at: Some(0), ..Listener::default() };
    assert_eq!(
        run(&spec, Given::default(), &mut brief).expect("good"),
        Ending::Stopped { step: 0 }
    );
    assert!(brief.checkpoints.is_empty());
}

#[test]
fn rows_come_at_the_measured_steps() {
    let mut spec = spec();
    spec.measure.layers = true;
    let (told, figures) = finish(&spec);
    let steps: Vec<u64> = told.steps.iter().map(|row| row.step).collect();
    assert_eq!(steps, [0, 70, 140, 210, 280, 300]);
    assert_eq!(told.steps[0].running_loss, None);
    assert_eq!(told.steps[1].epoch, 3.5);
    assert_eq!((told.steps[1].step_size, told.steps[2].step_size), (0.1, 0.05));
    let layers: Vec<Option<u32>> = told.confusion[..4].iter().map(|row| row.layer).collect();
    assert_eq!(layers, [None, Some(0), Some(1), Some(2)]);
    assert_eq!(told.confusion.len(), 24);
    assert_eq!(figures.final_risk, told.steps[5].risk);
    assert!(figures.final_risk < told.steps[0].risk);
    assert_eq!((figures.steps_done, figures.diverged), (300, false));
    assert_eq!(figures.final_train_accuracy, None);
}

#[test]
fn rows_of_averages_come_after_those_of_their_examples_size_after_size() {
    let mut spec = spec();
    spec.measure.layers = true;
    spec.measure.confusion = vec![
        Confusion::Samples { count: 17, average: vec![8, 2] },
        Confusion::Batches { count: 2, batch: 3 },
    ];
    let (told, _) = finish(&spec);
    let each = spec.confusion_rows() as usize;
    assert_eq!((each, told.confusion.len()), (4 * 4, 6 * 4 * 4));
    for rows in told.confusion.chunks(each) {
        let told: Vec<_> = rows
            .iter()
            .map(|row| (row.scope, row.measure_batch, row.count, row.pairs, row.layer))
            .collect();
        let part = |scope, batch, count, pairs| {
            [None, Some(0), Some(1), Some(2)].map(|layer| (scope, batch, count, pairs, layer))
        };
        let expected = [
            part("samples", 1, 17, 136),
            part("samples", 8, 2, 1),
            part("samples", 2, 8, 28),
            part("batches", 3, 2, 1),
        ];
        assert_eq!(told, expected.concat());
        assert!(rows.iter().all(|row| row.eta.is_some() && !row.subnormal));
    }
}

/// Teacher labels are real; signs are classes, and a linear model learns to tell them.
#[test]
fn accuracies_are_measured_where_labels_are_classes() {
    let mut spec = linear();
    (spec.data.labels, spec.train.steps, spec.data.test_samples) = (Labels::Sign, 3000, 200);
    spec.data.samples = 200;
    let (told, figures) = finish(&spec);
    assert!(figures.final_train_accuracy.expect("classes") > 0.9);
    assert!(figures.final_test_accuracy.expect("classes") > 0.9);
    assert!(told.confusion[0].class_i.is_some());
}

#[test]
fn a_diverging_trial_ends_with_its_step_and_no_figures() {
    for spec in many_specs() {
        let mut spec = spec;
        (spec.model.output, spec.train.loss) = (Activation::Identity, Loss::Squared);
        (spec.train.step_size, spec.train.schedule) = (1e30, Vec::new());
        if let Shape::Mlp { activation, .. } = &mut spec.model.shape {
            *activation = Activation::Relu;
        }
        spec.train.weight_decay = 1.0;
        let (told, figures) = finish(&spec);
        assert!(figures.diverged && figures.steps_done < 300, "{figures:?}");
        assert_eq!((figures.final_risk, figures.final_test_risk), (None, None));
        let last = told.steps.last().expect("a row");
        assert_eq!((last.step, last.risk), (figures.steps_done, None));
        let row = |row: StepRow| row.into_row();
        assert!(told.steps.into_iter().map(row).all(|row| row.len() == 11));
    }
}

/// tanh hides infinite weights from the loss; a measurement finds them.
#[test]
fn infinite_weights_behind_a_saturated_unit_are_a_divergence() {
    let mut spec = spec();
    spec.model.precision = Precision::F32;
    (spec.train.step_size, spec.train.weight_decay) = (1e20, 1e20);
    assert!(finish(&spec).1.diverged);
}

#[test]
fn training_stops_at_the_first_measured_step_below_the_bound() {
    let mut spec = linear();
    (spec.train.steps, spec.train.stop_below) = (100_000, Some(1e-6));
    spec.data.samples = 4;
    spec.measure.confusion = vec![samples(4)];
    let (told, figures) = finish(&spec);
    let converged = figures.converged_step.expect("it converges");
    assert!(converged < 100_000 && converged.is_multiple_of(70));
    assert_eq!(
        (figures.steps_done, told.steps.last().map(|row| row.step)),
        (converged, Some(converged))
    );
    assert!(told.steps.iter().rev().skip(1).all(|row| row.risk >= Some(1e-6)));
}

/// Consistent labels: F* = 0; the risk goes there, and the excess risk is the risk.
#[test]
fn a_linear_model_knows_its_optimum() {
    let spec = linear();
    let (told, figures) = finish(&spec);
    assert!(figures.optimum_risk.expect("closed form") < 1e-30);
    assert!(figures.strong_convexity.expect("closed form") > 0.0);
    assert!(figures.smoothness >= figures.strong_convexity);
    assert!(told.steps.iter().all(|row| row.excess_risk.is_some()));
    assert_eq!(finish(&self::spec()).1.optimum_risk, None);
}

/// Logistic regression on orthogonal rows: every loss goes down on its own.
#[test]
fn orthogonal_logistic_regression_descends_one_example_at_a_time() {
    let mut spec = linear();
    (spec.model.shape, spec.train.loss) = (Shape::Logistic, Loss::Logistic);
    (spec.data.kind, spec.data.dim, spec.data.labels) = (DataKind::Orthogonal, 20, Labels::Random);
    let (told, figures) = finish(&spec);
    assert!(told.steps.is_sorted_by(|a, b| a.risk > b.risk));
    assert!(told.confusion.iter().all(|row| row.eta.is_some_and(|eta| eta < 1e-15)));
    assert!((figures.smoothness.expect("closed form") - 0.25).abs() < 1e-15);
}

#[test]
fn every_truncation_and_every_flipped_byte_of_a_checkpoint_is_refused() {
    let spec = spec();
    let (told, _) = finish(&spec);
    let bytes = &told.checkpoints[1].bytes;
    let refused = |bytes: &[u8]| {
        let result = run(&spec, from(bytes), &mut Listener::default());
        matches!(result, Err(TrialError::Checkpoint(_)))
    };
    assert!(!refused(bytes));
    for length in 0..bytes.len() {
        assert!(refused(&bytes[..length]), "cut to {length}");
    }
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        assert!(refused(&bytes), "flipped at {at}");
    }
}

#[test]
fn a_checkpoint_of_another_job_is_refused() {
    let (told, _) = finish(&spec());
    for other in many_specs().into_iter().skip(1) {
        let bytes = &told.checkpoints[1].bytes;
        let result = run(&other, from(bytes), &mut Listener::default());
        assert!(matches!(result, Err(TrialError::Checkpoint(_))), "{other:?}");
    }
}

#[test]
fn specs_that_cannot_run_are_refused() {
    let refused = |change: &dyn Fn(&mut JobSpec)| {
        let mut spec = spec();
        change(&mut spec);
        run(&spec, Given::default(), &mut Listener::default()).expect_err("it cannot run")
    };
    let idx = refused(&|spec| spec.data.kind = DataKind::Idx);
    assert!(matches!(idx, TrialError::DataMissing));
    let real = refused(&|spec| spec.train.loss = Loss::Logistic);
    assert!(matches!(real, TrialError::Data(_)));
    let one = refused(&|spec| spec.data.samples = 1);
    assert!(matches!(one, TrialError::TooFewGradients { samples: 1, .. }));
    assert!(matches!(refused(&|spec| spec.train.batch = 0), TrialError::Zero { .. }));
    let many = refused(&|spec| (spec.data.kind, spec.data.samples) = (DataKind::Orthogonal, 6));
    assert!(matches!(many, TrialError::Data(_)));
}

/// 8·5 weights of the first matrix, 36 and 6 of the others, as in the formulae.
#[test]
fn the_cost_follows_its_formulae() {
    let mut spec = spec();
    spec.train.batch = 2;
    let (w, w0, s) = (30.0 + 36.0 + 6.0, 30.0, 11.0 + 12.0 + 7.0);
    let cost = cost(&spec, 1);
    assert_eq!(cost.training_flop, 300.0 * (2.0 * (6.0 * w - 2.0 * w0) + 4.0 * w));
    let curve = 20.0 * (6.0 * w - 2.0 * w0) + 7.0 * 2.0 * w;
    let confusion = 8.0 * (4.0 * w - 2.0 * w0) + 64.0 * s + 16.0 * w;
    assert_eq!(cost.measuring_flop, 6.0 * (curve + confusion));
    assert!(cost.memory_bytes > 8 * 20 * 5 && cost.memory_bytes < 1 << 20);
    spec.measure.confusion = vec![Confusion::Samples { count: 8, average: vec![2, 3] }];
    let averaged = super::super::cost(&spec, 1);
    let products = 4.0 * 4.0 + 2.0 * 2.0;
    assert_eq!(averaged.measuring_flop - cost.measuring_flop, 6.0 * (2.0 * 64.0 + products));
    assert_eq!(averaged.memory_bytes - cost.memory_bytes, 8 * 20);
    spec.train.steps *= 2;
    assert_eq!(super::super::cost(&spec, 1).training_flop, 2.0 * cost.training_flop);
}

//! Whole trials of convolutional networks, on an archive that the test writes.

use super::*;
use crate::data::bundle::read_folder;
use crate::trial::Cost;

/// Five training batches of three images and a test batch of two, of colours that go with the class.
fn archive() -> Bundle {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let record = |number: usize| {
        let class = number % 3;
        let pixel = move |place: usize| {
            let noise = (place * 37 + number * 101) % 61;
            (if place / 1_024 == class { 170 + noise } else { 40 + noise }) as u8
        };
        std::iter::once(class as u8).chain((0..3_072).map(pixel)).collect::<Vec<u8>>()
    };
    let write = |name: &str, numbers: std::ops::Range<usize>| {
        let bytes: Vec<u8> = numbers.flat_map(record).collect();
        std::fs::write(folder.path().join(name), bytes).expect("writes");
    };
    (1..=5).for_each(|i| write(&format!("data_batch_{i}.bin"), 3 * i - 3..3 * i));
    write("test_batch.bin", 15..17);
    read_folder(folder.path()).expect("a whole archive")
}

fn image_spec(bundle: &Bundle, conv: Conv, precision: Precision) -> JobSpec {
    let mut spec = spec();
    spec.model = Model {
        shape: Shape::Conv(conv),
        output: Activation::Identity,
        init: Init::He,
        bias: false,
        outputs: 10,
        precision,
    };
    spec.data = Data {
        kind: DataKind::Cifar10,
        samples: 15,
        dim: Conv::DIM,
        labels: Labels::Classes,
        noise: 0.0,
        test_samples: 2,
        digest: Some(bundle.digest()),
    };
    spec.train = Train {
        loss: Loss::CrossEntropy,
        batch: 5,
        steps: 5,
        step_size: 0.05,
        schedule: vec![Decay { at: 3, factor: 0.5 }],
        sampling: Sampling::Shuffle,
        momentum: 0.9,
        weight_decay: 5e-4,
        augment: true,
        stop_below: None,
    };
    spec.measure.at = At::Every(3);
    spec.measure.confusion = vec![samples(6)];
    spec
}

fn conv(kind: ConvKind) -> Conv {
    let is_whole = kind == ConvKind::Wrn;
    Conv { kind, width: 1, depth: 10, batch_norm: is_whole, skip: is_whole }
}

fn finish_with(spec: &JobSpec, bundle: &Bundle, resume: Option<&[u8]>) -> (Listener, JobFigures) {
    finish_on(spec, Given { data: Some(bundle), resume, ..Given::default() })
}

fn finish_on(spec: &JobSpec, given: Given<'_>) -> (Listener, JobFigures) {
    let mut listener = Listener { keep: true, ..Listener::default() };
    match run(spec, given, &mut listener).expect("a good spec") {
        Ending::Finished(figures) => (listener, figures),
        Ending::Stopped { step } => panic!("stopped at {step}"),
    }
}

/// Whole and bare, in both precisions, measured in every way.
fn varied(bundle: &Bundle) -> [JobSpec; 3] {
    let mut whole = image_spec(bundle, conv(ConvKind::Wrn), Precision::F32);
    whole.measure.confusion = vec![Confusion::Samples { count: 7, average: vec![2, 3] }];
    whole.measure.layers = true;
    let mut bare = image_spec(bundle, conv(ConvKind::Cnn), Precision::F64);
    (bare.train.momentum, bare.train.augment) = (0.0, false);
    bare.train.weight_decay = 0.0;
    bare.measure.confusion.push(Confusion::CrossIterate);
    let mut batches = image_spec(bundle, conv(ConvKind::Wrn), Precision::F32);
    batches.measure.confusion = vec![
        Confusion::Batches { count: 3, batch: 5 },
        Confusion::BatchPairs { count: 2, batch: 7 },
    ];
    (batches.measure.mode, batches.measure.layers) = (Mode::Train, true);
    [whole, bare, batches]
}

#[test]
fn a_resumed_network_tells_the_rows_of_the_undisturbed_one() {
    let bundle = archive();
    for spec in varied(&bundle) {
        let (told, figures) = finish_with(&spec, &bundle, None);
        assert_eq!(told.asked, [0, 1, 2, 3, 4]);
        assert!(!figures.diverged && figures.final_risk.is_some(), "{figures:?}");
        for checkpoint in &told.checkpoints {
            let (tail, ending) = finish_with(&spec, &bundle, Some(&checkpoint.bytes));
            assert_eq!(ending, figures, "from {}", checkpoint.step);
            assert_eq!(tail.steps, told.steps[checkpoint.steps_rows as usize..]);
            assert_eq!(tail.confusion, told.confusion[checkpoint.confusion_rows as usize..]);
            assert!(tail.checkpoints.iter().all(|other| told.checkpoints.contains(other)));
        }
    }
}

#[test]
fn threads_change_no_bit_of_what_a_network_tells_nor_of_its_checkpoints() {
    let bundle = archive();
    for spec in varied(&bundle) {
        let (alone, figures) = finish_with(&spec, &bundle, None);
        let given = Given { data: Some(&bundle), threads: 3, ..Given::default() };
        let (shared, ending) = finish_on(&spec, given);
        assert_eq!((ending, &shared.steps), (figures.clone(), &alone.steps));
        assert_eq!(shared.confusion, alone.confusion);
        assert_eq!(shared.checkpoints, alone.checkpoints);
        // What one thread began, others may go on with.
        let from = &alone.checkpoints[2];
        let given = Given { resume: Some(&from.bytes), threads: 2, ..given };
        let (tail, ending) = finish_on(&spec, given);
        assert_eq!((ending, &tail.steps[..]), (figures, &alone.steps[from.steps_rows as usize..]));
        assert_eq!(tail.confusion, alone.confusion[from.confusion_rows as usize..]);
    }
}

/// In f32, copies of the largest image and its delta a thread, 16 channels of 34² and 32² pixels, and 9 · 16² sums.
#[test]
fn each_thread_has_copies_of_its_own() {
    let bundle = archive();
    let spec = image_spec(&bundle, conv(ConvKind::Wrn), Precision::F32);
    let (one, three) = (cost(&spec, 1), cost(&spec, 3));
    let copies = 16 * (34 * 34 + 32 * 32) + 9 * 16 * 16;
    assert_eq!(three.memory_bytes - one.memory_bytes, 2 * 4 * copies);
    assert_eq!(Cost { memory_bytes: one.memory_bytes, ..three }, one);
}

#[test]
fn a_network_learns_and_its_rows_say_so() {
    let bundle = archive();
    let mut spec = image_spec(&bundle, conv(ConvKind::Wrn), Precision::F32);
    (spec.train.augment, spec.train.steps, spec.measure.at) = (false, 30, At::Steps(vec![]));
    let (told, figures) = finish_with(&spec, &bundle, None);
    let (first, last) = (&told.steps[0], &told.steps[1]);
    assert!(
        last.risk < first.risk && last.running_loss < first.risk,
        "{told:?}",
        told = told.steps
    );
    assert_eq!(figures.final_train_accuracy, Some(1.0));
    assert!(figures.final_test_accuracy.is_some() && first.gradient_norm > Some(0.0));
    assert_eq!((told.confusion.len(), told.confusion[1].count), (2, 6));
    assert!(told.confusion[0].min_cos < told.confusion[0].mean_cos);
}

#[test]
fn a_seed_of_augmentation_counts_where_images_are_augmented() {
    let bundle = archive();
    let mut spec = image_spec(&bundle, conv(ConvKind::Wrn), Precision::F32);
    (spec.train.steps, spec.measure.confusion) = (2, Vec::new());
    let risk = |spec: &JobSpec| finish_with(spec, &bundle, None).1.final_risk;
    let first = risk(&spec);
    assert_eq!(risk(&spec), first);
    spec.seeds.augment += 1;
    assert_ne!(risk(&spec), first);
}

#[test]
fn an_absurd_step_diverges() {
    let bundle = archive();
    let mut spec = image_spec(&bundle, conv(ConvKind::Cnn), Precision::F32);
    (spec.train.step_size, spec.train.steps) = (1e30, 20);
    let (_, figures) = finish_with(&spec, &bundle, None);
    assert!(figures.diverged && figures.steps_done < 20, "{figures:?}");
}

#[test]
fn images_that_are_none_are_refused() {
    let bundle = archive();
    let mut spec = image_spec(&bundle, conv(ConvKind::Cnn), Precision::F32);
    let refused = |spec: &JobSpec, bundle| {
        let given = Given { data: bundle, ..Given::default() };
        run(spec, given, &mut Listener::default()).expect_err("refused").to_string()
    };
    assert_eq!(refused(&spec, None), "the spec names a data set of files, and none was given");
    spec.data.kind = DataKind::Idx;
    assert_eq!(refused(&spec, Some(&bundle)), "the data do not fit the spec");
    spec.data.dim = 784;
    let expected = "inputs of 784 entries are not the images that a convolutional network reads";
    assert_eq!(refused(&spec, Some(&bundle)), expected);
}

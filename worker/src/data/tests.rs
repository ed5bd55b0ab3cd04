//! Laws of the examples: their distribution, and what they do not depend on.

use domain::spec::*;
use domain::{Digest, JobSpec};

use super::bundle::Bundle;
use super::*;
use crate::nn::kernel::dot;

fn spec(kind: DataKind, labels: Labels) -> JobSpec {
    let shape = Shape::Mlp { width: 6, depth: 1, activation: Activation::Tanh };
    let data =
        Data { kind, samples: 40, dim: 50, labels, noise: 0.0, test_samples: 30, digest: None };
    JobSpec {
        model: Model {
            shape,
            output: Activation::Identity,
            init: Init::Lecun,
            bias: false,
            outputs: 1,
            precision: Precision::F64,
        },
        data,
        train: Train {
            loss: Loss::Squared,
            batch: 1,
            steps: 10,
            step_size: 0.1,
            schedule: Vec::new(),
            sampling: Sampling::Uniform,
            momentum: 0.0,
            weight_decay: 0.0,
            augment: false,
            stop_below: None,
        },
        measure: Measure { at: At::Every(1), confusion: vec![], layers: false, mode: Mode::Eval },
        seeds: Seeds::all(1),
    }
}

fn generated(kind: DataKind, labels: Labels) -> Dataset<f64> {
    load(&spec(kind, labels), None).expect("a good spec")
}

#[test]
fn sphere_rows_have_length_one_and_gaussian_rows_length_one_on_average() {
    let sphere = generated(DataKind::Sphere, Labels::Sign);
    for row in sphere.train.inputs.chunks_exact(50).chain(sphere.test.inputs.chunks_exact(50)) {
        assert!((dot(row, row) - 1.0).abs() < 1e-15);
    }
    let gaussian = generated(DataKind::Gaussian, Labels::Sign).train.inputs;
    // |x|² has mean 1 and variance 2/50; 40 rows: a standard error of 0.032.
    assert!((dot(&gaussian, &gaussian) / 40.0 - 1.0).abs() < 0.16);
}

#[test]
fn orthogonal_rows_are_orthonormal_and_their_test_rows_have_length_one() {
    let data = generated(DataKind::Orthogonal, Labels::Sign);
    for (i, a) in data.train.inputs.chunks_exact(50).enumerate() {
        for (j, b) in data.train.inputs.chunks_exact(50).enumerate() {
            assert!((dot(a, b) - f64::from(i == j)).abs() < 1e-15);
        }
    }
    assert!(data.test.inputs.chunks_exact(50).all(|row| (dot(row, row) - 1.0).abs() < 1e-15));
}

/// Common random numbers: neither the network nor the other set changes an example, and fewer examples are the first.
#[test]
fn examples_depend_on_the_data_seed_alone() {
    for kind in [DataKind::Sphere, DataKind::Gaussian, DataKind::Orthogonal] {
        for labels in
            [Labels::Teacher, Labels::Linear, Labels::Sign, Labels::Random, Labels::Normal]
        {
            let mut spec = spec(kind, labels);
            spec.data.noise = 0.5;
            let first: Dataset<f64> = load(&spec, None).expect("good");
            spec.seeds = Seeds { data: 1, ..Seeds::all(9) };
            spec.model.shape = Shape::Mlp { width: 9, depth: 3, activation: Activation::Relu };
            assert_eq!(load::<f64>(&spec, None).expect("good"), first);
            (spec.data.samples, spec.data.test_samples) = (7, 3);
            let fewer: Dataset<f64> = load(&spec, None).expect("good");
            assert_eq!(fewer.train.inputs, first.train.inputs[..350]);
            assert_eq!(fewer.train.labels, first.train.labels[..7]);
            assert_eq!(fewer.test.targets, first.test.targets[..3]);
            spec.seeds.data = 2;
            assert_ne!(load::<f64>(&spec, None).expect("good").train, fewer.train);
        }
    }
}

#[test]
fn labels_are_what_they_say() {
    let teacher = generated(DataKind::Sphere, Labels::Teacher);
    assert!(teacher.train.targets.iter().all(|c| c.abs() < 1.0) && teacher.classes.is_none());
    let variance = dot(&teacher.train.targets, &teacher.train.targets) / 40.0;
    assert!((0.02..0.9).contains(&variance), "{variance}");

    let linear = generated(DataKind::Sphere, Labels::Linear);
    let sign = generated(DataKind::Sphere, Labels::Sign);
    assert_eq!(sign.classes, Some(2));
    let signs = linear.train.targets.iter().map(|c| c.signum());
    assert!(signs.eq(sign.train.targets.iter().copied()));
    let random = generated(DataKind::Sphere, Labels::Random);
    let positive = random.train.targets.iter().filter(|&&c| c == 1.0).count();
    assert!((8..=32).contains(&positive), "{positive} of 40");
}

/// 40 labels with noise of deviation 0.5: the mean square of the difference is 0.25 ± 5 · 0.056.
#[test]
fn noise_is_added_to_real_labels_of_both_sets() {
    let clean = generated(DataKind::Sphere, Labels::Linear);
    let mut spec = spec(DataKind::Sphere, Labels::Linear);
    spec.data.noise = 0.5;
    let noisy: Dataset<f64> = load(&spec, None).expect("good");
    for (noisy, clean) in [(&noisy.train, &clean.train), (&noisy.test, &clean.test)] {
        let pairs = noisy.targets.iter().zip(&clean.targets);
        let square = pairs.map(|(a, b)| (a - b).powi(2)).sum::<f64>() / noisy.len() as f64;
        assert!((square - 0.25).abs() < 0.28 && square > 0.0, "{square}");
    }
}

/// A bundle of `n` training and 5 test images of 2 x 2 pixels; image i has pixels i, i+1, i+2, i+3 and label i mod 3.
fn bundle(n: u8) -> Bundle {
    let mut parts = Vec::new();
    for count in [n, 5] {
        let header = [0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 2, 0, 0, 0, 2];
        let pixels = (0..count).flat_map(|i| i..i + 4);
        parts.push(header.into_iter().chain(pixels).collect::<Vec<u8>>());
        let labels = (0..count).map(|i| i % 3);
        parts.push([0, 0, 8, 1, 0, 0, 0, count].into_iter().chain(labels).collect());
    }
    let mut bytes = b"gradsweep-idx-1\n".to_vec();
    parts.iter().for_each(|part| bytes.extend_from_slice(&(part.len() as u64).to_le_bytes()));
    bytes.extend(parts.concat());
    Bundle::from_bytes(&bytes).expect("a good bundle")
}

fn idx_spec(samples: u32) -> JobSpec {
    let mut spec = spec(DataKind::Idx, Labels::Classes);
    (spec.data.dim, spec.data.samples, spec.data.test_samples) = (4, samples, 5);
    (spec.train.loss, spec.model.outputs) = (Loss::CrossEntropy, 3);
    spec
}

#[test]
fn all_images_come_in_file_order_and_fewer_as_a_drawn_subset() {
    let bundle = bundle(20);
    let all: Dataset<f64> = load(&idx_spec(20), Some(&bundle)).expect("good");
    assert_eq!((all.classes, all.dim), (Some(3), 4));
    assert_eq!(all.train.inputs[4..8], [1.0, 2.0, 3.0, 4.0].map(|x| x / 255.0));
    assert_eq!(all.train.labels[..4], [0, 1, 2, 0].map(Label::Class));
    assert_eq!(all.test.targets[..6], [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);

    let some: Dataset<f64> = load(&idx_spec(9), Some(&bundle)).expect("good");
    let image = |row: &[f64]| (row[0] * 255.0).round() as u32;
    let mut images: Vec<u32> = some.train.inputs.chunks_exact(4).map(image).collect();
    for (i, label) in images.iter().zip(&some.train.labels) {
        assert_eq!(*label, Label::Class(i % 3));
    }
    assert_ne!(images, (0..9).collect::<Vec<u32>>());
    images.sort_unstable();
    images.dedup();
    assert_eq!(images.len(), 9);
    let random =
        JobSpec { data: Data { labels: Labels::Random, ..idx_spec(20).data }, ..idx_spec(20) };
    let random: Dataset<f64> = load(&random, Some(&bundle)).expect("good");
    assert!(random.train.labels.contains(&Label::Class(2)) && random.train != all.train);
}

#[test]
fn a_bundle_that_the_spec_does_not_name_is_refused() {
    let bundle = bundle(20);
    let refused = |change: &dyn Fn(&mut Data)| {
        let mut spec = idx_spec(20);
        change(&mut spec.data);
        load::<f64>(&spec, Some(&bundle)).expect_err("it does not fit")
    };
    let other = refused(&|data| data.digest = Some(Digest([0; 32])));
    assert!(matches!(other, DataError::OtherDigest { .. }));
    assert!(matches!(refused(&|data| data.dim = 5), DataError::Mismatch { found: 4, .. }));
    assert!(matches!(refused(&|data| data.samples = 21), DataError::Mismatch { found: 20, .. }));
    assert!(matches!(refused(&|data| data.test_samples = 6), DataError::Mismatch { .. }));
    let classes = load::<f64>(&spec(DataKind::Sphere, Labels::Classes), None);
    assert!(matches!(classes, Err(DataError::NoSuchLabels { .. })));
}

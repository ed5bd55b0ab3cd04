//! Exports, read as a stranger would: the figures come out of the two files alone.

use domain::{Sweep, sweep_file};
use safetensors::SafeTensors;

use super::*;

fn sweep(model: &str, data: &str, train: &str, measure: &str) -> Sweep {
    let text = format!(
        "name = \"x\"\nseed = 3\n[model]\n{model}\n[data]\n{data}\n[train]\n{train}\n[measure]\n{measure}\n"
    );
    let draft = sweep_file::parse(&text, "x.toml").unwrap_or_else(|error| panic!("{error}"));
    draft.resolve(&Default::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn mlp(measure: &str) -> JobSpec {
    sweep(
        "kind = \"mlp\"\nwidth = 6\ndepth = 1\ninit = \"lecun\"\nbias = true",
        "kind = \"sphere\"\nsamples = 20\ndim = 5",
        "loss = \"squared\"\nsteps = 300\nstep_size = 0.1\nmomentum = 0.5",
        measure,
    )
    .job(0)
}

fn floats(file: &SafeTensors<'_>, name: &str) -> Vec<f64> {
    let tensor = file.tensor(name).expect("it is there");
    tensor.data().as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
}

/// One example's gradient of ½ |g − C|² of a tanh network, by the chain rule, matrix after matrix.
fn gradient(weights: &[(Vec<f64>, Vec<f64>)], input: &[f64], target: &[f64]) -> Vec<f64> {
    let mut activations = vec![input.to_vec()];
    for (matrix, bias) in weights {
        let below = activations.last().expect("there is one");
        let unit = |(row, b): (&[f64], &f64)| {
            (row.iter().zip(below).map(|(w, a)| w * a).sum::<f64>() + b).tanh()
        };
        let next = matrix.chunks_exact(below.len()).zip(bias).map(unit).collect();
        activations.push(next);
    }
    let outputs = activations.pop().expect("there is one");
    let slope = |(g, c): (&f64, &f64)| (g - c) * (1.0 - g * g);
    let mut delta: Vec<f64> = outputs.iter().zip(target).map(slope).collect();
    let mut parts = Vec::new();
    for ((matrix, _), below) in weights.iter().zip(&activations).rev() {
        let mut part: Vec<f64> =
            delta.iter().flat_map(|d| below.iter().map(move |a| d * a)).collect();
        part.extend(&delta);
        parts.push(part);
        let back = |(j, a): (usize, &f64)| {
            let column = matrix.iter().skip(j).step_by(below.len());
            column.zip(&delta).map(|(w, d)| w * d).sum::<f64>() * (1.0 - a * a)
        };
        delta = below.iter().enumerate().map(back).collect();
    }
    parts.concat()
}

/// Sums of a few hundred products of numbers below 10 err by about 1e-14 of the largest.
#[test]
fn the_files_alone_give_the_measured_figures() {
    let spec = mlp("at = { every = 100 }\nconfusion = [{ scope = \"samples\", count = 8 }]");
    for step in [0, 100, 300] {
        let exported = export(&spec, None, step).expect("it runs");
        let (weights, data) = (exported.weights_file("w".into()), exported.probe.file("d".into()));
        let weights = SafeTensors::deserialize(&weights).expect("a file");
        let data = SafeTensors::deserialize(&data).expect("a file");
        assert_eq!(weights.len(), 6, "three matrices with biases and no momentum");
        let layers: Vec<_> = (0..3)
            .map(|p| {
                (floats(&weights, &format!("weights.{p}")), floats(&weights, &format!("bias.{p}")))
            })
            .collect();
        let (inputs, targets) = (floats(&data, "inputs"), floats(&data, "targets"));
        let gradients: Vec<Vec<f64>> = inputs
            .chunks_exact(5)
            .zip(targets.chunks_exact(1))
            .map(|(input, target)| gradient(&layers, input, target))
            .collect();
        assert_eq!(gradients.len(), 8);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (mut least, mut least_cosine, mut argmin) = (f64::INFINITY, f64::INFINITY, (0, 0));
        for (i, a) in gradients.iter().enumerate() {
            for (j, b) in gradients.iter().enumerate().skip(i + 1) {
                let inner = dot(a, b);
                if inner < least {
                    (least, argmin) = (inner, (i, j));
                }
                least_cosine = least_cosine.min(inner / (dot(a, a) * dot(b, b)).sqrt());
            }
        }
        let [row] = exported.confusion.as_slice() else { panic!("one row") };
        assert_eq!((row.step, exported.curve.step), (step, step));
        let (eta, min_cos) = (row.eta.expect("finite"), row.min_cos.expect("finite"));
        assert!((eta - (-least).max(0.0)).abs() < 1e-12 * least.abs().max(1.0), "{eta} {least}");
        assert!((min_cos - least_cosine).abs() < 1e-12, "{min_cos} {least_cosine}");
        let indices = data.tensor("indices").expect("it is there").data().as_chunks().0;
        let index = |i: usize| Some(i64::from_le_bytes(indices[i]) as u32);
        assert_eq!((row.argmin_i, row.argmin_j), (index(argmin.0), index(argmin.1)));
    }
}

#[test]
fn equal_exports_have_equal_bytes() {
    let spec = mlp("at = [0, 10]");
    let bytes = || {
        let exported = export(&spec, None, 10).expect("it runs");
        (exported.weights_file("{}".into()), exported.probe.file("{}".into()))
    };
    assert_eq!(bytes(), bytes());
}

#[test]
fn steps_that_cannot_be_exported_are_named() {
    let error = export(&mlp("at = { every = 100 }"), None, 7).expect_err("it is not measured");
    assert!(error.to_string().contains("step 7") && error.to_string().contains("0, 100, 200, 300"));
    let mut spec = mlp("at = { every = 100 }");
    spec.train.stop_below = Some(1e9);
    let error = export(&spec, None, 100).expect_err("it converged before its first step");
    assert!(matches!(error, TrialError::EndedBefore { step: 100, ended: 0 }), "{error}");
}

#[test]
fn minibatches_follow_one_another_in_the_order_of_the_gradients() {
    for (scope, rows) in [("batches", 12), ("batch-pairs", 24)] {
        let measure =
            format!("at = [0]\nconfusion = [{{ scope = \"{scope}\", count = 4, batch = 3 }}]");
        let exported = export(&mlp(&measure), None, 0).expect("it runs");
        assert_eq!((exported.probe.scope, exported.probe.batch), (Some(scope), 3));
        let (_, inputs) = &exported.probe.tensors[0];
        assert_eq!(inputs.shape, [rows, 5]);
    }
}

/// The rows of averages come out of the examples' gradients and the order in the file.
#[test]
fn the_order_of_averages_gives_their_minibatches() {
    let measure = "at = [0]\nconfusion = [{ scope = \"samples\", count = 9, average = [4, 2] }]";
    let exported = export(&mlp(measure), None, 0).expect("it runs");
    let (weights, data) = (exported.weights_file("w".into()), exported.probe.file("d".into()));
    let weights = SafeTensors::deserialize(&weights).expect("a file");
    let data = SafeTensors::deserialize(&data).expect("a file");
    let layers: Vec<_> = (0..3)
        .map(|p| {
            (floats(&weights, &format!("weights.{p}")), floats(&weights, &format!("bias.{p}")))
        })
        .collect();
    let (inputs, targets) = (floats(&data, "inputs"), floats(&data, "targets"));
    let read = inputs.chunks_exact(5).zip(targets.chunks_exact(1));
    let gradients: Vec<Vec<f64>> = read.map(|(x, c)| gradient(&layers, x, c)).collect();
    let order = data.tensor("average_order").expect("it is there").data().as_chunks().0;
    let order: Vec<usize> = order.iter().map(|bytes| i64::from_le_bytes(*bytes) as usize).collect();
    assert_eq!(order.len(), 9);
    for batch in [4, 2] {
        let mean = |places: &[usize]| -> Vec<f64> {
            let sum = |at| places.iter().map(|&place: &usize| gradients[place][at]).sum::<f64>();
            (0..gradients[0].len()).map(|at| sum(at) / batch as f64).collect()
        };
        let means: Vec<Vec<f64>> = order.chunks_exact(batch).map(mean).collect();
        let pairs = means.iter().enumerate().flat_map(|(i, a)| {
            means[i + 1..].iter().map(move |b| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>())
        });
        let least = pairs.fold(f64::INFINITY, f64::min);
        let row = exported.confusion.iter().find(|row| row.measure_batch == batch as u32);
        let found = row.expect("a row a size").min_inner.expect("finite");
        assert!((found - least).abs() < 1e-12 * least.abs().max(1.0), "{batch}: {found} {least}");
    }
    assert!(exported.probe.tensors.iter().any(|(name, _)| name == "average_order"));
    let plain = examples(&mlp("at = [0]"), None).expect("it fits");
    assert!(plain.tensors.iter().all(|(name, _)| name != "average_order"), "nothing is averaged");
}

/// Without training: the same file.
#[test]
fn the_examples_of_a_job_need_no_training() {
    for measure in ["samples\", count = 8", "batches\", count = 4, batch = 3"] {
        let spec = mlp(&format!("at = [0, 9]\nconfusion = [{{ scope = \"{measure} }}]"));
        let exported = export(&spec, None, 9).expect("it runs");
        let alone = examples(&spec, None).expect("it fits");
        assert_eq!(alone.file("d".into()), exported.probe.file("d".into()));
    }
}

#[test]
fn images_have_their_channels_in_front() {
    let images: Vec<f32> = (0..2 * 4 * 3).map(|x| x as f32).collect();
    let bytes = Tensor::of(&images, vec![24]).bytes;
    let moved = permuted::<f32>(&bytes, 2, 4, 3);
    // Image 1, channel 2, pixel 3.
    assert_eq!(f32::from_le_bytes(moved.as_chunks().0[12 + 2 * 4 + 3]), images[12 + 3 * 3 + 2]);
}

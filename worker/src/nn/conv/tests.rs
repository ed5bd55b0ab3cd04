//! The network against a naive twin, finite differences, and itself in other company.

use domain::spec::{Activation, Conv, ConvKind, Init, Loss, Mode, Model, Precision, Shape};

use proptest::prelude::*;

use super::correlate::{Begin, Correlate, correlate, pack_backward, pack_forward};
use super::grid::Grid;
use super::layout::ConvLayer;
use super::naive::{self, Images};
use super::walks;
use super::weight_gradient::{WeightGradient, add_weight_gradient, copies_len};
use super::{ConvNetwork, ConvPass};
use crate::nn::Real;
use crate::nn::dispatch::{LaneKernel, Level};
use crate::nn::testing::Wide;
use crate::random::Stream;

mod directions;

const CLASSES: usize = 3;

fn conv(width: u32, batch_norm: bool, skip: bool) -> Conv {
    Conv { kind: ConvKind::Wrn, width, depth: 10, batch_norm, skip }
}

fn model(conv: Conv) -> Model {
    Model {
        shape: Shape::Conv(conv),
        output: Activation::Identity,
        init: Init::He,
        bias: false,
        outputs: CLASSES as u32,
        precision: Precision::F64,
    }
}

/// Every combination of batch norm and skips, with and without a projection in the first stage.
fn convs() -> [Conv; 5] {
    [
        conv(1, true, true),
        conv(2, true, true),
        conv(1, false, true),
        conv(1, true, false),
        conv(2, false, false),
    ]
}

fn normals<T: Real>(count: usize, number: u64) -> Vec<T> {
    let mut stream = Stream::new(7, "test images", number);
    (0..count).map(|_| T::from_f64(stream.normal())).collect()
}

/// A network whose batch norms are not at their start.
fn network<T: Real>(conv: &Conv, side: usize) -> ConvNetwork<T> {
    let mut network: ConvNetwork<T> = ConvNetwork::with_side(&model(*conv), conv, 5, side);
    let noise = normals::<T>(network.parameters().len(), 1);
    let small = T::from_f64(0.05);
    network.parameters_mut().iter_mut().zip(&noise).for_each(|(w, &x)| *w += small * x);
    for (x, noise) in network.numbers_mut().1.iter_mut().zip(noise) {
        *x += T::from_f64(0.2) * noise * noise;
    }
    network
}

fn targets<T: Real>(count: usize) -> Vec<T> {
    (0..count * CLASSES)
        .map(|i| if i % CLASSES == i / CLASSES % CLASSES { T::ONE } else { T::ZERO })
        .collect()
}

/// The gradient of the summed cross-entropy, and the outputs.
fn gradient_of<T: Real>(
    network: &ConvNetwork<T>,
    images: &[T],
    targets: &[T],
    mode: Mode,
) -> (Vec<T>, Vec<T>) {
    let rows = images.len() / network.dim();
    let mut pass = ConvPass::new(network, rows);
    let mut gradient = vec![T::ONE; network.parameters().len()];
    pass.forward(network, images, mode);
    pass.backward(network, Loss::CrossEntropy, targets, &mut gradient);
    (gradient, pass.network_outputs(network, rows).to_vec())
}

#[track_caller]
fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(1e-300f64, |top, x| top.max(x.abs()));
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance * largest, "{i}: {a} {b}");
    }
}

#[test]
fn outputs_are_those_of_the_naive_network() {
    for conv in convs() {
        for (side, count) in [(8, 3), (5, 2)] {
            for mode in [Mode::Eval, Mode::Train] {
                let network = network::<f64>(&conv, side);
                let images = normals::<f64>(count * network.dim(), 2);
                let (_, found) = gradient_of(&network, &images, &targets(count), mode);
                let numbers = (network.parameters(), network.statistics());
                let images = Images { n: count, side, channels: 3, x: images };
                let is_train = mode == Mode::Train;
                let expected = naive::outputs(&conv, numbers, &images, CLASSES, is_train);
                close(&found, &expected, 1e-11);
            }
        }
    }
}

/// Central differences of the naive loss with step h err by h²/6 of the third derivative, about 1e-9 here, and by
/// rounding, 1e-16 / h = 1e-11 of the loss. An entry that steps over a kink of a ReLU would err by far more; with these
/// seeds none does.
#[test]
fn gradients_are_finite_differences_of_the_naive_loss() {
    let (side, count, h) = (5, 3, 1e-5);
    for conv in convs() {
        for mode in [Mode::Eval, Mode::Train] {
            let network = network::<f64>(&conv, side);
            let x = normals::<f64>(count * network.dim(), 3);
            let targets = targets(count);
            let (found, _) = gradient_of(&network, &x, &targets, mode);
            let images = Images { n: count, side, channels: 3, x };
            let loss_at = |place: usize, shift: f64| {
                let mut parameters = network.parameters().to_vec();
                parameters[place] += shift;
                let numbers = (&*parameters, network.statistics());
                let is_train = mode == Mode::Train;
                let outputs = naive::outputs(&conv, numbers, &images, CLASSES, is_train);
                naive::loss(Loss::CrossEntropy, &outputs, &targets, CLASSES)
            };
            let mut offset = 0;
            for (name, shape) in network.parts() {
                let size: usize = shape.iter().product();
                let part = &found[offset..offset + size];
                let largest = part.iter().fold(0.0f64, |top, g| top.max(g.abs()));
                let place = offset + size * 2 / 3;
                let expected = (loss_at(place, h) - loss_at(place, -h)) / (2.0 * h);
                let error = (found[place] - expected).abs();
                assert!(error <= 1e-6 * largest.max(1e-3), "{name}: {} {expected}", found[place]);
                offset += size;
            }
        }
    }
}

#[test]
fn each_pass_of_a_convolution_is_that_of_six_loops() {
    for (side, kernel, stride, inputs, outputs) in [
        (8, 3, 1, 16, 16),
        (13, 3, 1, 16, 32),
        (8, 3, 2, 16, 32),
        (7, 3, 2, 32, 16),
        (1, 3, 1, 16, 16),
        (9, 1, 1, 16, 32),
        (6, 1, 2, 32, 16),
        (5, 1, 2, 16, 16),
    ] {
        check_passes(2, side, (kernel, stride), (inputs, outputs), 4);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn so_are_those_of_any_shape(
        count in 1usize..4,
        side in 1usize..12,
        kernel in prop_oneof![Just(1usize), Just(3)],
        stride in 1usize..3,
        inputs in 1usize..4,
        outputs in 1usize..4,
        seed in 0u64..1000,
    ) {
        check_passes(count, side, (kernel, stride), (16 * inputs, 16 * outputs), seed);
    }
}

/// All three passes of one convolution of any shape, against six loops.
#[track_caller]
fn check_passes(
    count: usize,
    side: usize,
    (kernel, stride): (usize, usize),
    (inputs, outputs): (usize, usize),
    seed: u64,
) {
    let layer = ConvLayer { inputs, outputs, kernel, stride, offset: 0 };
    let from = Grid { side, channels: inputs };
    let to = Grid { side: side.div_ceil(stride), channels: outputs };
    let size = layer.parameters();
    let mut image = Images::zeros(count, side, inputs);
    image.x = normals(image.x.len(), seed);
    let weights: Vec<f64> = normals(size, seed + 1);
    let expected = naive::convolve(&image, &weights, outputs, (kernel, stride));

    let mut padded = vec![0.0; count * from.image()];
    from.pad(&image.x, &mut padded);
    let forward = walks::forward(&layer, from, to);
    let (mut packed, mut out) = (vec![0.0; size], vec![0.0; count * to.image()]);
    pack_forward(&weights, outputs, &mut packed);
    correlate(&forward, 0..count, Begin::Zero, (&padded, &packed), &mut out);
    close(&out, &pad(to, &expected.x), 1e-13);

    let delta = Images { x: normals(expected.x.len(), seed + 2), ..expected.clone() };
    let (mut gradient, mut carried) = (vec![0.0; size], vec![0.0; image.x.len()]);
    naive::products(&image, &delta, (kernel, stride), |x, w, d| {
        gradient[w] += image.x[x] * delta.x[d];
        carried[x] += weights[w] * delta.x[d];
    });
    let padded_delta = pad(to, &delta.x);
    let mut found = vec![0.0; size];
    let mut copies = vec![f64::NAN; copies_len(&layer, from, to)];
    for image in 0..count {
        let gradient = (0..forward.terms(), &mut *found);
        add_weight_gradient(&forward, image, (&padded, &padded_delta), &mut copies, gradient);
    }
    close(&found, &gradient, 1e-13);
    let mut found = vec![0.0; count * from.image()];
    for walks in walks::backward(&layer, from, to) {
        pack_backward(&weights, &walks, &mut packed);
        correlate(&walks, 0..count, Begin::Zero, (&padded_delta, &packed), &mut found);
    }
    close(&found, &pad(from, &carried), 1e-13);
}

fn pad(grid: Grid, images: &[f64]) -> Vec<f64> {
    let count = images.len() / (grid.side * grid.width());
    let mut padded = vec![0.0; count * grid.image()];
    grid.pad(images, &mut padded);
    padded
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let layer = ConvLayer { inputs: 16, outputs: 32, kernel: 3, stride: 1, offset: 0 };
    let (from, to) = (Grid { side: 13, channels: 16 }, Grid { side: 13, channels: 32 });
    let walks = walks::forward(&layer, from, to);
    let input: Vec<f32> = normals(from.image(), 8);
    let weights: Vec<f32> = normals(layer.parameters(), 9);
    let results = Level::available().into_iter().map(|level| {
        let mut out = vec![0.0f32; to.image()];
        let (walks, begin) = (&walks, Begin::There);
        let (input, weights) = (&*input, &*weights);
        level.run_lanes(Correlate { walks, images: 0..1, begin, input, weights, out: &mut out });
        let mut gradient = vec![0.0f32; layer.parameters()];
        let (delta, gradient_out) = (&*out, &mut *gradient);
        let mut copies = vec![0.0f32; copies_len(&layer, from, to)];
        let (part, copies) = (0..walks.terms(), &mut *copies);
        level.run_lanes(WeightGradient {
            walks,
            image: 0,
            input,
            delta,
            copies,
            part,
            gradient: gradient_out,
        });
        (out, gradient)
    });
    let mut results: Vec<_> = results.collect();
    // The blocking of the widest vectors, on a machine that may not have them.
    let (mut out, mut gradient) = (vec![0.0f32; to.image()], vec![0.0f32; layer.parameters()]);
    let (begin, read, walks) = (Begin::There, (&*input, &*weights), &walks);
    let (input, weights) = read;
    Correlate { walks, images: 0..1, begin, input, weights, out: &mut out }.run::<Wide<f32>>();
    let mut copies = vec![0.0f32; copies_len(&layer, from, to)];
    let (part, copies, delta) = (0..walks.terms(), &mut *copies, &*out);
    WeightGradient { walks, image: 0, input, delta, copies, part, gradient: &mut gradient }
        .run::<Wide<f32>>();
    results.push((out, gradient));
    assert!(results.iter().all(|result| result == &results[0]));
}

#[test]
fn an_image_alone_has_the_bits_it_has_in_a_minibatch() {
    for conv in convs() {
        let network = network::<f32>(&conv, 8);
        let (count, dim) = (4, network.dim());
        let images = normals::<f32>(count * dim, 10);
        let targets = targets(count);
        let (whole, outputs) = gradient_of(&network, &images, &targets, Mode::Eval);
        let mut sum = vec![0.0; whole.len()];
        for (i, image) in images.chunks_exact(dim).enumerate() {
            let target = &targets[i * CLASSES..(i + 1) * CLASSES];
            let (gradient, output) = gradient_of(&network, image, target, Mode::Eval);
            assert_eq!(output, outputs[i * CLASSES..(i + 1) * CLASSES]);
            sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += f64::from(g));
        }
        let whole: Vec<f64> = whole.into_iter().map(f64::from).collect();
        close(&whole, &sum, 1e-5);
    }
}

#[test]
fn each_image_of_a_pass_has_the_gradient_it_has_alone() {
    for conv in convs() {
        let network = network::<f32>(&conv, 8);
        let (count, dim) = (3, network.dim());
        let (images, targets) = (normals::<f32>(count * dim, 10), targets(count));
        let parameters = network.parameters().len();
        let mut each = vec![1.0; count * parameters];
        let mut pass = ConvPass::new(&network, count);
        pass.forward(&network, &images, Mode::Eval);
        pass.backward_each(&network, Loss::CrossEntropy, &targets, &mut each);
        for (i, image) in images.chunks_exact(dim).enumerate() {
            let target = &targets[i * CLASSES..(i + 1) * CLASSES];
            let (gradient, _) = gradient_of(&network, image, target, Mode::Eval);
            assert_eq!(each[i * parameters..(i + 1) * parameters], gradient);
        }
    }
}

#[test]
fn threads_change_no_bit() {
    for (conv, mode) in
        convs().into_iter().flat_map(|conv| [(conv, Mode::Eval), (conv, Mode::Train)])
    {
        let network = network::<f32>(&conv, 9);
        let (count, parameters) = (5, network.parameters().len());
        let images = normals::<f32>(count * network.dim(), 10);
        let targets = targets(count);
        let run = |threads: usize| {
            let mut pass = ConvPass::new(&network, count).on_threads(threads);
            let mut gradient = vec![1.0f32; parameters];
            pass.forward(&network, &images, mode);
            pass.backward(&network, Loss::CrossEntropy, &targets, &mut gradient);
            let mut each = vec![0.0f32; if mode == Mode::Eval { count * parameters } else { 0 }];
            if mode == Mode::Eval {
                pass.backward_each(&network, Loss::CrossEntropy, &targets, &mut each);
            }
            let mut moved = network.clone();
            pass.move_running(&mut moved, count);
            (gradient, each, moved.statistics().to_vec())
        };
        let alone = run(1);
        assert!(alone.0.iter().any(|&g| g != 0.0));
        for threads in [2, 3, 7] {
            assert_eq!(run(threads), alone, "{threads} threads");
        }
    }
}

#[test]
fn running_statistics_move_a_tenth_of_the_way() {
    let conv = conv(1, true, true);
    let mut network = network::<f64>(&conv, 4);
    let before = network.statistics().to_vec();
    let images = normals::<f64>(2 * network.dim(), 11);
    let mut pass = ConvPass::new(&network, 2);
    pass.forward(&network, &images, Mode::Train);
    pass.move_running(&mut network, 2);
    // The first norm reads the stem's outputs.
    let stem = Images { n: 2, side: 4, channels: 3, x: images };
    let stem = naive::convolve(&stem, &network.parameters()[..432], 16, (3, 1));
    let of_channel: Vec<f64> = stem.x.iter().skip(5).step_by(16).copied().collect();
    let mean = of_channel.iter().sum::<f64>() / 32.0;
    let unbiased = of_channel.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 31.0;
    let after = network.statistics();
    close(&[after[5]], &[0.9 * before[5] + 0.1 * mean], 1e-12);
    close(&[after[21]], &[0.9 * before[21] + 0.1 * unbiased], 1e-12);
}

#[test]
fn a_network_starts_as_published() {
    let conv = conv(2, true, true);
    let network: ConvNetwork<f32> = ConvNetwork::initialise(&model(conv), &conv, 1);
    assert_eq!(network.parameters().len() as u64, model(conv).parameters(Conv::DIM));
    let mut offset = 0;
    for (name, shape) in network.parts() {
        let size: usize = shape.iter().product();
        let part = &network.parameters()[offset..offset + size];
        let square = part.iter().map(|&w| f64::from(w * w)).sum::<f64>() / size as f64;
        let expected = match (name.split('.').next(), shape.len()) {
            (Some("weights"), 4) => 2.0 / (shape[0] * shape[1] * shape[2]) as f64,
            (Some("weights"), _) => 1.0 / (3 * shape[1]) as f64,
            (Some("scale"), _) => 1.0,
            _ => 0.0,
        };
        // Four standard errors of the smallest of these variances, that of 384 weights.
        assert!((square - expected).abs() <= 0.3 * expected, "{name}: {square} {expected}");
        offset += size;
    }
    assert_eq!(offset, network.parameters().len());
    let statistics: usize =
        network.statistics_parts().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
    assert_eq!(statistics, network.statistics().len());
}

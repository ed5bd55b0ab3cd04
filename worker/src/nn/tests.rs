//! Laws of the passes: finite differences, additivity, and equal bits by every path.

use domain::spec::{Activation, Loss, Shape};
use proptest::prelude::*;

use super::dispatch::Level;
use super::kernel::{Combine, Descend, Dots, Rate, Strides};
use super::lanes::LANES;
use super::testing::{activations, examples, gradient_of, losses, mlp, network};
use super::*;
use crate::random::Stream;

/// Each entry of the gradient is the central difference of the loss, for every hidden activation, output activation and
/// loss, with and without biases.
///
/// With step h = 1e-5 the error is at most h²/6 · |f‴| (below 1e3 here: 2e-8) plus ε |f| / h (|f| < 20: 4e-10). Relu is
/// exact except where a unit changes sign within h, which these seeds avoid.
#[test]
fn gradients_are_the_central_differences_of_the_loss() {
    const H: f64 = 1e-5;
    const TOLERANCE: f64 = 3e-8;
    for hidden in activations() {
        for output in activations() {
            for loss in losses() {
                for (outputs, bias) in [(1, false), (3, true), (2, false)] {
                    let mut model = mlp(4, 2, hidden, output);
                    (model.outputs, model.bias) = (outputs, bias);
                    check_gradient(&network(&model, 3, 7), loss, H, TOLERANCE);
                    model.shape = Shape::Linear;
                    check_gradient(&network(&model, 3, 7), loss, H, TOLERANCE);
                }
            }
        }
    }
}

#[track_caller]
fn check_gradient(network: &Network<f64>, loss: Loss, h: f64, tolerance: f64) {
    let examples = examples::<f64>(1, network.dim(), network.outputs(), loss, 3);
    let gradient = gradient_of(network, &examples, loss, 0);
    let mut moved = network.clone();
    let mut pass = Pass::new(network, 1);
    for (k, g) in gradient.iter().enumerate() {
        let mut loss_at = |shift: f64| {
            moved.parameters_mut()[k] = network.parameters()[k] + shift;
            pass.forward(&moved, &examples.inputs);
            pass.losses(&moved, loss, &examples.targets, 1)[0]
        };
        let difference = (loss_at(h) - loss_at(-h)) / (2.0 * h);
        loss_at(0.0);
        let error = (g - difference).abs();
        let layers: Vec<Activation> = network.layers().iter().map(|l| l.activation).collect();
        assert!(error < tolerance, "∂/∂w[{k}] of {layers:?}, {loss:?}: {error:e}");
    }
}

/// A softmax over one unit is constant, and so its gradient is exactly zero.
#[test]
fn a_softmax_of_one_unit_has_no_gradient() {
    let network = network(&mlp(1, 0, Activation::Softmax, Activation::Identity), 3, 7);
    let examples = examples::<f64>(1, 3, 1, Loss::Squared, 3);
    let gradient = gradient_of(&network, &examples, Loss::Squared, 0);
    assert!(gradient[..3].iter().all(|&g| g == 0.0));
}

fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut stream = Stream::new(seed, "test numbers", 0);
    (0..count).map(|_| stream.normal()).collect()
}

fn rounded(numbers: &[f64]) -> Vec<f32> {
    numbers.iter().map(|&x| x as f32).collect()
}

/// The obviously correct dot product in the documented order.
fn naive_dot<T: Real>(a: &[T], b: &[T]) -> T {
    let mut lanes = [T::ZERO; LANES];
    for (i, (&a, &b)) in a.iter().zip(b).enumerate() {
        lanes[i % LANES] = a.mul_add(b, lanes[i % LANES]);
    }
    for half in [8, 4, 2, 1] {
        for l in 0..half {
            let above = lanes[l + half];
            lanes[l] += above;
        }
    }
    lanes[0]
}

fn kernels_agree<T: Real>(a: &[T], b: &[T], d: &[T], (n, m, k): (usize, usize, usize)) {
    for level in Level::available() {
        let mut out = vec![T::ZERO; n * m];
        level.run_lanes(Dots { a, b, k, out: &mut out });
        for i in 0..n {
            for j in 0..m {
                let expected = naive_dot(&a[i * k..(i + 1) * k], &b[j * k..(j + 1) * k]);
                assert_eq!(out[i * m + j], expected, "dots {level:?} {n} {m} {k}");
            }
        }
        // d is [n, m]: combined with the rows of b it gives [n, k], and by columns with those of a [m, k].
        for (rows, strides, count) in
            [(b, Strides { row: m, term: 1 }, n), (a, Strides { row: 1, term: m }, m)]
        {
            let mut out = vec![T::ONE; count * k];
            level.run_lanes(Combine { coefficients: d, strides, rows, k, out: &mut out });
            for r in 0..count {
                for column in 0..k {
                    let mut sum = T::ZERO;
                    for (s, row) in rows.chunks(k).enumerate() {
                        sum = d[r * strides.row + s * strides.term].mul_add(row[column], sum);
                    }
                    assert_eq!(out[r * k + column], sum, "combine {level:?} {n} {m} {k}");
                }
            }
        }
        let (delta, input) = (&d[..m], &a[..k]);
        let rate = Rate { step_size: T::from_f64(0.1), weight_decay: T::from_f64(0.01) };
        let (mut weights, mut below) = (b.to_vec(), vec![T::ONE; k]);
        level.run_lanes(Descend { weights: &mut weights, delta, input, below: &mut below, rate });
        for j in 0..k {
            let mut sum = T::ZERO;
            for o in 0..m {
                let w = b[o * k + j];
                sum = delta[o].mul_add(w, sum);
                let kept = (T::ONE - rate.step_size * rate.weight_decay) * w;
                let updated = (-(rate.step_size * delta[o])).mul_add(input[j], kept);
                assert_eq!(weights[o * k + j], updated, "descend {level:?} {m} {k}");
            }
            assert_eq!(below[j], sum, "descend {level:?} {m} {k}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Every instruction set gives, bit for bit, what the plainest loops give, in both formats and at odd sizes.
    #[test]
    fn kernels_have_the_bits_of_their_naive_twins(n in 1..10usize, m in 1..40usize, k in 1..150usize) {
        let (a, b, d) = (numbers(n * k, 1), numbers(m * k, 2), numbers(n * m, 3));
        kernels_agree(&a, &b, &d, (n, m, k));
        kernels_agree(&rounded(&a), &rounded(&b), &rounded(&d), (n, m, k));
    }

    /// The gradient of a batch is the sum of the gradients of its examples, and an example's pass has the same bits
    /// alone and in the batch.
    #[test]
    fn a_batch_is_the_sum_of_its_examples(
        dim in 1..20u32, width in 1..20u32, depth in 0..3u32, outputs in 1..5u32, count in 1..9usize,
        bias in any::<bool>(),
    ) {
        let mut model = mlp(width, depth, Activation::Tanh, Activation::Tanh);
        (model.outputs, model.bias) = (outputs, bias);
        let network = network::<f64>(&model, dim, 1);
        let examples = examples::<f64>(count, dim as usize, outputs as usize, Loss::Squared, 2);
        let mut pass = Pass::new(&network, count);
        pass.forward(&network, &examples.inputs);
        pass.backward(&network, Loss::Squared, &examples.targets, count);
        let mut batch = vec![0.0; network.parameters().len()];
        pass.gradient(&network, &examples.inputs, &mut batch);
        let mut sum = vec![0.0; batch.len()];
        for i in 0..count {
            let one = gradient_of(&network, &examples, Loss::Squared, i);
            sum.iter_mut().zip(&one).for_each(|(sum, g)| *sum += g);
        }
        // A batch's products are added without being rounded first: up to nine roundings of terms of order 1 differ.
        for (sum, batch) in sum.iter().zip(&batch) {
            prop_assert!((sum - batch).abs() < 1e-13, "{sum} {batch}");
        }
    }
}

#[test]
fn a_nan_input_reaches_the_loss_through_every_activation() {
    for hidden in activations() {
        let network = network::<f32>(&mlp(3, 1, hidden, Activation::Identity), 2, 1);
        let mut pass = Pass::new(&network, 1);
        pass.forward(&network, &[f32::NAN, 1.0]);
        assert!(pass.losses(&network, Loss::Squared, &[0.0], 1)[0].is_nan(), "{hidden:?}");
    }
}

//! Every entry of every part of the gradient at once: derivatives along random directions, one a part.
//!
//! The parts are the stem, both convolutions of a block, the projections, the scale and shift of each batch norm, and the
//! classifier's weights and biases. An entry alone is checked in `gradients_are_finite_differences_of_the_naive_loss`; here none
//! can be wrong unseen.

use super::*;

/// With D = ⟨∂F/∂part, v⟩ for a Gaussian v, central differences of step h err by rounding, some 1e-15 / h = 3e-8 of the loss,
/// and by h² of the third derivative, which is nothing. A ReLU that steps over its kink errs by 1e-3 of D: h is so small that
/// none of the 20,000 or so does with these seeds.
#[test]
fn gradients_are_derivatives_along_every_direction() {
    let (side, count, h) = (5, 2, 3e-8);
    let mut kinds = std::collections::BTreeSet::new();
    for conv in convs() {
        for mode in [Mode::Eval, Mode::Train] {
            let network = network::<f64>(&conv, side);
            let x = normals::<f64>(count * network.dim(), 21);
            let targets = targets(count);
            let (found, _) = gradient_of(&network, &x, &targets, mode);
            let images = Images { n: count, side, channels: 3, x };
            let loss_at = |parameters: &[f64]| {
                let numbers = (parameters, network.statistics());
                let is_train = mode == Mode::Train;
                let outputs = naive::outputs(&conv, numbers, &images, CLASSES, is_train);
                naive::loss(Loss::CrossEntropy, &outputs, &targets, CLASSES)
            };
            let mut offset = 0;
            for (number, (name, shape)) in network.parts().into_iter().enumerate() {
                let range = offset..offset + shape.iter().product::<usize>();
                offset = range.end;
                let direction: Vec<f64> = normals(range.len(), 100 + number as u64);
                let along = |step: f64| {
                    let mut parameters = network.parameters().to_vec();
                    let part = parameters[range.clone()].iter_mut().zip(&direction);
                    part.for_each(|(w, v)| *w += step * v);
                    loss_at(&parameters)
                };
                let expected = (along(h) - along(-h)) / (2.0 * h);
                let part = &found[range.clone()];
                let derivative = part.iter().zip(&direction).map(|(g, v)| g * v).sum::<f64>();
                let length = part.iter().map(|g| g * g).sum::<f64>().sqrt();
                let error = (derivative - expected).abs();
                assert!(
                    error <= 1e-5 * length.max(1e-2),
                    "{conv:?} {mode:?} {name}: {derivative} {expected} of {length}"
                );
                kinds.insert((name.split('.').next().map(str::to_owned), shape.len()));
            }
        }
    }
    let kinds: Vec<_> = kinds.iter().map(|(name, rank)| (name.as_deref(), *rank)).collect();
    let expected = [("bias", 1), ("scale", 1), ("shift", 1), ("weights", 2), ("weights", 4)];
    assert_eq!(kinds, expected.map(|(name, rank)| (Some(name), rank)));
}

//! How weights start.

use domain::spec::{Init, Model};

use super::orthogonal::orthonormal_rows;
use super::{Network, Real};
use crate::random::Stream;

/// The network of `model` with its initial weights; biases start at 0.
///
/// ```text
/// paper          uniform on [−1/l, 1/l]; a model without hidden layers has l = 1: the poster's box [−1, 1]ᵈ
/// lecun          N(0, 1/fan_in)            he      N(0, 2/fan_in)
/// unit-gaussian  N(0, 1/fan_in)            glorot  N(0, 2/(fan_in + fan_out))
/// orthogonal     orthonormal rows, or columns where there are more rows than columns
/// ```
///
/// Matrix p takes its draws from stream p of the seed, row after row.
///
/// # Numerics
/// Drawn in f64 and rounded, so f32 weights are the rounded f64 ones.
pub fn initialise<T: Real>(model: &Model, dim: u32, seed: u64) -> Network<T> {
    let mut network = Network::zeros(model, dim);
    for p in 0..network.layers().len() {
        let layer = network.layers()[p];
        let mut stream = Stream::new(seed, "weights", p as u64);
        let shape = (layer.fan_out, layer.fan_in);
        let drawn = draw(model.init, model.width(), shape, &mut stream);
        for (weight, drawn) in network.layer_mut(p).0.iter_mut().zip(drawn) {
            *weight = T::from_f64(drawn);
        }
    }
    network
}

/// One weight matrix, `[fan_out, fan_in]`, of a model of hidden width `width`.
pub(super) fn draw(
    init: Init,
    width: Option<u32>,
    (fan_out, fan_in): (usize, usize),
    stream: &mut Stream,
) -> Vec<f64> {
    let count = fan_out * fan_in;
    let mut gaussian = |variance: f64| {
        let deviation = variance.sqrt();
        (0..count).map(|_| deviation * stream.normal()).collect()
    };
    match init {
        Init::Lecun | Init::UnitGaussian => gaussian(1.0 / fan_in as f64),
        Init::He => gaussian(2.0 / fan_in as f64),
        Init::Glorot => gaussian(2.0 / (fan_in + fan_out) as f64),
        Init::Paper => {
            let bound = 1.0 / f64::from(width.unwrap_or(1));
            (0..count).map(|_| bound * (2.0 * stream.unit() - 1.0)).collect()
        }
        Init::Orthogonal if fan_out <= fan_in => orthonormal_rows(stream, fan_out, fan_in),
        Init::Orthogonal => transpose(&orthonormal_rows(stream, fan_in, fan_out), fan_out),
    }
}

/// The transpose of `matrix`, whose rows have `columns` entries.
fn transpose(matrix: &[f64], columns: usize) -> Vec<f64> {
    (0..columns).flat_map(|j| matrix.iter().skip(j).step_by(columns).copied()).collect()
}

#[cfg(test)]
mod tests {
    use domain::spec::{Activation, Precision, Shape};

    use super::*;
    use crate::nn::kernel::dot;

    fn model(init: Init, width: u32) -> Model {
        let shape = Shape::Mlp { width, depth: 1, activation: Activation::Tanh };
        let output = Activation::Tanh;
        Model { shape, output, init, bias: true, outputs: 3, precision: Precision::F64 }
    }

    /// The variance of 100 x 200 draws has a standard error of about 1% of itself; four are allowed.
    #[test]
    fn weights_have_the_variance_of_their_initialisation() {
        for (init, variance) in [
            (Init::Paper, 1.0 / (3.0 * 100.0 * 100.0)),
            (Init::Lecun, 1.0 / 200.0),
            (Init::UnitGaussian, 1.0 / 200.0),
            (Init::He, 2.0 / 200.0),
            (Init::Glorot, 2.0 / 300.0),
            (Init::Orthogonal, 1.0 / 200.0),
        ] {
            let network: Network<f64> = initialise(&model(init, 100), 200, 5);
            let weights = network.weights(0);
            let found = dot(weights, weights) / weights.len() as f64;
            assert!((found / variance - 1.0).abs() < 0.04, "{init:?}: {found} {variance}");
            assert!(network.biases(0).iter().all(|&bias| bias == 0.0));
        }
    }

    #[test]
    fn a_tall_orthogonal_matrix_has_orthonormal_columns() {
        let network: Network<f64> = initialise(&model(Init::Orthogonal, 9), 4, 5);
        let columns = transpose(network.weights(0), 4);
        for (i, a) in columns.chunks_exact(9).enumerate() {
            for (j, b) in columns.chunks_exact(9).enumerate() {
                assert!((dot(a, b) - f64::from(i == j)).abs() < 1e-15);
            }
        }
    }

    #[test]
    fn f32_weights_are_the_rounded_f64_ones() {
        let model = model(Init::He, 7);
        let (single, double): (Network<f32>, Network<f64>) =
            (initialise(&model, 5, 1), initialise(&model, 5, 1));
        let rounded: Vec<f32> = double.parameters().iter().map(|&w| w as f32).collect();
        assert_eq!(single.parameters(), rounded);
    }
}

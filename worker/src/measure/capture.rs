//! What the pairs of per-example gradients are computed from: every layer's inputs and deltas.

use domain::spec::{Activation, Loss};

use crate::data::Examples;
use crate::nn::kernel::{Strides, combine, dot};
use crate::nn::{Network, Pass, Real};

/// The per-example gradients of some examples, in factors: gᵢ of layer p is δ_pⁱ (a_pⁱ)ᵀ, and δ_pⁱ for its biases.
#[derive(Clone, Debug)]
pub struct Capture {
    /// Examples, N.
    pub count: usize,
    pub layers: Vec<LayerCapture>,
    /// The smallest positive normal number of the network's precision.
    pub min_positive: f64,
    /// Per example: whether in exact arithmetic every layer's gradient is non-zero, so that a zero is an underflow.
    pub is_live: Vec<bool>,
    /// Whether every captured number is finite.
    pub is_finite: bool,
}

/// One layer's factors, in f64 whatever the network's precision: products of f32 deltas do not underflow here.
#[derive(Clone, Debug)]
pub struct LayerCapture {
    pub fan_in: usize,
    pub fan_out: usize,
    pub has_bias: bool,
    /// a_p: `[N, fan_in]`.
    pub inputs: Vec<f64>,
    /// δ_p: `[N, fan_out]`.
    pub deltas: Vec<f64>,
}

/// Examples of one pass.
const TILE: usize = 64;

impl Capture {
    /// The factors at `network` of the gradients of the examples that `chosen` names, in that order.
    pub fn take<T: Real>(
        network: &Network<T>,
        examples: &Examples<T>,
        loss: Loss,
        chosen: &[u32],
    ) -> Self {
        let mut layers: Vec<LayerCapture> = network
            .layers()
            .iter()
            .map(|layer| LayerCapture {
                fan_in: layer.fan_in,
                fan_out: layer.fan_out,
                has_bias: layer.has_bias,
                inputs: Vec::with_capacity(chosen.len() * layer.fan_in),
                deltas: Vec::with_capacity(chosen.len() * layer.fan_out),
            })
            .collect();
        let mut pass = Pass::new(network, TILE);
        let mut inputs = vec![T::ZERO; TILE * network.dim()];
        let mut targets = vec![T::ZERO; TILE * network.outputs()];
        for tile in chosen.chunks(TILE) {
            let rows = tile.len();
            let inputs = &mut inputs[..rows * network.dim()];
            let targets = &mut targets[..rows * network.outputs()];
            examples.gather(tile, inputs, targets);
            pass.forward(network, inputs);
            pass.backward(network, loss, targets, rows);
            for (p, layer) in layers.iter_mut().enumerate() {
                let read = pass.layer_inputs(p, inputs, rows);
                layer.inputs.extend(read.iter().map(|a| a.to_f64()));
                layer.deltas.extend(pass.deltas(p, rows).iter().map(|d| d.to_f64()));
            }
        }
        let finite = |numbers: &[f64]| numbers.iter().all(|x| x.is_finite());
        let is_finite = layers.iter().all(|layer| finite(&layer.inputs) && finite(&layer.deltas));
        let is_live = live(network, &layers, chosen.len());
        Self { count: chosen.len(), layers, min_positive: T::MIN_POSITIVE, is_live, is_finite }
    }
}

impl LayerCapture {
    /// Whether the layer's gradient of example `i` has factors that are both non-zero.
    pub fn is_touched(&self, i: usize) -> bool {
        let read = self.has_bias || self.input(i).iter().any(|&a| a != 0.0);
        read && self.delta(i).iter().any(|&d| d != 0.0)
    }

    /// |gᵢ|² of the layer: (|a|² + 1[bias]) |δ|².
    pub fn sq_norm(&self, i: usize) -> f64 {
        let (a, d) = (self.input(i), self.delta(i));
        (dot(a, a) + f64::from(self.has_bias)) * dot(d, d)
    }

    /// |Σᵢ gᵢ|² of the layer, from the summed gradient itself, which cancels less than a sum of inner products.
    pub fn sq_norm_of_sum(&self) -> f64 {
        let mut sum = vec![0.0; self.fan_out * self.fan_in];
        let strides = Strides { row: 1, term: self.fan_out };
        combine(&self.deltas, strides, &self.inputs, self.fan_in, &mut sum);
        let mut square = dot(&sum, &sum);
        if self.has_bias {
            for k in 0..self.fan_out {
                let sum = self.deltas.iter().skip(k).step_by(self.fan_out).sum::<f64>();
                square += sum * sum;
            }
        }
        square
    }

    fn input(&self, i: usize) -> &[f64] {
        &self.inputs[i * self.fan_in..(i + 1) * self.fan_in]
    }

    fn delta(&self, i: usize) -> &[f64] {
        &self.deltas[i * self.fan_out..(i + 1) * self.fan_out]
    }
}

/// Per example: the output's delta and the input are non-zero, and nothing between them can stop the signal but
/// underflow: weights that are not all zero, activations that vanish at 0 alone, and no saturated unit.
fn live<T: Real>(network: &Network<T>, layers: &[LayerCapture], count: usize) -> Vec<bool> {
    let last = layers.len() - 1;
    let passes = |activation| matches!(activation, Activation::Tanh | Activation::Identity);
    let open = network.layers()[..last].iter().all(|layer| passes(layer.activation))
        && (0..=last).all(|p| network.weights(p).iter().any(|&w| w != T::ZERO));
    let saturated = |p: usize, i: usize| {
        network.layers()[p - 1].activation == Activation::Tanh
            && layers[p].input(i).iter().any(|a| a.abs() == 1.0)
    };
    let nonzero = |numbers: &[f64]| numbers.iter().any(|&x| x != 0.0);
    (0..count)
        .map(|i| {
            open && nonzero(layers[0].input(i))
                && nonzero(layers[last].delta(i))
                && !(1..=last).any(|p| saturated(p, i))
        })
        .collect()
}

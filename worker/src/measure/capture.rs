//! What the pairs of per-example gradients are computed from: every layer's inputs and deltas.

use std::cell::OnceCell;

use domain::spec::{Activation, Loss};

use super::gram::Blocks;
use super::tiles::TILE;
use crate::data::Examples;
use crate::nn::kernel::dot;
use crate::nn::{Network, Pass, Real};

/// The per-example gradients of some examples, in factors: gᵢ of layer p is δ_pⁱ (a_pⁱ)ᵀ, and δ_pⁱ for its biases.
pub struct Capture<'a, T> {
    /// Examples, N.
    pub count: usize,
    pub layers: Vec<LayerCapture<T>>,
    /// The smallest positive normal number of the network's precision.
    pub min_positive: f64,
    /// Per example: whether in exact arithmetic every layer's gradient is non-zero, so that a zero is an underflow.
    pub is_live: Vec<bool>,
    /// Whether every captured number is finite.
    pub is_finite: bool,
    network: &'a Network<T>,
    examples: &'a Examples<T>,
    loss: Loss,
    chosen: &'a [u32],
    sums: OnceCell<Vec<f64>>,
}

/// One layer's factors.
pub struct LayerCapture<T> {
    pub has_bias: bool,
    /// a_p.
    pub inputs: Blocks<T>,
    /// δ_p.
    pub deltas: Blocks<T>,
    /// |gᵢ|² of the layer: (|a|² + 1[bias]) |δ|².
    pub sq_norms: Vec<f64>,
    /// Whether the layer's gradient of each example has factors that are both non-zero.
    pub is_touched: Vec<bool>,
}

/// Tiles that are passed together, so that the weights are read once for all of them, and whose gradients are summed in the
/// network's precision before they are added in f64.
const TILES: usize = 4;

/// Examples that are passed together.
pub const COMPARED: usize = TILES * TILE;

impl<'a, T: Real> Capture<'a, T> {
    /// The factors at `network` of the gradients of the examples that `chosen` names, in that order.
    pub fn take(
        network: &'a Network<T>,
        examples: &'a Examples<T>,
        loss: Loss,
        chosen: &'a [u32],
    ) -> Self {
        let count = chosen.len();
        let mut layers: Vec<LayerCapture<T>> = network
            .layers()
            .iter()
            .map(|layer| LayerCapture {
                has_bias: layer.has_bias,
                inputs: Blocks::new(count, layer.fan_in),
                deltas: Blocks::new(count, layer.fan_out),
                sq_norms: Vec::with_capacity(count),
                is_touched: Vec::with_capacity(count),
            })
            .collect();
        let (mut is_live, mut is_finite) = (Vec::with_capacity(count), true);
        let is_open = is_open(network);
        let mut wide = Vec::new();
        let mut runner = Runner::new(network, examples, loss, chosen);
        while let Some((first, inputs, pass)) = runner.next_tiles() {
            let rows = inputs.len() / network.dim();
            is_live.resize(is_live.len() + rows, is_open);
            let lives = &mut is_live[first * TILE..];
            for (p, layer) in layers.iter_mut().enumerate() {
                let (a, d) = (pass.layer_inputs(p, inputs, rows), pass.deltas(p, rows));
                let (fan_in, fan_out) = (a.len() / rows, d.len() / rows);
                for (block, a) in (first..).zip(a.chunks(TILE * fan_in)) {
                    layer.inputs.put(block, a);
                }
                for (block, d) in (first..).zip(d.chunks(TILE * fan_out)) {
                    layer.deltas.put(block, d);
                }
                let each = a.chunks_exact(fan_in).zip(d.chunks_exact(fan_out)).zip(&mut *lives);
                for ((a, d), is_live) in each {
                    let [a_square, d_square] = [a, d].map(|row| square(row, &mut wide));
                    let bias = f64::from(layer.has_bias);
                    layer.sq_norms.push((a_square + bias) * d_square);
                    is_finite &= a_square.is_finite() && d_square.is_finite();
                    let [reads, moves] = [a, d].map(|row| row.iter().any(|&x| x != T::ZERO));
                    layer.is_touched.push((reads || layer.has_bias) && moves);
                    let is_dead = match p {
                        0 => !reads,
                        _ => is_saturated(network.layers()[p - 1].activation, a),
                    };
                    let is_last = p + 1 == network.layers().len();
                    *is_live &= !is_dead && (moves || !is_last);
                }
            }
        }
        let min_positive = T::MIN_POSITIVE;
        let sums = OnceCell::new();
        Self {
            count,
            layers,
            min_positive,
            is_live,
            is_finite,
            network,
            examples,
            loss,
            chosen,
            sums,
        }
    }

    /// |Σᵢ gᵢ|² of each layer, from the summed gradient itself, which cancels less than a sum of inner products.
    ///
    /// # Numerics
    /// 256 examples after 256 are summed in the network's precision, then in f64.
    ///
    /// # Cost
    /// The passes of all examples once more.
    pub fn sq_norms_of_sum(&self) -> &[f64] {
        self.sums.get_or_init(|| {
            let parameters = self.network.parameters().len();
            let (mut sum, mut some) = (vec![0.0; parameters], vec![T::ZERO; parameters]);
            let mut runner = Runner::new(self.network, self.examples, self.loss, self.chosen);
            while let Some((_, inputs, pass)) = runner.next_tiles() {
                pass.gradient(self.network, inputs, &mut some);
                sum.iter_mut().zip(&some).for_each(|(sum, some)| *sum += some.to_f64());
            }
            let square = |part: &[f64]| part.iter().fold(0.0, |square, x| square + x * x);
            self.network.layer_ranges().into_iter().map(|range| square(&sum[range])).collect()
        })
    }
}

/// Runs the passes of some examples, a few tiles at a time.
struct Runner<'a, T> {
    network: &'a Network<T>,
    examples: &'a Examples<T>,
    loss: Loss,
    chosen: std::iter::Enumerate<std::slice::Chunks<'a, u32>>,
    pass: Pass<T>,
    inputs: Vec<T>,
    targets: Vec<T>,
}

impl<'a, T: Real> Runner<'a, T> {
    fn new(
        network: &'a Network<T>,
        examples: &'a Examples<T>,
        loss: Loss,
        chosen: &'a [u32],
    ) -> Self {
        let rows = chosen.len().clamp(1, COMPARED);
        Self {
            network,
            examples,
            loss,
            chosen: chosen.chunks(COMPARED).enumerate(),
            pass: Pass::new(network, rows),
            inputs: vec![T::ZERO; rows * network.dim()],
            targets: vec![T::ZERO; rows * network.outputs()],
        }
    }

    /// The number of the next tile, the inputs of this and those after it, and the pass that has seen them.
    fn next_tiles(&mut self) -> Option<(usize, &[T], &mut Pass<T>)> {
        let (number, tiles) = self.chosen.next()?;
        let rows = tiles.len();
        let inputs = &mut self.inputs[..rows * self.network.dim()];
        let targets = &mut self.targets[..rows * self.network.outputs()];
        self.examples.gather(tiles, inputs, targets);
        self.pass.forward(self.network, inputs);
        self.pass.backward(self.network, self.loss, targets, rows);
        Some((number * TILES, inputs, &mut self.pass))
    }
}

/// |row|² in f64; `wide` is for a copy.
fn square<T: Real>(row: &[T], wide: &mut Vec<f64>) -> f64 {
    wide.clear();
    wide.extend(row.iter().map(|x| x.to_f64()));
    dot(wide, wide)
}

/// Whether nothing between input and output can stop a signal but underflow or a saturated unit: weights that are not all
/// zero, and activations that vanish at 0 alone.
fn is_open<T: Real>(network: &Network<T>) -> bool {
    let last = network.layers().len() - 1;
    let passes = |activation| matches!(activation, Activation::Tanh | Activation::Identity);
    network.layers()[..last].iter().all(|layer| passes(layer.activation))
        && (0..=last).all(|p| network.weights(p).iter().any(|&w| w != T::ZERO))
}

/// Whether some unit of `outputs` has a derivative that is zero by rounding.
fn is_saturated<T: Real>(activation: Activation, outputs: &[T]) -> bool {
    activation == Activation::Tanh && outputs.iter().any(|&a| a == T::ONE || a == -T::ONE)
}

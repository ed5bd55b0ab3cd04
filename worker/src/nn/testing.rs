//! Models and examples for the tests of this crate.

use domain::spec::{Activation, Init, Loss, Model, Precision, Shape};

use super::lanes::{LANES, Lanes, Portable};
use super::{Network, Pass, Real, initialise};
use crate::data::{Examples, Label};
use crate::random::Stream;

/// A multilayer perceptron in f64 with LeCun weights.
pub fn mlp(width: u32, depth: u32, hidden: Activation, output: Activation) -> Model {
    Model {
        shape: Shape::Mlp { width, depth, activation: hidden },
        output,
        init: Init::Lecun,
        bias: false,
        outputs: 1,
        precision: Precision::F64,
    }
}

/// Its network, with biases that are not 0 where it has any.
pub fn network<T: Real>(model: &Model, dim: u32, seed: u64) -> Network<T> {
    let mut network = initialise(model, dim, seed);
    let mut stream = Stream::new(seed, "test biases", 0);
    for p in 0..network.layers().len() {
        for bias in network.layer_mut(p).1 {
            *bias = T::from_f64(0.3 * stream.normal());
        }
    }
    network
}

/// `count` Gaussian examples whose targets suit `loss`.
pub fn examples<T: Real>(
    count: usize,
    dim: usize,
    outputs: usize,
    loss: Loss,
    seed: u64,
) -> Examples<T> {
    let mut stream = Stream::new(seed, "test examples", 0);
    let inputs = (0..count * dim).map(|_| T::from_f64(stream.normal())).collect();
    let mut targets = Vec::new();
    let mut labels = Vec::new();
    for _ in 0..count {
        let class = stream.index(outputs.max(2) as u32);
        labels.push(Label::Class(class));
        for k in 0..outputs as u32 {
            targets.push(T::from_f64(match loss {
                Loss::Squared => stream.normal(),
                Loss::Logistic => {
                    if k == class {
                        1.0
                    } else {
                        -1.0
                    }
                }
                Loss::CrossEntropy => f64::from(k == class.min(outputs as u32 - 1)),
            }));
        }
    }
    Examples { inputs, labels, targets }
}

/// ∇fᵢ of one example, formed.
pub fn gradient_of<T: Real>(
    network: &Network<T>,
    examples: &Examples<T>,
    loss: Loss,
    i: usize,
) -> Vec<T> {
    let (dim, outputs) = (network.dim(), network.outputs());
    let input = &examples.inputs[i * dim..(i + 1) * dim];
    let mut pass = Pass::new(network, 1);
    pass.forward(network, input);
    pass.backward(network, loss, &examples.targets[i * outputs..(i + 1) * outputs], 1);
    let mut gradient = vec![T::ZERO; network.parameters().len()];
    pass.gradient(network, input, &mut gradient);
    gradient
}

/// Every activation.
pub fn activations() -> impl Iterator<Item = Activation> + Clone {
    Activation::WORDS.iter().filter_map(|word| Activation::from_word(word))
}

/// Every loss.
pub fn losses() -> impl Iterator<Item = Loss> + Clone {
    Loss::WORDS.iter().filter_map(|word| Loss::from_word(word))
}

/// Lanes in an array whose kernels block as for the widest registers there are: so that every machine tests how they do.
#[derive(Clone, Copy)]
pub struct Wide<T>(Portable<T>);

impl<T: Real> Lanes<T> for Wide<T> {
    type Half = [T; 8];
    const SUMS: usize = 16;

    fn splat(x: T) -> Self {
        Self(Portable::splat(x))
    }
    fn load(from: &[T; LANES]) -> Self {
        Self(Portable::load(from))
    }
    fn store(self, to: &mut [T; LANES]) {
        self.0.store(to);
    }
    fn mul_add(self, factor: Self, term: Self) -> Self {
        Self(self.0.mul_add(factor.0, term.0))
    }
    fn mul(self, factor: Self) -> Self {
        Self(self.0.mul(factor.0))
    }
    fn add(self, term: Self) -> Self {
        Self(self.0.add(term.0))
    }
    fn sub(self, term: Self) -> Self {
        Self(self.0.sub(term.0))
    }
    fn rectified(self) -> Self {
        Self(self.0.rectified())
    }
    fn where_positive(self, gate: Self) -> Self {
        Self(self.0.where_positive(gate.0))
    }
    fn halved(self) -> [T; 8] {
        self.0.halved()
    }
    fn add_halves(rows: [[T; 8]; 8]) -> [T; 8] {
        Portable::<T>::add_halves(rows)
    }
}

//! The model of a job: its shape, activations, initialisation and number format.

use super::{Conv, words};

/// A model, ready to be built.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    pub shape: Shape,
    /// Activation of the output units; the poster applies σ there too.
    pub output: Activation,
    pub init: Init,
    /// Whether every layer has biases; `false` for a convolutional network, whose classifier alone has them.
    pub bias: bool,
    /// Number of output units, c.
    pub outputs: u32,
    pub precision: Precision,
}

/// Which network it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// One weight matrix `[c, d]`, trained as a regression.
    Linear,
    /// One weight matrix `[c, d]`, trained with the logistic loss.
    Logistic,
    /// The poster's network: `depth` hidden-to-hidden matrices, so `depth + 2` weight matrices and `depth + 1` hidden
    /// layers of `width` units.
    Mlp { width: u32, depth: u32, activation: Activation },
    /// A Wide ResNet, or what is left of one.
    Conv(Conv),
}

impl Model {
    /// The word of `model.kind`.
    pub fn kind(&self) -> &'static str {
        match self.shape {
            Shape::Linear => "linear",
            Shape::Logistic => "logistic",
            Shape::Mlp { .. } => "mlp",
            Shape::Conv(conv) => conv.kind.as_str(),
        }
    }

    /// Hidden width l, or the width factor k of a convolutional network; `None` where there is no hidden layer.
    pub fn width(&self) -> Option<u32> {
        match self.shape {
            Shape::Linear | Shape::Logistic => None,
            Shape::Mlp { width, .. } | Shape::Conv(Conv { width, .. }) => Some(width),
        }
    }

    /// Depth β: the number of hidden-to-hidden matrices, or the 6n + 4 of a convolutional network; `None` where there is
    /// no hidden layer.
    pub fn depth(&self) -> Option<u32> {
        match self.shape {
            Shape::Linear | Shape::Logistic => None,
            Shape::Mlp { depth, .. } | Shape::Conv(Conv { depth, .. }) => Some(depth),
        }
    }

    /// Activation of the hidden layers; `None` where there is none.
    pub fn activation(&self) -> Option<Activation> {
        match self.shape {
            Shape::Linear | Shape::Logistic => None,
            Shape::Mlp { activation, .. } => Some(activation),
            Shape::Conv(_) => Some(Activation::Relu),
        }
    }

    /// The convolutional network that it is, if it is one.
    pub fn conv(&self) -> Option<Conv> {
        match self.shape {
            Shape::Linear | Shape::Logistic | Shape::Mlp { .. } => None,
            Shape::Conv(conv) => Some(conv),
        }
    }

    /// The shape `(fan_out, fan_in)` of every weight matrix, from the input of `dim` entries on. The matrix of a
    /// convolution has a row for each output channel, and the entries of one patch as columns.
    pub fn weight_shapes(&self, dim: u32) -> Vec<(u32, u32)> {
        match self.shape {
            Shape::Linear | Shape::Logistic => vec![(self.outputs, dim)],
            Shape::Mlp { width, depth, .. } => {
                let mut shapes = vec![(width, dim)];
                shapes.extend((0..depth).map(|_| (width, width)));
                shapes.push((self.outputs, width));
                shapes
            }
            Shape::Conv(conv) => conv.weight_shapes(self.outputs),
        }
    }

    /// The number of trained numbers, biases included, for inputs of `dim` entries.
    pub fn parameters(&self, dim: u32) -> u64 {
        let count = |(rows, columns): (u32, u32)| {
            u64::from(rows) * (u64::from(columns) + u64::from(self.bias))
        };
        let weights: u64 = self.weight_shapes(dim).into_iter().map(count).sum();
        // Only the classifier of a convolutional network has biases, and it always has.
        weights + self.conv().map_or(0, |conv| u64::from(self.outputs) + conv.norm_parameters())
    }
}

words! {
    /// An activation σ. Softmax acts over the units of its layer.
    Activation {
        Tanh = "tanh",
        Sigmoid = "sigmoid",
        Softmax = "softmax",
        Relu = "relu",
        Identity = "identity",
    }
}

words! {
    /// How weights start. Biases start at 0.
    Init {
        /// Uniform on ±1/l in every matrix: the poster's box.
        Paper = "paper",
        /// N(0, 1/fan_in).
        Lecun = "lecun",
        /// N(0, 2/fan_in).
        He = "he",
        /// N(0, 2/(fan_in + fan_out)).
        Glorot = "glorot",
        /// Orthonormal rows, or columns where there are more rows than columns.
        Orthogonal = "orthogonal",
        /// w₀ ~ N(0, I/d): the poster's SGD box for linear models.
        UnitGaussian = "unit-gaussian",
    }
}

words! {
    /// The number format of weights, activations and gradients.
    Precision { F32 = "f32", F64 = "f64" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_hidden_to_hidden_matrices() {
        let shape = Shape::Mlp { width: 3, depth: 2, activation: Activation::Tanh };
        let mut model = Model {
            shape,
            output: Activation::Tanh,
            init: Init::Paper,
            bias: false,
            outputs: 1,
            precision: Precision::F64,
        };
        assert_eq!(model.weight_shapes(4), [(3, 4), (3, 3), (3, 3), (1, 3)]);
        assert_eq!(model.parameters(4), 12 + 9 + 9 + 3);
        model.bias = true;
        assert_eq!(model.parameters(4), 12 + 9 + 9 + 3 + 10);
        model.shape = Shape::Linear;
        assert_eq!((model.parameters(4), model.width()), (5, None));
    }
}

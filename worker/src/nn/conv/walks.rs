//! Over which pixels the three passes of a convolution go: plans that are made once.

use super::grid::Grid;
use super::layout::ConvLayer;

/// How pixels of one buffer are visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    pub start: usize,
    pub image: usize,
    pub row: usize,
    pub step: usize,
}

/// A sum over shifted pixels, for each pixel of a rectangle: `out[p] = Σ over taps of input[p + offset] · weights[tap]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walks {
    pub input: Walk,
    pub out: Walk,
    /// Numbers of a pixel of the input and of the output.
    pub inputs: usize,
    pub outputs: usize,
    pub rows: usize,
    pub columns: usize,
    /// Offset in the input, and number of the weight, of every tap, in the order of summation.
    pub taps: Vec<(usize, usize)>,
    /// Weights that there are: more than taps where strides leave some out.
    pub weights: usize,
}

/// The forward walk of `layer` from `from` to `to`: pixel (y, x) reads around (stride y, stride x).
pub fn forward(layer: &ConvLayer, from: Grid, to: Grid) -> Walks {
    let tap = |t: usize| {
        let (dy, dx) = if layer.kernel == 3 { (t / 3, t % 3) } else { (1, 1) };
        (dy * from.row() + dx * from.channels, t)
    };
    Walks {
        input: Walk {
            start: 0,
            image: from.image(),
            row: layer.stride * from.row(),
            step: layer.stride * from.channels,
        },
        out: Walk { start: to.start(), image: to.image(), row: to.row(), step: to.channels },
        inputs: layer.inputs,
        outputs: layer.outputs,
        rows: to.side,
        columns: to.side,
        taps: (0..layer.kernel * layer.kernel).map(tap).collect(),
        weights: layer.kernel * layer.kernel,
    }
}

/// The walks of the gradient in the input, from one of the output: one for each parity of row and column that a stride
/// tells apart, so that no zero is multiplied.
///
/// ```text
/// ∂/∂x(y) = Σ over ky with y + 1 − ky = stride · v of  w(ky) ∂/∂z(v)
/// ```
pub fn backward(layer: &ConvLayer, from: Grid, to: Grid) -> Vec<Walks> {
    let stride = layer.stride;
    let walks = |(odd_y, odd_x): (usize, usize)| {
        // The taps whose pixel is on the stride, with that pixel's shift in the padded output.
        let shift = |odd: usize, k: usize| {
            let sum = odd + 1 + 2 * stride - k;
            sum.is_multiple_of(stride).then(|| sum / stride - 1)
        };
        let one = |odd: usize| (odd == 0).then_some(1);
        let tap = |t: usize| {
            let (dy, dx) = if layer.kernel == 3 {
                (shift(odd_y, t / 3)?, shift(odd_x, t % 3)?)
            } else {
                (one(odd_y)?, one(odd_x)?)
            };
            Some((dy * to.row() + dx * to.channels, t))
        };
        let weights = layer.kernel * layer.kernel;
        Walks {
            input: Walk { start: 0, image: to.image(), row: to.row(), step: to.channels },
            out: Walk {
                start: from.start() + odd_y * from.row() + odd_x * from.channels,
                image: from.image(),
                row: stride * from.row(),
                step: stride * from.channels,
            },
            inputs: layer.outputs,
            outputs: layer.inputs,
            rows: (from.side - odd_y).div_ceil(stride),
            columns: (from.side - odd_x).div_ceil(stride),
            taps: (0..weights).filter_map(tap).collect(),
            weights,
        }
    };
    let parities = (0..stride).flat_map(|y| (0..stride).map(move |x| (y, x)));
    parities.map(walks).filter(|walks| !walks.taps.is_empty()).collect()
}

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

/// Neighbouring pixels that a sum reads in one go: their channels follow one another in the image, and so do their
/// weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where the first pixel lies from the one that the sum begins at.
    pub offset: usize,
    /// The first row of weights, of 16 output channels each.
    pub weight: usize,
    /// Numbers of all its pixels.
    pub len: usize,
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
    /// The taps in the order of summation, by their number in the weights.
    pub taps: Vec<usize>,
    /// The same as runs of neighbours.
    pub runs: Vec<Run>,
}

impl Walks {
    /// Numbers that a sum reads for each output channel: rows of weights.
    pub fn terms(&self) -> usize {
        self.taps.len() * self.inputs
    }
}

/// The taps, and those that are neighbours as one run: `places` has the number of each and its offset, in the order of
/// summation.
fn runs(places: &[(usize, usize)], channels: usize) -> (Vec<usize>, Vec<Run>) {
    let mut runs: Vec<Run> = Vec::new();
    for (i, &(_, offset)) in places.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if run.offset + run.len == offset => run.len += channels,
            _ => runs.push(Run { offset, weight: i * channels, len: channels }),
        }
    }
    (places.iter().map(|&(tap, _)| tap).collect(), runs)
}

/// The forward walk of `layer` from `from` to `to`: pixel (y, x) reads around (stride y, stride x).
pub fn forward(layer: &ConvLayer, from: Grid, to: Grid) -> Walks {
    let place = |t: usize| {
        let (dy, dx) = if layer.kernel == 3 { (t / 3, t % 3) } else { (1, 1) };
        (t, dy * from.row() + dx * from.channels)
    };
    let places: Vec<_> = (0..layer.kernel * layer.kernel).map(place).collect();
    let (taps, runs) = runs(&places, layer.inputs);
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
        taps,
        runs,
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
        let place = |t: usize| {
            let (dy, dx) = if layer.kernel == 3 {
                (shift(odd_y, t / 3)?, shift(odd_x, t % 3)?)
            } else {
                (one(odd_y)?, one(odd_x)?)
            };
            Some((t, dy * to.row() + dx * to.channels))
        };
        let mut places: Vec<_> = (0..layer.kernel * layer.kernel).filter_map(place).collect();
        places.sort_by_key(|&(_, offset)| offset);
        let (taps, runs) = runs(&places, layer.outputs);
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
            taps,
            runs,
        }
    };
    let parities = (0..stride).flat_map(|y| (0..stride).map(move |x| (y, x)));
    parities.map(walks).filter(|walks| !walks.taps.is_empty()).collect()
}

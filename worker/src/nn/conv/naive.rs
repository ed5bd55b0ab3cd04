//! The network once more, as plainly as it can be written: no borders, no blocks, one loop a dimension.

use domain::spec::{Conv, Loss};

use crate::nn::loss_and_gradient;

/// Images `[n][y][x][c]`, flat.
#[derive(Clone)]
pub struct Images {
    pub n: usize,
    pub side: usize,
    pub channels: usize,
    pub x: Vec<f64>,
}

impl Images {
    /// Images of zeros.
    pub fn zeros(n: usize, side: usize, channels: usize) -> Self {
        Self { n, side, channels, x: vec![0.0; n * side * side * channels] }
    }

    /// Where one number lies.
    pub fn place(&self, i: usize, y: usize, x: usize, c: usize) -> usize {
        ((i * self.side + y) * self.side + x) * self.channels + c
    }
}

/// Calls `each(place in the input, place in the weights [k, k, in, out], place in the output)` for every product of a
/// convolution.
pub fn products(
    input: &Images,
    out: &Images,
    (kernel, stride): (usize, usize),
    mut each: impl FnMut(usize, usize, usize),
) {
    let border = kernel / 2;
    for i in 0..out.n {
        for y in 0..out.side {
            for x in 0..out.side {
                for ky in 0..kernel {
                    for kx in 0..kernel {
                        let (iy, ix) = (y * stride + ky, x * stride + kx);
                        let inside = |p: usize| p >= border && p - border < input.side;
                        if !inside(iy) || !inside(ix) {
                            continue;
                        }
                        for c in 0..input.channels {
                            let from = input.place(i, iy - border, ix - border, c);
                            for k in 0..out.channels {
                                let w =
                                    ((ky * kernel + kx) * input.channels + c) * out.channels + k;
                                each(from, w, out.place(i, y, x, k));
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The convolution of `input` with `weights`.
pub fn convolve(
    input: &Images,
    weights: &[f64],
    channels: usize,
    (kernel, stride): (usize, usize),
) -> Images {
    let mut out = Images::zeros(input.n, input.side.div_ceil(stride), channels);
    let mut sums = out.x.clone();
    products(input, &out, (kernel, stride), |from, w, to| sums[to] += input.x[from] * weights[w]);
    out.x = sums;
    out
}

/// Reads the numbers of a network in the order of its parameters.
struct Reader<'a> {
    parameters: &'a [f64],
    statistics: &'a [f64],
    is_train: bool,
    batch_norm: bool,
}

impl Reader<'_> {
    fn take<'b>(from: &mut &'b [f64], count: usize) -> &'b [f64] {
        let (head, tail) = from.split_at(count);
        *from = tail;
        head
    }

    /// max(0, norm(x)).
    fn activate(&mut self, images: &Images) -> Images {
        let mut out = images.clone();
        let channels = images.channels;
        if self.batch_norm {
            let scales = Self::take(&mut self.parameters, channels);
            let shifts = Self::take(&mut self.parameters, channels);
            let means = Self::take(&mut self.statistics, channels);
            let variances = Self::take(&mut self.statistics, channels);
            for c in 0..channels {
                let of_channel = || images.x.iter().skip(c).step_by(channels);
                let count = of_channel().count() as f64;
                let (mut mean, mut variance) = (means[c], variances[c]);
                if self.is_train {
                    mean = of_channel().sum::<f64>() / count;
                    variance = of_channel().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
                }
                for x in out.x.iter_mut().skip(c).step_by(channels) {
                    *x = (*x - mean) / (variance + 1e-5).sqrt() * scales[c] + shifts[c];
                }
            }
        }
        out.x.iter_mut().for_each(|x| *x = x.max(0.0));
        out
    }

    fn convolve(&mut self, images: &Images, channels: usize, shape: (usize, usize)) -> Images {
        let count = shape.0 * shape.0 * images.channels * channels;
        let weights = Self::take(&mut self.parameters, count);
        convolve(images, weights, channels, shape)
    }
}

/// The outputs of a network of `conv` for `images`.
pub fn outputs(
    conv: &Conv,
    (parameters, statistics): (&[f64], &[f64]),
    images: &Images,
    classes: usize,
    is_train: bool,
) -> Vec<f64> {
    let batch_norm = conv.batch_norm;
    let mut reader = Reader { parameters, statistics, is_train, batch_norm };
    let mut x = reader.convolve(images, 16, (3, 1));
    for block in conv.blocks() {
        let (channels, stride) = (block.outputs as usize, block.stride as usize);
        let activated = reader.activate(&x);
        let middle = reader.convolve(&activated, channels, (3, stride));
        let middle = reader.activate(&middle);
        let mut out = reader.convolve(&middle, channels, (3, 1));
        if conv.projects(block) {
            let shortcut = reader.convolve(&activated, channels, (1, stride));
            out.x.iter_mut().zip(&shortcut.x).for_each(|(a, b)| *a += b);
        } else if conv.skip {
            out.x.iter_mut().zip(&x.x).for_each(|(a, b)| *a += b);
        }
        x = out;
    }
    let last = reader.activate(&x);
    let weights = Reader::take(&mut reader.parameters, classes * last.channels);
    let biases = Reader::take(&mut reader.parameters, classes);
    let pixels = last.side * last.side;
    let mut outputs = Vec::new();
    for image in last.x.chunks_exact(pixels * last.channels) {
        for k in 0..classes {
            let mut sum = biases[k];
            for (at, x) in image.iter().enumerate() {
                sum += weights[k * last.channels + at % last.channels] * x / pixels as f64;
            }
            outputs.push(sum);
        }
    }
    assert!(reader.parameters.is_empty() && (!batch_norm || reader.statistics.is_empty()));
    outputs
}

/// The sum of the losses of some outputs.
pub fn loss(loss: Loss, outputs: &[f64], targets: &[f64], classes: usize) -> f64 {
    let examples = outputs.chunks_exact(classes).zip(targets.chunks_exact(classes));
    examples.map(|(g, c)| loss_and_gradient(loss, g, c, &mut vec![0.0; classes])).sum()
}

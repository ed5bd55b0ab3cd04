//! Batch norm with the ReLU after it, and the ReLU alone where there is no batch norm.
//!
//! ```text
//! x̂ = (x − mean) / √(variance + ε),   a = max(0, γ x̂ + β)
//! ```
//!
//! In train mode mean and variance are those of the minibatch over images and pixels; in eval mode the running ones,
//! which are constants, so that each example has a gradient of its own.

use super::LANES;
use super::grid::Grid;
use crate::nn::Real;
use crate::nn::dispatch::{Kernel, dispatch};

/// ε of the variance.
const EPSILON: f64 = 1e-5;
/// The share of a minibatch in the running statistics.
const MOMENTUM: f64 = 0.1;

/// What one batch norm subtracts and multiplies with, and buffers for its sums.
#[derive(Clone, Debug)]
pub struct Moments<T> {
    means: Vec<T>,
    /// Of a minibatch: the mean squares of the differences from the mean.
    variances: Vec<T>,
    /// 1 / √(variance + ε).
    inverses: Vec<T>,
    /// Sums over images and pixels.
    sums: [Vec<f64>; 2],
}

impl<T: Real> Moments<T> {
    /// For `channels` channels.
    pub fn new(channels: usize) -> Self {
        let zeros = || vec![T::ZERO; channels];
        let sums = [vec![0.0; channels], vec![0.0; channels]];
        Self { means: zeros(), variances: zeros(), inverses: zeros(), sums }
    }

    /// Takes the running means and variances.
    pub fn take_running(&mut self, (means, variances): (&[T], &[T])) {
        self.means.copy_from_slice(means);
        self.variances.copy_from_slice(variances);
        self.invert();
    }

    /// Takes the means and variances of `count` images, over their pixels.
    ///
    /// # Numerics
    /// Two passes. A row of pixels is added up in the network's precision, rows in f64.
    pub fn take_batch(&mut self, grid: Grid, count: usize, images: &[T]) {
        let pixels = (count * grid.side * grid.side) as f64;
        let [sums, _] = &mut self.sums;
        self.means.fill(T::ZERO);
        for squares in [false, true] {
            sums.fill(0.0);
            let means = &*self.means;
            dispatch(Sums { grid, count, images, means, squares, sums });
            let to = if squares { &mut self.variances } else { &mut self.means };
            to.iter_mut().zip(&*sums).for_each(|(to, sum)| *to = T::from_f64(sum / pixels));
        }
        self.invert();
    }

    fn invert(&mut self) {
        for (inverse, variance) in self.inverses.iter_mut().zip(&self.variances) {
            *inverse = T::from_f64(1.0 / (variance.to_f64() + EPSILON).sqrt());
        }
    }

    /// Moves the running statistics towards those of a minibatch of so many pixels in all.
    ///
    /// ```text
    /// r ← 0.9 r + 0.1 b,   the variance b unbiased: times n / (n − 1)
    /// ```
    pub fn move_running(&self, pixels: usize, (means, variances): (&mut [T], &mut [T])) {
        let (keep, share) = (T::from_f64(1.0 - MOMENTUM), T::from_f64(MOMENTUM));
        let unbiased = T::from_f64(pixels as f64 / (pixels as f64 - 1.0).max(1.0));
        for (running, &mean) in means.iter_mut().zip(&self.means) {
            *running = keep * *running + share * mean;
        }
        for (running, &variance) in variances.iter_mut().zip(&self.variances) {
            *running = keep * *running + share * (unbiased * variance);
        }
    }

    /// `activations = max(0, γ x̂ + β)` of `count` images.
    pub fn activate(
        &self,
        grid: Grid,
        count: usize,
        (scales, shifts): (&[T], &[T]),
        (images, activations): (&[T], &mut [T]),
    ) {
        let (means, inverses) = (&*self.means, &*self.inverses);
        dispatch(Activate { grid, count, means, inverses, scales, shifts, images, activations });
    }

    /// Turns the gradient in the activations into that in the images, in place, and overwrites that in γ and β.
    ///
    /// ```text
    /// dz = da where a > 0,   dβ = Σ dz,   dγ = Σ dz x̂
    /// train: dx = γ / √(variance + ε) (dz − dβ/M − x̂ dγ/M),   eval: dx = γ / √(variance + ε) dz
    /// ```
    ///
    /// # Numerics
    /// A row of pixels is added up in the network's precision, rows in f64.
    ///
    /// # Shapes
    /// `count` images on `grid`; γ and its gradient, and that of β: `[channels]`.
    pub fn pull_back(
        &mut self,
        (grid, count): (Grid, usize),
        is_train: bool,
        scales: &[T],
        (images, activations): (&[T], &[T]),
        gradient: &mut [T],
        (scale_gradient, shift_gradient): (&mut [T], &mut [T]),
    ) {
        let Self { means, inverses, sums: [shift_sums, scale_sums], .. } = self;
        shift_sums.fill(0.0);
        scale_sums.fill(0.0);
        let (means, inverses) = (&**means, &**inverses);
        dispatch(PullSums {
            grid,
            count,
            means,
            inverses,
            images,
            activations,
            gradient,
            sums: [shift_sums, scale_sums],
        });
        let round = |to: &mut [T], sums: &[f64]| {
            to.iter_mut().zip(sums).for_each(|(to, &sum)| *to = T::from_f64(sum));
        };
        round(shift_gradient, shift_sums);
        round(scale_gradient, scale_sums);
        if is_train {
            let pixels = (count * grid.side * grid.side) as f64;
            shift_sums.iter_mut().chain(&mut *scale_sums).for_each(|sum| *sum /= pixels);
        } else {
            shift_sums.fill(0.0);
            scale_sums.fill(0.0);
        }
        let sums = [&**shift_sums, &**scale_sums];
        dispatch(Pull {
            grid,
            count,
            means,
            inverses,
            scales,
            images,
            activations,
            gradient,
            sums,
        });
    }
}

/// `activations = max(0, x)`; what is not a number stays so.
pub fn rectify<T: Real>(images: &[T], activations: &mut [T]) {
    dispatch(Rectify { images, activations });
}

/// Keeps `gradient` where the activations are above 0, and puts 0 elsewhere.
pub fn pull_back_rectified<T: Real>(activations: &[T], gradient: &mut [T]) {
    dispatch(PullRectified { activations, gradient });
}

struct Rectify<'a, T> {
    images: &'a [T],
    activations: &'a mut [T],
}

impl<T: Real> Kernel for Rectify<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (a, &x) in self.activations.iter_mut().zip(self.images) {
            *a = if x < T::ZERO { T::ZERO } else { x };
        }
    }
}

struct PullRectified<'a, T> {
    activations: &'a [T],
    gradient: &'a mut [T],
}

impl<T: Real> Kernel for PullRectified<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (g, &a) in self.gradient.iter_mut().zip(self.activations) {
            *g = if a > T::ZERO { *g } else { T::ZERO };
        }
    }
}

/// 16 numbers of `slice` from `at` on.
#[inline(always)]
fn lanes<T: Real>(slice: &[T], at: usize) -> [T; LANES] {
    let mut lanes = [T::ZERO; LANES];
    lanes.copy_from_slice(&slice[at..at + LANES]);
    lanes
}

/// Adds the sums of a row to its channels' sums.
#[inline(always)]
fn add<T: Real>(sums: &mut [f64], at: usize, row: [T; LANES]) {
    for (sum, x) in sums[at..at + LANES].iter_mut().zip(row) {
        *sum += x.to_f64();
    }
}

struct Sums<'a, T> {
    grid: Grid,
    count: usize,
    images: &'a [T],
    means: &'a [T],
    squares: bool,
    sums: &'a mut [f64],
}

impl<T: Real> Kernel for Sums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { grid, count, images, means, squares, sums } = self;
        for image in 0..count {
            for y in 0..grid.side {
                let at = image * grid.image() + grid.start() + y * grid.row();
                let row = &images[at..at + grid.width()];
                for block in (0..grid.channels).step_by(LANES) {
                    let mean = lanes(means, block);
                    let mut sum = [T::ZERO; LANES];
                    for at in (block..row.len()).step_by(grid.channels) {
                        let x = lanes(row, at);
                        for l in 0..LANES {
                            let d = x[l] - mean[l];
                            sum[l] += if squares { d * d } else { d };
                        }
                    }
                    add(sums, block, sum);
                }
            }
        }
    }
}

struct Activate<'a, T> {
    grid: Grid,
    count: usize,
    means: &'a [T],
    inverses: &'a [T],
    scales: &'a [T],
    shifts: &'a [T],
    images: &'a [T],
    activations: &'a mut [T],
}

impl<T: Real> Kernel for Activate<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { grid, count, means, inverses, scales, shifts, images, activations } = self;
        for image in 0..count {
            for y in 0..grid.side {
                let at = image * grid.image() + grid.start() + y * grid.row();
                let row = &images[at..at + grid.width()];
                let out = &mut activations[at..at + grid.width()];
                for block in (0..grid.channels).step_by(LANES) {
                    let (mean, inverse) = (lanes(means, block), lanes(inverses, block));
                    let (scale, shift) = (lanes(scales, block), lanes(shifts, block));
                    for at in (block..row.len()).step_by(grid.channels) {
                        let x = lanes(row, at);
                        let mut a = [T::ZERO; LANES];
                        for l in 0..LANES {
                            let z = (x[l] - mean[l]) * inverse[l] * scale[l] + shift[l];
                            a[l] = if z < T::ZERO { T::ZERO } else { z };
                        }
                        out[at..at + LANES].copy_from_slice(&a);
                    }
                }
            }
        }
    }
}

struct PullSums<'a, T> {
    grid: Grid,
    count: usize,
    means: &'a [T],
    inverses: &'a [T],
    images: &'a [T],
    activations: &'a [T],
    gradient: &'a [T],
    /// Σ dz, Σ dz x̂.
    sums: [&'a mut [f64]; 2],
}

impl<T: Real> Kernel for PullSums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { grid, count, means, inverses, images, activations, gradient, sums } = self;
        let [shift_sums, scale_sums] = sums;
        for image in 0..count {
            for y in 0..grid.side {
                let at = image * grid.image() + grid.start() + y * grid.row();
                let row = &images[at..at + grid.width()];
                let (a_row, g_row) =
                    (&activations[at..at + grid.width()], &gradient[at..at + grid.width()]);
                for block in (0..grid.channels).step_by(LANES) {
                    let (mean, inverse) = (lanes(means, block), lanes(inverses, block));
                    let (mut shift, mut scale) = ([T::ZERO; LANES], [T::ZERO; LANES]);
                    for at in (block..row.len()).step_by(grid.channels) {
                        let (x, a, g) = (lanes(row, at), lanes(a_row, at), lanes(g_row, at));
                        for l in 0..LANES {
                            let dz = if a[l] > T::ZERO { g[l] } else { T::ZERO };
                            shift[l] += dz;
                            scale[l] += dz * ((x[l] - mean[l]) * inverse[l]);
                        }
                    }
                    add(shift_sums, block, shift);
                    add(scale_sums, block, scale);
                }
            }
        }
    }
}

struct Pull<'a, T> {
    grid: Grid,
    count: usize,
    means: &'a [T],
    inverses: &'a [T],
    scales: &'a [T],
    images: &'a [T],
    activations: &'a [T],
    gradient: &'a mut [T],
    /// Means of dz and of dz x̂ over all pixels; 0 in eval mode.
    sums: [&'a [f64]; 2],
}

impl<T: Real> Kernel for Pull<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { grid, count, means, inverses, scales, images, activations, gradient, sums } =
            self;
        let rounded = |sums: &[f64], block: usize| {
            let mut lanes = [T::ZERO; LANES];
            for (lane, &sum) in lanes.iter_mut().zip(&sums[block..block + LANES]) {
                *lane = T::from_f64(sum);
            }
            lanes
        };
        for image in 0..count {
            for y in 0..grid.side {
                let at = image * grid.image() + grid.start() + y * grid.row();
                let row = &images[at..at + grid.width()];
                let a_row = &activations[at..at + grid.width()];
                let g_row = &mut gradient[at..at + grid.width()];
                for block in (0..grid.channels).step_by(LANES) {
                    let (mean, inverse) = (lanes(means, block), lanes(inverses, block));
                    let scale = lanes(scales, block);
                    let (shift_mean, scale_mean) =
                        (rounded(sums[0], block), rounded(sums[1], block));
                    for at in (block..row.len()).step_by(grid.channels) {
                        let (x, a, g) = (lanes(row, at), lanes(a_row, at), lanes(g_row, at));
                        let mut dx = [T::ZERO; LANES];
                        for l in 0..LANES {
                            let dz = if a[l] > T::ZERO { g[l] } else { T::ZERO };
                            let hat = (x[l] - mean[l]) * inverse[l];
                            dx[l] =
                                scale[l] * inverse[l] * (dz - shift_mean[l] - hat * scale_mean[l]);
                        }
                        g_row[at..at + LANES].copy_from_slice(&dx);
                    }
                }
            }
        }
    }
}

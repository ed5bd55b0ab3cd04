//! Batch norm with the ReLU after it, and the ReLU alone where there is no batch norm.
//!
//! ```text
//! x̂ = (x − mean) / √(variance + ε),   a = max(0, γ x̂ + β)
//! ```
//!
//! In train mode mean and variance are those of the minibatch over images and pixels; in eval mode the running ones,
//! which are constants, so that each example has a gradient of its own. All work is done image by image, so that a caller
//! can do it while the image is still in the cache.

use super::LANES;
use super::grid::Grid;
use crate::nn::Real;
use crate::nn::dispatch::{LaneKernel, Level};
use crate::nn::lanes::Lanes;

/// ε of the variance.
const EPSILON: f64 = 1e-5;
/// The share of a minibatch in the running statistics.
const MOMENTUM: f64 = 0.1;

/// Numbers of a channel that are kept of each image until a minibatch is complete.
pub const SLOT: usize = 3;

/// What one batch norm subtracts and multiplies with.
#[derive(Clone, Debug)]
pub struct Moments<T> {
    means: Vec<T>,
    /// Of a minibatch: the mean squares of the differences from the mean.
    variances: Vec<T>,
    /// 1 / √(variance + ε).
    inverses: Vec<T>,
    /// Means of dz and of dz x̂ over a minibatch, for the way back; 0 in eval mode.
    pulls: [Vec<T>; 2],
}

impl<T: Real> Moments<T> {
    /// For `channels` channels.
    pub fn new(channels: usize) -> Self {
        let zeros = || vec![T::ZERO; channels];
        let pulls = [zeros(), zeros()];
        Self { means: zeros(), variances: zeros(), inverses: zeros(), pulls }
    }

    /// Takes the running means and variances.
    pub fn take_running(&mut self, (means, variances): (&[T], &[T])) {
        self.means.copy_from_slice(means);
        self.variances.copy_from_slice(variances);
        self.invert();
    }

    /// Takes the means and variances of a minibatch, from what [`add_up`] put into the slots of its images.
    ///
    /// ```text
    /// n ← n + nᵢ,   δ = meanᵢ − mean,   mean ← mean + δ nᵢ/n,   M ← M + Mᵢ + δ² nᵢ (n − nᵢ)/n
    /// ```
    ///
    /// (Chan, Golub and LeVeque, 1983: updating formulae for variances.)
    ///
    /// # Numerics
    /// In f64, images in order.
    pub fn take_batch<'a>(
        &mut self,
        pixels: usize,
        slots: impl Iterator<Item = &'a [f64]> + Clone,
    ) {
        let channels = self.means.len();
        let own = pixels as f64;
        for c in 0..channels {
            let (mut count, mut mean, mut square) = (0.0, 0.0, 0.0);
            for slot in slots.clone() {
                let [shift, sum, squares] = [0, 1, 2].map(|part| slot[part * channels + c]);
                count += own;
                let off = sum / own;
                let delta = shift + off - mean;
                mean += delta * own / count;
                square += (squares - sum * off) + delta * delta * own * (count - own) / count;
            }
            self.means[c] = T::from_f64(mean);
            self.variances[c] = T::from_f64(square.max(0.0) / count);
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

    /// `activations = max(0, γ x̂ + β)` of one image.
    pub fn activate(
        &self,
        (grid, image): (Grid, usize),
        (scales, shifts): (&[T], &[T]),
        (images, activations): (&[T], &mut [T]),
    ) {
        let (means, inverses) = (&*self.means, &*self.inverses);
        Level::best().run_lanes(Activate {
            grid,
            image,
            means,
            inverses,
            scales,
            shifts,
            images,
            activations,
        });
    }

    /// Adds up, over the pixels of one image, what the gradients in γ and β are made of, and puts it into `slot`: Σ dz, then
    /// Σ dz x̂, `[channels]` each.
    ///
    /// ```text
    /// dz = da where a > 0,   dβ = Σ dz,   dγ = Σ dz x̂
    /// ```
    ///
    /// # Numerics
    /// A row of pixels is added up in the network's precision, rows in f64.
    pub fn add_up_pull(
        &self,
        (grid, image): (Grid, usize),
        (images, activations): (&[T], &[T]),
        gradient: &[T],
        slot: &mut [f64],
    ) {
        slot.fill(0.0);
        let (means, inverses) = (&*self.means, &*self.inverses);
        let (shift_sums, rest) = slot.split_at_mut(grid.channels);
        Level::best().run_lanes(PullSums {
            grid,
            image,
            means,
            inverses,
            images,
            activations,
            gradient,
            sums: [shift_sums, &mut rest[..grid.channels]],
        });
    }

    /// Takes the sums of all images, in order, for [`Self::pull`] in train mode. `pixels` is their number in the minibatch, and
    /// none in eval mode, where there is nothing to subtract.
    pub fn take_pull<'a>(
        &mut self,
        pixels: Option<usize>,
        slots: impl Iterator<Item = &'a [f64]> + Clone,
    ) {
        let channels = self.means.len();
        for (part, to) in self.pulls.iter_mut().enumerate() {
            for (c, to) in to.iter_mut().enumerate() {
                let sum: f64 = slots.clone().map(|slot| slot[part * channels + c]).sum();
                *to = T::from_f64(pixels.map_or(0.0, |pixels| sum / pixels as f64));
            }
        }
    }

    /// Turns the gradient in the activations of one image into that in the image, in place, and adds `residual` to it.
    ///
    /// ```text
    /// train: dx = γ / √(variance + ε) (dz − dβ/M − x̂ dγ/M),   eval: dx = γ / √(variance + ε) dz
    /// ```
    pub fn pull(
        &self,
        (grid, image): (Grid, usize),
        scales: &[T],
        (images, activations): (&[T], &[T]),
        residual: Option<&[T]>,
        gradient: &mut [T],
    ) {
        let Self { means, inverses, pulls: [shift_means, scale_means], .. } = self;
        let sums = [&**shift_means, &**scale_means];
        Level::best().run_lanes(Pull {
            grid,
            image,
            means,
            inverses,
            scales,
            images,
            activations,
            residual,
            gradient,
            sums,
        });
    }
}

/// Adds up the pixels of one image for [`Moments::take_batch`], and puts into `slot`: what was subtracted of each, Σ (x − shift),
/// Σ (x − shift)², `[channels]` each.
///
/// # Numerics
/// The shift is the mean of the first row of pixels. A row is added up in the network's precision, rows in f64.
pub fn add_up<T: Real>((grid, image): (Grid, usize), images: &[T], slot: &mut [f64]) {
    slot.fill(0.0);
    Level::best().run_lanes(Sums { grid, image, images, slot });
}

/// The gradients in γ and β: the sums of what [`Moments::add_up_pull`] put into the slots, in order.
pub fn scale_gradients<'a, T: Real>(
    slots: impl Iterator<Item = &'a [f64]> + Clone,
    (scales, shifts): (&mut [T], &mut [T]),
) {
    let channels = scales.len();
    for (part, to) in [shifts, scales].into_iter().enumerate() {
        for (c, to) in to.iter_mut().enumerate() {
            *to = T::from_f64(slots.clone().map(|slot| slot[part * channels + c]).sum());
        }
    }
}

/// `activations = max(0, x)`; what is not a number stays so.
pub fn rectify<T: Real>(images: &[T], activations: &mut [T]) {
    Level::best().run_lanes(Rectify { images, activations });
}

/// Keeps `gradient` where the activations are above 0, puts 0 elsewhere, and adds `residual`.
pub fn pull_back_rectified<T: Real>(activations: &[T], residual: Option<&[T]>, gradient: &mut [T]) {
    Level::best().run_lanes(PullRectified { activations, residual, gradient });
}

struct Rectify<'a, T> {
    images: &'a [T],
    activations: &'a mut [T],
}

impl<T: Real> LaneKernel<T> for Rectify<'_, T> {
    #[inline(always)]
    fn run<L: Lanes<T>>(self) {
        let (images, _) = self.images.as_chunks();
        let (activations, _) = self.activations.as_chunks_mut();
        for (x, a) in images.iter().zip(activations) {
            L::load(x).rectified().store(a);
        }
    }
}

struct PullRectified<'a, T> {
    activations: &'a [T],
    residual: Option<&'a [T]>,
    gradient: &'a mut [T],
}

impl<T: Real> LaneKernel<T> for PullRectified<'_, T> {
    #[inline(always)]
    fn run<L: Lanes<T>>(self) {
        let (activations, _) = self.activations.as_chunks();
        let (gradient, _) = self.gradient.as_chunks_mut();
        match self.residual {
            None => {
                for (a, g) in activations.iter().zip(gradient) {
                    L::load(g).where_positive(L::load(a)).store(g);
                }
            }
            Some(residual) => {
                let (residual, _) = residual.as_chunks();
                for ((a, g), r) in activations.iter().zip(gradient).zip(residual) {
                    L::load(g).where_positive(L::load(a)).add(L::load(r)).store(g);
                }
            }
        }
    }
}

/// Where the rows of pixels of one image lie.
#[inline(always)]
fn rows(grid: Grid, image: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let first = image * grid.image() + grid.start();
    (0..grid.side).map(move |y| first + y * grid.row()..first + y * grid.row() + grid.width())
}

/// 16 numbers of `slice` from `at` on.
#[inline(always)]
fn lanes<T: Real, L: Lanes<T>>(slice: &[T], at: usize) -> L {
    let (chunks, _) = slice[at..][..LANES].as_chunks();
    L::load(&chunks[0])
}

/// Adds the sums of a row to its channels' sums.
#[inline(always)]
fn add<T: Real, L: Lanes<T>>(sums: &mut [f64], at: usize, row: L) {
    let mut lanes = [T::ZERO; LANES];
    row.store(&mut lanes);
    for (sum, x) in sums[at..at + LANES].iter_mut().zip(lanes) {
        *sum += x.to_f64();
    }
}

struct Sums<'a, T> {
    grid: Grid,
    image: usize,
    images: &'a [T],
    slot: &'a mut [f64],
}

impl<T: Real> LaneKernel<T> for Sums<'_, T> {
    #[inline(always)]
    fn run<L: Lanes<T>>(self) {
        let Self { grid, image, images, slot } = self;
        let (shifts, rest) = slot.split_at_mut(grid.channels);
        let (sums, rest) = rest.split_at_mut(grid.channels);
        let squares = &mut rest[..grid.channels];
        for block in (0..grid.channels).step_by(LANES) {
            let mut shift = L::splat(T::ZERO);
            for (y, row) in rows(grid, image).enumerate() {
                let row = &images[row];
                if y == 0 {
                    let mut sum = L::splat(T::ZERO);
                    for pixel in row.chunks_exact(grid.channels) {
                        sum = sum.add(lanes(pixel, block));
                    }
                    shift = sum.mul(L::splat(T::from_f64(1.0 / grid.side as f64)));
                    add(shifts, block, shift);
                }
                let (mut sum, mut square) = (L::splat(T::ZERO), L::splat(T::ZERO));
                for pixel in row.chunks_exact(grid.channels) {
                    let d = lanes::<T, L>(pixel, block).sub(shift);
                    sum = sum.add(d);
                    square = d.mul_add(d, square);
                }
                add(sums, block, sum);
                add(squares, block, square);
            }
        }
    }
}

struct Activate<'a, T> {
    grid: Grid,
    image: usize,
    means: &'a [T],
    inverses: &'a [T],
    scales: &'a [T],
    shifts: &'a [T],
    images: &'a [T],
    activations: &'a mut [T],
}

impl<T: Real> LaneKernel<T> for Activate<'_, T> {
    #[inline(always)]
    fn run<L: Lanes<T>>(self) {
        let Self { grid, image, means, inverses, scales, shifts, images, activations } = self;
        for row in rows(grid, image) {
            let (row, out) = (&images[row.clone()], &mut activations[row]);
            for block in (0..grid.channels).step_by(LANES) {
                let (mean, inverse): (L, L) = (lanes(means, block), lanes(inverses, block));
                let (scale, shift): (L, L) = (lanes(scales, block), lanes(shifts, block));
                let slope = inverse.mul(scale);
                let pixels = row.chunks_exact(grid.channels);
                for (x, a) in pixels.zip(out.chunks_exact_mut(grid.channels)) {
                    let d = lanes::<T, L>(x, block).sub(mean);
                    let (a, _) = a[block..][..LANES].as_chunks_mut();
                    d.mul_add(slope, shift).rectified().store(&mut a[0]);
                }
            }
        }
    }
}

struct PullSums<'a, T> {
    grid: Grid,
    image: usize,
    means: &'a [T],
    inverses: &'a [T],
    images: &'a [T],
    activations: &'a [T],
    gradient: &'a [T],
    /// Σ dz, Σ dz x̂.
    sums: [&'a mut [f64]; 2],
}

impl<T: Real> LaneKernel<T> for PullSums<'_, T> {
    #[inline(always)]
    fn run<L: Lanes<T>>(self) {
        let Self { grid, image, means, inverses, images, activations, gradient, sums } = self;
        let [shift_sums, scale_sums] = sums;
        let channels = grid.channels;
        for row in rows(grid, image) {
            let (x, a, g) = (&images[row.clone()], &activations[row.clone()], &gradient[row]);
            for block in (0..channels).step_by(LANES) {
                let (mean, inverse): (L, L) = (lanes(means, block), lanes(inverses, block));
                let (mut shift, mut scale) = (L::splat(T::ZERO), L::splat(T::ZERO));
                let pixels = x.chunks_exact(channels).zip(a.chunks_exact(channels));
                for ((x, a), g) in pixels.zip(g.chunks_exact(channels)) {
                    let dz = lanes::<T, L>(g, block).where_positive(lanes(a, block));
                    shift = shift.add(dz);
                    scale = dz.mul_add(lanes::<T, L>(x, block).sub(mean), scale);
                }
                add(shift_sums, block, shift);
                add(scale_sums, block, scale.mul(inverse));
            }
        }
    }
}

struct Pull<'a, T> {
    grid: Grid,
    image: usize,
    means: &'a [T],
    inverses: &'a [T],
    scales: &'a [T],
    images: &'a [T],
    activations: &'a [T],
    residual: Option<&'a [T]>,
    gradient: &'a mut [T],
    /// Means of dz and of dz x̂ over all pixels; 0 in eval mode.
    sums: [&'a [T]; 2],
}

impl<T: Real> LaneKernel<T> for Pull<'_, T> {
    #[inline(always)]
    fn run<L: Lanes<T>>(self) {
        match self.residual {
            None => self.rows::<L, false>(&[]),
            Some(residual) => self.rows::<L, true>(residual),
        }
    }
}

impl<T: Real> Pull<'_, T> {
    #[inline(always)]
    fn rows<L: Lanes<T>, const RESIDUAL: bool>(self, residual: &[T]) {
        let Self { grid, image, means, inverses, scales, images, activations, .. } = self;
        let Self { gradient, sums, .. } = self;
        let channels = grid.channels;
        for row in rows(grid, image) {
            let (x, a) = (&images[row.clone()], &activations[row.clone()]);
            // Where there is none, nothing is read of it.
            let r = if RESIDUAL { &residual[row.clone()] } else { x };
            let g = &mut gradient[row];
            for block in (0..channels).step_by(LANES) {
                let (mean, inverse): (L, L) = (lanes(means, block), lanes(inverses, block));
                let slope = lanes::<T, L>(scales, block).mul(inverse);
                let shift_mean: L = lanes(sums[0], block);
                // x̂ dγ/M as (x − mean) times what follows.
                let pull = L::splat(T::ZERO).sub(lanes::<T, L>(sums[1], block).mul(inverse));
                let pixels = x.chunks_exact(channels).zip(a.chunks_exact(channels));
                let pixels = pixels.zip(r.chunks_exact(channels));
                for (((x, a), r), g) in pixels.zip(g.chunks_exact_mut(channels)) {
                    let (g, _) = g[block..][..LANES].as_chunks_mut();
                    let dz = L::load(&g[0]).where_positive(lanes(a, block));
                    let d = lanes::<T, L>(x, block).sub(mean);
                    let centred = d.mul_add(pull, dz.sub(shift_mean));
                    let dx = if RESIDUAL {
                        slope.mul_add(centred, lanes(r, block))
                    } else {
                        slope.mul(centred)
                    };
                    dx.store(&mut g[0]);
                }
            }
        }
    }
}

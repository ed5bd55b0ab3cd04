//! The average over all pixels, and its way back.

use super::grid::Grid;
use crate::nn::Real;

/// `pooled[i, c]` = the mean of channel c over the pixels of image i.
///
/// # Shapes
/// `images`: as `grid` says; `pooled`: `[n, channels]`, overwritten.
///
/// # Numerics
/// Pixels are added in order, then divided once.
pub fn average<T: Real>(grid: Grid, images: &[T], pooled: &mut [T]) {
    let pixels = T::from_f64((grid.side * grid.side) as f64);
    for (image, sums) in
        images.chunks_exact(grid.image()).zip(pooled.chunks_exact_mut(grid.channels))
    {
        sums.fill(T::ZERO);
        for y in 0..grid.side {
            let at = grid.start() + y * grid.row();
            for pixel in image[at..at + grid.width()].chunks_exact(grid.channels) {
                sums.iter_mut().zip(pixel).for_each(|(sum, &x)| *sum += x);
            }
        }
        sums.iter_mut().for_each(|sum| *sum = *sum / pixels);
    }
}

/// Gives every pixel its share of the gradient of the average.
pub fn spread<T: Real>(grid: Grid, pooled: &[T], images: &mut [T]) {
    let pixels = T::from_f64((grid.side * grid.side) as f64);
    for (image, gradient) in
        images.chunks_exact_mut(grid.image()).zip(pooled.chunks_exact(grid.channels))
    {
        for y in 0..grid.side {
            let at = grid.start() + y * grid.row();
            for pixel in image[at..at + grid.width()].chunks_exact_mut(grid.channels) {
                pixel.iter_mut().zip(gradient).for_each(|(x, &g)| *x = g / pixels);
            }
        }
    }
}

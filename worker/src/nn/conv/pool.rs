//! The average over all pixels, and its way back.

use super::grid::Grid;
use crate::nn::Real;

/// `pooled[c]` = the mean of channel c over the pixels of image number `image`.
///
/// # Shapes
/// `images`: as `grid` says; `pooled`: `[channels]`, overwritten.
///
/// # Numerics
/// Pixels are added in order, then divided once.
pub fn average<T: Real>((grid, image): (Grid, usize), images: &[T], pooled: &mut [T]) {
    let pixels = T::from_f64((grid.side * grid.side) as f64);
    pooled.fill(T::ZERO);
    for y in 0..grid.side {
        let at = image * grid.image() + grid.start() + y * grid.row();
        for pixel in images[at..at + grid.width()].chunks_exact(grid.channels) {
            pooled.iter_mut().zip(pixel).for_each(|(sum, &x)| *sum += x);
        }
    }
    pooled.iter_mut().for_each(|sum| *sum = *sum / pixels);
}

/// Gives every pixel of image number `image` its share of the gradient of the average.
pub fn spread<T: Real>((grid, image): (Grid, usize), pooled: &[T], images: &mut [T]) {
    let pixels = T::from_f64((grid.side * grid.side) as f64);
    for y in 0..grid.side {
        let at = image * grid.image() + grid.start() + y * grid.row();
        for pixel in images[at..at + grid.width()].chunks_exact_mut(grid.channels) {
            pixel.iter_mut().zip(pooled).for_each(|(x, &g)| *x = g / pixels);
        }
    }
}

//! Orthonormal rows, uniformly drawn.

use super::kernel::dot;
use crate::random::Stream;

/// `count` orthonormal rows of `dim` entries, drawn uniformly (Haar): `[count, dim]`, row-major.
///
/// Gaussian rows, each made orthogonal to those before it by two rounds of Gram and Schmidt, which leaves inner products
/// of a few 1e-16. Row i takes draws `i · dim ..`, so fewer rows are the first of more.
///
/// # Panics
/// If `count` exceeds `dim`: there are no such rows.
pub fn orthonormal_rows(stream: &mut Stream, count: usize, dim: usize) -> Vec<f64> {
    assert!(count <= dim, "at most as many orthonormal rows as entries");
    let mut rows: Vec<f64> = Vec::with_capacity(count * dim);
    for _ in 0..count {
        let mut row: Vec<f64> = (0..dim).map(|_| stream.normal()).collect();
        for _ in 0..2 {
            for earlier in rows.chunks_exact(dim) {
                let along = dot(&row, earlier);
                for (x, &e) in row.iter_mut().zip(earlier) {
                    *x -= along * e;
                }
            }
            normalise(&mut row);
        }
        rows.extend_from_slice(&row);
    }
    rows
}

/// Scales `row` to length 1. A row of zeros, which no Gaussian draw gives, stays.
pub fn normalise(row: &mut [f64]) {
    let length = dot(row, row).sqrt();
    if length > 0.0 {
        row.iter_mut().for_each(|x| *x /= length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_are_orthonormal_to_rounding_even_when_they_fill_the_space() {
        for (count, dim) in [(1, 1), (5, 5), (64, 64), (10, 37)] {
            let rows = orthonormal_rows(&mut Stream::new(1, "test", 0), count, dim);
            for (i, a) in rows.chunks_exact(dim).enumerate() {
                for (j, b) in rows.chunks_exact(dim).enumerate() {
                    let expected = f64::from(i == j);
                    assert!((dot(a, b) - expected).abs() < 2e-15, "{i} {j} of {count} x {dim}");
                }
            }
        }
    }
}

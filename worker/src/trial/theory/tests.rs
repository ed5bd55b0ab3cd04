//! Least squares against closed forms and gradient descent.

use super::*;
use crate::nn::kernel::dot;
use crate::random::Stream;

fn rows(count: usize, width: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut stream = Stream::new(seed, "test rows", 0);
    (0..count).map(|_| (0..width).map(|_| stream.normal()).collect()).collect()
}

/// Orthogonal rows of lengths 1, 2, 3 have eigenvalues 1, 4, 9 of X Xᵀ, and are fitted exactly.
#[test]
fn orthogonal_rows_are_read_off() {
    let matrix = vec![vec![0.0, 2.0, 0.0, 0.0], vec![1.0, 0.0, 0.0, 0.0], vec![0.0, 0.0, 0.0, 3.0]];
    assert_eq!(least_squares(matrix, &[1.0, -1.0, 2.0], 1), (0.0, Some(1.0 / 3.0)));
}

/// Two equal inputs with labels ±1 cannot be told apart: each costs ½, and the direction between them is null.
#[test]
fn contradictory_labels_have_a_positive_optimum() {
    let matrix = vec![vec![3.0, 4.0, 0.0], vec![3.0, 4.0, 0.0]];
    let (risk, least) = least_squares(matrix, &[1.0, -1.0], 1);
    assert!((risk - 0.5).abs() < 1e-15);
    assert!((least.expect("one direction") - 25.0).abs() < 1e-13);
}

/// The optimum has no gradient, so no risk is below it; 20,000 steps of gradient descent get there to rounding.
#[test]
fn the_optimum_is_what_gradient_descent_finds() {
    for (count, width, outputs) in [(20, 6, 1), (20, 6, 3), (6, 20, 2), (7, 7, 1)] {
        let rows = rows(count, width, 1);
        let mut stream = Stream::new(2, "test targets", 0);
        let targets: Vec<f64> = (0..count * outputs).map(|_| stream.normal()).collect();
        let (optimum, least) = least_squares(rows.clone(), &targets, outputs);
        let mut weights = vec![vec![0.0; width]; outputs];
        let mut risk = 0.0;
        for _ in 0..20_000 {
            risk = 0.0;
            let mut gradient = vec![vec![0.0; width]; outputs];
            for (row, target) in rows.iter().zip(targets.chunks_exact(outputs)) {
                for k in 0..outputs {
                    let residual = dot(&weights[k], row) - target[k];
                    risk += residual * residual / (2.0 * count as f64);
                    gradient[k].iter_mut().zip(row).for_each(|(g, x)| *g += residual * x);
                }
            }
            for (w, g) in weights.iter_mut().flatten().zip(gradient.iter().flatten()) {
                *w -= 0.3 / count as f64 * g;
            }
        }
        let slack = if least.expect("a full rank") > 1e-2 { 1e-12 } else { 1e-2 };
        assert!(risk >= optimum - 1e-14, "{risk} {optimum}");
        assert!(risk - optimum < slack, "{count} {width}: {risk} {optimum}");
    }
}

/// The trace and the smallest eigenvalue of a 2 x 2 Gram matrix in closed form, nearly dependent rows included.
#[test]
fn a_tiny_eigenvalue_keeps_its_digits() {
    let tiny = 1e-6;
    let (risk, least) = least_squares(vec![vec![1.0, 0.0], vec![1.0, tiny]], &[1.0, 2.0], 1);
    // λ_min λ_max = tiny², λ_max = 2 + tiny²/2 + …
    let expected = tiny * tiny / (2.0 + tiny * tiny / 2.0) / 2.0;
    assert!((least.expect("two directions") / expected - 1.0).abs() < 1e-9);
    assert_eq!(risk, 0.0);
}

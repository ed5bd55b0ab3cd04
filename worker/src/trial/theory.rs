//! Constants of convergence theory that are known in closed form: F*, μ and the largest Lᵢ.

use domain::JobSpec;
use domain::spec::{Activation, Loss};

use crate::data::Examples;
use crate::nn::Real;
use crate::nn::kernel::dot;

/// Constants of the risk F, where they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Theory {
    /// F*: the least risk.
    pub optimum_risk: Option<f64>,
    /// μ: the smallest non-zero eigenvalue of the Hessian of F.
    pub strong_convexity: Option<f64>,
    /// The largest smoothness Lᵢ of one example's loss.
    pub smoothness: Option<f64>,
}

/// Order of the smaller Gram matrix up to which F* and μ are computed.
const ORDER_MAX: usize = 1024;
/// Bound on order² · (larger dimension): about ten seconds.
const WORK_MAX: usize = 1 << 30;

/// The constants of `spec` on its training set.
///
/// ```text
/// linear model, squared loss:    Lᵢ = |xᵢ|² + 1[bias],  μ = λ_min⁺(X̃ᵀX̃)/N,  F* = |(I − P) C|² / 2N
/// linear model, logistic loss:   Lᵢ = (|xᵢ|² + 1[bias]) / 4
/// ```
///
/// X̃ is X with a column of ones where there are biases, P projects on its columns. Other models have none, and so have
/// linear ones with an activation on the output. F* and μ are left out beyond order 1024.
pub fn theory<T: Real>(spec: &JobSpec, train: &Examples<T>) -> Theory {
    let is_linear = spec.model.width().is_none() && spec.model.output == Activation::Identity;
    if !is_linear {
        return Theory::default();
    }
    let dim = spec.data.dim as usize;
    let bias = spec.model.bias;
    let rows = train.inputs.chunks_exact(dim).map(|row| {
        let row = row.iter().map(|x| x.to_f64());
        row.chain(bias.then_some(1.0)).collect::<Vec<f64>>()
    });
    let largest = || rows.clone().map(|row| dot(&row, &row)).fold(0.0, f64::max);
    match spec.train.loss {
        Loss::CrossEntropy => Theory::default(),
        Loss::Logistic => Theory { smoothness: Some(largest() / 4.0), ..Theory::default() },
        Loss::Squared => {
            let smoothness = Some(largest());
            let (count, width) = (train.len(), dim + usize::from(bias));
            let (order, length) = (count.min(width), count.max(width));
            if order > ORDER_MAX || order * order * length > WORK_MAX {
                return Theory { smoothness, ..Theory::default() };
            }
            let targets: Vec<f64> = train.targets.iter().map(|c| c.to_f64()).collect();
            let (risk, least) =
                least_squares(rows.collect(), &targets, spec.model.outputs as usize);
            Theory { optimum_risk: Some(risk), strong_convexity: least, smoothness }
        }
    }
}

/// (F*, μ) of `F(W) = (1/2N) Σᵢ |W xᵢ − Cᵢ|²`.
///
/// One-sided Jacobi: plane rotations make the rows of the flatter of X and Xᵀ orthogonal, which is Jacobi's method for
/// the eigenvalues of the smaller Gram matrix, without forming it: small eigenvalues keep their digits.
///
/// # Shapes
/// `rows`: N rows xᵢ; `targets` (C): `[N, outputs]`.
fn least_squares(rows: Vec<Vec<f64>>, targets: &[f64], outputs: usize) -> (f64, Option<f64>) {
    let n = rows.len() as f64;
    let width = rows[0].len();
    let mut columns: Vec<Vec<f64>> =
        (0..outputs).map(|k| targets.iter().skip(k).step_by(outputs).copied().collect()).collect();
    let (mut matrix, is_wide) = if rows.len() <= width {
        (rows, true)
    } else {
        let column = |j: usize| rows.iter().map(|row| row[j]).collect();
        ((0..width).map(column).collect(), false)
    };
    // A wide matrix turns the examples, so the targets turn with them.
    rotate(&mut matrix, if is_wide { &mut columns } else { &mut [] });
    let squares: Vec<f64> = matrix.iter().map(|row| dot(row, row)).collect();
    let largest = squares.iter().copied().fold(0.0, f64::max);
    // Singular values of a rank-deficient matrix come out as rounding errors of the largest.
    let tolerance = f64::EPSILON * matrix.len().max(matrix[0].len()) as f64;
    let is_null = |square: f64| square <= tolerance * tolerance * largest;
    let least = squares.iter().copied().filter(|&s| !is_null(s)).min_by(f64::total_cmp);

    let mut residual = 0.0;
    if is_wide {
        for (i, _) in squares.iter().enumerate().filter(|&(_, &square)| is_null(square)) {
            residual += columns.iter().map(|column| column[i] * column[i]).sum::<f64>();
        }
    } else {
        for column in &mut columns {
            // Twice, so that what is left has no rounding errors along the rows.
            for _ in 0..2 {
                for (row, &square) in matrix.iter().zip(&squares).filter(|(_, s)| !is_null(**s)) {
                    let along = dot(row, column) / square;
                    column.iter_mut().zip(row).for_each(|(c, &x)| *c -= along * x);
                }
            }
            residual += dot(column, column);
        }
    }
    (residual / (2.0 * n), least.map(|square| square / n))
}

/// Turns the rows of `matrix` by plane rotations until they are orthogonal, and the entries of `passengers` with them.
fn rotate(matrix: &mut [Vec<f64>], passengers: &mut [Vec<f64>]) {
    const SWEEPS_MAX: usize = 40;
    for _ in 0..SWEEPS_MAX {
        let mut is_done = true;
        for p in 0..matrix.len() {
            for q in p + 1..matrix.len() {
                let (head, tail) = matrix.split_at_mut(q);
                let (a, b) = (&mut head[p], &mut tail[0]);
                let (aa, bb, ab) = (dot(a, a), dot(b, b), dot(a, b));
                if ab.abs() <= 4.0 * f64::EPSILON * (aa * bb).sqrt() {
                    continue;
                }
                is_done = false;
                let ratio = (bb - aa) / (2.0 * ab);
                let tangent = ratio.signum() / (ratio.abs() + (1.0 + ratio * ratio).sqrt());
                let cosine = 1.0 / (1.0 + tangent * tangent).sqrt();
                let sine = cosine * tangent;
                let turn = |a: &mut f64, b: &mut f64| {
                    (*a, *b) = (cosine * *a - sine * *b, sine * *a + cosine * *b);
                };
                a.iter_mut().zip(b).for_each(|(a, b)| turn(a, b));
                for passenger in &mut *passengers {
                    let (head, tail) = passenger.split_at_mut(q);
                    turn(&mut head[p], &mut tail[0]);
                }
            }
        }
        if is_done {
            break;
        }
    }
}

#[cfg(test)]
mod tests;

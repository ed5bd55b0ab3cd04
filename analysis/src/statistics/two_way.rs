//! What two kinds of clusters count twice: the part of a covariance that single trials add.

/// A symmetric matrix of two exponents; of one, all entries of the second are 0.
pub(super) type Matrix = [[f64; 2]; 2];

/// `total`, the sum of the covariances that resampling each kind of seed gives, without what both of them count.
///
/// ```text
/// S = A + B − E, but no less than E in any direction
/// ```
///
/// A and B are those of the two kinds, `trials` is E: what an estimate scatters by because each trial adds noise of its own,
/// were there no other. A holds E, and so does B, as the mean squares of a two-way layout hold that of the residuals; Cameron, Gelbach and
/// Miller (*Journal of Business & Economic Statistics* 29, 2011) take it off once. No less than E can be left: then the
/// seeds of both kinds would add less than nothing. What of E is negative is the noise of its estimate, and is nothing.
///
/// # Numerics
/// With `total = L Lᵀ` (Cholesky), `L⁻¹ E L⁻ᵀ` has eigenvalues e, and S those of `max(1 − e⁺, e)` between L and Lᵀ.
pub(super) fn counted_once(total: Matrix, trials: Matrix) -> Matrix {
    let kept = |e: f64| (1.0 - e.max(0.0)).max(e);
    let [[a, b], [_, d]] = total;
    if d == 0.0 {
        return [[a * kept(trials[0][0] / a), 0.0], [0.0, 0.0]];
    }
    let first = a.sqrt();
    let (shear, second) = (b / first, (d - b * b / a).max(0.0).sqrt());
    // L⁻¹ E L⁻ᵀ, the symmetric matrix of x, y, z.
    let x = trials[0][0] / a;
    let y = (trials[0][1] / first - shear * x) / second;
    let z = (trials[1][1] / second - 2.0 * shear * y - shear * shear * x / second) / second;
    // Its eigenvalues are middle ± half; f of it is f̄ I + (f₊ − f₋) (M − middle I) / (2 half).
    let (middle, half) = (0.5 * (x + z), (0.25 * (x - z).powi(2) + y * y).sqrt());
    let (low, high) = (kept(middle - half), kept(middle + half));
    let mean = 0.5 * (low + high);
    let slope = if half > 0.0 { 0.5 * (high - low) / half } else { 0.0 };
    let (x, y, z) = (mean + slope * (x - middle), slope * y, mean + slope * (z - middle));
    // Back between L and Lᵀ.
    let cross = first * (shear * x + second * y);
    let last = shear * shear * x + 2.0 * shear * second * y + second * second * z;
    [[a * x, cross], [cross, last]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(total: Matrix, trials: Matrix, expected: Matrix) {
        let found = counted_once(total, trials);
        let near = (0..4).all(|k| (found[k / 2][k % 2] - expected[k / 2][k % 2]).abs() < 1e-12);
        assert!(near, "{found:?}, not {expected:?}");
    }

    #[test]
    fn what_trials_add_is_taken_off_once_and_never_more_than_there_is() {
        let none = [[0.0; 2]; 2];
        let (total, trials) = ([[5.0, 1.0], [1.0, 3.0]], [[1.0, 0.5], [0.5, 1.0]]);
        check(total, none, total);
        check(total, trials, [[4.0, 0.5], [0.5, 2.0]]);
        // Trials alone: each kind counts all of them, so that half of the sum is left.
        check(total, total.map(|row| row.map(|x| 0.5 * x)), [[2.5, 0.5], [0.5, 1.5]]);
        // A sum that happened to come out smaller than twice the trials' part: that part is what there is.
        check(total, total.map(|row| row.map(|x| 0.8 * x)), [[4.0, 0.8], [0.8, 2.4]]);
        // In the second exponent alone, and one that came out negative.
        check([[4.0, 0.0], [0.0, 2.0]], [[-1.0, 0.0], [0.0, 0.5]], [[4.0, 0.0], [0.0, 1.5]]);
        check([[4.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]], [[3.0, 0.0], [0.0, 0.0]]);
    }
}

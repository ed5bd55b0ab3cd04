//! Kendall's rank correlation, tau-b, and the probability of one so far from zero without any association.

use super::gaussian;
use super::ties::levels;

/// Tau-b of pairs, and its two-sided p-value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kendall {
    pub tau: f64,
    pub p: f64,
    pub count: usize,
}

/// Up to here the distribution without ties is counted, beyond it is normal enough.
const EXACT_MAX: usize = 33;

/// Kendall's tau-b; none of fewer than two pairs, or where one side never varies.
///
/// ```text
/// τ_b = (C − D) / √((n₀ − n₁)(n₀ − n₂)),   n₀ = n(n−1)/2, n₁, n₂ the pairs tied in x, in y
/// ```
///
/// Kendall, *Rank Correlation Methods*, 1970. Without ties and up to 33 pairs p is exact:
///
/// ```text
/// p = 2 Σ a(n, k) / n!  over k ≤ (n₀ − |C − D|)/2,   a(n, k) = Σ a(n−1, k−j) over j < n,   a(1, 0) = 1
/// ```
///
/// a(n, k) counts the permutations of n with k inversions. Else p is that of a normal C − D, with the variance of chapter 4:
///
/// ```text
/// p = 2 (1 − Φ(|C − D| / √v))
/// v = (v₀ − Σₜ t(t−1)(2t+5) − Σᵤ u(u−1)(2u+5)) / 18,   v₀ = n(n−1)(2n+5)
///   + Σₜ t(t−1)(t−2) · Σᵤ u(u−1)(u−2) / (9n(n−1)(n−2))
///   + Σₜ t(t−1) · Σᵤ u(u−1) / (2n(n−1))
/// ```
///
/// t runs over the sizes of groups tied in x, u over those tied in y.
pub fn tau_b(pairs: &[(f64, f64)]) -> Option<Kendall> {
    let n = pairs.len();
    let xs = levels(&pairs.iter().map(|pair| pair.0).collect::<Vec<_>>())?;
    let ys = levels(&pairs.iter().map(|pair| pair.1).collect::<Vec<_>>())?;
    let (mut score, mut tied_x, mut tied_y) = (0_i64, 0_u64, 0_u64);
    for i in 0..n {
        for j in 0..i {
            let (x, y) = (xs[i].cmp(&xs[j]) as i64, ys[i].cmp(&ys[j]) as i64);
            score += x * y;
            tied_x += u64::from(x == 0);
            tied_y += u64::from(y == 0);
        }
    }
    let all = (n * n.saturating_sub(1) / 2) as u64;
    if all == tied_x || all == tied_y {
        return None;
    }
    let scale = ((all - tied_x) as f64 * (all - tied_y) as f64).sqrt();
    let is_exact = tied_x == 0 && tied_y == 0 && n <= EXACT_MAX;
    let p = if is_exact {
        exact_p(n, (all as i64 - score.abs()) as usize / 2)
    } else {
        let variance = tied_variance(xs, ys);
        2.0 * gaussian::above(score.unsigned_abs() as f64 / variance.sqrt())
    };
    Some(Kendall { tau: (score as f64 / scale).clamp(-1.0, 1.0), p: p.min(1.0), count: n })
}

/// Twice the share of the permutations of `n` with at most `inversions`, of a count that is at most half of all.
fn exact_p(n: usize, inversions: usize) -> f64 {
    let mut shares = vec![1.0];
    for items in 2..=n {
        let mut next = vec![0.0; shares.len() + items - 1];
        for (k, share) in shares.iter().enumerate() {
            next[k..k + items].iter_mut().for_each(|sum| *sum += share / items as f64);
        }
        shares = next;
    }
    2.0 * shares[..=inversions].iter().sum::<f64>()
}

/// v: the variance of C − D given the ties.
fn tied_variance(xs: Vec<usize>, ys: Vec<usize>) -> f64 {
    let n = xs.len() as f64;
    let (xs, ys) = (tie_sizes(xs), tie_sizes(ys));
    let sum = |sizes: &[f64], f: fn(f64) -> f64| sizes.iter().map(|&t| f(t)).sum::<f64>();
    let whole = |t: f64| t * (t - 1.0) * (2.0 * t + 5.0);
    let pairs_of = |t: f64| t * (t - 1.0);
    let triples_of = |t: f64| t * (t - 1.0) * (t - 2.0);
    let first = (whole(n) - sum(&xs, whole) - sum(&ys, whole)) / 18.0;
    let second = sum(&xs, triples_of) * sum(&ys, triples_of) / (9.0 * triples_of(n)).max(1.0);
    first + second + sum(&xs, pairs_of) * sum(&ys, pairs_of) / (2.0 * pairs_of(n))
}

fn tie_sizes(mut levels: Vec<usize>) -> Vec<f64> {
    levels.sort_unstable();
    levels.chunk_by(|a, b| a == b).map(|group| group.len() as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(x: &[f64], y: &[f64], tau: f64, p: f64) {
        let pairs: Vec<_> = x.iter().copied().zip(y.iter().copied()).collect();
        let found = tau_b(&pairs).unwrap();
        assert!((found.tau - tau).abs() < 1e-12 && (found.p - p).abs() < 1e-12, "{found:?}");
    }

    /// scipy.stats.kendalltau, `analysis/tests/reference.py`.
    #[test]
    fn it_agrees_with_scipy() {
        let line = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
        let y = [1.0, 3.0, 2.0, 4.0, 6.0, 5.0, 7.0];
        check(&line, &y, 0.809_523_809_523_809_6, 0.010_714_285_714_285_714);
        check(&line[..5], &[5.0, 4.0, 3.0, 2.0, 1.0], -1.0, 1.0 / 60.0);
        let (x, y) = ([1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0], [1.0, 2.0, 2.0, 3.0, 3.0, 5.0, 4.0]);
        check(&x, &y, 0.757_033_298_610_225_2, 0.026_134_239_033_941_655);
    }

    #[test]
    fn too_little_or_odd_data_has_no_tau() {
        assert_eq!(tau_b(&[]), None);
        assert_eq!(tau_b(&[(1.0, 2.0)]), None);
        assert_eq!(tau_b(&[(1.0, 2.0), (1.0, 3.0)]), None);
        // The means of 7 and of 10 times 0.1.
        assert_eq!(tau_b(&[(1.0, 0.1), (2.0, 0.1 - 1.4e-17), (3.0, 0.1)]), None);
        assert_eq!(tau_b(&[(1.0, f64::NAN), (2.0, 3.0)]), None);
    }
}

//! Holm's correction: p-values of many tests, so that one small by chance is not taken for a finding.

/// The adjusted p-values, in the order given: below α, all rejected ones together err with probability at most α.
///
/// ```text
/// p̃₍ᵢ₎ = max over j ≤ i of min(1, (m − j + 1) p₍ⱼ₎),   p₍₁₎ ≤ ... ≤ p₍ₘ₎
/// ```
///
/// Holm, *Scandinavian Journal of Statistics* 6, 1979; the tests may depend on each other in any way.
pub fn adjust(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<_> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut largest: f64 = 0.0;
    for (place, index) in order.into_iter().enumerate() {
        largest = largest.max(((p.len() - place) as f64 * p[index]).min(1.0));
        adjusted[index] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// statsmodels multipletests(method="holm"), `analysis/tests/reference.py`.
    #[test]
    fn it_agrees_with_statsmodels() {
        let found = adjust(&[0.01, 0.04, 0.03, 0.005, 0.5]);
        let near =
            found.iter().zip([0.04, 0.09, 0.09, 0.025, 0.5]).all(|(a, b)| (a - b).abs() < 1e-15);
        assert!(near, "{found:?}");
        assert!(adjust(&[]).is_empty());
    }
}

//! Data seeds and initial seeds that trials share: which means are independent of each other, and how far off one may be.

use std::collections::BTreeMap;

use super::{mean, standard_error};

/// Trials in clusters, by their place.
pub type Clustering = Vec<Vec<usize>>;

/// How trials with labels `(data seed, initial seed)` are clustered for what one kind of seed adds: by each kind that several
/// trials share, so that crossed seeds have two clusterings; each trial by itself where they share none, or share all.
pub fn clusterings(labels: &[(i64, i64)]) -> Vec<Clustering> {
    let by = |of: fn(&(i64, i64)) -> i64| -> Clustering {
        let mut clusters: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for (place, label) in labels.iter().enumerate() {
            clusters.entry(of(label)).or_default().push(place);
        }
        clusters.into_values().collect()
    };
    let kinds = [by(|label| label.0), by(|label| label.1)].into_iter();
    let shared: Vec<_> = kinds.filter(|kind| (2..labels.len()).contains(&kind.len())).collect();
    match shared.is_empty() {
        true => vec![(0..labels.len()).map(|place| vec![place]).collect()],
        false => shared,
    }
}

/// The mean of each cluster.
pub fn means(clusters: &Clustering, values: &[f64]) -> Vec<f64> {
    let of = |cluster: &Vec<usize>| {
        mean(&cluster.iter().map(|place| values[*place]).collect::<Vec<_>>())
    };
    clusters.iter().filter_map(of).collect()
}

/// The standard error of the mean of values with labels `(data seed, initial seed)`, and its degrees of freedom; none of fewer
/// than two clusters.
///
/// ```text
/// √A                       of one clustering, A the squared standard error of the means of its clusters
/// √max(A, B, A + B − E)    of two;  E = ((n − 1) C − (a − 1) A − (b − 1) B) / (n + 1 − a − b),   C that of single values
/// ```
///
/// a and b are the numbers of clusters, n that of values. E is what single trials add, which A and B both hold (Cameron, Gelbach
/// and Miller, *Journal of Business & Economic Statistics* 29, 2011); what of it is negative is noise. The freedom is that of the rarer kind.
pub fn error(labels: &[(i64, i64)], values: &[f64]) -> Option<(f64, usize)> {
    let kinds = clusterings(labels);
    let parts = kinds.iter().map(|kind| {
        let error = standard_error(&means(kind, values))?;
        Some((error * error, kind.len() - 1))
    });
    let parts = parts.collect::<Option<Vec<_>>>()?;
    let freedom = parts.iter().map(|(_, freedom)| *freedom).min()?;
    let [(a, of_a), (b, of_b)] = parts[..] else { return Some((parts[0].0.sqrt(), freedom)) };
    let (c, all) = (standard_error(values)?.powi(2), values.len() - 1);
    let left = all as f64 - (of_a + of_b) as f64;
    let squares = all as f64 * c - of_a as f64 * a - of_b as f64 * b;
    let single = if left > 0.0 { (squares / left).max(0.0) } else { 0.0 };
    Some(((a + b - single).max(a).max(b).sqrt(), freedom))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crossed() -> Vec<(i64, i64)> {
        (0..4).flat_map(|data| (0..3).map(move |init| (data, init))).collect()
    }

    #[test]
    fn seeds_that_are_shared_make_clusters_and_others_stand_alone() {
        let counts = |labels: &[(i64, i64)]| -> Vec<usize> {
            clusterings(labels).iter().map(Vec::len).collect()
        };
        assert_eq!(counts(&crossed()), [4, 3]);
        assert_eq!(counts(&[(0, 0), (1, 1), (2, 2)]), [3]);
        assert_eq!(counts(&[(0, 0), (0, 1), (0, 2)]), [3]);
        assert_eq!(counts(&[(0, 0), (0, 1), (1, 2), (1, 3)]), [2]);
        assert_eq!(counts(&[(0, 0)]), [1]);
        assert_eq!(counts(&[]), [0]);
    }

    /// The mean squares of statsmodels' analysis of variance, `analysis/tests/reference.py`.
    #[test]
    fn the_error_is_that_of_two_random_effects() {
        let values = [3.1, 4.0, 2.2, 5.0, 6.3, 5.1, 1.2, 2.9, 0.4, 4.4, 4.1, 3.0];
        let (found, freedom) = error(&crossed(), &values).unwrap();
        assert!((found - 0.940_190_583_516_625_8).abs() < 1e-12 && freedom == 2, "{found}");
    }

    /// Values that follow their data seed alone vary as 4 do, not as 12; those of single trials as 12 at least.
    #[test]
    fn what_a_seed_shares_is_not_counted_as_often_as_it_is_seen() {
        let of_data: Vec<f64> = crossed().iter().map(|label| label.0 as f64).collect();
        let (found, freedom) = error(&crossed(), &of_data).unwrap();
        // Variance of 0, 1, 2, 3: 5/3, over 4.
        assert!((found - (5.0_f64 / 12.0).sqrt()).abs() < 1e-12 && freedom == 2, "{found}");
        let both: Vec<f64> = crossed().iter().map(|label| (label.0 + label.1) as f64).collect();
        let (found, _) = error(&crossed(), &both).unwrap();
        // Of 0, 1, 2: 1, over 3; single trials add nothing.
        assert!((found - (5.0_f64 / 12.0 + 1.0 / 3.0).sqrt()).abs() < 1e-9, "{found}");
        let apart = [(0, 0), (1, 1), (2, 2)];
        assert_eq!(error(&apart, &[1.0, 2.0, 3.0]), Some(((1.0_f64 / 3.0).sqrt(), 2)));
        assert_eq!(error(&apart[..1], &[1.0]), None);
        assert_eq!(error(&[], &[]), None);
    }
}

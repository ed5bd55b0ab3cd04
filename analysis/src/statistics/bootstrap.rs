//! The bootstrap by whole seeds: what a seed did in every cell is drawn together, as it was measured together.

use std::collections::BTreeMap;

use super::Random;

/// Seeds in clusters, and clusters in strata. A resample draws, in each stratum, as many clusters as it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clusters {
    /// Stratum, cluster, seeds of the cluster by their place.
    strata: Vec<Vec<Vec<usize>>>,
    seed_count: usize,
}

impl Clusters {
    /// Each seed its own cluster, stratified by the first part of its label: `(data seed, the other seeds)`.
    ///
    /// Where no data seed has two seeds, nothing could vary within a stratum: then all are one stratum.
    pub fn stratified(labels: &[(i64, i64)]) -> Self {
        let mut strata: BTreeMap<i64, Vec<Vec<usize>>> = BTreeMap::new();
        for (seed, (data, _)) in labels.iter().enumerate() {
            strata.entry(*data).or_default().push(vec![seed]);
        }
        let strata: Vec<_> = match strata.values().all(|clusters| clusters.len() < 2) {
            true => vec![strata.into_values().flatten().collect()],
            false => strata.into_values().collect(),
        };
        Self { strata, seed_count: labels.len() }
    }

    /// All seeds of one data seed a cluster, and one stratum: what other data would have given varies too.
    pub fn by_data(labels: &[(i64, i64)]) -> Self {
        let mut clusters: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for (seed, (data, _)) in labels.iter().enumerate() {
            clusters.entry(*data).or_default().push(seed);
        }
        Self { strata: vec![clusters.into_values().collect()], seed_count: labels.len() }
    }

    /// Degrees of freedom: clusters less one, summed over strata.
    pub fn freedom(&self) -> usize {
        self.strata.iter().map(|clusters| clusters.len().saturating_sub(1)).sum()
    }

    /// How many clusters there are.
    pub fn count(&self) -> usize {
        self.strata.iter().map(Vec::len).sum()
    }

    /// By how much the variance of resamples is too small: `n / (n − 1)`, n the clusters of a stratum (their mean).
    pub fn inflation(&self) -> f64 {
        self.count() as f64 / self.freedom().max(1) as f64
    }

    /// How often each seed is in a resample.
    pub fn resample(&self, random: &mut Random) -> Vec<f64> {
        let mut counts = vec![0.0; self.seed_count];
        for clusters in &self.strata {
            for _ in clusters {
                let drawn = &clusters[random.index(clusters.len())];
                drawn.iter().for_each(|&seed| counts[seed] += 1.0);
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NESTED: [(i64, i64); 6] = [(0, 0), (0, 1), (0, 2), (7, 0), (7, 1), (7, 2)];

    #[test]
    fn strata_keep_their_sizes_and_clusters_stay_whole() {
        let (within, across) = (Clusters::stratified(&NESTED), Clusters::by_data(&NESTED));
        assert_eq!((within.freedom(), within.count()), (4, 6));
        assert_eq!((across.freedom(), across.count()), (1, 2));
        assert_eq!((within.inflation(), across.inflation()), (1.5, 2.0));
        let mut random = Random::new(3);
        for _ in 0..50 {
            let counts = within.resample(&mut random);
            assert_eq!(counts[..3].iter().sum::<f64>(), 3.0);
            assert_eq!(counts[3..].iter().sum::<f64>(), 3.0);
            let counts = across.resample(&mut random);
            assert!(counts[..3] == [counts[0]; 3] && counts[3..] == [2.0 - counts[0]; 3]);
        }
    }

    #[test]
    fn one_seed_a_data_seed_is_one_stratum() {
        let labels = [(0, 0), (1, 1), (2, 2)];
        assert_eq!(Clusters::stratified(&labels), Clusters::by_data(&labels));
        assert_eq!(Clusters::stratified(&[]).resample(&mut Random::new(0)), Vec::<f64>::new());
    }

    /// The mean of a resample has variance Σ(x − x̄)²/n² over resamples, the plug-in value.
    #[test]
    fn resampled_means_have_the_variance_of_theory() {
        let labels: Vec<_> = (0..8).map(|seed| (seed, seed)).collect();
        let clusters = Clusters::stratified(&labels);
        let mut random = Random::new(5);
        let means: Vec<f64> = (0..4000)
            .map(|_| {
                let counts = clusters.resample(&mut random);
                counts.iter().enumerate().map(|(x, count)| x as f64 * count).sum::<f64>() / 8.0
            })
            .collect();
        let variance = means.iter().map(|m| (m - 3.5).powi(2)).sum::<f64>() / 4000.0;
        // 42 / 64, to four standard errors of a variance from 4000 draws.
        assert!((variance / 0.656_25 - 1.0).abs() < 0.09, "{variance}");
    }
}

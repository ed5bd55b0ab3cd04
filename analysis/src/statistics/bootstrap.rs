//! The bootstrap by whole seeds: what a seed did in every cell is drawn together, as it was measured together.

use std::collections::BTreeMap;

use super::Random;

/// How seeds are drawn. What is drawn together was measured together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clusters {
    /// Strata of clusters of seeds, by their place: in each stratum as many clusters are drawn as it has.
    Strata { strata: Vec<Vec<Vec<usize>>>, seed_count: usize },
    /// Each seed has a data seed and an initial seed, by their place; both are drawn, and a seed counts as often as both
    /// of its own were, multiplied.
    Crossed { data: Vec<usize>, other: Vec<usize>, data_count: usize, other_count: usize },
}

impl Clusters {
    /// The clusters that an answer about new seeds needs, from labels `(data seed, the other seeds)`.
    ///
    /// Where the same other seeds occur with several data seeds, both are drawn (the pigeonhole bootstrap, Owen, *Annals of
    /// Applied Statistics* 1, 2007): resampled within data seeds alone, initial weights that all of them share would
    /// seem to be as many as there are jobs. Else stratified by data seed.
    pub fn of(labels: &[(i64, i64)]) -> Self {
        let (data, data_count) = places(labels.iter().map(|label| label.0));
        let (other, other_count) = places(labels.iter().map(|label| label.1));
        let is_crossed = data_count > 1 && other_count > 1 && other_count < labels.len();
        match is_crossed {
            true => Self::Crossed { data, other, data_count, other_count },
            false => Self::stratified(labels),
        }
    }

    /// Each seed its own cluster, stratified by data seed: what new initial weights would give on the same data.
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
        Self::Strata { strata, seed_count: labels.len() }
    }

    /// All seeds of one data seed a cluster, and one stratum: what other data would give with the same weights.
    pub fn by_data(labels: &[(i64, i64)]) -> Self {
        let mut clusters: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for (seed, (data, _)) in labels.iter().enumerate() {
            clusters.entry(*data).or_default().push(seed);
        }
        Self::Strata { strata: vec![clusters.into_values().collect()], seed_count: labels.len() }
    }

    /// Degrees of freedom: clusters less one, summed over strata; of the rarer kind where seeds are crossed.
    pub fn freedom(&self) -> usize {
        match self {
            Self::Strata { strata, .. } => {
                strata.iter().map(|clusters| clusters.len().saturating_sub(1)).sum()
            }
            Self::Crossed { data_count, other_count, .. } => data_count.min(other_count) - 1,
        }
    }

    /// By how much the variance of resamples is too small: `n / (n − 1)`, n the clusters of a stratum (their mean).
    pub fn inflation(&self) -> f64 {
        let freedom = self.freedom().max(1) as f64;
        match self {
            Self::Strata { strata, .. } => {
                strata.iter().map(Vec::len).sum::<usize>() as f64 / freedom
            }
            Self::Crossed { .. } => (freedom + 1.0) / freedom,
        }
    }

    /// How often each seed is in a resample.
    pub fn resample(&self, random: &mut Random) -> Vec<f64> {
        match self {
            Self::Strata { strata, seed_count } => {
                let mut counts = vec![0.0; *seed_count];
                for clusters in strata {
                    for _ in clusters {
                        let drawn = &clusters[random.index(clusters.len())];
                        drawn.iter().for_each(|&seed| counts[seed] += 1.0);
                    }
                }
                counts
            }
            Self::Crossed { data, other, data_count, other_count } => {
                let mut draw = |count: usize| {
                    let mut counts = vec![0.0; count];
                    (0..count).for_each(|_| counts[random.index(count)] += 1.0);
                    counts
                };
                let (of_data, of_other) = (draw(*data_count), draw(*other_count));
                data.iter().zip(other).map(|(&d, &o)| of_data[d] * of_other[o]).collect()
            }
        }
    }
}

/// The place of each label among the distinct ones, and how many there are.
fn places(labels: impl Iterator<Item = i64> + Clone) -> (Vec<usize>, usize) {
    let mut distinct: Vec<_> = labels.clone().collect();
    distinct.sort_unstable();
    distinct.dedup();
    let place = |label: i64| distinct.binary_search(&label).expect("each label is among them");
    (labels.map(place).collect(), distinct.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NESTED: [(i64, i64); 6] = [(0, 0), (0, 1), (0, 2), (7, 0), (7, 1), (7, 2)];

    #[test]
    fn strata_keep_their_sizes_and_clusters_stay_whole() {
        let (within, across) = (Clusters::stratified(&NESTED), Clusters::by_data(&NESTED));
        assert_eq!((within.freedom(), across.freedom()), (4, 1));
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
    fn seeds_that_are_crossed_are_drawn_both_ways() {
        let crossed = Clusters::of(&NESTED);
        assert_eq!((crossed.freedom(), crossed.inflation()), (1, 2.0));
        let mut random = Random::new(3);
        for _ in 0..50 {
            let counts = crossed.resample(&mut random);
            let (first, second) = counts.split_at(3);
            assert_eq!(counts.iter().sum::<f64>(), 6.0);
            assert!(first.iter().zip(second).all(|(a, b)| a * second[0] == b * first[0]));
        }
        // Other initial weights for every data seed: nothing is crossed.
        let apart = NESTED.map(|(data, other)| (data, 10 * data + other));
        assert_eq!(Clusters::of(&apart), Clusters::stratified(&apart));
    }

    /// An effect of the initial seed alone, over 3 data seeds: the mean varies as one of 8, not as one of 24.
    #[test]
    fn what_all_data_seeds_share_is_not_counted_three_times() {
        let labels: Vec<_> = (0..3).flat_map(|d| (0..8).map(move |other| (d, other))).collect();
        let mut random = Random::new(5);
        let mut variance = |clusters: Clusters| {
            let draws = 4000;
            let square = |counts: Vec<f64>| {
                let pairs = labels.iter().zip(&counts);
                let sum: f64 = pairs.map(|((_, other), count)| *other as f64 * count).sum();
                (sum / counts.iter().sum::<f64>() - 3.5).powi(2)
            };
            (0..draws).map(|_| square(clusters.resample(&mut random))).sum::<f64>()
                / f64::from(draws)
        };
        // 42 / 64 and a third of it, to four standard errors.
        assert!((variance(Clusters::of(&labels)) / 0.656_25 - 1.0).abs() < 0.09);
        assert!((variance(Clusters::stratified(&labels)) / 0.218_75 - 1.0).abs() < 0.09);
    }

    #[test]
    fn one_seed_a_data_seed_is_one_stratum() {
        let labels = [(0, 0), (1, 1), (2, 2)];
        assert_eq!(Clusters::of(&labels), Clusters::by_data(&labels));
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

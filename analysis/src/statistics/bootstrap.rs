//! The bootstrap by whole seeds: what a seed did in every cell is drawn together, as it was measured together.
//!
//! ```text
//! for s = 1 … B:  of the nₕ clusters of each stratum h draw nₕ with replacement;  wᵢ = how often the cluster of seed i was drawn
//! θₛ = θ(w)       the estimate with every seed i counted wᵢ times;  θ̂ = θ(1, …, 1)
//! S  = n/ν · Σₛ (θₛ − θ̄)(θₛ − θ̄)ᵀ / (B − 1),   n = Σₕ nₕ,   ν = Σₕ (nₕ − 1)
//! ```
//!
//! Efron, *Annals of Statistics* 7, 1979; with whole clusters Davison and Hinkley, *Bootstrap Methods and their Application*,
//! 1997, section 3.8. n/ν makes up for the clusters' mean, which each stratum is drawn about: with it, S of a mean of n values is
//! the usual s²/n. What [`Region`](super::Region) makes of it stands there.

use std::collections::{BTreeMap, BTreeSet};

use super::Random;

/// How seeds are drawn: one kind of them after the other, where several vary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clusters {
    kinds: Vec<Kind>,
    /// Where kinds are crossed: each trial by itself.
    trials: Option<Kind>,
}

/// One kind of seed. What is drawn together was measured together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Strata of clusters of seeds, by their place: in each stratum as many clusters are drawn as it has.
    strata: Vec<Vec<Vec<usize>>>,
    seed_count: usize,
}

impl Clusters {
    /// The clusters that an answer about new seeds needs, from labels `(data seed, the other seeds)`.
    ///
    /// Where the same other seeds occur with several data seeds, each kind is drawn by itself, and the variances of both add
    /// up: resampled within data seeds alone, initial weights that all of them share would seem to be as many as there
    /// are jobs. What a single trial adds, both kinds count; drawn by themselves, trials tell how much that is, and
    /// [`Region`](super::Region) takes it off once (the variance of two-way clusters of Cameron, Gelbach and Miller, *Journal of Business &
    /// Economic Statistics* 29, 2011). Drawing both kinds at once (the pigeonhole bootstrap, Owen, *Annals of
    /// Applied Statistics* 1, 2007) counts it three times. Else stratified by data seed.
    pub fn of(labels: &[(i64, i64)]) -> Self {
        let count =
            |of: fn(&(i64, i64)) -> i64| labels.iter().map(of).collect::<BTreeSet<_>>().len();
        let (data, other) = (count(|label| label.0), count(|label| label.1));
        match data > 1 && other > 1 && other < labels.len() {
            true => Self {
                kinds: vec![Kind::by(labels, |label| label.0), Kind::by(labels, |label| label.1)],
                trials: Some(Kind::each(labels.len())),
            },
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
        Self { kinds: vec![Kind { strata, seed_count: labels.len() }], trials: None }
    }

    /// All seeds of one data seed a cluster, and one stratum: what other data would give with the same weights.
    pub fn by_data(labels: &[(i64, i64)]) -> Self {
        Self { kinds: vec![Kind::by(labels, |label| label.0)], trials: None }
    }

    /// What is drawn, one after the other.
    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// Each trial by itself, where what trials add is counted by more than one kind.
    pub fn trials(&self) -> Option<&Kind> {
        self.trials.as_ref()
    }

    /// Degrees of freedom of the rarer kind.
    pub fn freedom(&self) -> usize {
        self.kinds.iter().map(Kind::freedom).min().unwrap_or(0)
    }
}

impl Kind {
    /// Each seed a cluster, in one stratum.
    fn each(seed_count: usize) -> Self {
        Self { strata: vec![(0..seed_count).map(|seed| vec![seed]).collect()], seed_count }
    }

    /// All seeds of one label a cluster, in one stratum.
    fn by(labels: &[(i64, i64)], label: fn(&(i64, i64)) -> i64) -> Self {
        let mut clusters: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for (seed, labels) in labels.iter().enumerate() {
            clusters.entry(label(labels)).or_default().push(seed);
        }
        Self { strata: vec![clusters.into_values().collect()], seed_count: labels.len() }
    }

    /// Degrees of freedom: clusters less one, summed over strata.
    pub fn freedom(&self) -> usize {
        self.strata.iter().map(|clusters| clusters.len().saturating_sub(1)).sum()
    }

    /// By how much the variance of resamples is too small: `n / (n − 1)`, n the clusters of a stratum (their mean).
    pub fn inflation(&self) -> f64 {
        let count = self.strata.iter().map(Vec::len).sum::<usize>();
        count as f64 / self.freedom().max(1) as f64
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

    #[track_caller]
    fn only(clusters: &Clusters) -> &Kind {
        assert_eq!(clusters.kinds().len(), 1);
        &clusters.kinds()[0]
    }

    #[test]
    fn strata_keep_their_sizes_and_clusters_stay_whole() {
        let (within, across) = (Clusters::stratified(&NESTED), Clusters::by_data(&NESTED));
        assert_eq!((within.freedom(), across.freedom()), (4, 1));
        let (within, across) = (only(&within), only(&across));
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
    fn seeds_that_are_crossed_are_drawn_one_kind_after_the_other() {
        let crossed = Clusters::of(&NESTED);
        let [data, other] = crossed.kinds() else { panic!("{crossed:?}") };
        assert_eq!((crossed.freedom(), data.freedom(), other.freedom()), (1, 1, 2));
        assert_eq!((data.inflation(), other.inflation()), (2.0, 1.5));
        let trials = crossed.trials().unwrap();
        assert_eq!((trials.freedom(), trials.inflation()), (5, 1.2));
        let mut random = Random::new(3);
        for _ in 0..50 {
            assert_eq!(trials.resample(&mut random).iter().sum::<f64>(), 6.0);
            let counts = data.resample(&mut random);
            assert!(counts[..3] == [counts[0]; 3] && counts[3..] == [2.0 - counts[0]; 3]);
            let counts = other.resample(&mut random);
            assert_eq!(counts[..3], counts[3..]);
            assert_eq!(counts.iter().sum::<f64>(), 6.0);
        }
        // Other initial weights for every data seed: nothing is crossed.
        let apart = NESTED.map(|(data, other)| (data, 10 * data + other));
        assert_eq!(Clusters::of(&apart), Clusters::stratified(&apart));
    }

    /// An effect of the initial seed alone, over 3 data seeds: the mean varies as one of 8, not as one of 24, and not at
    /// all with the data.
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
            let mut of = |kind: &Kind| {
                (0..draws).map(|_| square(kind.resample(&mut random))).sum::<f64>()
                    / f64::from(draws)
            };
            clusters.kinds().iter().map(&mut of).collect::<Vec<_>>()
        };
        // 42 / 64 and a third of it, to four standard errors.
        let crossed = variance(Clusters::of(&labels));
        assert!(crossed[0] < 1e-20 && (crossed[1] / 0.656_25 - 1.0).abs() < 0.09, "{crossed:?}");
        let within = variance(Clusters::stratified(&labels));
        assert!((within[0] / 0.218_75 - 1.0).abs() < 0.09, "{within:?}");
    }

    #[test]
    fn one_seed_a_data_seed_is_one_stratum() {
        let labels = [(0, 0), (1, 1), (2, 2)];
        assert_eq!(Clusters::of(&labels), Clusters::by_data(&labels));
        assert_eq!(Clusters::stratified(&labels), Clusters::by_data(&labels));
        let none = Clusters::stratified(&[]);
        assert_eq!(only(&none).resample(&mut Random::new(0)), Vec::<f64>::new());
    }

    /// The mean of a resample has variance Σ(x − x̄)²/n² over resamples, the plug-in value.
    #[test]
    fn resampled_means_have_the_variance_of_theory() {
        let labels: Vec<_> = (0..8).map(|seed| (seed, seed)).collect();
        let clusters = Clusters::stratified(&labels);
        let mut random = Random::new(5);
        let means: Vec<f64> = (0..4000)
            .map(|_| {
                let counts = only(&clusters).resample(&mut random);
                counts.iter().enumerate().map(|(x, count)| x as f64 * count).sum::<f64>() / 8.0
            })
            .collect();
        let variance = means.iter().map(|m| (m - 3.5).powi(2)).sum::<f64>() / 4000.0;
        // 42 / 64, to four standard errors of a variance from 4000 draws.
        assert!((variance / 0.656_25 - 1.0).abs() < 0.09, "{variance}");
    }
}

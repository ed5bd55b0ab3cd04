//! Block averages against means that are formed.

use proptest::prelude::*;

use super::*;

/// The products of plain vectors, and nonsense where any number will do.
struct Vectors(Vec<Vec<f64>>, Vec<f64>);

impl Vectors {
    fn normal(count: usize, dim: usize, seed: u64) -> Self {
        let mut stream = Stream::new(seed, "vectors", 0);
        Self((0..count).map(|_| (0..dim).map(|_| stream.normal()).collect()).collect(), Vec::new())
    }

    fn sq_norms(&self) -> Vec<f64> {
        self.0.iter().map(|vector| inner(vector, vector)).collect()
    }
}

impl PairSource for Vectors {
    fn inner(&mut self, first: usize, second: usize) -> &[f64] {
        self.1.clear();
        self.1.resize(TILE * TILE, f64::NAN);
        for (i, a) in self.0.iter().enumerate().skip(first * TILE).take(TILE) {
            for (j, b) in self.0.iter().enumerate().skip(second * TILE).take(TILE) {
                if i < j {
                    self.1[i % TILE * TILE + j % TILE] = inner(a, b);
                }
            }
        }
        &self.1
    }
}

fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn averages(batches: Vec<u32>, count: usize, seed: u64) -> Averages {
    let confusion = Confusion::Samples { count: count as u32, average: batches };
    Averages::of(&confusion, count, seed)
}

/// Asks for every tile, `times` over.
fn means_of(vectors: Vectors, averages: &Averages, times: usize) -> Vec<Means> {
    let (count, sq_norms) = (vectors.0.len(), vectors.sq_norms());
    let blocks = count.div_ceil(TILE);
    let mut averaging = Averaging::new(vectors, count, Some(averages));
    for _ in 0..times {
        for first in 0..blocks {
            (first..blocks).for_each(|second| drop(averaging.inner(first, second).to_vec()));
        }
    }
    averaging.finish(&sq_norms)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Law: block averages are the products of the means. Both round a sum of up to 200² products of at most 9 terms, by
    /// about 1e-14 of the mean square.
    #[test]
    fn the_products_of_averages_are_those_of_means_that_are_formed(
        count in 4usize..200, dim in 1usize..9, size in 2u32..100, seed in 0u64..1000,
    ) {
        let batches = vec![size.min(count as u32 / 2), count as u32 / 2];
        let batches = if batches[0] == batches[1] { vec![batches[0]] } else { batches };
        let averages = averages(batches.clone(), count, seed);
        let vectors = Vectors::normal(count, dim, seed);
        let scale = vectors.sq_norms().iter().sum::<f64>() / count as f64;
        let formed: Vec<Vec<Vec<f64>>> = batches.iter().map(|&batch| {
            let mean = |places: &[u32]| {
                let entry = |k: usize| places.iter().map(|&i| vectors.0[i as usize][k]).sum::<f64>();
                (0..dim).map(|k| entry(k) / f64::from(batch)).collect()
            };
            averages.minibatches(batch).map(mean).collect()
        }).collect();
        let sum = |k: usize| vectors.0.iter().map(|vector| vector[k]).sum::<f64>();
        let sum_sq = (0..dim).map(|k| sum(k) * sum(k)).sum();
        for ((mut means, formed), batch) in means_of(vectors, &averages, 1).into_iter().zip(&formed).zip(batches) {
            prop_assert_eq!((means.batch, formed.len()), (batch, count / batch as usize));
            let n = formed.len();
            let close = |found: f64, expected: f64| (found - expected).abs() <= 1e-13 * scale;
            for i in 0..n {
                prop_assert!(close(means.sq_norms()[i], inner(&formed[i], &formed[i])));
                for j in i + 1..n {
                    let found = means.inner(i / TILE, j / TILE)[i % TILE * TILE + j % TILE];
                    prop_assert!(close(found, inner(&formed[i], &formed[j])), "{i} {j}: {found}");
                }
            }
            let all: Vec<f64> = (0..dim).map(|k| formed.iter().map(|mean| mean[k]).sum()).collect();
            let found = means.sq_norm_of_sum(sum_sq);
            prop_assert!((found - inner(&all, &all)).abs() <= 1e-13 * scale * (n * n) as f64);
        }
    }
}

#[test]
fn tiles_that_are_asked_for_again_do_not_count_again() {
    let averages = averages(vec![3, 50], 150, 4);
    let once = means_of(Vectors::normal(150, 5, 1), &averages, 1);
    let again = means_of(Vectors::normal(150, 5, 1), &averages, 3);
    for (once, again) in once.iter().zip(&again) {
        assert_eq!((&once.products, &once.sq_norms), (&again.products, &again.sq_norms));
    }
}

#[test]
fn minibatches_are_drawn_without_regard_to_order_and_nest() {
    let drawn = averages(vec![4, 16], 1000, 7);
    let fours: Vec<&[u32]> = drawn.minibatches(4).collect();
    let sixteens: Vec<&[u32]> = drawn.minibatches(16).collect();
    assert_eq!((fours.len(), sixteens.len()), (250, 62));
    assert_eq!(fours[4..8].concat(), sixteens[1]);
    let mut all = fours.concat();
    all.sort_unstable();
    assert!(all.iter().copied().eq(0..1000), "each in one");
    // Sorted by class, ten classes of a hundred: a run would have one class, 16 drawn have 8.1 of the ten on average.
    let classes = |places: &[u32]| {
        let mut classes: Vec<u32> = places.iter().map(|place| place / 100).collect();
        classes.sort_unstable();
        classes.dedup();
        classes.len()
    };
    assert!(sixteens.iter().all(|places| classes(places) >= 4));
    assert_eq!(averages(vec![16], 1000, 7).order, drawn.order, "whatever the sizes");
    assert_ne!(averages(vec![16], 1000, 8).order, drawn.order);
    assert!(averages(vec![], 1000, 7).order.is_empty());
}

/// Opposite gradients have the mean 0, and rounding must not give it a direction.
#[test]
fn a_mean_that_is_lost_to_rounding_is_zero() {
    let averages = averages(vec![2], 4, 1);
    let places: Vec<u32> = averages.minibatches(2).flatten().copied().collect();
    let mut vectors = Vectors(vec![Vec::new(); 4], Vec::new());
    let lengths = [(1.0, 0.0), (-1.0, 0.0), (1.0, 1.0), (1.0, 0.0)];
    for (place, (length, more)) in places.into_iter().zip(lengths) {
        vectors.0[place as usize] = vec![0.1 * length, 0.7 * length, 0.3 * length + more];
    }
    let means = means_of(vectors, &averages, 1).remove(0);
    assert_eq!(means.sq_norms()[0], 0.0);
    assert!(means.sq_norms()[1] > 0.5 && means.is_finite() && !means.is_subnormal());
}

#[test]
fn a_mean_whose_square_is_too_small_for_a_number_is_subnormal() {
    let tiny = |length: f64| Vectors(vec![vec![length]; 8], Vec::new());
    let averages = averages(vec![4], 8, 1);
    assert!(!means_of(tiny(1e-153), &averages, 1)[0].is_subnormal());
    let mut opposed = tiny(2e-154);
    averages.minibatches(4).for_each(|places| {
        places[..1].iter().for_each(|&place| opposed.0[place as usize] = vec![-2e-154]);
    });
    assert!(means_of(opposed, &averages, 1)[0].is_subnormal());
}

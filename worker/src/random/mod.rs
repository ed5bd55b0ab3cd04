//! Random numbers by counter: a stream is named by a seed, a purpose and a number, and every draw has a place in it.
//!
//! The k-th draw of a stream can be had without the ones before it, so a checkpoint needs no generator state. A stream is
//! never named by a width or a depth: the same seed sees the same data in every cell of a sweep.

mod normal;

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A sequence of 64-bit draws, each at a fixed place: ChaCha8 under the key blake3(seed, purpose).
///
/// # Numerics
/// Every method takes exactly one 64-bit draw for each number it returns. `rand_chacha` promises its values on every
/// platform and in every later version.
#[derive(Clone, Debug)]
pub struct Stream {
    generator: ChaCha8Rng,
}

impl Stream {
    /// The stream `number` of `seed` and `purpose`, at its first draw.
    pub fn new(seed: u64, purpose: &str, number: u64) -> Self {
        let mut hash = blake3::Hasher::new_derive_key("gradsweep 2026 random stream");
        hash.update(&seed.to_le_bytes());
        hash.update(purpose.as_bytes());
        let mut generator = ChaCha8Rng::from_seed(*hash.finalize().as_bytes());
        generator.set_stream(number);
        Self { generator }
    }

    /// The stream with its next draw being number `draw`, counted from 0.
    pub fn at(mut self, draw: u64) -> Self {
        self.generator.set_word_pos(2 * u128::from(draw));
        self
    }

    /// Uniform in `0..n`.
    ///
    /// # Numerics
    /// The high half of `draw · n`: each value's odds differ from 1/n by at most 2⁻⁶⁴.
    ///
    /// # Panics
    /// If `n` is 0: there is nothing to draw from.
    #[inline]
    pub fn index(&mut self, n: u32) -> u32 {
        assert!(n > 0, "an index is drawn from at least one");
        let high = (u128::from(self.generator.next_u64()) * u128::from(n)) >> 64;
        high as u32
    }

    /// Uniform in [0, 1), a multiple of 2⁻⁵³.
    pub fn unit(&mut self) -> f64 {
        (self.generator.next_u64() >> 11) as f64 * TWO_TO_MINUS_53
    }

    /// Standard normal, by inversion of one uniform in (0, 1), an odd multiple of 2⁻⁵³.
    pub fn normal(&mut self) -> f64 {
        let steps = (self.generator.next_u64() >> 12) as f64;
        normal::quantile((2.0 * steps + 1.0) * TWO_TO_MINUS_53)
    }

    /// A uniformly drawn order of `0..n`, taking `n` draws.
    ///
    /// Fisher and Yates, from the front: the first k entries are k draws without replacement, and the same ones for
    /// every k.
    pub fn permutation(&mut self, n: u32) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }

    /// The first `k` entries, or all, of [`Self::permutation`] of `0..n`: `k` draws without replacement.
    ///
    /// # Cost
    /// Time and memory of k, not of n.
    pub fn choose(&mut self, n: u32, k: u32) -> Vec<u32> {
        // What stands where it did not stand at first.
        let mut moved = BTreeMap::new();
        let mut entry = |i| {
            let j = i + self.index(n - i);
            let [here, there] = [i, j].map(|place| moved.get(&place).copied().unwrap_or(place));
            moved.insert(j, here);
            there
        };
        (0..k.min(n)).map(&mut entry).collect()
    }

    /// Puts `order` into a uniformly drawn order, taking one draw an entry.
    pub fn shuffle(&mut self, order: &mut [u32]) {
        let n = u32::try_from(order.len()).expect("training sets have at most 2^32 examples");
        for i in 0..n {
            let j = i + self.index(n - i);
            order.swap(i as usize, j as usize);
        }
    }
}

const TWO_TO_MINUS_53: f64 = 1.0 / (1u64 << 53) as f64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_can_be_had_without_the_ones_before_it() {
        let mut whole = Stream::new(7, "test", 3);
        let draws: Vec<f64> = (0..200).map(|_| whole.normal()).collect();
        for start in [0, 1, 31, 32, 33, 150] {
            let mut tail = Stream::new(7, "test", 3).at(start as u64);
            for &draw in &draws[start..] {
                assert_eq!(tail.normal().to_bits(), draw.to_bits(), "from {start}");
            }
        }
    }

    #[test]
    fn seed_purpose_and_number_each_name_another_stream() {
        let first = |seed, purpose, number| Stream::new(seed, purpose, number).unit();
        let draws = [first(1, "a", 0), first(2, "a", 0), first(1, "b", 0), first(1, "a", 1)];
        for i in 0..4 {
            for j in 0..i {
                assert_ne!(draws[i], draws[j]);
            }
        }
    }

    /// The values of a stream are part of every result: a change here makes every stored result unrepeatable.
    #[test]
    fn the_values_of_a_stream_never_change() {
        let mut stream = Stream::new(42, "golden", 5);
        let found = (stream.index(1000), stream.unit(), stream.normal());
        assert_eq!(found, GOLDEN);
    }

    const GOLDEN: (u32, f64, f64) = (743, 0.9979150448225953, 0.20216671677734296);

    /// Over 100,000 draws the mean of a standard normal has a standard error of 0.0032, its variance one of 0.0045 and
    /// its fourth moment one of 0.031; five of each are allowed.
    #[test]
    fn normals_have_the_moments_of_a_normal() {
        let mut stream = Stream::new(1, "moments", 0);
        let draws: Vec<f64> = (0..100_000).map(|_| stream.normal()).collect();
        let moment = |p| draws.iter().map(|x| x.powi(p)).sum::<f64>() / draws.len() as f64;
        assert!(moment(1).abs() < 0.016);
        assert!((moment(2) - 1.0).abs() < 0.0225);
        assert!((moment(4) - 3.0).abs() < 0.155);
    }

    #[test]
    fn draws_without_replacement_are_the_front_of_the_permutation() {
        let stream = || Stream::new(5, "chosen", 2);
        for n in [1, 2, 7, 100] {
            for k in [0, 1, 2, 7, 60, 100] {
                let front = &stream().permutation(n)[..n.min(k) as usize];
                assert_eq!(stream().choose(n, k), front, "{k} of {n}");
            }
        }
    }

    #[test]
    fn a_permutation_holds_every_index_once_and_a_shorter_prefix_is_the_same() {
        let mut order = Stream::new(3, "order", 0).permutation(1000);
        let again = Stream::new(3, "order", 0).permutation(1000);
        assert_eq!(order, again);
        order.sort_unstable();
        assert!(order.iter().enumerate().all(|(i, &x)| i == x as usize));
    }

    #[test]
    fn every_index_is_drawn_about_equally_often() {
        let mut stream = Stream::new(9, "index", 0);
        let mut counts = [0u32; 7];
        (0..70_000).for_each(|_| counts[stream.index(7) as usize] += 1);
        // 10,000 expected each, with a standard deviation of 93.
        assert!(counts.iter().all(|&count| count.abs_diff(10_000) < 465), "{counts:?}");
    }
}

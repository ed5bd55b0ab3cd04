//! Random draws for resampling and for simulated results: named by a seed, the same on every machine.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A stream of draws. `rand_chacha` promises its values on every platform and in later versions.
#[derive(Clone, Debug)]
pub struct Random {
    generator: ChaCha8Rng,
}

impl Random {
    /// The stream of this seed, at its first draw.
    pub fn new(seed: u64) -> Self {
        Self { generator: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Uniform in `0..n`.
    ///
    /// # Panics
    /// If `n` is 0: there is nothing to draw from.
    pub fn index(&mut self, n: usize) -> usize {
        assert!(n > 0, "an index is drawn from at least one");
        ((u128::from(self.generator.next_u64()) * n as u128) >> 64) as usize
    }

    /// Uniform in (0, 1].
    pub fn unit(&mut self) -> f64 {
        ((self.generator.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// Standard normal, by Box and Muller from two uniform draws.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * libm::log(self.unit())).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_moments_of_their_distribution_and_repeat() {
        let mut random = Random::new(1);
        let draws: Vec<f64> = (0..20_000).map(|_| random.normal()).collect();
        let moment = |k: i32| draws.iter().map(|x| x.powi(k)).sum::<f64>() / 20_000.0;
        // Standard errors 0.007, 0.010 and 0.069: four of each.
        assert!(moment(1).abs() < 0.03, "{}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.04, "{}", moment(2));
        assert!((moment(4) - 3.0).abs() < 0.28, "{}", moment(4));
        assert_eq!(Random::new(7).normal(), Random::new(7).normal());
        assert_ne!(Random::new(7).normal(), Random::new(8).normal());
        let mut seen = [0; 3];
        (0..300).for_each(|_| seen[random.index(3)] += 1);
        assert!(seen.iter().all(|&count| count > 60), "{seen:?}");
    }
}

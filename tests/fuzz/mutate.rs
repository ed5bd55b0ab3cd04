//! Damage: what bytes look like after bad memory, bad disks, bad networks and bad people.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Lengths and counts that programs get wrong.
const EXTREMES: [u64; 8] =
    [0, 1, 0x7f, 0x80, 0xffff, 0x7fff_ffff, 0xffff_ffff, 0x7fff_ffff_ffff_ffff];

/// Longest input that damage grows to.
const BYTES_MAX: usize = 64 << 10;

/// One input's damage.
pub struct Mutator {
    rng: ChaCha8Rng,
}

impl Mutator {
    /// The damage of input `number` for a decoder.
    pub fn new(target: &str, number: u64) -> Self {
        let name = target.bytes().fold(7u64, |hash, byte| hash.wrapping_mul(31) + u64::from(byte));
        Self { rng: ChaCha8Rng::seed_from_u64(name ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.rng.random_range(0..bound.max(1))
    }

    /// A sample, damaged in one to four ways; now and then, noise.
    pub fn damaged(&mut self, samples: &[Vec<u8>]) -> Vec<u8> {
        if self.below(50) == 0 {
            let mut noise = vec![0; self.below(200)];
            self.rng.fill_bytes(&mut noise);
            return noise;
        }
        let mut bytes = samples[self.below(samples.len())].clone();
        for _ in 0..=self.below(4) {
            self.damage(&mut bytes, samples);
        }
        bytes.truncate(BYTES_MAX);
        bytes
    }

    fn damage(&mut self, bytes: &mut Vec<u8>, samples: &[Vec<u8>]) {
        let at = self.below(bytes.len());
        match self.below(9) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
            1 if !bytes.is_empty() => bytes[at] = self.rng.random(),
            2 => bytes.truncate(at),
            3 => {
                let mut noise = vec![0; self.below(9)];
                self.rng.fill_bytes(&mut noise);
                bytes.splice(at..at, noise);
            }
            4 => {
                let end = (at + self.below(40)).min(bytes.len());
                let block = bytes[at..end].repeat(1 + self.below(20));
                bytes.splice(at..at, block);
            }
            5 => {
                let end = (at + self.below(40)).min(bytes.len());
                bytes.drain(at..end);
            }
            6 => {
                let other = &samples[self.below(samples.len())];
                let from = self.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            7 => {
                let extreme = EXTREMES[self.below(EXTREMES.len())];
                let width = [1, 2, 4, 8][self.below(4)];
                let big = extreme.to_be_bytes();
                let little = extreme.to_le_bytes();
                let number = if self.below(2) == 0 { &little[..width] } else { &big[8 - width..] };
                let end = (at + width).min(bytes.len());
                bytes.splice(at..end, number.iter().copied());
            }
            // A digit for a digit: texts stay texts, and numbers become others.
            _ => {
                let digits = bytes.iter().enumerate().filter(|(_, b)| b.is_ascii_digit());
                let places: Vec<_> = digits.map(|(place, _)| place).collect();
                if !places.is_empty() {
                    let place = places[self.below(places.len())];
                    bytes[place] = b"0123456789-.eE"[self.below(14)];
                }
            }
        }
    }
}

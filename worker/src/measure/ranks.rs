//! Order statistics of numbers that are too many to be held, but can be told again.

use std::collections::BTreeMap;

/// Bits of a number that one pass tells apart.
const DIGIT: u32 = 20;

/// Counts of the leading digit of many numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Leading(Vec<u64>);

impl Default for Leading {
    fn default() -> Self {
        Self(vec![0; 1 << DIGIT])
    }
}

impl Leading {
    /// Counts `numbers`, none of them NaN.
    pub fn count(&mut self, numbers: &[f64]) {
        for &x in numbers {
            self.0[(key(x) >> (64 - DIGIT)) as usize] += 1;
        }
    }
}

/// The numbers of `ranks`, counted from 0 in ascending order, among those that each call of `tell` tells to its argument:
/// the same ones each time, and those that `leading` has counted.
///
/// # Cost
/// One pass where the numbers that begin like a wanted one are at most `held`, and then memory for them; else a pass for each
/// further 20 bits, with 8 MiB for each wanted number.
pub fn of_ranks<const R: usize>(
    ranks: [u64; R],
    leading: &Leading,
    held: u64,
    mut tell: impl FnMut(&mut dyn FnMut(&[f64])),
) -> [f64; R] {
    let mut known = ranks.map(|rank| Known { prefix: 0, rank, inside: u64::MAX });
    let mut bits = DIGIT;
    for wanted in &mut known {
        wanted.narrow(&leading.0, DIGIT);
    }
    loop {
        // The numbers that share a wanted one's prefix, by prefix.
        let groups: BTreeMap<u64, u64> = known.iter().map(|k| (k.prefix, k.inside)).collect();
        if bits == 64 {
            return known.map(|wanted| number(wanted.prefix));
        }
        if groups.values().sum::<u64>() <= held {
            let mut kept: BTreeMap<u64, Vec<f64>> =
                groups.keys().map(|&prefix| (prefix, Vec::new())).collect();
            tell(&mut |numbers| {
                for &x in numbers {
                    if let Some(kept) = kept.get_mut(&(key(x) >> (64 - bits))) {
                        kept.push(x);
                    }
                }
            });
            kept.values_mut().for_each(|numbers| numbers.sort_unstable_by(f64::total_cmp));
            return known.map(|wanted| kept[&wanted.prefix][wanted.rank as usize]);
        }
        let digit = DIGIT.min(64 - bits);
        let mut counts: BTreeMap<u64, Vec<u64>> =
            groups.keys().map(|&prefix| (prefix, vec![0; 1 << digit])).collect();
        tell(&mut |numbers| {
            for &x in numbers {
                let key = key(x);
                if let Some(counts) = counts.get_mut(&(key >> (64 - bits))) {
                    counts[(key >> (64 - bits - digit)) as usize & ((1 << digit) - 1)] += 1;
                }
            }
        });
        for wanted in &mut known {
            wanted.narrow(&counts[&wanted.prefix], digit);
        }
        bits += digit;
    }
}

/// A wanted number: its first bits, its rank among the numbers that begin with them, and how many these are.
#[derive(Clone, Copy)]
struct Known {
    prefix: u64,
    rank: u64,
    inside: u64,
}

impl Known {
    /// Takes in the next `digit` bits, `counts` being those of the numbers that begin like this one.
    fn narrow(&mut self, counts: &[u64], digit: u32) {
        for (next, &count) in (0..).zip(counts) {
            if self.rank < count {
                self.prefix = (self.prefix << digit) | next;
                self.inside = count;
                return;
            }
            self.rank -= count;
        }
        unreachable!("a rank is below the count of the numbers");
    }
}

/// Bits whose order is that of `f64::total_cmp`.
fn key(x: f64) -> u64 {
    let bits = x.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

fn number(key: u64) -> f64 {
    f64::from_bits(if key >> 63 == 1 { key & !(1 << 63) } else { !key })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    fn check(numbers: &[f64], held: u64) {
        let last = numbers.len() as u64 - 1;
        let ranks = [0, last / 1000, last / 2, (last / 2 + 1).min(last), last];
        let mut leading = Leading::default();
        leading.count(numbers);
        let found = of_ranks(ranks, &leading, held, |take| numbers.chunks(7).for_each(&mut *take));
        let mut sorted = numbers.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let expected = ranks.map(|rank| sorted[rank as usize]);
        assert_eq!(found.map(f64::to_bits), expected.map(f64::to_bits), "held {held}");
    }

    #[test]
    fn they_are_those_of_the_sorted_numbers_however_few_are_held() {
        let mut stream = Stream::new(3, "ranks", 0);
        let spread: Vec<f64> = (0..5_000).map(|_| stream.unit() * 2.0 - 1.0).collect();
        // As many in one place as no digit tells apart, and neighbours that only the last bit does.
        let mut dense = vec![0.25; 900];
        dense.extend([f64::from_bits(0.25f64.to_bits() + 1); 900]);
        dense.extend([-1.0, -0.0, 0.0, 1.0, 1e-300]);
        for held in [0, 1, 10, 1_000, 1_000_000] {
            check(&spread, held);
            check(&dense, held);
            check(&[0.5], held);
        }
    }
}

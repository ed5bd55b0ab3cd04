//! What a job measures and when.

/// The measurement plan of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    pub at: At,
    pub confusion: Vec<Confusion>,
    /// Whether confusion is also measured for each layer apart.
    pub layers: bool,
    /// What batch norm normalises by while confusion is measured; `Eval` where there is no batch norm.
    pub mode: Mode,
}

/// What batch norm normalises by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The moments of the minibatch: its examples then have no gradients of their own.
    Train,
    /// The running statistics.
    #[default]
    Eval,
}

impl Mode {
    /// The word in the sweep file, and in the column `mode`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Eval => "eval",
        }
    }
}

/// At which steps a job measures, beside step 0 and the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// This many steps in all, spaced evenly on a logarithmic scale.
    Log(u32),
    /// Every so many steps.
    Every(u64),
    /// These steps, ascending.
    Steps(Vec<u64>),
}

impl At {
    /// The measured steps of a run of `total` steps: ascending, distinct, from 0 to `total`.
    ///
    /// Step k is the state after k updates, so step 0 is the initialisation. Log-spaced steps are `total^(i/(n-2))`
    /// rounded to the nearest integer, i = 0..n-2, after step 0; where two round to the same step there are fewer.
    pub fn steps(&self, total: u64) -> Vec<u64> {
        let mut steps = vec![0, total];
        match self {
            Self::Log(count) => {
                let last = count.saturating_sub(2);
                for i in 0..=last {
                    steps.push(log_spaced(total, i, last.max(1)));
                }
            }
            Self::Every(stride) => steps.extend(
                (0..=total).step_by(usize::try_from((*stride).max(1)).unwrap_or(usize::MAX)),
            ),
            Self::Steps(listed) => {
                steps.extend(listed.iter().copied().filter(|&step| step <= total))
            }
        }
        steps.sort_unstable();
        steps.dedup();
        steps
    }
}

/// `total^(i/n)` to the nearest integer, by integer arithmetic so that every platform agrees.
///
/// It is the smallest k with (k + ½)^n >= total^i, found by bisection on logarithms to base 2 in fixed point.
fn log_spaced(total: u64, i: u32, n: u32) -> u64 {
    if total == 0 {
        return 0;
    }
    let target = u128::from(i) * u128::from(log2_fixed(2 * u128::from(total)) - log2_fixed(2));
    let (mut low, mut high) = (1u64, total);
    while low < high {
        let middle = low + (high - low) / 2;
        let reached =
            u128::from(n) * u128::from(log2_fixed(2 * u128::from(middle) + 1) - log2_fixed(2));
        if reached >= target {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// log2(x) for x >= 1 with 32 fractional bits, by repeated squaring.
fn log2_fixed(x: u128) -> u64 {
    let whole = 127 - x.leading_zeros();
    // The mantissa as 1.63 fixed point.
    let mut mantissa = if whole > 63 { x >> (whole - 63) } else { x << (63 - whole) };
    let mut bits = u64::from(whole);
    for _ in 0..32 {
        mantissa = (mantissa * mantissa) >> 63;
        bits <<= 1;
        if mantissa >> 64 != 0 {
            mantissa >>= 1;
            bits |= 1;
        }
    }
    bits
}

/// A confusion measurement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confusion {
    /// All pairs among the gradients of `count` training examples, exact; then, for every B in `average`, all pairs among
    /// the mean gradients of ⌊count/B⌋ disjoint minibatches of B of them, from the same inner products.
    Samples { count: u32, average: Vec<u32> },
    /// All pairs among the gradients of `count` minibatches of `batch` training examples, no two with an example in common.
    Batches { count: u32, batch: u32 },
    /// `count` pairs of minibatches of `batch` training examples, each pair drawn by itself, its two minibatches with no
    /// example in common: the published protocol (ICML 2020, appendix on experiments).
    BatchPairs { count: u32, batch: u32 },
    /// The gradient of the step that SGD takes next against those of all other examples after that step: the poster's
    /// strengthened bound.
    CrossIterate,
}

impl Confusion {
    /// The word in the column `scope`.
    pub const fn scope(&self) -> &'static str {
        match self {
            Self::Samples { .. } => "samples",
            Self::Batches { .. } => "batches",
            Self::BatchPairs { .. } => "batch-pairs",
            Self::CrossIterate => "cross-iterate",
        }
    }

    /// Whether it compares gradients of minibatches, which exist in train mode too.
    pub const fn is_of_batches(&self) -> bool {
        matches!(self, Self::Batches { .. } | Self::BatchPairs { .. })
    }

    /// Whether layers can be compared apart in it.
    pub const fn has_layers(&self) -> bool {
        !matches!(self, Self::CrossIterate)
    }

    /// How many rows it has, for the whole network or for one of its layers.
    pub fn row_count(&self) -> u64 {
        match self {
            Self::Samples { average, .. } => 1 + average.len() as u64,
            Self::Batches { .. } | Self::BatchPairs { .. } | Self::CrossIterate => 1,
        }
    }

    /// How many pairs of gradients it compares in a training set of `samples` for steps of `step` examples.
    pub fn pairs(&self, samples: u32, step: u32) -> u64 {
        let n = self.gradients(samples, step);
        let all = |n: u64| n * n.saturating_sub(1) / 2;
        match self {
            Self::Samples { average, .. } => {
                all(n) + average.iter().map(|&batch| all(n / u64::from(batch.max(1)))).sum::<u64>()
            }
            Self::Batches { .. } => all(n),
            Self::BatchPairs { .. } => n / 2,
            Self::CrossIterate => n,
        }
    }

    /// How many gradients it compares in a training set of `samples` for steps of `step` examples, averages apart.
    pub fn gradients(&self, samples: u32, step: u32) -> u64 {
        match self {
            Self::Samples { count, .. } => u64::from(*count.min(&samples)),
            Self::Batches { count, .. } => u64::from(*count),
            Self::BatchPairs { count, .. } => 2 * u64::from(*count),
            Self::CrossIterate => u64::from(samples.saturating_sub(step)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_step_are_always_measured() {
        assert_eq!(At::Steps(vec![]).steps(10), [0, 10]);
        assert_eq!(At::Steps(vec![10, 3, 3, 40]).steps(10), [0, 3, 10]);
        assert_eq!(At::Every(4).steps(10), [0, 4, 8, 10]);
        assert_eq!(At::Every(100).steps(10), [0, 10]);
        assert_eq!(At::Log(20).steps(0), [0]);
    }

    #[test]
    fn log_spaced_steps_are_powers_of_the_total() {
        assert_eq!(At::Log(6).steps(10_000), [0, 1, 10, 100, 1_000, 10_000]);
        assert_eq!(At::Log(2).steps(9), [0, 1, 9]);
        for total in [1u64, 7, 1_000, 20_000, 1 << 40] {
            let steps = At::Log(20).steps(total);
            assert!(steps.len() <= 20 && steps[0] == 0 && steps[steps.len() - 1] == total);
            for (i, expected) in (0..=18).map(|i| (i, (total as f64).powf(f64::from(i) / 18.0))) {
                let nearest = log_spaced(total, i as u32, 18);
                assert!((nearest as f64 - expected).abs() <= 0.5 + 1e-6 * expected, "{total} {i}");
            }
        }
    }
}

//! Simulated results: groups of trials whose law, noise and censoring are known, to test the analysis with.
//!
//! Nothing of it is measured. The tests and the coverage benchmark ask whether the analysis finds what was put in, and
//! whether it keeps from finding what was not.

use std::collections::{BTreeMap, BTreeSet};

use crate::scaling::Law;
use crate::statistics::Random;
use crate::study::{Group, Measurement, Trial};
use crate::summary::Setting;

/// What is true of the simulated sweep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Truth {
    /// The rms cosine is one increasing curve in `β / (scale · l^p d^q)`, half way up at 1.
    Exponents { p: f64, q: f64, scale: f64 },
    /// The same curve in `β / β*`, where `β*` is the larger of `scale · l` and `(scale · d² / l)^(1/3)`: layers of equal weight
    /// where `l β > d`, the first layer where `l β < d`. The two meet on `l β = d`.
    TwoRegimes { scale: f64 },
    /// `E cos²` is the index of this law.
    SquaredCosine(Law),
}

/// A sweep to simulate.
#[derive(Clone, Debug)]
pub struct Simulation {
    pub truth: Truth,
    pub widths: Vec<i64>,
    pub depths: Vec<i64>,
    pub dims: Vec<i64>,
    /// `(data seed, init seed)` of each repetition.
    pub seeds: Vec<(i64, i64)>,
    /// Standard deviation of what a seed adds to `ln β*` in every cell, and, a tenth of that, to the slopes in `ln l` and in
    /// `ln d`; half of the variance is its data seed's and half its initial seed's.
    pub seed_noise: f64,
    /// Standard deviation of what each trial adds on its own, relative.
    pub trial_noise: f64,
}

impl Simulation {
    /// The grid that the tests use, with as many seeds: 5 widths, 7 depths, 3 dims.
    pub fn of(truth: Truth, seed_count: i64) -> Self {
        Self {
            truth,
            widths: vec![8, 16, 32, 64, 128],
            depths: vec![1, 2, 4, 8, 16, 32, 64],
            dims: vec![16, 64, 256],
            seeds: (0..seed_count).map(|seed| (seed, seed)).collect(),
            seed_noise: 0.2,
            trial_noise: 0.05,
        }
    }

    /// The trials, drawn from `seed`: the same for the same seed.
    pub fn group(&self, seed: u64) -> Group {
        let mut random = Random::new(seed);
        let mut trials = Vec::new();
        let mut effects = |labels: Vec<i64>| -> BTreeMap<i64, [f64; 3]> {
            let distinct: BTreeSet<_> = labels.into_iter().collect();
            distinct.into_iter().map(|seed| (seed, [(); 3].map(|()| random.normal()))).collect()
        };
        let of_data = effects(self.seeds.iter().map(|seeds| seeds.0).collect());
        let of_init = effects(self.seeds.iter().map(|seeds| seeds.1).collect());
        for &seeds in &self.seeds {
            let [shift, by_width, by_dim] = [0, 1, 2].map(|k| {
                let both = of_data[&seeds.0][k] + of_init[&seeds.1][k];
                self.seed_noise * std::f64::consts::FRAC_1_SQRT_2 * both
            });
            for &width in &self.widths {
                for &depth in &self.depths {
                    for &dim in &self.dims {
                        let [l, b, d] = [width, depth, dim].map(|x| x as f64);
                        // A seed whose boundary lies higher sees the same curve at a smaller depth.
                        let tilt = 0.1 * (by_width * (l / 32.0).ln() + by_dim * (d / 64.0).ln());
                        let b = b * (-shift - tilt).exp();
                        let noise = 1.0 + self.trial_noise * random.normal();
                        let rms = (self.truth.rms_cos(l, b, d) * noise).clamp(0.0, 1.0);
                        trials.push(trial([width, depth, dim], seeds, rms));
                    }
                }
            }
        }
        let settings = vec![
            ("model_kind", Setting::Text("mlp".to_owned())),
            ("model_init", Setting::Text("simulated".to_owned())),
        ];
        Group { settings, trials, spec: None }
    }
}

impl Truth {
    fn rms_cos(self, width: f64, depth: f64, dim: f64) -> f64 {
        let curve = |s: f64| 0.1 + 0.3 / (1.0 + (-s / 1.5).exp());
        match self {
            Self::Exponents { p, q, scale } => {
                curve((depth / scale).ln() - p * width.ln() - q * dim.ln())
            }
            Self::TwoRegimes { scale } => {
                let boundary = (scale * width).max((scale * dim * dim / width).cbrt());
                curve((depth / boundary).ln())
            }
            Self::SquaredCosine(law) => law.index(width, depth, dim).max(0.0).sqrt().min(1.0),
        }
    }
}

fn trial([width, depth, dim]: [i64; 3], seeds: (i64, i64), rms_cos: f64) -> Trial {
    // The other statistics follow as they do in nets of light-tailed cosines (2,016 pairs).
    let min = -(4.0 * rms_cos).tanh();
    let measurement = Measurement {
        step: 0,
        count: Some(64),
        relative_eta: Some(4.0 * rms_cos),
        min_cos: Some(min),
        rms_cos: Some(rms_cos),
        cos_q01: Some(-(2.3 * rms_cos).tanh()),
        ..Measurement::default()
    };
    Trial {
        job: format!("{width}-{depth}-{dim}-{}-{}", seeds.0, seeds.1),
        width: Some(width),
        depth: Some(depth),
        dim: Some(dim),
        seeds,
        measurements: vec![measurement],
        ..Trial::default()
    }
}

//! The two convergence theorems as envelopes: what they allow a trial whose constants are known.
//!
//! Both speak of the expectation over the order of examples, and need eta over every weight that is visited. An eta from some
//! steps is too small, and so is the envelope made from it: a mean that stays below is below the true one too, a mean that
//! exceeds it says nothing.

use std::collections::BTreeMap;

use crate::statistics::{mean, standard_error};
use crate::study::{Group, Trial};

/// What the theorems know of one trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constants {
    /// N: the training examples.
    pub samples: f64,
    /// α: the step size of every step.
    pub step_size: f64,
    /// L: the largest smoothness of one example's loss.
    pub smoothness: f64,
    /// η: the largest that was measured.
    pub eta: f64,
}

impl Constants {
    /// The constants of a trial; none where a theorem does not apply: with more than one example a step, drawn otherwise than
    /// uniformly with replacement, with momentum or weight decay, a step size that changes or reaches 2/(N L), or
    /// without L or eta.
    pub fn of(group: &Group, trial: &Trial) -> Option<Self> {
        let is_off = |name: &str| group.number(name).is_none_or(|value| value == 0.0);
        let is_plain = group.number("train_batch") == Some(1.0)
            && !group.is("train_sampling", "shuffle")
            && is_off("train_momentum")
            && is_off("train_weight_decay");
        let (samples, step_size) =
            (group.number("data_samples")?, group.number("train_step_size")?);
        let is_constant =
            trial.curve.iter().all(|point| point.step_size.is_none_or(|found| found == step_size));
        let smoothness = trial.smoothness?;
        let is_small = step_size > 0.0 && step_size < 2.0 / (samples * smoothness);
        let etas = trial.measurements.iter().filter_map(|measurement| measurement.eta);
        let eta = etas.reduce(f64::max)?;
        (is_plain && is_constant && is_small && !trial.is_diverged).then_some(Self {
            samples,
            step_size,
            smoothness,
            eta,
        })
    }

    /// `α − N L α²/2`: what a step gains, over |g|²/N.
    fn gain(&self) -> f64 {
        let alpha = self.step_size;
        alpha - self.samples * self.smoothness * alpha * alpha / 2.0
    }
}

/// The bound on `E[F(w_T) − F*]` of losses that obey the PL inequality.
///
/// ```text
/// E[F(w_T) − F*] ≤ ρᵀ (F(w₀) − F*) + αη/(1 − ρ),   ρ = 1 − (2μ/N)(α − N L α²/2),   α < 2/(N L)
/// ```
///
/// The poster's first theorem; ICLR submission, Theorem 3.1. μ of F serves: the step needs
/// `mean |∇fᵢ|² ≥ |∇F|² ≥ 2μ(F − F*)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Linear {
    rho: f64,
    floor: f64,
    start: f64,
}

impl Linear {
    /// The envelope of a trial; none without μ and F*.
    pub fn of(constants: &Constants, trial: &Trial) -> Option<Self> {
        let mu = trial.strong_convexity.filter(|mu| *mu > 0.0)?;
        let start = trial.curve.first().filter(|first| first.step == 0)?.excess_risk?;
        let rho = 1.0 - 2.0 * mu / constants.samples * constants.gain();
        let floor = constants.step_size * constants.eta / (1.0 - rho);
        Some(Self { rho, floor, start })
    }

    /// The bound after `steps` steps.
    pub fn at(&self, steps: i64) -> f64 {
        self.rho.powf(steps as f64) * self.start + self.floor
    }
}

/// The bound on the smallest `E|∇F(w_k)|²`, `k < T`, of smooth losses, convex or not.
///
/// ```text
/// min_{k<T} E|∇F(w_k)|² ≤ ρ [ (F(w₀) − F*)/(αT) + η ],   ρ = 2N/(2 − N L α),   α < 2/(N L)
/// ```
///
/// ICLR submission, Theorem 3.2, which prints the first term without 1/α. Summed over T steps, the inequality behind both
/// theorems, `E F(w₊) ≤ F(w) − (α/N)(1 − N L α/2) E|∇f|² + αη`, has it, and its dimension needs it. Where F* is not known, 0
/// serves: no loss here is negative, and the bound grows by it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stationary {
    rho: f64,
    /// `(F(w₀) − F*)/α`.
    start: f64,
    eta: f64,
}

impl Stationary {
    /// The envelope of a trial; none without a loss at step 0.
    pub fn of(constants: &Constants, trial: &Trial) -> Option<Self> {
        let first = trial.curve.first().filter(|first| first.step == 0)?;
        let Constants { samples, step_size, smoothness, eta } = *constants;
        let rho = 2.0 * samples / (2.0 - samples * smoothness * step_size);
        Some(Self { rho, start: first.excess_risk.or(first.risk)? / step_size, eta })
    }

    /// The bound over the weights before step `steps`, at least one.
    pub fn at(&self, steps: i64) -> f64 {
        self.rho * (self.start / steps as f64 + self.eta)
    }
}

/// Means over trials of one dim at one step, and the envelopes over them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub dim: Option<i64>,
    pub step: i64,
    pub trials: usize,
    pub mean: f64,
    /// Of `mean`, over trials; none of one.
    pub error: Option<f64>,
    pub bound: f64,
}

/// Mean `F − F*` and mean envelope of the first theorem, by dim and step, of the trials it applies to.
pub fn linear(group: &Group) -> Vec<Point> {
    let rows = applicable(group).filter_map(|(constants, trial)| {
        let envelope = Linear::of(&constants, trial)?;
        let values = trial.curve.iter();
        let values = values
            .filter_map(|point| Some((point.step, point.excess_risk?, envelope.at(point.step))));
        Some((trial.dim, values.collect::<Vec<_>>()))
    });
    means(rows)
}

/// Mean |∇F|² at each step and the bound of the second theorem there; `mean` is the smallest mean of any earlier step.
pub fn stationary(group: &Group) -> Vec<Point> {
    let rows = applicable(group).filter_map(|(constants, trial)| {
        let envelope = Stationary::of(&constants, trial)?;
        let values = trial.curve.iter().filter_map(|point| {
            Some((point.step, point.gradient_norm?.powi(2), envelope.at(point.step)))
        });
        Some((trial.dim, values.collect::<Vec<_>>()))
    });
    let mut found = means(rows);
    for of_dim in found.chunk_by_mut(|a, b| a.dim == b.dim) {
        let mut least = (f64::INFINITY, None);
        for point in of_dim {
            // The bound at T is over the weights before it.
            let own = (point.mean, point.error);
            (point.mean, point.error) = least;
            if own.0 < least.0 {
                least = own;
            }
        }
    }
    found.retain(|point| point.step > 0 && point.mean.is_finite());
    found
}

fn applicable(group: &Group) -> impl Iterator<Item = (Constants, &Trial)> {
    group.trials.iter().filter_map(|trial| Some((Constants::of(group, trial)?, trial)))
}

/// A dim, and of each step a value and its bound.
type Row = (Option<i64>, Vec<(i64, f64, f64)>);

fn means(rows: impl Iterator<Item = Row>) -> Vec<Point> {
    let mut found = BTreeMap::<_, (Vec<f64>, Vec<f64>)>::new();
    for (dim, values) in rows {
        for (step, value, bound) in values {
            let (values, bounds) = found.entry((dim, step)).or_default();
            values.push(value);
            bounds.push(bound);
        }
    }
    let point = |((dim, step), (values, bounds)): (_, (Vec<f64>, Vec<f64>))| {
        let (mean, bound) = (mean(&values)?, mean(&bounds)?);
        Some(Point { dim, step, trials: values.len(), mean, error: standard_error(&values), bound })
    };
    found.into_iter().filter_map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::{CurvePoint, Measurement};
    use crate::summary::Setting;

    fn group(settings: &[(&'static str, Setting)]) -> Group {
        let plain = [
            ("data_samples", Setting::Int(10)),
            ("train_batch", Setting::Int(1)),
            ("train_step_size", Setting::Float(0.1)),
        ];
        let kept = plain.into_iter().filter(|(name, _)| settings.iter().all(|(s, _)| s != name));
        Group {
            settings: kept.chain(settings.iter().cloned()).collect(),
            trials: Vec::new(),
            spec: None,
        }
    }

    fn trial() -> Trial {
        let point = |step, excess: f64, norm: f64| CurvePoint {
            step,
            risk: Some(excess + 1.0),
            excess_risk: Some(excess),
            gradient_norm: Some(norm),
            step_size: Some(0.1),
            ..CurvePoint::default()
        };
        Trial {
            dim: Some(4),
            strong_convexity: Some(0.5),
            smoothness: Some(1.0),
            curve: vec![point(0, 2.0, 3.0), point(10, 1.0, 4.0), point(20, 0.5, 1.0)],
            measurements: vec![
                Measurement { eta: Some(0.01), ..Measurement::default() },
                Measurement { eta: Some(0.02), step: 20, ..Measurement::default() },
            ],
            ..Trial::default()
        }
    }

    /// N = 10, L = 1, α = 0.1: NLα = 1, so α − NLα²/2 = 0.05; ρ = 1 − 2·0.5/10·0.05 = 0.995, floor 0.1·0.02/0.005 = 0.4; and of
    /// the second theorem ρ = 20/(2 − 1) = 20, at T = 10 20·(2/(0.1·10) + 0.02) = 40.4.
    #[test]
    fn the_envelopes_are_those_of_the_formulas() {
        let constants = Constants::of(&group(&[]), &trial()).unwrap();
        let linear = Linear::of(&constants, &trial()).unwrap();
        assert!((linear.at(0) - 2.4).abs() < 1e-12, "{linear:?}");
        assert!((linear.at(100) - (2.0 * 0.995_f64.powi(100) + 0.4)).abs() < 1e-12);
        let stationary = Stationary::of(&constants, &trial()).unwrap();
        assert!((stationary.at(10) - 40.4).abs() < 1e-9, "{stationary:?}");
        // Without F* the loss itself starts the bound: 20·(3/(0.1·10) + 0.02).
        let mut unknown = trial();
        unknown.curve[0].excess_risk = None;
        let stationary = Stationary::of(&constants, &unknown).unwrap();
        assert!((stationary.at(10) - 60.4).abs() < 1e-9, "{stationary:?}");
        assert_eq!(Linear::of(&constants, &unknown), None);
    }

    #[test]
    fn the_smallest_gradient_is_of_earlier_weights_and_means_are_over_trials() {
        let other = Trial {
            curve: trial()
                .curve
                .iter()
                .map(|p| CurvePoint { gradient_norm: Some(1.0), ..*p })
                .collect(),
            ..trial()
        };
        let group = Group { trials: vec![trial(), other], ..group(&[]) };
        // |∇F|²: means (9 + 1)/2, (16 + 1)/2, (1 + 1)/2; before step 10 the first, before 20 the smaller of the first two.
        let found: Vec<_> = stationary(&group).iter().map(|p| (p.step, p.mean, p.trials)).collect();
        assert_eq!(found, [(10, 5.0, 2), (20, 5.0, 2)]);
        let found: Vec<_> = linear(&group).iter().map(|p| (p.step, p.mean)).collect();
        assert_eq!(found, [(0, 2.0), (10, 1.0), (20, 0.5)]);
    }

    #[test]
    fn where_a_theorem_does_not_apply_there_is_no_envelope() {
        for setting in [
            ("train_batch", Setting::Int(2)),
            ("train_sampling", Setting::Text("shuffle".to_owned())),
            ("train_momentum", Setting::Float(0.9)),
            ("train_weight_decay", Setting::Float(1e-4)),
            // 2/(N L) itself.
            ("train_step_size", Setting::Float(0.2)),
        ] {
            let mut trial = trial();
            trial.curve.iter_mut().for_each(|point| point.step_size = None);
            assert_eq!(
                Constants::of(&group(std::slice::from_ref(&setting)), &trial),
                None,
                "{setting:?}"
            );
        }
        for spoil in [
            |trial: &mut Trial| trial.curve[2].step_size = Some(0.01),
            |trial: &mut Trial| trial.smoothness = None,
            |trial: &mut Trial| trial.measurements.clear(),
            |trial: &mut Trial| trial.is_diverged = true,
        ] {
            let mut trial = trial();
            spoil(&mut trial);
            assert_eq!(Constants::of(&group(&[]), &trial), None, "{trial:?}");
        }
    }
}

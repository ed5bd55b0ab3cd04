//! The first convergence theorem as an envelope over the loss of linear regression.

use std::collections::BTreeMap;

use super::{Claim, Evidence, Verdict, found};
use crate::statistics::mean;
use crate::study::{Group, Trial};

pub(super) const CLAIM: Claim = Claim {
    statement: "SGD converges linearly to within a floor that eta sets.",
    source: "poster, first convergence theorem",
    statistic: "mean over seeds of F(w) − F* against ρᵗ(F(w₀) − F*) + αη/(1 − ρ), with the largest eta measured",
    needs: "linear regression with every example measured, a step size below 2/(N L), and at least 30 seeds",
};

const SEEDS_MIN: usize = 30;

/// The constants of the theorem for one trial.
///
/// ```text
/// ρ = 1 − (2μ/N)(α − N L α²/2),   α < 2/(N L)
/// ```
///
/// μ of F serves: the step needs `mean |∇fᵢ|² ≥ |∇F|² ≥ 2μ(F − F*)`.
pub(super) struct Envelope {
    rho: f64,
    floor: f64,
    start: f64,
}

impl Envelope {
    /// The envelope of a trial of `n` examples at the step size `alpha`; none where the theorem does not apply.
    pub(super) fn of(trial: &Trial, n: f64, alpha: f64) -> Option<Self> {
        let (mu, smoothness) = (trial.strong_convexity?, trial.smoothness?);
        if !(alpha > 0.0 && alpha < 2.0 / (n * smoothness) && mu > 0.0) {
            return None;
        }
        let rho = 1.0 - 2.0 * mu / n * (alpha - n * smoothness * alpha * alpha / 2.0);
        let eta = trial.measurements.iter().filter_map(|m| m.eta).fold(0.0, f64::max);
        let start = trial.curve.first()?.excess_risk?;
        Some(Self { rho, floor: alpha * eta / (1.0 - rho), start })
    }

    /// The bound on the expected excess risk after `step` steps.
    pub(super) fn at(&self, step: i64) -> f64 {
        self.rho.powf(step as f64) * self.start + self.floor
    }
}

/// What a group says of the claim; none if it is not linear regression with one example a step.
pub(super) fn evidence(group: &Group) -> Option<Evidence> {
    if !group.is("model_kind", "linear") || group.number("train_batch") != Some(1.0) {
        return None;
    }
    let (n, alpha) = (group.number("data_samples")?, group.number("train_step_size")?);
    let mut points: BTreeMap<_, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    let mut outside = 0;
    for trial in group.trials.iter().filter(|trial| !trial.is_diverged) {
        let Some(envelope) = Envelope::of(trial, n, alpha) else {
            outside += 1;
            continue;
        };
        for point in &trial.curve {
            if let Some(excess) = point.excess_risk {
                let (found, bound) = points.entry((trial.dim, point.step)).or_default();
                found.push(excess);
                bound.push(envelope.at(point.step));
            }
        }
    }
    let slacks = points.values().filter_map(|(found, bound)| {
        Some((mean(bound)? / mean(found)?.max(f64::MIN_POSITIVE), found.len()))
    });
    let slacks: Vec<_> = slacks.collect();
    let seeds = slacks.iter().map(|(_, count)| *count).min().unwrap_or(0);
    let least = slacks.iter().map(|(slack, _)| *slack).fold(f64::INFINITY, f64::min);
    let lines = vec![
        format!(
            "{} dims and steps compared, least bound over mean excess loss {least:.3}",
            slacks.len()
        ),
        format!("{outside} trials outside α < 2/(N L) or without μ, L and F*"),
    ];
    let cannot = |reason: String, lines| Some(found(Verdict::CannotTell, reason, lines));
    if slacks.is_empty() {
        return cannot("no trial meets α < 2/(N L) with μ, L and F* known".to_owned(), lines);
    }
    if least < 1.0 {
        return cannot(
            format!(
                "the mean exceeds the envelope ({least:.3} of it), but eta was measured at some steps only: a lower bound of what it needs"
            ),
            lines,
        );
    }
    if seeds < SEEDS_MIN {
        return cannot(
            format!("the mean of {seeds} seeds is no expectation: {SEEDS_MIN} at least"),
            lines,
        );
    }
    // A bound is hardly tested by what stays this far below it.
    let weak = if least > 100.0 { ", so this is a weak test" } else { "" };
    let reason = format!("no mean exceeds it; at the closest it is {least:.1} times as high{weak}");
    Some(found(Verdict::Supported, reason, lines))
}

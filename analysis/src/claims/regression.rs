//! Over- and under-parameterised linear regression: one reaches its optimum, the other stays on a floor.

use std::collections::BTreeSet;

use super::{Claim, Evidence, Verdict, counted, found, over_cutoffs};
use crate::statistics::mean;
use crate::study::{Study, Trial};

pub(super) const CLAIM: Claim = Claim {
    statement: "Over-parameterised regression converges where under-parameterised regression stalls.",
    source: "poster, linear regression with d > N and d < N",
    statistic: "F(w) − F* at the end over that at the start, per trial, d > N against d < N; at three cut-offs of what has \
        converged and how far from it the others stay",
    needs: "linear regression with dims on both sides of the number of examples, and three seeds each",
};

/// Below the first, a share of the start, a trial has converged; so many times as high the others have stalled. Loose, usual and
/// strict, by powers of ten as losses fall.
const CUTOFFS: [(f64, f64); 3] = [(1e-2, 3.0), (1e-3, 10.0), (1e-4, 30.0)];
const SEEDS_MIN: usize = 3;

/// What the study says of the claim; none without linear regression.
pub(super) fn evidence(study: &Study) -> Option<Evidence> {
    let (mut over, mut under, mut falling) = (Vec::new(), Vec::new(), 0);
    let mut seeds = [BTreeSet::new(), BTreeSet::new()];
    for group in study.distinct_groups().filter(|group| group.is("model_kind", "linear")) {
        let Some(samples) = group.number("data_samples") else { continue };
        for trial in &group.trials {
            let (Some(first), Some(last)) = (trial.curve.first(), trial.curve.last()) else {
                continue;
            };
            let (Some(dim), Some(start)) = (trial.dim, first.excess_risk) else { continue };
            let end = if trial.is_diverged { None } else { last.excess_risk };
            let ln_share = end.map_or(0.0, |end| (end / start).max(1e-300).ln());
            seeds[usize::from(dim as f64 <= samples)].insert(trial.seeds);
            if dim as f64 > samples {
                over.push(ln_share);
                falling += usize::from(is_falling(trial));
            } else {
                under.push(ln_share);
            }
        }
    }
    if over.is_empty() && under.is_empty() {
        return None;
    }
    let [o, u] = seeds.map(|seeds| seeds.len());
    let [above, below] = [&over, &under].map(|of| mean(of).map(f64::exp));
    let (Some(above), Some(below), true) = (above, below, o.min(u) >= SEEDS_MIN) else {
        let reason =
            format!("{} with d > N and {u} with d ≤ N: three of each at least", counted(o, "seed"));
        return Some(found(Verdict::CannotTell, reason, Vec::new()));
    };
    let lines = vec![format!(
        "geometric mean of what is left: {above:.2e} with d > N, {below:.2e} with d ≤ N"
    )];
    // The worst over-parameterised trial against the best of the others: no overlap, no averaging away.
    let worst = over.iter().copied().fold(f64::NEG_INFINITY, f64::max).exp();
    let best = under.iter().copied().fold(f64::INFINITY, f64::min).exp();
    let verdict_at = |(converged, apart)| {
        if worst < converged && best > apart * worst {
            let text = format!(
                "every trial with d > N ends below {worst:.1e} of its start, none with d ≤ N below {best:.1e}"
            );
            (Verdict::Supported, text)
        } else if falling > 0 && worst >= converged {
            let all = over.len();
            let text = format!(
                "{falling} of {all} trials with d > N still fell over the last half of training: train longer"
            );
            (Verdict::CannotTell, text)
        } else if above > below {
            (Verdict::Contradicted, "trials with d > N end further from their optimum".to_owned())
        } else {
            let text = format!(
                "d > N ends at up to {worst:.1e} of its start, d ≤ N at down to {best:.1e}: the two do not differ as claimed"
            );
            (Verdict::CannotTell, text)
        }
    };
    let name = |(converged, apart): (f64, f64)| {
        format!("converged below {converged:e} of the start, the others {apart} times as high")
    };
    Some(over_cutoffs(CUTOFFS, name, verdict_at, lines))
}

/// Whether the second half of training still took a tenth off the excess loss: such a trial has not stalled.
fn is_falling(trial: &Trial) -> bool {
    let Some(last) = trial.curve.last().filter(|_| !trial.is_diverged) else { return false };
    let before = trial.curve.iter().rev().find(|point| 2 * point.step <= last.step);
    let excesses = before.and_then(|before| before.excess_risk).zip(last.excess_risk);
    excesses.is_some_and(|(before, end)| end < 0.9 * before)
}

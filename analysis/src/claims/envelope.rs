//! The two convergence theorems as envelopes over what was measured.

use super::{Claim, Evidence, Verdict, found};
use crate::study::Group;
use crate::theorem::{self, Point};

pub(super) const LINEAR: Claim = Claim {
    statement: "SGD converges linearly to within a floor that eta sets.",
    source: "poster, first convergence theorem; ICLR submission, Theorem 3.1",
    statistic: "mean over seeds of F(w) − F* against ρᵗ(F(w₀) − F*) + αη/(1 − ρ), with the largest eta measured; within a \
        factor of 100, else the bound is not tested",
    needs: "linear regression, one example a step, a constant step size below 2/(N L), and at least 30 seeds",
};

pub(super) const STATIONARY: Claim = Claim {
    statement: "On smooth losses, convex or not, SGD finds a gradient as small as eta allows.",
    source: "ICLR submission, Theorem 3.2, its first term over α (as printed, it lacks that)",
    statistic: "the smallest mean over seeds of |∇F|² at measured steps against 2N/(2 − N L α) · ((F(w₀) − F*)/(αT) + η), with \
        the largest eta measured; within a factor of 100, else the bound is not tested",
    needs: "a loss whose L is known (linear or logistic regression), one example a step, a constant step size below 2/(N L), \
        and at least 30 seeds; of networks no L is known",
};

const SEEDS_MIN: usize = 30;
/// A bound so many times as high as what it bounds is not tested by holding.
const SLACK_MAX: f64 = 100.0;

/// What a group says of the first theorem; none if it is not linear regression.
pub(super) fn linear(group: &Group) -> Option<Evidence> {
    group.is("model_kind", "linear").then(|| of(group, &theorem::linear(group), "μ, L and F*"))
}

/// What a group says of the second; none if its model is not linear.
pub(super) fn stationary(group: &Group) -> Option<Evidence> {
    let is_known = group.is("model_kind", "linear") || group.is("model_kind", "logistic");
    is_known.then(|| of(group, &theorem::stationary(group), "L"))
}

fn of(group: &Group, points: &[Point], constants: &str) -> Evidence {
    // At step 0 the bound holds by its definition, and tests nothing.
    let points: Vec<_> = points.iter().filter(|point| point.step > 0).copied().collect();
    let slack = |point: &Point| point.bound / point.mean.max(f64::MIN_POSITIVE);
    let nearest = points.iter().min_by(|a, b| slack(a).total_cmp(&slack(b)));
    let cannot = |reason: String, lines| found(Verdict::CannotTell, reason, lines);
    let Some(nearest) = nearest else {
        let reason = format!(
            "in none of {} trials are {constants} known and one example a step, drawn with replacement, taken at a constant \
             step size below 2/(N L)",
            group.trials.len()
        );
        return cannot(reason, Vec::new());
    };
    let least = slack(nearest);
    let seeds = points.iter().map(|point| point.trials).min().unwrap_or(0);
    let mut lines = Vec::new();
    for of_dim in points.chunk_by(|a, b| a.dim == b.dim) {
        let range = of_dim.iter().map(slack);
        let (low, high) =
            range.fold((f64::INFINITY, 0.0_f64), |(low, high), x| (low.min(x), high.max(x)));
        let dim = of_dim[0].dim.map_or(String::new(), |dim| format!("d = {dim}: "));
        lines.push(format!(
            "{dim}bound over mean from {low:.3} to {high:.1e}, at {} steps of {} to {}",
            of_dim.len(),
            of_dim[0].step,
            of_dim[of_dim.len() - 1].step
        ));
    }
    let at = format!("at step {}", nearest.step);
    if least < 1.0 {
        let reason = format!(
            "the mean exceeds the envelope ({least:.3} of it {at}), but eta was measured at some steps only: a lower bound of what it needs"
        );
        return cannot(reason, lines);
    }
    if seeds < SEEDS_MIN {
        let reason = format!("the mean of {seeds} seeds is no expectation: {SEEDS_MIN} at least");
        return cannot(reason, lines);
    }
    if least > SLACK_MAX {
        let reason = format!(
            "no mean exceeds it, but it is at least {least:.0} times as high: a bound so far away is not tested by this"
        );
        return cannot(reason, lines);
    }
    let reason =
        format!("no mean exceeds it; at the closest, {at}, it is {least:.1} times as high");
    found(Verdict::Supported, reason, lines)
}

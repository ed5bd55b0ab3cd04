//! The linear-model bound: confusion of random data falls as one over the root of the dimension.

use std::collections::BTreeMap;

use super::{Claim, Evidence, Verdict, found};
use crate::statistics::student::two_sided_quantile;
use crate::statistics::{mean, standard_error};
use crate::study::{Group, Moment};

pub(super) const CLAIM: Claim = Claim {
    statement: "In linear models confusion falls as d^−½ in the dimension of the data.",
    source: "poster, linear-model concentration",
    statistic: "slope of ln(−min cosine) on ln d at the initial weights, one slope a seed, 95 % t interval",
    needs: "a linear model with at least three dims and three seeds, measured at step 0",
};

/// How far from −1/2 a slope may lie at finite d and still be called it.
const TOLERANCE: f64 = 0.1;

/// What a group says of the claim; none if its model is not linear.
pub(super) fn evidence(group: &Group) -> Option<Evidence> {
    if !group.is("model_kind", "linear") {
        return None;
    }
    let mut seeds: BTreeMap<(i64, i64), Vec<(f64, f64)>> = BTreeMap::new();
    for trial in &group.trials {
        let min = Moment::Start.of(&trial.measurements).and_then(|first| first.min_cos);
        if let (Some(dim), Some(min)) = (trial.dim, min.filter(|min| *min < 0.0)) {
            seeds.entry(trial.seeds).or_default().push(((dim as f64).ln(), (-min).ln()));
        }
    }
    let slopes: Vec<f64> = seeds.values().filter_map(|points| slope(points)).collect();
    let (Some(center), Some(error), true) =
        (mean(&slopes), standard_error(&slopes), slopes.len() >= 3)
    else {
        let reason = format!("{} seeds have three dims at step 0: three at least", slopes.len());
        return Some(found(Verdict::CannotTell, reason, Vec::new()));
    };
    let half = two_sided_quantile(0.05, slopes.len() - 1) * error;
    let text = format!("slope {center:.3} ± {half:.3} over {} seeds", slopes.len());
    let off = (center + 0.5).abs();
    let (verdict, reason) = if off + half <= TOLERANCE {
        (Verdict::Supported, text)
    } else if off - half > TOLERANCE {
        (Verdict::Contradicted, text)
    } else {
        (Verdict::CannotTell, format!("{text}: too wide to tell from −½ ± {TOLERANCE}"))
    };
    Some(found(verdict, reason, Vec::new()))
}

/// Least squares through at least three dims.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let n = points.len() as f64;
    let center = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x, y) = (center(|point| point.0), center(|point| point.1));
    let sum = |of: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>();
    let spread = sum(&|point| (point.0 - x).powi(2));
    (points.len() >= 3 && spread > 0.0)
        .then(|| sum(&|point| (point.0 - x) * (point.1 - y)) / spread)
}

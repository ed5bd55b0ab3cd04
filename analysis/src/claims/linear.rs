//! The linear-model bound: confusion of random data falls as one over the root of the dimension.

use std::collections::BTreeMap;

use super::{Claim, Evidence, Verdict, counted, found, over_cutoffs};
use crate::statistics::student::two_sided_quantile;
use crate::statistics::{crossed, mean, slope};
use crate::study::{Group, Moment};

pub(super) const CLAIM: Claim = Claim {
    statement: "In linear models confusion falls as d^−½ in the dimension of the data.",
    source: "poster, linear-model concentration",
    statistic: "slope of ln(−min cosine) on ln d at the initial weights, one slope a seed, 95 % t interval; crossed, both kinds of seed \
        scatter it; at three cut-offs of how near −½ is",
    needs: "a linear model with at least three dims and three seeds of each kind that varies, measured at step 0",
};

/// How far from −1/2 a slope may lie at finite d and still be called it: half, once and double.
const TOLERANCES: [f64; 3] = [0.05, 0.1, 0.2];
const DIMS_MIN: usize = 3;

/// What a group says of the claim; none if its model is not linear.
pub(super) fn evidence(group: &Group) -> Option<Evidence> {
    if !group.is("model_kind", "linear") {
        return None;
    }
    let mut seeds: BTreeMap<(i64, i64), BTreeMap<i64, Vec<f64>>> = BTreeMap::new();
    for trial in &group.trials {
        let min = Moment::Start.of(&trial.measurements).and_then(|first| first.min_cos);
        if let (Some(dim), Some(min)) = (trial.dim, min.filter(|min| *min < 0.0)) {
            let of_seed = seeds.entry(trial.seeds).or_default();
            of_seed.entry(dim).or_default().push((-min).ln());
        }
    }
    let (mut labels, mut slopes) = (Vec::new(), Vec::new());
    for (label, dims) in &seeds {
        let place = |(dim, of_dim): (&i64, &Vec<f64>)| Some(((*dim as f64).ln(), mean(of_dim)?));
        let points: Vec<_> = dims.iter().filter_map(place).collect();
        if let Some(slope) = slope::slope(&points).filter(|_| points.len() >= DIMS_MIN) {
            labels.push(*label);
            slopes.push(slope);
        }
    }
    let known = crossed::error(&labels, &slopes).filter(|(_, freedom)| *freedom >= 2);
    let (Some(center), Some((error, freedom))) = (mean(&slopes), known) else {
        let reason = format!(
            "{} with three dims at step 0: three of each kind at least",
            counted(slopes.len(), "seed")
        );
        return Some(found(Verdict::CannotTell, reason, Vec::new()));
    };
    let half = two_sided_quantile(0.05, freedom) * error;
    let text = format!("slope {center:.3} ± {half:.3} over {} seeds", slopes.len());
    let off = (center + 0.5).abs();
    let verdict_at = |tolerance| {
        if off + half <= tolerance {
            (Verdict::Supported, text.clone())
        } else if off - half > tolerance {
            (Verdict::Contradicted, text.clone())
        } else {
            (Verdict::CannotTell, format!("{text}: too wide to tell from −½ ± {tolerance}"))
        }
    };
    let name = |tolerance| format!("−½ ± {tolerance}");
    Some(over_cutoffs(TOLERANCES, name, verdict_at, Vec::new()))
}

//! Logistic regression on orthogonal inputs: gradients never meet, so SGD is many descents in one dimension each.

use super::largest::Largest;
use super::{Claim, Evidence, SEEDS_MIN, Verdict, are, counted, found, over_cutoffs};
use crate::study::Group;

pub(super) const CLAIM: Claim = Claim {
    statement: "Orthogonal inputs decouple logistic regression: no two gradients have an inner product.",
    source: "poster, logistic regression",
    statistic: "largest rms cosine over all trials and steps: 0 up to rounding, at three cut-offs of what is rounding",
    needs: "logistic regression on orthogonal data, and five seeds",
};

/// Rounding of sums of a few thousand products in f32, the coarser of the two precisions: strict, usual and loose.
const ROUNDINGS: [f64; 3] = [1e-6, 1e-5, 1e-4];

/// What a group says of the claim; none of other models or data.
pub(super) fn evidence(group: &Group) -> Option<Evidence> {
    if !group.is("model_kind", "logistic") || !group.is("data_kind", "orthogonal") {
        return None;
    }
    let Largest { value: largest, seeds, found: with_cosine, missing } =
        Largest::of(&group.trials, |measurement| measurement.rms_cos);
    let measurements = counted(with_cosine, "measurement");
    let text = format!("the largest rms cosine of {measurements} is {largest:.1e}");
    if seeds < SEEDS_MIN {
        let reason = format!("{} too few: five at least; {text}", are(seeds, "seed"));
        return Some(found(Verdict::CannotTell, reason, Vec::new()));
    }
    let verdict_at = |rounding| {
        if largest > rounding {
            (Verdict::Contradicted, text.clone())
        } else if missing > 0 {
            (Verdict::CannotTell, format!("{text}, and it is missing in {missing} more"))
        } else {
            (Verdict::Supported, text.clone())
        }
    };
    let name = |rounding| format!("0 up to {rounding:e}");
    Some(over_cutoffs(ROUNDINGS, name, verdict_at, Vec::new()))
}

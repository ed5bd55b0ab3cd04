//! Logistic regression on orthogonal inputs: gradients never meet, so SGD is many descents in one dimension each.

use super::largest::Largest;
use super::{Claim, Evidence, SEEDS_MIN, Verdict, are, counted, found};
use crate::study::Group;

pub(super) const CLAIM: Claim = Claim {
    statement: "Orthogonal inputs decouple logistic regression: no two gradients have an inner product.",
    source: "poster, logistic regression",
    statistic: "largest rms cosine over all trials and steps: 0 up to rounding",
    needs: "logistic regression on orthogonal data, and five seeds",
};

/// Rounding of sums of a few thousand products in f32, the coarser of the two precisions.
const ROUNDING: f64 = 1e-5;

/// What a group says of the claim; none of other models or data.
pub(super) fn evidence(group: &Group) -> Option<Evidence> {
    if !group.is("model_kind", "logistic") || !group.is("data_kind", "orthogonal") {
        return None;
    }
    let Largest { value: largest, seeds, found: with_cosine, missing } =
        Largest::of(&group.trials, |measurement| measurement.rms_cos);
    let measurements = counted(with_cosine, "measurement");
    let text = format!("the largest rms cosine of {measurements} is {largest:.1e}");
    let (verdict, text) = if seeds < SEEDS_MIN {
        (Verdict::CannotTell, format!("{} too few: five at least; {text}", are(seeds, "seed")))
    } else if largest > ROUNDING {
        (Verdict::Contradicted, text)
    } else if missing > 0 {
        (Verdict::CannotTell, format!("{text}, and it is missing in {missing} more"))
    } else {
        (Verdict::Supported, text)
    };
    Some(found(verdict, text, Vec::new()))
}

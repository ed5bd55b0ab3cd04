//! Logistic regression on orthogonal inputs: gradients never meet, so SGD is many descents in one dimension each.

use std::collections::BTreeSet;

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
    let (mut seeds, mut count, mut missing, mut largest) = (BTreeSet::new(), 0, 0, 0.0_f64);
    for (trial, measurement) in
        group.trials.iter().flat_map(|trial| trial.measurements.iter().map(move |one| (trial, one)))
    {
        match measurement.rms_cos.filter(|cosine| cosine.is_finite()) {
            Some(cosine) => {
                largest = largest.max(cosine);
                seeds.insert(trial.seeds);
                count += 1;
            }
            None => missing += 1,
        }
    }
    let measurements = counted(count, "measurement");
    let text = format!("the largest rms cosine of {measurements} is {largest:.1e}");
    let (verdict, text) = if seeds.len() < SEEDS_MIN {
        (
            Verdict::CannotTell,
            format!("{} too few: five at least; {text}", are(seeds.len(), "seed")),
        )
    } else if largest > ROUNDING {
        (Verdict::Contradicted, text)
    } else if missing > 0 {
        (Verdict::CannotTell, format!("{text}, and it is missing in {missing} more"))
    } else {
        (Verdict::Supported, text)
    };
    Some(found(verdict, text, Vec::new()))
}

//! Logistic regression on orthogonal inputs: gradients never meet, so SGD is many descents in one dimension each.

use super::{Claim, Evidence, Verdict, found};
use crate::study::Group;

pub(super) const CLAIM: Claim = Claim {
    statement: "Orthogonal inputs decouple logistic regression: no two gradients have an inner product.",
    source: "poster, logistic regression",
    statistic: "largest rms cosine over all trials and steps: 0 up to rounding",
    needs: "logistic regression on orthogonal data",
};

/// Rounding of sums of a few thousand products in f32, the coarser of the two precisions.
const ROUNDING: f64 = 1e-5;

/// What a group says of the claim; none of other models or data.
pub(super) fn evidence(group: &Group) -> Option<Evidence> {
    if !group.is("model_kind", "logistic") || !group.is("data_kind", "orthogonal") {
        return None;
    }
    let measured = group.trials.iter().flat_map(|trial| &trial.measurements);
    let cosines: Vec<f64> = measured.filter_map(|measurement| measurement.rms_cos).collect();
    let largest = cosines.iter().copied().fold(0.0, f64::max);
    let text = format!("the largest rms cosine of {} measurements is {largest:.1e}", cosines.len());
    let verdict = match cosines.is_empty() {
        true => Verdict::CannotTell,
        false if largest <= ROUNDING => Verdict::Supported,
        false => Verdict::Contradicted,
    };
    Some(found(verdict, text, Vec::new()))
}

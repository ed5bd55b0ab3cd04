//! The neural-net bound: eta below 5 at every weight that SGD visits.

use super::largest::Largest;
use super::{Claim, Evidence, SEEDS_MIN, Verdict, are, counted, found, over_cutoffs, told};
use crate::study::Group;

pub(super) const CLAIM: Claim = Claim {
    statement: "At the weights that training visits, eta stays below 5.",
    source: "poster, neural-net bound",
    statistic: "the largest eta over all measured steps of trials whose l/β² is at least 1/√d; at three cut-offs \
        of the bound, and three of how near it eta must come",
    needs: "an MLP with the poster's initialisation, and at least five seeds",
};

/// The bound, and the share of it that eta must reach: a bound that is never near is not tested by not being exceeded. The
/// poster's 5 is 1 more than 4, which products of residuals of at most 2 allow; so 1 to either side, and half and double the share.
const CUTOFFS: [(f64, f64); 5] = [(4.0, 0.2), (5.0, 0.1), (5.0, 0.2), (5.0, 0.4), (6.0, 0.2)];

/// What a group says of the claim; none if it is of another initialisation.
pub(super) fn evidence(group: &Group) -> Option<Evidence> {
    if !group.is("model_kind", "mlp") || !group.is("model_init", "paper") {
        return None;
    }
    let (mut inside, mut outside) = (Vec::new(), 0);
    for trial in &group.trials {
        let (Some(l), Some(b), Some(d)) = (trial.width, trial.depth, trial.dim) else { continue };
        let [l, b, d] = [l, b, d].map(|x| x as f64);
        if l / (b * b) < 1.0 / d.sqrt() {
            outside += 1;
        } else {
            inside.push(trial);
        }
    }
    let trials = inside.len();
    let Largest { value: largest, seeds, found: with_eta, missing } =
        Largest::of(inside, |measurement| measurement.eta);
    let measured = counted(with_eta + missing, "measurement");
    let lines = vec![format!(
        "{} inside l/β² ≥ 1/√d, {outside} outside it; eta of {}, missing in {missing} of {measured}",
        counted(trials, "trial"),
        counted(seeds, "seed")
    )];
    let cannot = |reason: String| (Verdict::CannotTell, reason);
    let few = if trials == 0 {
        Some("no trial lies inside l/β² ≥ 1/√d".to_owned())
    } else {
        (seeds < SEEDS_MIN).then(|| format!("{} too few: five at least", are(seeds, "seed")))
    };
    if let Some(reason) = few {
        return Some(found(Verdict::CannotTell, reason, lines));
    }
    let verdict_at = |(bound, share)| {
        if largest > bound {
            (Verdict::Contradicted, format!("eta reaches {largest:.3}"))
        } else if largest < share * bound {
            let largest = told(largest);
            cannot(format!(
                "eta never exceeds {largest}: a bound so far away is not tested by this"
            ))
        } else if missing > 0 {
            cannot(format!(
                "eta is missing in {missing} of {measured}: what it is there, no bound says"
            ))
        } else {
            let text = format!("eta never exceeds {largest:.3}, at the steps that were measured");
            (Verdict::Supported, text)
        }
    };
    let name = |(bound, share)| format!("below {bound}, tested from {:.1} on", bound * share);
    Some(over_cutoffs(CUTOFFS, name, verdict_at, lines))
}

//! The neural-net bound: eta below 5 at every weight that SGD visits.

use super::largest::Largest;
use super::{Claim, Evidence, SEEDS_MIN, Verdict, are, counted, found, told};
use crate::study::Group;

pub(super) const CLAIM: Claim = Claim {
    statement: "At the weights that training visits, eta stays below 5.",
    source: "poster, neural-net bound",
    statistic: "the largest eta over all measured steps of trials whose l/β² is at least 1/√d",
    needs: "an MLP with the poster's initialisation, and at least five seeds",
};

const BOUND: f64 = 5.0;
/// A bound that is never approached to this share is not tested by not being exceeded.
const BINDING: f64 = 0.2;

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
    let (verdict, reason) = if trials == 0 {
        (Verdict::CannotTell, "no trial lies inside l/β² ≥ 1/√d".to_owned())
    } else if seeds < SEEDS_MIN {
        let reason = format!("{} too few: five at least", are(seeds, "seed"));
        (Verdict::CannotTell, reason)
    } else if largest > BOUND {
        (Verdict::Contradicted, format!("eta reaches {largest:.3}"))
    } else if largest < BINDING * BOUND {
        let reason = format!(
            "eta never exceeds {}: a bound so far away is not tested by this",
            told(largest)
        );
        (Verdict::CannotTell, reason)
    } else if missing > 0 {
        (
            Verdict::CannotTell,
            format!("eta is missing in {missing} of {measured}: what it is there, no bound says"),
        )
    } else {
        (
            Verdict::Supported,
            format!("eta never exceeds {largest:.3}, at the steps that were measured"),
        )
    };
    Some(found(verdict, reason, lines))
}

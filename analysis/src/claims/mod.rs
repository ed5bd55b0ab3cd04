//! The claims: what the poster states, what would show it, and what these results say of it.
//!
//! A verdict is for all ways of asking or it is none: where statistics, thresholds or settings disagree, where cells are
//! censored or seeds too few, the answer is "cannot tell", with what would tell.

mod advice;
mod bound;
mod convergence;
mod envelope;
mod largest;
mod linear;
mod logistic;
mod regression;
mod scaling;
mod trend;

use crate::scaling::Survey;
use crate::study::{Group, Study};
use crate::words::counted;

pub use advice::{Advice, DataPaths, advise};
pub use trend::{Direction, Trend, trend};

/// A statement of the poster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub statement: &'static str,
    /// The poster's section, or where else it stands.
    pub source: &'static str,
    pub statistic: &'static str,
    /// The data without which nothing can be said.
    pub needs: &'static str,
}

/// What results say of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Supported,
    Contradicted,
    CannotTell,
}

impl Verdict {
    /// The words for it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Supported => "supported",
            Self::Contradicted => "contradicted",
            Self::CannotTell => "cannot tell",
        }
    }
}

/// What one group of trials says of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// What tells the group from others; empty for the only one.
    pub group: String,
    pub verdict: Verdict,
    pub reason: String,
    /// How the answer changes with statistic, threshold and moment: one line each.
    pub sensitivity: Vec<String>,
}

/// A claim with its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub claim: Claim,
    pub verdict: Verdict,
    pub reason: String,
    pub evidence: Vec<Evidence>,
}

/// The verdict on every claim. `surveys` has one entry a group of the study, in its order.
pub fn judge(study: &Study, surveys: &[Survey]) -> Vec<Finding> {
    let each = |claim: Claim, of: &dyn Fn(&Group, Option<&Survey>) -> Option<Evidence>| {
        let groups = study.groups.iter().enumerate();
        let evidence = groups.filter_map(|(index, group)| {
            Some(Evidence { group: study.label(group), ..of(group, surveys.get(index))? })
        });
        Finding::of(claim, evidence.collect())
    };
    vec![
        each(trend::WIDTH, &|group, _| trend::evidence(group, Direction::Width)),
        each(trend::DEPTH, &|group, _| trend::evidence(group, Direction::Depth)),
        each(scaling::CLAIM, &|_, survey| scaling::evidence(survey?)),
        each(convergence::CLAIM, &|group, _| convergence::evidence(group)),
        each(bound::CLAIM, &|group, _| bound::evidence(group)),
        each(envelope::LINEAR, &|group, _| envelope::linear(group)),
        each(envelope::STATIONARY, &|group, _| envelope::stationary(group)),
        Finding::of(regression::CLAIM, regression::evidence(study).into_iter().collect()),
        each(linear::CLAIM, &|group, _| linear::evidence(group)),
        each(logistic::CLAIM, &|group, _| logistic::evidence(group)),
    ]
}

impl Finding {
    /// The groups' verdict where they agree.
    fn of(claim: Claim, evidence: Vec<Evidence>) -> Self {
        let count = |verdict| evidence.iter().filter(|one| one.verdict == verdict).count();
        let (supported, contradicted) = (count(Verdict::Supported), count(Verdict::Contradicted));
        let all = evidence.len();
        let (verdict, reason) = match (supported, contradicted) {
            _ if all == 0 => (
                Verdict::CannotTell,
                format!("these results have none of it: it needs {}", claim.needs),
            ),
            _ if all == 1 => (evidence[0].verdict, evidence[0].reason.clone()),
            (s, _) if s == all => (Verdict::Supported, format!("so in {}", every(all))),
            (_, c) if c == all => (Verdict::Contradicted, format!("so in {}", every(all))),
            (0, 0) => (Verdict::CannotTell, format!("open in {}", every(all))),
            (s, c) => (
                Verdict::CannotTell,
                format!(
                    "it depends on the setting: supported in {s}, contradicted in {c}, open in {} of {all}",
                    all - s - c
                ),
            ),
        };
        Self { claim, verdict, reason, evidence }
    }
}

fn every(count: usize) -> String {
    if count == 2 { "both settings".to_owned() } else { format!("all {count} settings") }
}

/// Seeds without which a statement about all weights and all data is not made.
const SEEDS_MIN: usize = 5;

/// `1 seed is`, `2 seeds are`.
fn are(count: usize, noun: &str) -> String {
    format!("{} {}", counted(count, noun), if count == 1 { "is" } else { "are" })
}

/// A positive number as a sentence has it: with an exponent only where it is very small.
fn told(number: f64) -> String {
    if number > 0.0 && number < 1e-3 { format!("{number:.0e}") } else { format!("{number:.3}") }
}

/// What a claim that rests on a cut-off says at each of `cutoffs`, one line each. The verdict is that of the middle one, the
/// analysis' own, if the others agree; else it depends on the cut-off, and cannot be told.
fn over_cutoffs<T: Copy, const N: usize>(
    cutoffs: [T; N],
    name: impl Fn(T) -> String,
    verdict_at: impl Fn(T) -> (Verdict, String),
    mut lines: Vec<String>,
) -> Evidence {
    let tried = cutoffs.map(|cutoff| (name(cutoff), verdict_at(cutoff)));
    let line =
        |(name, (verdict, _)): &(String, (Verdict, String))| format!("{name}: {}", verdict.label());
    lines.extend(tried.iter().map(line));
    let (_, (own, reason)) = &tried[N / 2];
    let other = tried.iter().find(|(_, (verdict, _))| verdict != own);
    match other.filter(|_| *own != Verdict::CannotTell) {
        None => found(*own, reason.clone(), lines),
        Some(other) => {
            let both = format!("{}, {}", line(&tried[N / 2]), line(other));
            found(
                Verdict::CannotTell,
                format!("it depends on the cut-off ({both}); {reason}"),
                lines,
            )
        }
    }
}

/// Evidence of a group, without its name: [`judge`] knows that.
fn found(verdict: Verdict, reason: String, sensitivity: Vec<String>) -> Evidence {
    Evidence { group: String::new(), verdict, reason, sensitivity }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_an_exponent_only_where_they_are_very_small() {
        assert_eq!([0.275, 1.35e-1, 1.68e-7].map(told), ["0.275", "0.135", "2e-7"]);
    }

    #[test]
    fn cutoffs_that_disagree_leave_the_claim_open() {
        use Verdict::{CannotTell, Contradicted, Supported};
        let of = |verdicts: [Verdict; 3]| {
            let name = |k: usize| format!("at {k}");
            over_cutoffs([0, 1, 2], name, |k| (verdicts[k], format!("reason {k}")), Vec::new())
        };
        let same = of([Supported; 3]);
        assert_eq!((same.verdict, same.reason.as_str()), (Supported, "reason 1"));
        assert_eq!(same.sensitivity, ["at 0: supported", "at 1: supported", "at 2: supported"]);
        let differs = of([Contradicted, Supported, CannotTell]);
        assert_eq!(differs.verdict, CannotTell);
        let words = "it depends on the cut-off (at 1: supported, at 0: contradicted); reason 1";
        assert_eq!(differs.reason, words);
        // What the analysis' own cut-off leaves open, no other can close.
        let open = of([Supported, CannotTell, CannotTell]);
        assert_eq!((open.verdict, open.reason.as_str()), (CannotTell, "reason 1"));
        assert_eq!(of([Contradicted, Contradicted, CannotTell]).verdict, CannotTell);
        assert_eq!(of([Contradicted; 3]).verdict, Contradicted);
    }

    #[test]
    fn groups_that_disagree_leave_the_claim_open() {
        use Verdict::{CannotTell, Contradicted, Supported};
        let of = |verdicts: &[Verdict]| {
            let evidence = verdicts.iter().map(|verdict| found(*verdict, String::new(), vec![]));
            Finding::of(trend::WIDTH, evidence.collect()).verdict
        };
        assert_eq!(of(&[]), CannotTell);
        assert_eq!(of(&[Contradicted]), Contradicted);
        assert_eq!(of(&[Supported, Supported]), Supported);
        assert_eq!(of(&[Supported, CannotTell]), CannotTell);
        assert_eq!(of(&[Supported, Contradicted]), CannotTell);
        assert_eq!(of(&[Contradicted, Contradicted]), Contradicted);
    }
}

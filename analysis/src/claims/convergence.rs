//! Low confusion goes with fast convergence: an association between cells, and no more than that.

use super::{Claim, Evidence, Verdict, are, found, told};
use crate::statistics::{holm, kendall, ties};
use crate::study::{Group, Moment, Panel, Statistic};

pub(super) const CLAIM: Claim = Claim {
    statement: "Networks with less gradient confusion train faster.",
    source: "poster, convergence theorems and figures",
    statistic: "Kendall's tau-b between a cell's mean statistic and its mean log final loss, within each dim, Holm over dims; \
        an association: width and depth move both",
    needs: "at least six cells with a final loss, and three seeds",
};

const CELLS_MIN: usize = 6;
const SEEDS_MIN: usize = 3;

/// What a group says of the claim; none with too few cells.
pub(super) fn evidence(group: &Group) -> Option<Evidence> {
    let risk =
        Panel::of(&group.trials, |trial| Some(trial.final_risk?.max(f64::MIN_POSITIVE).ln()));
    let risk_weights = risk.even_weights();
    let (mut lines, mut verdicts) = (Vec::new(), Vec::new());
    // Whether there were cells enough, and whether their losses differed anywhere.
    let (mut has_cells, mut has_losses) = (false, false);
    for statistic in Statistic::ALL {
        for moment in Moment::ALL {
            let panel = group.panel(statistic, moment);
            let weights = panel.even_weights();
            let mut found = Vec::new();
            for dim in group.values(|trial| trial.dim) {
                let cells = panel.cells.iter().zip(&risk.cells).filter(|(cell, _)| cell.dim == dim);
                let pairs = cells.filter_map(|(confusion, risk)| {
                    Some((confusion.mean(&weights)?.0, risk.mean(&risk_weights)?.0))
                });
                let pairs: Vec<_> = pairs.collect();
                if pairs.len() >= CELLS_MIN {
                    has_cells = true;
                    let losses: Vec<_> = pairs.iter().map(|(_, loss)| *loss).collect();
                    has_losses |= !ties::all_tie(&losses);
                    found.extend(kendall::tau_b(&pairs).map(|kendall| (dim, kendall)));
                }
            }
            if found.is_empty() {
                continue;
            }
            let adjusted = holm::adjust(&found.iter().map(|(_, k)| k.p).collect::<Vec<_>>());
            let of = |sign: f64| {
                let both = found.iter().zip(&adjusted);
                both.filter(|((_, k), p)| **p <= 0.05 && k.tau * sign > 0.0).count()
            };
            let verdict = match (of(1.0), of(-1.0)) {
                (up, 0) if up == found.len() => Verdict::Supported,
                (0, down) if down == found.len() => Verdict::Contradicted,
                _ => Verdict::CannotTell,
            };
            let taus = found.iter().zip(&adjusted).map(|((dim, kendall), p)| {
                format!(
                    "d = {dim}: tau {:+.2} over {} cells (p = {})",
                    kendall.tau,
                    kendall.count,
                    told(*p)
                )
            });
            let taus = taus.collect::<Vec<_>>().join(", ");
            let (statistic, moment) = (statistic.label(), moment.label());
            lines.push(format!("{statistic} {moment}: {taus}: {}", verdict.label()));
            verdicts.push(verdict);
        }
    }
    let Some(&first) = verdicts.first() else {
        let what = if has_losses {
            "all cells are equally confused"
        } else {
            "all final losses of a dim are equal"
        };
        return has_cells.then(|| found(Verdict::CannotTell, what.to_owned(), lines));
    };
    if risk.seeds.len() < SEEDS_MIN {
        let reason = format!("{} too few: three at least", are(risk.seeds.len(), "seed"));
        return Some(found(Verdict::CannotTell, reason, lines));
    }
    let is_one = verdicts.iter().all(|verdict| *verdict == first);
    let (verdict, reason) = match first {
        Verdict::Supported if is_one => {
            (first, "less confused cells end lower by every statistic, at start and end".to_owned())
        }
        Verdict::Contradicted if is_one => (
            first,
            "less confused cells end higher by every statistic, at start and end".to_owned(),
        ),
        _ => {
            let count = |of| verdicts.iter().filter(|verdict| **verdict == of).count();
            let reason = format!(
                "it depends on statistic, moment or dim: supported by {}, contradicted by {} of {}",
                count(Verdict::Supported),
                count(Verdict::Contradicted),
                verdicts.len()
            );
            (Verdict::CannotTell, reason)
        }
    };
    Some(found(verdict, reason, lines))
}

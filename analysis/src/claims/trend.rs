//! Width lowers confusion, depth raises it: the two monotone claims, row by row.

use std::collections::BTreeMap;

use super::{Claim, Evidence, Verdict, are, found};
use crate::statistics::crossed::{clusterings, means};
use crate::statistics::{holm, kendall, page, ties};
use crate::study::{Cell, Group, Moment, Panel, Statistic};

pub(super) const WIDTH: Claim = Claim {
    statement: "Wider layers lower gradient confusion.",
    source: "poster, \"Effect of width\"",
    statistic: "Page's L over seeds in each row of one depth and dim (crossed: over data seeds and over initial seeds, the larger p), Holm over rows; every statistic, at start and end",
    needs: "at least three widths, and three seeds of each kind that varies",
};

pub(super) const DEPTH: Claim = Claim {
    statement: "Deeper networks have more gradient confusion.",
    source: "poster, \"Effect of depth\"",
    statistic: "Page's L over seeds in each row of one width and dim (crossed: over data seeds and over initial seeds, the larger p), Holm over rows; every statistic, at start and end",
    needs: "at least three depths, and three seeds of each kind that varies",
};

/// What varies along a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Width,
    Depth,
}

/// What the rows of one statistic at one moment do, in the claimed direction and against it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    pub row_count: usize,
    /// Rows whose change in the claimed direction, or against it, is significant at 5 % over all rows (Holm).
    pub claimed: usize,
    pub opposed: usize,
    /// Neighbouring cells whose means go against the claim, and pairs of neighbours.
    pub reversals: usize,
    pub neighbours: usize,
    /// Mean change from the first cell of a row to its last.
    pub change: f64,
    /// Mean Kendall tau-b of a row's means with their place.
    pub tau: f64,
    /// The fewest seeds of a row, of the rarer kind where data seeds and initial seeds are crossed.
    pub seeds: usize,
}

/// The probability, over all rows of one table, of calling any row's change real if none is.
const ALPHA: f64 = 0.05;
/// The share of the rows that must show a claim.
const SHARE: f64 = 0.75;

/// The rows of a panel; none if no row has three cells.
pub fn trend(panel: &Panel, direction: Direction) -> Option<Trend> {
    let mut rows: BTreeMap<(i64, i64), Vec<&Cell>> = BTreeMap::new();
    for cell in panel.cells.iter().filter(|cell| cell.values.iter().any(Option::is_some)) {
        let other = match direction {
            Direction::Width => cell.depth,
            Direction::Depth => cell.width,
        };
        rows.entry((cell.dim, other)).or_default().push(cell);
    }
    rows.retain(|_, cells| cells.len() >= 3);
    // Confusion is claimed to fall with width.
    let sign = if direction == Direction::Width { -1.0 } else { 1.0 };
    let weights = panel.even_weights();
    let (mut up, mut down, mut taus, mut changes) = (vec![], vec![], vec![], vec![]);
    let (mut reversals, mut neighbours, mut seeds) = (0, 0, usize::MAX);
    for cells in rows.values() {
        let is_whole = |seed: &usize| cells.iter().all(|cell| cell.values[*seed].is_some());
        let whole: Vec<_> = (0..panel.seeds.len()).filter(is_whole).collect();
        let labels: Vec<_> = whole.iter().map(|seed| panel.seeds[*seed]).collect();
        let kinds = clusterings(&labels);
        seeds = seeds.min(kinds.iter().map(Vec::len).min().unwrap_or(0));
        // Trials that share their data, or their weights, are not blocks of their own. Blocks are means over one kind of seed
        // within the other, once for each kind, and the larger p counts. Without any trend it is at most 0.05 in 4.7 to 4.9 % of
        // layouts of 5 by 5 where one kind scatters with the treatments, in 5.9 % where both do alike, 2.4 % where only trials do.
        let p = |sign: f64| {
            let of_kind = |kind| {
                let of_cell = |cell: &&Cell| -> Vec<f64> {
                    let values = whole.iter().filter_map(|seed| cell.values[*seed]);
                    means(kind, &values.map(|value| sign * value).collect::<Vec<_>>())
                };
                let columns: Vec<_> = cells.iter().map(of_cell).collect();
                let block = |place| columns.iter().map(|column| column[place]).collect();
                let blocks: Vec<_> = (0..kind.len()).map(block).collect();
                page::page(&blocks).map_or(1.0, |found| found.p)
            };
            kinds.iter().map(of_kind).fold(0.0, f64::max)
        };
        up.push(p(sign));
        down.push(p(-sign));
        let means: Vec<f64> =
            cells.iter().filter_map(|cell| Some(sign * cell.mean(&weights)?.0)).collect();
        let placed: Vec<_> = means.iter().enumerate().map(|(x, y)| (x as f64, *y)).collect();
        taus.extend(kendall::tau_b(&placed).map(|found| found.tau));
        changes.push(sign * (means[means.len() - 1] - means[0]));
        neighbours += means.len() - 1;
        let levels = ties::levels(&means).unwrap_or_default();
        reversals += levels.windows(2).filter(|pair| pair[1] < pair[0]).count();
    }
    let significant = |p: &[f64]| holm::adjust(p).iter().filter(|p| **p <= ALPHA).count();
    Some(Trend {
        row_count: rows.len(),
        claimed: significant(&up),
        opposed: significant(&down),
        reversals,
        neighbours,
        change: crate::statistics::mean(&changes)?,
        tau: crate::statistics::mean(&taus).unwrap_or(0.0),
        seeds,
    })
}

impl Trend {
    fn verdict(&self) -> Verdict {
        let enough = SHARE * self.row_count as f64;
        if self.seeds < 3 {
            Verdict::CannotTell
        } else if self.opposed == 0 && self.claimed as f64 >= enough {
            Verdict::Supported
        } else if self.claimed == 0 && self.opposed as f64 >= enough {
            Verdict::Contradicted
        } else {
            Verdict::CannotTell
        }
    }
}

/// What a group says of the claim; none without a row of three cells.
pub(super) fn evidence(group: &Group, direction: Direction) -> Option<Evidence> {
    let mut trends = Vec::new();
    for statistic in Statistic::ALL {
        for moment in Moment::ALL {
            let found = trend(&group.panel(statistic, moment), direction);
            trends.extend(found.map(|trend| (statistic, moment, trend)));
        }
    }
    let lines = trends.iter().map(|(statistic, moment, t)| {
        format!(
            "{} {}: {} of {} rows as claimed, {} against it; mean change {:+.3}, tau {:+.2} the claimed way, {} of {} neighbours reversed: {}",
            statistic.label(),
            moment.label(),
            t.claimed,
            t.row_count,
            t.opposed,
            t.change,
            t.tau,
            t.reversals,
            t.neighbours,
            t.verdict().label()
        )
    });
    let lines: Vec<_> = lines.collect();
    let seeds = trends.iter().map(|(.., trend)| trend.seeds).min()?;
    let count = |verdict| trends.iter().filter(|(.., t)| t.verdict() == verdict).count();
    let (supported, contradicted) = (count(Verdict::Supported), count(Verdict::Contradicted));
    let all = trends.len();
    let (verdict, reason) = if seeds < 3 {
        (
            Verdict::CannotTell,
            format!("{} too few with every cell of a row: three at least", are(seeds, "seed")),
        )
    } else if supported == all {
        (Verdict::Supported, format!("by every statistic, at start and end ({all} of {all})"))
    } else if contradicted == all {
        (Verdict::Contradicted, format!("the reverse holds by every statistic ({all} of {all})"))
    } else {
        let open = all - supported - contradicted;
        (
            Verdict::CannotTell,
            format!(
                "it depends on statistic or moment: supported by {supported}, contradicted by {contradicted}, mixed rows in {open} of {all}"
            ),
        )
    };
    Some(found(verdict, reason, lines))
}

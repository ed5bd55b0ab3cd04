//! The poster's scaling, `l/β² ≥ Ω̃(1/√d)`, read as a boundary `β* ∝ l^(1/2) d^(1/4)`.

use std::collections::BTreeSet;

use super::{Claim, Evidence, Verdict, are, found};
use crate::scaling::{Estimate, FREEDOM_MIN, Law, Score, Survey, Variant, Without};
use crate::statistics::FitError;

pub(super) const CLAIM: Claim = Claim {
    statement: "The depth at which confusion sets in grows as l^½ d^¼.",
    source: "poster, neural-net bound: l/β² ≥ Ω̃(1/√d)",
    statistic: "joint 95 % region of the exponents of β*, every statistic and threshold; held-out rows against the rival laws",
    needs: "at least three widths, three dims, depths on both sides of the boundary, and five seeds",
};

/// A boundary of which more rows are censored says little, whatever its region.
const CENSORED_MAX: f64 = 0.5;

/// What a survey says of the claim; none if no boundary could be drawn.
pub(super) fn evidence(survey: &Survey) -> Option<Evidence> {
    let poster = Law::Poster.exponents()?;
    let plain: Vec<_> = survey.variants.iter().filter(|variant| variant.is_plain()).collect();
    if plain.is_empty() {
        return None;
    }
    let both =
        |variant| std::iter::once(line(variant, poster)).chain(without_line(variant, poster));
    let mut lines: Vec<String> = survey.variants.iter().flat_map(both).collect();
    lines.extend(collapse_lines(survey, poster));
    lines.extend(score_lines(survey));
    let tell = |reason: String, lines| Some(found(Verdict::CannotTell, reason, lines));
    if survey.freedom < FREEDOM_MIN {
        let seeds = are(survey.freedom + 1, "seed");
        return tell(format!("{seeds} too few for a joint region: five at least"), lines);
    }
    let fitted: Vec<_> = plain.iter().filter_map(|v| v.estimate.as_ref().ok()).collect();
    let told: Vec<_> = fitted.iter().filter(|estimate| is_told(estimate)).collect();
    if told.len() < 3 || 2 * told.len() < plain.len() {
        let reason = format!(
            "of {} boundaries only {} could be drawn with no more than half of their rows censored",
            plain.len(),
            told.len()
        );
        return tell(reason, lines);
    }
    if fitted.iter().all(|estimate| !estimate.has_dims) {
        return tell("one dim cannot show an exponent of d: three at least".to_owned(), lines);
    }
    let holding = told.iter().filter(|estimate| estimate.holds(poster) == Some(true)).count();
    let mixed = told.iter().filter(|estimate| estimate.mixes_regimes()).count();
    let beaten = scores(survey).filter(|score| score.is_beaten()).count();
    let compared = scores(survey).count();
    let all = told.len();
    let held_out = format!("beaten on held-out rows in {beaten} of {compared} comparisons");
    let (elsewhere, excluding) = elsewhere(survey, poster);
    let open = plain.iter().filter(|variant| is_open_without(variant, poster)).count();
    let (verdict, reason) = if holding == 0 && elsewhere > 0 {
        (
            Verdict::CannotTell,
            format!(
                "none of {all} regions holds (½, ¼), but {elsewhere} of one regime alone or of the collapse do; {held_out}"
            ),
        )
    } else if (holding == 0 || holding == all) && open > 0 {
        (
            Verdict::CannotTell,
            format!(
                "{holding} of {all} regions hold (½, ¼), but {open} rest on dims or widths of which no row crosses within its depths: \
                 without those they say otherwise, or nothing; {held_out}"
            ),
        )
    } else if holding == 0 && excluding == 0 {
        (
            Verdict::CannotTell,
            format!(
                "none of {all} regions holds (½, ¼), but none of one regime alone or of the collapse excludes it, and lines \
                 across l β = d fit neither regime; {held_out}"
            ),
        )
    } else if holding == 0 && 2 * beaten > compared {
        (Verdict::Contradicted, format!("none of {all} regions holds (½, ¼); {held_out}"))
    } else if holding == 0 {
        (
            Verdict::CannotTell,
            format!(
                "none of {all} regions holds (½, ¼), but on held-out rows it is not worse than its rivals: {held_out}"
            ),
        )
    } else if holding < all {
        (
            Verdict::CannotTell,
            format!(
                "it depends on statistic and threshold: {holding} of {all} regions hold (½, ¼); {held_out}"
            ),
        )
    } else if mixed > 0 {
        (
            Verdict::CannotTell,
            format!(
                "all {all} regions hold (½, ¼), but {mixed} were fitted across l β = d, where slopes of two regimes can average to it"
            ),
        )
    } else if beaten > 0 {
        (
            Verdict::CannotTell,
            format!("all {all} regions hold (½, ¼), but another law predicts better: {held_out}"),
        )
    } else if rivals(&told).is_empty() {
        (Verdict::Supported, format!("all {all} regions hold (½, ¼) and no rival; {held_out}"))
    } else {
        let rivals = rivals(&told).join("; ");
        (Verdict::CannotTell, format!("all {all} regions hold (½, ¼), and just as well {rivals}"))
    };
    let reason = match plain.len() - all {
        0 => reason,
        silent => format!(
            "{reason}; {silent} of {} boundaries say nothing: no exponents, no region, or more than half of their rows censored",
            plain.len()
        ),
    };
    Some(found(verdict, reason, lines))
}

/// Whether a boundary has a region, and no more rows censored than say something.
fn is_told(estimate: &Estimate) -> bool {
    let censored = estimate.censored_count() as f64;
    estimate.region.is_some() && censored <= CENSORED_MAX * estimate.rows.len() as f64
}

/// Whether what a boundary says of the poster's exponents is not what it says without dims and widths of which no row crosses.
fn is_open_without(variant: &Variant, poster: [f64; 2]) -> bool {
    let (Ok(estimate), Some(without)) = (&variant.estimate, &variant.without) else { return false };
    let agrees = |other: &Estimate| {
        other.has_dims == estimate.has_dims && other.holds(poster) == estimate.holds(poster)
    };
    is_told(estimate) && !without.estimate.as_ref().is_ok_and(agrees)
}

/// The line of a boundary without dims and widths of which no row crosses.
fn without_line(variant: &Variant, poster: [f64; 2]) -> Option<String> {
    let (Ok(estimate), Some(without)) = (&variant.estimate, &variant.without) else { return None };
    let (statistic, moment) = (variant.statistic.label(), variant.moment.label());
    let threshold = variant.boundary.threshold;
    let head = format!(
        "{statistic} = {threshold} {moment} (without {}, of which no row crosses within its depths)",
        without.dropped()
    );
    let mut text = head + &told_of(&without.estimate, poster);
    let other = without.estimate.as_ref().ok();
    for (k, name) in ["p", "q"].into_iter().enumerate() {
        if other.and_then(|other| estimate.overlaps(other, k)) == Some(false) {
            text += &format!(
                "; {name} cannot be told from these rows: the two regions of it do not meet"
            );
            text += &would_tell(estimate, without);
        }
    }
    Some(text)
}

/// The dims that would tell: those of which rows cross, with more above them up to three.
fn would_tell(estimate: &Estimate, without: &Without) -> String {
    let dims: BTreeSet<_> = estimate.rows.iter().map(|row| row.dim as i64).collect();
    let mut dims: Vec<_> = dims.into_iter().filter(|dim| !without.dims.contains(dim)).collect();
    while let Some(last) = dims.last().filter(|_| dims.len() < 3) {
        let next = 4 * last;
        dims.push(next);
    }
    let dims: Vec<_> = dims.iter().map(i64::to_string).collect();
    format!(" (d = {} would tell)", dims.join(", "))
}

/// How many regions besides the plain ones hold the poster's exponents, and how many exclude them: of one side of `l β = d`,
/// with no more than half of the rows censored, and of the collapse, which needs no threshold.
fn elsewhere(survey: &Survey, poster: [f64; 2]) -> (usize, usize) {
    let regimes = survey.variants.iter().filter(|variant| variant.boundary.regime.is_some());
    let regimes = regimes.filter_map(|variant| variant.estimate.as_ref().ok());
    let told = regimes.filter(|estimate| is_told(estimate)).filter_map(|estimate| {
        // One dim can exclude p, and q it leaves open.
        estimate.holds(poster).filter(|holds| !holds || estimate.has_dims)
    });
    let regions = survey.collapses.iter().filter_map(|(_, _, region)| region.as_ref());
    let all: Vec<_> = told.chain(regions.map(|region| region.contains(poster))).collect();
    let holding = all.iter().filter(|holds| **holds).count();
    (holding, all.len() - holding)
}

fn collapse_lines(survey: &Survey, poster: [f64; 2]) -> impl Iterator<Item = String> {
    let mut estimates = survey.variants.iter().filter_map(|variant| variant.estimate.as_ref().ok());
    let has_dims = estimates.any(|estimate| estimate.has_dims);
    survey.collapses.iter().map(move |(moment, found, region)| {
        let mut text =
            format!("rms cosine {}, all cells on one curve, no threshold: ", moment.label());
        let exponents = [("p", found.p), ("q", found.q)].into_iter().enumerate();
        for (k, (name, exponent)) in exponents.take(if has_dims { 2 } else { 1 }) {
            text += &format!("{name} = {exponent:.2}");
            if let Some((low, high)) = region.as_ref().map(|region| region.extent(k)) {
                text += &format!(" [{low:.2}, {high:.2}]");
            }
            text += if has_dims && k == 0 { ", " } else { "; " };
        }
        text += &format!("{:.0} % of the variance predicted; ", 100.0 * found.predicted);
        text + match region.as_ref().map(|region| region.contains(poster)) {
            Some(true) => "holds (½, ¼)",
            Some(false) => "excludes (½, ¼)",
            None => "no region",
        }
    })
}

/// The rival exponents that every region holds as well.
fn rivals(told: &[&&Estimate]) -> Vec<&'static str> {
    let others = Law::ALL.into_iter().filter(|law| *law != Law::Poster);
    let held = others.filter(|law| {
        let exponents = law.exponents();
        exponents.is_some_and(|at| told.iter().all(|e| e.holds(at) == Some(true)))
    });
    held.map(Law::label).collect()
}

fn scores(survey: &Survey) -> impl Iterator<Item = &Score> {
    let all = survey.scores.iter().flat_map(|(_, _, scores)| scores);
    all.filter(|score| score.law == Law::Poster)
}

fn line(variant: &Variant, poster: [f64; 2]) -> String {
    let (statistic, moment) = (variant.statistic.label(), variant.moment.label());
    let mut text = format!("{statistic} = {} {moment}", variant.boundary.threshold);
    if !variant.remark().is_empty() {
        text.push_str(&format!(" ({})", variant.remark()));
    }
    text + &told_of(&variant.estimate, poster)
}

/// The exponents with their regions.
fn told_of(estimate: &Result<Estimate, FitError>, poster: [f64; 2]) -> String {
    let mut text = String::new();
    match estimate {
        Err(why) => text.push_str(&format!(": no exponents, {why}")),
        Ok(estimate) => {
            let [p, q] = estimate.exponents;
            text.push_str(&format!(": p = {p:.2}"));
            let extent = |k| {
                let (low, high) = estimate.region.as_ref()?.extent(k);
                Some(format!(" [{low:.2}, {high:.2}]"))
            };
            text.push_str(&extent(0).unwrap_or_default());
            if estimate.has_dims {
                text.push_str(&format!(", q = {q:.2}{}", extent(1).unwrap_or_default()));
            }
            let (censored, rows) = (estimate.censored_count(), estimate.rows.len());
            text.push_str(&format!("; {censored} of {rows} rows censored"));
            if estimate.mixes_regimes() {
                text.push_str("; across l β = d");
            }
            text.push_str(match estimate.holds(poster) {
                Some(true) => "; holds (½, ¼)",
                Some(false) => "; excludes (½, ¼)",
                None => "; no region",
            });
        }
    }
    text
}

fn score_lines(survey: &Survey) -> impl Iterator<Item = String> {
    survey.scores.iter().filter(|(_, _, scores)| !scores.is_empty()).map(
        |(moment, statistic, scores)| {
            let of = |(rank, score): (usize, &Score)| match rank {
                0 => format!("{} predicts best", score.law.label()),
                _ => format!(
                    "{} ({:.2} ± {:.2} nats a cell behind)",
                    score.law.label(),
                    score.behind,
                    score.behind_error
                ),
            };
            // The three best, and where the poster's stands.
            let ranked = scores.iter().enumerate();
            let listed: Vec<_> = ranked
                .filter(|(rank, score)| *rank < 3 || score.law == Law::Poster)
                .map(of)
                .collect();
            format!(
                "held-out rows, {} {}: {}",
                statistic.label(),
                moment.label(),
                listed.join("; ")
            )
        },
    )
}

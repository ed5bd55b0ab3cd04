//! The poster's scaling, `l/β² ≥ Ω̃(1/√d)`, read as a boundary `β* ∝ l^(1/2) d^(1/4)`.

use super::{Claim, Evidence, Verdict, found};
use crate::scaling::{FREEDOM_MIN, Law, Survey, Variant};

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
    let lines = survey.variants.iter().map(|variant| line(variant, poster)).collect();
    let mut lines: Vec<String> = lines;
    lines.extend(score_lines(survey));
    let tell = |reason: String, lines| Some(found(Verdict::CannotTell, reason, lines));
    if survey.freedom < FREEDOM_MIN {
        let seeds = survey.freedom + 1;
        return tell(format!("{seeds} seeds are too few for a joint region: five at least"), lines);
    }
    let fitted: Vec<_> = plain.iter().filter_map(|v| v.estimate.as_ref().ok()).collect();
    let is_told = |estimate: &&&crate::scaling::Estimate| {
        estimate.region.is_some()
            && estimate.censored_count() as f64 <= CENSORED_MAX * estimate.rows.len() as f64
    };
    let told: Vec<_> = fitted.iter().filter(is_told).collect();
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
    let (verdict, reason) = if holding == 0 && 2 * beaten > compared {
        (Verdict::Contradicted, format!("none of {all} regions holds (½, ¼); {held_out}"))
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
    Some(found(verdict, reason, lines))
}

/// The rival exponents that every region holds as well.
fn rivals(told: &[&&crate::scaling::Estimate]) -> Vec<&'static str> {
    let others = Law::ALL.into_iter().filter(|law| *law != Law::Poster);
    let held = others.filter(|law| {
        let exponents = law.exponents();
        exponents.is_some_and(|at| told.iter().all(|e| e.holds(at) == Some(true)))
    });
    held.map(Law::label).collect()
}

fn scores(survey: &Survey) -> impl Iterator<Item = &crate::scaling::Score> {
    let all = survey.scores.iter().flat_map(|(_, _, scores)| scores);
    all.filter(|score| score.law == Law::Poster)
}

fn line(variant: &Variant, poster: [f64; 2]) -> String {
    let (statistic, moment) = (variant.statistic.label(), variant.moment.label());
    let mut text = format!("{statistic} = {} {moment}", variant.boundary.threshold);
    if !variant.remark().is_empty() {
        text.push_str(&format!(" ({})", variant.remark()));
    }
    match &variant.estimate {
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
            let of = |score: &crate::scaling::Score| {
                format!("{} ({:.2} ± {:.2})", score.law.label(), score.behind, score.behind_error)
            };
            let listed: Vec<_> = scores.iter().take(3).map(of).collect();
            let poster = scores.iter().find(|score| score.law == Law::Poster).map(of);
            format!(
                "held-out rows, {} {}, nats a cell behind the best: {}; {}",
                statistic.label(),
                moment.label(),
                listed.join(", "),
                poster.unwrap_or_default()
            )
        },
    )
}

//! The verdict on the poster's scaling, branch by branch: surveys made by hand, each a supported one with one thing changed.

use analysis::claims::{Finding, Verdict, judge};
use analysis::scaling::{
    Boundary, Drawn, Estimate, Law, Regime, Row, Score, Survey, Variant, Without,
};
use analysis::statistics::collapse::Collapse;
use analysis::statistics::{Crossing, Part, Parts, Region};
use analysis::study::{Group, Moment, Statistic, Study};

const POSTER: [f64; 2] = [0.5, 0.25];
const MATRICES: [f64; 2] = [1.0, 0.0];

/// Around these exponents, about 2.3 times `scatter` to either side.
fn region(center: [f64; 2], scatter: f64) -> Region {
    let cross = [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]];
    let resamples = cross.map(|off| [0, 1].map(|k| center[k] + scatter * off[k])).to_vec();
    let part = Part { resamples, freedom: 20, inflation: 1.0 };
    Region::new(center, &Parts { sources: vec![part], trials: None }, 0.05).unwrap()
}

/// Fifteen rows, all of which cross at a depth of 16: at dims up to 64 all lie in l β > d.
fn rows(dims: [f64; 3]) -> Vec<Row> {
    let widths = [8.0, 16.0, 32.0, 64.0, 128.0];
    let crossing = Crossing::At { depth: 16.0, above: 8.0, up_to: 32.0 };
    let row = |(width, dim)| Row { width, dim, crossing };
    widths.iter().flat_map(|width| dims.map(|dim| (*width, dim))).map(row).collect()
}

fn estimate(exponents: [f64; 2], scatter: f64) -> Estimate {
    Estimate {
        rows: rows([4.0, 16.0, 64.0]),
        intercept: 0.0,
        exponents,
        has_dims: true,
        sigma: 0.1,
        region: Some(region(exponents, scatter)),
    }
}

fn variant(boundary: Boundary, estimate: Estimate) -> Variant {
    Variant {
        statistic: Statistic::RmsCos,
        moment: Moment::Start,
        boundary,
        drawn: Drawn::All,
        rows: estimate.rows.clone(),
        estimate: Ok(estimate),
        without: None,
    }
}

/// Three boundaries of these exponents, and the poster's law so far behind on held-out rows, ± 0.1.
fn survey(exponents: [f64; 2], scatter: f64, behind: f64) -> Survey {
    let plain = |threshold| variant(Boundary::at(threshold), estimate(exponents, scatter));
    let score = Score { law: Law::Poster, per_cell: 0.0, behind, behind_error: 0.1, error: 0.1 };
    Survey {
        variants: [0.2, 0.25, 0.3].map(plain).to_vec(),
        freedom: 9,
        collapses: Vec::new(),
        scores: vec![(Moment::Start, Statistic::RmsCos, vec![score])],
    }
}

fn supported() -> Survey {
    survey(POSTER, 0.01, 0.0)
}

fn beaten() -> Survey {
    survey(MATRICES, 0.01, 1.0)
}

fn of_regime(exponents: [f64; 2]) -> Variant {
    let regime = Some(Regime::Wide);
    variant(Boundary { regime, ..Boundary::at(0.25) }, estimate(exponents, 0.01))
}

fn collapsed(survey: &mut Survey, [p, q]: [f64; 2], region: Option<Region>) {
    let found = Collapse { p, q, predicted: 0.9, is_at_edge: false };
    survey.collapses.push((Moment::Start, found, region));
}

fn finding(survey: Survey) -> Finding {
    let study = Study {
        sweep: "s".parse().unwrap(),
        scope: Some("samples"),
        groups: vec![Group { settings: Vec::new(), trials: Vec::new(), spec: None }],
        differences: Vec::new(),
        unusable: Vec::new(),
        incomplete: None,
    };
    judge(&study, &[survey]).swap_remove(2)
}

#[track_caller]
fn check(survey: Survey, verdict: Verdict, words: &str) {
    let found = finding(survey);
    assert!(found.verdict == verdict && found.reason.contains(words), "{found:#?}");
}

#[test]
fn regions_that_agree_and_exclude_every_rival_support_it() {
    check(supported(), Verdict::Supported, "all 3 regions hold (½, ¼) and no rival");
}

#[test]
fn one_threshold_that_differs_leaves_it_open() {
    let mut survey = supported();
    survey.variants[2] = variant(Boundary::at(0.3), estimate(MATRICES, 0.01));
    let words = "it depends on statistic and threshold: 2 of 3 regions hold (½, ¼)";
    check(survey, Verdict::CannotTell, words);
}

#[test]
fn lines_across_the_two_regimes_do_not_support_it() {
    let mut survey = supported();
    // At d = 1024 widths up to 64 have crossed within l β ≤ d.
    let across = Estimate { rows: rows([16.0, 64.0, 1024.0]), ..estimate(POSTER, 0.01) };
    survey.variants[0] = variant(Boundary::at(0.2), across);
    let words = "all 3 regions hold (½, ¼), but 1 were fitted across l β = d";
    check(survey, Verdict::CannotTell, words);
}

#[test]
fn a_law_that_predicts_better_or_a_rival_in_every_region_leaves_it_open() {
    let predicted = survey(POSTER, 0.01, 1.0);
    let words = "another law predicts better: beaten on held-out rows in 1 of 1 comparisons";
    check(predicted, Verdict::CannotTell, words);
    // ± 0.46 holds (0.17, 0.17) and (0.4, 0), not (1, 0).
    let wide = finding(survey(POSTER, 0.2, 0.0));
    assert_eq!(wide.verdict, Verdict::CannotTell, "{wide:#?}");
    assert!(wide.reason.contains("just as well ICML, l β ≪ d"), "{}", wide.reason);
    assert!(!wide.reason.contains("random matrices"), "{}", wide.reason);
}

/// Without d = 4, of which no row crosses, the same boundary says otherwise.
#[test]
fn a_verdict_that_rests_on_dims_of_which_no_row_crosses_is_left_open() {
    for (whole, part) in [(supported(), MATRICES), (beaten(), POSTER)] {
        let mut survey = whole;
        survey.variants.push(of_regime(MATRICES));
        let without = |exponents| Without {
            dims: vec![4],
            widths: Vec::new(),
            estimate: Ok(estimate(exponents, 0.01)),
        };
        survey.variants[1].without = Some(without(part));
        let words = "but 1 rest on dims or widths of which no row crosses within its depths";
        check(survey.clone(), Verdict::CannotTell, words);
        let same = survey.variants[1].estimate.as_ref().unwrap().exponents;
        survey.variants[1].without = Some(without(same));
        assert_ne!(finding(survey).verdict, Verdict::CannotTell);
    }
}

#[test]
fn one_regime_or_a_collapse_that_holds_it_keeps_it_from_being_contradicted() {
    let words = "but 1 of one regime alone or of the collapse do";
    let mut survey = beaten();
    survey.variants.push(of_regime(POSTER));
    check(survey, Verdict::CannotTell, words);
    let mut survey = beaten();
    survey.variants.push(of_regime(MATRICES));
    collapsed(&mut survey, POSTER, Some(region(POSTER, 0.01)));
    check(survey, Verdict::CannotTell, words);
}

/// Lines across l β = d fit neither side: that they exclude (½, ¼) is no contradiction of it.
#[test]
fn it_is_contradicted_only_where_one_regime_or_the_collapse_excludes_it_too() {
    let words = "none of one regime alone or of the collapse excludes it";
    check(beaten(), Verdict::CannotTell, words);
    let mut censored = of_regime(MATRICES);
    let mut few = estimate(MATRICES, 0.01);
    few.rows[..8].iter_mut().for_each(|row| row.crossing = Crossing::AtMost(1.0));
    censored.estimate = Ok(few);
    check(
        Survey { variants: [beaten().variants, vec![censored]].concat(), ..beaten() },
        Verdict::CannotTell,
        words,
    );
    let mut unknown = beaten();
    collapsed(&mut unknown, MATRICES, None);
    check(unknown, Verdict::CannotTell, words);

    let mut excluded = beaten();
    excluded.variants.push(of_regime(MATRICES));
    check(excluded.clone(), Verdict::Contradicted, "none of 3 regions holds (½, ¼)");
    let mut by_collapse = beaten();
    collapsed(&mut by_collapse, MATRICES, Some(region(MATRICES, 0.01)));
    check(by_collapse, Verdict::Contradicted, "none of 3 regions holds (½, ¼)");
    // Nor where held-out rows do not take another law for the better one.
    excluded.scores = supported().scores;
    check(excluded, Verdict::CannotTell, "but on held-out rows it is not worse than its rivals");
}

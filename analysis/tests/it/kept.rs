//! The real sweep that is kept under `tests/data`: what the analysis says of it is what the docs say.

use std::path::Path;

use analysis::Results;
use analysis::figures::{figures, standalone};
use analysis::report::{RESAMPLES, Report};
use analysis::scaling::{Boundary, Estimate, survey};
use analysis::statistics::bootstrap::Clusters;
use analysis::study::{Moment, Statistic, Study};

fn study() -> Study {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/tanh-boundary");
    let results = Results::open(&root).unwrap();
    Study::read(&results, &results.sweep("tanh-boundary").unwrap()).unwrap()
}

#[test]
fn files_of_an_older_and_a_newer_version_are_read_and_the_report_says_what_differs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/other-versions");
    let results = Results::open(&root).unwrap();
    let sweep = results.sweep("other-versions").unwrap();
    let study = Study::read(&results, &sweep).unwrap();
    let trials: usize = study.groups.iter().map(|group| group.trials.len()).sum();
    assert_eq!(trials, 4, "jobs of both versions count");
    let folder = tempfile::tempdir().unwrap();
    let report = Report::of(study, &Default::default());
    let page = std::fs::read_to_string(report.write(folder.path()).unwrap()).unwrap();
    for note in [
        "smoothness is null in 1 of 2 segments of jobs: an older version wrote them",
        "histogram is null in 1 of 2 segments of confusion: an older version wrote them",
        "energy_joules is left out of 1 of 2 segments of jobs: a newer version wrote them",
        "spectral_gap is left out of 1 of 2 segments of confusion: a newer version wrote them",
    ] {
        assert!(page.contains(note), "{note}");
    }
    assert!(!page.contains("peak_rss_bytes is null"), "it was not asked for");
    let frame = results.read(domain::Table::Confusion, &sweep, &["job_id", "cos_q05"]).unwrap();
    let nulls = frame.floats("cos_q05").iter().filter(|cell| cell.is_none()).count();
    assert_eq!((frame.row_count(), nulls), (12, 6), "three steps of four jobs, two of them older");
}

/// Exponents of an earlier simulation by other code: p and q by initial weights, statistic and threshold.
const EARLIER: [(&str, Statistic, f64, f64, f64); 13] = [
    ("paper", Statistic::MinCos, 0.6, 1.21, 0.18),
    ("paper", Statistic::MinCos, 0.7, 1.13, 0.13),
    ("paper", Statistic::MinCos, 0.8, 1.11, 0.02),
    ("paper", Statistic::RmsCos, 0.25, 1.11, 0.11),
    ("paper", Statistic::LowQuantile, 0.6, 1.16, 0.05),
    ("paper", Statistic::RelativeEta, 1.5, 1.11, 0.02),
    ("lecun", Statistic::MinCos, 0.6, 0.32, 0.59),
    ("lecun", Statistic::MinCos, 0.7, 0.34, 0.48),
    ("lecun", Statistic::MinCos, 0.8, 0.45, 0.42),
    ("lecun", Statistic::RmsCos, 0.2, 0.31, 0.61),
    ("lecun", Statistic::RmsCos, 0.3, 0.45, 0.37),
    ("lecun", Statistic::RelativeEta, 1.0, 0.53, 0.29),
    ("lecun", Statistic::RelativeEta, 1.5, 0.67, 0.13),
];

/// The table of docs/analysis.md, to its digits.
#[test]
fn the_exponents_of_the_kept_sweep_are_those_of_the_docs() {
    let study = study();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/analysis.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let told = |estimate: &Estimate, k: usize| {
        let (low, high) = estimate.region.as_ref().unwrap().extent(k);
        format!("{:.2} [{low:.2}, {high:.2}]", estimate.exponents[k])
    };
    let mut wide = 0;
    let mut missing = Vec::new();
    for (init, statistic, threshold, earlier_p, earlier_q) in EARLIER {
        let group = study.groups.iter().find(|group| group.is("model_init", init)).unwrap();
        assert_eq!(group.trials.len(), 2_250);
        let panel = group.panel(statistic, Moment::Start);
        let clusters = Clusters::of(&panel.seeds);
        let boundary = Boundary::at(threshold);
        let all = boundary.estimate(&panel, &clusters, RESAMPLES).unwrap();
        let without = boundary.without(&panel, &clusters, RESAMPLES);
        let part = without.as_ref().map(|without| without.estimate.as_ref().unwrap());
        let [part_p, part_q] = [0, 1].map(|k| part.map_or(String::new(), |part| told(part, k)));
        let (p, q) = (told(&all, 0), told(&all, 1));
        let name = if init == "paper" { "poster's" } else { "LeCun" };
        let dropped = without.as_ref().map_or(String::new(), |without| without.dropped());
        let line = format!(
            "| {name}: {} {threshold} | {p} | {q} | {dropped} | {part_p} | {part_q} | {earlier_p:.2} | {earlier_q:.2} |",
            statistic.label()
        );
        if !docs.contains(&line.replace("|g|", "\\|g\\|")) {
            missing.push(line);
        }
        for estimate in [Some(&all), part].into_iter().flatten() {
            assert_eq!(
                estimate.holds([0.5, 0.25]),
                Some(false),
                "{init} {statistic:?} {threshold}"
            );
        }
        let (low, high) = all.region.as_ref().unwrap().extent(0);
        wide += usize::from((low..=high).contains(&earlier_p));
    }
    assert!(missing.is_empty(), "docs/analysis.md lacks\n{}", missing.join("\n"));
    assert_eq!(wide, 12, "earlier exponents of width within ours");
}

/// The README's picture, but for its colours.
#[test]
fn the_readme_s_picture_is_the_report_s_figure_of_the_kept_sweep() {
    let study = study();
    let index = study.groups.iter().position(|group| group.is("model_init", "paper")).unwrap();
    let group = &study.groups[index];
    let figures = figures(&study, group, &survey(group, 2), index);
    let heat = figures.iter().find(|figure| figure.name.ends_with("heat")).unwrap();
    assert_eq!(heat.title, "rms cosine at the end, by width and depth");
    let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/heat.svg");
    let picture = std::fs::read_to_string(picture).unwrap();
    assert_eq!(standalone(&heat.svg), picture, "write it anew: docs/heat.svg");
}

#[test]
fn the_posters_law_is_contradicted_by_the_kept_sweep() {
    let folder = tempfile::tempdir().unwrap();
    let page = std::fs::read_to_string(
        Report::of(study(), &Default::default()).write(folder.path()).unwrap(),
    )
    .unwrap();
    let claim = page.split("The depth at which confusion sets in").nth(1).unwrap();
    let verdict = claim.find("contradicted").unwrap();
    assert!(verdict < claim.find("supported").unwrap_or(usize::MAX), "{}", &claim[..400]);
}

//! The real sweep that is kept under `tests/data`: what the analysis says of it is what the docs say.

use std::path::Path;

use analysis::Results;
use analysis::report::Report;
use analysis::scaling::Boundary;
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

/// Exponents (p, q) as docs/analysis.md gives them, to its digits.
#[test]
fn the_exponents_of_the_kept_sweep_are_those_of_the_docs() {
    let study = study();
    for (init, expected, crossing) in
        [("lecun", [0.30, 1.15], [0.38, 0.54]), ("paper", [1.23, 1.02], [1.23, 0.19])]
    {
        let group = study.groups.iter().find(|group| group.is("model_init", init)).unwrap();
        assert_eq!(group.trials.len(), 2_250);
        let panel = group.panel(Statistic::RmsCos, Moment::Start);
        let clusters = Clusters::of(&panel.seeds);
        let estimate = Boundary::at(0.25).estimate(&panel, &clusters, 200).unwrap();
        for (found, expected) in estimate.exponents.iter().zip(expected) {
            assert!((found - expected).abs() < 0.006, "{init}: {:?}", estimate.exponents);
        }
        assert_eq!(estimate.holds([0.5, 0.25]), Some(false), "{init}");
        let without = Boundary::at(0.25).without(&panel, &clusters, 200).unwrap();
        assert_eq!(without.dims, [16], "{init}");
        let part = without.estimate.unwrap();
        for (found, expected) in part.exponents.iter().zip(crossing) {
            assert!((found - expected).abs() < 0.006, "{init}: {:?}", part.exponents);
        }
        assert_eq!(part.holds([0.5, 0.25]), Some(false), "{init}");
        let overlaps = [0, 1].map(|k| estimate.overlaps(&part, k));
        assert_eq!(overlaps, [Some(true), Some(false)], "{init}: q cannot be told");
    }
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

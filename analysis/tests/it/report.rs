//! The report as files: complete, of one piece, the same every time, and there whatever the results are.

use std::fs;
use std::path::Path;

use analysis::Results;
use analysis::claims::{Advice, Verdict};
use analysis::report::{self, Report};
use analysis::simulated::{Simulation, Truth};
use analysis::study::Study;
use domain::table::HISTOGRAM_BINS;
use domain::{Cell, Table};

use crate::sample::{SampleRow, confusion, grid, job, job_without_layers, with, write};

#[track_caller]
fn page(root: &Path, out: &Path) -> String {
    let results = Results::open(root).unwrap();
    let path = report::write(&results, &results.sweep("s").unwrap(), out).unwrap();
    fs::read_to_string(path).unwrap()
}

fn report_of(root: &Path) -> Report {
    let results = Results::open(root).unwrap();
    let study = Study::read(&results, &results.sweep("s").unwrap()).unwrap();
    Report::of(study, &Default::default())
}

#[test]
fn the_page_is_of_one_piece_and_every_figure_has_its_files() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    grid(folder.path(), 5);
    let html = page(folder.path(), out.path());
    // The name of SVG's namespace is no address that is fetched.
    let addresses = html.replace("http://www.w3.org/2000/svg", "");
    for word in ["http", "src=", "@import", "url(", "<script", "<link", "NaN", "inf"] {
        assert!(!addresses.contains(word), "{word} in the page");
    }
    assert!(html.contains("prefers-color-scheme:dark"));
    let report = report_of(folder.path());
    let figures: Vec<_> = report.figures.iter().flatten().collect();
    let names: Vec<_> = figures.iter().map(|figure| figure.name.as_str()).collect();
    let expected = [
        "1-heat",
        "1-curves",
        "1-cosines",
        "1-min-cos-width",
        "1-min-cos-depth",
        "1-boundary-start",
        "1-collapse-start",
        "1-thresholds-start",
        "1-boundary-end",
        "1-collapse-end",
        "1-thresholds-end",
    ];
    assert_eq!(names, expected);
    for figure in figures {
        let read = |ending: &str| {
            fs::read_to_string(out.path().join(format!("{}.{ending}", figure.name))).unwrap()
        };
        let (svg, csv) = (read("svg"), read("csv"));
        assert!(svg.contains("<style>") && svg.ends_with("</svg>\n"), "{}", figure.name);
        assert_eq!(csv, figure.csv);
        let columns = csv.lines().next().unwrap().split(',').count();
        assert!(csv.lines().count() > 2, "{csv}");
        assert!(csv.lines().all(|line| line.split(',').count() == columns), "{csv}");
        assert!(figure.sql.contains("SELECT") && figure.sql.contains("FROM"), "{}", figure.sql);
        assert!(html.contains(&figure.svg), "{}", figure.name);
        // Axes say what they count, and places are numbers.
        assert!(figure.svg.contains("<text") && !figure.svg.contains("NaN"), "{}", figure.svg);
    }
    assert_eq!(page(folder.path(), out.path()), html, "the same results, the same bytes");
}

#[test]
fn a_second_report_leaves_nothing_of_the_first_but_what_others_wrote() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = |name: &str| out.path().join(name);
    // A page of somebody else, which links to a file.
    fs::write(path("index.html"), "<a href=\"theirs.csv\">").unwrap();
    fs::write(path("theirs.csv"), "1").unwrap();
    grid(folder.path(), 2);
    let mut first = report_of(folder.path());
    let (group, file) = (String::new(), "[model]\n# a & b\n".to_owned());
    first.advice = vec![Advice { group, reasons: vec!["more".to_owned()], file }];
    first.write(out.path()).unwrap();
    assert!(path("1-boundary-end.svg").exists() && path("more-1.toml").exists());
    fs::write(path("notes.csv"), "2").unwrap();
    let bare = tempfile::tempdir().unwrap();
    write(bare.path(), Table::Jobs, ("s", "1.parquet"), &[job("a", 16, 2, 0, 0.5)]);
    let html = page(bare.path(), out.path());
    let mut left: Vec<_> = fs::read_dir(out.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !html.contains(&format!("href=\"{name}\"")))
        .collect();
    left.sort();
    assert_eq!(left, ["index.html", "notes.csv", "theirs.csv"]);

    first.write(out.path()).unwrap();
    fs::write(path("more-1.toml"), "# as I want it").unwrap();
    page(bare.path(), out.path());
    assert_eq!(fs::read_to_string(path("more-1.toml")).unwrap(), "# as I want it");
}

#[cfg(feature = "png")]
#[test]
fn every_figure_has_its_picture() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    grid(folder.path(), 2);
    let report = report_of(folder.path());
    let html = fs::read_to_string(report.write(out.path()).unwrap()).unwrap();
    for figure in report.figures.iter().flatten() {
        let picture = fs::read(out.path().join(format!("{}.png", figure.name))).unwrap();
        assert!(picture.starts_with(b"\x89PNG\r\n\x1a\n"), "{}", figure.name);
        assert!(html.contains(&format!("href=\"{}.png\"", figure.name)), "{}", figure.name);
    }
}

#[test]
fn the_heat_maps_numbers_are_the_means_of_the_table() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    grid(folder.path(), 2);
    page(folder.path(), out.path());
    let csv = fs::read_to_string(out.path().join("1-heat.csv")).unwrap();
    let line = csv.lines().find(|line| line.starts_with("64,16,4,")).unwrap();
    let cells: Vec<&str> = line.split(',').collect();
    let base = (1.0 / 64.0 + 4.0 / 48.0_f64).sqrt();
    // Seeds 0 and 1: (0 + 20) mod 5 = 0 and (7 + 20) mod 5 = 2 hundredths.
    let expected = base * 1.01;
    assert!((cells[3].parse::<f64>().unwrap() - expected).abs() < 1e-12, "{line}");
    assert_eq!(cells[4], "2");
}

#[test]
fn odd_results_have_a_report_too() {
    type Rows = (Vec<SampleRow>, Vec<SampleRow>);
    let one = || vec![job("a", 16, 2, 0, 0.5)];
    let diverged = |id: &str| {
        with(job(id, 16, 2, 0, 0.5), [("status", "diverged".into()), ("final_risk", Cell::Null)])
    };
    let blank = with(
        confusion("a", 0, "samples", 0.1, -0.1),
        [
            ("rms_cos", Cell::Null),
            ("min_cos", Cell::Null),
            ("histogram", Cell::Counts(vec![0; HISTOGRAM_BINS])),
        ],
    );
    let cases: [(&str, Rows); 6] = [
        ("no rows", (vec![], vec![])),
        ("one trial", (one(), vec![confusion("a", 0, "samples", 0.1, -0.1)])),
        ("nothing measured", (one(), vec![])),
        (
            "all diverged",
            (vec![diverged("a"), diverged("b")], vec![confusion("a", 0, "samples", 0.1, -0.1)]),
        ),
        ("nothing but nulls", (one(), vec![blank])),
        (
            "no layers",
            (vec![job_without_layers("a", 0, 0.5)], vec![confusion("a", 9, "batches", 0.1, -0.1)]),
        ),
    ];
    for (name, (jobs, measured)) in cases {
        let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(folder.path().join("sweeps/s")).unwrap();
        write(folder.path(), Table::Jobs, ("s", "1.parquet"), &jobs);
        write(folder.path(), Table::Confusion, ("s", "1.parquet"), &measured);
        let html = page(folder.path(), out.path());
        assert!(html.ends_with("</html>\n") && !html.contains("NaN"), "{name}");
        assert!(!html.contains(">1 trials"), "{name}");
        assert!(!html.contains("class=\"claim supported"), "{name}: {html}");
    }
}

#[test]
fn a_file_in_the_way_is_named() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    grid(folder.path(), 1);
    fs::create_dir_all(out.path().join("index.html")).unwrap();
    let results = Results::open(folder.path()).unwrap();
    let error = report::write(&results, &results.sweep("s").unwrap(), out.path()).unwrap_err();
    assert!(error.to_string().ends_with("index.html cannot be written"), "{error}");
}

#[test]
fn groups_are_told_apart_in_the_page_and_in_the_sql() {
    let truth = Truth::Exponents { p: 1.0, q: 0.0, scale: 0.5 };
    let simulation = Simulation { depths: vec![1, 4, 16], ..Simulation::of(truth, 3) };
    let mut second = simulation.group(2);
    second.settings[1].1 = analysis::summary::Setting::Text("it's".to_owned());
    let study = Study {
        sweep: "s".parse().unwrap(),
        scope: Some("samples"),
        groups: vec![simulation.group(1), second],
        differences: Vec::new(),
        unusable: Vec::new(),
        incomplete: None,
    };
    let report = Report::of(study, &Default::default());
    assert_eq!(report.study.label(&report.study.groups[1]), "model.init = it's");
    assert!(report.figures[1][0].sql.contains("AND j.model_init = 'it''s'"));
    assert!(report.findings.iter().all(|finding| finding.verdict != Verdict::Contradicted));
}

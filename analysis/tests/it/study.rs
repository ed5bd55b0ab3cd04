//! What a study makes of the rows of one job: settings that must not meet are kept apart.

use analysis::report::Report;
use analysis::study::{Moment, Statistic, Study};
use analysis::{Results, claims::Verdict, summary::Setting};
use domain::{Cell, Table};

use crate::sample::{SampleRow, confusion, job, with, write};

/// Measurements of 64 and of 16 gradients of each job, at the start and the end, those of 16 first in the file at the start.
fn twice_measured(root: &std::path::Path) -> Study {
    let (mut jobs, mut measured): (Vec<SampleRow>, Vec<SampleRow>) = (Vec::new(), Vec::new());
    for width in [8, 16, 32] {
        for seed in 0..3 {
            let id = format!("{width}-{seed}");
            jobs.push(job(&id, width, 2, seed, 0.5));
            let row = |step: i64, count: i64, min: f64| {
                let row = confusion(&id, step, "samples", 0.25, min);
                let counts = vec![count; domain::table::HISTOGRAM_BINS];
                with(row, [("count", Cell::Int(count)), ("histogram", Cell::Counts(counts))])
            };
            measured.extend([
                row(0, 16, -0.3),
                row(0, 64, -0.5),
                row(9, 64, -0.6),
                row(9, 16, -0.4),
            ]);
        }
    }
    write(root, Table::Jobs, ("s", "1.parquet"), &jobs);
    write(root, Table::Confusion, ("s", "1.parquet"), &measured);
    let results = Results::open(root).unwrap();
    Study::read(&results, &results.sweep("s").unwrap()).unwrap()
}

#[test]
fn measurements_of_different_numbers_of_gradients_are_different_settings() {
    let folder = tempfile::tempdir().unwrap();
    let study = twice_measured(folder.path());
    let counts: Vec<_> = study.groups.iter().map(|group| group.setting("measure_count")).collect();
    assert_eq!(counts, [Some(&Setting::Int(16)), Some(&Setting::Int(64))]);
    for (group, [start, end], count) in
        [(&study.groups[0], [0.3, 0.4], 16), (&study.groups[1], [0.5, 0.6], 64)]
    {
        assert_eq!(group.trials.len(), 9);
        for (moment, expected) in [(Moment::Start, start), (Moment::End, end)] {
            let panel = group.panel(Statistic::MinCos, moment);
            let values: Vec<_> = panel.cells.iter().flat_map(|cell| cell.present()).collect();
            assert_eq!(values, [expected; 9], "{moment:?} of {count}");
        }
        for trial in &group.trials {
            assert!(trial.measurements.iter().all(|one| one.count == Some(count)), "{trial:?}");
            assert_eq!(trial.histogram.as_ref().unwrap()[0], count);
        }
    }
}

#[test]
fn a_job_that_was_measured_twice_is_one_trial_of_the_page() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let report = Report::of(twice_measured(folder.path()), &Default::default());
    assert!(report.findings.iter().all(|finding| finding.verdict == Verdict::CannotTell));
    let page = std::fs::read_to_string(report.write(out.path()).unwrap()).unwrap();
    assert!(page.contains("9 trials with a result"), "{}", &page[..4000]);
    assert!(report.figures[1][0].sql.contains("AND c.count = 64"), "{}", report.figures[1][0].sql);
}

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

#[test]
fn numbers_that_a_column_cannot_hold_are_left_out_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let lost = with(job("lost", 8, 2, 0, 0.5), [("status", "diverged".into())]);
    let jobs = [job("a", 8, 2, 0, 0.5), job("b", 8, 4, 0, 0.5), lost];
    // As they are: `into` makes those that are not finite null.
    let more = |row, name, value| with(row, [(name, Cell::Float(value)), ("count", Cell::Int(64))]);
    let of = |id: &str, step, rms, min| {
        let cells = [("rms_cos", Cell::Float(rms)), ("min_cos", Cell::Float(min))];
        with(confusion(id, step, "samples", 0.5, -0.5), cells)
    };
    let measured = [
        more(of("a", 0, f64::NAN, -0.5), "relative_eta", 65.0),
        more(of("a", 9, 1e300, -7.0), "relative_eta", 63.0),
        more(of("b", 0, -0.1, -1.0000001), "eta", f64::INFINITY),
        more(of("b", 9, 0.3, -0.5), "eta", 1e12),
        more(of("lost", 0, f64::NAN, f64::NEG_INFINITY), "eta", f64::NAN),
    ];
    write(folder.path(), Table::Jobs, ("s", "1.parquet"), &jobs);
    write(folder.path(), Table::Confusion, ("s", "1.parquet"), &measured);
    let results = Results::open(folder.path()).unwrap();
    let study = Study::read(&results, &results.sweep("s").unwrap()).unwrap();
    let told: Vec<_> = study.unusable.iter().map(|unusable| unusable.to_string()).collect();
    assert_eq!(
        told,
        [
            "1 value of eta in 1 trial left out: it must be a finite number, 0 or more",
            "1 value of min_cos in 1 trial left out: it must be from −1 to 1",
            "1 value of relative_eta in 1 trial left out: it must be from 0 to the number of gradients compared",
            "3 values of rms_cos in 2 trials left out: it must be from 0 to 1",
        ]
    );
    let group = &study.groups[0];
    let values = |statistic, moment| -> Vec<_> {
        group.panel(statistic, moment).cells.iter().flat_map(|cell| cell.present()).collect()
    };
    assert!(values(Statistic::RmsCos, Moment::Start).is_empty());
    assert_eq!(values(Statistic::RmsCos, Moment::End), [0.3]);
    assert_eq!(values(Statistic::MinCos, Moment::Start), [0.5, 1.0000001]);
    assert_eq!(values(Statistic::RelativeEta, Moment::End), [63.0]);
    let out = tempfile::tempdir().unwrap();
    let page = Report::of(study, &Default::default()).write(out.path()).unwrap();
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("<p>Note: 3 values of rms_cos in 2 trials left out"), "{page}");
    assert!(!page.contains("NaN"), "{page}");
}

/// A grid of jobs of these data, initial and order seeds, measured at the start and the end; the order moves the end alone.
fn of_seeds(root: &std::path::Path, seeds: &[(i64, i64, i64)]) -> Study {
    let (mut jobs, mut measured): (Vec<SampleRow>, Vec<SampleRow>) = (Vec::new(), Vec::new());
    for width in [8, 16, 32] {
        for depth in [1, 2, 4, 8] {
            for (place, &(data, init, order)) in seeds.iter().enumerate() {
                let id = format!("{width}-{depth}-{place}");
                let rms = (depth as f64 / width as f64).sqrt() / 1.5;
                let streams = [("data_seed", data), ("init_seed", init), ("order_seed", order)];
                let cells = streams.map(|(name, seed)| (name, Cell::Int(seed)));
                jobs.push(with(job(&id, width, depth, 0, rms), cells));
                for (step, factor) in [(0, 1.0), (9, 1.0 + 0.001 * order as f64)] {
                    let row = confusion(&id, step, "samples", factor * rms, -factor * rms);
                    measured.push(with(row, [("count", Cell::Int(64))]));
                }
            }
        }
    }
    write(root, Table::Jobs, ("s", "1.parquet"), &jobs);
    write(root, Table::Confusion, ("s", "1.parquet"), &measured);
    let results = Results::open(root).unwrap();
    Study::read(&results, &results.sweep("s").unwrap()).unwrap()
}

/// At the initial weights their values are the same numbers: whatever they agree on, it is one draw of data and weights.
#[test]
fn orders_of_one_data_seed_and_one_initial_seed_are_one_draw() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let seeds: Vec<_> = (0..6).map(|order| (3, 7, order)).collect();
    let study = of_seeds(folder.path(), &seeds);
    let panel = study.groups[0].panel(Statistic::RmsCos, Moment::End);
    assert_eq!((panel.seeds.as_slice(), panel.cells.len()), (&[(3, 7)][..], 12));
    let mean = (1.0_f64 / 8.0).sqrt() / 1.5 * 1.0025;
    assert!((panel.cells[0].values[0].unwrap() - mean).abs() < 1e-12, "{:?}", panel.cells[0]);
    let report = Report::of(study, &Default::default());
    for finding in &report.findings {
        assert_eq!(finding.verdict, Verdict::CannotTell, "{finding:#?}");
    }
    for survey in report.findings.iter().flat_map(|finding| &finding.evidence) {
        assert!(survey.sensitivity.iter().all(|line| !line.contains("excludes")), "{survey:#?}");
    }
    let page = std::fs::read_to_string(report.write(out.path()).unwrap()).unwrap();
    assert!(page.contains("<td>16</td><td>1</td><td>72</td>"), "{}", &page[..6000]);
    assert!(page.contains("1 seed is too few"), "{page}");
    assert!(page.contains("Seeds are too few for a region of the exponents"), "{page}");
    assert!(!page.contains("what other seeds would give"), "there is no region");
}

/// Seeds of any size: no two pairs are taken for one.
#[test]
fn large_seeds_do_not_collide() {
    let folder = tempfile::tempdir().unwrap();
    let seeds = [(0, 0, 1000), (0, 1, 0), (0, 1000, 0), (1, 0, 0), (i64::MAX, i64::MIN, 5)];
    let panel = of_seeds(folder.path(), &seeds).groups[0].panel(Statistic::RmsCos, Moment::Start);
    assert_eq!(panel.seeds, [(0, 0), (0, 1), (0, 1000), (1, 0), (i64::MAX, i64::MIN)]);
}

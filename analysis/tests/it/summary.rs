//! The table that ends a run, as text and as rows.

use std::path::Path;

use analysis::summary::Setting;
use analysis::{ClosingTable, Results};
use domain::{Cell, Table};

use crate::sample::{
    SampleRow, batch, confusion, job, job_without_layers, with, write, write_batch,
};

const GRID: &str = "\
s: 45 jobs with a result

3 jobs a cell
        ----- depth 1 ------   ----- depth 2 ------   ----- depth 4 ------
width      loss   rms    min      loss   rms    min      loss   rms    min
   16    0.0625 0.062 -0.250    0.0312 0.088 -0.354    0.0156 0.125 -0.500
   64    0.0156 0.031 -0.125   0.00781 0.044 -0.177   0.00391 0.062 -0.250
  256   0.00391 0.016 -0.062   0.00195 0.022 -0.088   9.77e-4 0.031 -0.125
        ----- depth 8 ------   ----- depth 16 -----
width      loss   rms    min      loss   rms    min
   16   0.00781 0.177 -0.707   0.00391 0.250 -1.000
   64   0.00195 0.088 -0.354   9.77e-4 0.125 -0.500
  256   4.88e-4 0.044 -0.177   2.44e-4 0.062 -0.250

medians over the jobs of a cell that did not diverge; loss: training loss at the end
rms, min: of the cosines between per-example gradients, where last measured
";

const DIVERGED: &str = "\
s: 11 jobs with a result, 4 diverged

        ---------- depth 1 ----------   ---------- depth 2 ----------
width      loss   rms    min jobs div      loss   rms    min jobs div
   16    0.0656 0.066 -0.263    3   1         -     -      -    3   3
   64    0.0156 0.031 -0.125    3   0   0.00742 0.042 -0.168    2   0

medians over the jobs of a cell that did not diverge; loss: training loss at the end
rms, min: of the cosines between per-example gradients, where last measured
";

const LINEAR: &str = "\
s: 2 jobs with a result

2 jobs a cell
 loss    rms    min
0.500 1.0e-3 -0.010

medians over the jobs of a cell that did not diverge; loss: training loss at the end
rms, min: of the cosines of scope batch-pairs, where last measured
";

fn closing_table(root: &Path) -> ClosingTable {
    let results = Results::open(root).unwrap();
    let sweep = results.sweep("s").unwrap();
    ClosingTable::of(&results, &sweep).unwrap()
}

#[track_caller]
fn check(root: &Path, expected: &str) {
    let text = closing_table(root).to_string();
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert_eq!(text, expected, "found:\n{text}");
}

/// Every width with every depth and seed; the loss and cosines of seed 1 are the median.
fn grid(widths: &[i64], depths: &[i64], seeds: i64) -> (Vec<SampleRow>, Vec<SampleRow>) {
    let (mut jobs, mut measurements) = (Vec::new(), Vec::new());
    for &width in widths {
        for &depth in depths {
            for seed in 0..seeds {
                let id = format!("{width}/{depth}/{seed}");
                let spread = 1.0 + (seed - 1) as f64 / 10.0;
                let cosine = (depth as f64 / width as f64).sqrt();
                jobs.push(job(&id, width, depth, seed, spread / (width * depth) as f64));
                for (step, at) in [(0, 0.9), (500, 1.0)] {
                    let rms = at * spread * cosine / 4.0;
                    let min = -at * spread * cosine;
                    measurements.push(confusion(&id, step, "samples", rms, min));
                }
                // Other scopes, averages and single layers are not what the table shows.
                let averaged = confusion(&id, 900, "samples", 0.66, -0.66);
                measurements.push(with(averaged, [("measure_batch", Cell::Int(4))]));
                measurements.push(confusion(&id, 900, "batches", 0.77, -0.77));
                let layer = confusion(&id, 900, "samples", 0.88, -0.88);
                measurements.push(with(layer, [("layer", Cell::Int(0))]));
            }
        }
    }
    (jobs, measurements)
}

#[test]
fn rows_are_widths_and_groups_of_columns_are_depths() {
    let folder = tempfile::tempdir().unwrap();
    let (jobs, measurements) = grid(&[16, 64, 256], &[1, 2, 4, 8, 16], 3);
    write(folder.path(), Table::Jobs, ("s", "1.parquet"), &jobs[..20]);
    // Jobs that a second revision holds as well count once.
    write(folder.path(), Table::Jobs, ("s", "2.parquet"), &jobs[10..]);
    write(folder.path(), Table::Confusion, ("s", "1.parquet"), &measurements);
    check(folder.path(), GRID);
}

#[test]
fn diverged_jobs_are_counted_and_left_out_of_the_medians() {
    let folder = tempfile::tempdir().unwrap();
    let (mut jobs, measurements) = grid(&[16, 64], &[1, 2], 3);
    for lost in [0, 3, 4, 5] {
        let diverged = [("status", "diverged".into()), ("final_risk", Cell::Null)];
        jobs[lost] = with(jobs[lost].clone(), diverged);
    }
    jobs.pop();
    write(folder.path(), Table::Jobs, ("s", "1.parquet"), &jobs);
    write(folder.path(), Table::Confusion, ("s", "1.parquet"), &measurements);
    check(folder.path(), DIVERGED);

    let rows = closing_table(folder.path()).rows().to_vec();
    assert_eq!(rows.len(), 4);
    assert_eq!((rows[0].width, rows[0].depth), (Some(16), Some(1)));
    assert_eq!((rows[0].job_count, rows[0].diverged_count), (3, 1));
    assert_eq!((rows[1].final_risk, rows[1].min_cos), (None, None));
    assert_eq!(rows[3].job_count, 2);
    assert!(rows.iter().all(|row| row.settings.is_empty()));
}

#[test]
fn other_axes_make_blocks_and_too_many_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut jobs = Vec::new();
    for (index, dim) in [256, 16, 64, 4, 8].into_iter().enumerate() {
        for init in ["paper", "lecun"] {
            let id = format!("{index}{init}");
            let varied = [("model_init", init.into()), ("data_dim", Cell::Int(dim))];
            jobs.push(with(job(&id, 16, 2, 0, dim as f64), varied));
        }
    }
    write(folder.path(), Table::Jobs, ("s", "1.parquet"), &jobs);
    let text = closing_table(folder.path()).to_string();
    let titles: Vec<_> = text.lines().filter(|line| line.contains(" = ")).collect();
    let dims = [4, 8, 16, 64, 256];
    let title = |init, dim| format!("model.init = {init}, data.dim = {dim}, 1 job a cell");
    let expected = dims.map(|dim| title("lecun", dim)).into_iter();
    let expected = expected.chain(dims[..3].iter().map(|dim| title("paper", *dim)));
    assert_eq!(titles, expected.collect::<Vec<_>>());
    assert!(
        text.contains("\n2 more combinations of model.init, data.dim are not shown\n"),
        "{text}"
    );

    let rows = closing_table(folder.path()).rows().to_vec();
    assert_eq!(rows.len(), 10);
    let settings =
        vec![("model_init", Setting::Text("paper".to_owned())), ("data_dim", Setting::Int(256))];
    assert_eq!((&rows[9].settings, rows[9].final_risk), (&settings, Some(256.0)));
}

#[test]
fn a_model_without_layers_has_one_row() {
    let folder = tempfile::tempdir().unwrap();
    let jobs = ["a", "b"].map(|id| job_without_layers(id, i64::from(id == "b"), 0.5));
    write(folder.path(), Table::Jobs, ("s", "1.parquet"), &jobs);
    let measured = confusion("a", 3, "batch-pairs", 0.001, -0.01);
    write(folder.path(), Table::Confusion, ("s", "1.parquet"), &[measured]);
    check(folder.path(), LINEAR);
}

#[test]
fn a_long_grid_is_cut_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (widths, depths): (Vec<_>, Vec<_>) = ((1..=20).collect(), (1..=30).collect());
    let (jobs, _) = grid(&widths, &depths, 1);
    write(folder.path(), Table::Jobs, ("s", "1.parquet"), &jobs);
    let text = closing_table(folder.path()).to_string();
    assert!(text.contains("\n4 more widths and 18 more depths are not shown\n"), "{text}");
    assert!(text.lines().all(|line| line.len() <= 100), "{text}");
    assert_eq!(closing_table(folder.path()).rows().len(), 600);
}

#[test]
fn a_sweep_without_results_says_that() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("sweeps/s")).unwrap();
    check(folder.path(), "s: 0 jobs with a result\n");
}

#[test]
fn what_the_reader_must_know_is_noted_once() {
    let folder = tempfile::tempdir().unwrap();
    let jobs = [job("a", 16, 1, 0, 0.5), job("b", 16, 1, 0, 0.5)];
    let whole = batch(Table::Jobs, &jobs);
    let kept: Vec<_> = (0..whole.num_columns())
        .filter(|index| whole.schema().field(*index).name() != "final_risk")
        .collect();
    for name in ["1", "2"] {
        let path = folder.path().join(format!("jobs/sweep=s/{name}.parquet"));
        write_batch(&path, &whole.project(&kept).unwrap());
    }
    let notes = closing_table(folder.path()).notes().to_vec();
    let expected = [
        "final_risk is null in 2 of 2 segments of jobs: an older version wrote them",
        "some cells mix jobs that differ in more than seeds: compare `spec` in table jobs",
    ];
    assert_eq!(notes, expected);
    let text = closing_table(folder.path()).to_string();
    assert!(text.ends_with(&format!("note: {}\nnote: {}\n", expected[0], expected[1])), "{text}");
}

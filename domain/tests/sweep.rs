//! What a sweep file comes to: the order of its points, exclusions, zip groups, data files and changes of revision.

use std::collections::BTreeMap;

use domain::sweep::Specs;
use domain::{Digest, FileFacts, JobSpec, Sweep, SweepFileError, Value, sweep_file};
use proptest::prelude::*;

const REST: &str = "[model]\nkind = \"mlp\"\nwidth = 8\ndepth = 1\n[data]\nkind = \"sphere\"\nsamples = 16\n\
                    dim = 8\n[train]\nsteps = 10\nstep_size = 0.1\n";

fn resolve(text: &str, files: &[(&str, FileFacts)]) -> Result<Sweep, SweepFileError> {
    let files: BTreeMap<_, _> =
        files.iter().map(|(path, facts)| ((*path).to_owned(), facts.clone())).collect();
    sweep_file::parse(text, "x.toml")?.resolve(&files)
}

#[track_caller]
fn sweep(grid: &str) -> Sweep {
    resolve(&format!("name = \"x\"\n{grid}\n{REST}"), &[]).expect("the test's sweep is valid")
}

#[track_caller]
fn check(grid: &str, expected: &[&str]) {
    let sweep = sweep(grid);
    let points: Vec<String> = (0..sweep.len()).map(|i| sweep.point(i).to_string()).collect();
    assert_eq!(points, expected);
}

#[test]
fn axes_come_in_the_order_of_the_file_and_the_last_varies_fastest() {
    check("", &[""]);
    check(
        "[axes]\nseed = [1, 0]\n\"model.depth\" = [2, 0]\n",
        &["seed=1 depth=2", "seed=1 depth=0", "seed=0 depth=2", "seed=0 depth=0"],
    );
}

#[test]
fn zip_groups_move_together_after_the_axes() {
    let zip = "\"model.init\" = [\"he\", \"lecun\"]\n\"model.activation\" = [\"relu\", \"tanh\"]";
    check(
        &format!("[[zip]]\n{zip}\n[axes]\nseed = [0, 1]\n"),
        &[
            "seed=0 init=he activation=relu",
            "seed=0 init=lecun activation=tanh",
            "seed=1 init=he activation=relu",
            "seed=1 init=lecun activation=tanh",
        ],
    );
}

#[test]
fn a_point_is_excluded_where_it_matches_every_key_of_a_table() {
    check(
        "[axes]\nmodel.width = [1, 2]\nmodel.depth = [1, 2]\n\
         [[exclude]]\nmodel.width = 2\nmodel.depth = 2\n[[exclude]]\n\"model.width\" = 1\nmodel.depth = 1\n",
        &["width=1 depth=2", "width=2 depth=1"],
    );
}

#[test]
fn names_of_one_spelling_keep_their_sections() {
    check(
        "[axes]\nmodel.kind = [\"mlp\"]\ndata.kind = [\"sphere\"]\nmodel.init = [\"he\"]",
        &["model.kind=mlp data.kind=sphere init=he"],
    );
}

#[test]
fn a_cell_is_a_point_without_its_seeds() {
    let sweep = sweep("[axes]\nmodel.width = [1, 2]\nseed = [0, 1]\ninit_seed = [5]");
    assert_eq!(sweep.cell(3).to_string(), "width=2");
    assert_eq!(sweep.point(3).get("seed"), Some(&Value::Int(1)));
    let seeds = sweep.job(3).seeds;
    assert_eq!((seeds.data, seeds.init, seeds.common()), (1, 5, None));
}

#[test]
fn points_that_differ_in_what_does_not_apply_are_one_job() {
    let sweep = sweep("[axes]\nmodel.kind = [\"mlp\", \"linear\"]\nmodel.width = [1, 2, 3]");
    let indices: Vec<u64> = sweep.jobs().map(|(index, _)| index).collect();
    assert_eq!((sweep.len(), indices), (6, vec![0, 1, 2, 3]));
}

#[test]
fn an_excluded_cell_may_be_invalid() {
    let grid = "[axes]\nmodel.kind = [\"mlp\", \"linear\"]\nmodel.init = [\"paper\", \"lecun\"]\nseed = [0, 1]\n\
                [[exclude]]\nmodel.kind = \"linear\"\nmodel.init = \"paper\"\n";
    assert_eq!(sweep(grid).len(), 6);
    let text =
        format!("name = \"x\"\n{grid}{REST}").replace("[[exclude]]", "[[exclude]]\nseed = 0");
    let error = resolve(&text, &[]).expect_err("the point with seed 1 is left");
    assert!(error.to_string().starts_with("x.toml:4: model.init: found \"paper\""), "{error}");
}

#[test]
fn a_changed_base_setting_is_told_from_a_longer_axis_and_from_a_default_written_out() {
    let old = sweep("[axes]\nmodel.width = [1, 2]\nseed = [0, 1]");
    let same = "[axes]\nmodel.width = [2, 4]\nseed = [1, 2]\n[measure]\nat = { log = 20 }\n[run]\nattempts = 9";
    assert_eq!(sweep(same).changed_from(&old), []);

    let changed = sweep("[axes]\nmodel.width = [2]\nseed = [7]\n[measure]\nlayers = true");
    let changes = changed.changed_from(&old);
    let fields: Vec<&str> = changes.iter().map(|change| change.field).collect();
    assert_eq!(fields, ["data_seed", "init_seed", "order_seed", "measure_seed", "measure.layers"]);
    assert_eq!(changes[0].old, [Value::Int(0), Value::Int(1)]);
    assert_eq!(changes[4].new, [Value::Bool(true)]);
}

#[test]
fn a_field_that_comes_to_apply_is_a_change() {
    let text = |kind: &str| format!("name = \"x\"\n{REST}").replace("mlp", kind);
    let old = resolve(&text("linear"), &[]).expect("valid");
    let changes = resolve(&text("mlp"), &[]).expect("valid").changed_from(&old);
    let width = changes.iter().find(|change| change.field == "model.width").expect("it changed");
    assert_eq!((width.old.as_slice(), width.new.as_slice()), (&[][..], &[Value::Int(8)][..]));
}

fn facts(content: &str) -> FileFacts {
    let digest = Digest::of(content.as_bytes());
    FileFacts { digest, samples: 100, test_samples: 10, dim: 784, classes: 10 }
}

fn from_files(extra: &str) -> String {
    format!(
        "name = \"x\"\n[model]\nkind = \"mlp\"\nwidth = 8\ndepth = 1\n[train]\nepochs = 1\nstep_size = 0.1\n\
         [data]\nkind = \"idx\"\npath = \"here\"\n{extra}\n"
    )
}

#[test]
fn data_files_give_what_the_sweep_file_leaves_out() {
    let draft = sweep_file::parse(&from_files(""), "x.toml").expect("valid");
    assert_eq!(draft.paths().len(), 1);
    let sweep = resolve(&from_files(""), &[("here", facts("a"))]).expect("it fits");
    let job = sweep.job(0);
    assert_eq!((job.data.samples, job.data.dim, job.model.outputs), (100, 784, 10));
    assert_eq!((job.train.loss.as_str(), job.model.output.as_str()), ("cross-entropy", "identity"));
    assert_eq!(job.train.steps, 100);
}

/// A sweep of convolutional networks with `model` and `train` added to its sections.
fn images(model: &str, train: &str) -> Sweep {
    let text = format!(
        "name = \"x\"\n[model]\nwidth = 2\ndepth = 16\n{model}\n[data]\nkind = \"cifar10\"\npath = \"here\"\n\
         [train]\nsteps = 1\nstep_size = 0.1\n{train}\n"
    );
    let facts = FileFacts { dim: 3_072, ..facts("a") };
    resolve(&text, &[("here", facts)]).expect("it fits")
}

#[test]
fn a_convolutional_network_has_what_its_kind_leaves_unsaid() {
    let job = |model: &str| images(model, "").job(0);
    let whole = job("kind = \"wrn\"");
    assert_eq!(
        (whole.model.kind(), whole.model.init.as_str(), whole.model.precision.as_str()),
        ("wrn", "he", "f32")
    );
    assert_eq!((whole.train.loss.as_str(), whole.model.outputs), ("cross-entropy", 10));
    assert_eq!((whole.data.dim, whole.model.parameters(whole.data.dim)), (3_072, 691_674));
    let bare = job("kind = \"cnn\"");
    assert_eq!(bare.model.parameters(bare.data.dim), 679_098);
    let half = job("kind = \"cnn\"\nskip = true");
    assert_eq!(half.model.parameters(half.data.dim), 689_850);
    let same = job("kind = \"wrn\"\nbatch_norm = true\nactivation = \"relu\"\nbias = false");
    assert_eq!(same.id(), whole.id());
    for spec in [whole, bare, half] {
        assert_eq!(JobSpec::from_canonical(&spec.canonical()), Ok(spec.clone()));
        assert!(!spec.canonical().contains("augment"));
    }
}

#[test]
fn threads_are_of_the_run_and_change_no_job() {
    let one = images("kind = \"wrn\"", "");
    let four = images("kind = \"wrn\"", "[run]\nthreads = 4");
    assert_eq!((one.run().threads, four.run().threads), (1, 4));
    assert_eq!(one.job_ids(), four.job_ids());
    assert_eq!(four.changed_from(&one), []);
    let rebuilt = Sweep::from_canonical(&four.canonical()).expect("canonical");
    assert_eq!((rebuilt.run().threads, rebuilt.id()), (4, four.id()));
    assert_eq!(images("kind = \"wrn\"", "[run]\nthreads = 1").id(), one.id());
}

#[test]
fn threads_are_accepted_where_some_model_of_the_sweep_uses_them() {
    let kinds = "[axes]\n\"model.kind\" = [\"mlp\", \"cnn\"]\n\"model.init\" = [\"he\"]";
    let mixed = images(kinds, "[run]\nthreads = 2");
    assert_eq!((mixed.len(), mixed.run().threads), (2, 2));
    let text = format!(
        "name = \"x\"\n{kinds}\n[[exclude]]\nmodel.kind = \"cnn\"\n[model]\nwidth = 2\ndepth = 16\n\
         [data]\nkind = \"cifar10\"\npath = \"here\"\n[train]\nsteps = 1\nstep_size = 0.1\n[run]\nthreads = 2\n"
    );
    let error = sweep_file::parse(&text, "x.toml").expect_err("the only such points are excluded");
    assert_eq!(
        error.to_string(),
        "x.toml:17: run.threads: found 2; expected 1: only cnn and wrn share a job among threads, and no point of this \
         sweep has such a model.kind"
    );
}

#[test]
fn the_seed_of_augmentation_counts_where_images_are_augmented() {
    let ids = |train: &str| {
        let sweep = images("kind = \"wrn\"\n[axes]\naugment_seed = [0, 7]", train);
        sweep.jobs().map(|(_, id)| id).collect::<Vec<_>>()
    };
    let (plain, augmented) = (ids(""), ids("augment = true"));
    assert_eq!((plain.len(), augmented.len()), (1, 2));
    assert!(!augmented.contains(&plain[0]));
    let job = images("kind = \"wrn\"", "augment = true").job(0);
    assert_eq!(JobSpec::from_canonical(&job.canonical()), Ok(job));
}

/// Law: specs made from what a cell remembers are those made from the start, in whatever order they are asked for.
#[track_caller]
fn check_specs(sweep: &Sweep) {
    let mut specs = Specs::default();
    let forwards = 0..sweep.len();
    for index in forwards.clone().chain(forwards.rev()) {
        let job = sweep.job(index);
        assert_eq!(specs.text(sweep, index), job.canonical(), "point {index}");
        assert_eq!(specs.job(sweep, index), job, "point {index}");
    }
}

#[test]
fn specs_by_their_cells_are_those_of_the_points() {
    check_specs(&sweep(""));
    check_specs(&sweep("[axes]\nseed = [0, 7, 9223372036854775807]\nmodel.width = [1, 2]\n"));
    check_specs(&sweep(
        "seed = 3\n[axes]\ndata_seed = [0, 7]\ninit_seed = [1, 2]\norder_seed = [5]\n",
    ));
    // A zip of a seed and a setting is part of the cell; so is what does not apply.
    check_specs(&sweep(
        "[[zip]]\nseed = [4, 5]\nmodel.width = [1, 2]\n[axes]\nmeasure_seed = [8, 9]\nmodel.kind = [\"mlp\", \"linear\"]\n",
    ));
    check_specs(&sweep(
        "[axes]\nseed = [0, 1]\nmodel.width = [1, 2]\n[[exclude]]\nseed = 1\nmodel.width = 1\n",
    ));
    // More cells than are remembered.
    let widths: Vec<_> = (1..=1_500).collect();
    check_specs(&sweep(&format!("[axes]\nseed = [0, 1]\nmodel.width = {widths:?}\n")));
    check_specs(&images(
        "kind = \"wrn\"\n[axes]\nseed = [1, 2]\ntrain.augment = [true, false]",
        "",
    ));
}

#[test]
fn what_does_not_fit_the_data_files_is_refused_by_its_line() {
    let check = |extra: &str, message: &str| {
        let error = resolve(&from_files(extra), &[("here", facts("a"))]).expect_err(extra);
        assert_eq!(error.to_string(), message);
    };
    check(
        "samples = 101",
        "x.toml:12: data.samples: found 101; expected at most the 100 examples of the file",
    );
    check(
        "test_samples = 11",
        "x.toml:12: data.test_samples: found 11; expected at most the 10 test examples of the file",
    );
    let images = from_files("").replace("idx", "cifar10");
    let error = resolve(&images, &[("here", facts("a"))]).expect_err("digits are no CIFAR");
    assert_eq!(
        error.to_string(),
        "x.toml:10: data.kind: found \"cifar10\"; expected images of 3072 entries in 10 classes in data.path"
    );
    check(
        "dim = 3",
        "x.toml:12: data.dim: found 3; expected the 784 entries of the file's examples, or to be left out",
    );
    check(
        "[axes]\nmodel.outputs = [\n10,\n9]",
        "x.toml:15: model.outputs: found 9; expected at least 10, one output for each class",
    );
    check(
        "[axes]\ndata.path = [\"here\",\n\"there\"]",
        "x.toml:14: data.path: found \"there\", whose facts were not given",
    );
    let same = from_files("[axes]\ndata.path = [\"here\",\n\"there\"]");
    let error = resolve(&same, &[("here", facts("a")), ("there", facts("a"))]).expect_err("twins");
    assert_eq!(
        error.to_string(),
        "x.toml:14: data.path: \"there\" and \"here\" have the same content"
    );
    let draft = sweep_file::parse(&same, "x.toml").expect("valid");
    assert_eq!(
        draft.unreadable("there", "no such folder").to_string(),
        "x.toml:14: data.path: found \"there\"; expected data that can be read: no such folder"
    );
}

#[test]
fn the_ready_sweeps_are_valid_and_small() {
    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../sweeps");
    let large = FileFacts { samples: 60_000, test_samples: 10_000, ..facts("any") };
    let mut count = 0;
    for entry in std::fs::read_dir(FOLDER).expect("the folder is part of the repository") {
        let path = entry.expect("readable").path();
        let text = std::fs::read_to_string(&path).expect("readable");
        let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        let draft = sweep_file::parse(&text, &name).unwrap_or_else(|error| panic!("{error}"));
        let facts_of = |data: sweep_file::DataPath| {
            let dim = if data.kind.cifar_classes().is_some() { 3_072 } else { 784 };
            (data.path, FileFacts { dim, ..large.clone() })
        };
        let files = draft.paths().into_iter().map(facts_of).collect();
        let sweep = draft.resolve(&files).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(sweep.name().as_str(), name);
        assert!((10..=5_000).contains(&sweep.len()), "{name}: {} points", sweep.len());
        count += 1;
    }
    assert!(count >= 3, "{count} files");
}

proptest! {
    /// Law: a grid has every combination that is not excluded, once, the last dimension fastest.
    #[test]
    fn the_grid_is_the_product_less_what_is_excluded(
        widths in 1u32..5, depths in 1u32..5, seeds in 1u32..5,
        excluded in proptest::collection::vec((1u32..5, 0u32..5, proptest::option::of(0u32..5)), 0..4),
    ) {
        let excluded: Vec<_> = excluded
            .into_iter()
            .filter(|(w, d, s)| *w <= widths && *d < depths && s.is_none_or(|s| s < seeds))
            .collect();
        let mut expected = Vec::new();
        for w in 1..=widths {
            for d in 0..depths {
                for s in 0..seeds {
                    let out = excluded.iter().any(|&(ew, ed, es)| {
                        ew == w && ed == d && es.is_none_or(|es| es == s)
                    });
                    if !out {
                        expected.push(format!("width={w} depth={d} seed={s}"));
                    }
                }
            }
        }
        prop_assume!(!expected.is_empty());
        let tables: String = excluded
            .iter()
            .map(|(w, d, s)| {
                let seed = s.map_or(String::new(), |s| format!("seed = {s}\n"));
                format!("[[exclude]]\nmodel.width = {w}\nmodel.depth = {d}\n{seed}")
            })
            .collect();
        let sweep = sweep(&format!(
            "[axes]\nmodel.width = {{ start = 1, count = {widths} }}\n\
             model.depth = {{ start = 0, count = {depths} }}\nseed = {{ start = 0, count = {seeds} }}\n{tables}"
        ));
        let points: Vec<String> = (0..sweep.len()).map(|i| sweep.point(i).to_string()).collect();
        prop_assert_eq!(points, expected);
        let rebuilt = Sweep::from_canonical(&sweep.canonical()).expect("canonical");
        prop_assert_eq!(&rebuilt, &sweep);
        prop_assert_eq!(rebuilt.jobs().count() as u64, sweep.len());
    }
}

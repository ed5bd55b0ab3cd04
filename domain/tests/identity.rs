//! Identities never move: those of the sweeps under `tests/data/identity` are pinned, and what may not change an
//! identity does not.
//!
//! Beside each sweep file lies what it was when it was pinned: its SweepId, its canonical text, and its jobs with their
//! ids and specs. Never edit one of those: a difference means that results already stored would be run again.

use std::collections::BTreeMap;

use domain::{Digest, FileFacts, JobId, JobSpec, Sweep, SweepId, sweep_file};
use proptest::prelude::*;

/// The sweeps that are pinned.
const PINNED: [&str; 7] = ["poster", "linear", "files", "images", "scopes", "crossing", "averages"];

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/identity");

/// The data files that the pinned sweeps name.
fn files() -> BTreeMap<String, FileFacts> {
    let facts = |content: &[u8], samples, dim| FileFacts {
        digest: Digest::of(content),
        samples,
        test_samples: 1_000,
        dim,
        classes: 10,
    };
    [
        ("first".to_owned(), facts(b"1", 6_000, 784)),
        ("second".to_owned(), facts(b"2", 500, 784)),
        ("images".to_owned(), facts(b"3", 5_000, 3_072)),
    ]
    .into()
}

#[track_caller]
fn sweep(text: &str) -> Sweep {
    let draft = sweep_file::parse(text, "test.toml").expect("the test's sweep is valid");
    draft.resolve(&files()).expect("the test's sweep fits its files")
}

/// A small sweep with `lines` added to its sections.
fn small(top: &str, model: &str, data: &str, train: &str, measure: &str) -> Sweep {
    sweep(&format!(
        "name = \"x\"\n{top}\n[model]\nkind = \"mlp\"\nwidth = 8\ndepth = 1\n{model}\n\
         [data]\nkind = \"sphere\"\nsamples = 16\ndim = 8\n{data}\n\
         [train]\nstep_size = 0.1\n{train}\n[measure]\n{measure}\n"
    ))
}

#[test]
fn pinned_identities_have_not_moved() {
    for name in PINNED {
        let read = |extension: &str| {
            std::fs::read_to_string(format!("{FOLDER}/{name}.{extension}")).expect("it is stored")
        };
        let pinned: serde_json::Value = serde_json::from_str(&read("json")).expect("JSON");
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let parsed = sweep(&read("toml"));
        let canonical = text(&pinned["canonical"]);
        assert_eq!(parsed.canonical(), canonical, "{name}");
        let rebuilt = Sweep::from_canonical(&canonical).expect("a stored sweep can be read");
        for sweep in [parsed, rebuilt] {
            assert_eq!(sweep.id().to_string(), text(&pinned["sweep_id"]), "{name}");
            let jobs: Vec<(String, String)> = sweep
                .jobs()
                .map(|(index, id)| (id.to_string(), sweep.job(index).canonical()))
                .collect();
            let stored = pinned["jobs"].as_array().expect("a list of jobs").iter();
            let stored: Vec<_> = stored.map(|job| (text(&job["id"]), text(&job["spec"]))).collect();
            assert_eq!(jobs, stored, "{name}");
        }
    }
}

#[test]
fn a_stored_spec_reads_back_as_itself_and_its_text_is_its_identity() {
    for name in PINNED {
        let text = std::fs::read_to_string(format!("{FOLDER}/{name}.toml")).expect("it is stored");
        let sweep = sweep(&text);
        for index in 0..sweep.len() {
            let spec = sweep.job(index);
            let text = spec.canonical();
            assert_eq!(JobSpec::from_canonical(&text), Ok(spec.clone()));
            assert_eq!(JobId::of(&text), spec.id());
        }
    }
}

#[test]
fn what_comes_to_nothing_is_no_part_of_a_job() {
    let id = |sweep: Sweep| sweep.job(0).id();
    let plain = id(small("", "", "", "steps = 32", ""));
    for (same, why) in [
        (
            small("seed = 0", "activation = \"tanh\"", "labels = \"teacher\"", "steps = 32", ""),
            "defaults",
        ),
        (small("augment_seed = 9", "", "", "steps = 32", ""), "nothing is augmented"),
        (
            small("", "bias = false", "noise = 0", "steps = 32\nmomentum = 0\nschedule = []", ""),
            "rest",
        ),
        (small("", "", "", "epochs = 2", ""), "epochs become steps"),
        (small("", "", "", "steps = 32\nbatch = 1", "at = { log = 20 }"), "default plan"),
        (small("", "", "path = \"nowhere\"", "steps = 32", ""), "generated data have no file"),
        (
            small(
                "",
                "",
                "",
                "steps = 32",
                "confusion = [{ scope = \"samples\" }]\nlayers = false",
            ),
            "count",
        ),
        (
            small("", "", "", "steps = 32", "confusion = [{ scope = \"samples\", average = [] }]"),
            "averages over nothing",
        ),
    ] {
        assert_eq!(id(same), plain, "{why}");
    }
    for other in [
        small("data_seed = 1", "", "", "steps = 32", ""),
        small("", "bias = true", "", "steps = 32", ""),
        small("", "", "noise = 0.1", "steps = 32", ""),
        small("", "", "", "steps = 33", ""),
        small("", "", "", "steps = 32", "at = { log = 19 }"),
        small("", "", "", "steps = 32\nstop_below = 1e-3", ""),
        small("", "", "", "steps = 32", "confusion = []"),
        small("", "", "", "steps = 32", "confusion = [{ scope = \"samples\", average = [4] }]"),
    ] {
        assert_ne!(id(other), plain);
    }
}

#[test]
fn measured_steps_that_are_measured_anyway_are_no_part_of_a_job() {
    let id = |at: &str| small("", "", "", "steps = 32", at).job(0).id();
    assert_eq!(id("at = [0, 10, 32, 99]"), id("at = [10]"));
    assert_eq!(id("at = { epochs = 1 }"), id("at = { every = 16 }"));
    assert_eq!(id("at = { every = 40 }"), id("at = []"));
    assert_ne!(id("at = { every = 16 }"), id("at = { every = 8 }"));
}

#[test]
fn an_axis_written_in_two_ways_is_one_sweep() {
    let of = |axis: &str| small(&format!("[axes]\n{axis}"), "", "", "steps = 1", "").id();
    assert_eq!(of("\"model.width\" = [1, 2, 4]"), of("\"model.width\" = { log2 = [0, 2] }"));
    assert_eq!(of("model.width = [1, 2, 4]"), of("\"model.width\" = { log2 = [0, 2] }"));
    assert_eq!(of("seed = [3, 4]"), of("seed = { start = 3, count = 2 }"));
    assert_eq!(
        of("train.step_size = [0.001, 0.01, 0.1, 1.0]"),
        of("train.step_size = { logspace = [1e-3, 1], count = 4 }")
    );
}

#[test]
fn neither_paths_nor_comments_nor_run_defaults_are_part_of_a_sweep() {
    let text = std::fs::read_to_string(format!("{FOLDER}/files.toml")).expect("it is stored");
    let here = sweep(&text);
    let moved: BTreeMap<String, FileFacts> =
        files().into_iter().map(|(path, facts)| (format!("/moved/{path}"), facts)).collect();
    let text = text.replace("\"first\", \"second\"", "\"/moved/first\", \"/moved/second\"");
    let text = format!("# A comment.\n{text}attempts = 3\nthreads = 1\n");
    let draft = sweep_file::parse(&text, "moved.toml").expect("valid");
    let there = draft.resolve(&moved).expect("the files fit");
    assert_eq!(there.id(), here.id());
    assert_ne!(there.canonical(), here.canonical(), "the hint where data were found moves");
    let digest = Digest::of(b"1");
    assert_eq!(
        (here.data_path(digest), there.data_path(digest)),
        (Some("first"), Some("/moved/first"))
    );
    let rebuilt = Sweep::from_canonical(&there.canonical()).expect("canonical");
    assert_eq!((rebuilt.id(), rebuilt.data_path(digest)), (here.id(), Some("/moved/first")));
    assert_eq!(rebuilt.point(0).to_string(), "path=/moved/first width=8 init_seed=0");
}

#[test]
fn the_text_of_another_job_or_format_is_refused() {
    let sweep = small("", "", "", "steps = 32", "");
    let spec = sweep.job(0).canonical();
    for text in [
        String::new(),
        "{}".to_owned(),
        "[]".to_owned(),
        format!("{spec} "),
        spec.replace("\"width\":8", "\"width\":8.0"),
        spec.replace("\"width\":8", "\"width\":0"),
        spec.replace("\"width\":8", "\"width\":99999999999"),
        spec.replace("\"steps\":32", "\"epochs\":2"),
        spec.replace("\"bias\"", "\"colour\""),
        spec.replace("\"order_seed\":0", "\"order_seed\":-1"),
        spec.replace("\"samples\":16", "\"samples\":null"),
        spec.replace("{\"count\":16", "{\"average\":[],\"count\":16"),
        spec.replace("{\"count\":16", "{\"average\":[1],\"count\":16"),
        spec.replace("{\"count\":16", "{\"average\":[9],\"count\":16"),
        spec.replace("{\"count\":16", "{\"average\":[2,2],\"count\":16"),
    ] {
        let read = JobSpec::from_canonical(&text);
        assert!(read.is_err() || text == spec, "{text}");
    }
    let text = sweep.canonical();
    for text in [
        format!("{text}\n"),
        text.replace("\"format\":1", "\"format\":2"),
        text.replace("\"zip\":[]", "\"zip\":[[]]"),
        text.replace("\"axes\":[]", "\"axes\":[{\"field\":\"seed\",\"values\":[]}]"),
        text.replace("\"axes\":[]", "\"axes\":[{\"field\":\"run.attempts\",\"values\":[1]}]"),
        text.replace("\"name\":\"x\"", "\"name\":\"../x\""),
        text.replace("\"train\":{", "\"run\":{\"attempts\":0},\"train\":{"),
        text.replace("\"train\":{", "\"run\":{\"attempts\":3},\"train\":{"),
    ] {
        assert!(Sweep::from_canonical(&text).is_err(), "{text}");
    }
}

#[test]
fn a_grid_beyond_the_limits_is_refused_before_it_is_made() {
    let text = small("", "", "", "steps = 32", "").canonical();
    let seeds: Vec<String> = (0..4_000).map(|seed| seed.to_string()).collect();
    let axis = |field: &str| format!("{{\"field\":\"{field}\",\"values\":[{}]}}", seeds.join(","));
    let axes = ["seed", "data_seed", "init_seed", "order_seed", "measure_seed"].map(axis);
    let text = text.replace("\"axes\":[]", &format!("\"axes\":[{}]", axes.join(",")));
    let error = Sweep::from_canonical(&text).expect_err("10^18 points");
    assert_eq!(error.to_string(), "the axes make more than 10000000 points");
}

proptest! {
    /// Law: a spec made of any settings that fit together reads back from its canonical text.
    #[test]
    fn any_valid_spec_reads_back(
        width in 1u32..2_000, depth in 0u32..50, samples in 2u32..5_000, dim in 1u32..3_000,
        batch in 1u32..300, epochs in 1u32..20, step_size in 1e-12f64..1e12, noise in 0.0f64..3.0,
        at in prop_oneof![
            (2u32..50).prop_map(|n| format!("{{ log = {n} }}")),
            (1u32..5_000).prop_map(|n| format!("{{ every = {n} }}")),
            (1u32..9).prop_map(|n| format!("{{ epochs = {n} }}")),
            proptest::collection::vec(0u32..9_000, 0..5).prop_map(|steps| format!("{steps:?}")),
        ],
        activation in prop_oneof![Just("tanh"), Just("relu"), Just("identity")],
        seed: u32, bias: bool,
    ) {
        let sweep = sweep(&format!(
            "name = \"x\"\nseed = {seed}\n[model]\nkind = \"mlp\"\nwidth = {width}\ndepth = {depth}\n\
             activation = \"{activation}\"\nbias = {bias}\n[data]\nkind = \"gaussian\"\nsamples = {samples}\n\
             dim = {dim}\nnoise = {noise:?}\n[train]\nbatch = {batch}\nepochs = {epochs}\n\
             step_size = {step_size:?}\nschedule = [{{ at = 0.5, factor = 0.1 }}]\n[measure]\nat = {at}\n"
        ));
        let spec = sweep.job(0);
        let text = spec.canonical();
        prop_assert_eq!(JobSpec::from_canonical(&text).map(|spec| spec.canonical()), Ok(text.clone()));
        prop_assert_eq!(JobSpec::from_canonical(&text), Ok(spec));
        let rebuilt = Sweep::from_canonical(&sweep.canonical());
        prop_assert_eq!(rebuilt.map(|rebuilt| rebuilt.id()), Ok(sweep.id()));
    }

    /// Law: no text makes the readers panic; a damaged one is refused or is itself canonical.
    #[test]
    fn damaged_texts_are_refused(place: prop::sample::Index, byte in 32u8..127, cut: bool) {
        let sweep = sweep(&std::fs::read_to_string(format!("{FOLDER}/files.toml")).expect("stored"));
        for (text, is_sweep) in [(sweep.canonical(), true), (sweep.job(0).canonical(), false)] {
            let place = place.index(text.len());
            let mut bytes = text.into_bytes();
            if cut { bytes.truncate(place) } else { bytes[place] = byte }
            let text = String::from_utf8(bytes).expect("canonical texts of the test are ASCII");
            let back = if is_sweep {
                Sweep::from_canonical(&text).map(|sweep| sweep.canonical())
            } else {
                JobSpec::from_canonical(&text).map(|spec| spec.canonical())
            };
            if let Ok(back) = back {
                prop_assert_eq!(back, text);
            }
        }
    }

    /// Law: no TOML makes the parser panic.
    #[test]
    fn any_text_is_parsed_or_refused(text in "(\\[{0,2}(axes|zip|exclude|model|tune|data)?\\]{0,2}|name|seed|width|=|\\{|\\}|\\[|\\]|,|\"|[0-9.e-]{1,6}|\n| ){0,40}") {
        if let Err(error) = sweep_file::parse(&text, "x.toml") {
            prop_assert!(error.to_string().starts_with("x.toml:"));
        }
    }
}

#[test]
fn identities_are_halves_of_blake3() {
    let sweep = small("", "", "", "steps = 32", "");
    assert_eq!(sweep.id(), SweepId::of(&sweep.canonical()), "without files nothing is left out");
}

//! The shape of the source: who may use whom, and what every file and public item says of itself.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below `folder`, with its text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push((name(&path), fs::read_to_string(&path).expect("reads")));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has sources");
    found.sort();
    found
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

const CRATES: [&str; 7] = [
    "src",
    "domain/src",
    "proto/src",
    "store/src",
    "coordinator/src",
    "worker/src",
    "analysis/src",
];

fn all_sources() -> Vec<(String, String)> {
    CRATES.into_iter().flat_map(sources).collect()
}

/// Lines of code: neither comments nor what follows the file's tests.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    let before_tests = numbered.take_while(|(_, line)| !line.starts_with("#[cfg(test)]"));
    before_tests.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Whether `line` names the crate or module `word` as the head of a path.
fn names(line: &str, word: &str) -> bool {
    line.match_indices(&format!("{word}::")).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

#[test]
fn the_arrows_between_the_crates_point_one_way() {
    let forbidden: [(&str, &[&str]); 10] = [
        (
            "domain/src",
            &[
                "proto",
                "coordinator",
                "worker",
                "analysis",
                "tokio",
                "arrow_array",
                "prost",
                "tonic",
                "std::fs",
                "std::net",
                "std::time::Instant",
            ],
        ),
        ("proto/src", &["coordinator", "worker", "analysis", "arrow_array", "parquet"]),
        (
            "store/src",
            &["domain", "proto", "coordinator", "worker", "analysis", "arrow_array", "parquet"],
        ),
        ("coordinator/src", &["worker", "analysis", "object_store", "tonic", "prost"]),
        ("worker/src", &["coordinator", "analysis", "tonic", "prost", "arrow_array", "parquet"]),
        ("analysis/src", &["proto", "coordinator", "worker", "tonic", "prost"]),
        ("src", &["tonic", "prost", "arrow_array", "parquet"]),
        (
            "coordinator/src/machine",
            &[
                "tokio",
                "postcard",
                "arrow_array",
                "parquet",
                "std::fs",
                "std::net",
                "std::time::Instant",
                "crate::shell",
                "crate::journal",
                "crate::sink",
            ],
        ),
        ("coordinator/src/journal", &["arrow_array", "parquet", "crate::shell", "crate::sink"]),
        ("coordinator/src/sink", &["tokio", "postcard", "crate::shell"]),
    ];
    let mut wrong = Vec::new();
    for (folder, words) in forbidden {
        for (file, text) in sources(folder) {
            if file.ends_with("tests.rs") {
                continue;
            }
            for (number, line) in code(&text) {
                for word in words.iter().filter(|word| names(line, word)) {
                    wrong.push(format!("{file}:{number} names {word}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_below_the_agent_names_tokio_the_network_or_the_clock() {
    let mut wrong = Vec::new();
    for (file, text) in sources("worker/src") {
        let tests = file.ends_with("tests.rs") || file.ends_with("testing.rs");
        if tests || file.starts_with("worker/src/agent") || file == "worker/src/lib.rs" {
            continue;
        }
        for (number, line) in code(&text) {
            for word in [
                "tokio",
                "proto",
                "std::net",
                "std::time",
                "std::process",
                "std::thread",
                "crate::agent",
            ] {
                // Passes of convolutional networks are shared there, in an order that no thread decides.
                if word == "std::thread" && file == "worker/src/nn/conv/phase.rs" {
                    continue;
                }
                if names(line, word) || line.contains(&format!("use {word}")) {
                    wrong.push(format!("{file}:{number} names {word}"));
                }
            }
        }
        let below: &[&str] = match file.split('/').nth(2) {
            Some("nn") | Some("random") => {
                &["crate::trial", "crate::measure", "crate::optim", "crate::data"]
            }
            Some("data") => &["crate::trial", "crate::measure", "crate::optim"],
            Some("measure") | Some("optim") => &["crate::trial"],
            _ => &[],
        };
        for (number, line) in code(&text) {
            for word in below.iter().filter(|word| names(line, word)) {
                wrong.push(format!("{file}:{number} names {word}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let untold = all_sources().into_iter().filter(|(_, text)| !text.starts_with("//!"));
    let untold: Vec<_> = untold.map(|(file, _)| file).collect();
    assert!(untold.is_empty(), "no //! at the top of: {untold:?}");
}

#[test]
fn every_public_item_has_a_comment() {
    let mut bare = Vec::new();
    for (file, text) in all_sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in code(&text) {
            let item = line.trim_start();
            let public = [
                "pub fn ",
                "pub async fn ",
                "pub const fn ",
                "pub struct ",
                "pub enum ",
                "pub trait ",
            ];
            if !public.iter().any(|head| item.starts_with(head)) || item.contains("fn fmt(") {
                continue;
            }
            // Attributes stand between the comment and the item.
            let above = lines[..number - 1].iter().rev().map(|line| line.trim());
            let mut above = above.take_while(|line| !line.is_empty() && *line != "}");
            let told = above.any(|line| line.starts_with("///") || line.starts_with("$(#[$"));
            if !told {
                bare.push(format!("{file}:{number}: {item}"));
            }
        }
    }
    assert!(bare.is_empty(), "no /// above:\n{}", bare.join("\n"));
}

#[test]
fn no_file_is_named_for_nothing_and_none_hides_a_panic() {
    let mut wrong = Vec::new();
    for (file, text) in all_sources() {
        let stem = Path::new(&file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if ["utils", "util", "helpers", "common", "misc", "imp"].contains(&stem.as_str()) {
            wrong.push(format!("{file}: a name that says nothing"));
        }
        if file.ends_with("tests.rs") || file.ends_with("testing.rs") {
            continue;
        }
        for (number, line) in code(&text) {
            for word in [".unwrap()", "todo!(", "unimplemented!(", "#[allow("] {
                if line.contains(word) {
                    wrong.push(format!("{file}:{number}: {word}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn heavy_crates_are_in_the_lock_file_once() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("is committed");
    for heavy in [
        "tokio",
        "tonic",
        "prost",
        "hyper",
        "arrow-array",
        "parquet",
        "rustls",
        "postcard",
        "datafusion",
        "object_store",
        "reqwest",
        "axum",
    ] {
        let versions = lock.matches(&format!("name = \"{heavy}\"\n")).count();
        assert!(versions <= 1, "{versions} versions of {heavy}");
    }
}

//! Every wrong sweep file under `tests/data/bad-sweeps` is refused in the words that its head expects.
//!
//! A file starts with one `# expect: LINE: MESSAGE` for each problem, in the order of the report.

use std::collections::BTreeMap;
use std::path::PathBuf;

use domain::sweep_file;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/bad-sweeps");

/// The files by name.
fn files() -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(FOLDER).expect("the folder is part of the repository");
    let paths = entries.map(|entry| entry.expect("readable").path());
    let tomls = paths.filter(|path| path.extension().is_some_and(|ext| ext == "toml"));
    let name = |path: &PathBuf| path.file_name().map(|n| n.to_string_lossy().into_owned());
    tomls
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("readable");
            (name(&path).expect("a file has a name"), text)
        })
        .collect()
}

#[test]
fn every_bad_file_is_refused_by_line_key_value_and_what_is_accepted() {
    let files = files();
    assert!(files.len() >= 100, "{} files", files.len());
    let mut differences = Vec::new();
    for (name, text) in &files {
        let expected = text.lines().map_while(|line| line.strip_prefix("# expect: "));
        let expected: Vec<String> = expected.map(|line| format!("{name}:{line}")).collect();
        let found = match sweep_file::parse(text, name) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.to_string(),
        };
        if found != expected.join("\n") {
            differences.push(format!("expected {}\nfound    {found}", expected.join("\n")));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

#[test]
fn no_two_bad_files_are_refused_in_the_same_words() {
    let mut seen = BTreeMap::new();
    for (name, text) in files() {
        let error = sweep_file::parse(&text, "x").expect_err(&name).to_string();
        if let Some(other) = seen.insert(error.clone(), name.clone()) {
            panic!("{name} and {other} are both refused with: {error}");
        }
    }
}

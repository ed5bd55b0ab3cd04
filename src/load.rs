//! A sweep file and the data it names, read and checked: what every command starts from that runs or plans a sweep.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use domain::{Digest, FileFacts, Sweep, sweep_file};
use proto::limits::SWEEP_BYTES_MAX;
use proto::message::Submission;
use worker::data::bundle;

use crate::failure::Failure;
use crate::text;

/// A valid sweep with where it came from.
#[derive(Debug)]
pub struct Loaded {
    pub sweep: Sweep,
    file_name: String,
    file_text: String,
    /// The folder of each data set.
    folders: BTreeMap<Digest, PathBuf>,
}

/// How a sweep is handed in.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Terms {
    /// Accept that base settings changed, so that no job is kept; old results stay beside the new.
    #[arg(long)]
    revise: bool,
    /// Refuse to keep results of another revision of the numerical engine.
    #[arg(long)]
    strict: bool,
}

/// The sweep in the file at `path`. Data are looked for relative to the file's folder.
pub fn load(path: &Path) -> Result<Loaded, Failure> {
    let file_text = fs::read_to_string(path)
        .map_err(|source| Failure::ReadSweep { path: path.to_owned(), source })?;
    let shown = path.display().to_string();
    let draft = sweep_file::parse(&file_text, &shown).map_err(Failure::BadSweep)?;
    let beside = path.parent().unwrap_or(Path::new(""));
    let mut facts = BTreeMap::new();
    let mut folders = BTreeMap::new();
    for data in draft.paths() {
        let folder = beside.join(&data.path);
        let found = bundle::read_folder(&folder).map_err(|error| {
            Failure::BadSweep(draft.unreadable(&data.path, &text::chain(&error)))
        })?;
        found.check_kind(data.kind).map_err(|error| {
            Failure::BadSweep(draft.unreadable(&data.path, &text::chain(&error)))
        })?;
        folders.insert(found.digest(), fs::canonicalize(&folder).unwrap_or(folder));
        facts.insert(data.path, facts_of(&found));
    }
    let sweep = draft.resolve(&facts).map_err(Failure::BadSweep)?;
    check_length(path, &sweep)?;
    let name = path.file_name().unwrap_or(path.as_os_str());
    Ok(Loaded { sweep, file_name: name.to_string_lossy().into_owned(), file_text, folders })
}

/// Refuses a sweep that no coordinator would take in: its values are spelt out when it is handed in.
fn check_length(path: &Path, sweep: &Sweep) -> Result<(), Failure> {
    let (found, limit) = (sweep.canonical().len() as u64, SWEEP_BYTES_MAX as u64);
    if found <= limit {
        return Ok(());
    }
    let longest = sweep.axes().max_by_key(|axis| axis.values.len());
    let axis = longest.map(|axis| (axis.field.to_string(), axis.values.len() as u64));
    Err(Failure::LongSweep { path: path.to_owned(), found, limit, axis })
}

fn facts_of(bundle: &bundle::Bundle) -> FileFacts {
    let facts = bundle.facts();
    FileFacts {
        digest: bundle.digest(),
        samples: facts.train_samples,
        test_samples: facts.test_samples,
        dim: facts.dim,
        classes: facts.classes,
    }
}

impl Loaded {
    /// The sweep as it is handed in.
    pub fn submission(&self, terms: Terms) -> Submission {
        Submission {
            sweep: self.sweep.canonical(),
            file_name: self.file_name.clone(),
            file_text: self.file_text.clone(),
            revise: terms.revise,
            strict: terms.strict,
            engine_revision: worker::trial::ENGINE_REVISION.to_owned(),
        }
    }

    /// The folders of the sweep's data sets.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        self.folders.values().map(PathBuf::as_path)
    }

    /// The bytes of a data set, read again: a sweep may name more of them than fit in memory together.
    pub fn blob(&self, digest: Digest) -> Result<Option<Vec<u8>>, Failure> {
        let Some(folder) = self.folders.get(&digest) else { return Ok(None) };
        let bundle =
            bundle::read_folder(folder).map_err(|source| Failure::Upload { digest, source })?;
        if bundle.digest() == digest {
            Ok(Some(bundle.to_bytes()))
        } else {
            Err(Failure::DataChanged { folder: folder.clone() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(text: &str) -> (u8, String) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("s.toml");
        fs::write(&path, text).expect("writes");
        let failure = load(&path).expect_err("the file is wrong");
        (failure.exit_code(), failure.to_string())
    }

    #[test]
    fn a_missing_file_exits_with_2_and_says_which() {
        let failure = load(Path::new("no/such.toml")).expect_err("there is none");
        assert_eq!(failure.exit_code(), 2);
        assert!(failure.to_string().contains("no/such.toml"), "{failure}");
        assert!(failure.advice().is_some());
    }

    #[test]
    fn a_misspelt_key_is_told_with_file_line_and_suggestion() {
        let (code, text) = error_of("name = \"a\"\n[model]\nwidht = 3\n");
        assert_eq!(code, 2);
        for part in ["s.toml:3", "widht", "model.width"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_missing_data_folder_is_told_with_how_to_get_one() {
        let (code, text) = error_of(
            "name = \"a\"\n[model]\nkind = \"mlp\"\nwidth = 4\ndepth = 1\n[data]\nkind = \"idx\"\npath = \"nowhere\"\n\
             [train]\nloss = \"cross-entropy\"\nsteps = 1\nstep_size = 0.1\n",
        );
        assert_eq!(code, 2);
        for part in ["s.toml:8", "nowhere", "dataset-fashion-mnist"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}

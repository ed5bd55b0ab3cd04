//! The canonical text of a sweep: self-contained, so that a coordinator can rebuild every job from it alone.

use std::collections::BTreeMap;

use super::{Plan, Resolved, Sweep};
use crate::axis::Axis;
use crate::canonical::CanonicalError;
use crate::grid::Exclude;
use crate::id::Digest;
use crate::json;
use crate::settings::{Field, Settings, normal};
use crate::spec::{FileFacts, Files};
use crate::value::Value;

/// The version of this text. A reader refuses what it does not know.
const FORMAT: i64 = 1;

impl Sweep {
    /// The whole sweep as canonical JSON, with the facts of its data files and where they were found.
    pub fn canonical(&self) -> String {
        self.text(&self.paths)
    }

    /// What the identity is of: all but where the data files were found.
    pub(super) fn content(&self) -> String {
        self.text(&BTreeMap::new())
    }

    fn text(&self, paths: &BTreeMap<Digest, String>) -> String {
        let Plan { name, base, axes, zips, excludes } = &self.plan;
        let mut settings = base.clone();
        for (field, value) in base.iter() {
            if run_default(field).as_ref() == Some(value) {
                settings.remove(field);
            }
        }
        let axis = |axis: &Axis| {
            let values = Value::List(axis.values.clone());
            Value::table([("field", axis.field.as_str().into()), ("values", values)])
        };
        let exclude = |exclude: &Exclude| {
            let fields = exclude.iter().map(|(f, value)| (f.as_str().to_owned(), value.clone()));
            Value::Table(fields.collect())
        };
        let file = |(digest, facts): (&Digest, &FileFacts)| {
            let mut fields: BTreeMap<String, Value> = BTreeMap::new();
            for (key, count) in [
                ("classes", facts.classes),
                ("dim", facts.dim),
                ("samples", facts.samples),
                ("test_samples", facts.test_samples),
            ] {
                fields.insert(key.to_owned(), count.into());
            }
            if let Some(path) = paths.get(digest) {
                fields.insert("path".to_owned(), path.as_str().into());
            }
            (digest.to_string(), Value::Table(fields))
        };
        json::write(&Value::table([
            ("axes", Value::List(axes.iter().map(axis).collect())),
            ("base", settings.to_value()),
            ("exclude", Value::List(excludes.iter().map(exclude).collect())),
            ("files", Value::Table(self.files.iter().map(file).collect())),
            ("format", Value::Int(FORMAT)),
            ("name", name.as_str().into()),
            (
                "zip",
                Value::List(
                    zips.iter().map(|z| Value::List(z.iter().map(axis).collect())).collect(),
                ),
            ),
        ]))
    }

    /// Reads what [`Self::canonical`] wrote, and validates every cell again.
    ///
    /// # Errors
    /// Any other text; none panics, and none makes more points than [`super::POINTS_MAX`].
    pub fn from_canonical(text: &str) -> Result<Self, CanonicalError> {
        let Value::Table(top) = json::read(text)? else {
            return Err(shape("the text", "an object"));
        };
        match top.get("format") {
            Some(Value::Int(FORMAT)) => {}
            found => {
                let found = found.cloned().unwrap_or(Value::Int(0));
                return Err(CanonicalError::Format { found, expected: FORMAT });
            }
        }
        let get = |key| top.get(key).ok_or(shape(key, "to be there"));
        let name = get("name")?.as_text().ok_or(shape("name", "a string"))?.parse()?;
        let base = Settings::from_value(get("base")?)?;
        let axes = axes("axes", get("axes")?)?;
        let zips = list("zip", get("zip")?)?;
        let zips = zips.iter().map(|zip| self::axes("zip", zip)).collect::<Result<_, _>>()?;
        let excludes = list("exclude", get("exclude")?)?;
        let excludes = excludes.iter().map(exclude).collect::<Result<_, _>>()?;
        let (files, paths) = files(get("files")?)?;
        let plan = Plan { name, base, axes, zips, excludes };
        let sweep = Self::new(Resolved { plan, files, paths }).map_err(|faults| {
            let first = faults.into_iter().next().map(|(_, fault)| fault);
            first.map_or(CanonicalError::NotCanonical, CanonicalError::Sweep)
        })?;
        if sweep.canonical() == text { Ok(sweep) } else { Err(CanonicalError::NotCanonical) }
    }
}

/// What `[run]` means where it says nothing. Written out it is the same sweep.
fn run_default(field: Field) -> Option<Value> {
    match field {
        Field::RunAttempts => Some(3u32.into()),
        Field::RunPriority => Some(0u32.into()),
        Field::RunCheckpoint => Some("1m".into()),
        Field::RunKeepWeights => Some("none".into()),
        Field::RunThreads => Some(1u32.into()),
        _ => None,
    }
}

fn shape(place: &'static str, expected: &'static str) -> CanonicalError {
    CanonicalError::Shape { place, expected }
}

fn list<'a>(place: &'static str, value: &'a Value) -> Result<&'a [Value], CanonicalError> {
    match value {
        Value::List(items) => Ok(items),
        _ => Err(shape(place, "an array")),
    }
}

fn axes(place: &'static str, value: &Value) -> Result<Vec<Axis>, CanonicalError> {
    let axis = |value: &Value| {
        let Value::Table(fields) = value else { return Err(shape(place, "objects")) };
        let field = fields.get("field").and_then(Value::as_text).and_then(Field::from_word);
        let field = field.ok_or(shape(place, "the name of a field"))?;
        let values = fields.get("values").ok_or(shape(place, "values"))?;
        Axis::new(field, list(place, values)?).map_err(|errors| {
            let first = errors.into_iter().next().map(|(_, error)| error);
            first.map_or(CanonicalError::NotCanonical, CanonicalError::from)
        })
    };
    list(place, value)?.iter().map(axis).collect()
}

fn exclude(value: &Value) -> Result<Exclude, CanonicalError> {
    let Value::Table(fields) = value else { return Err(shape("exclude", "objects")) };
    let entry = |(name, value): (&String, &Value)| {
        let field = Field::from_word(name).ok_or(shape("exclude", "names of fields"))?;
        Ok((field, normal(field, value)?))
    };
    fields.iter().map(entry).collect()
}

fn files(value: &Value) -> Result<(Files, BTreeMap<Digest, String>), CanonicalError> {
    let (mut files, mut paths) = (Files::new(), BTreeMap::new());
    let Value::Table(entries) = value else { return Err(shape("files", "an object")) };
    for (digest, facts) in entries {
        let digest: Digest = digest.parse()?;
        let Value::Table(fields) = facts else { return Err(shape("files", "objects")) };
        let count = |key| {
            let count = fields.get(key).and_then(Value::as_int);
            let count = count.and_then(|count| u32::try_from(count).ok());
            count.ok_or(shape("files", "counts of samples, test_samples, dim and classes"))
        };
        let facts = FileFacts {
            digest,
            samples: count("samples")?,
            test_samples: count("test_samples")?,
            dim: count("dim")?,
            classes: count("classes")?,
        };
        // Counts beyond those that settings may have would overflow where they are multiplied.
        for (field, count) in [
            (Field::DataSamples, facts.samples),
            (Field::DataTestSamples, facts.test_samples),
            (Field::DataDim, facts.dim),
            (Field::ModelOutputs, facts.classes),
        ] {
            normal(field, &count.into())?;
        }
        if let Some(path) = fields.get("path") {
            let path = path.as_text().ok_or(shape("files", "a path that is a string"))?;
            paths.insert(digest, path.to_owned());
        }
        files.insert(digest, facts);
    }
    Ok((files, paths))
}

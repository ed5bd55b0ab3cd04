//! The entries of a sweep file to a plan, collecting what is wrong on the way.

use std::collections::BTreeMap;

use super::error::{FileFault, Problem};
use super::tree::{Content, Entry, Node};
use super::{TOP_LEVEL, tune};
use crate::axis::{self, Axis};
use crate::grid::{Exclude, GridFault};
use crate::id::SweepName;
use crate::settings::{Field, Settings, normal, suggest};
use crate::sweep::{Fault, Place, Plan};
use crate::value::Value;

/// The line of everything that a fault may be about.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    sections: BTreeMap<String, u32>,
    base: BTreeMap<Field, u32>,
    /// Of an axis or of a list in a zip group, and of its values where they are written out.
    axes: BTreeMap<Field, (u32, Vec<u32>)>,
    zips: Vec<u32>,
    excludes: Vec<(u32, BTreeMap<Field, u32>)>,
}

impl Lines {
    /// The line of a place. A setting that is not given belongs to its section, or to the whole file.
    pub fn of(&self, place: Place) -> u32 {
        let of_field = |field: Field| {
            let section = field.as_str().split_once('.').map_or("", |(section, _)| section);
            let axis = self.axes.get(&field).map(|(line, _)| line);
            let given = axis.or_else(|| self.base.get(&field));
            given.or_else(|| self.sections.get(section)).copied().unwrap_or(1)
        };
        // A file names data by path; their digest took its place.
        let written = |field| if field == Field::DataDigest { Field::DataPath } else { field };
        match place {
            Place::Whole => self.sections.get("axes").copied().unwrap_or(1),
            Place::Field(field) => of_field(written(field)),
            Place::Value(field, index) => {
                let field = written(field);
                let line = self.axes.get(&field).and_then(|(_, values)| values.get(index));
                line.copied().unwrap_or_else(|| of_field(field))
            }
            Place::Zip(index) => self.zips.get(index).copied().unwrap_or(1),
            Place::Exclude(index) => self.excludes.get(index).map_or(1, |(line, _)| *line),
            Place::ExcludeKey(index, field) => {
                let field = written(field);
                let line = self.excludes.get(index).and_then(|(_, keys)| keys.get(&field));
                line.copied().unwrap_or_else(|| self.of(Place::Exclude(index)))
            }
        }
    }
}

/// What has been read so far.
#[derive(Default)]
pub(super) struct Reader {
    pub problems: Vec<Problem>,
    pub lines: Lines,
    name: Option<SweepName>,
    base: Settings,
    axes: Vec<Axis>,
    zips: Vec<Vec<Axis>>,
    excludes: Vec<Exclude>,
}

/// A field that is given somewhere, the line of its key, and its value.
struct Given<'a> {
    field: Field,
    line: u32,
    start: usize,
    node: &'a Node,
}

impl Reader {
    /// Reads a whole document.
    pub fn document(&mut self, entries: &[Entry]) {
        for entry in entries {
            match (entry.key.as_str(), &entry.node.content) {
                ("name", _) => self.name(entry),
                ("axes", Content::Table(axes)) => {
                    self.lines.sections.insert(entry.key.clone(), entry.line);
                    let axes = self.given("", axes);
                    self.axes = axes.iter().filter_map(|given| self.axis(given)).collect();
                }
                ("zip" | "exclude", Content::List(tables)) => {
                    for table in tables {
                        self.group(entry, table);
                    }
                }
                ("tune", Content::Table(tune)) => {
                    self.problems.extend(tune::check(entry.line, tune));
                }
                ("axes" | "tune", _) => self.shape(entry, "a table"),
                ("zip" | "exclude", _) => self.shape(entry, "tables, each under its own [[..]]"),
                _ => {
                    let given = self.given("", std::slice::from_ref(entry));
                    given.iter().for_each(|given| self.setting(given));
                }
            }
        }
        if self.name.is_none() && !entries.iter().any(|entry| entry.key == "name") {
            self.problem(1, FileFault::NoName);
        }
    }

    /// The plan, if nothing was wrong.
    pub fn plan(&mut self) -> Option<Plan> {
        if !self.problems.is_empty() {
            return None;
        }
        let (axes, zips) = (std::mem::take(&mut self.axes), std::mem::take(&mut self.zips));
        for axis in axes.iter().chain(zips.iter().flatten()) {
            self.base.remove(axis.field);
        }
        Some(Plan {
            name: self.name.take()?,
            base: std::mem::take(&mut self.base),
            axes,
            zips,
            excludes: std::mem::take(&mut self.excludes),
        })
    }

    fn problem(&mut self, line: u32, fault: FileFault) {
        self.problems.push(Problem { line, fault });
    }

    fn shape(&mut self, entry: &Entry, expected: &'static str) {
        let found = entry.node.value();
        let fault = FileFault::Shape { key: entry.key.clone(), found, expected };
        self.problem(entry.line, fault);
    }

    fn name(&mut self, entry: &Entry) {
        match entry.node.value() {
            Value::Text(name) => match name.parse() {
                Ok(name) => self.name = Some(name),
                Err(error) => self.problem(entry.line, FileFault::Name(error)),
            },
            found => self.problem(entry.line, FileFault::NameType { found }),
        }
    }

    /// The fields among `entries`, whether their dotted names are quoted, bare, or spread over tables.
    fn given<'a>(&mut self, section: &str, entries: &'a [Entry]) -> Vec<Given<'a>> {
        let mut given: Vec<Given<'a>> = Vec::new();
        for Entry { key, line, start, node } in entries {
            let name = if section.is_empty() { key.clone() } else { format!("{section}.{key}") };
            let field = Field::from_word(&name).filter(|field| field.is_written());
            match (field, &node.content) {
                (Some(field), _) => given.push(Given { field, line: *line, start: *start, node }),
                (None, Content::Table(inner)) if Field::is_section(&name) => {
                    self.lines.sections.entry(name.clone()).or_insert(*line);
                    given.append(&mut self.given(&name, inner));
                }
                (None, _) if Field::is_section(&name) => {
                    let (key, found) = (name, node.value());
                    let fault = FileFault::Shape { key, found, expected: "a table" };
                    self.problem(*line, fault);
                }
                (None, _) => {
                    let sections = ["model", "data", "train", "measure", "run"];
                    let of_top = TOP_LEVEL.iter().copied().chain(sections);
                    let top =
                        if section.is_empty() { suggest::nearest(&name, of_top) } else { None };
                    let meant = top.or_else(|| Field::suggestion(&name));
                    let key = name.chars().take(80).collect();
                    self.problem(*line, FileFault::UnknownKey { key, meant });
                }
            }
        }
        // `a.x`, `b.x`, `a.y` lie in two tables, but are in the order of the file.
        given.sort_by_key(|given| given.start);
        let mut seen = Vec::new();
        given.retain(|Given { field, line, .. }| {
            let is_first = !seen.contains(field);
            if is_first {
                seen.push(*field);
            } else {
                self.problem(*line, FileFault::GivenTwice { field: *field });
            }
            is_first
        });
        given
    }

    fn setting(&mut self, given: &Given<'_>) {
        let Given { field, line, node, start: _ } = *given;
        if self.lines.base.insert(field, line).is_some() {
            self.problem(line, FileFault::GivenTwice { field });
        }
        if let Err(error) = self.base.set(field, &node.value()) {
            self.problem(line, Fault::from(error).into());
        }
    }

    /// The axis of a field; `None` where something is wrong with it, which is noted.
    fn axis(&mut self, given: &Given<'_>) -> Option<Axis> {
        let Given { field, line, node, start: _ } = *given;
        let value_lines = match &node.content {
            Content::List(items) => items.iter().map(|item| item.line).collect(),
            Content::Scalar(_) | Content::Table(_) => Vec::new(),
        };
        let line_of = |index: usize| value_lines.get(index).copied().unwrap_or(line);
        if field.is_run() {
            self.problem(line, Fault::from(GridFault::RunAxis { field }).into());
            return None;
        }
        let values = match axis::expand(&node.value()) {
            Ok(values) => values,
            Err(fault) => {
                self.problem(line, FileFault::Axis { field, fault });
                return None;
            }
        };
        let axis = match Axis::new(field, &values) {
            Ok(axis) => axis,
            Err(errors) => {
                for (index, error) in errors {
                    self.problem(line_of(index), Fault::from(error).into());
                }
                return None;
            }
        };
        if self.lines.axes.insert(field, (line, value_lines)).is_some() {
            self.problem(line, Fault::from(GridFault::VariedTwice { field }).into());
        }
        Some(axis)
    }

    /// One `[[zip]]` or `[[exclude]]`.
    fn group(&mut self, entry: &Entry, table: &Node) {
        let Content::Table(fields) = &table.content else {
            return self.shape(entry, "tables, each under its own [[..]]");
        };
        let given = self.given("", fields);
        if entry.key == "zip" {
            self.lines.zips.push(table.line);
            let zip = given.iter().filter_map(|given| self.axis(given)).collect();
            self.zips.push(zip);
            return;
        }
        let mut exclude = Exclude::new();
        let mut lines = BTreeMap::new();
        for Given { field, line, node, start: _ } in given {
            lines.insert(field, line);
            match normal(field, &node.value()) {
                Ok(value) => exclude.push((field, value)),
                Err(error) => self.problem(line, Fault::from(error).into()),
            }
        }
        // In canonical texts the fields of a table are sorted by name; here too, so that both are one sweep.
        exclude.sort_by_key(|(field, _)| field.as_str());
        self.lines.excludes.push((table.line, lines));
        self.excludes.push(exclude);
    }
}

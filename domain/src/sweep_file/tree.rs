//! TOML as a tree of values, each with the line it is on.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::value::Value;

/// A value and where it is.
#[derive(Clone, Debug)]
pub struct Node {
    pub line: u32,
    pub content: Content,
}

/// A value whose parts know where they are.
#[derive(Clone, Debug)]
pub enum Content {
    Scalar(Value),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key, where it is, and its value. The entries of a table are in the order of the file.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: String,
    pub line: u32,
    /// The byte of the file at which the key starts.
    pub start: usize,
    pub node: Node,
}

/// Why a text is no such tree, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeError {
    pub line: u32,
    /// The dotted key; empty where the text is not TOML.
    pub key: String,
    pub message: String,
}

impl Node {
    /// The value without its lines.
    pub fn value(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => Value::List(items.iter().map(Self::value).collect()),
            Content::Table(entries) => {
                let fields = entries.iter().map(|entry| (entry.key.clone(), entry.node.value()));
                Value::Table(fields.collect::<BTreeMap<_, _>>())
            }
        }
    }
}

/// The entries of a TOML document.
pub fn read(text: &str) -> Result<Vec<Entry>, TreeError> {
    let lines = Lines::of(text);
    let document = DeTable::parse(text).map_err(|error| TreeError {
        key: String::new(),
        line: lines.line(error.span()),
        message: error.message().lines().collect::<Vec<_>>().join(", "),
    })?;
    lines.entries(document.get_ref())
}

/// The places at which lines start.
struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    fn of(text: &str) -> Self {
        let after_break = text.match_indices('\n').map(|(index, _)| index + 1);
        Self { starts: std::iter::once(0).chain(after_break).collect() }
    }

    /// The line on which a span starts, counted from 1.
    fn line(&self, span: Option<Range<usize>>) -> u32 {
        let start = span.map_or(0, |span| span.start);
        let line = self.starts.partition_point(|line_start| *line_start <= start);
        u32::try_from(line.max(1)).unwrap_or(u32::MAX)
    }

    fn entries(&self, table: &DeTable<'_>) -> Result<Vec<Entry>, TreeError> {
        let mut places: Vec<_> =
            table.iter().map(|(key, value)| (key.span().start, key, value)).collect();
        places.sort_by_key(|(start, _, _)| *start);
        let entry = |(start, key, value): (usize, &toml::Spanned<_>, &toml::Spanned<_>)| {
            let key_text: &std::borrow::Cow<'_, str> = key.get_ref();
            let node = self.node(value).map_err(|error| {
                let inner = if error.key.is_empty() { "" } else { "." };
                TreeError { key: format!("{key_text}{inner}{}", error.key), ..error }
            })?;
            let line = self.line(Some(key.span()));
            Ok(Entry { key: key_text.to_string(), line, start, node })
        };
        places.into_iter().map(entry).collect()
    }

    fn node(&self, value: &toml::Spanned<DeValue<'_>>) -> Result<Node, TreeError> {
        let line = self.line(Some(value.span()));
        let error =
            |message: &str| TreeError { line, key: String::new(), message: message.to_owned() };
        let content = match value.get_ref() {
            DeValue::String(text) => Content::Scalar(Value::Text(text.to_string())),
            DeValue::Integer(number) => {
                let number = i64::from_str_radix(number.as_str(), number.radix());
                let number = number.map_err(|_| {
                    error("found an integer beyond 64 bits; expected a smaller one")
                })?;
                Content::Scalar(Value::Int(number))
            }
            DeValue::Float(number) => {
                let parsed: f64 = number
                    .as_str()
                    .parse()
                    .map_err(|_| error("found what is not a number; expected one"))?;
                Content::Scalar(Value::Float(parsed))
            }
            DeValue::Boolean(flag) => Content::Scalar(Value::Bool(*flag)),
            DeValue::Datetime(_) => {
                return Err(error(
                    "found a date or a time of day; expected anything else, or quotes if it is text",
                ));
            }
            DeValue::Array(items) => {
                Content::List(items.iter().map(|item| self.node(item)).collect::<Result<_, _>>()?)
            }
            DeValue::Table(table) => Content::Table(self.entries(table)?),
        };
        Ok(Node { line, content })
    }
}

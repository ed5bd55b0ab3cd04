//! What a command writes to: standard output or a buffer, with the format that was asked for.

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;

use crate::failure::Failure;
use crate::paint::Paint;

/// Where a command's answer goes, and whether it may be coloured.
pub struct Output<'a> {
    pub writer: &'a mut dyn Write,
    pub paint: Paint,
}

impl Output<'_> {
    /// Writes one line, and shows it at once: what follows may take hours.
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.writer, "{text}").and_then(|()| self.writer.flush()).map_err(Failure::Output)
    }
}

/// How data are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one object a line, with stable names.
    Json,
}

/// Writes `row` as one line of JSON.
pub fn json_line(out: &mut dyn Write, row: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, row)?;
    writeln!(out)
}

/// Says something on standard error that is not an answer. It is not worth failing for.
pub fn note(text: &str) {
    drop(writeln!(io::stderr(), "{text}"));
}

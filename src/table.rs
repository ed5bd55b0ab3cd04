//! Aligned tables for people: a heading, rows, two spaces between columns.

use std::io::{self, Write};

use crate::paint::Paint;
use crate::text;

/// Which side a column's cells stand on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Left,
    Right,
}

/// A table in memory: columns are as wide as their widest cell.
#[derive(Debug)]
pub struct Table {
    columns: Vec<(&'static str, Side)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table of these columns without rows.
    pub fn new(columns: &[(&'static str, Side)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row: one cell a column. What a terminal would obey is spelled out.
    pub fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        self.rows.push(cells.iter().map(|cell| text::plain(cell)).collect());
    }

    /// Writes heading and rows.
    pub fn write(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let widths: Vec<usize> = (0..self.columns.len()).map(|index| self.width(index)).collect();
        let heading: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        let line = self.line(&heading, &widths);
        writeln!(out, "{}", paint.dim(&line))?;
        for row in &self.rows {
            let cells: Vec<&str> = row.iter().map(String::as_str).collect();
            writeln!(out, "{}", self.line(&cells, &widths))?;
        }
        Ok(())
    }

    fn width(&self, index: usize) -> usize {
        let cells = self.rows.iter().map(|row| row[index].chars().count());
        cells.chain([self.columns[index].0.chars().count()]).max().unwrap_or(0)
    }

    fn line(&self, cells: &[&str], widths: &[usize]) -> String {
        let mut text = String::new();
        for ((cell, &width), (_, side)) in cells.iter().zip(widths).zip(&self.columns) {
            let gap = " ".repeat(width - cell.chars().count());
            match side {
                Side::Left => text.extend([cell, gap.as_str(), "  "]),
                Side::Right => text.extend([gap.as_str(), cell, "  "]),
            }
        }
        text.truncate(text.trim_end().len());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_have_no_trailing_blanks() {
        let mut table =
            Table::new(&[("job", Side::Right), ("point", Side::Left), ("n", Side::Left)]);
        table.row(vec!["7".into(), "η=1".into(), String::new()]);
        table.row(vec!["1,000".into(), "width=16".into(), "\x1b[2Jx".into()]);
        let mut out = Vec::new();
        table.write(&mut out, Paint::Plain).expect("a Vec takes every write");
        let expected = "  job  point     n\n    7  η=1\n1,000  width=16  \\u{1b}[2Jx\n";
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}

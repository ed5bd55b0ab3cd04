//! The closing table as text: one block a combination of settings, rows by width, groups of columns by depth.

use std::collections::BTreeMap;
use std::fmt;

use super::{ClosingTable, SummaryRow};

/// Columns of the terminal.
const LINE_MAX: usize = 100;
/// It ends a run: what is longer is no summary. What is left out is counted, and in [`ClosingTable::rows`].
const BLOCKS_MAX: usize = 8;
const WIDTHS_MAX: usize = 16;
const DEPTHS_MAX: usize = 12;
/// Between the columns of a group, and between groups.
const GAP: &str = " ";
const GROUP_GAP: &str = "   ";

impl fmt::Display for ClosingTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let jobs: usize = self.rows.iter().map(|row| row.job_count).sum();
        let diverged: usize = self.rows.iter().map(|row| row.diverged_count).sum();
        let s = if jobs == 1 { "" } else { "s" };
        write!(f, "{}: {jobs} job{s} with a result", self.sweep)?;
        writeln!(
            f,
            "{}",
            if diverged > 0 { format!(", {diverged} diverged") } else { String::new() }
        )?;
        if self.rows.is_empty() {
            return Ok(());
        }
        let blocks: Vec<_> = self.rows.chunk_by(|a, b| a.settings == b.settings).collect();
        for rows in blocks.iter().take(BLOCKS_MAX) {
            writeln!(f)?;
            Block::of(rows).write(f)?;
        }
        writeln!(f)?;
        if let Some(more) = blocks.len().checked_sub(BLOCKS_MAX).filter(|more| *more > 0) {
            writeln!(
                f,
                "{more} more combinations of {} are not shown",
                setting_list(&blocks[0][0])
            )?;
        }
        write_legend(self.scope, f)?;
        self.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))
    }
}

fn write_legend(scope: Option<&str>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(
        f,
        "medians over the jobs of a cell that did not diverge; loss: training loss at the end"
    )?;
    match scope {
        Some("samples") => {
            writeln!(
                f,
                "rms, min: of the cosines between per-example gradients, where last measured"
            )
        }
        Some(scope) => {
            writeln!(f, "rms, min: of the cosines of scope {scope}, where last measured")
        }
        None => writeln!(f, "no cosines were measured"),
    }
}

/// The settings' names, as the sweep file has them.
fn setting_list(row: &SummaryRow) -> String {
    let names: Vec<_> = row.settings.iter().map(|(name, _)| dotted(name)).collect();
    names.join(", ")
}

fn dotted(name: &str) -> String {
    name.replacen('_', ".", 1)
}

/// The cells of one combination of settings, as text.
struct Block<'a> {
    title: Vec<String>,
    /// Sorted; a null is one of its own.
    widths: Vec<Option<i64>>,
    depths: Vec<Option<i64>>,
    cells: BTreeMap<(Option<i64>, Option<i64>), &'a SummaryRow>,
    columns: Vec<ColumnText>,
}

/// One column of every group.
struct ColumnText {
    head: &'static str,
    text: fn(&SummaryRow) -> String,
    size: usize,
}

impl<'a> Block<'a> {
    fn of(rows: &'a [SummaryRow]) -> Self {
        let sorted = |key: fn(&SummaryRow) -> Option<i64>| {
            let mut values: Vec<_> = rows.iter().map(key).collect();
            values.sort();
            values.dedup();
            values
        };
        let jobs = rows[0].job_count;
        let is_uniform = rows.iter().all(|row| row.job_count == jobs);
        let has_diverged = rows.iter().any(|row| row.diverged_count > 0);

        let settings = rows[0].settings.iter();
        let mut title: Vec<_> =
            settings.map(|(name, value)| format!("{} = {value}", dotted(name))).collect();
        if is_uniform {
            title.push(if jobs == 1 {
                "1 job a cell".to_owned()
            } else {
                format!("{jobs} jobs a cell")
            });
        }
        let mut columns = vec![
            column("loss", |row| row.final_risk.map_or_else(none, loss_text), rows),
            column("rms", |row| row.rms_cos.map_or_else(none, cosine_text), rows),
            column("min", |row| row.min_cos.map_or_else(none, cosine_text), rows),
        ];
        if !is_uniform {
            columns.push(column("jobs", |row| row.job_count.to_string(), rows));
        }
        if has_diverged {
            columns.push(column("div", |row| row.diverged_count.to_string(), rows));
        }
        Self {
            title,
            widths: sorted(|row| row.width),
            depths: sorted(|row| row.depth),
            cells: rows.iter().map(|row| ((row.width, row.depth), row)).collect(),
            columns,
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_wrapped(&self.title, f)?;
        let depths = &self.depths[..self.depths.len().min(DEPTHS_MAX)];
        let widths = &self.widths[..self.widths.len().min(WIDTHS_MAX)];
        // Bands of nearly equal length rather than a long one and a rest.
        let bands = depths.len().div_ceil(self.groups_a_line());
        for band in depths.chunks(depths.len().div_ceil(bands)) {
            self.write_band(widths, band, f)?;
        }
        let (more_widths, more_depths) =
            (self.widths.len() - widths.len(), self.depths.len() - depths.len());
        if more_widths + more_depths > 0 {
            writeln!(f, "{more_widths} more widths and {more_depths} more depths are not shown")?;
        }
        Ok(())
    }

    fn write_band(
        &self,
        widths: &[Option<i64>],
        depths: &[Option<i64>],
        f: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        let stub = self.stub_size();
        let blank = " ".repeat(stub);
        if self.depths != [None] {
            let size = self.group_size();
            let head =
                |depth: &Option<i64>| format!("{:-^size$}", format!(" depth {} ", axis(*depth)));
            let heads = depths.iter().map(head);
            write_line(&blank, heads, f)?;
        }
        let heads = self.columns.iter().map(|column| format!("{:>1$}", column.head, column.size));
        let heads = heads.collect::<Vec<_>>().join(GAP);
        let label = if stub > 0 { format!("{:>stub$}", "width") } else { String::new() };
        write_line(&label, depths.iter().map(|_| heads.clone()), f)?;
        for width in widths {
            let label = if stub > 0 { format!("{:>stub$}", axis(*width)) } else { String::new() };
            write_line(&label, depths.iter().map(|depth| self.group(*width, *depth)), f)?;
        }
        Ok(())
    }

    /// The columns of one width and depth, blank where no job has them.
    fn group(&self, width: Option<i64>, depth: Option<i64>) -> String {
        let cell = self.cells.get(&(width, depth));
        let text = |column: &ColumnText| {
            let text = cell.map_or_else(String::new, |cell| (column.text)(cell));
            format!("{text:>0$}", column.size)
        };
        self.columns.iter().map(text).collect::<Vec<_>>().join(GAP)
    }

    /// How wide the label of a row is: nothing for a model without widths.
    fn stub_size(&self) -> usize {
        match self.widths[..] {
            [None] => 0,
            _ => self.widths.iter().map(|width| axis(*width).len()).fold("width".len(), usize::max),
        }
    }

    fn group_size(&self) -> usize {
        self.columns.iter().map(|column| column.size).sum::<usize>()
            + GAP.len() * (self.columns.len() - 1)
    }

    fn groups_a_line(&self) -> usize {
        ((LINE_MAX - self.stub_size()) / (GROUP_GAP.len() + self.group_size())).max(1)
    }
}

fn column(head: &'static str, text: fn(&SummaryRow) -> String, rows: &[SummaryRow]) -> ColumnText {
    let size = rows.iter().map(|row| text(row).len()).fold(head.len(), usize::max);
    ColumnText { head, text, size }
}

fn write_line(
    label: &str,
    groups: impl Iterator<Item = String>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let gap = if label.is_empty() { "" } else { GROUP_GAP };
    let line = groups.collect::<Vec<_>>().join(GROUP_GAP);
    writeln!(f, "{}", format!("{label}{gap}{line}").trim_end())
}

/// Writes the parts with commas, on as many lines as they need.
fn write_wrapped(parts: &[String], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut line = String::new();
    for part in parts {
        if !line.is_empty() && line.len() + 2 + part.len() > LINE_MAX - 1 {
            writeln!(f, "{line},")?;
            line.clear();
        }
        if !line.is_empty() {
            line.push_str(", ");
        }
        line.push_str(part);
    }
    if line.is_empty() { Ok(()) } else { writeln!(f, "{line}") }
}

fn none() -> String {
    "-".to_owned()
}

fn axis(value: Option<i64>) -> String {
    value.map_or_else(none, |value| value.to_string())
}

/// Three significant digits.
fn loss_text(loss: f64) -> String {
    let size = loss.abs();
    if loss == 0.0 {
        "0".to_owned()
    } else if (1e-3..1e5).contains(&size) {
        let decimals = (2 - size.log10().floor() as i32).max(0);
        format!("{loss:.0$}", decimals as usize)
    } else {
        format!("{loss:.2e}")
    }
}

/// Three decimals, or two digits of what would lose them.
fn cosine_text(cosine: f64) -> String {
    if cosine != 0.0 && cosine.abs() < 0.01 {
        format!("{cosine:.1e}")
    } else {
        format!("{cosine:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits_and_stay_short() {
        let losses = [0.0, 1.234_56, 0.012_345, 12_345.6, 0.000_999, 2.5e-17, -0.5, 1e300];
        let expected =
            ["0", "1.23", "0.0123", "12346", "9.99e-4", "2.50e-17", "-0.500", "1.00e300"];
        assert_eq!(losses.map(loss_text), expected);
        let cosines = [0.0, -1.0, -0.391_2, 0.01, 0.004_13, -1.2e-9];
        assert_eq!(
            cosines.map(cosine_text),
            ["0.000", "-1.000", "-0.391", "0.010", "4.1e-3", "-1.2e-9"]
        );
    }
}

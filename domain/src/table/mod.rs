//! The columns of the results: names, types, units, meanings, and which of them are volatile. Declared once, here.
//!
//! Every table starts with [`IDENTITY`], the job's id and all its settings; a table's own columns follow. Those who
//! write results (the wire, the sink) and those who read them (the analysis) both build on this list.

mod columns;

pub use columns::{
    CONFUSION, FAILURES, HISTOGRAM_BINS, IDENTITY, JOBS, QUANTITIES, STEPS, WEIGHTS_INDEX,
};

use std::path::Path;

use crate::row::Cell;
use crate::spec::JobSpec;
use crate::{JobId, SweepName};

/// One column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub kind: ColumnType,
    /// What it counts in; empty for words and flags.
    pub unit: &'static str,
    /// What it means, in one phrase.
    pub meaning: &'static str,
    /// Whether two runs of the same job may differ here: times, hosts, attempts.
    pub volatile: bool,
}

/// The type of a column. There are no unsigned ones: not every reader has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    Int32,
    Int64,
    Float64,
    Utf8,
    Boolean,
    /// Microseconds since the Unix epoch, UTC.
    Timestamp,
    /// A fixed-size list of [`HISTOGRAM_BINS`] Int64.
    Histogram,
}

/// A table of the results, and the folder that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    Jobs,
    Steps,
    Confusion,
    Failures,
    /// Where kept weights are: the weights themselves are in files of another kind, see [`weights_prefix`].
    WeightsIndex,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 5] =
        [Self::Jobs, Self::Steps, Self::Confusion, Self::Failures, Self::WeightsIndex];

    /// The name of the table and of its folder.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jobs => "jobs",
            Self::Steps => "steps",
            Self::Confusion => "confusion",
            Self::Failures => "failures",
            Self::WeightsIndex => "weights_index",
        }
    }

    /// The table of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.as_str() == name)
    }

    /// The columns after [`IDENTITY`].
    pub fn own_columns(self) -> &'static [Column] {
        match self {
            Self::Jobs => JOBS,
            Self::Steps => STEPS,
            Self::Confusion => CONFUSION,
            Self::Failures => FAILURES,
            Self::WeightsIndex => WEIGHTS_INDEX,
        }
    }

    /// All columns in the order of the files.
    pub fn columns(self) -> impl Iterator<Item = &'static Column> {
        IDENTITY.iter().chain(self.own_columns())
    }

    /// The place of `name` among the table's own columns.
    pub fn own_index(self, name: &str) -> Option<usize> {
        self.own_columns().iter().position(|column| column.name == name)
    }
}

/// The version of the files' layout, which each file names in its metadata under [`FORMAT_KEY`]. Readers refuse another; columns
/// that are added do not change it.
pub const FORMAT: &str = "1";

/// Where a file's metadata say [`FORMAT`].
pub const FORMAT_KEY: &str = "gradsweep.format";

/// What a sweep's folder of a table, or of kept weights, is called before the sweep's name.
pub const PARTITION: &str = "sweep=";

/// Digits of its journal's id with which a segment's name begins; a dash follows.
pub const JOURNAL_DIGITS: usize = 12;

/// Where a sweep's files are in the results: `folder` is a table's name, or [`WEIGHTS_FOLDER`].
pub fn sweep_folder(folder: &str, sweep: &SweepName) -> String {
    format!("{folder}/{PARTITION}{sweep}")
}

/// Whether a file of this name in a table's folder is a segment: neither hidden nor unfinished.
pub fn is_segment(file: &str) -> bool {
    !file.starts_with('.') && Path::new(file).extension().is_some_and(|found| found == "parquet")
}

/// The folder of the results that holds files of kept weights.
pub const WEIGHTS_FOLDER: &str = "weights";

/// What the names of a job's arrays begin with in a file of kept weights: `<job>/<step>/`, then `weights.0` and so on.
pub fn weights_prefix(job: JobId, step: u64) -> String {
    format!("{job}/{step}/")
}

/// The cells of [`IDENTITY`] for a job: its id and every setting, null where a setting does not apply.
pub fn identity_cells(job: JobId, spec: &JobSpec) -> Vec<Cell> {
    let JobSpec { model, data, train, measure: _, seeds } = spec;
    let seed = |seed: u64| Cell::from(seed);
    vec![
        job.to_string().into(),
        "single".into(),
        seeds.common().into(),
        seed(seeds.data),
        seed(seeds.init),
        seed(seeds.order),
        seed(seeds.measure),
        if train.augment { seed(seeds.augment) } else { Cell::Null },
        model.kind().into(),
        model.width().into(),
        model.depth().into(),
        model.activation().map(|activation| activation.as_str()).into(),
        model.output.as_str().into(),
        model.init.as_str().into(),
        if model.conv().is_some() { Cell::Null } else { model.bias.into() },
        model.outputs.into(),
        model.conv().map(|conv| conv.batch_norm).into(),
        model.conv().map(|conv| conv.skip).into(),
        model.precision.as_str().into(),
        data.kind.as_str().into(),
        data.samples.into(),
        data.dim.into(),
        data.labels.as_str().into(),
        data.noise.into(),
        train.loss.as_str().into(),
        train.batch.into(),
        train.steps.into(),
        train.sampling.as_str().into(),
        train.step_size.into(),
        train.momentum.into(),
        train.weight_decay.into(),
        Cell::from(model.weight_shapes(data.dim).len() as u64),
        model.parameters(data.dim).into(),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::row::{ConfusionRow, StepRow};

    #[test]
    fn rows_have_a_cell_for_every_column() {
        assert_eq!(StepRow::default().into_row().len(), STEPS.len());
        assert_eq!(ConfusionRow::default().into_row().len(), CONFUSION.len());
    }

    #[test]
    fn no_table_names_a_column_twice() {
        for table in Table::ALL {
            let names: Vec<_> = table.columns().map(|column| column.name).collect();
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{table:?}");
            assert_eq!(Table::from_name(table.as_str()), Some(table));
        }
    }
}

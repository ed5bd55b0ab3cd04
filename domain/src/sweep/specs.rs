//! The specs of a sweep's points where many are wanted: what the points of a cell have in common is made once.

use std::collections::HashMap;

use super::Sweep;
use crate::settings::Field;
use crate::spec::{JobSpec, Seeds, Template};

/// Most cells that are remembered: about a MiB. Beyond them, those before are forgotten.
const CELLS_KEPT: usize = 1_024;

/// The cells of one sweep whose specs were made before. Every call is to name that sweep.
#[derive(Debug, Default)]
pub struct Specs {
    cells: HashMap<u64, Cell>,
}

#[derive(Debug)]
struct Cell {
    /// With the seeds of whatever point came first.
    spec: JobSpec,
    text: Template,
}

impl Specs {
    /// [`Sweep::job`] of point `index`.
    ///
    /// # Panics
    /// If `index` is not below [`Sweep::len`]: the caller's bug.
    pub fn job(&mut self, sweep: &Sweep, index: u64) -> JobSpec {
        let cell = self.cell(sweep, index);
        JobSpec { seeds: seeds(sweep, index, cell.spec.train.augment), ..cell.spec.clone() }
    }

    /// The canonical text of [`Sweep::job`] of point `index`.
    ///
    /// # Panics
    /// If `index` is not below [`Sweep::len`]: the caller's bug.
    pub fn text(&mut self, sweep: &Sweep, index: u64) -> String {
        let cell = self.cell(sweep, index);
        cell.text.with(&seeds(sweep, index, cell.spec.train.augment))
    }

    fn cell(&mut self, sweep: &Sweep, index: u64) -> &Cell {
        let number = sweep.grid.cell(index).expect("the index of a point is below the length");
        if self.cells.len() >= CELLS_KEPT && !self.cells.contains_key(&number) {
            self.cells.clear();
        }
        self.cells.entry(number).or_insert_with(|| {
            let spec = sweep.job(index);
            let text = spec.template();
            Cell { spec, text }
        })
    }
}

fn seeds(sweep: &Sweep, index: u64, augment: bool) -> Seeds {
    let point = sweep.grid.point(index).expect("the index of a point is below the length");
    let seed = |field: Field| {
        let varied = point.iter().find(|(own, _)| *own == field);
        let value = varied.map(|(_, value)| *value).or_else(|| sweep.plan.base.get(field))?;
        value.as_int().and_then(|number| u64::try_from(number).ok())
    };
    Seeds::given(seed, augment)
}

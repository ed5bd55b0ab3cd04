//! A grid: the product of its dimensions, less what is excluded. Points are numbered and expanded on demand.
//!
//! Axes come in the order of the file and zip groups after them; the last dimension varies fastest.

use crate::axis::{Axis, POINTS_MAX};
use crate::settings::{Field, Settings};
use crate::value::Value;

/// The fields and values of one `[[exclude]]`: a point that matches all of them is left out.
pub type Exclude = Vec<(Field, Value)>;

/// Work that excluding may cost: points times exclude tables.
const EXCLUDE_WORK_MAX: u64 = 100_000_000;

/// Where in a sweep's grid a fault lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Whole,
    /// A setting, wherever it is given: on an axis, in a zip group, or for every point.
    Field(Field),
    /// A value of an axis or of a list of a zip group.
    Value(Field, usize),
    Zip(usize),
    Exclude(usize),
    ExcludeKey(usize, Field),
}

/// Why axes, zip groups and exclusions make no grid.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GridFault {
    #[error("{field}: an axis needs at least one value")]
    EmptyAxis { field: Field },
    #[error("{field}: the axis has the value {value} twice")]
    DuplicateValue { field: Field, value: Value },
    #[error("{field}: varied twice; a field may be one axis or in one zip group")]
    VariedTwice { field: Field },
    #[error("{field}: cannot be an axis, because [run] holds for the whole sweep")]
    RunAxis { field: Field },
    #[error("zip: {field} has {count} values and {other} has {other_count}; expected as many")]
    UnequalZip { field: Field, count: usize, other: Field, other_count: usize },
    #[error("zip: the group names no field")]
    EmptyZip,
    #[error("zip: values {first} and {second} of the group are the same")]
    DuplicateZip { first: usize, second: usize },
    #[error("exclude: the table names no axis; expected at least one")]
    EmptyExclude,
    #[error("exclude: {field} is not an axis of this sweep; expected one of {}", names(axes))]
    NotAnAxis { field: Field, axes: Vec<Field> },
    #[error("exclude: {field} = {value} is not on its axis; expected one of {}", listed(values))]
    NotOnAxis { field: Field, value: Value, values: Vec<Value> },
    #[error("the axes make more than {POINTS_MAX} points")]
    TooManyPoints,
    #[error("the axes other than seeds make more than {CELLS_MAX} cells")]
    TooManyCells,
    #[error("{excludes} exclude tables are too many for {points} points")]
    TooManyExcludes { excludes: usize, points: u64 },
    #[error("exclude: no point is left")]
    NothingLeft,
}

/// Most cells, that is points but for their seeds, because each is validated before anything runs.
pub const CELLS_MAX: u64 = 1_000_000;

fn names(fields: &[Field]) -> String {
    let names: Vec<&str> = fields.iter().map(|field| field.as_str()).collect();
    if names.is_empty() { "none, there is no axis".to_owned() } else { names.join(", ") }
}

/// At most a line of values.
fn listed(values: &[Value]) -> String {
    let shown: Vec<String> = values.iter().take(12).map(Value::to_string).collect();
    let more = if values.len() > 12 { ", ..." } else { "" };
    shown.join(", ") + more
}

/// Fields that move together, and the rows of values that they take.
#[derive(Clone, Debug, PartialEq)]
struct Dimension {
    fields: Vec<Field>,
    rows: Vec<Vec<Value>>,
}

impl Dimension {
    fn is_seeds(&self) -> bool {
        self.fields.iter().all(|field| field.is_seed())
    }
}

/// For each dimension that an exclude table names, which of its rows match.
type Mask = Vec<(usize, Vec<bool>)>;

/// The numbered points of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    dimensions: Vec<Dimension>,
    masks: Vec<Mask>,
    /// Raw indices of the points that are not excluded; `None` where nothing is.
    kept: Option<Vec<u32>>,
    len: u64,
}

impl Grid {
    /// The grid of axes and zip groups, less the excluded points.
    pub fn new(
        axes: &[Axis],
        zips: &[Vec<Axis>],
        excludes: &[Exclude],
    ) -> Result<Self, Vec<(Place, GridFault)>> {
        let faults = faults_of_axes(axes, zips);
        if !faults.is_empty() {
            return Err(faults);
        }
        let of_axis = |axis: &Axis| Dimension {
            fields: vec![axis.field],
            rows: axis.values.iter().map(|value| vec![value.clone()]).collect(),
        };
        let of_zip = |zip: &Vec<Axis>| Dimension {
            fields: zip.iter().map(|axis| axis.field).collect(),
            rows: rows(zip),
        };
        let dimensions = axes.iter().map(of_axis).chain(zips.iter().map(of_zip)).collect();
        let mut grid = Self { dimensions, masks: Vec::new(), kept: None, len: 0 };
        let whole = |fault| vec![(Place::Whole, fault)];
        grid.len = grid.size(|_| true, POINTS_MAX).ok_or(whole(GridFault::TooManyPoints))?;
        let is_cell = |dimension: &Dimension| !dimension.is_seeds();
        grid.size(is_cell, CELLS_MAX).ok_or(whole(GridFault::TooManyCells))?;
        grid.exclude(excludes)?;
        Ok(grid)
    }

    /// The product of the sizes of some dimensions, if it is within the limit.
    fn size(&self, counted: impl Fn(&Dimension) -> bool, limit: u64) -> Option<u64> {
        let mut sizes = self.dimensions.iter().filter(|d| counted(d)).map(|d| d.rows.len() as u64);
        sizes.try_fold(1, |product: u64, size| {
            product.checked_mul(size).filter(|product| *product <= limit)
        })
    }

    fn exclude(&mut self, excludes: &[Exclude]) -> Result<(), Vec<(Place, GridFault)>> {
        let points = self.len;
        if points.saturating_mul(excludes.len() as u64) > EXCLUDE_WORK_MAX {
            let fault = GridFault::TooManyExcludes { excludes: excludes.len(), points };
            return Err(vec![(Place::Whole, fault)]);
        }
        let mut faults = Vec::new();
        for (index, exclude) in excludes.iter().enumerate() {
            match self.mask(index, exclude) {
                Ok(mask) => self.masks.push(mask),
                Err(mut found) => faults.append(&mut found),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        if excludes.is_empty() {
            return Ok(());
        }
        let mut kept = Vec::new();
        let mut rows = vec![0; self.dimensions.len()];
        let every: Vec<usize> = (0..rows.len()).collect();
        // POINTS_MAX fits u32.
        for raw in 0..u32::try_from(points).unwrap_or(u32::MAX) {
            if !self.masks.iter().any(|mask| mask.iter().all(|(d, rows_in)| rows_in[rows[*d]])) {
                kept.push(raw);
            }
            self.advance(&every, &mut rows);
        }
        if kept.is_empty() {
            return Err(vec![(Place::Exclude(0), GridFault::NothingLeft)]);
        }
        self.len = kept.len() as u64;
        self.kept = Some(kept);
        Ok(())
    }

    fn mask(&self, index: usize, exclude: &Exclude) -> Result<Mask, Vec<(Place, GridFault)>> {
        if exclude.is_empty() {
            return Err(vec![(Place::Exclude(index), GridFault::EmptyExclude)]);
        }
        let mut mask = Vec::new();
        let mut faults = Vec::new();
        for (field, value) in exclude {
            let place = Place::ExcludeKey(index, *field);
            let Some((dimension, column)) = self.column(*field) else {
                let axes = self.fields().collect();
                faults.push((place, GridFault::NotAnAxis { field: *field, axes }));
                continue;
            };
            let rows = &self.dimensions[dimension].rows;
            let matches: Vec<bool> = rows.iter().map(|row| row[column] == *value).collect();
            if !matches.contains(&true) {
                let values = rows.iter().map(|row| row[column].clone()).collect();
                let fault = GridFault::NotOnAxis { field: *field, value: value.clone(), values };
                faults.push((place, fault));
            }
            mask.push((dimension, matches));
        }
        if faults.is_empty() { Ok(mask) } else { Err(faults) }
    }

    /// The dimension of a field, and its place in the rows.
    fn column(&self, field: Field) -> Option<(usize, usize)> {
        self.dimensions.iter().enumerate().find_map(|(index, dimension)| {
            Some((index, dimension.fields.iter().position(|own| *own == field)?))
        })
    }

    /// The varied fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = Field> {
        self.dimensions.iter().flat_map(|dimension| dimension.fields.iter().copied())
    }

    /// The number of points that are not excluded.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no point; [`Self::new`] refuses such a grid.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The varied fields of point `index` and their values; `None` past the last point.
    pub fn point(&self, index: u64) -> Option<Vec<(Field, &Value)>> {
        let columns = self.dimensions.iter().zip(self.rows(index)?);
        Some(columns.flat_map(|(d, row)| d.fields.iter().copied().zip(&d.rows[row])).collect())
    }

    /// A number that point `index` shares with those points alone that differ from it in seeds.
    pub fn cell(&self, index: u64) -> Option<u64> {
        let cells = self.dimensions.iter().zip(self.rows(index)?).filter(|(d, _)| !d.is_seeds());
        Some(cells.fold(0, |number, (d, row)| number * d.rows.len() as u64 + row as u64))
    }

    /// The row of each dimension at point `index`.
    fn rows(&self, index: u64) -> Option<Vec<usize>> {
        let mut rest = match &self.kept {
            _ if index >= self.len => return None,
            Some(kept) => u64::from(*kept.get(usize::try_from(index).ok()?)?),
            None => index,
        };
        let mut rows = vec![0; self.dimensions.len()];
        for (row, dimension) in rows.iter_mut().zip(&self.dimensions).rev() {
            let size = dimension.rows.len() as u64;
            *row = usize::try_from(rest % size).ok()?;
            rest /= size;
        }
        Some(rows)
    }

    /// Calls `visit` with the settings of every cell: every point but for its seeds, which are those of the first.
    ///
    /// A cell is passed over where it is excluded whatever its seed. Visiting ends where `visit` says `false`.
    pub fn visit_cells(&self, base: &Settings, mut visit: impl FnMut(&Settings) -> bool) {
        let is_cell = |d: &usize| !self.dimensions[*d].is_seeds();
        let varied: Vec<usize> = (0..self.dimensions.len()).filter(is_cell).collect();
        let masks: Vec<&Mask> =
            self.masks.iter().filter(|mask| mask.iter().all(|(d, _)| is_cell(d))).collect();
        let mut settings = base.clone();
        let mut rows = vec![0; self.dimensions.len()];
        for dimension in 0..rows.len() {
            self.put(&mut settings, dimension, 0);
        }
        loop {
            let excluded =
                masks.iter().any(|mask| mask.iter().all(|(d, rows_in)| rows_in[rows[*d]]));
            if !excluded && !visit(&settings) {
                return;
            }
            let Some(changed) = self.advance(&varied, &mut rows) else { return };
            for dimension in &varied[changed..] {
                self.put(&mut settings, *dimension, rows[*dimension]);
            }
        }
    }

    fn put(&self, settings: &mut Settings, dimension: usize, row: usize) {
        let dimension = &self.dimensions[dimension];
        for (field, value) in dimension.fields.iter().zip(&dimension.rows[row]) {
            settings.set_normal(*field, value.clone());
        }
    }

    /// Moves `rows` to the next combination of the dimensions `varied`, and says from which of them on it changed;
    /// `None` after the last combination.
    fn advance(&self, varied: &[usize], rows: &mut [usize]) -> Option<usize> {
        for (position, dimension) in varied.iter().enumerate().rev() {
            rows[*dimension] += 1;
            if rows[*dimension] < self.dimensions[*dimension].rows.len() {
                return Some(position);
            }
            rows[*dimension] = 0;
        }
        None
    }
}

/// The rows of a zip group, as far as its shortest list goes.
fn rows(zip: &[Axis]) -> Vec<Vec<Value>> {
    let len = zip.iter().map(|axis| axis.values.len()).min().unwrap_or(0);
    (0..len).map(|row| zip.iter().map(|axis| axis.values[row].clone()).collect()).collect()
}

fn faults_of_axes(axes: &[Axis], zips: &[Vec<Axis>]) -> Vec<(Place, GridFault)> {
    let mut faults = Vec::new();
    let mut seen = Vec::new();
    for axis in axes.iter().chain(zips.iter().flatten()) {
        let field = axis.field;
        if field.is_run() {
            faults.push((Place::Field(field), GridFault::RunAxis { field }));
        } else if seen.contains(&field) {
            faults.push((Place::Field(field), GridFault::VariedTwice { field }));
        } else if axis.values.is_empty() {
            faults.push((Place::Field(field), GridFault::EmptyAxis { field }));
        }
        seen.push(field);
    }
    for axis in axes {
        if let Some((_, second)) = repeated(&axis.values) {
            let value = axis.values[second].clone();
            let fault = GridFault::DuplicateValue { field: axis.field, value };
            faults.push((Place::Value(axis.field, second), fault));
        }
    }
    for (index, zip) in zips.iter().enumerate() {
        let Some((first, others)) = zip.split_first() else {
            faults.push((Place::Zip(index), GridFault::EmptyZip));
            continue;
        };
        let unequal = others.iter().find(|axis| axis.values.len() != first.values.len());
        if let Some(axis) = unequal {
            let fault = GridFault::UnequalZip {
                field: axis.field,
                count: axis.values.len(),
                other: first.field,
                other_count: first.values.len(),
            };
            faults.push((Place::Field(axis.field), fault));
        } else if let Some((one, two)) =
            repeated(&rows(zip).into_iter().map(Value::List).collect::<Vec<_>>())
        {
            let fault = GridFault::DuplicateZip { first: one + 1, second: two + 1 };
            faults.push((Place::Value(first.field, two), fault));
        }
    }
    faults
}

/// The places of the first value that occurs twice. By canonical text, which is one for equal values.
fn repeated(values: &[Value]) -> Option<(usize, usize)> {
    let mut seen = std::collections::HashMap::new();
    values.iter().enumerate().find_map(|(index, value)| {
        seen.insert(crate::json::write(value), index).map(|first| (first, index))
    })
}

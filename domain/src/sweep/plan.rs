//! What a sweep file or a canonical text asks for, before its points are validated.

use std::collections::BTreeMap;

use crate::axis::Axis;
use crate::grid::{Exclude, Grid, GridFault};
use crate::id::{Digest, SweepName};
use crate::settings::{Accepted, Field, SettingError, Settings};
use crate::spec::{DataKind, Facts, FileFacts, Files, JobSpec};
use crate::value::Value;

pub use crate::grid::Place;

/// Different faults of points that are reported at once.
const FAULTS_MAX: usize = 20;

/// A sweep's content: its settings, axes, zip groups and exclusions, each value in its normal form.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub name: SweepName,
    /// Settings of every point, and those of `[run]`. None is also on an axis.
    pub base: Settings,
    pub axes: Vec<Axis>,
    pub zips: Vec<Vec<Axis>>,
    pub excludes: Vec<Exclude>,
}

/// A plan that names its data by content.
pub(crate) struct Resolved {
    pub plan: Plan,
    /// The files that the plan names.
    pub files: Files,
    /// Where each was found.
    pub paths: BTreeMap<Digest, String>,
}

/// Why a plan is no sweep.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Fault {
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error(transparent)]
    Grid(#[from] GridFault),
    #[error("data.path: found \"{path}\", whose facts were not given")]
    UnknownPath { path: String },
    #[error("data.path: \"{path}\" and \"{other}\" have the same content")]
    SameContent { path: String, other: String },
}

impl Plan {
    /// The grid, and whether every cell of it is valid as far as `facts` can tell.
    pub fn check(&self, facts: Facts<'_>) -> Result<Grid, Vec<(Place, Fault)>> {
        let grid = Grid::new(&self.axes, &self.zips, &self.excludes).map_err(|faults| {
            faults.into_iter().map(|(place, fault)| (place, fault.into())).collect::<Vec<_>>()
        })?;
        let mut faults: Vec<(Place, Fault)> = Vec::new();
        let mut shares_work = false;
        grid.visit_cells(&self.base, |settings| {
            match JobSpec::from_settings(settings, facts) {
                Ok(job) => shares_work |= job.model.conv().is_some(),
                Err(error) => {
                    let fault = (self.place(&error), error.into());
                    if !faults.contains(&fault) {
                        faults.push(fault);
                    }
                }
            }
            faults.len() < FAULTS_MAX
        });
        if faults.is_empty() && !shares_work {
            faults.extend(self.idle_threads());
        }
        if faults.is_empty() { Ok(grid) } else { Err(faults) }
    }

    /// The fault of threads that no job of the sweep can use. Where some can, the others just run on one.
    fn idle_threads(&self) -> Option<(Place, Fault)> {
        let threads = self.base.int::<u32>(Field::RunThreads).filter(|threads| *threads > 1)?;
        let error = SettingError::refused(Field::RunThreads, threads, Accepted::OneThread);
        Some((Place::Field(Field::RunThreads), error.into()))
    }

    /// The value of an axis that a fault names, or else its field.
    fn place(&self, error: &SettingError) -> Place {
        let mut axes = self.axes.iter().chain(self.zips.iter().flatten());
        let axis = axes.find(|axis| axis.field == error.key);
        let value =
            axis.and_then(|axis| axis.values.iter().position(|value| Some(value) == error.found()));
        value.map_or(Place::Field(error.key), |value| Place::Value(error.key, value))
    }

    /// The values that a field takes somewhere in the grid.
    fn values_of(&self, field: Field) -> Vec<&Value> {
        let mut axes = self.axes.iter().chain(self.zips.iter().flatten());
        match axes.find(|axis| axis.field == field) {
            Some(axis) => axis.values.iter().collect(),
            None => self.base.get(field).into_iter().collect(),
        }
    }

    /// The data files that points of this plan read, with their kind.
    pub fn paths(&self) -> Vec<(DataKind, String)> {
        let kinds = self.values_of(Field::DataKind).into_iter();
        let kinds = kinds.filter_map(|kind| DataKind::from_word(kind.as_text()?));
        let kinds = kinds.filter(|kind| kind.is_file());
        let mut paths = Vec::new();
        for kind in kinds {
            for path in self.values_of(Field::DataPath).into_iter().filter_map(Value::as_text) {
                if !paths.contains(&(kind, path.to_owned())) {
                    paths.push((kind, path.to_owned()));
                }
            }
        }
        paths
    }

    /// Names data by content wherever the plan names them by path. A path that nothing reads goes without trace.
    pub fn name_by_content(
        mut self,
        facts: &BTreeMap<String, FileFacts>,
    ) -> Result<Resolved, (Place, Fault)> {
        let (mut files, mut found_at) = (BTreeMap::new(), BTreeMap::new());
        if self.paths().is_empty() {
            self.base.remove(Field::DataPath);
            return Ok(Resolved { plan: self, files, paths: found_at });
        }
        let mut digest_of = |place: Place, path: &Value| -> Result<Value, (Place, Fault)> {
            let path = path.as_text().unwrap_or_default();
            let unknown = || (place, Fault::UnknownPath { path: path.to_owned() });
            let facts = facts.get(path).ok_or_else(unknown)?;
            files.insert(facts.digest, facts.clone());
            let before = found_at.insert(facts.digest, path.to_owned());
            match before.filter(|other| other != path) {
                None => Ok(Value::Text(facts.digest.to_string())),
                Some(other) => Err((place, Fault::SameContent { path: path.to_owned(), other })),
            }
        };
        for axis in self.axes.iter_mut().chain(self.zips.iter_mut().flatten()) {
            if axis.field != Field::DataPath {
                continue;
            }
            axis.field = Field::DataDigest;
            for (index, value) in axis.values.iter_mut().enumerate() {
                *value = digest_of(Place::Value(Field::DataPath, index), value)?;
            }
        }
        for (index, exclude) in self.excludes.iter_mut().enumerate() {
            for (field, value) in exclude.iter_mut().filter(|(field, _)| *field == Field::DataPath)
            {
                let place = Place::ExcludeKey(index, Field::DataPath);
                (*field, *value) = (Field::DataDigest, digest_of(place, value)?);
            }
            exclude.sort_by_key(|(field, _)| field.as_str());
        }
        if let Some(path) = self.base.remove(Field::DataPath) {
            let digest = digest_of(Place::Field(Field::DataPath), &path)?;
            self.base.set_normal(Field::DataDigest, digest);
        }
        Ok(Resolved { plan: self, files, paths: found_at })
    }
}

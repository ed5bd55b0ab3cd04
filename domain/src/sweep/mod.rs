//! A sweep: a named grid of jobs, resolved and validated, whose jobs are expanded on demand.
//!
//! A [`Sweep`] can only be had from a sweep file ([`crate::sweep_file::parse`]) or from the canonical text of another
//! ([`Sweep::from_canonical`]). Both validate every cell of the grid, so that expanding a job cannot fail; that bounds
//! the size of a grid ([`POINTS_MAX`], [`CELLS_MAX`]).

mod changes;
mod plan;
mod point;
mod specs;
mod text;

use std::collections::{BTreeMap, HashSet};

pub use changes::FieldChange;
pub use plan::{Fault, Place};
pub(crate) use plan::{Plan, Resolved};
pub use point::Point;
pub use specs::Specs;

pub use crate::axis::{Axis, POINTS_MAX};
pub use crate::grid::CELLS_MAX;
use crate::grid::Grid;
use crate::id::{Digest, JobId, SweepId, SweepName};
use crate::settings::{Field, Settings};
use crate::spec::{Facts, Files, JobSpec, RunPolicy};
use crate::value::Value;

/// One revision of a sweep. Every point is valid.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    plan: Plan,
    run: RunPolicy,
    files: Files,
    /// Where whoever read the sweep file found the data files. No part of the identity.
    paths: BTreeMap<Digest, String>,
    grid: Grid,
}

impl Sweep {
    /// The sweep of a plan whose data are named by content.
    pub(crate) fn new(resolved: Resolved) -> Result<Self, Vec<(Place, Fault)>> {
        let Resolved { plan, files, paths } = resolved;
        let grid = plan.check(Facts::Known(&files))?;
        Ok(Self { run: RunPolicy::from_settings(&plan.base), plan, files, paths, grid })
    }

    /// The sweep's lineage.
    pub fn name(&self) -> &SweepName {
        &self.plan.name
    }

    /// The identity of this revision: a digest of [`Self::canonical`] without the paths of data files.
    pub fn id(&self) -> SweepId {
        SweepId::of(&self.content())
    }

    /// How its jobs are run.
    pub fn run(&self) -> &RunPolicy {
        &self.run
    }

    /// The number of points, after exclusion. Points that differ only in fields that do not apply are one job.
    pub fn len(&self) -> u64 {
        self.grid.len()
    }

    /// Whether there is no point, which no sweep has.
    pub fn is_empty(&self) -> bool {
        self.grid.is_empty()
    }

    /// The axes in the order of the file, those of zip groups after them. The last dimension varies fastest.
    pub fn axes(&self) -> impl Iterator<Item = &Axis> {
        self.plan.axes.iter().chain(self.plan.zips.iter().flatten())
    }

    /// The job of point `index`.
    ///
    /// # Panics
    /// If `index` is not below [`Self::len`]: the caller's bug.
    pub fn job(&self, index: u64) -> JobSpec {
        let point = self.grid.point(index).expect("the index of a point is below the length");
        let mut settings = self.plan.base.clone();
        for (field, value) in point {
            settings.set_normal(field, value.clone());
        }
        JobSpec::from_settings(&settings, Facts::Known(&self.files))
            .expect("every cell was validated when the sweep was made")
    }

    /// The job of every point, in order. Points that differ only in fields that do not apply have the same.
    pub fn job_ids(&self) -> Vec<JobId> {
        let mut specs = Specs::default();
        (0..self.len()).map(|index| JobId::of(&specs.text(self, index))).collect()
    }

    /// Each distinct job, with the index of the first point that is it, in the order of the points.
    pub fn jobs(&self) -> impl Iterator<Item = (u64, JobId)> + '_ {
        let mut seen = HashSet::new();
        (0..).zip(self.job_ids()).filter(move |(_, id)| seen.insert(*id))
    }

    /// The values that point `index` has on the axes.
    ///
    /// # Panics
    /// If `index` is not below [`Self::len`]: the caller's bug.
    pub fn point(&self, index: u64) -> Point {
        let point = self.grid.point(index).expect("the index of a point is below the length");
        Point::new(point.into_iter().map(|(field, value)| self.shown(field, value)))
    }

    /// The same without seeds: what the points of one cell share.
    ///
    /// # Panics
    /// If `index` is not below [`Self::len`]: the caller's bug.
    pub fn cell(&self, index: u64) -> Point {
        self.point(index).without_seeds()
    }

    /// A value as people know it: data by their path, where that is known.
    fn shown(&self, field: Field, value: &Value) -> (Field, Value) {
        let digest = value.as_text().and_then(|text| text.parse().ok());
        match digest.and_then(|digest| self.data_path(digest)) {
            Some(path) if field == Field::DataDigest => (Field::DataPath, path.into()),
            _ => (field, value.clone()),
        }
    }

    /// Where the data of this digest were found when the sweep file was read: a hint, and no part of the identity.
    pub fn data_path(&self, digest: Digest) -> Option<&str> {
        self.paths.get(&digest).map(String::as_str)
    }

    /// The data files that some job may need.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The fields that have no value in common with the older revision, after defaults. Where there is one, every
    /// job of this revision is new.
    pub fn changed_from(&self, older: &Self) -> Vec<FieldChange> {
        changes::between(older, self)
    }

    /// The settings of every cell, with whatever seeds.
    fn visit_cells(&self, mut visit: impl FnMut(&JobSpec)) {
        self.grid.visit_cells(&self.plan.base, |settings: &Settings| {
            let job = JobSpec::from_settings(settings, Facts::Known(&self.files));
            visit(&job.expect("every cell was validated when the sweep was made"));
            true
        });
    }
}

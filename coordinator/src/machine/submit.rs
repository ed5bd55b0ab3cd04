//! Taking a revision of a sweep in: which jobs are kept, which are new, and when the revision is refused.

use std::collections::HashSet;

use domain::{FieldChange, JobId, Sweep, Value};

use super::lineage::{ENGINES_MAX, Lineage, Revision};
use super::{Change, Event, Inconsistent, Machine, Submitted};

/// What a submission comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubmitReport {
    /// Jobs that were asked for before.
    pub kept: u64,
    pub new: u64,
    /// Jobs of earlier revisions that this one does not ask for.
    pub orphaned: u64,
    /// Kept jobs that are committed.
    pub settled: u64,
    /// Kept jobs that were abandoned or cancelled, and are queued again.
    pub again: u64,
    /// Engine revisions of committed jobs other than the submitter's.
    pub other_engines: Vec<String>,
}

/// Why a revision is not taken in.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SubmitRefusal {
    #[error(
        "no job of the sweep would be kept, because {}; submit it under another name, or with --revise to keep the old results beside the new",
        list(changes)
    )]
    Changed { changes: Vec<FieldChange> },
    #[error("results of engine revision {} would be kept beside those of {submitter}; leave --strict out to keep them, or submit under another name", engines.join(", "))]
    Engines { engines: Vec<String>, submitter: String },
}

fn list(changes: &[FieldChange]) -> String {
    let values =
        |values: &[Value]| values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let change = |change: &FieldChange| {
        format!("{} was {} and is now {}", change.field, values(&change.old), values(&change.new))
    };
    changes.iter().map(change).collect::<Vec<_>>().join("; ")
}

/// How a revision is handed in.
#[derive(Clone, Debug)]
pub struct Terms {
    pub revise: bool,
    pub strict: bool,
    /// The numerical engine of the program that submits.
    pub engine_revision: String,
}

impl Machine {
    /// What taking `sweep` in would change, and what it comes to.
    ///
    /// # Errors
    /// [`SubmitRefusal`] where a changed base setting would keep no job, or `strict` would mix engines.
    pub fn decide_submit(
        &self,
        sweep: &Sweep,
        submitted: &Submitted,
        terms: &Terms,
    ) -> Result<(Vec<Event>, SubmitReport), SubmitRefusal> {
        let submission = || Event::Submitted(submitted.clone());
        let Some(lineage) = self.lineages.get(sweep.name()) else {
            let new = submitted.jobs.iter().collect::<HashSet<_>>().len() as u64;
            return Ok((vec![submission()], SubmitReport { new, ..SubmitReport::default() }));
        };
        let changes = sweep.changed_from(&lineage.current().sweep);
        if !changes.is_empty() && !terms.revise {
            return Err(SubmitRefusal::Changed { changes });
        }
        let (report, again) = compare(lineage, &submitted.jobs, terms);
        if terms.strict && !report.other_engines.is_empty() {
            let (engines, submitter) = (report.other_engines, terms.engine_revision.clone());
            return Err(SubmitRefusal::Engines { engines, submitter });
        }
        let mut events = Vec::new();
        if lineage.current().id != sweep.id() {
            events.push(submission());
        }
        events.extend(again.into_iter().map(|job| Event::Job {
            sweep: sweep.name().clone(),
            job,
            change: Change::Requeued,
        }));
        Ok((events, report))
    }

    pub(super) fn apply_submitted(&mut self, submitted: &Submitted) -> Result<(), Inconsistent> {
        let revision = Revision::read(submitted.revision.clone())?;
        let sweep = revision.sweep.name().clone();
        let (points, found) = (revision.sweep.len(), submitted.jobs.len() as u64);
        if points != found {
            return Err(Inconsistent::Points { sweep, points, found });
        }
        self.lineages.entry(sweep).or_default().add_revision(revision, &submitted.jobs);
        Ok(())
    }
}

/// What the new revision keeps of a lineage, and which of its jobs are to be queued again.
fn compare(lineage: &Lineage, jobs: &[JobId], terms: &Terms) -> (SubmitReport, Vec<JobId>) {
    let mut report = SubmitReport::default();
    let mut again = Vec::new();
    let mut asked = HashSet::new();
    for &id in jobs {
        if !asked.insert(id) {
            continue;
        }
        let Some(number) = lineage.number(id) else {
            report.new += 1;
            continue;
        };
        report.kept += 1;
        match lineage.job(number).state {
            super::State::Committed { .. } => report.settled += 1,
            super::State::Abandoned { .. } | super::State::Cancelled => again.push(id),
            super::State::Queued { .. } | super::State::Leased { .. } => {}
        }
    }
    report.again = again.len() as u64;
    let known = lineage.all_jobs().iter();
    report.orphaned = known.filter(|job| !asked.contains(&job.id)).count() as u64;
    let other = lineage.engines().keys().filter(|engine| **engine != terms.engine_revision);
    report.other_engines = other.take(ENGINES_MAX + 1).cloned().collect();
    (report, again)
}

//! The state that a journal begins with, as it stores it.

use domain::{AttemptNo, JobId, Timestamp, WorkerId};
use serde::{Deserialize, Serialize};

use super::event::{StoredCheckpoint, StoredFailed, StoredKept, StoredRevision};
use super::{BadRecord, class, name};
use crate::machine::{
    FailureRecord, JobSnapshot, LineageSnapshot, Origin, Plan, RowCounts, Snapshot, State,
};

/// What a record begins with. The first two are an option, as before there were kept weights: so older journals read, and
/// one without kept weights is what an older gradsweep reads.
#[derive(Default, Serialize, Deserialize)]
pub(super) enum StoredStart {
    #[default]
    Nothing,
    State(StoredSnapshot),
    /// And the kept weights that are in no file yet: number of the lineage, then of its job.
    StateAndWeights(StoredSnapshot, Vec<(u32, u32, Vec<StoredKept>)>),
}

impl StoredStart {
    pub(super) fn of(snapshot: Option<&Snapshot>) -> Self {
        let Some(snapshot) = snapshot else { return Self::Nothing };
        let mut weights = Vec::new();
        for (lineage, number) in snapshot.lineages.iter().zip(0..) {
            for job in lineage.jobs.iter().filter(|job| !job.kept.is_empty()) {
                weights.push((number, job.number, job.kept.iter().map(StoredKept::of).collect()));
            }
        }
        let state = StoredSnapshot::of(snapshot);
        if weights.is_empty() { Self::State(state) } else { Self::StateAndWeights(state, weights) }
    }

    pub(super) fn into_snapshot(self) -> Result<Option<Snapshot>, BadRecord> {
        let (state, weights) = match self {
            Self::Nothing => return Ok(None),
            Self::State(state) => (state, Vec::new()),
            Self::StateAndWeights(state, weights) => (state, weights),
        };
        let mut snapshot = state.into_snapshot()?;
        for (lineage, number, kept) in weights {
            let lineage = snapshot.lineages.get_mut(lineage as usize);
            let job = lineage.and_then(|lineage| {
                let index = lineage.jobs.binary_search_by_key(&number, |job| job.number).ok()?;
                lineage.jobs.get_mut(index)
            });
            let unknown = || BadRecord::Word { what: "job", found: number.to_string() };
            job.ok_or_else(unknown)?.kept = kept.into_iter().map(StoredKept::into_kept).collect();
        }
        Ok(Some(snapshot))
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredSnapshot {
    lineages: Vec<StoredLineage>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredLineage {
    sweep: String,
    revisions: Vec<StoredRevision>,
    ids: Vec<([u8; 16], u32, u64)>,
    members: Vec<u32>,
    jobs: Vec<StoredJob>,
    unsealed: Vec<u32>,
    sealed_rows: u64,
    failures: Vec<(u32, StoredFailed)>,
    last_words: Vec<(u32, String)>,
    plan: Option<StoredPlan>,
    segments: u64,
    engines: Vec<(String, u64)>,
    failed_attempts: u64,
    paused: bool,
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredPlan {
    segment: String,
    jobs: Vec<u32>,
    failures: Vec<(u32, StoredFailed)>,
    rows: u64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredJob {
    number: u32,
    state: StoredState,
    last: u32,
    failures: u32,
    losses: u32,
    steps: u64,
    confusion: u64,
    checkpoint: Option<StoredCheckpoint>,
    earlier: Option<StoredCheckpoint>,
}

#[derive(Serialize, Deserialize)]
pub(super) enum StoredState {
    Queued { not_before: i64 },
    Leased { worker: [u8; 16] },
    Committed { diverged: bool },
    Abandoned { class: String },
    Cancelled,
}

impl StoredSnapshot {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        Self { lineages: snapshot.lineages.iter().map(StoredLineage::of).collect() }
    }

    pub(super) fn into_snapshot(self) -> Result<Snapshot, BadRecord> {
        let lineages = self.lineages.into_iter().map(StoredLineage::into_lineage);
        Ok(Snapshot { lineages: lineages.collect::<Result<_, _>>()? })
    }
}

pub(super) fn store_failures(records: &[FailureRecord]) -> Vec<(u32, StoredFailed)> {
    records.iter().map(|record| (record.job, StoredFailed::of(&record.failed))).collect()
}

pub(super) fn read_failures(
    stored: Vec<(u32, StoredFailed)>,
) -> Result<Vec<FailureRecord>, BadRecord> {
    let record = |(job, failed): (u32, StoredFailed)| {
        Ok(FailureRecord { job, failed: failed.into_failed()? })
    };
    stored.into_iter().map(record).collect()
}

impl StoredLineage {
    pub(super) fn of(lineage: &LineageSnapshot) -> Self {
        Self {
            sweep: lineage.sweep.to_string(),
            revisions: lineage.revisions.iter().map(StoredRevision::of).collect(),
            ids: lineage.ids.iter().map(|(id, o)| (id.0, o.revision, o.index)).collect(),
            members: lineage.members.clone(),
            jobs: lineage.jobs.iter().map(StoredJob::of).collect(),
            unsealed: lineage.unsealed.clone(),
            sealed_rows: lineage.sealed_rows,
            failures: store_failures(&lineage.failures),
            last_words: lineage.last_words.clone(),
            plan: lineage.plan.as_ref().map(|plan| StoredPlan {
                segment: plan.segment.clone(),
                jobs: plan.jobs.clone(),
                failures: store_failures(&plan.failures),
                rows: plan.rows,
            }),
            segments: lineage.segments,
            engines: lineage.engines.clone().into_iter().collect(),
            failed_attempts: lineage.failed_attempts,
            paused: lineage.paused,
        }
    }

    pub(super) fn into_lineage(self) -> Result<LineageSnapshot, BadRecord> {
        let revisions = self.revisions.into_iter().map(StoredRevision::into_revision);
        let id = |(id, revision, index)| (JobId(id), Origin { revision, index });
        let plan = |plan: StoredPlan| -> Result<Plan, BadRecord> {
            let StoredPlan { segment, jobs, failures, rows } = plan;
            Ok(Plan { segment, jobs, failures: read_failures(failures)?, rows })
        };
        Ok(LineageSnapshot {
            sweep: name(&self.sweep)?,
            revisions: revisions.collect(),
            ids: self.ids.into_iter().map(id).collect(),
            members: self.members,
            jobs: self.jobs.into_iter().map(StoredJob::into_job).collect::<Result<_, _>>()?,
            unsealed: self.unsealed,
            sealed_rows: self.sealed_rows,
            failures: read_failures(self.failures)?,
            last_words: self.last_words,
            plan: self.plan.map(plan).transpose()?,
            segments: self.segments,
            engines: self.engines.into_iter().collect(),
            failed_attempts: self.failed_attempts,
            paused: self.paused,
        })
    }
}

impl StoredJob {
    pub(super) fn of(job: &JobSnapshot) -> Self {
        Self {
            number: job.number,
            state: match job.state {
                State::Queued { not_before } => {
                    StoredState::Queued { not_before: not_before.as_micros() }
                }
                State::Leased { worker } => StoredState::Leased { worker: worker.0 },
                State::Committed { diverged } => StoredState::Committed { diverged },
                State::Abandoned { class } => {
                    StoredState::Abandoned { class: class.as_str().to_owned() }
                }
                State::Cancelled => StoredState::Cancelled,
            },
            last: job.last.0,
            failures: job.failures,
            losses: job.losses,
            steps: job.rows.steps,
            confusion: job.rows.confusion,
            checkpoint: job.checkpoint.as_deref().map(StoredCheckpoint::of),
            earlier: job.earlier.as_deref().map(StoredCheckpoint::of),
        }
    }

    pub(super) fn into_job(self) -> Result<JobSnapshot, BadRecord> {
        Ok(JobSnapshot {
            number: self.number,
            state: match self.state {
                StoredState::Queued { not_before } => {
                    State::Queued { not_before: Timestamp::from_micros(not_before) }
                }
                StoredState::Leased { worker } => State::Leased { worker: WorkerId(worker) },
                StoredState::Committed { diverged } => State::Committed { diverged },
                StoredState::Abandoned { class: text } => State::Abandoned { class: class(&text)? },
                StoredState::Cancelled => State::Cancelled,
            },
            last: AttemptNo(self.last),
            failures: self.failures,
            losses: self.losses,
            rows: RowCounts { steps: self.steps, confusion: self.confusion },
            checkpoint: self.checkpoint.map(StoredCheckpoint::boxed),
            earlier: self.earlier.map(StoredCheckpoint::boxed),
            kept: Vec::new(),
        })
    }
}

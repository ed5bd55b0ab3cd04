//! The job machine: every decision of the coordinator, and nothing else.
//!
//! `decide_*` methods read and never write; [`Machine::apply`] writes and never chooses. Time comes in as an argument.
//! Replaying the journal's events through `apply` gives the machine that lived them. Who holds a lease until when, and
//! which workers there are, is not here but in the shell: a restart may forget it.

pub mod invariants;
mod job;
mod lineage;
mod seal;
mod snapshot;
mod submit;

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{AttemptNo, Digest, JobId, SweepName, Timestamp, WorkerId};

pub use job::{
    Change, Failed, Input, Job, Origin, OutOfOrder, Refusal, RetryPolicy, RowCounts, State,
};
pub use lineage::{FailureRecord, JobNo, Lineage, Plan, Revision};
pub use seal::{SEGMENT_ROWS_MIN, SegmentName};
pub use snapshot::{JobSnapshot, LineageSnapshot, Snapshot};
pub use submit::{SubmitRefusal, SubmitReport, Terms};

/// A durable fact. The journal stores these, so a variant is never changed, only added.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A revision of a sweep was taken in.
    Submitted(Submitted),
    Job {
        sweep: SweepName,
        job: JobId,
        change: Change,
    },
    /// A segment of this name holds, or will hold, exactly these jobs and the oldest failures not sealed before.
    SegmentPlanned {
        sweep: SweepName,
        segment: String,
        jobs: Vec<JobId>,
        failures: u64,
    },
    /// Its files are complete and visible.
    SegmentSealed {
        sweep: SweepName,
        segment: String,
    },
    /// No job of the sweep is given out from now on, or again.
    Paused {
        sweep: SweepName,
        paused: bool,
    },
}

/// A revision, and the jobs that it asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Submitted {
    pub revision: HandedIn,
    /// The job of every point of its grid, in order: each is the digest of a spec, so they are kept and not made again.
    pub jobs: Arc<[JobId]>,
}

/// A revision as it was handed in.
#[derive(Clone, Debug, PartialEq)]
pub struct HandedIn {
    /// Canonical JSON of the sweep.
    pub canonical: String,
    pub file_name: String,
    pub file_text: String,
    pub at: Timestamp,
}

/// An event that cannot follow the events before it: the journal is damaged, or written by another program.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Inconsistent {
    #[error("a stored sweep cannot be read: {0}")]
    Sweep(#[from] domain::CanonicalError),
    #[error("sweep {sweep} has {points} points and {found} jobs")]
    Points { sweep: SweepName, points: u64, found: u64 },
    #[error("sweep {sweep} is not known")]
    UnknownSweep { sweep: SweepName },
    #[error("job {job} of sweep {sweep} is not known")]
    UnknownJob { sweep: SweepName, job: JobId },
    #[error("job {job}: {source}")]
    OutOfOrder { job: JobId, source: OutOfOrder },
    #[error("segment {segment} cannot follow: {problem}")]
    Segment { segment: String, problem: &'static str },
}

/// What a worker offers to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub worker: WorkerId,
    pub cores: u32,
    pub memory_bytes: u64,
    pub engine_revision: String,
    pub instruction_set: String,
    /// Whether it does nothing else.
    pub is_idle: bool,
}

/// All sweeps and their jobs.
#[derive(Debug, Default, PartialEq)]
pub struct Machine {
    lineages: BTreeMap<SweepName, Lineage>,
}

impl Machine {
    /// The machine that began as `snapshot` and lived through `events`, oldest first.
    ///
    /// # Errors
    /// The number of the first event that cannot follow those before it, counted from 1; 0: the snapshot itself.
    pub fn replay(snapshot: Snapshot, events: &[Event]) -> Result<Self, (usize, Inconsistent)> {
        let mut machine = Self::restore(snapshot).map_err(|problem| (0, problem))?;
        for (number, event) in (1..).zip(events) {
            machine.apply(event).map_err(|problem| (number, problem))?;
        }
        Ok(machine)
    }

    /// The time before which no clock may start that goes on with this machine: else a job that waits for its next try
    /// would wait for as long as the clock was set back.
    pub fn latest(&self) -> Timestamp {
        let of = |lineage: &Lineage| {
            let revisions = lineage.revisions().iter().map(|revision| revision.handed_in.at);
            revisions.chain(lineage.latest_retry().map(RetryPolicy::waited_from)).max()
        };
        self.lineages.values().filter_map(of).max().unwrap_or(Timestamp::ZERO)
    }

    /// Every lineage by name.
    pub fn lineages(&self) -> impl Iterator<Item = (&SweepName, &Lineage)> {
        self.lineages.iter()
    }

    /// The lineage of this name.
    pub fn lineage(&self, sweep: &SweepName) -> Option<&Lineage> {
        self.lineages.get(sweep)
    }

    /// A job by its sweep and id.
    pub fn job(&self, sweep: &SweepName, job: JobId) -> Option<&Job> {
        let lineage = self.lineages.get(sweep)?;
        Some(lineage.job(lineage.number(job)?))
    }

    /// What `input` would change about a job.
    ///
    /// # Errors
    /// The job's refusal, or `None` where there is no such job.
    pub fn decide_job(
        &self,
        now: Timestamp,
        sweep: &SweepName,
        job: JobId,
        input: Input,
    ) -> Result<Option<Event>, Option<Refusal>> {
        let lineage = self.lineages.get(sweep).ok_or(None)?;
        let number = lineage.number(job).ok_or(None)?;
        let policy = RetryPolicy::of_attempts(lineage.current().sweep.run().attempts);
        let change = lineage.job(number).decide(now, &policy, input).map_err(Some)?;
        Ok(change.map(|change| Event::Job { sweep: sweep.clone(), job, change }))
    }

    /// The lease that `offer` should get now: of the sweeps with a job that fits, the one of highest priority, among
    /// those the one with the fewest running jobs; in a sweep, jobs whose wait after a failure is over, then grid order. What
    /// may kill its worker comes after everything else, and only to one that is idle.
    pub fn decide_grant(&self, now: Timestamp, offer: &Offer) -> Option<Event> {
        let fitting = self.lineages.iter().filter(|(_, lineage)| lineage.fits(offer));
        let candidates =
            fitting.filter_map(|(name, lineage)| Some((name, lineage, lineage.next(now, offer)?)));
        let (sweep, lineage, number) = candidates.min_by_key(|(_, lineage, number)| {
            let priority = -i64::from(lineage.current().sweep.run().priority);
            (lineage.job(*number).is_suspect(), priority, lineage.counts().leased)
        })?;
        let job = lineage.job(number);
        let keep = lineage.current().sweep.run().keep_weights;
        let resume = job.checkpoint.as_ref().is_some_and(|checkpoint| {
            checkpoint.engine_revision == offer.engine_revision
                && checkpoint.instruction_set == offer.instruction_set
                && job.has_kept_as(keep)
        });
        let input = Input::Grant { worker: offer.worker, resume };
        self.decide_job(now, sweep, job.id, input).ok().flatten()
    }

    /// What pausing a sweep, or letting it go on, would change; `None` where it already is as asked.
    pub fn decide_pause(&self, sweep: &SweepName, paused: bool) -> Option<Event> {
        let lineage = self.lineages.get(sweep)?;
        (lineage.is_paused() != paused).then(|| Event::Paused { sweep: sweep.clone(), paused })
    }

    /// When a job that waits after a failure may next be tried; `None` where none waits.
    pub fn next_retry(&self) -> Option<Timestamp> {
        self.lineages.values().filter_map(Lineage::next_retry).min()
    }

    /// Every open lease: after a restart each gets one full term.
    pub fn leases(&self) -> impl Iterator<Item = (SweepName, JobId, WorkerId, AttemptNo)> + '_ {
        self.lineages.iter().flat_map(|(name, lineage)| {
            lineage.leased().map(|(job, worker)| (name.clone(), job.id, worker, job.last))
        })
    }

    /// The blobs of every job that needs any, whatever revision asked for the job.
    pub fn blobs(&self) -> impl Iterator<Item = Digest> + '_ {
        let jobs = self.lineages.values().flat_map(Lineage::all_jobs);
        jobs.flat_map(Job::blobs)
    }

    /// Records an event that is durable. On an error the machine is as it was.
    pub fn apply(&mut self, event: &Event) -> Result<(), Inconsistent> {
        match event {
            Event::Submitted(submitted) => self.apply_submitted(submitted),
            Event::Job { sweep, job, change } => {
                self.lineage_mut(sweep)?.change(sweep, *job, change)
            }
            Event::SegmentPlanned { sweep, segment, jobs, failures } => {
                self.lineage_mut(sweep)?.plan(sweep, segment, jobs, *failures)
            }
            Event::SegmentSealed { sweep, segment } => self.lineage_mut(sweep)?.seal(segment),
            Event::Paused { sweep, paused } => {
                self.lineage_mut(sweep)?.pause(*paused);
                Ok(())
            }
        }
    }

    fn lineage_mut(&mut self, sweep: &SweepName) -> Result<&mut Lineage, Inconsistent> {
        self.lineages
            .get_mut(sweep)
            .ok_or_else(|| Inconsistent::UnknownSweep { sweep: sweep.clone() })
    }
}

#[cfg(test)]
mod tests;

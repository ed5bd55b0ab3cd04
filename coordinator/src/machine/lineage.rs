//! A sweep's lineage: its revisions, its jobs whatever revision asked for them, and what waits to be run or sealed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::sweep::Specs;
use domain::{FailureReport, JobId, JobSpec, Sweep, SweepId, SweepName, Timestamp, WorkerId};
use proto::message::JobCounts;

use super::job::{Change, Failed, Job, Origin, State};
use super::snapshot::{JobSnapshot, LineageSnapshot, unknown};
use super::{HandedIn, Inconsistent, Offer};

/// Different engine revisions that a sweep tells apart: a fleet has one, and while it is upgraded two.
pub const ENGINES_MAX: usize = 16;

/// Stands for all the others.
pub const OTHER_ENGINES: &str = "(others)";

/// The place of a job in its lineage.
pub type JobNo = u32;

/// Members that are found by their state: those that are ready, those that wait after a failure, the suspects, and those that
/// were given up.
pub(super) type Found =
    (BTreeSet<JobNo>, BTreeSet<(Timestamp, JobNo)>, BTreeSet<(Timestamp, JobNo)>, BTreeSet<JobNo>);

/// One revision of a sweep. Revisions of the same id have the same content.
#[derive(Debug)]
pub struct Revision {
    pub sweep: Sweep,
    pub id: SweepId,
    pub handed_in: HandedIn,
    /// Specs that were wanted before: a memory of what follows from `sweep`, and no state.
    specs: Mutex<Specs>,
}

impl Revision {
    /// The revision that was handed in.
    pub(super) fn read(handed_in: HandedIn) -> Result<Self, Inconsistent> {
        let sweep = Sweep::from_canonical(&handed_in.canonical)?;
        Ok(Self { id: sweep.id(), sweep, handed_in, specs: Mutex::default() })
    }

    fn specs(&self) -> MutexGuard<'_, Specs> {
        self.specs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartialEq for Revision {
    fn eq(&self, other: &Self) -> bool {
        (self.id, self.handed_in.at) == (other.id, other.handed_in.at)
    }
}

/// A failure that waits to be sealed.
#[derive(Clone, Debug, PartialEq)]
pub struct FailureRecord {
    pub job: JobNo,
    pub failed: Failed,
}

/// A segment whose name is recorded and whose files may not be there yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub segment: String,
    /// In the order of their ids.
    pub jobs: Vec<JobNo>,
    pub failures: Vec<FailureRecord>,
    pub rows: u64,
}

/// One sweep name and everything under it.
#[derive(Debug, Default, PartialEq)]
pub struct Lineage {
    revisions: Vec<Revision>,
    jobs: Vec<Job>,
    numbers: HashMap<JobId, JobNo>,
    /// Jobs of the current revision, in grid order.
    members: Vec<JobNo>,
    is_member: Vec<bool>,
    /// Members that are queued and need not wait.
    ready: BTreeSet<JobNo>,
    /// Members that are queued and wait after a failure.
    delayed: BTreeSet<(Timestamp, JobNo)>,
    /// Members that are queued and may be what kills their workers.
    suspects: BTreeSet<(Timestamp, JobNo)>,
    /// Members that were given up.
    abandoned: BTreeSet<JobNo>,
    leased: BTreeSet<JobNo>,
    counts: JobCounts,
    /// Engine revisions of the committed jobs.
    engines: BTreeMap<String, u64>,
    unsealed: Vec<JobNo>,
    unsealed_rows: u64,
    sealed_rows: u64,
    failures: Vec<FailureRecord>,
    /// How the latest attempt of each job failed that had one: class, message, code and signal.
    last_words: BTreeMap<JobNo, String>,
    plan: Option<Plan>,
    segments: u64,
    paused: bool,
}

impl Lineage {
    /// The revision that was taken in last.
    ///
    /// # Panics
    /// Never: a lineage begins with its first revision.
    pub fn current(&self) -> &Revision {
        self.revisions.last().expect("a lineage begins with its first revision")
    }

    /// Every revision, the current one last.
    pub fn revisions(&self) -> &[Revision] {
        &self.revisions
    }

    /// The number of the job with this id.
    pub fn number(&self, id: JobId) -> Option<JobNo> {
        self.numbers.get(&id).copied()
    }

    /// A job by its number.
    pub fn job(&self, number: JobNo) -> &Job {
        &self.jobs[number as usize]
    }

    /// Jobs of the current revision, in grid order.
    pub fn members(&self) -> &[JobNo] {
        &self.members
    }

    /// Jobs of the current revision by state.
    pub fn counts(&self) -> JobCounts {
        self.counts
    }

    /// Engine revisions of the committed jobs, and how many each.
    pub fn engines(&self) -> &BTreeMap<String, u64> {
        &self.engines
    }

    /// The spec of a job, expanded from its grid.
    pub fn spec(&self, number: JobNo) -> JobSpec {
        let Origin { revision, index } = self.job(number).origin;
        let revision = &self.revisions[revision as usize];
        revision.specs().job(&revision.sweep, index)
    }

    /// The canonical text of a job's spec.
    pub fn spec_text(&self, number: JobNo) -> String {
        let Origin { revision, index } = self.job(number).origin;
        let revision = &self.revisions[revision as usize];
        revision.specs().text(&revision.sweep, index)
    }

    /// The point of a job in words, as `width=64 depth=2 seed=0`.
    pub fn point(&self, number: JobNo) -> String {
        let Origin { revision, index } = self.job(number).origin;
        self.revisions[revision as usize].sweep.point(index).to_string()
    }

    /// The revision that asked for a job first.
    pub fn origin(&self, number: JobNo) -> SweepId {
        self.revisions[self.job(number).origin.revision as usize].id
    }

    /// Whether a worker can run jobs of the current revision at all.
    pub fn fits(&self, offer: &Offer) -> bool {
        let run = self.current().sweep.run();
        run.threads <= offer.cores && run.memory.is_none_or(|bytes| bytes <= offer.memory_bytes)
    }

    /// Whether its jobs wait until somebody lets them go on.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    pub(super) fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Whether the current revision asks for the job.
    pub fn asks_for(&self, number: JobNo) -> bool {
        self.is_member[number as usize]
    }

    /// Whether the job is committed and its rows are not in a visible file yet.
    pub fn waits_to_be_sealed(&self, number: JobNo) -> bool {
        let planned = self.plan.as_ref().is_some_and(|plan| plan.jobs.contains(&number));
        planned || self.unsealed.contains(&number)
    }

    /// The job to run next on such a worker.
    pub fn next(&self, now: Timestamp, offer: &Offer) -> Option<JobNo> {
        if self.paused {
            return None;
        }
        let due = |jobs: &BTreeSet<(Timestamp, JobNo)>| {
            jobs.first().filter(|(at, _)| *at <= now).map(|(_, number)| *number)
        };
        let suspect = || if offer.is_idle { due(&self.suspects) } else { None };
        due(&self.delayed).or_else(|| self.ready.first().copied()).or_else(suspect)
    }

    /// When the first job that waits after a failure may be tried again.
    pub fn next_retry(&self) -> Option<Timestamp> {
        self.delayed.first().into_iter().chain(self.suspects.first()).map(|(at, _)| *at).min()
    }

    /// When the last job that waits after a failure may be tried again.
    pub(super) fn latest_retry(&self) -> Option<Timestamp> {
        self.delayed.last().into_iter().chain(self.suspects.last()).map(|(at, _)| *at).max()
    }

    /// Leased jobs, of whatever revision, with their workers.
    pub fn leased(&self) -> impl Iterator<Item = (&Job, WorkerId)> {
        self.leased.iter().filter_map(|&number| match self.job(number).state {
            State::Leased { worker } => Some((self.job(number), worker)),
            _ => None,
        })
    }

    /// Members that were given up, by number.
    pub fn abandoned(&self) -> impl Iterator<Item = &Job> {
        self.abandoned.iter().map(|&number| self.job(number))
    }

    /// Jobs that go before a queued one.
    pub fn ready_before(&self, number: JobNo) -> usize {
        self.ready.range(..number).count()
    }

    /// Jobs of all revisions.
    pub fn job_count(&self) -> usize {
        self.jobs.len()
    }

    /// Whether no member is queued or running.
    pub fn is_settled(&self) -> bool {
        self.counts.settled() == self.members.len() as u64
    }

    /// Whether every committed row and every failure is in a visible file.
    pub fn is_sealed(&self) -> bool {
        self.unsealed.is_empty() && self.failures.is_empty() && self.plan.is_none()
    }

    /// The segment that is being written.
    pub fn planned(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    pub(super) fn unsealed(&self) -> (&[JobNo], u64) {
        (&self.unsealed, self.unsealed_rows)
    }

    pub(super) fn unsealed_failures(&self) -> u64 {
        self.failures.len() as u64
    }

    pub(super) fn sealed_rows(&self) -> u64 {
        self.sealed_rows
    }

    pub(super) fn segment_count(&self) -> u64 {
        self.segments
    }

    /// Adds a revision, with the job of each of its points: new ones are queued, known ones stay as they are. Points that
    /// are the same job count once.
    pub(super) fn add_revision(&mut self, revision: Revision, ids: &[JobId]) {
        let number_of_revision = self.revisions.len() as u32;
        let at = revision.handed_in.at;
        self.members.clear();
        self.is_member.fill(false);
        for (index, &id) in (0..).zip(ids) {
            let origin = Origin { revision: number_of_revision, index };
            let number = self.numbers.get(&id).copied();
            let number = number.unwrap_or_else(|| self.add_job(Job::new(id, origin, at)));
            self.add_member(number);
        }
        self.members.shrink_to_fit();
        self.jobs.shrink_to_fit();
        self.revisions.push(revision);
        self.recount();
    }

    fn add_job(&mut self, job: Job) -> JobNo {
        let number = self.jobs.len() as JobNo;
        self.numbers.insert(job.id, number);
        self.jobs.push(job);
        self.is_member.push(false);
        number
    }

    fn add_member(&mut self, number: JobNo) {
        if !std::mem::replace(&mut self.is_member[number as usize], true) {
            self.members.push(number);
        }
    }

    fn recount(&mut self) {
        self.ready.clear();
        self.delayed.clear();
        self.suspects.clear();
        self.abandoned.clear();
        self.counts =
            JobCounts { failed_attempts: self.counts.failed_attempts, ..JobCounts::default() };
        for number in self.members.clone() {
            self.enter(number);
        }
    }

    /// Puts a member into the set and the count of its state.
    fn enter(&mut self, number: JobNo) {
        let job = &self.jobs[number as usize];
        match job.state {
            State::Queued { not_before } if job.is_suspect() => {
                self.suspects.insert((not_before, number));
            }
            State::Queued { not_before } if not_before == Timestamp::ZERO => {
                self.ready.insert(number);
            }
            State::Queued { not_before } => {
                self.delayed.insert((not_before, number));
            }
            State::Abandoned { .. } => {
                self.abandoned.insert(number);
            }
            State::Leased { .. } | State::Committed { .. } | State::Cancelled => {}
        }
        let state = self.jobs[number as usize].state;
        self.count(state, |count| *count += 1);
    }

    /// Takes a member out of the set and the count of its state.
    fn leave(&mut self, number: JobNo) {
        let state = self.jobs[number as usize].state;
        match state {
            State::Queued { not_before } => {
                self.ready.remove(&number);
                self.delayed.remove(&(not_before, number));
                self.suspects.remove(&(not_before, number));
            }
            State::Abandoned { .. } => {
                self.abandoned.remove(&number);
            }
            State::Leased { .. } | State::Committed { .. } | State::Cancelled => {}
        }
        self.count(state, |count| *count -= 1);
    }

    fn count(&mut self, state: State, change: fn(&mut u64)) {
        let counts = &mut self.counts;
        match state {
            State::Queued { .. } => change(&mut counts.queued),
            State::Leased { .. } => change(&mut counts.leased),
            State::Committed { diverged } => {
                change(&mut counts.committed);
                if diverged {
                    change(&mut counts.diverged);
                }
            }
            State::Abandoned { .. } => change(&mut counts.abandoned),
            State::Cancelled => change(&mut counts.cancelled),
        }
    }

    /// Applies a change to one job and keeps the sets and counts in step.
    pub(super) fn change(
        &mut self,
        sweep: &SweepName,
        id: JobId,
        change: &Change,
    ) -> Result<(), Inconsistent> {
        let unknown = || Inconsistent::UnknownJob { sweep: sweep.clone(), job: id };
        let number = self.number(id).ok_or_else(unknown)?;
        let mut job = self.jobs[number as usize].clone();
        job.apply(change).map_err(|source| Inconsistent::OutOfOrder { job: id, source })?;
        let member = self.is_member[number as usize];
        if member {
            self.leave(number);
        }
        self.jobs[number as usize] = job;
        if member {
            self.enter(number);
        }
        match self.jobs[number as usize].state {
            State::Leased { .. } => self.leased.insert(number),
            _ => self.leased.remove(&number),
        };
        match change {
            Change::Committed { engine, .. } => {
                self.unsealed.push(number);
                self.unsealed_rows += self.jobs[number as usize].row_total();
                let is_one_more =
                    self.engines.len() >= ENGINES_MAX && !self.engines.contains_key(engine);
                let engine = if is_one_more { OTHER_ENGINES } else { engine };
                *self.engines.entry(engine.to_owned()).or_default() += 1;
            }
            Change::Failed(failed) => {
                self.counts.failed_attempts += 1;
                self.last_words.insert(number, words(&failed.report));
                self.failures.push(FailureRecord { job: number, failed: failed.clone() });
            }
            _ => {}
        }
        Ok(())
    }

    /// Records that a segment of this name takes these jobs and the oldest `failures` failures.
    pub(super) fn plan(
        &mut self,
        sweep: &SweepName,
        segment: &str,
        jobs: &[JobId],
        failures: u64,
    ) -> Result<(), Inconsistent> {
        let wrong = |problem| Inconsistent::Segment { segment: segment.to_owned(), problem };
        if self.plan.is_some() {
            return Err(wrong("another segment is being written"));
        }
        let failures = usize::try_from(failures).unwrap_or(usize::MAX);
        if failures > self.failures.len() {
            return Err(wrong("there are not so many failures"));
        }
        let number = |&id| {
            self.number(id)
                .ok_or_else(|| Inconsistent::UnknownJob { sweep: sweep.clone(), job: id })
        };
        let numbers = jobs.iter().map(number).collect::<Result<Vec<_>, _>>()?;
        let taken: BTreeSet<_> = numbers.iter().copied().collect();
        let left: Vec<_> = self.unsealed.iter().copied().filter(|n| !taken.contains(n)).collect();
        if left.len() + taken.len() != self.unsealed.len() || taken.len() != numbers.len() {
            return Err(wrong("it takes a job that is not waiting to be sealed"));
        }
        let rows = numbers.iter().map(|&number| self.jobs[number as usize].row_total()).sum();
        self.unsealed = left;
        self.unsealed_rows -= rows;
        let failures = self.failures.drain(..failures).collect();
        self.plan = Some(Plan { segment: segment.to_owned(), jobs: numbers, failures, rows });
        self.segments += 1;
        Ok(())
    }

    /// Records that the planned segment's files are visible.
    pub(super) fn seal(&mut self, segment: &str) -> Result<(), Inconsistent> {
        match self.plan.take() {
            Some(plan) if plan.segment == segment => {
                self.sealed_rows += plan.rows;
                for number in plan.jobs {
                    self.jobs[number as usize].seal();
                }
                Ok(())
            }
            other => {
                self.plan = other;
                let problem = "it is not the one that was planned";
                Err(Inconsistent::Segment { segment: segment.to_owned(), problem })
            }
        }
    }

    pub(super) fn snapshot(&self, sweep: &SweepName) -> LineageSnapshot {
        let jobs = (0..).zip(&self.jobs);
        LineageSnapshot {
            sweep: sweep.clone(),
            revisions: self.revisions.iter().map(|r| r.handed_in.clone()).collect(),
            ids: self.jobs.iter().map(|job| (job.id, job.origin)).collect(),
            members: self.members.clone(),
            jobs: jobs.filter_map(|(number, job)| JobSnapshot::of(number, job)).collect(),
            unsealed: self.unsealed.clone(),
            sealed_rows: self.sealed_rows,
            failures: self.failures.clone(),
            last_words: self.last_words.clone().into_iter().collect(),
            plan: self.plan.clone(),
            segments: self.segments,
            engines: self.engines.clone(),
            failed_attempts: self.counts.failed_attempts,
            paused: self.paused,
        }
    }

    /// The lineage of a snapshot.
    pub(super) fn restore(snapshot: LineageSnapshot) -> Result<Self, Inconsistent> {
        let mut lineage = Self::default();
        let revisions = snapshot.revisions.iter().cloned().map(Revision::read);
        lineage.revisions = revisions.collect::<Result<_, _>>()?;
        lineage.jobs.reserve_exact(snapshot.ids.len());
        lineage.numbers.reserve(snapshot.ids.len());
        for &(id, origin) in &snapshot.ids {
            let revision = lineage.revisions.get(origin.revision as usize);
            let revision = revision.filter(|revision| origin.index < revision.sweep.len());
            let at = revision.ok_or_else(|| unknown(&snapshot.sweep))?.handed_in.at;
            lineage.add_job(Job::new(id, origin, at));
        }
        lineage.take_over(snapshot)?;
        Ok(lineage)
    }

    /// Takes over what its jobs have been through. They are new before.
    fn take_over(&mut self, snapshot: LineageSnapshot) -> Result<(), Inconsistent> {
        let plan = snapshot.plan.iter();
        let planned = plan.flat_map(|plan| {
            plan.jobs.iter().copied().chain(plan.failures.iter().map(|record| record.job))
        });
        let named = (snapshot.jobs.iter().map(|job| job.number))
            .chain(snapshot.unsealed.iter().copied())
            .chain(snapshot.failures.iter().map(|record| record.job))
            .chain(snapshot.last_words.iter().map(|(number, _)| *number))
            .chain(snapshot.members.iter().copied())
            .chain(planned);
        if self.revisions.is_empty() || !self.knows(named) {
            return Err(unknown(&snapshot.sweep));
        }
        self.members.reserve_exact(snapshot.members.len());
        snapshot.members.iter().for_each(|&number| self.add_member(number));
        for job in snapshot.jobs {
            let number = job.number;
            job.put(&mut self.jobs[number as usize]);
            if let State::Leased { .. } = self.jobs[number as usize].state {
                self.leased.insert(number);
            }
        }
        let rows = snapshot.unsealed.iter().map(|&number| self.jobs[number as usize].row_total());
        self.unsealed_rows = rows.sum();
        self.unsealed = snapshot.unsealed;
        self.sealed_rows = snapshot.sealed_rows;
        self.failures = snapshot.failures;
        self.last_words = snapshot.last_words.into_iter().collect();
        self.plan = snapshot.plan;
        self.segments = snapshot.segments;
        self.engines = snapshot.engines;
        self.paused = snapshot.paused;
        self.counts.failed_attempts = snapshot.failed_attempts;
        self.recount();
        Ok(())
    }

    /// The sets and counts as they follow from the jobs' states: what [`super::invariants`] compares with.
    pub(super) fn derived(&self) -> (Found, JobCounts) {
        let mut fresh = Self {
            jobs: self.jobs.clone(),
            members: self.members.clone(),
            is_member: self.is_member.clone(),
            ..Self::default()
        };
        fresh.counts.failed_attempts = self.counts.failed_attempts;
        fresh.recount();
        ((fresh.ready, fresh.delayed, fresh.suspects, fresh.abandoned), fresh.counts)
    }

    /// The sets and counts as they are kept.
    pub(super) fn kept(&self) -> (Found, JobCounts) {
        let (ready, delayed) = (self.ready.clone(), self.delayed.clone());
        ((ready, delayed, self.suspects.clone(), self.abandoned.clone()), self.counts)
    }

    /// Every job, by number.
    pub(super) fn all_jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// How the latest attempt of a job failed that had one: class, message, code and signal.
    pub fn last_words(&self, number: JobNo) -> Option<String> {
        let words = self.last_words.get(&number)?;
        match self.job(number).state {
            // An older journal kept the message alone.
            State::Abandoned { class } if !words.starts_with(&format!("{class}: ")) => {
                Some(format!("{class}: {words}"))
            }
            _ => Some(words.clone()),
        }
    }
}

/// What is remembered of a failure: its class and message, and the code or signal where the message does not tell it.
fn words(report: &FailureReport) -> String {
    let FailureReport { class, exit_code, signal, message, log_tail: _ } = report;
    let mut words = format!("{class}: {message}");
    let numbers = [("code", exit_code), ("signal", signal)];
    let numbers = numbers.into_iter().filter_map(|(what, number)| Some((what, (*number)?)));
    for (what, number) in numbers {
        let is_told = [format!("{what} {number}"), format!("({number})")];
        if !is_told.iter().any(|told| message.contains(told)) {
            words.push_str(&format!(" ({what} {number})"));
        }
    }
    words
}

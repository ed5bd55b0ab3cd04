//! The state behind the loop: the machine, who holds what until when, and what is owed to the world once it is durable.
//!
//! Methods take a request, decide, apply in memory, and queue events, spool changes and effects. Nothing leaves before
//! [`super::run`] has made the queued batch durable.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use domain::{
    Digest, Epoch, JobId, JournalId, Sweep, SweepId, SweepName, Table, Timestamp, WorkerId,
};
use proto::error::ApiError;
use proto::message::{Attempt, Grant, Progress, ToWorker};
use tokio::sync::{mpsc, oneshot};

use super::blame::Blame;
use super::handle::data_sets;
use super::leases::{JobKey, Leases};
use super::request::{Request, Told};
use super::roster::Roster;
use super::watch::Watchers;
use crate::journal::{Batch, SpoolChange};
use crate::machine::{Change, Event, Input, Job, Lineage, Machine, SegmentName, State};

/// What is owed once the batch is durable.
#[derive(Default)]
pub struct Owed {
    pub to_workers: Vec<(WorkerId, ToWorker)>,
    pub replies: Vec<Told>,
    /// Segments to write.
    pub segments: Vec<SweepName>,
    /// Revisions to put on record beside the results.
    pub revisions: Vec<SweepName>,
    /// Blobs that nobody has spoken of since the start.
    pub strays: Vec<Digest>,
    /// Checkpoints and weights that nobody needs any more.
    pub dead_blobs: BTreeSet<Digest>,
}

/// A flush that goes on: how many segments it made so far, and who waits for it.
#[derive(Default)]
pub struct Flush {
    segments: u64,
    pub waiting: Vec<oneshot::Sender<Result<u64, ApiError>>>,
}

/// The latest news of a running attempt.
pub struct Heard {
    pub progress: Progress,
    /// Since when it is at this step.
    pub since: Timestamp,
}

impl Heard {
    /// What is known now that `progress` was heard, after `before`.
    pub fn after(before: Option<&Self>, progress: Progress, now: Timestamp) -> Self {
        let is_same = |before: &&Self| {
            let (old, new) = (&before.progress, &progress);
            (&old.attempt, old.step, old.steps) == (&new.attempt, new.step, new.steps)
        };
        let since = before.filter(is_same).map_or(now, |before| before.since);
        Self { progress, since }
    }
}

/// Says whether a blob is here.
pub type HasBlob = Box<dyn Fn(Digest) -> bool + Send>;

/// What the loop works on.
pub struct Core {
    pub machine: Machine,
    pub roster: Roster,
    pub leases: Leases,
    pub blame: Blame,
    pub watchers: Watchers,
    /// How many jobs need each blob: two sweeps that ask for the same job make the same bytes.
    pub blobs: HashMap<Digest, u32>,
    /// The data sets of every revision: a worker may name one as its checkpoint, and lets go of it as such.
    data_sets: HashSet<Digest>,
    /// Whether a blob is here.
    has_blob: HasBlob,
    /// Latest news of running attempts, from heartbeats.
    pub progress: HashMap<JobKey, Heard>,
    pub batch: Batch,
    pub owed: Owed,
    pub flushes: BTreeMap<SweepName, Flush>,
    /// Sweeps that changed since segments were last planned: no other can be due.
    touched: BTreeSet<SweepName>,
    /// When to try segments and records again that could not be written.
    pub retry_segments_at: Option<Timestamp>,
    /// Why segments cannot be written; empty when they can.
    pub trouble: String,
    /// Sweeps whose planned segment could not be written: those alone are tried again. Another one may be on its way.
    pub unwritten: BTreeSet<SweepName>,
    /// Revisions whose record could not be written, and why.
    pub unrecorded: BTreeMap<(SweepName, SweepId), String>,
    pub lease: Duration,
    /// When the last turn began.
    turned_at: Timestamp,
    pub journal: JournalId,
    pub epoch: Epoch,
    pub results: String,
}

impl Core {
    /// A core that goes on with `machine` at `now`.
    pub fn new(machine: Machine, settings: Settings, now: Timestamp) -> Self {
        let mut leases = Leases::default();
        for (sweep, job, _, _) in machine.leases() {
            leases.set((sweep, job), now + settings.lease);
        }
        let mut blobs = HashMap::new();
        for digest in machine.blobs() {
            *blobs.entry(digest).or_default() += 1;
        }
        let revisions = machine.lineages().flat_map(|(_, lineage)| lineage.revisions());
        let data_sets = revisions.flat_map(|revision| data_sets(&revision.sweep)).collect();
        let touched = machine.lineages().map(|(name, _)| name.clone()).collect();
        let planned = machine.lineages().filter(|(_, lineage)| lineage.planned().is_some());
        let owed = Owed {
            segments: planned.map(|(name, _)| name.clone()).collect(),
            revisions: machine.lineages().map(|(name, _)| name.clone()).collect(),
            ..Owed::default()
        };
        Self {
            machine,
            roster: Roster::default(),
            leases,
            blame: Blame::default(),
            watchers: Watchers::default(),
            blobs,
            data_sets,
            has_blob: settings.has_blob,
            progress: HashMap::new(),
            batch: Batch::default(),
            owed,
            flushes: BTreeMap::new(),
            touched,
            retry_segments_at: None,
            trouble: String::new(),
            unwritten: BTreeSet::new(),
            unrecorded: BTreeMap::new(),
            lease: settings.lease,
            turned_at: now,
            journal: settings.journal,
            epoch: settings.epoch,
            results: settings.results,
        }
    }

    /// One turn of the loop, in memory: does the requests, and on a tick what time brings; then gives work out and plans
    /// segments. What is to be durable is in `batch`, and what is owed to the world once it is, in `owed`. Whether to
    /// go on.
    pub fn turn(
        &mut self,
        requests: impl Iterator<Item = Request>,
        ticked: bool,
        now: Timestamp,
    ) -> bool {
        self.notice_absence(now);
        let mut go_on = true;
        for request in requests {
            go_on &= self.handle(request, now);
        }
        if ticked {
            self.expire(now);
            if self.retry_segments_at.is_some_and(|at| at <= now) {
                self.retry_segments_at = None;
                self.owed.segments.extend(std::mem::take(&mut self.unwritten));
                let unrecorded: BTreeSet<_> =
                    self.unrecorded.keys().map(|(name, _)| name).collect();
                self.owed.revisions.extend(unrecorded.into_iter().cloned());
            }
        }
        if go_on {
            self.dispatch(now);
            self.plan_segments(now);
        }
        go_on
    }

    /// Frozen, without room on the disk, or on a disk that hung, the loop hears nobody. Where that took half a lease, workers
    /// have hung up and are on their way back: every lease gets a full term, as after a restart. After less, what they
    /// said meanwhile is read before any lease can run out.
    fn notice_absence(&mut self, now: Timestamp) {
        let away = now - std::mem::replace(&mut self.turned_at, now);
        if away >= self.lease / 2 {
            tracing::info!(
                away_s = away.as_secs_f64(),
                "heard nobody for a while: no lease ends for it"
            );
            self.leases.set_all(now + self.lease);
        }
    }

    /// Why results cannot be put in place; empty where they can.
    pub fn trouble(&self) -> &str {
        match self.unrecorded.values().next() {
            Some(unrecorded) if self.trouble.is_empty() => unrecorded,
            _ => &self.trouble,
        }
    }

    /// What makes this coordinator's segment names its own.
    pub fn segment_name(&self) -> SegmentName {
        SegmentName { journal: self.journal, epoch: self.epoch }
    }

    /// The lineage of this name, or the answer that there is none.
    pub fn lineage(&self, sweep: &SweepName) -> Result<&Lineage, ApiError> {
        let unknown = || ApiError::Unknown { what: format!("sweep {sweep}") };
        self.machine.lineage(sweep).ok_or_else(unknown)
    }

    /// Owes `answer` to whoever waits at `reply`.
    pub fn answer<T: Send + 'static>(
        &mut self,
        reply: oneshot::Sender<Result<T, ApiError>>,
        answer: Result<T, ApiError>,
    ) {
        // Whoever asked may have left: then nobody needs the answer.
        self.owed.replies.push(Box::new(move || drop(reply.send(answer))));
    }

    /// Owes a message to a worker.
    pub fn tell(&mut self, worker: WorkerId, message: ToWorker) {
        self.owed.to_workers.push((worker, message));
    }

    /// Applies an event that was just decided and queues it for the journal, with all that follows from it.
    ///
    /// # Panics
    /// If the machine refuses its own decision: a bug, and the journal makes stopping safe.
    pub fn record(&mut self, event: Event, now: Timestamp) {
        let concerned = self.concerned(&event);
        let before = self.blobs_of(&concerned);
        if let Event::Job { sweep, job, change } = &event {
            self.before(&(sweep.clone(), *job), change, now);
        }
        self.machine.apply(&event).expect("the machine decided this event a moment ago");
        match &event {
            Event::Job { sweep, .. }
            | Event::SegmentPlanned { sweep, .. }
            | Event::SegmentSealed { sweep, .. }
            | Event::Paused { sweep, .. } => self.touch(sweep),
            // Whoever took it in knows its name.
            Event::Submitted(_) => {}
        }
        match &event {
            Event::Job { sweep, job, change } => {
                self.after(&(sweep.clone(), *job), change, now);
            }
            Event::SegmentPlanned { sweep, .. } => self.owed.segments.push(sweep.clone()),
            Event::Submitted(_) | Event::SegmentSealed { .. } | Event::Paused { .. } => {}
        }
        self.count_blobs(&before, &self.blobs_of(&concerned));
        self.batch.events.push(event);
    }

    /// A sweep changed: a segment of it may be due.
    pub fn touch(&mut self, sweep: &SweepName) {
        if !self.touched.contains(sweep) {
            self.touched.insert(sweep.clone());
        }
    }

    /// The jobs whose need of blobs an event may change.
    fn concerned<'e>(&self, event: &'e Event) -> Option<(&'e SweepName, Vec<JobId>)> {
        match event {
            Event::Job { sweep, job, .. } => Some((sweep, vec![*job])),
            Event::SegmentSealed { sweep, .. } => {
                let lineage = self.machine.lineage(sweep)?;
                let jobs = lineage.planned()?.jobs.iter().map(|&number| lineage.job(number));
                Some((sweep, jobs.filter(|job| !job.kept.is_empty()).map(|job| job.id).collect()))
            }
            Event::Submitted(_) | Event::SegmentPlanned { .. } | Event::Paused { .. } => None,
        }
    }

    fn blobs_of(&self, jobs: &Option<(&SweepName, Vec<JobId>)>) -> Vec<Digest> {
        let Some((sweep, ids)) = jobs else { return Vec::new() };
        let jobs = ids.iter().filter_map(|&id| self.machine.job(sweep, id));
        jobs.flat_map(Job::blobs).collect()
    }

    /// The blobs that some jobs need were `before` and are `after`: one that nobody needs is owed its end.
    fn count_blobs(&mut self, before: &[Digest], after: &[Digest]) {
        if before == after {
            return;
        }
        for digest in after {
            let users = self.blobs.entry(*digest).or_default();
            *users += 1;
            // Somebody's again, in the turn in which it became nobody's.
            if *users == 1 {
                self.owed.dead_blobs.remove(digest);
            }
        }
        for digest in before {
            let Some(users) = self.blobs.get_mut(digest) else { continue };
            *users -= 1;
            if *users == 0 {
                self.blobs.remove(digest);
                if !self.data_sets.contains(digest) {
                    self.owed.dead_blobs.insert(*digest);
                }
            }
        }
    }

    /// A revision of `sweep` is taken in: its data sets are needed from now on.
    pub fn need_data_sets(&mut self, sweep: &Sweep) {
        for digest in data_sets(sweep) {
            self.data_sets.insert(digest);
            self.owed.dead_blobs.remove(&digest);
        }
    }

    /// Whether a blob is needed: as a data set of a revision, as a checkpoint that a job can go on from, or as kept weights
    /// that are in no file yet.
    pub fn is_needed(&self, digest: Digest) -> bool {
        self.blobs.contains_key(&digest) || self.data_sets.contains(&digest)
    }

    /// Whether a blob is here, and will be when what this turn decides is durable.
    pub fn has_blob(&self, digest: Digest) -> bool {
        (self.has_blob)(digest)
    }

    /// What a change ends, looked up while the job still says so.
    fn before(&mut self, key: &JobKey, change: &Change, now: Timestamp) {
        let Some(job) = self.machine.job(&key.0, key.1) else { return };
        let holder = match job.state {
            State::Leased { worker } => Some(worker),
            _ => None,
        };
        match change {
            Change::Leased { worker, .. } => {
                self.leases.set(key.clone(), now + self.lease);
                let is_suspect = job.is_suspect();
                self.roster.hold(*worker, key.clone(), is_suspect);
            }
            Change::Rows { .. }
            | Change::Checkpointed { .. }
            | Change::Weights { .. }
            | Change::Requeued => {}
            Change::Committed { .. }
            | Change::Failed(_)
            | Change::Released { .. }
            | Change::Cancelled => {
                self.leases.end(key);
                self.progress.remove(key);
                if let Some(worker) = holder {
                    self.roster.let_go(worker, key);
                }
            }
        }
    }

    /// What a change asks of the spool and of the watchers, now that the job is in its new state.
    fn after(&mut self, (sweep, id): &JobKey, change: &Change, now: Timestamp) {
        let (sweep, job) = (sweep.clone(), *id);
        match change {
            Change::Leased { resume: false, .. } => {
                self.batch.spool.push(SpoolChange::Drop { sweep, job });
            }
            Change::Leased { resume: true, attempt, worker } => {
                let attempt = attempt.0;
                tracing::info!(%sweep, %job, attempt, %worker, "a job goes on from its checkpoint");
                let rows = self.machine.job(&sweep, job).map(|job| job.rows).unwrap_or_default();
                for (table, from_row) in
                    [(Table::Steps, rows.steps), (Table::Confusion, rows.confusion)]
                {
                    let sweep = sweep.clone();
                    self.batch.spool.push(SpoolChange::Truncate { sweep, job, table, from_row });
                }
            }
            Change::Cancelled => self.batch.spool.push(SpoolChange::Drop { sweep, job }),
            Change::Failed(failed) => {
                let class = failed.report.class.as_str();
                let (attempt, worker) = (failed.attempt.0, failed.worker);
                let again = failed.again.map(|at| (at - now).as_secs_f64());
                tracing::info!(
                    %sweep, %job, attempt, %worker, class, again_in_s = again,
                    "attempt failed: {}", failed.report.message
                );
                if failed.again.is_none() {
                    self.batch.spool.push(SpoolChange::Drop { sweep, job });
                }
            }
            Change::Rows { .. }
            | Change::Checkpointed { .. }
            | Change::Weights { .. }
            | Change::Committed { .. }
            | Change::Released { .. }
            | Change::Requeued => {}
        }
    }

    /// Gives queued jobs to free workers, one each in turn.
    pub fn dispatch(&mut self, now: Timestamp) {
        loop {
            let free = self.roster.free();
            let mut granted = false;
            for id in free {
                let Some(worker) = self.roster.get(id) else { continue };
                let Some(event) = self.machine.decide_grant(now, &worker.offer()) else { continue };
                let Event::Job { sweep, job, .. } = &event else { continue };
                let (sweep, job) = (sweep.clone(), *job);
                self.record(event, now);
                if let Some(worker) = self.roster.get_mut(id) {
                    worker.granted();
                }
                if let Some(grant) = self.grant(&sweep, job) {
                    self.tell(id, ToWorker::Grant(grant));
                }
                granted = true;
            }
            if !granted {
                return;
            }
        }
    }

    /// The grant for a job that was just leased.
    fn grant(&self, sweep: &SweepName, id: JobId) -> Option<Grant> {
        let lineage = self.machine.lineage(sweep)?;
        let number = lineage.number(id)?;
        let job = lineage.job(number);
        let current = &lineage.current().sweep;
        let run = current.run();
        let path = lineage.spec(number).data.digest.and_then(|digest| current.data_path(digest));
        Some(Grant {
            attempt: Attempt { sweep: sweep.clone(), job: id, number: job.last },
            spec: lineage.spec_text(number),
            resume: job.checkpoint.as_deref().cloned(),
            timeout: run.timeout,
            checkpoint: run.checkpoint,
            memory_bytes: run.memory.unwrap_or(0),
            data_path: path.map(str::to_owned),
            threads: run.threads,
            keep_weights: run.keep_weights,
        })
    }

    /// Plans the segments that are due. Looks at the sweeps that changed and those that are flushed, however many there are.
    pub fn plan_segments(&mut self, now: Timestamp) {
        let name = self.segment_name();
        let mut sweeps = std::mem::take(&mut self.touched);
        sweeps.extend(self.flushes.keys().cloned());
        for sweep in sweeps {
            let flush = self.flushes.contains_key(&sweep);
            if let Some(event) = self.machine.decide_seal(&sweep, name, flush) {
                self.record(event, now);
                if let Some(flush) = self.flushes.get_mut(&sweep) {
                    flush.segments += 1;
                }
            } else if flush && self.lineage(&sweep).is_ok_and(Lineage::is_sealed) {
                let Flush { segments, waiting } = self.flushes.remove(&sweep).unwrap_or_default();
                for reply in waiting {
                    self.answer(reply, Ok(segments));
                }
            }
        }
    }

    /// Takes away the leases that have run out.
    pub fn expire(&mut self, now: Timestamp) {
        for (sweep, job) in self.leases.expired(now) {
            let Some(State::Leased { worker }) = self.machine.job(&sweep, job).map(|job| job.state)
            else {
                self.leases.end(&(sweep, job));
                continue;
            };
            let host = self.roster.get(worker).map(|worker| worker.hello.host.clone());
            let input = Input::Expire { host: host.unwrap_or_default() };
            let attempt = self.attempt(&sweep, job);
            if let Ok(Some(event)) = self.machine.decide_job(now, &sweep, job, input) {
                self.record(event, now);
            }
            if let Some(attempt) = attempt {
                let reason = "its lease ran out".to_owned();
                self.tell(worker, ToWorker::Revoke { attempt, reason });
            }
        }
    }

    /// The latest attempt of a job.
    pub fn attempt(&self, sweep: &SweepName, job: JobId) -> Option<Attempt> {
        let number = self.machine.job(sweep, job)?.last;
        Some(Attempt { sweep: sweep.clone(), job, number })
    }
}

/// What a core is told at its start.
pub struct Settings {
    pub lease: Duration,
    pub journal: JournalId,
    pub epoch: Epoch,
    /// The results folder, as people are told it.
    pub results: String,
    pub has_blob: HasBlob,
}

/// The channel by which the loop is asked.
pub type Requests = mpsc::Sender<Request>;

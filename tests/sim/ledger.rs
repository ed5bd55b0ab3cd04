//! What the coordinator has made durable, as an observer who forgets nothing keeps it, and what must hold of it.

use std::collections::{BTreeMap, BTreeSet};

use coordinator::machine::{Change, Event, Machine, RetryPolicy, State, invariants};
use domain::spec::KeepWeights;
use domain::{AttemptNo, JobId, SweepName, Table, WorkerId};
use proto::message::{Attempt, Kept, ToWorker};

use super::trial::{all_weights, table};

/// A job of a sweep.
type Key = (SweepName, JobId);

/// A job in a file: its bytes of `steps` and `confusion`, whether its `jobs` row is there, and its kept weights.
pub struct Written {
    pub id: JobId,
    pub rows: [Vec<u8>; 2],
    pub has_row: bool,
    pub kept: Vec<Kept>,
}

/// The observer's record.
#[derive(Default)]
pub struct Ledger {
    /// What was being appended when the coordinator died: all of it is durable, or nothing.
    pub in_flight: Vec<Event>,
    /// The machine that has lived through the durable events.
    pub machine: Machine,
    committed: BTreeMap<Key, AttemptNo>,
    holders: BTreeMap<(Key, AttemptNo), WorkerId>,
    /// What each attempt was told to keep.
    keeps: BTreeMap<(Key, AttemptNo), KeepWeights>,
    pub failures: u64,
    /// Jobs whose rows are in a visible file, and the file.
    visible: BTreeMap<Key, String>,
    segments: BTreeMap<(SweepName, String), Vec<JobId>>,
    pub visible_failures: u64,
}

impl Ledger {
    /// A batch is durable.
    pub fn durable(&mut self, events: Vec<Event>) -> Result<(), String> {
        for event in events {
            let applied = self.machine.apply(&event);
            applied.map_err(|problem| format!("a durable event does not follow: {problem}"))?;
            if let Event::Job { sweep, job, change } = &event {
                let key = (sweep.clone(), *job);
                match change {
                    Change::Committed { attempt, .. } => {
                        if let Some(before) = self.committed.insert(key, *attempt) {
                            return Err(format!("{job} commits by {before} and by {attempt}"));
                        }
                    }
                    Change::Leased { attempt, worker, .. } => {
                        if let Some(other) = self.holders.insert((key, *attempt), *worker) {
                            return Err(format!("{attempt} of {job} is given to {other} too"));
                        }
                    }
                    Change::Failed(_) => self.failures += 1,
                    _ => {}
                }
            }
        }
        invariants::check(&self.machine).map_err(|violation| violation.to_string())?;
        self.suspects_are_alone()
    }

    /// Whoever holds a job that may be what kills workers holds nothing else.
    fn suspects_are_alone(&self) -> Result<(), String> {
        let leased = || self.machine.lineages().flat_map(|(_, lineage)| lineage.leased());
        for (suspect, holder) in leased().filter(|(job, _)| job.is_suspect()) {
            let held = leased().filter(|(_, worker)| *worker == holder).count();
            if held != 1 {
                return Err(format!("{} is a suspect, and {holder} has {held} jobs", suspect.id));
            }
        }
        Ok(())
    }

    /// A coordinator opened the journal and goes on with `machine`.
    pub fn reopened(&mut self, machine: &Machine) -> Result<(), String> {
        let in_flight = std::mem::take(&mut self.in_flight);
        if *machine != self.machine && !in_flight.is_empty() {
            self.durable(in_flight)?;
        }
        if *machine == self.machine {
            return Ok(());
        }
        Err("what was acknowledged is not what the journal kept".to_owned())
    }

    /// The coordinator sends this: does what it promises hold?
    pub fn promise(&mut self, worker: WorkerId, message: &ToWorker) -> Result<(), String> {
        let job = |attempt: &Attempt| self.machine.job(&attempt.sweep, attempt.job);
        match message {
            ToWorker::Grant(grant) => {
                let Attempt { sweep, job, number } = &grant.attempt;
                let holder = self.holders.get(&((sweep.clone(), *job), *number));
                if holder != Some(&worker) {
                    return Err(format!(
                        "{number} of {job} is sent to {worker}, held by {holder:?}"
                    ));
                }
                self.keeps.insert(((sweep.clone(), *job), *number), grant.keep_weights);
            }
            ToWorker::Weights { attempt, step } => {
                let job = job(attempt).ok_or("weights of an unknown job are acknowledged")?;
                let is_kept = job.kept.iter().any(|kept| kept.step == *step);
                let is_leased = matches!(job.state, State::Leased { .. });
                if is_leased && job.last == attempt.number && !is_kept {
                    let job = attempt.job;
                    return Err(format!(
                        "weights of {job} at {step} are acknowledged, not durable"
                    ));
                }
            }
            ToWorker::Rows { attempt, table, next_row } => {
                let job = job(attempt).ok_or("rows of an unknown job are acknowledged")?;
                let durable = job.rows.of(*table).unwrap_or(0);
                // A job that was given up or cancelled in the same turn has no rows any more.
                let wants_rows =
                    matches!(job.state, State::Leased { .. } | State::Committed { .. });
                if wants_rows && job.last == attempt.number && durable < *next_row {
                    let problem = "rows are acknowledged that are not durable";
                    return Err(format!("{problem}: {durable} < {next_row} of {}", attempt.job));
                }
            }
            // Else the job would wait for a lease of which its worker knows nothing any more.
            ToWorker::Revoke { attempt, reason } => {
                if job(attempt).is_some_and(|job| job.is_held_by(worker, attempt.number)) {
                    let job = attempt.job;
                    return Err(format!(
                        "{job} is taken from its holder, on record as its: {reason}"
                    ));
                }
            }
            ToWorker::Welcome { .. }
            | ToWorker::Outcome { .. }
            | ToWorker::Drain { .. }
            | ToWorker::Checkpoint { .. }
            | ToWorker::Heard => {}
        }
        Ok(())
    }

    /// A worker is told that its result is accepted.
    pub fn accepted(&self, attempt: &Attempt) -> Result<(), String> {
        match self.committed.get(&(attempt.sweep.clone(), attempt.job)) {
            Some(number) if *number == attempt.number => Ok(()),
            other => Err(format!("{attempt:?} is told accepted, committed is {other:?}")),
        }
    }

    /// A file is in place.
    pub fn visible(
        &mut self,
        sweep: &SweepName,
        segment: &str,
        jobs: &[Written],
        failures: u64,
    ) -> Result<(), String> {
        let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
        if let Some(before) = self.segments.get(&(sweep.clone(), segment.to_owned())) {
            let same = *before == ids;
            return same.then_some(()).ok_or(format!("{segment} would be written differently"));
        }
        for Written { id, rows: [steps, confusion], has_row, kept } in jobs {
            if let Some(other) = self.visible.insert((sweep.clone(), *id), segment.to_owned()) {
                return Err(format!("{id} is in {segment} and in {other}"));
            }
            if !has_row || *steps != table(*id, Table::Steps) {
                return Err(format!("{segment}: steps of {id} are not what it measured"));
            }
            if *confusion != table(*id, Table::Confusion) {
                return Err(format!("{segment}: confusion of {id} is not what it measured"));
            }
            let key = (sweep.clone(), *id);
            let keep = self.committed.get(&key).and_then(|number| self.keeps.get(&(key, *number)));
            if keep.is_none_or(|keep| *kept != all_weights(*id, *keep)) {
                return Err(format!("{segment}: {id} was to keep {keep:?}, and kept {kept:?}"));
            }
        }
        self.segments.insert((sweep.clone(), segment.to_owned()), ids);
        self.visible_failures += failures;
        Ok(())
    }

    /// What must hold when everything has settled.
    pub fn settled(&self, cancelled: &BTreeSet<JobId>, attempts: u32) -> Result<(), String> {
        for (name, lineage) in self.machine.lineages() {
            for &number in lineage.members() {
                let job = lineage.job(number);
                let right = match job.state {
                    State::Committed { .. } => self.visible.contains_key(&(name.clone(), job.id)),
                    State::Abandoned { .. } => {
                        job.failures >= attempts || job.losses >= RetryPolicy::LOSSES_MAX
                    }
                    State::Cancelled => cancelled.contains(&job.id),
                    State::Queued { .. } | State::Leased { .. } => false,
                };
                if !right {
                    return Err(format!("job {} of {name} ended as {job:?}", job.id));
                }
            }
        }
        if self.visible_failures != self.failures {
            let (seen, all) = (self.visible_failures, self.failures);
            return Err(format!("{seen} of {all} failed attempts are in files"));
        }
        Ok(())
    }
}

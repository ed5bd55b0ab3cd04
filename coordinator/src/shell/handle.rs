//! Requests of people and programs, decided one at a time.

use domain::{Digest, JobId, Sweep, SweepId, SweepName, Timestamp, WorkerId};
use proto::error::ApiError;
use proto::message::{JobLine, JobsPage, JobsQuery, RetryQuery, Submitted, ToWorker};

use super::core::Core;
use super::request::{Reply, Request};
use super::watch::worker_name;
use crate::journal::SpoolChange;
use crate::machine::{self, HandedIn, Input, JobNo, Lineage, State, Terms};
use crate::sink::{PutError, SinkError};

impl Core {
    /// Does what a request asks. Whether to go on.
    pub fn handle(&mut self, request: Request, now: Timestamp) -> bool {
        match request {
            Request::Submit { sweep, jobs, file_name, file_text, terms, reply } => {
                let canonical = sweep.canonical();
                let revision = HandedIn { canonical, file_name, file_text, at: now };
                let submitted = machine::Submitted { revision, jobs };
                let answer = self.submit(&sweep, &submitted, &terms, now);
                self.answer(reply, answer);
            }
            Request::Watch { sweep, progress, reply } => {
                let answer = self.lineage(&sweep).map(drop);
                if answer.is_ok() {
                    self.watchers.add(sweep, progress);
                }
                self.answer(reply, answer);
            }
            Request::Cancel { sweep, job, reply } => {
                let answer = self.cancel(&sweep, job, now);
                self.answer(reply, answer);
            }
            Request::Drain { worker, reply } => {
                let answer = self.drain(worker);
                self.answer(reply, answer);
            }
            Request::Flush { sweep, reply } => self.flush(sweep, reply),
            Request::Pause { sweep, paused, reply } => {
                let answer = self.pause(&sweep, paused, now);
                self.answer(reply, answer);
            }
            Request::Retry { sweep, which, reply } => {
                let answer = self.retry(&sweep, which, now);
                self.answer(reply, answer);
            }
            Request::Explain { sweep, job, reply } => {
                let answer = self.explain(&sweep, &job, now);
                self.answer(reply, answer);
            }
            Request::Read(read) => {
                let told = read(self);
                self.owed.replies.push(told);
            }
            Request::Tidy(strays) => {
                let strays: Vec<_> =
                    strays.into_iter().filter(|&digest| !self.is_needed(digest)).collect();
                self.owed.strays.extend(strays);
            }
            Request::Attach { hello, outbox, reply } => {
                let answer = self.attach(hello, outbox, now);
                self.answer(reply, answer);
            }
            Request::FromWorker { worker, session, message } => {
                if self.roster.is_current(worker, session) {
                    self.hear(worker, message, now);
                }
            }
            Request::Detach { worker, session } => self.roster.detach(worker, session),
            Request::Sealed { sweep, segment, result } => {
                self.sealed(&sweep, segment, result, now);
            }
            Request::Recorded { sweep, id, result } => self.recorded(sweep, id, result, now),
            Request::Stop => {
                self.roster.close();
                self.watchers.close();
                return false;
            }
        }
        true
    }

    fn submit(
        &mut self,
        sweep: &Sweep,
        submitted: &machine::Submitted,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<Submitted, ApiError> {
        // Looked at again: what was here when it came may have been removed before its turn.
        let missing: Vec<_> = data_sets(sweep).filter(|&digest| !self.has_blob(digest)).collect();
        if !missing.is_empty() {
            return Ok(wanting(sweep, missing));
        }
        let (events, report) = self
            .machine
            .decide_submit(sweep, submitted, terms)
            .map_err(|refusal| ApiError::Refused { reason: refusal.to_string() })?;
        let (name, id) = (sweep.name(), sweep.id());
        tracing::info!(sweep = %name, %id, kept = report.kept, new = report.new, "sweep submitted");
        for event in events {
            self.record(event, now);
        }
        self.need_data_sets(sweep);
        self.touch(name);
        self.owed.revisions.push(name.clone());
        Ok(Submitted {
            sweep: name.clone(),
            sweep_id: id,
            kept: report.kept,
            new: report.new,
            orphaned: report.orphaned,
            settled: report.settled,
            again: report.again,
            missing_blobs: Vec::new(),
            other_engines: report.other_engines,
            results: self.results.clone(),
        })
    }

    fn cancel(
        &mut self,
        sweep: &SweepName,
        job: Option<JobId>,
        now: Timestamp,
    ) -> Result<u64, ApiError> {
        let lineage = self.lineage(sweep)?;
        let ids: Vec<_> = match job {
            Some(id) => vec![known(sweep, lineage, id)?],
            None => lineage.members().iter().map(|&number| lineage.job(number).id).collect(),
        };
        let mut cancelled = 0;
        for id in ids {
            let holder = match self.machine.job(sweep, id).map(|job| job.state) {
                Some(State::Leased { worker }) => Some(worker),
                _ => None,
            };
            let Ok(Some(event)) = self.machine.decide_job(now, sweep, id, Input::Cancel) else {
                continue;
            };
            let attempt = self.attempt(sweep, id);
            self.record(event, now);
            cancelled += 1;
            if let (Some(worker), Some(attempt)) = (holder, attempt) {
                let reason = "the job was cancelled".to_owned();
                self.tell(worker, ToWorker::Revoke { attempt, reason });
            }
        }
        tracing::info!(%sweep, cancelled, "jobs cancelled");
        Ok(cancelled)
    }

    fn pause(&mut self, sweep: &SweepName, paused: bool, now: Timestamp) -> Result<bool, ApiError> {
        self.lineage(sweep)?;
        let event = self.machine.decide_pause(sweep, paused);
        let changed = event.is_some();
        if let Some(event) = event {
            self.record(event, now);
            tracing::info!(%sweep, paused, "sweep paused or let go on");
        }
        Ok(changed)
    }

    fn retry(
        &mut self,
        sweep: &SweepName,
        which: RetryQuery,
        now: Timestamp,
    ) -> Result<u64, ApiError> {
        let lineage = self.lineage(sweep)?;
        let ids: Vec<_> = match which {
            RetryQuery::Job(id) => vec![known(sweep, lineage, id)?],
            RetryQuery::Failed(wanted) => {
                let is_wanted = |job: &&machine::Job| match job.state {
                    State::Abandoned { class } => wanted.is_none_or(|wanted| wanted == class),
                    _ => false,
                };
                lineage.abandoned().filter(is_wanted).map(|job| job.id).collect()
            }
        };
        let mut queued = 0;
        for id in ids {
            if let Ok(Some(event)) = self.machine.decide_job(now, sweep, id, Input::Resubmit) {
                self.record(event, now);
                queued += 1;
            }
        }
        tracing::info!(%sweep, queued, "jobs queued again");
        Ok(queued)
    }

    fn drain(&mut self, worker: Option<WorkerId>) -> Result<u32, ApiError> {
        let ids = match worker {
            Some(id) if self.roster.get(id).is_some() => vec![id],
            Some(id) => return Err(ApiError::Unknown { what: format!("worker {id}") }),
            None => self.roster.connected(),
        };
        let mut asked = 0;
        for id in ids {
            let Some(worker) = self.roster.get_mut(id) else { continue };
            worker.draining = true;
            asked += 1;
            self.tell(id, ToWorker::Drain { reason: "drained by request".to_owned() });
        }
        Ok(asked)
    }

    fn flush(&mut self, sweep: SweepName, reply: Reply<u64>) {
        match self.lineage(&sweep) {
            // Answered by `plan_segments`, at once where nothing waits to be sealed.
            Ok(_) => self.flushes.entry(sweep).or_default().waiting.push(reply),
            Err(unknown) => self.answer(reply, Err(unknown)),
        }
    }

    fn recorded(
        &mut self,
        sweep: SweepName,
        id: SweepId,
        result: Result<(), PutError>,
        now: Timestamp,
    ) {
        match result {
            Ok(()) => {
                self.unrecorded.remove(&(sweep, id));
            }
            Err(error) => {
                let text = super::run::chain(&error);
                tracing::error!(%sweep, %id, "a revision's record is not written, trying again: {text}");
                self.unrecorded.insert((sweep, id), text);
                self.retry_segments_at = Some(now + super::run::SEGMENT_RETRY);
            }
        }
    }

    fn sealed(
        &mut self,
        sweep: &SweepName,
        segment: String,
        result: Result<(), SinkError>,
        now: Timestamp,
    ) {
        if let Err(error) = result {
            let mut text = super::run::chain(&error);
            if error.is_full() {
                text.push_str(" (free some space; it will be tried again)");
            }
            tracing::error!(%sweep, segment, "segment not written, trying again: {text}");
            self.trouble = text;
            self.unwritten.insert(sweep.clone());
            self.retry_segments_at = Some(now + super::run::SEGMENT_RETRY);
            return;
        }
        self.trouble.clear();
        let Some(lineage) = self.machine.lineage(sweep) else { return };
        let planned = lineage.planned().filter(|plan| plan.segment == segment);
        let jobs: Vec<_> =
            planned.iter().flat_map(|p| &p.jobs).map(|&number| lineage.job(number).id).collect();
        if planned.is_none() {
            return;
        }
        tracing::info!(%sweep, segment, jobs = jobs.len(), "segment sealed");
        for job in jobs {
            self.batch.spool.push(SpoolChange::Drop { sweep: sweep.clone(), job });
        }
        self.record(machine::Event::SegmentSealed { sweep: sweep.clone(), segment }, now);
    }

    /// One page of a sweep's jobs.
    pub fn jobs_page(&self, query: &JobsQuery) -> Result<JobsPage, ApiError> {
        let lineage = self.lineage(&query.sweep)?;
        let (members, counts) = (lineage.members(), lineage.counts());
        let offset = usize::try_from(query.offset).unwrap_or(usize::MAX);
        let limit = query.limit as usize;
        let Some(state) = query.state.as_deref() else {
            let page = members.get(offset..).unwrap_or_default().iter().take(limit);
            let jobs = page.map(|&number| self.job_line(lineage, number)).collect();
            return Ok(JobsPage { jobs, total: members.len() as u64 });
        };
        let total = match state {
            "queued" => counts.queued,
            "running" => counts.leased,
            "completed" => counts.committed - counts.diverged,
            "diverged" => counts.diverged,
            "committed" => counts.committed,
            "abandoned" => counts.abandoned,
            "cancelled" => counts.cancelled,
            _ => 0,
        };
        let wanted = |&&number: &&JobNo| match lineage.job(number).state {
            // A diverged job has a result, so it is also a completed one to whoever asks for those.
            State::Committed { .. } if state == "committed" => true,
            other => other.as_str() == state,
        };
        // Looks no further than the last that there is: past the end of the page, and of the state.
        let left = usize::try_from(total).unwrap_or(usize::MAX).saturating_sub(offset);
        let page = members.iter().filter(wanted).skip(offset).take(limit.min(left));
        let jobs = page.map(|&number| self.job_line(lineage, number)).collect();
        Ok(JobsPage { jobs, total })
    }

    fn job_line(&self, lineage: &Lineage, number: JobNo) -> JobLine {
        let job = lineage.job(number);
        let (worker, note) = match job.state {
            State::Leased { worker } => (worker_name(self, worker), String::new()),
            State::Abandoned { .. } => {
                (String::new(), lineage.last_words(number).unwrap_or_default())
            }
            State::Queued { not_before } if not_before > Timestamp::ZERO => {
                let words = lineage.last_words(number).unwrap_or_default();
                (String::new(), format!("waits to be tried again after {words}"))
            }
            State::Queued { .. } | State::Committed { .. } | State::Cancelled => {
                (String::new(), String::new())
            }
        };
        JobLine {
            job: job.id,
            point: lineage.point(number),
            state: job.state.as_str().to_owned(),
            attempt: job.last,
            worker,
            note,
        }
    }
}

/// The id, if it is of a job of the sweep.
fn known(sweep: &SweepName, lineage: &Lineage, id: JobId) -> Result<JobId, ApiError> {
    let unknown = || ApiError::Unknown { what: format!("job {id} of sweep {sweep}") };
    lineage.number(id).map(|_| id).ok_or_else(unknown)
}

/// The answer to a sweep that is not taken in before these data sets are here.
pub fn wanting(sweep: &Sweep, missing_blobs: Vec<Digest>) -> Submitted {
    Submitted {
        sweep: sweep.name().clone(),
        sweep_id: sweep.id(),
        kept: 0,
        new: 0,
        orphaned: 0,
        settled: 0,
        again: 0,
        missing_blobs,
        other_engines: Vec::new(),
        results: String::new(),
    }
}

/// The digests of the data sets that a sweep reads.
pub fn data_sets(sweep: &Sweep) -> impl Iterator<Item = Digest> + '_ {
    sweep.files().values().map(|facts| facts.digest)
}

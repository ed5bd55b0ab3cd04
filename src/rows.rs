//! What `--format json` prints of sweeps, jobs and workers: stable names, apart from the types of the wire.

use proto::message::{FinishedJob, JobLine, RunningJob, Submitted, SweepProgress, WorkerLine};
use serde::Serialize;

/// A submission.
#[derive(Serialize)]
pub struct SubmittedRow {
    sweep: String,
    sweep_id: String,
    kept: u64,
    new: u64,
    orphaned: u64,
    settled: u64,
    again: u64,
    other_engines: Vec<String>,
    results: String,
}

impl From<&Submitted> for SubmittedRow {
    fn from(submitted: &Submitted) -> Self {
        Self {
            sweep: submitted.sweep.to_string(),
            sweep_id: submitted.sweep_id.to_string(),
            kept: submitted.kept,
            new: submitted.new,
            orphaned: submitted.orphaned,
            settled: submitted.settled,
            again: submitted.again,
            other_engines: submitted.other_engines.clone(),
            results: submitted.results.clone(),
        }
    }
}

/// Where a sweep stands.
#[derive(Serialize)]
pub struct ProgressRow {
    sweep: String,
    sweep_id: String,
    total: u64,
    queued: u64,
    leased: u64,
    committed: u64,
    diverged: u64,
    abandoned: u64,
    cancelled: u64,
    failed_attempts: u64,
    workers: u32,
    sealed: bool,
    over: bool,
    results: String,
    trouble: String,
    paused: bool,
    running: Vec<RunningRow>,
    finished: Vec<FinishedRow>,
}

/// A running job.
#[derive(Serialize)]
struct RunningRow {
    job_id: String,
    attempt: u32,
    point: String,
    worker: String,
    step: u64,
    steps: u64,
    risk: Option<f64>,
    min_cos: Option<f64>,
    rms_cos: Option<f64>,
}

/// A job that committed since the line before.
#[derive(Serialize)]
struct FinishedRow {
    job_id: String,
    point: String,
    status: String,
    final_risk: Option<f64>,
}

impl From<&SweepProgress> for ProgressRow {
    fn from(progress: &SweepProgress) -> Self {
        let counts = progress.counts;
        Self {
            sweep: progress.sweep.to_string(),
            sweep_id: progress.sweep_id.to_string(),
            total: progress.total,
            queued: counts.queued,
            leased: counts.leased,
            committed: counts.committed,
            diverged: counts.diverged,
            abandoned: counts.abandoned,
            cancelled: counts.cancelled,
            failed_attempts: counts.failed_attempts,
            workers: progress.workers,
            sealed: progress.sealed,
            over: progress.is_over(),
            results: progress.results.clone(),
            trouble: progress.trouble.clone(),
            paused: progress.paused,
            running: progress.running.iter().map(RunningRow::from).collect(),
            finished: progress.finished.iter().map(FinishedRow::from).collect(),
        }
    }
}

impl From<&RunningJob> for RunningRow {
    fn from(job: &RunningJob) -> Self {
        let progress = &job.progress;
        Self {
            job_id: progress.attempt.job.to_string(),
            attempt: progress.attempt.number.0,
            point: job.point.clone(),
            worker: job.worker.clone(),
            step: progress.step,
            steps: progress.steps,
            risk: progress.risk,
            min_cos: progress.min_cos,
            rms_cos: progress.rms_cos,
        }
    }
}

impl From<&FinishedJob> for FinishedRow {
    fn from(job: &FinishedJob) -> Self {
        Self {
            job_id: job.job.to_string(),
            point: job.point.clone(),
            status: job.status.clone(),
            final_risk: job.final_risk,
        }
    }
}

/// One job in a listing.
#[derive(Serialize)]
pub struct JobRow {
    job_id: String,
    point: String,
    state: String,
    attempt: u32,
    worker: String,
    note: String,
}

impl From<&JobLine> for JobRow {
    fn from(job: &JobLine) -> Self {
        Self {
            job_id: job.job.to_string(),
            point: job.point.clone(),
            state: job.state.clone(),
            attempt: job.attempt.0,
            worker: job.worker.clone(),
            note: job.note.clone(),
        }
    }
}

/// One worker in a listing.
#[derive(Serialize)]
pub struct WorkerRow {
    worker: String,
    host: String,
    process: u32,
    slots: u32,
    leases: u32,
    state: String,
    version: String,
    instruction_set: String,
    memory_bytes: u64,
}

impl From<&WorkerLine> for WorkerRow {
    fn from(worker: &WorkerLine) -> Self {
        Self {
            worker: worker.worker.to_string(),
            host: worker.host.clone(),
            process: worker.process,
            slots: worker.slots,
            leases: worker.leases,
            state: worker.state.clone(),
            version: worker.version.clone(),
            instruction_set: worker.instruction_set.clone(),
            memory_bytes: worker.memory_bytes,
        }
    }
}

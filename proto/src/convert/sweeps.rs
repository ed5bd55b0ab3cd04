//! Conversions of the Sweeps service.

use domain::{AttemptNo, Timestamp};

use super::{FromWire, IntoWire, bounded, bounded_len, id, non_empty, required, table};
use crate::error::WireError;
use crate::limits::{
    JOBS_PAGE_MAX, ROW_BATCH_BYTES_MAX, ROW_BATCH_ROWS_MAX, SPEC_BYTES_MAX, SWEEP_BYTES_MAX,
};
use crate::message::{
    FinishedJob, JobCounts, JobLine, JobsPage, JobsQuery, LiveBatch, LiveRows, Progress,
    RunningJob, Submission, Submitted, SweepProgress, WorkerLine,
};
use crate::wire;

impl IntoWire for Submission {
    type Wire = wire::SubmitRequest;

    fn into_wire(self) -> wire::SubmitRequest {
        let Self { sweep, file_name, file_text, revise, strict, engine_revision } = self;
        wire::SubmitRequest { sweep, file_name, file_text, revise, strict, engine_revision }
    }
}

impl FromWire for Submission {
    type Wire = wire::SubmitRequest;

    fn from_wire(wire: wire::SubmitRequest) -> Result<Self, WireError> {
        Ok(Self {
            sweep: bounded_len("submit.sweep", wire.sweep, SWEEP_BYTES_MAX)?,
            file_name: bounded_len("submit.file_name", wire.file_name, 4096)?,
            file_text: bounded_len("submit.file_text", wire.file_text, SWEEP_BYTES_MAX)?,
            revise: wire.revise,
            strict: wire.strict,
            engine_revision: bounded_len("submit.engine_revision", wire.engine_revision, 256)?,
        })
    }
}

impl IntoWire for Submitted {
    type Wire = wire::SubmitReply;

    fn into_wire(self) -> wire::SubmitReply {
        wire::SubmitReply {
            sweep: self.sweep.to_string(),
            sweep_id: self.sweep_id.to_string(),
            kept: self.kept,
            new: self.new,
            orphaned: self.orphaned,
            settled: self.settled,
            again: self.again,
            missing_blobs: self.missing_blobs.iter().map(ToString::to_string).collect(),
            other_engines: self.other_engines,
            results: self.results,
        }
    }
}

impl FromWire for Submitted {
    type Wire = wire::SubmitReply;

    fn from_wire(wire: wire::SubmitReply) -> Result<Self, WireError> {
        let missing = wire.missing_blobs.iter().map(|digest| id("reply.missing_blobs", digest));
        Ok(Self {
            sweep: id("reply.sweep", &wire.sweep)?,
            sweep_id: id("reply.sweep_id", &wire.sweep_id)?,
            kept: wire.kept,
            new: wire.new,
            orphaned: wire.orphaned,
            settled: wire.settled,
            again: wire.again,
            missing_blobs: missing.collect::<Result<_, _>>()?,
            other_engines: wire.other_engines,
            results: wire.results,
        })
    }
}

impl IntoWire for JobCounts {
    type Wire = wire::JobCounts;

    fn into_wire(self) -> wire::JobCounts {
        let Self { queued, leased, committed, diverged, abandoned, cancelled, failed_attempts } =
            self;
        wire::JobCounts {
            queued,
            leased,
            committed,
            diverged,
            abandoned,
            cancelled,
            failed_attempts,
        }
    }
}

impl FromWire for JobCounts {
    type Wire = wire::JobCounts;

    fn from_wire(wire: wire::JobCounts) -> Result<Self, WireError> {
        let wire::JobCounts {
            queued,
            leased,
            committed,
            diverged,
            abandoned,
            cancelled,
            failed_attempts,
        } = wire;
        Ok(Self { queued, leased, committed, diverged, abandoned, cancelled, failed_attempts })
    }
}

impl IntoWire for RunningJob {
    type Wire = wire::RunningJob;

    fn into_wire(self) -> wire::RunningJob {
        let progress = Some(self.progress.into_wire());
        wire::RunningJob { progress, point: self.point, worker: self.worker }
    }
}

impl FromWire for RunningJob {
    type Wire = wire::RunningJob;

    fn from_wire(wire: wire::RunningJob) -> Result<Self, WireError> {
        let progress = Progress::from_wire(required("running.progress", wire.progress)?)?;
        Ok(Self { progress, point: wire.point, worker: wire.worker })
    }
}

impl IntoWire for FinishedJob {
    type Wire = wire::FinishedJob;

    fn into_wire(self) -> wire::FinishedJob {
        wire::FinishedJob {
            job: self.job.to_string(),
            point: self.point,
            status: self.status,
            final_risk: self.final_risk,
        }
    }
}

impl FromWire for FinishedJob {
    type Wire = wire::FinishedJob;

    fn from_wire(wire: wire::FinishedJob) -> Result<Self, WireError> {
        let job = id("finished.job", &wire.job)?;
        Ok(Self { job, point: wire.point, status: wire.status, final_risk: wire.final_risk })
    }
}

impl IntoWire for SweepProgress {
    type Wire = wire::SweepProgress;

    fn into_wire(self) -> wire::SweepProgress {
        wire::SweepProgress {
            sweep: self.sweep.to_string(),
            sweep_id: self.sweep_id.to_string(),
            counts: Some(self.counts.into_wire()),
            running: self.running.into_iter().map(IntoWire::into_wire).collect(),
            finished: self.finished.into_iter().map(IntoWire::into_wire).collect(),
            sealed: self.sealed,
            workers: self.workers,
            results: self.results,
            trouble: self.trouble,
            total: self.total,
            paused: self.paused,
        }
    }
}

impl FromWire for SweepProgress {
    type Wire = wire::SweepProgress;

    fn from_wire(wire: wire::SweepProgress) -> Result<Self, WireError> {
        let running = wire.running.into_iter().map(RunningJob::from_wire);
        let finished = wire.finished.into_iter().map(FinishedJob::from_wire);
        Ok(Self {
            sweep: id("progress.sweep", &wire.sweep)?,
            sweep_id: id("progress.sweep_id", &wire.sweep_id)?,
            total: wire.total,
            counts: JobCounts::from_wire(required("progress.counts", wire.counts)?)?,
            running: running.collect::<Result<_, _>>()?,
            finished: finished.collect::<Result<_, _>>()?,
            sealed: wire.sealed,
            workers: wire.workers,
            results: wire.results,
            trouble: wire.trouble,
            paused: wire.paused,
        })
    }
}

impl IntoWire for JobsQuery {
    type Wire = wire::JobsRequest;

    fn into_wire(self) -> wire::JobsRequest {
        wire::JobsRequest {
            sweep: self.sweep.to_string(),
            state: self.state.unwrap_or_default(),
            offset: self.offset,
            limit: self.limit,
        }
    }
}

impl FromWire for JobsQuery {
    type Wire = wire::JobsRequest;

    fn from_wire(wire: wire::JobsRequest) -> Result<Self, WireError> {
        Ok(Self {
            sweep: id("jobs.sweep", &wire.sweep)?,
            state: non_empty(wire.state),
            offset: wire.offset,
            limit: wire.limit.clamp(1, JOBS_PAGE_MAX),
        })
    }
}

impl IntoWire for JobsPage {
    type Wire = wire::JobsReply;

    fn into_wire(self) -> wire::JobsReply {
        let line = |job: JobLine| wire::JobLine {
            job: job.job.to_string(),
            point: job.point,
            state: job.state,
            attempt: job.attempt.0,
            worker: job.worker,
            note: job.note,
        };
        wire::JobsReply { jobs: self.jobs.into_iter().map(line).collect(), total: self.total }
    }
}

impl FromWire for JobsPage {
    type Wire = wire::JobsReply;

    fn from_wire(wire: wire::JobsReply) -> Result<Self, WireError> {
        let line = |line: wire::JobLine| {
            Ok(JobLine {
                job: id("jobs.job", &line.job)?,
                point: line.point,
                state: line.state,
                attempt: AttemptNo(line.attempt),
                worker: line.worker,
                note: line.note,
            })
        };
        let jobs = wire.jobs.into_iter().map(line).collect::<Result<_, WireError>>()?;
        Ok(Self { jobs, total: wire.total })
    }
}

impl IntoWire for WorkerLine {
    type Wire = wire::WorkerLine;

    fn into_wire(self) -> wire::WorkerLine {
        wire::WorkerLine {
            worker: self.worker.to_string(),
            host: self.host,
            process: self.process,
            slots: self.slots,
            leases: self.leases,
            state: self.state,
            version: self.version,
            instruction_set: self.instruction_set,
            memory_bytes: self.memory_bytes,
        }
    }
}

impl FromWire for WorkerLine {
    type Wire = wire::WorkerLine;

    fn from_wire(wire: wire::WorkerLine) -> Result<Self, WireError> {
        Ok(Self {
            worker: id("workers.worker", &wire.worker)?,
            host: wire.host,
            process: wire.process,
            slots: wire.slots,
            leases: wire.leases,
            state: wire.state,
            version: wire.version,
            instruction_set: wire.instruction_set,
            memory_bytes: wire.memory_bytes,
        })
    }
}

impl IntoWire for LiveRows {
    type Wire = wire::LiveRowsReply;

    fn into_wire(self) -> wire::LiveRowsReply {
        let batch = |LiveBatch { first_row, row_count, cells }| wire::LiveBatch {
            first_row,
            row_count,
            cells,
        };
        wire::LiveRowsReply {
            job: self.job.to_string(),
            spec: self.spec,
            sweep_id: self.sweep_id.to_string(),
            attempt: self.attempt.0,
            queued_at: self.queued_at.as_micros(),
            table: self.table.as_str().to_owned(),
            batches: self.batches.into_iter().map(batch).collect(),
        }
    }
}

impl FromWire for LiveRows {
    type Wire = wire::LiveRowsReply;

    fn from_wire(wire: wire::LiveRowsReply) -> Result<Self, WireError> {
        let batch = |batch: wire::LiveBatch| {
            let wire::LiveBatch { first_row, row_count, cells } = batch;
            bounded("live.row_count", u64::from(row_count), u64::from(ROW_BATCH_ROWS_MAX))?;
            let cells = bounded_len("live.cells", cells, ROW_BATCH_BYTES_MAX)?;
            Ok(LiveBatch { first_row, row_count, cells })
        };
        Ok(Self {
            job: id("live.job", &wire.job)?,
            spec: bounded_len("live.spec", wire.spec, SPEC_BYTES_MAX)?,
            sweep_id: id("live.sweep_id", &wire.sweep_id)?,
            attempt: AttemptNo(wire.attempt),
            queued_at: Timestamp::from_micros(wire.queued_at),
            table: table("live.table", &wire.table)?,
            batches: wire.batches.into_iter().map(batch).collect::<Result<_, WireError>>()?,
        })
    }
}

//! The jobs of the simulated sweeps: what each measures is a function of the job alone.

use domain::spec::KeepWeights;
use domain::{Cell, Digest, JobId, Table};
use proto::message::{Attempt, Checkpoint, Grant, Kept, Outcome, RowBatch};
use proto::rows;

pub const ENGINE: &str = "e1";
pub const INSTRUCTION_SET: &str = "avx2";

/// Bytes of a row.
pub const ROW_BYTES: usize = 8;

/// Steps of a job; each makes one row a table.
pub fn steps_of(job: JobId) -> u64 {
    2 + u64::from(job.0[0] % 9)
}

/// What row `number` of a job's table says.
pub fn row(job: JobId, table: Table, number: u64) -> [u8; ROW_BYTES] {
    let table = if table == Table::Steps { 1 } else { 2 };
    let [a, b, c, d, ..] = job.0;
    [a, b, c, d, table, number as u8, 0xaa, 0x55]
}

/// The whole table of a job.
pub fn table(job: JobId, table: Table) -> Vec<u8> {
    (0..steps_of(job)).flat_map(|number| row(job, table, number)).collect()
}

/// The name of a job's checkpoint at a step, as wherever it is made.
pub fn checkpoint_digest(job: JobId, step: u64) -> Digest {
    let mut digest = [0; 32];
    digest[..16].copy_from_slice(&job.0);
    digest[16..24].copy_from_slice(&step.to_le_bytes());
    Digest(digest)
}

/// A job's weights at a step, as wherever they are made.
pub fn weights(job: JobId, step: u64) -> Kept {
    let mut digest = checkpoint_digest(job, step);
    digest.0[31] = 1;
    Kept { step, digest }
}

/// All weights that an attempt keeps.
pub fn all_weights(job: JobId, keep: KeepWeights) -> Vec<Kept> {
    let total = steps_of(job);
    (1..=total).filter(|&step| keep.keeps(step == total)).map(|step| weights(job, step)).collect()
}

/// What a trial does next.
#[derive(Debug)]
pub enum Deed {
    Rows(RowBatch),
    Checkpoint(Checkpoint),
    /// To be stored now, or asked for again.
    Weights(Kept),
    End(Outcome),
}

/// One attempt on its way.
#[derive(Debug)]
pub struct Trial {
    pub attempt: Attempt,
    /// Nobody wants what it measures.
    pub dropped: bool,
    /// It is to checkpoint and stop.
    pub hand_back: bool,
    /// Steps done.
    step: u64,
    /// Rows handed over, by table.
    told: [u64; 2],
    checkpointed: u64,
    keep: KeepWeights,
    /// The last step whose weights are stored, or were before it began.
    kept: u64,
}

impl Trial {
    /// Starts as the grant says.
    pub fn start(grant: &Grant) -> Self {
        let from = grant.resume.as_ref().map_or(0, |checkpoint| checkpoint.step);
        Self {
            attempt: grant.attempt.clone(),
            dropped: false,
            hand_back: false,
            step: from,
            told: [from, from],
            checkpointed: from,
            keep: grant.keep_weights,
            kept: from,
        }
    }

    /// Whether it goes on from a checkpoint and did nothing since.
    pub fn has_just_resumed(&self) -> bool {
        self.step > 0 && self.step == self.checkpointed
    }

    /// Steps done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The weights to store next.
    fn due(&self) -> Option<Kept> {
        let job = self.attempt.job;
        let kept = all_weights(job, self.keep).into_iter();
        kept.filter(|kept| kept.step <= self.step).find(|kept| kept.step > self.kept)
    }

    /// The weights that were due are stored.
    pub fn stored(&mut self, kept: Kept) {
        self.kept = kept.step;
    }

    fn batch(&mut self, index: usize) -> Deed {
        let table = [Table::Steps, Table::Confusion][index];
        let (first_row, end) = (self.told[index], self.step);
        self.told[index] = end;
        let job = self.attempt.job;
        let cells = (first_row..end).flat_map(|number| row(job, table, number)).collect();
        let row_count = (end - first_row) as u32;
        Deed::Rows(RowBatch { attempt: self.attempt.clone(), table, first_row, row_count, cells })
    }

    /// Goes on a little. `flush`: whether measured rows are handed over now or later: where batches end is chance.
    pub fn go_on(&mut self, flush: bool, checkpoints: bool) -> Option<Deed> {
        let total = steps_of(self.attempt.job);
        let is_over = self.step == total || self.hand_back;
        let wants_checkpoint = checkpoints && self.step >= self.checkpointed + 3 || self.hand_back;
        if (flush || is_over || wants_checkpoint)
            && let Some(index) = (0..2).find(|&index| self.told[index] < self.step)
        {
            return Some(self.batch(index));
        }
        if (flush || is_over || wants_checkpoint)
            && let Some(kept) = self.due()
        {
            return Some(Deed::Weights(kept));
        }
        if self.step == total {
            let (steps_rows, confusion_rows) = (total, total);
            let cells = jobs_row();
            let weights = all_weights(self.attempt.job, self.keep).len() as u64;
            return Some(Deed::End(Outcome::Result { steps_rows, confusion_rows, weights, cells }));
        }
        if wants_checkpoint && self.step > self.checkpointed {
            self.checkpointed = self.step;
            return Some(Deed::Checkpoint(Checkpoint {
                digest: checkpoint_digest(self.attempt.job, self.step),
                step: self.step,
                steps_rows: self.step,
                confusion_rows: self.step,
                engine_revision: ENGINE.to_owned(),
                instruction_set: INSTRUCTION_SET.to_owned(),
            }));
        }
        if self.hand_back {
            return Some(Deed::End(Outcome::Released));
        }
        self.step += 1;
        None
    }
}

fn jobs_row() -> Vec<u8> {
    let cell = |name| match name {
        "status" => Cell::from("completed"),
        "engine_revision" => Cell::from(ENGINE),
        _ => Cell::Null,
    };
    let row = Table::Jobs.own_columns().iter().map(|column| cell(column.name)).collect();
    rows::encode(Table::Jobs, &[row])
}

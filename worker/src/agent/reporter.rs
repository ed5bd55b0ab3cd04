//! What a running trial tells, put into frames: rows in batches, progress now and then, checkpoints as they come.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::spec::KeepWeights;
use domain::{ConfusionRow, Row, StepRow, Table};
use proto::rows;

use super::clock;
use super::frame::Frame;
use super::message::{FromTrial, Start};
use crate::trial::{Checkpoint, Observer, Wish};

/// Rows of one table that make a batch: half a MiB of confusion rows, far below the wire's bound.
const BATCH_ROWS_MAX: usize = 256;

/// How long a row may wait for others: what a person at a dashboard does not notice.
const FLUSH_EVERY: Duration = Duration::from_millis(200);

/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// What the agent wants of the running job, by the job's tag. The latest order of each kind stands; an order for the
/// job before, late on the pipe, names its tag and so does nothing.
#[derive(Debug, Default)]
pub struct Orders {
    pub checkpoint: AtomicU64,
    pub hand_back: AtomicU64,
    pub stop: AtomicU64,
}

/// The rows of one table that are not yet told.
struct Batch {
    table: Table,
    first_row: u64,
    rows: Vec<Row>,
}

impl Batch {
    fn new(table: Table, first_row: u64) -> Self {
        Self { table, first_row, rows: Vec::new() }
    }

    fn take(&mut self) -> Option<FromTrial> {
        let row_count = u32::try_from(self.rows.len()).ok().filter(|&count| count > 0)?;
        let (table, first_row) = (self.table, self.first_row);
        let cells = rows::encode(table, &self.rows);
        self.first_row += u64::from(row_count);
        self.rows.clear();
        Some(FromTrial::Rows { table, first_row, row_count, cells })
    }
}

/// The observer of one attempt.
pub struct Reporter<'a, W> {
    output: &'a mut W,
    orders: Arc<Orders>,
    tag: u64,
    started: Instant,
    flushed: Instant,
    told: Instant,
    steps: Batch,
    confusion: Batch,
    /// At how many steps weights were told, by earlier attempts too.
    weights: u64,
    risk: Option<f64>,
    min_cos: Option<f64>,
    rms_cos: Option<f64>,
    /// Why nothing can be told any more.
    broken: Option<io::Error>,
}

impl<'a, W: Write> Reporter<'a, W> {
    /// A reporter of the attempt that `start` begins.
    pub fn new(output: &'a mut W, orders: Arc<Orders>, start: &Start) -> Self {
        let now = clock::instant();
        let keep = KeepWeights::from_word(&start.keep_weights).unwrap_or(KeepWeights::None);
        let (steps_rows, confusion_rows) = start
            .resume
            .as_ref()
            .map_or((0, 0), |resume| (resume.steps_rows, resume.confusion_rows));
        Self {
            output,
            orders,
            tag: start.tag,
            started: now,
            flushed: now,
            told: now,
            steps: Batch::new(Table::Steps, steps_rows),
            confusion: Batch::new(Table::Confusion, confusion_rows),
            // An attempt goes on only where the ones before have kept what it would have.
            weights: keep.kept_by(steps_rows),
            risk: None,
            min_cos: None,
            rms_cos: None,
            broken: None,
        }
    }

    /// How long the attempt has run.
    pub fn elapsed(&self) -> Duration {
        clock::instant().duration_since(self.started)
    }

    /// Tells the result, whose `jobs` row is `cells`, after all that came before it.
    pub fn tell_result(&mut self, cells: Vec<u8>) -> io::Result<()> {
        self.flush();
        // Flushed: what comes next is what there is.
        let (steps_rows, confusion_rows) = (self.steps.first_row, self.confusion.first_row);
        let weights = self.weights;
        self.tell_only(FromTrial::Done { steps_rows, confusion_rows, weights, cells })
    }

    /// Tells the end of an attempt whose waiting rows nobody needs.
    pub fn tell_only(&mut self, message: FromTrial) -> io::Result<()> {
        self.tell(message);
        self.broken.take().map_or(Ok(()), Err)
    }

    fn tell(&mut self, message: FromTrial) {
        if self.broken.is_none() {
            self.broken = Frame::from(message).write(self.output).err();
        }
    }

    fn flush(&mut self) {
        for message in [self.steps.take(), self.confusion.take()].into_iter().flatten() {
            self.tell(message);
        }
        self.flushed = clock::instant();
    }

    fn flush_if_due(&mut self) {
        let waiting = self.steps.rows.len().max(self.confusion.rows.len());
        let is_late = || clock::instant().duration_since(self.flushed) >= FLUSH_EVERY;
        if waiting >= BATCH_ROWS_MAX || (waiting > 0 && is_late()) {
            self.flush();
        }
    }

    fn is_ordered(&self, order: &AtomicU64) -> bool {
        order.load(Ordering::Acquire) == self.tag
    }
}

impl<W: Write> Observer for Reporter<'_, W> {
    fn step_row(&mut self, mut row: StepRow) {
        row.elapsed_seconds = Some(self.elapsed().as_secs_f64());
        self.risk = row.risk.or(self.risk);
        self.steps.rows.push(row.into_row());
        self.flush_if_due();
    }

    fn confusion_row(&mut self, row: ConfusionRow) {
        if row.layer.is_none() {
            (self.min_cos, self.rms_cos) = (row.min_cos, row.rms_cos);
        }
        self.confusion.rows.push(row.into_row());
        self.flush_if_due();
    }

    fn weights(&mut self, step: u64, bytes: Vec<u8>) {
        self.flush();
        self.weights += 1;
        self.tell(FromTrial::Weights { step, bytes });
    }

    fn at_checkpoint_step(&mut self, step: u64) -> Wish {
        self.flush_if_due();
        let now = clock::instant();
        if now.duration_since(self.told) >= PROGRESS_EVERY {
            self.told = now;
            let Self { risk, min_cos, rms_cos, .. } = *self;
            self.tell(FromTrial::Progress { step, risk, min_cos, rms_cos });
        }
        if self.broken.is_some() || self.is_ordered(&self.orders.stop) {
            return Wish::Stop;
        }
        if self.is_ordered(&self.orders.hand_back) {
            return Wish::CheckpointAndStop;
        }
        // An order is carried out once: the flag is lowered unless a newer job's order is already in it.
        let (tag, order) = (self.tag, &self.orders.checkpoint);
        match order.compare_exchange(tag, 0, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Wish::Checkpoint,
            Err(_) => Wish::Continue,
        }
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) {
        self.flush();
        let Checkpoint { step, steps_rows, confusion_rows, bytes } = checkpoint;
        self.tell(FromTrial::Checkpoint { step, steps_rows, confusion_rows, bytes });
    }
}

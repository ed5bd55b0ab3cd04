//! One job from its spec to its measurements: a pure function that can stop and go on with the same bits.
//!
//! ```text
//! data, weights <- seeds
//! for step k = 0 .. steps:
//!     k is measured     -> step_row, confusion_row ..., weights?  (diverged or converged: the end)
//!     k may checkpoint  -> at_checkpoint_step -> checkpoint?, stop?
//!     SGD updates up to the next such step
//! ```
//!
//! Rows come in an order, and checkpoints at steps, that are functions of the spec alone, never of time. No clock, no
//! network, no file: the caller owns those, behind [`Observer`].

mod checkpoint;
mod conv;
mod cost;
mod dense;
mod error;
mod export;
mod learner;
mod run;
mod tensor;
mod theory;
mod weights;

use domain::spec::KeepWeights;
use domain::{ConfusionRow, JobFigures, StepRow};

use crate::data::Bundle;
use crate::nn::dispatch::Level;

pub use cost::{Cost, cost};
pub use error::{CheckpointError, TrialError};
pub use export::{Exported, Probe, examples, export};
pub use run::run;

/// What a trial is given beside its spec. None of it shows in what it measures.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// The data set of files; it is needed if and only if the kind of the spec's data is one of files.
    pub data: Option<&'a Bundle>,
    /// The checkpoint to go on from; `None`: from the start.
    pub resume: Option<&'a [u8]>,
    /// Threads that share its work. Dense networks use one, whatever is given.
    pub threads: usize,
    /// Which weights to tell of.
    pub keep: KeepWeights,
}

impl Default for Given<'_> {
    fn default() -> Self {
        Self { data: None, resume: None, threads: 1, keep: KeepWeights::None }
    }
}

/// Revision of everything here that can change a bit of a result. Raised by hand with such a change; stored with every
/// result, and a checkpoint of another revision is not resumed.
pub const ENGINE_REVISION: &str = "3";

/// What a trial tells its caller, in order. The caller stores rows and checkpoints; a trial never waits for it.
pub trait Observer {
    /// The next row of the training curve. Its `elapsed_seconds` is `None`: the caller owns the clock.
    fn step_row(&mut self, row: StepRow);
    /// The next confusion row.
    fn confusion_row(&mut self, row: ConfusionRow);
    /// The weights at a measured step, a safetensors file, after all rows of that step. Told where they are asked for; never those
    /// of a trial that diverged there.
    fn weights(&mut self, _step: u64, _bytes: Vec<u8>) {}
    /// Asked at every step where a checkpoint may be taken; every row up to and including this step has been told.
    fn at_checkpoint_step(&mut self, step: u64) -> Wish;
    /// The checkpoint that was wished for.
    fn checkpoint(&mut self, checkpoint: Checkpoint);
}

/// What the caller wants at a step where a checkpoint may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Continue,
    Checkpoint,
    CheckpointAndStop,
    Stop,
}

/// All that a trial needs to go on from `step`, and how many rows it had told by then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Updates done.
    pub step: u64,
    /// Rows of the table `steps` told so far: the number of the next one.
    pub steps_rows: u64,
    /// Rows of the table `confusion` told so far.
    pub confusion_rows: u64,
    /// A safetensors file.
    pub bytes: Vec<u8>,
}

/// How a trial ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// It reached its last step, converged or diverged.
    Finished(JobFigures),
    /// The observer wished it to stop after `step` updates.
    Stopped { step: u64 },
}

/// The instruction set that the kernels run on, as recorded with every result.
pub fn instruction_set() -> &'static str {
    Level::best().name()
}

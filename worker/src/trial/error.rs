//! Why a trial cannot run. Divergence is not here: it is a result.

use crate::data::DataError;

/// Why a trial cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    #[error("the spec names a data set of files, and none was given")]
    DataMissing,
    #[error("the data do not fit the spec")]
    Data(#[from] DataError),
    #[error("the checkpoint cannot be resumed")]
    Checkpoint(#[from] CheckpointError),
    #[error("confusion compares at least 2 gradients; the spec asks for {count} of {samples}")]
    TooFewGradients { count: u32, samples: u32 },
    #[error("{count} minibatches of {batch} do not fit in {samples} examples without overlap")]
    Overlap { count: u32, batch: u32, samples: u32 },
    #[error("in train mode single examples have no gradients of their own")]
    ExamplesInTrainMode,
    #[error("inputs of {dim} entries are not the images that a convolutional network reads")]
    NotImages { dim: u32 },
    #[error("{what} is 0; it must be at least 1")]
    Zero { what: &'static str },
    #[error("step {step} is not measured; the measured steps are {}", listed(measured))]
    NotMeasured { step: u64, measured: Vec<u64> },
    #[error("the trial ended at step {ended}, before step {step}: it diverged or converged there")]
    EndedBefore { step: u64, ended: u64 },
}

/// The first and the last of many steps.
fn listed(steps: &[u64]) -> String {
    const SHOWN: usize = 12;
    let texts: Vec<String> = steps.iter().map(u64::to_string).collect();
    match texts.as_slice() {
        [.., last] if texts.len() > SHOWN => {
            format!("{}, ... {last}", texts[..SHOWN - 1].join(", "))
        }
        _ => texts.join(", "),
    }
}

/// Why a checkpoint cannot be resumed. The trial can always start again from its first step.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("not a complete safetensors file")]
    Malformed(#[source] safetensors::SafeTensorError),
    #[error("its metadata lack the header of a checkpoint")]
    HeaderMissing,
    #[error("its header cannot be read")]
    Header(#[source] serde_json::Error),
    #[error("its format is {found}; this build reads {expected}")]
    Format { found: u32, expected: u32 },
    #[error("engine revision {found}; this build has {expected}")]
    Engine { found: String, expected: &'static str },
    #[error("taken on {found}; this machine runs {expected}")]
    InstructionSet { found: String, expected: &'static str },
    #[error("a checkpoint of job {found}, not of {expected}")]
    OtherJob { found: String, expected: String },
    #[error("its digest does not match its content")]
    Damaged,
    #[error("tensor {name} is missing or has another shape")]
    Tensor { name: String },
    #[error("{steps_rows} and {confusion_rows} rows by step {step} are not what the spec gives")]
    Place { step: u64, steps_rows: u64, confusion_rows: u64 },
}

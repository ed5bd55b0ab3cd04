//! Why a trial cannot run.

/// Why a trial cannot start. Divergence is not here: it is a result.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    #[error("the spec names IDX data, but no data set was given")]
    DataMissing,
    #[error("checkpoint")]
    Checkpoint(#[from] CheckpointError),
}

/// Why a checkpoint cannot be resumed.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("not a safetensors file")]
    Malformed,
}

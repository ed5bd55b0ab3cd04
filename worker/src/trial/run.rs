//! The loop of a trial.

use domain::JobSpec;

use super::{Ending, Observer, TrialError};
use crate::data::Bundle;

/// Runs the job that `spec` describes, from its start or from `resume`.
pub fn run(
    spec: &JobSpec,
    data: Option<&Bundle>,
    resume: Option<&[u8]>,
    observer: &mut dyn Observer,
) -> Result<Ending, TrialError> {
    let _ = (spec, data, resume, observer);
    Err(TrialError::DataMissing)
}

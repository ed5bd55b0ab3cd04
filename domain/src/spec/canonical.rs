//! A spec written down for its identity, and read back.

use super::JobSpec;
use crate::id::JobId;
use crate::sweep::CanonicalError;

impl JobSpec {
    /// Canonical JSON.
    pub fn canonical(&self) -> String {
        String::new()
    }
    /// The job's identity.
    pub fn id(&self) -> JobId {
        JobId::of(&self.canonical())
    }
    /// Reads canonical JSON back.
    pub fn from_canonical(_text: &str) -> Result<Self, CanonicalError> {
        Err(CanonicalError::NotCanonical)
    }
}

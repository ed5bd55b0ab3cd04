//! What data files hold. The domain reads no file: whoever does hands the facts in.

use std::collections::BTreeMap;

use crate::id::Digest;

/// What a data file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// The digest of its content.
    pub digest: Digest,
    /// Training examples.
    pub samples: u32,
    /// Held-out examples.
    pub test_samples: u32,
    /// Entries of one input.
    pub dim: u32,
    /// Classes of the labels.
    pub classes: u32,
}

/// Data files by their content.
pub type Files = BTreeMap<Digest, FileFacts>;

/// What is known of data files when settings become a spec.
#[derive(Clone, Copy, Debug)]
pub enum Facts<'a> {
    /// These files were read; `data.digest` names one of them.
    Known(&'a Files),
    /// Files will be read later: rules that need them wait, and the spec is good for nothing but its errors.
    Pending,
    /// The settings are a whole spec, with everything that came from the file written out.
    Written,
}

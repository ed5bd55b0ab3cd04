//! The five random streams of a job. The same seed sees the same data in every cell (common random numbers).

/// A seed for each purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds {
    pub data: u64,
    pub init: u64,
    pub order: u64,
    pub measure: u64,
    pub augment: u64,
}

impl Seeds {
    /// The same seed for every purpose.
    pub fn all(seed: u64) -> Self {
        Self { data: seed, init: seed, order: seed, measure: seed, augment: seed }
    }

    /// The one seed that all purposes share; `None` where they differ. Augmentation does not count: nothing uses it
    /// yet, so it is no part of a job.
    pub fn common(&self) -> Option<u64> {
        let Self { data, init, order, measure, augment: _ } = *self;
        (data == init && data == order && data == measure).then_some(data)
    }
}

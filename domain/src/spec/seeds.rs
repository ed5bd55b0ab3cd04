//! The five random streams of a job. The same seed sees the same data in every cell (common random numbers).

use crate::settings::Field;

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
    /// The settings that the seeds of a spec are written as, in the order of the struct.
    pub(crate) const FIELDS: [Field; 5] = [
        Field::DataSeed,
        Field::InitSeed,
        Field::OrderSeed,
        Field::MeasureSeed,
        Field::AugmentSeed,
    ];

    /// The same seed for every purpose.
    pub fn all(seed: u64) -> Self {
        Self { data: seed, init: seed, order: seed, measure: seed, augment: seed }
    }

    /// The one seed that all purposes share; `None` where they differ. Without augmentation its seed is that of the data,
    /// so that it does not count.
    pub fn common(&self) -> Option<u64> {
        let Self { data, init, order, measure, augment } = *self;
        (data == init && data == order && data == measure && data == augment).then_some(data)
    }
}

//! A job's spec: everything that can change one of its result rows, validated, with nothing left to default.
//!
//! A trial is a pure function of a [`JobSpec`]. How the spec is written down for its identity, and read back, is in
//! `canonical`; how settings become a spec is in `build`.

mod build;
mod canonical;
mod conv;
mod data;
mod measure;
mod model;
mod run;
mod seeds;
mod train;

pub use build::{Facts, FileFacts, Files};
pub(crate) use canonical::Template;
pub use conv::{Block, Conv, ConvKind};
pub use data::{Data, DataKind, Labels};
pub use measure::{At, Confusion, Measure, Mode};
pub use model::{Activation, Init, Model, Precision, Shape};
pub use run::{KeepWeights, RunPolicy, THREADS_MAX};
pub use seeds::Seeds;
pub use train::{Decay, Loss, Sampling, Train};

/// One point of a grid, its seeds included.
#[derive(Clone, Debug, PartialEq)]
pub struct JobSpec {
    pub model: Model,
    pub data: Data,
    pub train: Train,
    pub measure: Measure,
    pub seeds: Seeds,
}

impl JobSpec {
    /// The steps at which the job measures: step 0, those that `measure.at` names, and the last.
    pub fn measured_steps(&self) -> Vec<u64> {
        self.measure.at.steps(self.train.steps)
    }

    /// Rows of confusion of each measured step.
    pub fn confusion_rows(&self) -> u64 {
        let layers = self.model.weight_shapes(self.data.dim).len() as u64;
        let rows = |confusion: &Confusion| {
            let parts = if self.measure.layers && confusion.has_layers() { 1 + layers } else { 1 };
            parts * confusion.row_count()
        };
        self.measure.confusion.iter().map(rows).sum()
    }
}

/// A closed list of words that a setting may take, and how each is written.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// Every accepted word, in the order of the sweep file's documentation.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word in sweep files, canonical specs and result columns.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The meaning of `word`, if it is one of [`Self::WORDS`].
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}
pub(crate) use words;

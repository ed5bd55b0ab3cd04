//! Settings to a spec: defaults filled in, and every rule that holds between settings checked.
//!
//! The only way from a sweep file or a text off the wire to a [`JobSpec`], so that what is refused here never runs.
//! Fields that do not apply to a point (the width of a linear model) are ignored.

mod conv;
mod data;
mod facts;
mod measure;
mod model;
mod run;
mod train;

pub use facts::{Facts, FileFacts, Files};

use super::{
    Activation, ConvKind, Init, JobSpec, Labels, Loss, Precision, RunPolicy, Sampling, Seeds,
};
use crate::settings::{Field, SettingError, Settings};

/// The kind of model, before its shape is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ModelKind {
    Linear,
    Logistic,
    Mlp,
    Conv(ConvKind),
}

impl ModelKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Logistic => "logistic",
            Self::Mlp => "mlp",
            Self::Conv(kind) => kind.as_str(),
        }
    }
}

impl JobSpec {
    /// The job that `settings` ask for.
    ///
    /// # Errors
    /// The first setting that is missing, or that does not fit the others.
    pub fn from_settings(settings: &Settings, facts: Facts<'_>) -> Result<Self, SettingError> {
        let kind = model::kind(settings)?;
        let data_kind = data::kind(settings)?;
        model::suits(kind, data_kind)?;
        let loss = train::loss(settings, kind, data_kind)?;
        let (data, outputs) = data::build(settings, facts, data_kind, loss)?;
        let model = model::build(settings, kind, loss, outputs)?;
        let train = train::build(settings, loss, kind, &data)?;
        let measure = measure::build(settings, &model, &train, &data)?;
        let seeds = Seeds::given(|field| settings.int(field), train.augment);
        Ok(Self { model, data, train, measure, seeds })
    }
}

impl Seeds {
    /// `seed`, 0 where it is left out, and those streams that are set apart. Where nothing is augmented, that seed
    /// follows the data, so that two jobs that differ in it alone are one.
    pub(crate) fn given(seed: impl Fn(Field) -> Option<u64>, augment: bool) -> Self {
        let common = seed(Field::Seed).unwrap_or(0);
        let apart = |field| seed(field).unwrap_or(common);
        let data = apart(Field::DataSeed);
        Self {
            data,
            init: apart(Field::InitSeed),
            order: apart(Field::OrderSeed),
            measure: apart(Field::MeasureSeed),
            augment: if augment { apart(Field::AugmentSeed) } else { data },
        }
    }
}

/// The meaning of a word field, if it is given.
macro_rules! word_of {
    ($name:ident, $type:ty) => {
        fn $name(settings: &Settings, field: Field) -> Option<$type> {
            settings.text(field).and_then(<$type>::from_word)
        }
    };
}
word_of!(activation, Activation);
word_of!(init, Init);
word_of!(labels, Labels);
word_of!(loss, Loss);
word_of!(precision, Precision);
word_of!(sampling, Sampling);

impl RunPolicy {
    /// The policy that the `run` settings ask for.
    pub fn from_settings(settings: &Settings) -> Self {
        run::build(settings)
    }
}

//! Every field of a sweep file: its dotted name, and which values it takes.

use super::{Accepted, suggest};
use crate::spec::{
    Activation, DataKind, Init, KeepWeights, Labels, Loss, Precision, Sampling, THREADS_MAX, words,
};

words! {
    /// A setting, named as in the sweep file.
    Field {
        Seed = "seed",
        DataSeed = "data_seed",
        InitSeed = "init_seed",
        OrderSeed = "order_seed",
        MeasureSeed = "measure_seed",
        AugmentSeed = "augment_seed",
        ModelKind = "model.kind",
        ModelWidth = "model.width",
        ModelDepth = "model.depth",
        ModelActivation = "model.activation",
        ModelOutput = "model.output",
        ModelInit = "model.init",
        ModelBias = "model.bias",
        ModelOutputs = "model.outputs",
        ModelBatchNorm = "model.batch_norm",
        ModelSkip = "model.skip",
        ModelPrecision = "model.precision",
        DataKind = "data.kind",
        DataSamples = "data.samples",
        DataDim = "data.dim",
        DataLabels = "data.labels",
        DataNoise = "data.noise",
        DataTestSamples = "data.test_samples",
        DataPath = "data.path",
        /// The content that `data.path` turned out to have; only in canonical texts, which name no path.
        DataDigest = "data.digest",
        TrainLoss = "train.loss",
        TrainBatch = "train.batch",
        TrainSteps = "train.steps",
        TrainEpochs = "train.epochs",
        TrainStepSize = "train.step_size",
        TrainSchedule = "train.schedule",
        TrainSampling = "train.sampling",
        TrainMomentum = "train.momentum",
        TrainWeightDecay = "train.weight_decay",
        TrainAugment = "train.augment",
        TrainStopBelow = "train.stop_below",
        MeasureAt = "measure.at",
        MeasureMode = "measure.mode",
        MeasureConfusion = "measure.confusion",
        MeasureLayers = "measure.layers",
        RunAttempts = "run.attempts",
        RunPriority = "run.priority",
        RunTimeout = "run.timeout",
        RunCheckpoint = "run.checkpoint",
        RunKeepWeights = "run.keep_weights",
        RunThreads = "run.threads",
        RunMemory = "run.memory",
    }
}

/// Which values a field takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FieldType {
    /// One of `words`; those in `later` are words too, but nothing behind them is built.
    Word {
        words: &'static [&'static str],
        later: &'static [&'static str],
    },
    Int {
        min: i64,
        max: i64,
    },
    /// Finite and above 0.
    Positive,
    /// Finite and at least 0.
    NonNegative,
    /// From 0 to below 1.
    BelowOne,
    Flag,
    Path,
    Digest,
    At,
    Schedule,
    Confusion,
    Duration,
    Memory,
}

/// Largest hidden width, and number of outputs.
const WIDTH_MAX: i64 = 1_000_000;
/// Largest depth. With the largest width the count of parameters stays far below 2⁶³.
const DEPTH_MAX: i64 = 10_000;
/// Largest input.
const DIM_MAX: i64 = 10_000_000;
/// Most examples of a data set.
const SAMPLES_MAX: i64 = 100_000_000;
/// Most SGD steps of a job.
pub const STEPS_MAX: i64 = 1_000_000_000_000;

impl Field {
    /// Which values it takes.
    pub fn field_type(self) -> FieldType {
        let word = |words| FieldType::Word { words, later: &[] };
        match self {
            Self::Seed
            | Self::DataSeed
            | Self::InitSeed
            | Self::OrderSeed
            | Self::MeasureSeed
            | Self::AugmentSeed => FieldType::Int { min: 0, max: i64::MAX },
            Self::ModelKind => word(&["linear", "logistic", "mlp", "cnn", "wrn"]),
            Self::ModelWidth | Self::ModelOutputs => FieldType::Int { min: 1, max: WIDTH_MAX },
            Self::ModelDepth => FieldType::Int { min: 0, max: DEPTH_MAX },
            Self::ModelActivation | Self::ModelOutput => word(Activation::WORDS),
            Self::ModelInit => word(Init::WORDS),
            Self::ModelBias
            | Self::ModelBatchNorm
            | Self::ModelSkip
            | Self::TrainAugment
            | Self::MeasureLayers => FieldType::Flag,
            Self::ModelPrecision => word(Precision::WORDS),
            Self::DataKind => word(DataKind::WORDS),
            Self::DataSamples => FieldType::Int { min: 2, max: SAMPLES_MAX },
            Self::DataDim => FieldType::Int { min: 1, max: DIM_MAX },
            Self::DataLabels => word(Labels::WORDS),
            Self::DataNoise | Self::TrainWeightDecay => FieldType::NonNegative,
            Self::DataTestSamples => FieldType::Int { min: 0, max: SAMPLES_MAX },
            Self::DataPath => FieldType::Path,
            Self::DataDigest => FieldType::Digest,
            Self::TrainLoss => word(Loss::WORDS),
            Self::TrainBatch => FieldType::Int { min: 1, max: SAMPLES_MAX },
            Self::TrainSteps => FieldType::Int { min: 0, max: STEPS_MAX },
            Self::TrainEpochs => FieldType::Int { min: 1, max: STEPS_MAX },
            Self::TrainStepSize | Self::TrainStopBelow => FieldType::Positive,
            Self::TrainSchedule => FieldType::Schedule,
            Self::TrainSampling => word(Sampling::WORDS),
            Self::TrainMomentum => FieldType::BelowOne,
            Self::MeasureAt => FieldType::At,
            Self::MeasureMode => FieldType::Word { words: &["eval", "train"], later: &[] },
            Self::MeasureConfusion => FieldType::Confusion,
            Self::RunAttempts => FieldType::Int { min: 1, max: 1_000 },
            Self::RunPriority => FieldType::Int { min: i32::MIN as i64, max: i32::MAX as i64 },
            Self::RunTimeout | Self::RunCheckpoint => FieldType::Duration,
            Self::RunKeepWeights => word(KeepWeights::WORDS),
            Self::RunThreads => FieldType::Int { min: 1, max: THREADS_MAX as i64 },
            Self::RunMemory => FieldType::Memory,
        }
    }

    /// What an integer field accepts.
    pub(crate) fn accepted_int(self) -> Accepted {
        match self.field_type() {
            FieldType::Int { min, max } => Accepted::Int { min, max },
            _ => Accepted::Int { min: i64::MIN, max: i64::MAX },
        }
    }

    /// Whether it is a random seed: it then cannot make a point invalid.
    pub fn is_seed(self) -> bool {
        self <= Self::AugmentSeed
    }

    /// Whether it says how jobs are run rather than what they are.
    pub fn is_run(self) -> bool {
        self >= Self::RunAttempts
    }

    /// Whether a sweep file may have it.
    pub fn is_written(self) -> bool {
        self != Self::DataDigest
    }

    /// The names that a sweep file may have.
    pub fn written() -> impl Iterator<Item = &'static str> {
        Self::WORDS.iter().copied().filter(|name| *name != Self::DataDigest.as_str())
    }

    /// Whether `name` is a section such as `model`.
    pub fn is_section(name: &str) -> bool {
        ["model", "data", "train", "measure", "run"].contains(&name)
    }

    /// The field that was probably meant by `name`: misspelt, from another section, or a usual other name.
    pub fn suggestion(name: &str) -> Option<&'static str> {
        let last = suggest::last_part(name);
        let other_name = OTHER_NAMES.iter().find(|(other, _)| *other == last).map(|(_, f)| *f);
        suggest::nearest(name, Self::written())
            .or(other_name)
            .or_else(|| Self::written().find(|field| suggest::last_part(field) == last))
    }
}

/// What other programs call some of the fields.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("lr", "train.step_size"),
    ("learning_rate", "train.step_size"),
    ("batch_size", "train.batch"),
    ("num_epochs", "train.epochs"),
    ("hidden", "model.width"),
    ("layers", "model.depth"),
    ("dataset", "data.kind"),
    ("optimizer", "train.momentum"),
    ("seeds", "seed"),
    ("random_seed", "seed"),
];

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_lies_in_a_section_or_is_a_seed() {
        for name in Field::WORDS {
            let field = Field::from_word(name).expect("a word");
            match name.split_once('.') {
                Some((section, _)) => assert!(Field::is_section(section), "{name}"),
                None => assert!(field.is_seed(), "{name}"),
            }
            assert_eq!(field.is_run(), name.starts_with("run."), "{name}");
        }
    }

    #[test]
    fn a_field_is_suggested_by_spelling_section_or_custom() {
        for (name, meant) in [
            ("model.widht", "model.width"),
            ("model.samples", "data.samples"),
            ("train.learning_rate", "train.step_size"),
            ("sead", "seed"),
        ] {
            assert_eq!(Field::suggestion(name), Some(meant));
        }
        assert_eq!(Field::suggestion("model.colour"), None);
        assert_eq!(Field::suggestion("data.digestx"), None);
    }
}

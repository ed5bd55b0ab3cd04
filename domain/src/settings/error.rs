//! What is wrong with a setting: its key, what was found there, and what would be accepted.

use std::fmt;

use super::{Field, suggest};
use crate::value::Value;

/// A setting that cannot be accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct SettingError {
    pub key: Field,
    /// The place inside a structured value, such as `[1].count`; empty for the whole.
    pub part: String,
    /// Boxed to keep results small.
    pub fault: Box<Fault>,
}

/// What is wrong with it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Fault {
    #[error(
        "found {found}{}; expected {accepted}{}",
        kind_of(found, accepted),
        meant(found, accepted)
    )]
    Refused { found: Value, accepted: Accepted },
    #[error("missing; expected {accepted}")]
    Missing { accepted: Accepted },
    #[error("{found} is not built yet in this version; built so far: {}", all_of(built))]
    NotBuilt { found: Value, built: Accepted },
    #[error("unknown key \"{name}\"; expected {accepted}")]
    UnknownPart { name: String, accepted: Accepted },
}

/// What a setting accepts: by its type, or given the other settings of the point.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Accepted {
    #[error("{}", one_of(words))]
    Words { words: &'static [&'static str] },
    #[error("{}", int_range(*min, *max))]
    Int { min: i64, max: i64 },
    #[error("a finite number above 0")]
    Positive,
    #[error("a finite number of at least 0")]
    NonNegative,
    #[error("a number from 0 to below 1")]
    BelowOne,
    #[error("true or false")]
    Flag,
    #[error("a path, as a string that is not empty")]
    Path,
    #[error("a blake3 digest of 64 hexadecimal digits")]
    Digest,
    #[error(
        "{{ log = n }}, {{ every = n }}, {{ epochs = n }} or a list of steps such as [0, 10, 100]"
    )]
    At,
    #[error("a list such as [{{ at = 0.5, factor = 0.1 }}]")]
    Schedule,
    #[error("a number above 0: below 1 a fraction of the run, from 1 on a count of epochs")]
    DecayAt,
    #[error("either `at` (a fraction of the run, or epochs) or `step`")]
    DecayAtOrStep,
    #[error(
        "a list such as [{{ scope = \"samples\", count = 128 }}, {{ scope = \"batches\", count = 100, batch = 128 }}]"
    )]
    Confusion,
    #[error("each entry to differ from those before it")]
    DistinctConfusion,
    #[error(
        "it to be left out: gradients of single examples alone (scope = \"samples\") are averaged"
    )]
    AverageOfSamples,
    #[error("a list such as [4, 16, 64], of at most {max} sizes of minibatches")]
    Averages { max: usize },
    #[error("each size of a minibatch once")]
    DistinctAverages,
    #[error("a time from 1s to 365days, such as \"90s\", \"2h\" or \"1h 30m\"")]
    Duration,
    #[error("an amount of at least 1 byte, such as \"512MiB\", \"2GiB\" or a number of bytes")]
    Memory,

    #[error("train.steps or train.epochs")]
    StepsOrEpochs,
    #[error("train.steps or train.epochs, not both")]
    StepsXorEpochs,
    #[error(
        "at most {max} steps in all, where epochs times data.samples / train.batch are {steps}"
    )]
    FewerEpochs { max: i64, steps: u128 },
    #[error("a point before the end of the run, which has {steps} steps; this is step {step}")]
    DecayBeforeEnd { steps: u64, step: u64 },
    #[error("at most {max} measured steps a job; these are {steps}")]
    FewerMeasurements { max: u64, steps: u64 },
    #[error("at most data.samples = {samples}")]
    AtMostSamples { samples: u32 },
    #[error("at most data.samples = {samples} with train.sampling = \"shuffle\"")]
    ShuffledBatch { samples: u32 },
    #[error("at most data.dim = {dim} orthogonal examples")]
    Orthogonal { dim: u32 },
    #[error("at most the {samples} examples of the file")]
    AtMostFile { samples: u32 },
    #[error("at most the {samples} test examples of the file")]
    AtMostTestFile { samples: u32 },
    #[error("the {dim} entries of the file's examples, or to be left out")]
    FileDim { dim: u32 },
    #[error("a file whose facts are known")]
    KnownFile,
    #[error("{} for data.kind = \"{kind}\"", one_of(words))]
    LabelsOfData { kind: &'static str, words: &'static [&'static str] },
    #[error("{} with train.loss = \"{loss}\"", one_of(words))]
    LabelsOfLoss { loss: &'static str, words: &'static [&'static str] },
    #[error("0 with data.labels = \"{labels}\": noise is added to real-valued labels only")]
    NoNoise { labels: &'static str },
    #[error("{} for model.kind = \"{kind}\"", one_of(words))]
    LossOfModel { kind: &'static str, words: &'static [&'static str] },
    #[error("{} for model.kind = \"{kind}\"", one_of(words))]
    InitOfModel { kind: &'static str, words: &'static [&'static str] },
    #[error("identity with train.loss = \"cross-entropy\", which has its own softmax")]
    CrossEntropyOutput,
    #[error("identity for model.kind = \"{kind}\"")]
    LinearOutput { kind: &'static str },
    #[error("another activation of the output (model.output): a softmax over one unit is constant")]
    SoftmaxOutput,
    #[error(
        "another activation, or model.width of at least 2: a softmax over one unit is constant"
    )]
    SoftmaxWidth,
    #[error("{} for model.kind = \"{kind}\", which reads images", one_of(words))]
    DataOfModel { kind: &'static str, words: &'static [&'static str] },
    #[error("6n + 4 for model.kind = \"{kind}\", such as {below} or {above}")]
    ConvDepth { kind: &'static str, below: u32, above: u32 },
    #[error("a width factor of at most {max} for model.kind = \"{kind}\"")]
    WidthFactor { kind: &'static str, max: u32 },
    #[error("relu for model.kind = \"{kind}\"")]
    ReluFor { kind: &'static str },
    #[error("false for model.kind = \"{kind}\", whose classifier alone has biases, and always has")]
    HeadBias { kind: &'static str },
    #[error("false for model.kind = \"{kind}\"; cnn and wrn can have it")]
    FalseFor { kind: &'static str },
    #[error("false unless model.kind is cnn or wrn and data.kind is cifar10 or cifar100")]
    Augmentable,
    #[error("at most {max} for model.kind = \"{kind}\", whose gradients have to be formed")]
    AtMostFormed { kind: &'static str, max: u32 },
    #[error(
        "at most {max}, so that {count} of them fit in data.samples = {samples} without overlap"
    )]
    DisjointBatches { count: u32, max: u32, samples: u32 },
    #[error("at most {max}, so that two such minibatches fit in count = {count}")]
    TwoAveraged { max: u32, count: u32 },
    #[error(
        "at least {min}, so that there are at most {max} such minibatches in count = {count}: the inner products of all their pairs are kept"
    )]
    AveragedKept { min: u32, max: u32, count: u32 },
    #[error("another size: an entry before it has {count} gradients of {batch} examples too")]
    AveragedBefore { count: u32, batch: u32 },
    #[error("another count: an entry before it compares {count} examples, and can have all sizes")]
    CountedBefore { count: u32 },
    #[error(
        "eval, or scopes batches and batch-pairs alone: in train mode batch norm makes a minibatch of its examples, which then have no gradients of their own"
    )]
    EvalForExamples,
    #[error("plain SGD for scope = \"cross-iterate\", as in the bound: {without}")]
    PlainStep { without: &'static str },
    #[error("train.batch below data.samples = {samples} for scope = \"cross-iterate\"")]
    OthersLeft { samples: u32 },
    #[error(
        "1: only cnn and wrn share a job among threads, and no point of this sweep has such a model.kind"
    )]
    OneThread,
    #[error("images of {dim} entries in {classes} classes in data.path")]
    Images { dim: u32, classes: u32 },
    #[error("at least {outputs}, one output for each class")]
    OutputsPerClass { outputs: u32 },
}

impl SettingError {
    /// `found` at `key` is not acceptable.
    pub fn refused(key: Field, found: impl Into<Value>, accepted: Accepted) -> Self {
        Self::of(key, Fault::Refused { found: found.into(), accepted })
    }

    /// `key` must be given.
    pub fn missing(key: Field, accepted: Accepted) -> Self {
        Self::of(key, Fault::Missing { accepted })
    }

    /// `fault` of the whole value of `key`.
    pub fn of(key: Field, fault: Fault) -> Self {
        Self { key, part: String::new(), fault: Box::new(fault) }
    }

    /// The same error, of a part of the value.
    pub fn at(mut self, part: &str) -> Self {
        self.part.insert_str(0, part);
        self
    }

    /// The value at fault, where there is one.
    pub fn found(&self) -> Option<&Value> {
        match &*self.fault {
            Fault::Refused { found, .. } | Fault::NotBuilt { found, .. } => Some(found),
            Fault::Missing { .. } | Fault::UnknownPart { .. } => None,
        }
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}: {}", self.key, self.part, self.fault)
    }
}

impl std::error::Error for SettingError {}

/// "one of a, b, c", or the word itself where there is but one.
fn one_of(words: &[&str]) -> String {
    match words {
        [word] => (*word).to_owned(),
        words => format!("one of {}", words.join(", ")),
    }
}

/// The words alone; anything else as it reads after "expected".
fn all_of(built: &Accepted) -> String {
    match built {
        Accepted::Words { words } => words.join(", "),
        other => other.to_string(),
    }
}

fn int_range(min: i64, max: i64) -> String {
    if max == i64::MAX {
        format!("an integer of at least {min}")
    } else {
        format!("an integer from {min} to {max}")
    }
}

/// The kind of the value found, where the value alone does not show what is wrong with it.
fn kind_of(found: &Value, accepted: &Accepted) -> String {
    let is_type_error = match accepted {
        Accepted::Int { .. } => !matches!(found, Value::Int(_)),
        Accepted::Positive | Accepted::NonNegative | Accepted::BelowOne => {
            !matches!(found, Value::Int(_) | Value::Float(_))
        }
        Accepted::Words { .. } | Accepted::Path => !matches!(found, Value::Text(_)),
        Accepted::Flag => true,
        _ => false,
    };
    if is_type_error { format!(" ({})", found.kind()) } else { String::new() }
}

/// "; did you mean x?" for a word that is nearly an accepted one.
fn meant(found: &Value, accepted: &Accepted) -> String {
    let words = match accepted {
        Accepted::Words { words }
        | Accepted::LabelsOfData { words, .. }
        | Accepted::LabelsOfLoss { words, .. }
        | Accepted::LossOfModel { words, .. }
        | Accepted::DataOfModel { words, .. }
        | Accepted::InitOfModel { words, .. } => *words,
        _ => &[],
    };
    let near = found.as_text().and_then(|word| suggest::nearest(word, words.iter().copied()));
    near.map_or(String::new(), |word| format!("; did you mean {word}?"))
}

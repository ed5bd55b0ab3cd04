//! The `[data]` section.

use super::{Facts, FileFacts, labels};
use crate::settings::{Accepted, Field, SettingError, Settings};
use crate::spec::{Conv, Data, DataKind, Labels, Loss};

/// The outputs that labels ask for: one for each class, where there are more than two or the loss is cross-entropy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outputs {
    /// Where the model does not say; `None` where only the file could tell.
    pub default: Option<u32>,
    pub min: u32,
}

/// What stands in for a file whose facts are not known yet: it refuses nothing.
const PENDING_COUNT: u32 = 100_000_000;

pub(super) fn kind(settings: &Settings) -> Result<DataKind, SettingError> {
    let word = settings.text(Field::DataKind).and_then(DataKind::from_word);
    let accepted = Accepted::Words { words: DataKind::WORDS };
    word.ok_or_else(|| SettingError::missing(Field::DataKind, accepted))
}

/// The data, and how many outputs its labels ask for.
pub(super) fn build(
    settings: &Settings,
    facts: Facts<'_>,
    kind: DataKind,
    loss: Loss,
) -> Result<(Data, Outputs), SettingError> {
    let mut data = match kind {
        DataKind::Idx | DataKind::Cifar10 | DataKind::Cifar100 => from_file(settings, facts, kind)?,
        DataKind::Sphere | DataKind::Gaussian | DataKind::Orthogonal => generated(settings, kind)?,
    };
    data.labels = labels_for(settings, kind, loss)?;
    let real = matches!(data.labels, Labels::Teacher | Labels::Linear | Labels::Normal);
    data.noise = settings.number(Field::DataNoise).unwrap_or(0.0);
    if data.noise > 0.0 && !real {
        let accepted = Accepted::NoNoise { labels: data.labels.as_str() };
        return Err(SettingError::refused(Field::DataNoise, data.noise, accepted));
    }
    let cross_entropy = loss == Loss::CrossEntropy;
    let outputs = match (kind, file_facts(settings, facts, kind)?) {
        (DataKind::Idx, Some(file)) => {
            let is_sign = file.classes <= 2 && !cross_entropy;
            Outputs { default: Some(file.classes), min: if is_sign { 1 } else { file.classes } }
        }
        (DataKind::Idx, None) => Outputs { default: None, min: if cross_entropy { 2 } else { 1 } },
        _ if let Some(classes) = kind.cifar_classes() => {
            Outputs { default: Some(classes), min: classes }
        }
        _ if cross_entropy => Outputs { default: Some(2), min: 2 },
        _ => Outputs { default: Some(1), min: 1 },
    };
    Ok((data, outputs))
}

fn generated(settings: &Settings, kind: DataKind) -> Result<Data, SettingError> {
    let required = |field: Field| {
        settings.int(field).ok_or_else(|| SettingError::missing(field, field.accepted_int()))
    };
    let samples: u32 = required(Field::DataSamples)?;
    let dim: u32 = required(Field::DataDim)?;
    let test_samples: u32 = settings.int(Field::DataTestSamples).unwrap_or(0);
    if kind == DataKind::Orthogonal && samples > dim {
        let accepted = Accepted::Orthogonal { dim };
        return Err(SettingError::refused(Field::DataSamples, samples, accepted));
    }
    Ok(Data { kind, samples, dim, labels: Labels::Normal, noise: 0.0, test_samples, digest: None })
}

fn from_file(settings: &Settings, facts: Facts<'_>, kind: DataKind) -> Result<Data, SettingError> {
    let digest = settings.text(Field::DataDigest).and_then(|text| text.parse().ok());
    let file = file_facts(settings, facts, kind)?;
    let missing = |field| move || SettingError::missing(field, Accepted::KnownFile);
    let cifar = kind.cifar_classes();
    let (samples_max, test_max, dim) = match (&file, facts) {
        (Some(file), _) if cifar.is_some_and(|c| (file.dim, file.classes) != (Conv::DIM, c)) => {
            let accepted = Accepted::Images { dim: Conv::DIM, classes: cifar.unwrap_or(0) };
            return Err(SettingError::refused(Field::DataKind, kind.as_str(), accepted));
        }
        (Some(file), _) => (file.samples, file.test_samples, Some(file.dim)),
        (None, Facts::Pending) => (PENDING_COUNT, PENDING_COUNT, cifar.map(|_| Conv::DIM)),
        (None, Facts::Known(_) | Facts::Written) => {
            settings.get(Field::DataSamples).ok_or_else(missing(Field::DataSamples))?;
            settings.get(Field::DataDim).ok_or_else(missing(Field::DataDim))?;
            (PENDING_COUNT, PENDING_COUNT, cifar.map(|_| Conv::DIM))
        }
    };
    let samples = settings.int(Field::DataSamples).unwrap_or(samples_max);
    if samples > samples_max || samples < 2 {
        let accepted = Accepted::AtMostFile { samples: samples_max };
        return Err(SettingError::refused(Field::DataSamples, samples, accepted));
    }
    let test_samples = settings.int(Field::DataTestSamples).unwrap_or(0);
    if test_samples > test_max {
        let accepted = Accepted::AtMostTestFile { samples: test_max };
        return Err(SettingError::refused(Field::DataTestSamples, test_samples, accepted));
    }
    let given: Option<u32> = settings.int(Field::DataDim);
    if let (Some(given), Some(dim)) = (given, dim)
        && given != dim
    {
        return Err(SettingError::refused(Field::DataDim, given, Accepted::FileDim { dim }));
    }
    let dim = dim.or(given).unwrap_or(1);
    Ok(Data { kind, samples, dim, labels: Labels::Classes, noise: 0.0, test_samples, digest })
}

/// The facts of the file that the settings name; `None` where there is none, or it is not known here.
fn file_facts<'a>(
    settings: &Settings,
    facts: Facts<'a>,
    kind: DataKind,
) -> Result<Option<&'a FileFacts>, SettingError> {
    if !kind.is_file() {
        return Ok(None);
    }
    let digest = settings.text(Field::DataDigest).and_then(|text| text.parse().ok());
    match (facts, digest) {
        (Facts::Known(files), Some(digest)) => files.get(&digest).map(Some).ok_or_else(|| {
            SettingError::refused(Field::DataDigest, &*digest.to_string(), Accepted::KnownFile)
        }),
        (Facts::Pending, None) if settings.has(Field::DataPath) => Ok(None),
        (Facts::Pending | Facts::Written, Some(_)) => Ok(None),
        (Facts::Known(_) | Facts::Pending | Facts::Written, None) => {
            Err(SettingError::missing(Field::DataPath, Accepted::Path))
        }
    }
}

fn labels_for(settings: &Settings, kind: DataKind, loss: Loss) -> Result<Labels, SettingError> {
    let default = match (kind, loss) {
        (DataKind::Idx | DataKind::Cifar10 | DataKind::Cifar100, _) => Labels::Classes,
        (DataKind::Orthogonal, _) => Labels::Random,
        (DataKind::Sphere | DataKind::Gaussian, Loss::Squared) => Labels::Teacher,
        (DataKind::Sphere | DataKind::Gaussian, Loss::Logistic | Loss::CrossEntropy) => {
            Labels::Sign
        }
    };
    let given = labels(settings, Field::DataLabels).unwrap_or(default);
    let refuse = |accepted| SettingError::refused(Field::DataLabels, given.as_str(), accepted);
    let of_data: &[&str] = match kind {
        DataKind::Idx | DataKind::Cifar10 | DataKind::Cifar100 => &["classes", "random"],
        DataKind::Sphere | DataKind::Gaussian | DataKind::Orthogonal => {
            &["teacher", "linear", "sign", "random", "normal"]
        }
    };
    if !of_data.contains(&given.as_str()) {
        return Err(refuse(Accepted::LabelsOfData { kind: kind.as_str(), words: of_data }));
    }
    let real = matches!(given, Labels::Teacher | Labels::Linear | Labels::Normal);
    if real && loss != Loss::Squared {
        let words = &["sign", "random"];
        return Err(refuse(Accepted::LabelsOfLoss { loss: loss.as_str(), words }));
    }
    Ok(given)
}

//! The `[model]` section.

use super::data::Outputs;
use super::{ModelKind, activation, init, precision};
use crate::settings::{Accepted, Field, SettingError, Settings};
use crate::spec::{Activation, ConvKind, DataKind, Init, Loss, Model, Precision, Shape};

pub(super) fn kind(settings: &Settings) -> Result<ModelKind, SettingError> {
    match settings.text(Field::ModelKind) {
        Some("linear") => Ok(ModelKind::Linear),
        Some("logistic") => Ok(ModelKind::Logistic),
        Some("mlp") => Ok(ModelKind::Mlp),
        Some("cnn") => Ok(ModelKind::Conv(ConvKind::Cnn)),
        Some("wrn") => Ok(ModelKind::Conv(ConvKind::Wrn)),
        _ => {
            let words = &["linear", "logistic", "mlp", "cnn", "wrn"];
            Err(SettingError::missing(Field::ModelKind, Accepted::Words { words }))
        }
    }
}

/// Whether the model can read such data: a convolutional network reads images.
pub(super) fn suits(kind: ModelKind, data: DataKind) -> Result<(), SettingError> {
    match kind {
        ModelKind::Conv(conv) if data.cifar_classes().is_none() => {
            let words = &["cifar10", "cifar100"];
            let accepted = Accepted::DataOfModel { kind: conv.as_str(), words };
            Err(SettingError::refused(Field::DataKind, data.as_str(), accepted))
        }
        ModelKind::Conv(_) | ModelKind::Linear | ModelKind::Logistic | ModelKind::Mlp => Ok(()),
    }
}

pub(super) fn build(
    settings: &Settings,
    kind: ModelKind,
    loss: Loss,
    asked: Outputs,
) -> Result<Model, SettingError> {
    let outputs = outputs(settings, asked)?;
    let is_conv = matches!(kind, ModelKind::Conv(_));
    for field in [Field::ModelBatchNorm, Field::ModelSkip] {
        if !is_conv && settings.flag(field) == Some(true) {
            let accepted = Accepted::FalseFor { kind: kind.as_str() };
            return Err(SettingError::refused(field, true, accepted));
        }
    }
    let (shape, output, init) = match kind {
        ModelKind::Linear => {
            (Shape::Linear, linear_output(settings, kind)?, linear_init(settings)?)
        }
        ModelKind::Logistic => {
            (Shape::Logistic, linear_output(settings, kind)?, logistic_init(settings)?)
        }
        ModelKind::Mlp => mlp(settings, loss, outputs)?,
        ModelKind::Conv(conv) => super::conv::build(settings, conv)?,
    };
    let usual = if is_conv { Precision::F32 } else { Precision::F64 };
    Ok(Model {
        shape,
        output,
        init,
        bias: settings.flag(Field::ModelBias).unwrap_or(false),
        outputs,
        precision: precision(settings, Field::ModelPrecision).unwrap_or(usual),
    })
}

fn outputs(settings: &Settings, asked: Outputs) -> Result<u32, SettingError> {
    match settings.int(Field::ModelOutputs) {
        Some(given) if given < asked.min => {
            let accepted = Accepted::OutputsPerClass { outputs: asked.min };
            Err(SettingError::refused(Field::ModelOutputs, given, accepted))
        }
        // Only while a file is yet to be read are both unknown; any count above 1 will do until then.
        given => Ok(given.or(asked.default).unwrap_or(2)),
    }
}

pub(super) fn linear_output(
    settings: &Settings,
    kind: ModelKind,
) -> Result<Activation, SettingError> {
    match activation(settings, Field::ModelOutput) {
        None | Some(Activation::Identity) => Ok(Activation::Identity),
        Some(other) => {
            let accepted = Accepted::LinearOutput { kind: kind.as_str() };
            Err(SettingError::refused(Field::ModelOutput, other.as_str(), accepted))
        }
    }
}

const LINEAR_INITS: &[&str] = &["unit-gaussian", "lecun", "he", "glorot", "orthogonal"];
const MLP_INITS: &[&str] = &["paper", "lecun", "he", "glorot", "orthogonal"];

fn linear_init(settings: &Settings) -> Result<Init, SettingError> {
    init_of(settings, ModelKind::Linear, Init::UnitGaussian, LINEAR_INITS)
}

fn logistic_init(settings: &Settings) -> Result<Init, SettingError> {
    init_of(settings, ModelKind::Logistic, Init::UnitGaussian, LINEAR_INITS)
}

pub(super) fn init_of(
    settings: &Settings,
    kind: ModelKind,
    default: Init,
    words: &'static [&'static str],
) -> Result<Init, SettingError> {
    let given = init(settings, Field::ModelInit).unwrap_or(default);
    if words.contains(&given.as_str()) {
        return Ok(given);
    }
    let accepted = Accepted::InitOfModel { kind: kind.as_str(), words };
    Err(SettingError::refused(Field::ModelInit, given.as_str(), accepted))
}

pub(super) fn required(settings: &Settings, field: Field) -> Result<u32, SettingError> {
    let given = settings.int::<u32>(field);
    given.ok_or_else(|| SettingError::missing(field, field.accepted_int()))
}

fn mlp(
    settings: &Settings,
    loss: Loss,
    outputs: u32,
) -> Result<(Shape, Activation, Init), SettingError> {
    let width = required(settings, Field::ModelWidth)?;
    let depth = required(settings, Field::ModelDepth)?;
    let hidden = activation(settings, Field::ModelActivation).unwrap_or(Activation::Tanh);
    if hidden == Activation::Softmax && width == 1 {
        let accepted = Accepted::SoftmaxWidth;
        return Err(SettingError::refused(Field::ModelActivation, hidden.as_str(), accepted));
    }

    let given = activation(settings, Field::ModelOutput);
    let output = match (loss, given) {
        (Loss::CrossEntropy, None) => Activation::Identity,
        (Loss::CrossEntropy, Some(given)) if given != Activation::Identity => {
            let accepted = Accepted::CrossEntropyOutput;
            return Err(SettingError::refused(Field::ModelOutput, given.as_str(), accepted));
        }
        (_, Some(given)) => given,
        (Loss::Squared | Loss::Logistic, None) => hidden,
    };
    if output == Activation::Softmax && outputs == 1 {
        let key = if given.is_some() { Field::ModelOutput } else { Field::ModelActivation };
        return Err(SettingError::refused(key, output.as_str(), Accepted::SoftmaxOutput));
    }
    let init = init_of(settings, ModelKind::Mlp, Init::Paper, MLP_INITS)?;
    Ok((Shape::Mlp { width, depth, activation: hidden }, output, init))
}

//! The `[model]` section of a convolutional network.

use super::model::{init_of, linear_output, required};
use super::{ModelKind, activation};
use crate::settings::{Accepted, Field, SettingError, Settings};
use crate::spec::{Activation, Conv, ConvKind, Init, Shape};

/// How its convolutions may start.
const INITS: &[&str] = &["he", "lecun", "glorot", "orthogonal"];
/// Largest width factor: 100 gives 6,400 channels, where products of channels stay far below 2^32.
const WIDTH_MAX: u32 = 100;

pub(super) fn build(
    settings: &Settings,
    kind: ConvKind,
) -> Result<(Shape, Activation, Init), SettingError> {
    let model = ModelKind::Conv(kind);
    let width = required(settings, Field::ModelWidth)?;
    if width > WIDTH_MAX {
        let accepted = Accepted::WidthFactor { kind: kind.as_str(), max: WIDTH_MAX };
        return Err(SettingError::refused(Field::ModelWidth, width, accepted));
    }
    let depth = required(settings, Field::ModelDepth)?;
    if depth < 10 || depth % 6 != 4 {
        let below = 6 * (depth.max(10) - 4).div_euclid(6) + 4;
        let accepted = Accepted::ConvDepth { kind: kind.as_str(), below, above: below + 6 };
        return Err(SettingError::refused(Field::ModelDepth, depth, accepted));
    }
    if let Some(other) = activation(settings, Field::ModelActivation)
        && other != Activation::Relu
    {
        let accepted = Accepted::ReluFor { kind: kind.as_str() };
        return Err(SettingError::refused(Field::ModelActivation, other.as_str(), accepted));
    }
    if settings.flag(Field::ModelBias) == Some(true) {
        let accepted = Accepted::HeadBias { kind: kind.as_str() };
        return Err(SettingError::refused(Field::ModelBias, true, accepted));
    }
    let is_whole = kind == ConvKind::Wrn;
    let flag = |field| settings.flag(field).unwrap_or(is_whole);
    let (batch_norm, skip) = (flag(Field::ModelBatchNorm), flag(Field::ModelSkip));
    let output = linear_output(settings, model)?;
    let init = init_of(settings, model, Init::He, INITS)?;
    Ok((Shape::Conv(Conv { kind, width, depth, batch_norm, skip }), output, init))
}

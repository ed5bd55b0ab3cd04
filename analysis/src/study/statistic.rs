//! What confusion is measured by, and when: the choices that an answer must not depend on.

use super::Measurement;

/// A number that rises with confusion, and the thresholds at which a boundary is drawn.
///
/// All are free of the scale of the gradients. Raw eta is not here: it falls to 0 with the loss, and at random weights
/// it follows the initialisation, not the architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Statistic {
    /// The root mean squared cosine. It does not depend on how many gradients were compared.
    RmsCos,
    /// Minus the smallest cosine: what the published figures show. It grows with the number of gradients.
    MinCos,
    /// Minus the 0.01 quantile of the cosines.
    LowQuantile,
    /// eta over the mean squared norm, nearest to the definition.
    RelativeEta,
}

impl Statistic {
    /// Every statistic, the primary one first.
    pub const ALL: [Self; 4] = [Self::RmsCos, Self::MinCos, Self::LowQuantile, Self::RelativeEta];

    /// The thresholds of the analysis. They were fixed before results were looked at, and are not to be tuned to any.
    pub fn thresholds(self) -> &'static [f64] {
        match self {
            Self::RmsCos => &[0.2, 0.25, 0.3],
            Self::MinCos => &[0.6, 0.7, 0.8],
            Self::LowQuantile => &[0.4, 0.5, 0.6],
            Self::RelativeEta => &[0.75, 1.0, 1.5],
        }
    }

    /// The column it is made from.
    pub fn column(self) -> &'static str {
        match self {
            Self::RmsCos => "rms_cos",
            Self::MinCos => "min_cos",
            Self::LowQuantile => "cos_q01",
            Self::RelativeEta => "relative_eta",
        }
    }

    /// What turns the column into something that rises with confusion.
    pub fn sign(self) -> f64 {
        match self {
            Self::RmsCos | Self::RelativeEta => 1.0,
            Self::MinCos | Self::LowQuantile => -1.0,
        }
    }

    /// What to call it on an axis.
    pub fn label(self) -> &'static str {
        match self {
            Self::RmsCos => "rms cosine",
            Self::MinCos => "−min cosine",
            Self::LowQuantile => "−1 % quantile of cosines",
            Self::RelativeEta => "η / mean |g|²",
        }
    }

    /// Its value in a measurement.
    pub fn of(self, measurement: &Measurement) -> Option<f64> {
        let column = match self {
            Self::RmsCos => measurement.rms_cos,
            Self::MinCos => measurement.min_cos,
            Self::LowQuantile => measurement.cos_q01,
            Self::RelativeEta => measurement.relative_eta,
        };
        column.map(|value| self.sign() * value).filter(|value| value.is_finite())
    }
}

/// When in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// At the initial weights.
    Start,
    /// Where last measured, after some training.
    End,
}

impl Moment {
    /// Both moments.
    pub const ALL: [Self; 2] = [Self::Start, Self::End];

    /// The measurement of this moment.
    pub fn of(self, measurements: &[Measurement]) -> Option<&Measurement> {
        match self {
            Self::Start => measurements.first().filter(|measurement| measurement.step == 0),
            Self::End => measurements.last().filter(|measurement| measurement.step > 0),
        }
    }

    /// What to call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Start => "at the start",
            Self::End => "at the end",
        }
    }
}

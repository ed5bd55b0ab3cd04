//! Conversions between the generated wire types and the messages of this crate. Peers may send anything: every
//! conversion from the wire answers with a typed error, none panics.

mod fleet;
mod status;
mod sweeps;

pub use status::error_of;

use std::str::FromStr;
use std::time::Duration;

use domain::id::BadId;
use domain::{AttemptNo, SweepName, Table};

use crate::error::WireError;
use crate::message::{Attempt, Progress};
use crate::wire;

/// A message as the wire has it.
pub trait IntoWire {
    /// The generated type.
    type Wire;
    /// This message as the generated type.
    fn into_wire(self) -> Self::Wire;
}

/// A message out of what came over the wire.
pub trait FromWire: Sized {
    /// The generated type.
    type Wire;
    /// The message, if the fields make sense.
    fn from_wire(wire: Self::Wire) -> Result<Self, WireError>;
}

fn id<T: FromStr<Err = BadId>>(field: &'static str, text: &str) -> Result<T, WireError> {
    text.parse().map_err(|source| WireError::Id { field, source })
}

fn required<T>(field: &'static str, value: Option<T>) -> Result<T, WireError> {
    value.ok_or(WireError::Missing { field })
}

fn bounded(field: &'static str, found: u64, limit: u64) -> Result<u64, WireError> {
    if found > limit { Err(WireError::TooLarge { field, found, limit }) } else { Ok(found) }
}

fn bounded_len<T: AsRef<[u8]>>(
    field: &'static str,
    value: T,
    limit: usize,
) -> Result<T, WireError> {
    bounded(field, value.as_ref().len() as u64, limit as u64)?;
    Ok(value)
}

fn table(field: &'static str, name: &str) -> Result<Table, WireError> {
    Table::from_name(name)
        .ok_or_else(|| WireError::Word { field, found: name.chars().take(40).collect() })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

impl IntoWire for Attempt {
    type Wire = wire::Attempt;

    fn into_wire(self) -> wire::Attempt {
        let (sweep, job) = (self.sweep.to_string(), self.job.to_string());
        wire::Attempt { sweep, job, number: self.number.0 }
    }
}

impl FromWire for Attempt {
    type Wire = wire::Attempt;

    fn from_wire(wire: wire::Attempt) -> Result<Self, WireError> {
        Ok(Self {
            sweep: id::<SweepName>("attempt.sweep", &wire.sweep)?,
            job: id("attempt.job", &wire.job)?,
            number: AttemptNo(wire.number),
        })
    }
}

fn attempt(field: &'static str, wire: Option<wire::Attempt>) -> Result<Attempt, WireError> {
    Attempt::from_wire(required(field, wire)?)
}

impl IntoWire for Progress {
    type Wire = wire::Progress;

    fn into_wire(self) -> wire::Progress {
        wire::Progress {
            attempt: Some(self.attempt.into_wire()),
            step: self.step,
            steps: self.steps,
            risk: self.risk,
            min_cos: self.min_cos,
            rms_cos: self.rms_cos,
        }
    }
}

impl FromWire for Progress {
    type Wire = wire::Progress;

    fn from_wire(wire: wire::Progress) -> Result<Self, WireError> {
        Ok(Self {
            attempt: attempt("progress.attempt", wire.attempt)?,
            step: wire.step,
            steps: wire.steps,
            risk: wire.risk,
            min_cos: wire.min_cos,
            rms_cos: wire.rms_cos,
        })
    }
}

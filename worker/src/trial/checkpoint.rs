//! A checkpoint's bytes: a safetensors file with everything a trial needs to go on.
//!
//! ```text
//! weights.P    [fan_out, fan_in]   matrix of layer P, from the input on, in the trial's precision
//! bias.P       [fan_out]           its biases, where the model has them
//! momentum.weights.P, momentum.bias.P   the velocity v, where the trial has momentum
//! running_loss [1] F64             sum of minibatch losses since the last measured step
//! ```
//!
//! A convolution's weights.P are `[kernel, kernel, inputs, outputs]`; a batch norm has scale.N, shift.N, both with a
//! momentum too, and the running statistics mean.N and variance.N, all `[channels]`.
//!
//! The file's metadata hold one entry, `gradsweep`: a JSON object with the format's version, step, row counts, engine
//! revision, instruction set, the job, and a blake3 digest of all of this and the tensors. Random streams need no state:
//! they are counters that follow from the step.

use safetensors::tensor::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::learner::Learner;
use super::tensor::{HEADER_KEY, Tensor, dtype, file};
use super::{Checkpoint, CheckpointError, ENGINE_REVISION, instruction_set};
use crate::nn::Real;

/// Raised with every change of names, shapes or header.
const FORMAT: u32 = 1;
const RUNNING_LOSS: &str = "running_loss";

/// Where a trial stands, apart from its network and its velocity.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub step: u64,
    pub steps_rows: u64,
    pub confusion_rows: u64,
    /// Sum of minibatch losses since the last measured step.
    pub running_loss: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    engine_revision: String,
    instruction_set: String,
    job: String,
    step: u64,
    steps_rows: u64,
    confusion_rows: u64,
    digest: String,
}

/// The checkpoint of `job` at `place`.
pub fn encode<T: Real>(job: &str, place: &Place, learner: &impl Learner<T>) -> Checkpoint {
    let mut tensors = tensors(learner);
    tensors.push((RUNNING_LOSS.into(), Tensor::of(&[place.running_loss], vec![1])));
    let mut header = Header {
        format: FORMAT,
        engine_revision: ENGINE_REVISION.into(),
        instruction_set: instruction_set().into(),
        job: job.into(),
        step: place.step,
        steps_rows: place.steps_rows,
        confusion_rows: place.confusion_rows,
        digest: String::new(),
    };
    header.digest = digest(&header, tensors.iter().map(|(name, tensor)| (&**name, &*tensor.bytes)));
    let text = serde_json::to_string(&header).expect("a struct of numbers and texts is JSON");
    Checkpoint {
        step: place.step,
        steps_rows: place.steps_rows,
        confusion_rows: place.confusion_rows,
        bytes: file(&tensors, text),
    }
}

/// Restores `learner` from `bytes`, a checkpoint of `job`, and returns where the trial stood.
///
/// # Errors
/// If the bytes are damaged, or of another job, engine, instruction set or shape. The learner is then of no use.
pub fn decode<T: Real>(
    bytes: &[u8],
    job: &str,
    learner: &mut impl Learner<T>,
) -> Result<Place, CheckpointError> {
    use CheckpointError as E;
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(E::Malformed)?;
    let found_file = SafeTensors::deserialize(bytes).map_err(E::Malformed)?;
    let text = metadata.metadata().as_ref().and_then(|entries| entries.get(HEADER_KEY));
    let header: Header = serde_json::from_str(text.ok_or(E::HeaderMissing)?).map_err(E::Header)?;
    let Header { format: found, engine_revision, instruction_set: set, job: other, .. } = &header;
    if *found != FORMAT {
        return Err(E::Format { found: *found, expected: FORMAT });
    }
    if engine_revision != ENGINE_REVISION {
        return Err(E::Engine { found: engine_revision.clone(), expected: ENGINE_REVISION });
    }
    if set != instruction_set() {
        return Err(E::InstructionSet { found: set.clone(), expected: instruction_set() });
    }
    if other != job {
        return Err(E::OtherJob { found: other.clone(), expected: job.into() });
    }
    let mut names = learner.parts();
    names.push((RUNNING_LOSS.into(), vec![1]));
    if found_file.len() != names.len() {
        return Err(E::Damaged);
    }
    let mut found = Vec::with_capacity(names.len());
    for (name, shape) in &names {
        let dtype = if name == RUNNING_LOSS { Dtype::F64 } else { dtype::<T>() };
        let tensor = found_file.tensor(name).ok();
        let fits = |tensor: &safetensors::tensor::TensorView| {
            tensor.shape() == shape && tensor.dtype() == dtype
        };
        let tensor = tensor.filter(fits).ok_or_else(|| E::Tensor { name: name.clone() })?;
        found.push((&**name, tensor.data()));
    }
    if digest(&header, found.iter().copied()) != header.digest {
        return Err(E::Damaged);
    }
    let mut parts = found.iter().map(|&(_, bytes)| bytes);
    learner.numbers_mut().into_iter().for_each(|buffer| restore(&mut parts, buffer));
    let mut running_loss = [0.0];
    restore(&mut parts, &mut running_loss);
    let Header { step, steps_rows, confusion_rows, .. } = header;
    Ok(Place { step, steps_rows, confusion_rows, running_loss: running_loss[0] })
}

/// Everything that `learner` keeps, in the order of its parts.
pub fn tensors<T: Real>(learner: &impl Learner<T>) -> Vec<(String, Tensor)> {
    let mut buffers = learner.numbers().into_iter();
    let mut rest: &[T] = &[];
    let tensor = |(name, shape): (String, Vec<usize>)| {
        while rest.is_empty() {
            rest = buffers.next().expect("there are numbers for every part");
        }
        let (numbers, after) = rest.split_at(shape.iter().product());
        rest = after;
        (name, Tensor::of(numbers, shape))
    };
    learner.parts().into_iter().map(tensor).collect()
}

/// Fills `buffer` from as many of `parts` as it takes.
fn restore<'a, T: Real>(parts: &mut impl Iterator<Item = &'a [u8]>, buffer: &mut [T]) {
    let mut rest = buffer;
    while !rest.is_empty() {
        let bytes = parts.next().expect("the parts were counted and measured");
        let (numbers, after) = rest.split_at_mut(bytes.len() / T::BYTES);
        T::read(bytes, numbers);
        rest = after;
    }
}

/// blake3 of the header, its digest apart, and of the tensors in the order of the parameters.
fn digest<'a>(header: &Header, tensors: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let Header { format, engine_revision, instruction_set, job, digest: _, .. } = header;
    let Header { step, steps_rows, confusion_rows, .. } = header;
    let mut hash = blake3::Hasher::new();
    let texts = [&**engine_revision, instruction_set, job];
    let numbers = [u64::from(*format), *step, *steps_rows, *confusion_rows];
    for number in numbers {
        hash.update(&number.to_le_bytes());
    }
    let mut part = |bytes: &[u8]| {
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    texts.iter().for_each(|text| part(text.as_bytes()));
    for (name, bytes) in tensors {
        part(name.as_bytes());
        part(bytes);
    }
    hash.finalize().to_hex().to_string()
}

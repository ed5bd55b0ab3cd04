//! Generated inputs.

use domain::spec::{Data, DataKind};

use super::DataError;
use crate::nn::orthogonal::{normalise, orthonormal_rows};
use crate::random::Stream;

/// The inputs of the training set, or of the held-out one: rows of `data.dim` entries.
///
/// ```text
/// sphere      x = u/|u|, u ~ N(0, I)
/// gaussian    x ~ N(0, I/d)
/// orthogonal  training rows orthonormal; a held-out row is uniform on the sphere, as each training row is by itself
/// ```
///
/// Row i takes draws `i · d ..` of its set's stream, so fewer examples are the first of more.
///
/// # Errors
/// If more orthonormal rows are asked for than there are.
pub fn generate(
    data: &Data,
    seed: u64,
    held_out: bool,
) -> Result<Box<dyn Iterator<Item = Vec<f64>>>, DataError> {
    let purpose = if held_out { "test inputs" } else { "train inputs" };
    let mut stream = Stream::new(seed, purpose, 0);
    let (samples, dim) = (data.samples, data.dim as usize);
    let count = if held_out { data.test_samples } else { samples };
    if data.kind == DataKind::Orthogonal && !held_out {
        if samples > data.dim {
            return Err(DataError::TooManyOrthogonal { samples, dim: data.dim });
        }
        let rows = orthonormal_rows(&mut stream, samples as usize, dim);
        return Ok(Box::new((0..count as usize).map(move |i| rows[i * dim..(i + 1) * dim].into())));
    }
    let kind = data.kind;
    Ok(Box::new((0..count).map(move |_| {
        let mut row: Vec<f64> = (0..dim).map(|_| stream.normal()).collect();
        if kind == DataKind::Gaussian {
            let deviation = (dim as f64).sqrt();
            row.iter_mut().for_each(|x| *x /= deviation);
        } else {
            normalise(&mut row);
        }
        row
    })))
}

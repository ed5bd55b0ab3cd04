//! The weights of a trial at one step for other people's programs, by the names of [`super::export`].

use serde_json::json;

use super::checkpoint::tensors;
use super::learner::Learner;
use super::tensor::{Tensor, file};
use crate::nn::Real;

/// Raised with every change of tensors or header.
const FORMAT: u32 = 1;

/// What `learner` has learnt and what it needs to compute: its velocity apart.
pub fn weights<T: Real>(learner: &impl Learner<T>) -> Vec<(String, Tensor)> {
    let is_kept = |name: &str| !name.starts_with("momentum.");
    let weights = tensors(learner).into_iter().filter(|(name, _)| is_kept(name));
    weights.map(|(name, tensor)| (name, outputs_first(tensor))).collect()
}

/// The file of the weights of `job` after `step` steps: the same bytes wherever and however often they are made.
pub fn kept<T: Real>(job: &str, step: u64, learner: &impl Learner<T>) -> Vec<u8> {
    let header = json!({ "format": FORMAT, "content": "weights", "job": job, "step": step });
    file(&weights(learner), header.to_string())
}

/// A convolution's `[kernel, kernel, inputs, outputs]` as `[outputs, inputs, kernel, kernel]`; anything else as it is.
fn outputs_first(tensor: Tensor) -> Tensor {
    let &[height, width, inputs, outputs] = tensor.shape.as_slice() else { return tensor };
    let taps = height * width;
    let size = tensor.bytes.len() / (taps * inputs * outputs);
    let mut bytes = Vec::with_capacity(tensor.bytes.len());
    for o in 0..outputs {
        for i in 0..inputs {
            for tap in 0..taps {
                let at = ((tap * inputs + i) * outputs + o) * size;
                bytes.extend_from_slice(&tensor.bytes[at..at + size]);
            }
        }
    }
    Tensor { shape: vec![outputs, inputs, height, width], bytes, ..tensor }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn convolutions_have_their_channels_in_front() {
        let numbers: Vec<f64> = (0..3 * 3 * 2 * 4).map(f64::from).collect();
        let moved = outputs_first(Tensor::of(&numbers, vec![3, 3, 2, 4]));
        assert_eq!(moved.shape, [4, 2, 3, 3]);
        let at = |place: usize| f64::from_le_bytes(moved.bytes.as_chunks().0[place]);
        for (o, i, y, x) in [(0, 0, 0, 0), (3, 1, 2, 1), (2, 0, 1, 2)] {
            let expected = numbers[((y * 3 + x) * 2 + i) * 4 + o];
            assert_eq!(at(((o * 2 + i) * 3 + y) * 3 + x), expected);
        }
    }
}

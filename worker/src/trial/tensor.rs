//! Arrays with names as a safetensors file, with one entry of metadata.

use std::borrow::Cow;
use std::collections::HashMap;

use safetensors::tensor::{Dtype, View};

use crate::nn::Real;

/// The one key of the metadata: a map of several would come out in any order, and equal files in other bytes.
pub const HEADER_KEY: &str = "gradsweep";

/// One array: little-endian, the last dimension fastest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl Tensor {
    /// `numbers` in the shape `shape`, whose product is their count.
    pub fn of<T: Real>(numbers: &[T], shape: Vec<usize>) -> Self {
        let mut bytes = Vec::with_capacity(numbers.len() * T::BYTES);
        T::write(numbers, &mut bytes);
        Self { dtype: dtype::<T>(), shape, bytes }
    }

    /// Integers, `[n]`.
    pub fn of_integers(numbers: impl ExactSizeIterator<Item = i64>) -> Self {
        let shape = vec![numbers.len()];
        Self { dtype: Dtype::I64, shape, bytes: numbers.flat_map(i64::to_le_bytes).collect() }
    }
}

impl View for &Tensor {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }
    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// The file of `tensors`, whose names differ, with `header` as its metadata.
pub fn file(tensors: &[(String, Tensor)], header: String) -> Vec<u8> {
    let metadata = HashMap::from([(HEADER_KEY.to_owned(), header)]);
    let views = tensors.iter().map(|(name, tensor)| (name, tensor));
    safetensors::serialize(views, Some(metadata))
        .expect("tensors have distinct names and the bytes of their shapes")
}

/// The type of the numbers of a trial.
pub fn dtype<T: Real>() -> Dtype {
    if T::BYTES == 4 { Dtype::F32 } else { Dtype::F64 }
}

//! Numbers that begin at a cache line, so that no vector of a row lies across two.

use std::ops::{Deref, DerefMut};

use super::Real;

/// Bytes of a cache line, and of the widest vector.
const LINE: usize = 64;

/// A slice on the heap whose first number has an address that is a multiple of 64.
#[derive(Debug)]
pub struct Aligned<T> {
    numbers: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Real> Aligned<T> {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        let slack = LINE / T::BYTES;
        let numbers = vec![T::ZERO; len + slack];
        // An offset that cannot be told would only cost speed.
        let start = numbers.as_ptr().align_offset(LINE).min(slack);
        Self { numbers, start, len }
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.numbers[self.start..][..self.len]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.numbers[self.start..][..self.len]
    }
}

impl<T: Clone> Clone for Aligned<T> {
    fn clone(&self) -> Self {
        let mut numbers: Vec<T> = Vec::with_capacity(self.numbers.len());
        let slack = self.numbers.len() - self.len;
        // Elsewhere on the heap the numbers begin at another offset; what fills the gaps is never read.
        let start = numbers.as_ptr().align_offset(LINE).min(slack);
        numbers.extend_from_slice(&self.numbers[..start]);
        numbers.extend_from_slice(self);
        numbers.extend_from_slice(&self.numbers[start..slack]);
        Self { numbers, start, len: self.len }
    }
}

impl<T: Real> From<&[T]> for Aligned<T> {
    fn from(numbers: &[T]) -> Self {
        let mut aligned = Self::zeros(numbers.len());
        aligned.copy_from_slice(numbers);
        aligned
    }
}

impl<T: PartialEq> PartialEq for Aligned<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_is_equal_and_as_aligned() {
        for len in [0, 1, 15, 100] {
            let numbers: Vec<f32> = (0..len).map(|i| i as f32).collect();
            let aligned = Aligned::from(&*numbers);
            let copies = [aligned.clone(), aligned.clone(), aligned];
            for copy in &copies {
                assert_eq!(**copy, *numbers);
                assert_eq!(copy.as_ptr() as usize % LINE, 0);
            }
        }
    }
}

//! The examples of a job: inputs, labels and what the loss compares outputs with.

use domain::JobSpec;
use domain::spec::{Data, Labels};

use super::cifar::Archive;
use super::inputs::generate;
use super::labels::{Label, Labeller, class_count, targets};
use super::{Bundle, DataError};
use crate::nn::Real;
use crate::random::Stream;

/// A training set and a held-out set from the same source.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset<T> {
    /// Entries of an input, d.
    pub dim: usize,
    /// Classes of the labels; `None` where they are real.
    pub classes: Option<u32>,
    pub train: Examples<T>,
    pub test: Examples<T>,
}

/// Examples in the order of their indices.
#[derive(Clone, Debug, PartialEq)]
pub struct Examples<T> {
    /// `[n, dim]`.
    pub inputs: Vec<T>,
    /// `[n]`.
    pub labels: Vec<Label>,
    /// What the loss compares outputs with: `[n, outputs]`.
    pub targets: Vec<T>,
}

impl<T: Copy> Examples<T> {
    /// Copies the examples that `indices` names to `inputs` `[n, dim]` and `targets` `[n, outputs]`.
    pub fn gather(&self, indices: &[u32], inputs: &mut [T], targets: &mut [T]) {
        copy_rows(&self.inputs, indices, inputs);
        copy_rows(&self.targets, indices, targets);
    }

    /// The count of examples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

/// The examples of `spec`; `bundle` is the data set of files, needed where `spec.data.kind` is one of files.
///
/// Pixels are divided by 255; those of CIFAR are centred and scaled by colour, and put pixel by pixel. Where a spec asks for fewer examples than a file has, it gets the first of a permutation
/// drawn from the data seed; where it asks for all, it gets them in the order of the file.
///
/// # Errors
/// If the bundle is not the one that the spec names, or the labels do not fit the loss.
pub fn load<T: Real>(spec: &JobSpec, bundle: Option<&Bundle>) -> Result<Dataset<T>, DataError> {
    let data = &spec.data;
    let own_classes = match (data.kind, bundle) {
        (kind, Some(bundle)) if kind.is_file() => {
            check(data, bundle)?;
            Some(bundle.facts().classes)
        }
        _ => None,
    };
    if data.labels == Labels::Classes && own_classes.is_none() {
        let (kind, labels) = (data.kind.as_str(), data.labels.as_str());
        return Err(DataError::NoSuchLabels { kind, labels });
    }
    let classes = class_count(data.labels, own_classes);
    let set = |held_out: bool| -> Result<Examples<T>, DataError> {
        let seed = spec.seeds.data;
        let mut labeller = Labeller::new(data, seed, held_out, own_classes);
        let (mut inputs, mut labels) = (Vec::new(), Vec::new());
        let mut push = |row: &[f64], own| {
            labels.push(labeller.label(row, own));
            inputs.extend(row.iter().map(|&x| T::from_f64(x)));
        };
        match (data.kind, bundle) {
            (kind, Some(bundle)) if kind.is_file() => {
                let (pixels, classes) = bundle.set(held_out);
                let count = if held_out { data.test_samples } else { data.samples };
                for i in chosen(seed, held_out, classes.len() as u32, count) {
                    let (i, dim) = (i as usize, data.dim as usize);
                    let image = &pixels[i * dim..(i + 1) * dim];
                    let row: Vec<f64> = match Archive::of(kind) {
                        Some(archive) => archive.normalised(image),
                        None => image.iter().map(|&x| f64::from(x) / 255.0).collect(),
                    };
                    push(&row, Some(u32::from(classes[i])));
                }
            }
            _ => generate(data, seed, held_out)?.for_each(|row| push(&row, None)),
        }
        let targets = targets(&labels, classes, spec.train.loss, spec.model.outputs as usize)?;
        let targets = targets.into_iter().map(T::from_f64).collect();
        Ok(Examples { inputs, labels, targets })
    };
    Ok(Dataset { dim: data.dim as usize, classes, train: set(false)?, test: set(true)? })
}

/// Copies the rows of `source` that `indices` names to `rows`, one after the other.
fn copy_rows<T: Copy>(source: &[T], indices: &[u32], rows: &mut [T]) {
    let width = rows.len() / indices.len();
    for (row, &i) in rows.chunks_exact_mut(width).zip(indices) {
        row.copy_from_slice(&source[i as usize * width..(i as usize + 1) * width]);
    }
}

/// Which of a file's `total` examples are used, in order.
fn chosen(seed: u64, held_out: bool, total: u32, count: u32) -> Vec<u32> {
    if count == total {
        return (0..total).collect();
    }
    let mut order = Stream::new(seed, "subset", u64::from(held_out)).permutation(total);
    order.truncate(count as usize);
    order
}

/// Whether `bundle` is what `data` asks for.
fn check(data: &Data, bundle: &Bundle) -> Result<(), DataError> {
    bundle.check_kind(data.kind)?;
    let (facts, found) = (bundle.facts(), bundle.digest());
    if let Some(expected) = data.digest
        && expected != found
    {
        return Err(DataError::OtherDigest { expected, found });
    }
    let mismatch = |what, asked, found| Err(DataError::Mismatch { what, asked, found });
    if data.dim != facts.dim {
        return mismatch("entries of an input", data.dim, facts.dim);
    }
    if data.samples > facts.train_samples {
        return mismatch("training examples", data.samples, facts.train_samples);
    }
    if data.test_samples > facts.test_samples {
        return mismatch("held-out examples", data.test_samples, facts.test_samples);
    }
    Ok(())
}

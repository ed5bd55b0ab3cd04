//! The data of a job: where its examples come from, named by content and never by path.

use super::words;
use crate::id::Digest;

/// A training set, and a held-out set from the same source.
#[derive(Clone, Debug, PartialEq)]
pub struct Data {
    pub kind: DataKind,
    /// Training examples, N.
    pub samples: u32,
    /// Entries of one input, d.
    pub dim: u32,
    pub labels: Labels,
    /// Standard deviation of the Gaussian noise added to real-valued labels.
    pub noise: f64,
    /// Held-out examples from the same source; 0 for none.
    pub test_samples: u32,
    /// Content digest of the files, for data that come from files.
    pub digest: Option<Digest>,
}

words! {
    /// Where inputs come from.
    DataKind {
        /// Uniform on the unit sphere of R^d.
        Sphere = "sphere",
        /// Rows N(0, I/d).
        Gaussian = "gaussian",
        /// Orthonormal rows; needs samples <= dim.
        Orthogonal = "orthogonal",
        /// IDX files (the MNIST family), pixels scaled to [0, 1].
        Idx = "idx",
        /// The binary archive of CIFAR-10: images of 32 x 32 pixels, 10 classes.
        Cifar10 = "cifar10",
        /// The binary archive of CIFAR-100: the same with 100 fine classes.
        Cifar100 = "cifar100",
    }
}

impl DataKind {
    /// Whether the examples come from files.
    pub fn is_file(self) -> bool {
        match self {
            Self::Sphere | Self::Gaussian | Self::Orthogonal => false,
            Self::Idx | Self::Cifar10 | Self::Cifar100 => true,
        }
    }

    /// The classes that images of CIFAR have; `None` for other data.
    pub fn cifar_classes(self) -> Option<u32> {
        match self {
            Self::Cifar10 => Some(10),
            Self::Cifar100 => Some(100),
            Self::Sphere | Self::Gaussian | Self::Orthogonal | Self::Idx => None,
        }
    }
}

words! {
    /// Where labels come from.
    Labels {
        /// tanh of a fixed random one-hidden-layer tanh network: real, in [-1, 1].
        Teacher = "teacher",
        /// ⟨v, x⟩ with v ~ N(0, I): real, of unit variance on the sphere.
        Linear = "linear",
        /// The sign of ⟨v, x⟩: ±1.
        Sign = "sign",
        /// ±1 with equal odds whatever x (a uniformly drawn class for data with classes).
        Random = "random",
        /// N(0, 1) whatever x: real.
        Normal = "normal",
        /// The classes that the files give.
        Classes = "classes",
    }
}

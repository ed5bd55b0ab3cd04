//! Why a data set cannot be had.

use std::io;
use std::path::PathBuf;

use domain::Digest;

/// Why a folder, a file or a run of bytes is not the data set that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error(
        "no data folder {}; CIFAR is a folder of cifar-10-binary.tar.gz or cifar-100-binary.tar.gz, Fashion-MNIST comes with `apt-get install dataset-fashion-mnist`, which puts it in \
         /usr/share/datasets/fashion-mnist", folder.display()
    )]
    FolderMissing { folder: PathBuf },
    #[error(
        "no {stem}-idx{rank}-ubyte in {}, with or without .gz; a folder of the MNIST family has it, for example \
         /usr/share/datasets/fashion-mnist from `apt-get install dataset-fashion-mnist`", folder.display()
    )]
    FileMissing { folder: PathBuf, stem: &'static str, rank: u8 },
    #[error("{} has test images or test labels, but not both", folder.display())]
    HalfTestSet { folder: PathBuf },
    #[error("{} cannot be read", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} has {found} bytes, too few for the {needed} of an IDX header", path.display())]
    HeaderCut { path: PathBuf, found: usize, needed: usize },
    #[error(
        "{} begins with {found:#010x}; an IDX file of unsigned bytes with {rank} dimensions begins with {expected:#010x}",
        path.display()
    )]
    Magic { path: PathBuf, found: u32, expected: u32, rank: u8 },
    #[error(
        "{} has {found} bytes after its header, whose dimensions {dimensions:?} ask for {expected}; fetch the file again",
        path.display()
    )]
    Length { path: PathBuf, dimensions: Vec<u32>, found: u64, expected: u64 },
    #[error("{} holds no examples; its dimensions are {dimensions:?}", path.display())]
    Empty { path: PathBuf, dimensions: Vec<u32> },
    #[error("{} has {images} images but {} has {labels} labels", images_path.display(), labels_path.display())]
    CountsDisagree { images_path: PathBuf, images: u32, labels_path: PathBuf, labels: u32 },
    #[error(
        "no {name} in {}, though other files of a CIFAR archive are there; unpack the whole binary archive",
        folder.display()
    )]
    BatchMissing { folder: PathBuf, name: &'static str },
    #[error(
        "{} has {found} bytes, not a whole number of records of {record}: {rest} are left after record {whole}; fetch \
         the binary archive again", path.display()
    )]
    RecordCut { path: PathBuf, found: usize, record: usize, whole: usize, rest: usize },
    #[error(
        "{} has the class {label} at byte {offset}, in record {index} from 0; there are only {classes} classes",
        path.display()
    )]
    ClassTooLarge { path: PathBuf, index: usize, offset: usize, label: u8, classes: u32 },
    #[error("its files hold {found}, not {asked}")]
    OtherKind { asked: &'static str, found: &'static str },
    #[error(
        "a bundle of images whose {images} bytes of pixels do not fit {labels} labels below {classes}"
    )]
    BadImages { images: usize, labels: usize, classes: u32 },
    #[error("training images have {train} pixels but test images {test}")]
    PixelsDisagree { train: u32, test: u32 },
    #[error("not a bundle of this version: it begins with {found:02x?}")]
    NotABundle { found: Vec<u8> },
    #[error("a bundle of {found} bytes, whose header asks for {expected}")]
    BundleLength { found: u64, expected: u64 },
    #[error("the spec asks for data with digest {expected}, these have {found}")]
    OtherDigest { expected: Digest, found: Digest },
    #[error("the spec asks for {asked} {what}, the data have {found}")]
    Mismatch { what: &'static str, asked: u32, found: u32 },
    #[error("data of kind {kind} have no labels \"{labels}\"")]
    NoSuchLabels { kind: &'static str, labels: &'static str },
    #[error("at most {dim} orthonormal rows have {dim} entries; the spec asks for {samples}")]
    TooManyOrthogonal { samples: u32, dim: u32 },
    #[error("the loss {loss} needs classes, the labels are real numbers")]
    RealLabels { loss: &'static str },
    #[error("the loss {loss} cannot tell {classes} classes with {outputs} output units")]
    TooFewOutputs { loss: &'static str, classes: u32, outputs: usize },
}

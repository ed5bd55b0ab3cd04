//! Small IDX files, good and bad.

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::*;

fn idx(dimensions: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = (0x0800 | dimensions.len() as u32).to_be_bytes().to_vec();
    dimensions.iter().for_each(|n| bytes.extend_from_slice(&n.to_be_bytes()));
    bytes.extend_from_slice(data);
    bytes
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("a Vec takes every write");
    encoder.finish().expect("a Vec takes every write")
}

const PIXELS: [u8; 12] = [0, 1, 2, 3, 4, 5, 250, 251, 252, 253, 254, 255];

fn folder(files: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).expect("a file is written");
    }
    folder
}

fn good() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("train-images-idx3-ubyte", idx(&[3, 2, 2], &PIXELS)),
        ("train-labels-idx1-ubyte", idx(&[3], &[0, 4, 1])),
        ("t10k-images-idx3-ubyte", idx(&[1, 2, 2], &PIXELS[..4])),
        ("t10k-labels-idx1-ubyte", idx(&[1], &[2])),
    ]
}

#[track_caller]
fn refused(files: &[(&str, Vec<u8>)]) -> DataError {
    read_folder(folder(files).path()).expect_err("the folder is not a data set")
}

#[test]
fn names_and_compression_do_not_change_a_bundle() {
    let plain = read_folder(folder(&good()).path()).expect("a good folder");
    let files: Vec<_> = good()
        .into_iter()
        .map(|(name, bytes)| (format!("{}.gz", name.replace("-idx", ".idx")), zipped(&bytes)))
        .collect();
    let files: Vec<_> = files.iter().map(|(name, bytes)| (&**name, bytes.clone())).collect();
    let packed = read_folder(folder(&files).path()).expect("a good folder");
    assert_eq!(plain, packed);
    assert_eq!(plain.facts(), Facts { dim: 4, train_samples: 3, test_samples: 1, classes: 5 });
    assert_eq!(plain.set(false), (&PIXELS[..], &[0u8, 4, 1][..]));
    assert_eq!(plain.set(true), (&PIXELS[..4], &[2u8][..]));
}

#[test]
fn a_bundle_is_read_back_from_its_bytes() {
    for files in [&good()[..], &good()[..2]] {
        let bundle = read_folder(folder(files).path()).expect("a good folder");
        assert_eq!(Bundle::from_bytes(&bundle.to_bytes()).expect("its own bytes"), bundle);
    }
}

/// The bytes of a bundle are named by stored specs: a change here orphans them.
#[test]
fn the_digest_of_a_bundle_never_changes() {
    let bundle = read_folder(folder(&good()).path()).expect("a good folder");
    assert_eq!(bundle.digest().to_string(), DIGEST);
}

const DIGEST: &str = "0edefba1dc9cd327acea60991801645df8c448f126d52feb8c3f84c5125a00d9";

#[test]
fn every_truncation_of_a_bundle_is_refused() {
    let bytes = read_folder(folder(&good()).path()).expect("a good folder").to_bytes();
    for length in 0..bytes.len() {
        assert!(Bundle::from_bytes(&bytes[..length]).is_err(), "{length}");
    }
    for at in 0..HEADER {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x80;
        assert!(Bundle::from_bytes(&bytes).is_err(), "flipped at {at}");
    }
}

#[test]
fn a_missing_folder_says_where_fashion_mnist_comes_from() {
    let error = read_folder(Path::new("no/such/folder")).expect_err("there is none");
    assert!(error.to_string().contains("apt-get install dataset-fashion-mnist"), "{error}");
}

#[test]
fn a_bad_folder_is_refused_with_its_reason() {
    use DataError as E;
    let with = |at: usize, bytes: Vec<u8>| {
        let mut files = good();
        files[at].1 = bytes;
        refused(&files)
    };
    assert!(matches!(refused(&good()[1..]), E::FileMissing { stem: "train-images", .. }));
    assert!(matches!(refused(&good()[..3]), E::HalfTestSet { .. }));
    assert!(matches!(with(0, vec![0, 0, 8]), E::HeaderCut { found: 3, needed: 16, .. }));
    assert!(matches!(with(0, zipped(&[0, 0, 8])), E::HeaderCut { found: 3, .. }));
    assert!(matches!(with(1, idx(&[3, 1], &[0; 8])), E::Magic { found: 0x802, .. }));
    let short = with(0, idx(&[3, 2, 2], &PIXELS[..11]));
    assert!(matches!(short, E::Length { found: 11, expected: 12, .. }));
    let long = with(0, idx(&[2, 2, 2], &PIXELS));
    assert!(matches!(long, E::Length { found: 9, expected: 8, .. }));
    assert!(matches!(with(0, idx(&[0, 2, 2], &[])), E::Empty { .. }));
    assert!(matches!(with(0, idx(&[u32::MAX, u32::MAX, u32::MAX], &[])), E::Empty { .. }));
    let other = with(1, idx(&[2], &[0, 1]));
    assert!(matches!(other, E::CountsDisagree { images: 3, labels: 2, .. }));
    let other = with(2, idx(&[1, 1, 2], &[0, 1]));
    assert!(matches!(other, E::PixelsDisagree { train: 4, test: 2 }));
    let cut = zipped(&idx(&[3, 2, 2], &PIXELS));
    assert!(matches!(with(0, cut[..cut.len() - 6].to_vec()), E::Read { .. }));
}

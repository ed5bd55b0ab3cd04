//! Archives made by the tests, good and damaged.

use std::fs;

use domain::spec::DataKind;

use crate::data::bundle::{Bundle, read_folder};

/// A record whose pixels tell its number and place.
fn record(labels: &[u8], number: u8) -> Vec<u8> {
    let pixels = (0..3_072usize).map(|place| number.wrapping_add((place / 1_024 * 50) as u8));
    labels.iter().copied().chain(pixels).collect()
}

type File = (&'static str, Vec<u8>);

fn cifar10() -> Vec<File> {
    let names = [
        "data_batch_1.bin",
        "data_batch_2.bin",
        "data_batch_3.bin",
        "data_batch_4.bin",
        "data_batch_5.bin",
        "test_batch.bin",
    ];
    let file = |(i, name): (usize, &'static str)| {
        (name, [record(&[i as u8], i as u8), record(&[9], 10 + i as u8)].concat())
    };
    names.into_iter().enumerate().map(file).collect()
}

fn read(files: &[File]) -> Result<Bundle, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).expect("writes");
    }
    read_folder(folder.path())
        .map_err(|error| error.to_string().replace(&folder.path().display().to_string(), "HERE"))
}

#[test]
fn the_batches_are_one_training_set_in_order() {
    let bundle = read(&cifar10()).expect("a whole archive");
    let facts = bundle.facts();
    assert_eq!(
        (facts.dim, facts.train_samples, facts.test_samples, facts.classes),
        (3_072, 10, 2, 10)
    );
    let (pixels, labels) = bundle.set(false);
    assert_eq!(labels, [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]);
    assert_eq!((pixels[0], pixels[3_072], pixels[2 * 3_072 + 1_024]), (0, 10, 51));
    assert_eq!(bundle.set(true).1, [5, 9]);
    assert_eq!(Bundle::from_bytes(&bundle.to_bytes()).expect("its own bytes"), bundle);
    assert!(bundle.check_kind(DataKind::Cifar10).is_ok());
    let other = bundle.check_kind(DataKind::Idx).expect_err("another kind");
    assert_eq!(other.to_string(), "its files hold cifar10, not idx");
}

#[test]
fn the_fine_label_of_cifar100_is_the_class() {
    let files = [("train.bin", [record(&[19, 99], 1), record(&[3, 7], 2)].concat())];
    let bundle = read(&files).expect("a whole archive");
    assert_eq!(bundle.set(false).1, [99, 7]);
    assert_eq!((bundle.facts().classes, bundle.facts().test_samples), (100, 0));
}

#[test]
fn colours_come_side_by_side_and_normalised() {
    let archive = super::Archive::of(DataKind::Cifar10).expect("an archive");
    let row = archive.normalised(&record(&[], 100));
    assert_eq!(row.len(), 3_072);
    let expected = [(100.0 - 125.3) / 63.0, (150.0 - 123.0) / 62.1, (200.0 - 113.9) / 66.7];
    assert!(row.chunks_exact(3).all(|pixel| pixel == expected));
}

#[test]
fn a_damaged_archive_is_refused_by_file_and_place() {
    let with = |place: usize, change: &dyn Fn(&mut Vec<u8>)| {
        let mut files = cifar10();
        change(&mut files[place].1);
        read(&files).expect_err("damaged")
    };
    assert_eq!(
        with(2, &|bytes| bytes.truncate(4_000)),
        "HERE/data_batch_3.bin has 4000 bytes, not a whole number of records of 3073: 927 are left after record 1; \
         fetch the binary archive again"
    );
    assert_eq!(
        with(5, &|bytes| bytes.clear()),
        "HERE/test_batch.bin has 0 bytes, not a whole number of records of 3073: 0 are left after record 0; fetch the \
         binary archive again"
    );
    assert_eq!(
        with(1, &|bytes| bytes[3_073] = 10),
        "HERE/data_batch_2.bin has the class 10 at byte 3073, in record 1 from 0; there are only 10 classes"
    );
    let mut files = cifar10();
    files.remove(3);
    assert_eq!(
        read(&files).expect_err("a batch is missing"),
        "no data_batch_4.bin in HERE, though other files of a CIFAR archive are there; unpack the whole binary archive"
    );
    let bundle = read(&cifar10()).expect("a whole archive").to_bytes();
    let mut damaged = bundle.clone();
    *damaged.last_mut().expect("bytes") = 77;
    let error = Bundle::from_bytes(&damaged).expect_err("a class that is not");
    assert!(error.to_string().contains("2 labels below 10"), "{error}");
    assert!((0..bundle.len()).step_by(997).all(|end| Bundle::from_bytes(&bundle[..end]).is_err()));
}

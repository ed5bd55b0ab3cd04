//! Files of kept weights: what a stranger reads in them, and blobs that are not what they should be.

use std::collections::BTreeMap;
use std::fs;

use domain::sweep_file;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use super::*;
use crate::sink::segment::tests::job;

/// The blob of a job's weights: arrays of so many numbers, whose bytes follow from `seed`.
pub fn blob(seed: u8, dtype: &str, arrays: &[(&str, usize)]) -> Vec<u8> {
    let (dtype, size) = if dtype == "F64" { (Dtype::F64, 8) } else { (Dtype::F32, 4) };
    let bytes: Vec<Vec<u8>> =
        arrays.iter().map(|(_, n)| (0..n * size).map(|at| seed ^ at as u8).collect()).collect();
    let views = arrays.iter().zip(&bytes).map(|(&(name, n), bytes)| {
        (name, TensorView::new(dtype, vec![n], bytes).expect("it fits"))
    });
    safetensors::serialize(views, None).expect("names differ")
}

struct Bench {
    folder: tempfile::TempDir,
    contents: Contents,
}

impl Bench {
    /// Jobs of a sweep with these blobs each, at steps 0, 1 and so on.
    fn new(jobs: &[Vec<Vec<u8>>]) -> Self {
        let text = format!(
            "name = \"s\"\n[axes]\nseed = {{ start = 0, count = {} }}\n[model]\nkind = \"mlp\"\nwidth = 2\ndepth = 0\n\
             [data]\nkind = \"sphere\"\nsamples = 4\ndim = 2\n[train]\nsteps = 3\nstep_size = 0.1\n",
            jobs.len()
        );
        let draft = sweep_file::parse(&text, "test.toml").expect("the test's sweep is valid");
        let sweep = draft.resolve(&BTreeMap::new()).expect("it needs no files");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut ids: Vec<_> = sweep.jobs().collect();
        ids.sort_by_key(|(_, id)| *id);
        let jobs = ids.into_iter().zip(jobs).map(|(of, blobs)| JobContents {
            kept: (0..)
                .zip(blobs)
                .map(|(step, blob)| {
                    let digest = Digest::of(blob);
                    fs::write(folder.path().join(digest.to_string()), blob).expect("writes");
                    Kept { step, digest }
                })
                .collect(),
            ..job(&sweep, of)
        });
        let (jobs, failures) = (jobs.collect(), Vec::new());
        let sweep = sweep.name().clone();
        let contents = Contents { sweep, segment: "x-0001-000000".into(), jobs, failures };
        Self { folder, contents }
    }

    fn results(&self) -> Store {
        Store::Folder(self.folder.path().join("results"))
    }

    /// The rows that come of writing.
    fn write(&self, limits: Limits) -> Result<Vec<(JobId, Row)>, SinkError> {
        let open = |digest: Digest| File::open(self.folder.path().join(digest.to_string()));
        let mut rows = Vec::new();
        let each = |job: &JobContents, row| {
            rows.push((job.id, row));
            Ok(())
        };
        write_within(limits, &self.results(), &self.contents, &open, each).map(|()| rows)
    }

    fn files(&self) -> Vec<String> {
        let listing = self.results().list("weights/sweep=s").expect("lists");
        listing.files.into_iter().map(|(name, _)| name).collect()
    }
}

fn text(cell: &Cell) -> &str {
    match cell {
        Cell::Text(text) => text,
        other => panic!("{other:?} is no text"),
    }
}

/// Every array of every blob is in the file that its row names, under its name, and the row's digest is that of its bytes.
fn check(bench: &Bench, blobs: &[Vec<Vec<u8>>], rows: &[(JobId, Row)]) {
    let mut rows = rows.iter();
    for (job, blobs) in bench.contents.jobs.iter().zip(blobs) {
        for (kept, blob) in job.kept.iter().zip(blobs) {
            let (id, row) = rows.next().expect("a row a job and step");
            assert_eq!((*id, &row[0]), (job.id, &Cell::from(kept.step)));
            let file = fs::read(bench.results().path(text(&row[1]))).expect("reads");
            let file = SafeTensors::deserialize(&file).expect("it is safetensors");
            let expected = SafeTensors::deserialize(blob).expect("it is safetensors");
            let mut whole = Vec::new();
            // By name, which is how they lie in one type.
            let mut names = expected.names();
            names.sort_unstable();
            for name in names {
                let array = file.tensor(&format!("{}/{}/{name}", job.id, kept.step));
                let (array, own) = (array.expect("is there"), expected.tensor(name).expect("is"));
                assert_eq!((array.shape(), array.dtype()), (own.shape(), own.dtype()));
                assert_eq!(array.data(), own.data());
                whole.extend_from_slice(own.data());
            }
            assert_eq!(row[2], (whole.len() as u64).into());
            assert_eq!(text(&row[3]), blake3::hash(&whole).to_hex().as_str());
        }
    }
    assert!(rows.next().is_none(), "no row too many");
}

#[test]
fn a_file_holds_the_arrays_of_all_jobs_and_every_number_is_aligned() {
    let small = |seed| blob(seed, "F32", &[("weights.0", 3), ("bias.0", 1), ("weights.1", 1)]);
    let large = |seed| blob(seed, "F64", &[("weights.0", 2), ("weights.10", 5), ("weights.2", 1)]);
    let jobs =
        vec![vec![small(1), small(2)], vec![large(3)], vec![], vec![small(4)], vec![large(5)]];
    let bench = Bench::new(&jobs);
    let rows = bench.write(LIMITS).expect("writes");
    assert_eq!(bench.files(), ["x-0001-000000.safetensors"]);
    check(&bench, &jobs, &rows);
    let file = fs::read(bench.results().path(text(&rows[0].1[1]))).expect("reads");
    let (length, metadata) = SafeTensors::read_metadata(&file).expect("reads");
    assert!(length.is_multiple_of(8));
    for (name, info) in metadata.tensors() {
        let size = if info.dtype == Dtype::F64 { 8 } else { 4 };
        assert!(info.data_offsets.0.is_multiple_of(size), "{name}");
    }
    let about = metadata.metadata().as_ref().and_then(|entries| entries.get("gradsweep"));
    assert!(about.expect("is there").contains("kept weights"));
    // The same record gives the same bytes, whatever is left of the first try.
    fs::remove_file(bench.results().path(text(&rows[0].1[1]))).expect("is there");
    assert_eq!(bench.write(LIMITS).expect("writes"), rows);
    assert_eq!(fs::read(bench.results().path(text(&rows[0].1[1]))).expect("reads"), file);
    assert_eq!(bench.write(LIMITS).expect("what is there stays"), rows);
}

#[test]
fn what_is_too_much_for_one_file_goes_into_the_next() {
    let one = |seed| blob(seed, "F64", &[("weights.0", 100)]);
    let jobs: Vec<Vec<Vec<u8>>> = (0..6).map(|seed| vec![one(seed), one(seed + 50)]).collect();
    let bench = Bench::new(&jobs);
    // Three of 800 bytes are the first to reach it.
    let rows = bench.write(Limits { bytes: 2_000, ..LIMITS }).expect("writes");
    let names = ["x-0001-000000-0001", "x-0001-000000-0002", "x-0001-000000-0003", "x-0001-000000"];
    assert_eq!(bench.files(), names.map(|name| format!("{name}.safetensors")));
    check(&bench, &jobs, &rows);
    let bench = Bench::new(&jobs);
    let rows = bench.write(Limits { head_bytes: 1, ..LIMITS }).expect("writes");
    assert_eq!(bench.files().len(), 12);
    check(&bench, &jobs, &rows);
}

#[test]
fn a_blob_cut_short_or_with_any_byte_flipped_leaves_no_file_and_is_named() {
    let whole = blob(9, "F64", &[("weights.0", 2), ("bias.0", 1)]);
    let bench = Bench::new(&[vec![whole.clone()]]);
    let (job, digest) = (bench.contents.jobs[0].id, Digest::of(&whole));
    let path = bench.folder.path().join(digest.to_string());
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("writes");
        let error = bench.write(LIMITS).expect_err("it is damaged");
        assert!(error.to_string().contains(&job.to_string()), "{error}");
        assert!(bench.files().is_empty(), "{error}");
    };
    for length in 0..whole.len() {
        refused(&whole[..length]);
    }
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        refused(&damaged);
    }
    refused(&[&*whole, b"more"].concat());
    fs::remove_file(&path).expect("is there");
    assert!(bench.write(LIMITS).is_err() && bench.files().is_empty());
    fs::write(&path, &whole).expect("writes");
    bench.write(LIMITS).expect("it is whole again");
}

#[test]
fn blobs_that_are_none_of_weights_are_told_apart_by_their_headers() {
    let read = |bytes: &[u8]| Head::read(&mut &*bytes, bytes.len() as u64).map(drop);
    assert!(matches!(read(&blob(1, "F32", &[])), Err(BadWeights::Types)));
    assert!(matches!(read(b"short"), Err(BadWeights::Read(_))));
    let long = [&u64::MAX.to_le_bytes()[..], &[b' '; 40]].concat();
    assert!(matches!(read(&long), Err(BadWeights::HeadLength { .. })));
    let words = [&8u64.to_le_bytes()[..], b"nothing!"].concat();
    assert!(matches!(read(&words), Err(BadWeights::Head(_))));
    let path = read(&blob(1, "F32", &[("other/job", 1)]));
    assert!(matches!(path, Err(BadWeights::Name { .. })));
    let (a, b) = ([0; 4], [0; 8]);
    let views = [
        ("a", TensorView::new(Dtype::F32, vec![1], &a).expect("fits")),
        ("b", TensorView::new(Dtype::F64, vec![1], &b).expect("fits")),
    ];
    let mixed = safetensors::serialize(views, None).expect("serialises");
    assert!(matches!(read(&mixed), Err(BadWeights::Types)));
}

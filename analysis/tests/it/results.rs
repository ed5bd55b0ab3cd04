//! Reading a folder of results: what counts, what is refused, and what the refusal says.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use analysis::report::Report;
use analysis::study::Study;
use analysis::{Results, ResultsError};
use arrow_array::{ArrayRef, Float64Array, Int32Array, RecordBatch};
use arrow_schema::{Field, Schema};
use domain::table::{FORMAT, FORMAT_KEY};
use domain::{Cell, SweepName, Table};

use crate::sample::{batch, confusion, job, with, write, write_batch};

fn name(text: &str) -> SweepName {
    text.parse().unwrap()
}

/// A copy of `batch` in which `change` sees every column and may drop it.
fn changed(
    batch: &RecordBatch,
    change: impl Fn(&Field, &ArrayRef) -> Option<(Field, ArrayRef)>,
) -> RecordBatch {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    let kept = columns.filter_map(|(field, array)| change(field, array));
    let (fields, arrays): (Vec<_>, Vec<_>) = kept.unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

#[test]
fn columns_come_back_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let first = [job("a", 16, 1, 0, 0.5), with(job("b", 32, 1, 0, 0.25), [("seed", Cell::Null)])];
    write(folder.path(), Table::Jobs, ("s", "1.parquet"), &first);
    write(folder.path(), Table::Jobs, ("s", "2.parquet"), &[job("c", 64, 2, 1, f64::NAN)]);
    let flagged = with(confusion("a", 7, "samples", 0.1, -0.5), [("model_bias", true.into())]);
    write(folder.path(), Table::Confusion, ("s", "1.parquet"), &[flagged]);

    let results = Results::open(folder.path()).unwrap();
    let asked = ["seed", "final_risk", "model_width", "job_id", "queued_at"];
    let frame = results.read(Table::Jobs, &name("s"), &asked).unwrap();
    assert_eq!(frame.row_count(), 3);
    assert_eq!(frame.ints("model_width"), [Some(16), Some(32), Some(64)]);
    assert_eq!(frame.ints("seed"), [Some(0), None, Some(1)]);
    assert_eq!(frame.ints("queued_at"), [Some(1_700_000_000_000_000); 3]);
    assert_eq!(frame.floats("final_risk"), [Some(0.5), Some(0.25), None]);
    assert_eq!(frame.texts("job_id"), [Some("a"), Some("b"), Some("c")]);
    assert_eq!(frame.differences(), []);

    let asked = ["histogram", "subnormal", "model_bias", "layer"];
    let frame = results.read(Table::Confusion, &name("s"), &asked).unwrap();
    assert_eq!(frame.counts("histogram"), [Some((0..200).collect())]);
    assert_eq!(frame.flags("subnormal"), [Some(false)]);
    assert_eq!(frame.flags("model_bias"), [Some(true)]);
    assert_eq!(frame.ints("layer"), [None]);
}

#[test]
fn a_long_table_is_handed_over_in_pieces() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<_> = (0..10_000).map(|seed| job("a", 1, 1, seed, 0.0)).collect();
    write(folder.path(), Table::Jobs, ("s", "1.parquet"), &rows);
    let results = Results::open(folder.path()).unwrap();
    let mut sizes = Vec::new();
    let absent = results.scan(Table::Jobs, &name("s"), &["seed"], |frame| {
        sizes.push(frame.row_count());
    });
    assert!(absent.unwrap().is_empty());
    assert!(sizes.len() > 1 && sizes.iter().sum::<usize>() == 10_000, "{sizes:?}");
    let frame = results.read(Table::Jobs, &name("s"), &["seed"]).unwrap();
    assert_eq!(frame.ints("seed"), (0..10_000).map(Some).collect::<Vec<_>>());
}

#[test]
fn only_final_files_are_segments() {
    let folder = tempfile::tempdir().unwrap();
    let row = [job("a", 16, 1, 0, 0.5)];
    let kept =
        ["2.parquet", "1.parquet"].map(|name| write(folder.path(), Table::Jobs, ("s", name), &row));
    for name in ["3.parquet.tmp", ".4.parquet", "notes.txt"] {
        write(folder.path(), Table::Jobs, ("s", name), &row);
    }
    fs::create_dir_all(folder.path().join("jobs/sweep=s/5.parquet")).unwrap();
    fs::create_dir_all(folder.path().join("jobs/lost+found")).unwrap();
    fs::create_dir_all(folder.path().join("sweeps/planned")).unwrap();
    write(folder.path(), Table::Failures, ("failed-only", "1.parquet"), &[]);

    let results = Results::open(folder.path()).unwrap();
    let segments = results.segments(Table::Jobs, &name("s")).unwrap();
    let paths: Vec<_> = segments.into_iter().map(|segment| segment.path).collect();
    assert_eq!(paths, [kept[1].clone(), kept[0].clone()]);
    assert_eq!(results.segments(Table::Steps, &name("s")).unwrap(), []);
    assert_eq!(results.sweeps().unwrap(), ["failed-only", "planned", "s"].map(name));
    assert_eq!(results.read(Table::Jobs, &name("s"), &["job_id"]).unwrap().row_count(), 2);
    let empty = results.read(Table::Steps, &name("planned"), &["risk"]).unwrap();
    assert_eq!(empty.floats("risk"), []);
}

#[test]
fn files_of_older_and_newer_writers_are_read() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), Table::Jobs, ("s", "1.parquet"), &[job("a", 16, 1, 0, 0.5)]);
    let whole = batch(Table::Jobs, &[job("b", 16, 1, 1, 0.25), job("c", 16, 1, 2, 0.125)]);
    let older = changed(&whole, |field, array| {
        let is_kept = !["final_risk", "model_init"].contains(&field.name().as_str());
        is_kept.then(|| (field.clone(), array.clone()))
    });
    write_batch(&folder.path().join("jobs/sweep=s/0.parquet"), &older);
    let newer = RecordBatch::try_from_iter_with_nullable(
        [("brand_new", Arc::new(Float64Array::from(vec![1.0; 2])) as ArrayRef, true)]
            .into_iter()
            .chain(whole.schema().fields().iter().zip(whole.columns()).map(|(field, array)| {
                (
                    whole.schema_ref().field_with_name(field.name()).unwrap().name().as_str(),
                    array.clone(),
                    true,
                )
            })),
    )
    .unwrap();
    write_batch(&folder.path().join("jobs/sweep=s/2.parquet"), &newer);

    let results = Results::open(folder.path()).unwrap();
    let frame = results.read(Table::Jobs, &name("s"), &["final_risk", "model_init"]).unwrap();
    assert_eq!(frame.floats("final_risk"), [None, None, Some(0.5), Some(0.25), Some(0.125)]);
    assert_eq!(frame.texts("model_init")[..3], [None, None, Some("lecun")]);
    let said: Vec<_> = frame.differences().iter().map(ToString::to_string).collect();
    let expected = ["final_risk", "model_init"].map(|column| {
        format!("{column} is null in 1 of 3 segments of jobs: an older version wrote them")
    });
    let newer = "brand_new is left out of 1 of 3 segments of jobs: a newer version wrote them, which knows it";
    assert_eq!(said, [&expected[0], &expected[1], newer]);
    let told = results.differences(Table::Jobs, &[name("s")]).unwrap();
    assert_eq!(told.iter().map(ToString::to_string).collect::<Vec<_>>(), said);
}

#[track_caller]
fn check_refusal(root: &Path, expected: &str) {
    let root = root.to_owned();
    let error = Results::open(&root).unwrap_err();
    assert_eq!(error.to_string(), expected.replace("ROOT", root.to_str().unwrap()));
}

#[test]
fn what_is_no_folder_of_results_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    check_refusal(&folder.path().join("none"), "there is no folder ROOT");
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    check_refusal(&file, "ROOT is a file, not a folder of results");
    check_refusal(
        folder.path(),
        "ROOT is not a folder of results: it holds none of jobs, steps, confusion, failures, sweeps",
    );
}

#[test]
fn unknown_sweeps_and_columns_are_refused_with_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("jobs")).unwrap();
    let results = Results::open(folder.path()).unwrap();
    let error = results.read(Table::Jobs, &name("s"), &["seed"]).unwrap_err().to_string();
    assert!(error.ends_with("holds no sweep \"s\"; it holds none so far"), "{error}");

    write(folder.path(), Table::Jobs, ("a", "1.parquet"), &[]);
    write(folder.path(), Table::Steps, ("b", "1.parquet"), &[]);
    let error = results.sweep("../jobs").unwrap_err().to_string();
    assert!(error.ends_with("holds no sweep \"../jobs\"; there are: a, b"), "{error}");
    assert_eq!(results.sweep("b").unwrap(), name("b"));

    let error = results.read(Table::Jobs, &name("a"), &["eta"]).unwrap_err();
    assert_eq!(error.to_string(), "the table jobs has no column \"eta\"");
}

#[test]
fn a_column_of_another_type_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let whole = batch(Table::Jobs, &[job("a", 16, 1, 0, 0.5)]);
    let retyped = changed(&whole, |field, array| {
        Some(match field.name().as_str() {
            "seed" => {
                let seed: ArrayRef = Arc::new(Int32Array::from(vec![7]));
                (Field::new("seed", seed.data_type().clone(), true), seed)
            }
            _ => (field.clone(), array.clone()),
        })
    });
    let path = folder.path().join("jobs/sweep=s/1.parquet");
    write_batch(&path, &retyped);
    let results = Results::open(folder.path()).unwrap();
    let error = results.read(Table::Jobs, &name("s"), &["seed"]).unwrap_err();
    let expected =
        format!("the column seed of {} is Int32 where Int64 is expected", path.display());
    assert_eq!(error.to_string(), expected);
    assert_eq!(results.read(Table::Jobs, &name("s"), &["job_id"]).unwrap().row_count(), 1);

    let other = changed(&whole, |field, array| {
        (field.name() != "job_id").then(|| (field.clone(), array.clone()))
    });
    write_batch(&path, &other);
    let error = results.read(Table::Jobs, &name("s"), &["seed"]).unwrap_err();
    assert!(matches!(&error, ResultsError::NotASegment { path: named, .. } if *named == path));
}

#[test]
fn a_file_of_another_format_is_refused_by_name_and_one_that_names_none_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), Table::Jobs, ("s", "1.parquet"), &[job("a", 16, 2, 0, 0.5)]);
    let results = Results::open(folder.path()).unwrap();
    let whole = batch(Table::Jobs, &[job("a", 16, 2, 0, 0.5)]);
    let read = |format: &str| {
        let metadata = [(FORMAT_KEY.to_owned(), format.to_owned())].into();
        let schema = whole.schema().as_ref().clone().with_metadata(metadata);
        write_batch(&path, &whole.clone().with_schema(schema.into()).unwrap());
        results.read(Table::Jobs, &name("s"), &["job_id"]).map(|frame| frame.row_count())
    };
    assert_eq!(read(FORMAT).unwrap(), 1);
    let expected =
        format!("{} is of format 2, and this version of gradsweep reads {FORMAT}", path.display());
    assert_eq!(read("2").unwrap_err().to_string(), expected);
}

/// The bytes of a segment with a row of each kind of column, its folder, and its path.
fn small_segment() -> (tempfile::TempDir, std::path::PathBuf, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let rows = [confusion("a", 0, "samples", 0.1, -0.5), confusion("a", 1, "samples", 0.2, -0.6)];
    let path = write(folder.path(), Table::Confusion, ("s", "1.parquet"), &rows);
    let bytes = fs::read(&path).unwrap();
    (folder, path, bytes)
}

#[test]
fn every_truncation_is_an_error_that_names_the_file() {
    let (folder, path, bytes) = small_segment();
    let results = Results::open(folder.path()).unwrap();
    let ends = [0, 1, 3, 4, 8, 11, 12, 13, bytes.len() - 8, bytes.len() - 4, bytes.len() - 1];
    let cuts = ends.into_iter().chain((0..bytes.len()).step_by(997));
    for length in cuts {
        fs::write(&path, &bytes[..length]).unwrap();
        let error = results.read(Table::Confusion, &name("s"), &["rms_cos"]).unwrap_err();
        let ResultsError::Truncated { path: named, bytes } = &error else {
            panic!("{length} bytes: {error:?}");
        };
        assert_eq!((named, *bytes), (&path, length as u64));
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}

#[test]
fn damage_is_an_error_that_names_the_file_or_changes_no_shape() {
    let (folder, path, bytes) = small_segment();
    let results = Results::open(folder.path()).unwrap();
    let columns: Vec<_> = Table::Confusion.columns().map(|column| column.name).collect();
    let mut damaged = 0;
    for place in (0..bytes.len()).step_by(101) {
        let mut flipped = bytes.clone();
        flipped[place] ^= 0xFF;
        fs::write(&path, &flipped).unwrap();
        match results.read(Table::Confusion, &name("s"), &columns) {
            Ok(frame) => assert_eq!(frame.texts("job_id").len(), frame.row_count(), "byte {place}"),
            Err(error) => {
                damaged += 1;
                assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
            }
        }
    }
    assert!(damaged > 0);

    fs::write(&path, "width,depth\n1,2\n").unwrap();
    let error = results.read(Table::Confusion, &name("s"), &["rms_cos"]).unwrap_err();
    assert!(matches!(error, ResultsError::Damaged { .. }), "{error:?}");
    assert!(error.source().is_some());
}

#[test]
fn jobs_in_more_than_one_file_are_found_unless_one_journal_wrote_them_all() {
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, jobs: &[&str]| {
        let rows: Vec<_> = jobs.iter().map(|id| job(id, 16, 1, 0, 0.5)).collect();
        write(folder.path(), Table::Jobs, ("s", file), &rows);
    };
    let results = || Results::open(folder.path()).unwrap().repeated(&name("s")).unwrap();
    write("0123456789ab-0001-000000.parquet", &["a", "b"]);
    write("0123456789ab-0001-000001.parquet", &["c"]);
    assert_eq!(results(), None);
    // Of another journal, with other jobs.
    write("cdef01234567-0001-000000.parquet", &["d"]);
    assert_eq!(results(), None);
    write("cdef01234567-0001-000001.parquet", &["b", "e", "c"]);
    let found = results().expect("two jobs");
    assert_eq!(found.jobs, 2);
    let told = found.to_string();
    assert!(told.contains("0123456789ab-0001-000000.parquet"), "{told}");
    assert!(told.contains("cdef01234567-0001-000001.parquet"), "{told}");
}

#[test]
fn segments_whose_measurements_are_missing_are_told_and_so_does_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let segment = |file: &str, ids: [&str; 2], tables: &[Table]| {
        for &table in tables {
            let row = |id: &&str| match table {
                Table::Jobs => job(id, 16, 1, 0, 0.5),
                Table::Confusion => confusion(id, 0, "samples", 0.1, -0.5),
                _ => vec![("job_id", (*id).into()), ("step", Cell::Int(0))],
            };
            let rows: Vec<_> = ids.iter().map(row).collect();
            write(folder.path(), table, ("s", file), &rows);
        }
    };
    let measured = [Table::Jobs, Table::Steps, Table::Confusion];
    segment("0123456789ab-0001-000000.parquet", ["a", "b"], &measured);
    // On its way: its jobs come last.
    segment("0123456789ab-0001-000001.parquet", ["c", "d"], &measured[1..2]);
    let told = || {
        let results = Results::open(folder.path()).unwrap();
        let told = results.incomplete(&name("s")).unwrap().map(|incomplete| incomplete.to_string());
        let study = Study::read(&results, &name("s")).unwrap();
        let in_study = study.incomplete.as_ref().map(ToString::to_string);
        assert_eq!(told, in_study);
        let out = tempfile::tempdir().unwrap();
        let page = Report::of(study, &Default::default()).write(out.path()).unwrap();
        let page = fs::read_to_string(page).unwrap();
        assert_eq!(page.contains("and not all of their measurements"), told.is_some());
        told
    };
    assert_eq!(told(), None);
    segment("0123456789ab-0001-000002.parquet", ["e", "f"], &measured[..2]);
    segment("0123456789ab-0001-000003.parquet", ["g", "h"], &measured[..1]);
    let said = told().expect("files are missing");
    let first = "2 segments of s have jobs and not all of their measurements: \
                 jobs/sweep=s/0123456789ab-0001-000003.parquet has no file of its name in steps.";
    assert!(said.starts_with(first), "{said}");
}

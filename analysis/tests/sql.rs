//! SQL over a folder of results: what it finds, what it refuses, and how answers are written.

#![expect(clippy::unwrap_used, reason = "test helpers are tests too")]

#[path = "it/sample.rs"]
mod sample;

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use analysis::report::Report;
use analysis::results::Difference;
use analysis::sql::{FileAnswer, Format, QUESTIONS, Query, SqlError, Writer, writer};
use analysis::{Results, Study};
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::ipc::reader::{FileReader, StreamReader};
use domain::{Cell, Table};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sample::{
    batch, confusion, grid, job, job_without_layers, with, write as write_rows, write_batch,
};
use tempfile::TempDir;

const MEMORY: usize = 1 << 30;

/// The rows that `sql` selects, and what is said of the files.
fn answer(
    results: &Results,
    sweep: Option<&str>,
    sql: &str,
) -> Result<(Vec<RecordBatch>, Vec<Difference>), SqlError> {
    let sweep = sweep.map(|name| results.sweep(name)).transpose()?;
    let mut batches = Vec::new();
    let query = Query { results, sweep: sweep.as_ref(), live: None, memory_bytes: MEMORY };
    let differences = query.run(sql, |batch| {
        batches.push(batch.clone());
        Ok(true)
    })?;
    Ok((batches, differences))
}

/// The rows that `sql` selects from the folder `root`.
fn query(root: &Path, sweep: Option<&str>, sql: &str) -> Result<Vec<RecordBatch>, SqlError> {
    Ok(answer(&Results::open(root)?, sweep, sql)?.0)
}

/// Two sweeps: `first` with two segments of jobs and one of confusion, `second` with a single job.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_rows(root, Table::Jobs, ("first", "1.parquet"), &[job("a", 16, 1, 0, 0.5)]);
    let more = [job("b", 16, 2, 0, 0.25), job("c", 32, 1, 0, f64::NAN)];
    write_rows(root, Table::Jobs, ("first", "2.parquet"), &more);
    write_rows(root, Table::Jobs, ("second", "1.parquet"), &[job_without_layers("d", 7, 1.0)]);
    let measured = confusion("a", 9, "samples", 0.25, -0.5);
    write_rows(root, Table::Confusion, ("first", "1.parquet"), &[measured]);
    for name in [".3.parquet", "3.parquet.tmp"] {
        let row = [with(job("unseen", 1, 1, 0, 0.0), [("seed", Cell::Null)])];
        write_rows(root, Table::Jobs, ("first", name), &row);
    }
    folder
}

fn bytes(format: Format, batches: &[RecordBatch]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = writer(format, Box::new(&mut out));
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.finish().unwrap();
    out
}

fn text(format: Format, batches: &[RecordBatch]) -> String {
    String::from_utf8(bytes(format, batches)).unwrap()
}

#[track_caller]
fn check(root: &Path, sweep: Option<&str>, sql: &str, expected_csv: &str) {
    let batches = query(root, sweep, sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    assert_eq!(text(Format::Csv, &batches), expected_csv, "{sql}");
}

#[test]
fn tables_hold_all_sweeps_or_the_one_asked_for() {
    let folder = folder();
    let root = folder.path();
    let all = "select sweep, job_id, model_width, final_risk from jobs order by job_id";
    let expected = "sweep,job_id,model_width,final_risk\n\
        first,a,16,0.5\nfirst,b,16,0.25\nfirst,c,32,\nsecond,d,,1.0\n";
    check(root, None, all, expected);
    let expected = "sweep,job_id,model_width,final_risk\nsecond,d,,1.0\n";
    check(root, Some("second"), all, expected);
    check(root, Some("first"), "SELECT count(*) AS n FROM jobs;", "n\n3\n");
    check(root, None, "select count(*) as n from jobs where sweep = 'second'", "n\n1\n");
}

#[test]
fn tables_without_files_exist_and_are_empty() {
    let folder = folder();
    check(folder.path(), None, "select count(*) as n from failures", "n\n0\n");
    check(folder.path(), Some("second"), "select count(*) as n from confusion", "n\n0\n");
    let none = "select step, risk, sweep from steps";
    check(folder.path(), None, none, "step,risk,sweep\n");
    let batches = query(folder.path(), None, none).unwrap();
    assert_eq!(batches[0].num_columns(), 3);
    assert!(text(Format::Table, &batches).ends_with("\n0 rows\n"));
    assert_eq!(text(Format::Json, &batches), "");
}

#[test]
fn quantities_are_reserved_and_what_somebody_puts_there_is_read() {
    let folder = folder();
    check(
        folder.path(),
        None,
        "select job_id, step, name, value from quantities",
        "job_id,step,name,value\n",
    );
    let columns: [(&str, ArrayRef); 4] = [
        ("job_id", Arc::new(StringArray::from(vec!["a", "b"]))),
        ("step", Arc::new(Int64Array::from(vec![9, 9]))),
        ("name", Arc::new(StringArray::from(vec!["sharpness", "sharpness"]))),
        ("value", Arc::new(Float64Array::from(vec![0.5, 2.0]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    write_batch(&folder.path().join("quantities/sweep=first/mine.parquet"), &batch);
    let sql = "select q.sweep, q.value, j.final_risk from quantities q join jobs j using (job_id) \
        where q.name = 'sharpness' order by q.value";
    check(folder.path(), None, sql, "sweep,value,final_risk\nfirst,0.5,0.5\nfirst,2.0,0.25\n");
    check(folder.path(), Some("second"), "select count(*) as n from quantities", "n\n0\n");
}

#[test]
fn an_analyst_finds_the_usual_functions() {
    let folder = folder();
    let sql = "with last as (select job_id, max(step) as step from confusion group by job_id) \
        select j.model_depth, median(c.min_cos) as m, stddev_pop(j.final_risk) as s, \
        row_number() over (order by j.model_depth) as r \
        from jobs j join confusion c using (job_id) join last l on l.job_id = c.job_id and l.step = c.step \
        where c.layer is null group by j.model_depth";
    check(folder.path(), None, sql, "model_depth,m,s,r\n1,-0.5,0.0,1\n");
    let shown = query(folder.path(), None, "show tables").unwrap();
    assert!(text(Format::Csv, &shown).contains(",confusion,"));
    let described = query(folder.path(), None, "describe confusion").unwrap();
    assert!(text(Format::Csv, &described).contains("histogram,"));
    let explained = query(folder.path(), None, "explain select * from jobs where sweep = 'second'");
    let explained = text(Format::Csv, &explained.unwrap());
    assert!(
        explained.contains("sweep=second/") && !explained.contains("sweep=first/"),
        "{explained}"
    );
}

#[test]
fn older_and_newer_files_are_read_together() {
    let folder = folder();
    let whole = batch(Table::Jobs, &[job("e", 64, 1, 0, 0.75)]);
    let schema = whole.schema();
    let is_old = |index: &usize| schema.field(*index).name() != "final_risk";
    let kept: Vec<_> = (0..whole.num_columns()).filter(is_old).collect();
    write_batch(&folder.path().join("jobs/sweep=first/0.parquet"), &whole.project(&kept).unwrap());
    let sql = "select job_id, final_risk from jobs where sweep = 'first' order by job_id";
    check(folder.path(), None, sql, "job_id,final_risk\na,0.5\nb,0.25\nc,\ne,\n");
}

#[test]
fn what_other_versions_wrote_is_answered_and_said() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/other-versions");
    let results = Results::open(&root).unwrap();
    let ask = |sql: &str| {
        let (batches, differences) = answer(&results, None, sql).unwrap();
        let said: Vec<_> = differences.iter().map(ToString::to_string).collect();
        (text(Format::Csv, &batches), said)
    };
    let older = "cos_q05 is null in 1 of 2 segments of confusion: an older version wrote them";
    let newer = "spectral_gap is left out of 1 of 2 segments of confusion: a newer version wrote them, which knows it";
    let (csv, said) = ask("select count(*) as n, count(cos_q05) as known from confusion");
    assert_eq!((csv.as_str(), said), ("n,known\n12,6\n", vec![older.to_owned(), newer.to_owned()]));
    let (csv, said) = ask("select count(*) as n, count(rms_cos) as known from confusion");
    assert_eq!((csv.as_str(), said), ("n,known\n12,12\n", vec![newer.to_owned()]));
    let (_, said) = ask("select * from steps limit 1");
    assert_eq!(
        said,
        ["gradient_norm is null in 1 of 2 segments of steps: an older version wrote them"]
    );
    assert_eq!(ask("select 1 as x").1, [""; 0]);
    let unknown = answer(&results, None, "select energy_joules from jobs").unwrap_err();
    assert!(unknown.to_string().starts_with("there is no column \"energy_joules\""), "{unknown}");
}

#[test]
fn it_may_be_called_inside_a_runtime() {
    let folder = folder();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        check(folder.path(), None, "select count(*) as n from jobs", "n\n4\n");
    });
}

#[test]
fn nothing_but_queries_is_run() {
    let folder = folder();
    let target = folder.path().join("stolen.csv");
    let statements = [
        "drop table jobs".to_owned(),
        "create table x as select 1".to_owned(),
        "create external table x stored as parquet location '/'".to_owned(),
        "insert into jobs (job_id) values ('x')".to_owned(),
        "delete from jobs".to_owned(),
        "update jobs set final_risk = 0".to_owned(),
        "set datafusion.execution.batch_size = 1".to_owned(),
        format!("copy jobs to '{}' stored as parquet", target.display()),
        "explain analyze insert into jobs (job_id) values ('x')".to_owned(),
    ];
    for sql in &statements {
        let error = query(folder.path(), None, sql).unwrap_err();
        assert!(matches!(error, SqlError::NotAQuery), "{sql}: {error:?}");
    }
    assert!(!target.exists());
    check(folder.path(), None, "select count(*) as n from jobs", "n\n4\n");
}

#[track_caller]
fn check_error(root: &Path, sql: &str, expected: &str) {
    let error = query(root, None, sql).unwrap_err();
    assert!(error.to_string().starts_with(expected), "found:    {error}\nexpected: {expected}");
}

#[test]
fn errors_say_what_there_is_instead() {
    let folder = folder();
    let root = folder.path();
    let tables = "there is no table \"job\"; there are: jobs, steps, confusion, failures";
    check_error(root, "select * from job", tables);
    check_error(root, "select * from jobs where job_id in (select job_id from job)", tables);
    let column = "there is no column \"widht\"; there are: job_id, stage, seed, ";
    check_error(root, "select widht from jobs", column);
    let column = "there is no column \"final_rsk\", did you mean final_risk?; there are: job_id, ";
    check_error(root, "select final_rsk from jobs", column);
    let column =
        "there is no column \"model.width\", did you mean model_width?; there are: job_id,";
    check_error(root, "select model.width from jobs", column);
    let column = "there is no column \"xyz\"; there are: w";
    check_error(root, "select xyz from (select model_width as w from jobs)", column);
    check_error(root, "selekt 1", "this query cannot be understood: Expected: an SQL statement");
    check_error(root, "select 1; select 2", "this query cannot be understood: ");
    check_error(root, "", "this query cannot be understood: ");
    check_error(
        root,
        "select nosuch(1)",
        "this query cannot be understood: Invalid function 'nosuch'",
    );
    check_error(root, "select 1 / (model_width - 16) from jobs", "the query failed: ");
    let error = query(root, Some("third"), "select 1").unwrap_err().to_string();
    assert!(error.ends_with("holds no sweep \"third\"; there are: first, second"), "{error}");
    let error = query(&root.join("none"), None, "select 1").unwrap_err().to_string();
    assert!(error.starts_with("there is no folder "), "{error}");
}

#[test]
fn other_files_are_out_of_reach() {
    let folder = folder();
    let path = folder.path().join("jobs/sweep=first/1.parquet");
    for place in [path.to_str().unwrap(), "results://folder/jobs/", "../"] {
        let error = query(folder.path(), None, &format!("select * from '{place}'")).unwrap_err();
        let is_refused = matches!(error, SqlError::UnknownTable { .. } | SqlError::Refused { .. });
        assert!(is_refused, "{place}: {error:?}");
    }
}

#[test]
fn a_damaged_segment_is_named() {
    let folder = folder();
    let path = folder.path().join("jobs/sweep=first/2.parquet");
    let bytes = fs::read(&path).unwrap();
    let places = (0..bytes.len()).step_by(bytes.len() / 12).map(|place| {
        let mut flipped = bytes.clone();
        flipped[place] ^= 0xFF;
        flipped
    });
    let cuts = [0, 4, bytes.len() / 2, bytes.len() - 1].map(|length| bytes[..length].to_vec());
    for content in places {
        fs::write(&path, content).unwrap();
        if let Err(error) = query(folder.path(), None, "select * from jobs") {
            assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        }
    }
    for content in cuts {
        fs::write(&path, content).unwrap();
        let error = query(folder.path(), None, "select job_id from jobs").unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        let error = error.to_string();
        assert!(error.contains("is cut short"), "{error}");
        let elsewhere = "select count(*) as n from confusion";
        check(folder.path(), None, elsewhere, "n\n1\n");
    }
}

#[test]
fn a_segment_with_words_for_numbers_is_named() {
    let folder = folder();
    let whole = batch(Table::Jobs, &[job("e", 64, 1, 0, 0.75)]);
    let schema = whole.schema();
    let columns = schema.fields().iter().zip(whole.columns()).map(|(field, array)| {
        let words: ArrayRef = Arc::new(StringArray::from(vec!["wide"]));
        let is_retyped = field.name() == "model_width";
        (field.name(), if is_retyped { words } else { Arc::clone(array) })
    });
    let path = folder.path().join("jobs/sweep=first/0.parquet");
    write_batch(&path, &RecordBatch::try_from_iter(columns).unwrap());
    let error = query(folder.path(), None, "select max(model_width) from jobs").unwrap_err();
    let expected =
        format!("the column model_width of {} is Utf8 where Int32 is expected", path.display());
    assert_eq!(error.to_string(), expected);
}

#[test]
fn formats_say_null_times_and_histograms() {
    let folder = folder();
    let sql = "select job_id, model_width, final_risk, queued_at, model_bias from jobs \
        where job_id in ('a', 'd') order by job_id";
    let batches = query(folder.path(), None, sql).unwrap();
    let expected = "\
+--------+-------------+------------+----------------------+------------+
| job_id | model_width | final_risk | queued_at            | model_bias |
+--------+-------------+------------+----------------------+------------+
| a      | 16          | 0.5        | 2023-11-14T22:13:20Z | null       |
| d      | null        | 1.0        | 2023-11-14T22:13:20Z | null       |
+--------+-------------+------------+----------------------+------------+
2 rows
";
    assert_eq!(text(Format::Table, &batches), expected);
    let expected = "job_id,model_width,final_risk,queued_at,model_bias\n\
        a,16,0.5,2023-11-14T22:13:20Z,\nd,,1.0,2023-11-14T22:13:20Z,\n";
    assert_eq!(text(Format::Csv, &batches), expected);
    let line = |id: &str, width: &str, risk: &str| {
        format!(
            "{{\"job_id\":\"{id}\",\"model_width\":{width},\"final_risk\":{risk},\
             \"queued_at\":\"2023-11-14T22:13:20Z\",\"model_bias\":null}}\n"
        )
    };
    let expected = line("a", "16", "0.5") + &line("d", "null", "1.0");
    assert_eq!(text(Format::Json, &batches), expected);

    let batches = query(folder.path(), None, "select histogram from confusion").unwrap();
    assert!(text(Format::Table, &batches).contains("| [0, 1, 2, 3, … 200 in all] |"));
    assert!(text(Format::Csv, &batches).starts_with("histogram\n\"[0, 1, 2, 3, 4, "));
    assert!(text(Format::Json, &batches).starts_with("{\"histogram\":[0,1,2,3,4,"));
    let not_a_number = query(folder.path(), None, "select 0.0 / 0.0 as x, 'say \"hi\", Ann' as y");
    let not_a_number = not_a_number.unwrap();
    assert_eq!(text(Format::Json, &not_a_number), "{\"x\":null,\"y\":\"say \\\"hi\\\", Ann\"}\n");
    assert_eq!(text(Format::Csv, &not_a_number), "x,y\nNaN,\"say \"\"hi\"\", Ann\"\n");
}

fn to_file(path: &Path, root: Option<&Path>, batches: &[RecordBatch]) -> Result<(), SqlError> {
    let mut answer = Box::new(FileAnswer::create(path, root)?);
    for batch in batches {
        answer.write(batch)?;
    }
    answer.finish()
}

#[test]
fn an_answer_becomes_a_file_that_is_whole_or_absent() {
    let folder = folder();
    let batches = query(folder.path(), Some("first"), "select * from confusion").unwrap();
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let write = |name: &str| to_file(&path(name), Some(folder.path()), &batches);
    for name in ["a.parquet", "a.arrow", "a.csv", "a.json"] {
        fs::write(path(name), "what was there").unwrap();
        write(name).unwrap();
    }
    let open = |name| File::open(path(name)).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(open("a.parquet")).unwrap();
    let read: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    assert_eq!(read, batches);
    let reader = FileReader::try_new(open("a.arrow"), None).unwrap();
    assert_eq!(reader.map(Result::unwrap).collect::<Vec<_>>(), batches);
    let stream = bytes(Format::Arrow, &batches);
    let reader = StreamReader::try_new(stream.as_slice(), None).unwrap();
    assert_eq!(reader.map(Result::unwrap).collect::<Vec<_>>(), batches);
    for (name, format) in [("a.csv", Format::Csv), ("a.json", Format::Json)] {
        assert_eq!(fs::read_to_string(path(name)).unwrap(), text(format, &batches), "{name}");
    }

    let error = write("none/a.parquet").unwrap_err();
    assert!(error.to_string().contains("none/a.parquet"), "{error}");
    let half = FileAnswer::create(&path("half.csv"), None).unwrap();
    drop(half);
    let mut names: Vec<_> =
        fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a.arrow", "a.csv", "a.json", "a.parquet"]);
}

#[test]
fn an_answer_is_written_over_no_results_and_nothing_but_files() {
    let folder = folder();
    let root = folder.path();
    let batches = query(root, Some("first"), "select job_id from jobs").unwrap();
    let refused = |path: &Path, word: &str| {
        let error = to_file(path, Some(root), &batches).unwrap_err().to_string();
        assert!(error.contains(word) && error.contains(path.to_str().unwrap()), "{error}");
    };
    let place = tempfile::tempdir().unwrap();
    refused(&root.join("jobs/sweep=first/1.parquet"), "among the results");
    refused(&root.join("jobs/sweep=first/new.parquet"), "among the results");
    refused(&place.path().join("a.txt"), "ends in none of");
    refused(place.path().parent().unwrap().join("none.d/../a").as_path(), "ends in none of");
    fs::create_dir(place.path().join("folder.csv")).unwrap();
    refused(&place.path().join("folder.csv"), "is no file");
    // By way of a link, too.
    let link = place.path().join("link.parquet");
    std::os::unix::fs::symlink(root.join("jobs/sweep=first/1.parquet"), &link).unwrap();
    refused(&link, "among the results");
    check(root, Some("first"), "select count(*) as n from jobs", "n\n3\n");
    // A link to a file elsewhere stays one.
    fs::write(place.path().join("behind.csv"), "").unwrap();
    let link = place.path().join("link.csv");
    std::os::unix::fs::symlink("behind.csv", &link).unwrap();
    to_file(&link, Some(root), &batches).unwrap();
    assert!(link.is_symlink());
    assert_eq!(fs::read_to_string(&link).unwrap(), "job_id\na\nb\nc\n");
}

#[test]
fn a_table_for_people_ends_somewhere_and_says_so() {
    let folder = folder();
    let many = "select a.value from generate_series(1, 20000) as a(value)";
    let results = Results::open(folder.path()).unwrap();
    let query = Query { results: &results, sweep: None, live: None, memory_bytes: MEMORY };
    let mut out = Vec::new();
    let mut people = writer(Format::Table, Box::new(&mut out));
    query.run(many, |batch| people.write(batch)).unwrap();
    people.finish().unwrap();
    let told = String::from_utf8(out).unwrap();
    assert!(told.contains("\n10000 rows, and there are more: "), "{}", &told[told.len() - 200..]);
}

#[test]
fn a_query_ends_when_nobody_wants_more_of_it_and_beyond_its_memory() {
    let folder = tempfile::tempdir().unwrap();
    grid(folder.path(), 3);
    let results = Results::open(folder.path()).unwrap();
    let query = Query { results: &results, sweep: None, live: None, memory_bytes: 1 << 20 };
    // Billions of rows.
    let steps = "from confusion a, confusion b, confusion c, confusion d, confusion e";
    let mut batches = 0;
    let rows = format!("select a.eta {steps}");
    query
        .run(&rows, |_| {
            batches += 1;
            Ok(batches < 3)
        })
        .unwrap();
    assert_eq!(batches, 3);
    let error = query.run(&format!("select array_agg(a.job_id || b.job_id) {steps}"), |_| Ok(true));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("1 MiB of memory"), "{error}");
}

/// Rows and sums as DuckDB 2.0 gives them for the same files over the same text.
#[test]
fn every_ready_question_has_the_answer_of_another_engine() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tanh-boundary"));
    let expected = [
        ("best-steps", 90, "mean_risk", 33.730_039_812_928_23),
        ("confusion", 180, "rms_cos", 65.255_521_640_640_62),
        ("convergence", 4_500, "largest_eta", 29_900.131_473_655_16),
        ("costs", 90, "wall_seconds", 5.168_815_625_060_001),
        ("curves", 540, "mean_risk", 256.341_868_886_232_3),
        ("failures", 0, "attempts", 0.0),
        ("losses", 90, "highest_risk", 47.417_235_393_201_47),
        ("repeated", 0, "rows", 0.0),
    ];
    let names: Vec<_> = QUESTIONS.iter().map(|question| question.name).collect();
    assert_eq!(names, expected.map(|(name, ..)| name));
    for (question, (name, rows, column, sum)) in QUESTIONS.iter().zip(expected) {
        assert!(question.about().ends_with('.'), "{}", question.about());
        let batches = query(root, None, question.sql);
        let batches = batches.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), rows, "{name}");
        let sum_of = |batch: &RecordBatch| {
            let numbers = batch.column_by_name(column).unwrap().as_primitive::<Float64Type>();
            numbers.iter().flatten().sum::<f64>()
        };
        let found: f64 = batches.iter().filter(|_| rows > 0).map(sum_of).sum();
        assert!((found - sum).abs() <= 1e-9 * sum, "{name}: {found} for {sum}");
    }
}

#[test]
fn a_deep_query_is_no_overflow() {
    let folder = folder();
    let deep = format!("select {}1{} as x", "(".repeat(40), ")".repeat(40));
    check(folder.path(), None, &deep, "x\n1\n");
    let long = vec!["final_risk > 0"; 500].join(" or ");
    let sql = format!("select count(*) as n from jobs where {long}");
    check(folder.path(), None, &sql, "n\n3\n");
}

/// Rows of a CSV by their first `keys` cells.
fn rows(csv: &str, keys: usize) -> std::collections::BTreeMap<Vec<String>, Vec<f64>> {
    let row = |line: &str| {
        let cells: Vec<String> = line.split(',').map(str::to_owned).collect();
        let numbers = cells[keys..].iter().map(|cell| cell.parse().unwrap_or(f64::INFINITY));
        (cells[..keys].to_vec(), numbers.collect())
    };
    csv.lines().skip(1).map(row).collect()
}

#[test]
fn the_sql_of_every_figure_runs_and_gives_the_numbers_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    grid(folder.path(), 3);
    // Another sweep with the same jobs: its rows are not the figures'.
    for table in fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()) {
        let Ok(files) = fs::read_dir(table.join("sweep=s")) else { continue };
        fs::create_dir(table.join("sweep=other")).unwrap();
        for file in files.map(|entry| entry.unwrap()) {
            fs::copy(file.path(), table.join("sweep=other").join(file.file_name())).unwrap();
        }
    }
    let results = Results::open(folder.path()).unwrap();
    let study = Study::read(&results, &results.sweep("s").unwrap()).unwrap();
    let report = Report::of(study, &Default::default());
    let mut compared = Vec::new();
    for figure in report.figures.iter().flatten() {
        let found = query(folder.path(), None, &figure.sql);
        let found = found.unwrap_or_else(|error| panic!("{}: {error:?}", figure.name));
        assert!(found.iter().any(|batch| batch.num_rows() > 0), "{}", figure.name);
        let head = figure.csv.lines().next().unwrap();
        let schema = found[0].schema();
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        // Histograms and fitted numbers are made from the rows of the SQL; the others are the rows.
        if names.join(",") != head {
            continue;
        }
        let keys = if names.contains(&"step") { 4 } else { 3 };
        let (own, told) = (rows(&figure.csv, keys), rows(&text(Format::Csv, &found), keys));
        assert!(own.keys().eq(told.keys()), "{}", figure.name);
        for (key, numbers) in &own {
            let pairs = numbers.iter().zip(&told[key]);
            let near = pairs.clone().all(|(a, b)| a == b || (a - b).abs() < 1e-12);
            assert!(near, "{} at {key:?}: {numbers:?}, {:?}", figure.name, told[key]);
        }
        compared.push(figure.name.as_str());
    }
    let expected = [
        "1-heat",
        "1-curves",
        "1-min-cos-width",
        "1-min-cos-depth",
        "1-collapse-start",
        "1-collapse-end",
    ];
    assert_eq!(compared, expected);
}

//! Small folders of results to test with: rows given by column name, written as the column list says.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use analysis::results::table_schema;
use arrow_array::builder::{FixedSizeListBuilder, Int64Builder};
use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field};
use domain::table::HISTOGRAM_BINS;
use domain::{Cell, ColumnType, Table};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

/// Some cells of a row, by column; the others are null.
pub type SampleRow = Vec<(&'static str, Cell)>;

/// A job of an MLP, enough of it for the closing table.
pub fn job(id: &str, width: i64, depth: i64, seed: i64, risk: f64) -> SampleRow {
    let mut row = job_without_layers(id, seed, risk);
    row.extend([("model_width", Cell::Int(width)), ("model_depth", Cell::Int(depth))]);
    row.extend([("model_kind", "mlp".into()), ("model_init", "lecun".into())]);
    row
}

/// A job of a model that has neither width nor depth.
pub fn job_without_layers(id: &str, seed: i64, risk: f64) -> SampleRow {
    let mut row = vec![("job_id", id.into()), ("stage", "single".into())];
    let seeds = ["seed", "data_seed", "init_seed", "order_seed", "measure_seed", "augment_seed"];
    row.extend(seeds.map(|name| (name, Cell::Int(seed))));
    row.extend([("data_dim", Cell::Int(16)), ("train_step_size", Cell::Float(0.05))]);
    row.extend([("status", "completed".into()), ("final_risk", risk.into())]);
    row.extend([("queued_at", Cell::Time(1_700_000_000_000_000)), ("spec", "{}".into())]);
    row
}

/// A measurement of the whole network, of single gradients.
pub fn confusion(id: &str, step: i64, scope: &'static str, rms: f64, min: f64) -> SampleRow {
    vec![
        ("job_id", id.into()),
        ("step", Cell::Int(step)),
        ("scope", scope.into()),
        ("measure_batch", Cell::Int(1)),
        ("rms_cos", rms.into()),
        ("min_cos", min.into()),
        ("histogram", Cell::Counts((0..HISTOGRAM_BINS as i64).collect())),
        ("subnormal", Cell::Bool(false)),
    ]
}

/// Writes the sweep `s`: widths, depths, dims and seeds, measured at the start and the end of training.
pub fn grid(root: &Path, seeds: i64) {
    let (mut jobs, mut steps, mut measured) = (Vec::new(), Vec::new(), Vec::new());
    for width in [8, 16, 32] {
        for depth in [1, 2, 4, 8] {
            for dim in [16, 64, 256] {
                for seed in 0..seeds {
                    let id = format!("{width}-{depth}-{dim}-{seed}");
                    let rms = (1.0 / dim as f64 + depth as f64 / (3.0 * width as f64)).sqrt();
                    let rms = rms * (1.0 + 0.01 * ((seed * 7 + width + depth) % 5) as f64);
                    let spec = [("data_dim", Cell::Int(dim)), ("steps_done", Cell::Int(500))];
                    jobs.push(with(job(&id, width, depth, seed, 0.1 * rms), spec));
                    for (step, factor) in [(0, 0.9), (500, 1.0)] {
                        let row = confusion(
                            &id,
                            step,
                            "samples",
                            factor * rms,
                            -(4.0 * factor * rms).tanh(),
                        );
                        let more = [
                            ("cos_q01", Cell::Float(-(2.0 * factor * rms).tanh())),
                            ("relative_eta", Cell::Float(4.0 * factor * rms)),
                            ("count", Cell::Int(64)),
                            ("model_width", Cell::Int(width)),
                            ("model_depth", Cell::Int(depth)),
                            ("data_dim", Cell::Int(dim)),
                        ];
                        // Averages are nobody's single gradients, whatever their place in the file.
                        let averaged = [
                            ("count", Cell::Int(16)),
                            ("measure_batch", Cell::Int(4)),
                            ("rms_cos", Cell::Float(0.99)),
                            ("min_cos", Cell::Float(0.9)),
                            ("relative_eta", Cell::Float(0.0)),
                        ];
                        let row = with(row, more);
                        measured.push(with(row.clone(), averaged));
                        measured.push(row);
                        steps.push(vec![
                            ("job_id", id.as_str().into()),
                            ("step", Cell::Int(step)),
                            ("risk", Cell::Float(0.5 * (-0.004 * step as f64).exp())),
                            ("model_width", Cell::Int(width)),
                            ("model_depth", Cell::Int(depth)),
                            ("data_dim", Cell::Int(dim)),
                        ]);
                    }
                }
            }
        }
    }
    write(root, Table::Jobs, ("s", "1.parquet"), &jobs);
    write(root, Table::Steps, ("s", "1.parquet"), &steps);
    write(root, Table::Confusion, ("s", "1.parquet"), &measured);
}

/// `row` with other values for some columns.
pub fn with<const N: usize>(mut row: SampleRow, cells: [(&'static str, Cell); N]) -> SampleRow {
    row.retain(|(name, _)| !cells.iter().any(|(other, _)| other == name));
    row.extend(cells);
    row
}

/// Writes `rows` as the segment `name` of a sweep and returns its path.
#[track_caller]
pub fn write(
    root: &Path,
    table: Table,
    (sweep, name): (&str, &str),
    rows: &[SampleRow],
) -> PathBuf {
    let path = root.join(table.as_str()).join(format!("sweep={sweep}")).join(name);
    write_batch(&path, &batch(table, rows));
    path
}

/// The rows as Arrow, all columns of the table.
#[track_caller]
pub fn batch(table: Table, rows: &[SampleRow]) -> RecordBatch {
    for (name, _) in rows.iter().flatten() {
        assert!(table.columns().any(|column| column.name == *name), "{table:?} has no {name}");
    }
    let cell = |row: &SampleRow, name: &str| {
        let found = row.iter().find(|(column, _)| *column == name);
        found.map_or(Cell::Null, |(_, cell)| cell.clone())
    };
    let arrays = table
        .columns()
        .map(|column| array(column.kind, rows.iter().map(|row| cell(row, column.name)).collect()));
    RecordBatch::try_new(table_schema(table), arrays.collect()).unwrap()
}

/// Writes one Parquet file, its folder too.
#[track_caller]
pub fn write_batch(path: &Path, batch: &RecordBatch) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let properties = WriterProperties::builder().set_compression(zstd).build();
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn array(kind: ColumnType, cells: Vec<Cell>) -> ArrayRef {
    fn pick<T>(cells: Vec<Cell>, pick: fn(Cell) -> T) -> impl Iterator<Item = Option<T>> {
        let present = move |cell| (cell != Cell::Null).then(|| pick(cell));
        cells.into_iter().map(present)
    }
    let int = |cell| match cell {
        Cell::Int(number) | Cell::Time(number) => number,
        other => panic!("{other:?} where a whole number belongs"),
    };
    match kind {
        ColumnType::Int32 => {
            let small = pick(cells, int).map(|number| number.map(|n| i32::try_from(n).unwrap()));
            Arc::new(small.collect::<Int32Array>())
        }
        ColumnType::Int64 => Arc::new(pick(cells, int).collect::<Int64Array>()),
        ColumnType::Timestamp => {
            let times = pick(cells, int).collect::<TimestampMicrosecondArray>();
            Arc::new(times.with_timezone("UTC"))
        }
        ColumnType::Float64 => Arc::new(Float64Array::from_iter(pick(cells, |cell| match cell {
            Cell::Float(number) => number,
            other => panic!("{other:?} where a number belongs"),
        }))),
        ColumnType::Utf8 => Arc::new(StringArray::from_iter(pick(cells, |cell| match cell {
            Cell::Text(text) => text,
            other => panic!("{other:?} where a text belongs"),
        }))),
        ColumnType::Boolean => Arc::new(BooleanArray::from_iter(pick(cells, |cell| match cell {
            Cell::Bool(flag) => flag,
            other => panic!("{other:?} where a flag belongs"),
        }))),
        ColumnType::Histogram => {
            let item = Field::new("item", DataType::Int64, false);
            let bins = HISTOGRAM_BINS as i32;
            let mut lists = FixedSizeListBuilder::new(Int64Builder::new(), bins).with_field(item);
            for cell in cells {
                let is_valid = cell != Cell::Null;
                let counts = match cell {
                    Cell::Counts(counts) => counts,
                    _ => vec![0; HISTOGRAM_BINS],
                };
                lists.values().append_slice(&counts);
                lists.append(is_valid);
            }
            Arc::new(lists.finish())
        }
    }
}

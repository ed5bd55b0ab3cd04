//! Other people's readers: the Parquet files as pyarrow sees them.

use std::process::Command;

use crate::end_to_end::SMALL;
use crate::harness::{Place, succeed};

const SCRIPT: &str = r#"
import sys
import pyarrow.dataset as ds
for table in ("jobs", "steps", "confusion"):
    data = ds.dataset(sys.argv[1] + "/" + table, partitioning="hive").to_table()
    print(table, data.num_rows, sorted(set(data.column("sweep").to_pylist())))
field = ds.dataset(sys.argv[1] + "/confusion", partitioning="hive").schema.field("eta")
print("eta", field.type, field.metadata[b"volatile"].decode(), field.metadata[b"unit"].decode())
"#;

#[test]
fn pyarrow_reads_the_results_as_they_stand() {
    let has = Command::new("python3").args(["-c", "import pyarrow.dataset"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        println!(
            "SKIPPED: no python3 with pyarrow here; `pip install pyarrow` makes this test run"
        );
        return;
    }
    let place = Place::new();
    succeed(&mut place.run(&place.sweep(SMALL), 1));
    let printed = succeed(Command::new("python3").args(["-c", SCRIPT]).arg(place.results()));
    let expected = "jobs 6 ['small']\nsteps 36 ['small']\nconfusion 36 ['small']\neta double false loss^2 per weight^2\n";
    assert_eq!(printed, expected);
}

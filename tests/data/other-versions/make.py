#!/usr/bin/env python3
"""Makes this folder from the results of sweep.toml:   make.py RESULTS   (needs pyarrow; `gradsweep run sweep.toml --out RESULTS`)

The files of an older version lack columns, those of a newer one have columns that this one does not know.
"""
import os, sys
import pyarrow as pa, pyarrow.compute as pc, pyarrow.parquet as pq

OLDER = {"jobs": ["smoothness", "peak_rss_bytes"], "steps": ["gradient_norm"], "confusion": ["cos_q05", "histogram"]}
NEWER = {"jobs": [("energy_joules", 1.5)], "steps": [], "confusion": [("spectral_gap", 0.25)]}
here = os.path.dirname(os.path.abspath(__file__))

def read(table):
    folder = f"{sys.argv[1]}/{table}/sweep=other-versions"
    return pa.concat_tables(pq.ParquetFile(f"{folder}/{name}").read() for name in sorted(os.listdir(folder)))

ids = sorted(read("jobs").column("job_id").to_pylist())
for table in OLDER:
    rows = read(table)
    for name, jobs in (("older", ids[:2]), ("newer", ids[2:])):
        part = rows.filter(pc.is_in(rows.column("job_id"), pa.array(jobs)))
        if name == "older":
            part = part.drop_columns(OLDER[table])
        else:
            for column, value in NEWER[table]:
                part = part.append_column(column, pa.array([value] * part.num_rows))
        folder = f"{here}/{table}/sweep=other-versions"
        os.makedirs(folder, exist_ok=True)
        pq.write_table(part, f"{folder}/{name}.parquet", compression="zstd")

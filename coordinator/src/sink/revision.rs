//! The record of a revision beside its results: `sweeps/<name>/<SweepId>.json`.

use domain::{JobId, Sweep};
use serde_json::json;
use store::{PutError, Store};

use crate::machine::HandedIn;

/// Writes the record of a revision: its file, its canonical content, its JobIds, and when it was taken in. A record that
/// is there already stays. `jobs` are its distinct jobs, where somebody knows them: else they are made from the sweep, which
/// takes a while. Blocks.
pub fn write_revision(
    results: &Store,
    sweep: &Sweep,
    handed_in: &HandedIn,
    jobs: Option<&[JobId]>,
) -> Result<(), PutError> {
    let name = format!("sweeps/{}/{}.json", sweep.name(), sweep.id());
    let failed = |source| PutError { path: results.path(&name), source };
    // Looked for at each start, and written again should a power cut have taken it: no sync is worth its time.
    if results.has(&name).map_err(failed)? {
        return Ok(());
    }
    results.put(&name, |writer| {
        let made = || sweep.jobs().map(|(_, id)| id).collect();
        let jobs = jobs.map_or_else(made, <[JobId]>::to_vec);
        let canonical: serde_json::Value =
            serde_json::from_str(&handed_in.canonical).unwrap_or_default();
        let record = json!({
            "format": 1,
            "name": sweep.name().as_str(),
            "sweep_id": sweep.id().to_string(),
            "submitted_at_us": handed_in.at.as_micros(),
            "version": env!("CARGO_PKG_VERSION"),
            "file_name": handed_in.file_name,
            "file": handed_in.file_text,
            "sweep": canonical,
            "jobs": jobs.iter().map(ToString::to_string).collect::<Vec<_>>(),
        });
        serde_json::to_writer_pretty(&mut *writer, &record).map_err(|e| failed(e.into()))?;
        writer.write_all(b"\n").map_err(failed)
    })
}

//! Batches and snapshots as the journal stores them: mirrors of the machine's types in postcard, a compact binary form.
//!
//! Postcard names variants and fields by their place: variants are only ever added at the end, fields never; what needs
//! another shape gets a variant of its own.

mod event;
mod snapshot;
#[cfg(test)]
mod tests;

use domain::{JobId, SweepName, Table};
use serde::{Deserialize, Serialize};

use self::event::StoredEvent;
use self::snapshot::StoredStart;
use super::spool::Place;
use super::{Batch, SpoolChange};
use crate::machine::{Event, Snapshot};

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadRecord {
    #[error("it is shorter than it says")]
    Short,
    #[error("it is not what this gradsweep writes: {0}")]
    Form(#[from] postcard::Error),
    #[error("it names no {what}: \"{found}\"")]
    Word { what: &'static str, found: String },
}

/// One record, and the rows that it brings.
#[derive(Debug, Default)]
pub struct Record {
    pub snapshot: Option<Snapshot>,
    pub events: Vec<Event>,
    pub spool: Vec<Spooled>,
}

/// A change to the spool, its rows by their place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spooled {
    Put { sweep: SweepName, job: JobId, table: Table, first_row: u64, place: Place },
    Truncate { sweep: SweepName, job: JobId, table: Table, from_row: u64 },
    Drop { sweep: SweepName, job: JobId },
}

/// Bytes of the length of a record's head.
const HEAD_LENGTH: usize = 4;

/// The first 8 bytes of blake3 of all parts.
pub fn short_hash(parts: &[&[u8]]) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut short = [0; 8];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    short
}

/// A checksum of spooled rows.
pub fn check(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(short_hash(&[bytes]))
}

/// The record of a batch, as bytes; and its spool changes, placed as if the record began at `offset` in the file.
pub fn encode(batch: &Batch, snapshot: Option<&Snapshot>, offset: u64) -> (Vec<u8>, Vec<Spooled>) {
    let mut head = Head { start: StoredStart::of(snapshot), ..Head::default() };
    for event in &batch.events {
        let event = StoredEvent::of(event, &mut head.sweeps);
        head.events.push(event);
    }
    let mut payload = Vec::new();
    for change in &batch.spool {
        let change = match change {
            SpoolChange::Put { sweep, job, table, rows } => {
                payload.extend_from_slice(&rows.cells);
                StoredSpool::Put {
                    sweep: number_of(sweep, &mut head.sweeps),
                    job: job.0,
                    table: table_number(*table),
                    first_row: rows.first_row,
                    row_count: rows.row_count,
                    bytes: rows.cells.len() as u32,
                    check: check(&rows.cells),
                }
            }
            SpoolChange::Truncate { sweep, job, table, from_row } => StoredSpool::Truncate {
                sweep: number_of(sweep, &mut head.sweeps),
                job: job.0,
                table: table_number(*table),
                from_row: *from_row,
            },
            SpoolChange::Drop { sweep, job } => {
                StoredSpool::Drop { sweep: number_of(sweep, &mut head.sweeps), job: job.0 }
            }
        };
        head.spool.push(change);
    }
    let mut bytes = vec![0; HEAD_LENGTH];
    bytes = postcard::to_extend(&head, bytes).expect("strings and numbers serialise");
    let head_bytes = (bytes.len() - HEAD_LENGTH) as u32;
    bytes[..HEAD_LENGTH].copy_from_slice(&head_bytes.to_le_bytes());
    let rows_at = offset + bytes.len() as u64;
    let names: Result<Vec<_>, _> = head.sweeps.iter().map(|text| name(text)).collect();
    let placed = names.and_then(|names| place(head.spool, &names, rows_at, payload.len()));
    bytes.extend_from_slice(&payload);
    (bytes, placed.expect("these are the names of a moment ago"))
}

/// What a record says that lies at `offset` in the file.
pub fn decode(bytes: &[u8], offset: u64) -> Result<Record, BadRecord> {
    let (length, rest) = bytes.split_first_chunk::<HEAD_LENGTH>().ok_or(BadRecord::Short)?;
    let length = u32::from_le_bytes(*length) as usize;
    let (head, payload) = rest.split_at_checked(length).ok_or(BadRecord::Short)?;
    let Head { start, sweeps, events, spool } = postcard::from_bytes(head)?;
    // Once a record, not once an event: most of what a start takes is made of small things.
    let sweeps = sweeps.iter().map(|text| name(text)).collect::<Result<Vec<_>, _>>()?;
    let rows_at = offset + (HEAD_LENGTH + length) as u64;
    let spool = place(spool, &sweeps, rows_at, payload.len())?;
    Ok(Record {
        snapshot: start.into_snapshot()?,
        events: events
            .into_iter()
            .map(|event| event.into_event(&sweeps))
            .collect::<Result<_, _>>()?,
        spool,
    })
}

/// Gives each batch of rows its place in the file: they lie behind the head one after the other, from `rows_at` on.
fn place(
    spool: Vec<StoredSpool>,
    sweeps: &[SweepName],
    rows_at: u64,
    room: usize,
) -> Result<Vec<Spooled>, BadRecord> {
    let mut used = 0;
    let mut placed = Vec::with_capacity(spool.len());
    for change in spool {
        placed.push(match change {
            StoredSpool::Put { sweep, job, table, first_row, row_count, bytes, check } => {
                let offset = rows_at + used;
                used += u64::from(bytes);
                if used > room as u64 {
                    return Err(BadRecord::Short);
                }
                Spooled::Put {
                    sweep: named(sweeps, sweep)?,
                    job: JobId(job),
                    table: table_of(table)?,
                    first_row,
                    // Half of it is enough for rows that are read back; the record's own checksum covers them too.
                    place: Place { offset, bytes, row_count, check: check as u32 },
                }
            }
            StoredSpool::Truncate { sweep, job, table, from_row } => Spooled::Truncate {
                sweep: named(sweeps, sweep)?,
                job: JobId(job),
                table: table_of(table)?,
                from_row,
            },
            StoredSpool::Drop { sweep, job } => {
                Spooled::Drop { sweep: named(sweeps, sweep)?, job: JobId(job) }
            }
        });
    }
    Ok(placed)
}

/// What a record says, before its rows.
#[derive(Default, Serialize, Deserialize)]
struct Head {
    start: StoredStart,
    /// The names that the numbers stand for.
    sweeps: Vec<String>,
    events: Vec<StoredEvent>,
    spool: Vec<StoredSpool>,
}

#[derive(Serialize, Deserialize)]
enum StoredSpool {
    Put {
        sweep: u32,
        job: [u8; 16],
        table: u8,
        first_row: u64,
        row_count: u32,
        bytes: u32,
        check: u64,
    },
    Truncate {
        sweep: u32,
        job: [u8; 16],
        table: u8,
        from_row: u64,
    },
    Drop {
        sweep: u32,
        job: [u8; 16],
    },
}

fn number_of(sweep: &SweepName, sweeps: &mut Vec<String>) -> u32 {
    let known = sweeps.iter().position(|known| known == sweep.as_str());
    let index = known.unwrap_or_else(|| {
        sweeps.push(sweep.to_string());
        sweeps.len() - 1
    });
    index as u32
}

fn named(sweeps: &[SweepName], number: u32) -> Result<SweepName, BadRecord> {
    let unknown = || BadRecord::Word { what: "sweep", found: number.to_string() };
    sweeps.get(number as usize).cloned().ok_or_else(unknown)
}

fn name(text: &str) -> Result<SweepName, BadRecord> {
    text.parse().map_err(|_| BadRecord::Word { what: "sweep", found: text.to_owned() })
}

/// The place of a table in this list is its number in the file.
const TABLES: [Table; 5] =
    [Table::Jobs, Table::Steps, Table::Confusion, Table::Failures, Table::WeightsIndex];

fn table_number(table: Table) -> u8 {
    TABLES.iter().position(|known| *known == table).unwrap_or(TABLES.len()) as u8
}

fn table_of(number: u8) -> Result<Table, BadRecord> {
    let unknown = || BadRecord::Word { what: "table", found: number.to_string() };
    TABLES.get(usize::from(number)).copied().ok_or_else(unknown)
}

fn class(text: &str) -> Result<domain::FailureClass, BadRecord> {
    let unknown = |_| BadRecord::Word { what: "failure class", found: text.to_owned() };
    text.parse().map_err(unknown)
}

//! Where the spooled rows of each job lie in the journal's file.
//!
//! A job that measures for days hands over millions of small batches, and each is remembered until its file is sealed. So
//! the places of one job and table are kept in order and packed: what follows from the batch before is left out, and a
//! batch of a few rows takes 9 to 14 bytes of memory.
//!
//! ```text
//! first row − end of the batch before │ offset − end of the batch before │ bytes │ rows │ checksum
//! each a number of 7 bits a byte, the first two with their sign in the lowest bit         4 bytes
//! ```

use std::collections::{BTreeMap, HashMap};

use domain::{JobId, SweepName, Table};

/// A batch of rows in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub offset: u64,
    pub bytes: u32,
    pub row_count: u32,
    /// The low half of the checksum in the file. The other half is compared when the journal is read.
    pub check: u32,
}

/// A job of a sweep.
pub type Key = (SweepName, JobId);

/// The batches of one job and table, packed.
#[derive(Clone, Debug, Default)]
struct Batches {
    packed: Vec<u8>,
    /// Rows and bytes of the file before this batch: what the next one is told apart from.
    last: Option<(u64, Place)>,
    /// Bytes of all rows.
    bytes: u64,
}

impl Batches {
    fn push(&mut self, first_row: u64, place: Place) {
        let (row, offset) = after(self.last);
        put_signed(&mut self.packed, first_row.wrapping_sub(row).cast_signed());
        put_signed(&mut self.packed, place.offset.wrapping_sub(offset).cast_signed());
        put(&mut self.packed, u64::from(place.bytes));
        put(&mut self.packed, u64::from(place.row_count));
        self.packed.extend_from_slice(&place.check.to_le_bytes());
        self.bytes += u64::from(place.bytes);
        self.last = Some((first_row, place));
    }

    fn iter(&self) -> Unpack<'_> {
        Unpack { packed: &self.packed, last: None }
    }

    /// What is kept of them is packed anew.
    fn rebuild(&mut self, batches: impl IntoIterator<Item = (u64, Place)>) {
        let mut fresh = Self::default();
        batches.into_iter().for_each(|(first_row, place)| fresh.push(first_row, place));
        fresh.packed.shrink_to_fit();
        *self = fresh;
    }
}

/// Where the batch behind `last` begins if it follows at once: its first row, and its offset.
fn after(last: Option<(u64, Place)>) -> (u64, u64) {
    last.map_or((0, 0), |(first_row, place)| {
        (first_row + u64::from(place.row_count), place.offset + u64::from(place.bytes))
    })
}

fn put(packed: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        packed.push(number as u8 | 0x80);
        number >>= 7;
    }
    packed.push(number as u8);
}

fn put_signed(packed: &mut Vec<u8>, number: i64) {
    put(packed, (number << 1 ^ number >> 63).cast_unsigned());
}

/// Packed batches, one after the other.
struct Unpack<'a> {
    packed: &'a [u8],
    last: Option<(u64, Place)>,
}

impl Unpack<'_> {
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte;
            (byte, self.packed) = self.packed.split_first()?;
            number |= u64::from(*byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        Some(number)
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }
}

impl Iterator for Unpack<'_> {
    type Item = (u64, Place);

    fn next(&mut self) -> Option<(u64, Place)> {
        let (row, offset) = after(self.last);
        let first_row = row.wrapping_add_signed(self.signed()?);
        let offset = offset.wrapping_add_signed(self.signed()?);
        let (bytes, row_count) = (self.number()? as u32, self.number()? as u32);
        let check;
        (check, self.packed) = self.packed.split_first_chunk::<4>()?;
        let place = Place { offset, bytes, row_count, check: u32::from_le_bytes(*check) };
        self.last = Some((first_row, place));
        self.last
    }
}

/// The places of all rows.
#[derive(Clone, Debug, Default)]
pub struct Spool {
    /// The few tables of a job in a plain list.
    jobs: HashMap<Key, Vec<(Table, Batches)>>,
    /// Bytes of all rows.
    bytes: u64,
}

impl Spool {
    /// Bytes of all rows that are in it.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Rows of a job were added; those of the same first row are replaced.
    pub fn put(&mut self, key: Key, table: Table, first_row: u64, place: Place) {
        let tables = self.jobs.entry(key).or_default();
        let index = tables.iter().position(|(of, _)| *of == table).unwrap_or_else(|| {
            tables.push((table, Batches::default()));
            tables.len() - 1
        });
        let batches = &mut tables[index].1;
        let before = batches.bytes;
        if batches.last.is_none_or(|(last, _)| last < first_row) {
            batches.push(first_row, place);
        } else {
            // Out of order: a job that began again without dropping what it had. It never happens in a log of ours.
            let mut all: BTreeMap<_, _> = batches.iter().collect();
            all.insert(first_row, place);
            batches.rebuild(all);
        }
        self.bytes = self.bytes + batches.bytes - before;
    }

    /// A job's rows of `table` from `from_row` on are dropped.
    pub fn truncate(&mut self, key: &Key, table: Table, from_row: u64) {
        let Some(tables) = self.jobs.get_mut(key) else { return };
        let Some((_, batches)) = tables.iter_mut().find(|(of, _)| *of == table) else { return };
        self.bytes -= batches.bytes;
        let kept: Vec<_> = batches.iter().take_while(|(row, _)| *row < from_row).collect();
        batches.rebuild(kept);
        self.bytes += batches.bytes;
        tables.retain(|(_, batches)| batches.last.is_some());
        if tables.is_empty() {
            self.jobs.remove(key);
        }
    }

    /// All rows of a job are dropped.
    pub fn drop_job(&mut self, key: &Key) {
        let tables = self.jobs.remove(key).unwrap_or_default();
        self.bytes -= tables.iter().map(|(_, batches)| batches.bytes).sum::<u64>();
    }

    /// The jobs of `sweep` that have rows.
    pub fn jobs(&self, sweep: &SweepName) -> impl Iterator<Item = JobId> {
        self.jobs.keys().filter(move |(of, _)| of == sweep).map(|(_, job)| *job)
    }

    /// The batches of one job and table, by row number.
    pub fn rows(&self, key: &Key, table: Table) -> impl Iterator<Item = (u64, Place)> + '_ {
        let tables = self.jobs.get(key).into_iter().flatten();
        tables.filter(move |(of, _)| *of == table).flat_map(|(_, batches)| batches.iter())
    }

    /// Every batch: job by job, in the order in which the first batch of each lies in the file.
    pub fn all(&self) -> impl Iterator<Item = (&Key, Table, u64, Place)> {
        let tables = self.jobs.iter().flat_map(|(key, tables)| {
            tables.iter().map(move |(table, batches)| (key, *table, batches))
        });
        let mut tables: Vec<_> = tables.collect();
        tables.sort_unstable_by_key(|(.., batches)| {
            batches.iter().next().map_or(0, |(_, place)| place.offset)
        });
        tables.into_iter().flat_map(|(key, table, batches)| {
            batches.iter().map(move |(row, place)| (key, table, row, place))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(job: u8) -> Key {
        ("s".parse().expect("a name"), JobId([job; 16]))
    }

    #[test]
    fn a_million_tiny_batches_take_a_dozen_megabytes() {
        const BATCHES: u64 = 1_000_000;
        let mut spool = Spool::default();
        // One row of 60 bytes each, and the frames of the records between.
        for row in 0..BATCHES {
            let place =
                Place { offset: 8_192 + row * 180, bytes: 60, row_count: 1, check: row as u32 };
            spool.put(key(1), Table::Steps, row, place);
        }
        let batches = &spool.jobs[&key(1)][0].1;
        assert!(batches.packed.len() < 12 << 20, "{} bytes", batches.packed.len());
        assert!(batches.packed.capacity() < 24 << 20, "{}", batches.packed.capacity());
        assert_eq!(spool.bytes(), 60 * BATCHES);
        assert!(spool.rows(&key(1), Table::Steps).map(|(row, _)| row).eq(0..BATCHES));
        spool.truncate(&key(1), Table::Steps, 10);
        assert_eq!(spool.rows(&key(1), Table::Steps).count(), 10);
        spool.drop_job(&key(1));
        assert_eq!((spool.bytes(), spool.all().count()), (0, 0));
    }

    /// What was kept before it was packed: the law is that both say the same.
    #[derive(Default)]
    struct Plain(BTreeMap<(Key, Table, u64), Place>);

    fn place() -> impl Strategy<Value = Place> {
        let offset = prop_oneof![0..50_000u64, any::<u64>().prop_map(|offset| offset >> 1)];
        let bytes = prop_oneof![0..300u32, any::<u32>()];
        (offset, bytes, 0..600u32, any::<u32>())
            .prop_map(|(offset, bytes, row_count, check)| Place { offset, bytes, row_count, check })
    }

    proptest! {
        #[test]
        fn packed_or_not_it_is_the_same(steps in proptest::collection::vec(
            (0..12u8, 0..2u8, any::<bool>(), 0..2_000u64, place()), 0..120)
        ) {
            let (mut spool, mut plain) = (Spool::default(), Plain::default());
            let mut next = 0;
            for (step, job, is_steps, row, place) in steps {
                let table = if is_steps { Table::Steps } else { Table::Confusion };
                match step {
                    0 => {
                        spool.truncate(&key(job), table, row);
                        plain.0.retain(|(k, t, r), _| *k != key(job) || *t != table || *r < row);
                    }
                    1 => {
                        spool.drop_job(&key(job));
                        plain.0.retain(|(k, ..), _| *k != key(job));
                    }
                    // Now and then anywhere, most often behind all others.
                    _ => {
                        let row = if step == 2 { row } else { next };
                        spool.put(key(job), table, row, place);
                        plain.0.insert((key(job), table, row), place);
                        next = next.max(row) + u64::from(place.row_count) + u64::from(step == 3) + 1;
                    }
                }
                let bytes: u64 = plain.0.values().map(|place| u64::from(place.bytes)).sum();
                prop_assert_eq!(spool.bytes(), bytes);
            }
            let mut all: Vec<_> =
                spool.all().map(|(key, table, row, place)| ((key.clone(), table, row), place)).collect();
            all.sort_by(|one, other| one.0.cmp(&other.0));
            prop_assert_eq!(all, plain.0.clone().into_iter().collect::<Vec<_>>());
            for job in 0..2 {
                let rows: Vec<_> = spool.rows(&key(job), Table::Steps).collect();
                let wanted = plain.0.iter().filter(|((k, t, _), _)| *k == key(job) && *t == Table::Steps);
                prop_assert_eq!(rows, wanted.map(|((.., row), place)| (*row, *place)).collect::<Vec<_>>());
            }
        }
    }
}

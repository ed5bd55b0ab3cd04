//! A disk that can lose power, tear writes, fail a sync, and fill up.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use redb::StorageBackend;

/// What a torn write is torn into.
const SECTOR: usize = 512;

/// What lies on the disk, and what was written since the last sync.
#[derive(Debug, Default)]
struct State {
    /// What a power cut leaves for certain.
    durable: Vec<u8>,
    /// What readers see.
    seen: Vec<u8>,
    pending: Vec<Pending>,
    /// Operations until the power goes; `None`: it stays.
    power_for: Option<u64>,
    has_power: bool,
    fail_next_sync: bool,
    /// Most bytes that it takes.
    capacity: Option<u64>,
}

#[derive(Debug)]
enum Pending {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

/// One disk with one file. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<State>>);

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics while holding it")
    }

    /// A process opens the file.
    pub fn switch_on(&self) {
        let mut state = self.state();
        state.has_power = true;
        state.power_for = None;
        state.fail_next_sync = false;
    }

    /// The power goes after so many more operations.
    pub fn cut_power_after(&self, operations: u64) {
        self.state().power_for = Some(operations);
    }

    /// The next sync answers with an error, and what it was to make durable is anyone's guess.
    pub fn fail_next_sync(&self) {
        self.state().fail_next_sync = true;
    }

    /// Room for `bytes` in all; `None`: for everything.
    pub fn limit(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Whether it may be full.
    pub fn is_limited(&self) -> bool {
        self.state().capacity.is_some()
    }

    /// Bytes of the file.
    pub fn size(&self) -> u64 {
        self.state().seen.len() as u64
    }

    /// The power is gone: of what was not synced, each write may be there, be lost, or be there in part.
    pub fn lose_power(&self, rng: &mut ChaCha8Rng) {
        let mut state = self.state();
        state.has_power = false;
        let pending = std::mem::take(&mut state.pending);
        for operation in pending {
            match operation {
                Pending::Length(length) if rng.random_bool(0.5) => state.durable.resize(length, 0),
                Pending::Length(_) => {}
                Pending::Write { offset, bytes } => match rng.random_range(0..4) {
                    0 => {}
                    1 => {
                        for (index, sector) in bytes.chunks(SECTOR).enumerate() {
                            if rng.random_bool(0.5) {
                                put(&mut state.durable, offset + index * SECTOR, sector);
                            }
                        }
                    }
                    _ => put(&mut state.durable, offset, &bytes),
                },
            }
        }
        state.seen = state.durable.clone();
    }

    /// The process is killed, the machine lives on: what it wrote is there.
    pub fn kill(&self) {
        let mut state = self.state();
        state.has_power = false;
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(data);
}

impl State {
    fn operate(&mut self) -> io::Result<()> {
        if self.power_for == Some(0) {
            self.has_power = false;
        }
        if !self.has_power {
            return Err(io::Error::other("the power is gone"));
        }
        self.power_for = self.power_for.map(|left| left - 1);
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.size())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        let offset = offset as usize;
        let found = state.seen.get(offset..offset + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        if state.capacity.is_some_and(|capacity| length > capacity.max(state.seen.len() as u64)) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.seen.resize(length as usize, 0);
        state.pending.push(Pending::Length(length as usize));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        if std::mem::take(&mut state.fail_next_sync) {
            return Err(io::Error::other("the disk did not take it"));
        }
        for operation in std::mem::take(&mut state.pending) {
            match operation {
                Pending::Length(length) => state.durable.resize(length, 0),
                Pending::Write { offset, bytes } => put(&mut state.durable, offset, &bytes),
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        let offset = offset as usize;
        put(&mut state.seen, offset, data);
        state.pending.push(Pending::Write { offset, bytes: data.to_vec() });
        Ok(())
    }
}

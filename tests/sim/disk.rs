//! A disk that can lose power, tear writes, fail a sync, and fill up.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use coordinator::journal::{Files, Storage};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// What a torn write is torn into.
const SECTOR: usize = 512;

/// What lies on the disk, and what was written since the last sync.
#[derive(Debug, Default)]
struct State {
    files: [Content; 3],
    /// Operations until the power goes; `None`: it stays.
    power_for: Option<u64>,
    has_power: bool,
    fail_next_sync: bool,
    /// Most bytes that it takes.
    capacity: Option<usize>,
}

/// One file.
#[derive(Debug, Default)]
struct Content {
    /// What a power cut leaves for certain.
    durable: Vec<u8>,
    /// What readers see.
    seen: Vec<u8>,
    pending: Vec<Pending>,
}

#[derive(Debug)]
enum Pending {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

/// One disk. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<State>>);

/// One file of a disk.
#[derive(Debug)]
struct DiskFile {
    disk: Disk,
    index: usize,
}

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics while holding it")
    }

    /// The journal's files on it.
    pub fn files(&self) -> Files {
        let file = |index| Arc::new(DiskFile { disk: self.clone(), index });
        Files { logs: [file(0), file(1)], mark: file(2) }
    }

    /// A process opens the files.
    pub fn switch_on(&self) {
        let mut state = self.state();
        state.has_power = true;
        state.power_for = None;
        state.fail_next_sync = false;
    }

    /// Whether it has power, and room for whatever comes.
    pub fn is_well(&self) -> bool {
        let state = self.state();
        state.has_power && state.capacity.is_none()
    }

    /// The power goes after so many more operations.
    pub fn cut_power_after(&self, operations: u64) {
        self.state().power_for = Some(operations);
    }

    /// The next sync answers with an error, and what it was to make durable is anyone's guess.
    pub fn fail_next_sync(&self) {
        self.state().fail_next_sync = true;
    }

    /// No room for more than there is now.
    pub fn fill(&self) {
        let mut state = self.state();
        state.capacity = Some(state.files.iter().map(|file| file.seen.len()).sum());
    }

    /// Room for everything.
    pub fn free(&self) {
        self.state().capacity = None;
    }

    /// The power is gone: of what was not synced, each write may be there, be lost, or be there in part.
    pub fn lose_power(&self, rng: &mut ChaCha8Rng) {
        let mut state = self.state();
        state.has_power = false;
        for file in &mut state.files {
            for operation in std::mem::take(&mut file.pending) {
                match operation {
                    Pending::Length(length) if rng.random_bool(0.5) => {
                        file.durable.resize(length, 0);
                    }
                    Pending::Length(_) => {}
                    Pending::Write { offset, bytes } => match rng.random_range(0..4) {
                        0 => {}
                        1 => {
                            for (index, sector) in bytes.chunks(SECTOR).enumerate() {
                                if rng.random_bool(0.5) {
                                    put(&mut file.durable, offset + index * SECTOR, sector);
                                }
                            }
                        }
                        _ => put(&mut file.durable, offset, &bytes),
                    },
                }
            }
            file.seen = file.durable.clone();
        }
    }

    /// The process is killed, the machine lives on: what it wrote is there.
    pub fn kill(&self) {
        self.state().has_power = false;
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

    fn grow(&mut self, index: usize, length: usize) -> io::Result<()> {
        let used: usize = self.files.iter().map(|file| file.seen.len()).sum();
        let more = length.saturating_sub(self.files[index].seen.len());
        if more > 0 && self.capacity.is_some_and(|capacity| used + more > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn set_length(&mut self, index: usize, length: usize) {
        let file = &mut self.files[index];
        file.seen.resize(length, 0);
        file.pending.push(Pending::Length(length));
    }
}

impl Storage for DiskFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().files[self.index].seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.disk.state();
        let offset = offset as usize;
        let found = state.files[self.index].seen.get(offset..offset + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn reserve(&self, length: u64) -> io::Result<()> {
        // Rooms of a few KiB, not of MiB: what takes time here is copying them.
        let length = length.min(self.len()? + (64 << 10)) as usize;
        let mut state = self.disk.state();
        state.operate()?;
        state.grow(self.index, length)?;
        if length > state.files[self.index].seen.len() {
            state.set_length(self.index, length);
        }
        Ok(())
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate()?;
        state.set_length(self.index, length as usize);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate()?;
        if std::mem::take(&mut state.fail_next_sync) {
            return Err(io::Error::other("the disk did not take it"));
        }
        let file = &mut state.files[self.index];
        for operation in std::mem::take(&mut file.pending) {
            match operation {
                Pending::Length(length) => file.durable.resize(length, 0),
                Pending::Write { offset, bytes } => put(&mut file.durable, offset, &bytes),
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate()?;
        let offset = offset as usize;
        // A full disk may take the beginning of a write.
        if let Err(full) = state.grow(self.index, offset + data.len()) {
            let half = &data[..data.len() / 2];
            if state.grow(self.index, offset + half.len()).is_ok() {
                put(&mut state.files[self.index].seen, offset, half);
                let bytes = half.to_vec();
                state.files[self.index].pending.push(Pending::Write { offset, bytes });
            }
            return Err(full);
        }
        let file = &mut state.files[self.index];
        put(&mut file.seen, offset, data);
        file.pending.push(Pending::Write { offset, bytes: data.to_vec() });
        Ok(())
    }
}

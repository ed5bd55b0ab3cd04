//! A journal's file in memory.

use std::io;
use std::sync::{Arc, Mutex};

use coordinator::journal::{Files, Storage};

/// One file.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Vec<u8>>);

impl Memory {
    /// A file that holds `bytes`.
    pub fn of(bytes: &[u8]) -> Arc<Self> {
        Arc::new(Self(Mutex::new(bytes.to_vec())))
    }

    /// What it holds.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().expect("nobody panicked with it").clone()
    }
}

impl Storage for Memory {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().expect("nobody panicked with it").len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let bytes = self.0.lock().expect("nobody panicked with it");
        let from = offset as usize;
        let found = bytes.get(from..from.saturating_add(out.len()));
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write(&self, offset: u64, new: &[u8]) -> io::Result<()> {
        let mut bytes = self.0.lock().expect("nobody panicked with it");
        let (from, end) = (offset as usize, offset as usize + new.len());
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[from..end].copy_from_slice(new);
        Ok(())
    }

    /// There is always room: nothing is set aside.
    fn reserve(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.0.lock().expect("nobody panicked with it").truncate(length as usize);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The files of a journal whose first log and mark hold these bytes.
pub fn files(log: &[u8], mark: &[u8]) -> (Files, [Arc<Memory>; 2]) {
    let kept = [Memory::of(log), Memory::of(mark)];
    let logs: [Arc<dyn Storage>; 2] = [kept[0].clone(), Memory::of(&[])];
    (Files { logs, mark: kept[1].clone() }, kept)
}

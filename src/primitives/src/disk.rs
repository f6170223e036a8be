//! Seam: files that must survive a crash (block log, journal, guard).
//!
//! A write is durable after [`DiskFile::sync`] returns, and not before: [`MemoryDisk::crash`] shows what that means.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A folder of files.
pub trait Disk: Send + Sync {
    /// Opens a file for reading and writing, and makes it, empty and durable by name, when there is none.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
}

/// One open file. Positions are bytes from its start.
pub trait DiskFile: Send + Sync {
    /// Size in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn len(&self) -> io::Result<u64>;

    /// True when the file holds nothing.
    ///
    /// # Errors
    /// What the system says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills the whole buffer from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before the buffer is full.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes all bytes at `offset`; a gap is filled with zeros.
    ///
    /// # Errors
    /// What the system says; the file's content is then unknown until it is read again.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts or extends the file to `size` bytes; new bytes are zero.
    ///
    /// # Errors
    /// What the system says.
    fn set_len(&self, size: u64) -> io::Result<()>;

    /// Returns when all written so far would survive a loss of power (`fdatasync`).
    ///
    /// # Errors
    /// What the system says; nothing written since the last good sync may be relied on, and the caller must stop.
    fn sync(&self) -> io::Result<()>;
}

/// A disk in memory, for tests and simulation. Clones share the files.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    files: Arc<Mutex<BTreeMap<String, Arc<MemoryFile>>>>,
}

impl MemoryDisk {
    /// Forgets every write that was not synced, as a loss of power may.
    pub fn crash(&self) {
        for file in lock(&self.files).values() {
            let mut state = lock(&file.state);
            state.current = state.durable.clone();
            state.unsynced.clear();
        }
    }

    /// An independent copy of what is durable now, as a backup would hold it.
    pub fn copy_of_durable(&self) -> Self {
        let copy = Self::default();
        for (name, file) in lock(&self.files).iter() {
            let durable = lock(&file.state).durable.clone();
            let state = Mutex::new(MemoryState { current: durable.clone(), durable, ..MemoryState::default() });
            lock(&copy.files).insert(name.clone(), Arc::new(MemoryFile { state }));
        }
        copy
    }

    /// Makes every later sync of the file fail, as a broken disk does.
    pub fn fail_syncs(&self, name: &str) {
        if let Some(file) = lock(&self.files).get(name) {
            lock(&file.state).fail_sync = true;
        }
    }

    /// Changes bytes behind the owner's back, durable at once: damage for tests. `None` when there is no such file.
    pub fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Option<()> {
        let file = lock(&self.files).get(name).cloned()?;
        let mut state = lock(&file.state);
        change(&mut state.current);
        state.durable = state.current.clone();
        state.unsynced.clear();
        Some(())
    }
}

impl Disk for MemoryDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = lock(&self.files).entry(name.to_owned()).or_default().clone();
        Ok(file)
    }
}

#[derive(Default)]
struct MemoryFile {
    state: Mutex<MemoryState>,
}

#[derive(Default)]
struct MemoryState {
    current: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    fail_sync: bool,
}

enum Change {
    Write(usize, Vec<u8>),
    Resize(usize),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write(start, bytes) => {
                let end = start + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*start..end].copy_from_slice(bytes);
            }
            Self::Resize(size) => content.resize(*size, 0),
        }
    }
}

impl MemoryState {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        self.unsynced.push(change);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn position(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

impl DiskFile for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.state).current.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = position(offset)?;
        let state = lock(&self.state);
        let found = start.checked_add(buffer.len()).and_then(|end| state.current.get(start..end));
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let start = position(offset)?;
        start.checked_add(bytes.len()).ok_or(io::ErrorKind::InvalidInput)?;
        lock(&self.state).change(Change::Write(start, bytes.to_vec()));
        Ok(())
    }

    fn set_len(&self, size: u64) -> io::Result<()> {
        lock(&self.state).change(Change::Resize(position(size)?));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = lock(&self.state);
        if state.fail_sync {
            return Err(io::Error::other("injected sync failure"));
        }
        let state = &mut *state;
        for change in state.unsynced.drain(..) {
            change.apply(&mut state.durable);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_keeps_what_was_synced_and_nothing_else() {
        let disk = MemoryDisk::default();
        let file = disk.open("a").unwrap();
        file.write_at(0, b"one").unwrap();
        file.sync().unwrap();
        file.write_at(3, b"two").unwrap();
        assert_eq!(file.len().unwrap(), 6);
        disk.crash();
        let mut bytes = [0; 3];
        file.read_at(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"one");
        assert!(file.read_at(1, &mut bytes).is_err());
        disk.fail_syncs("a");
        assert!(file.sync().is_err());
    }
}

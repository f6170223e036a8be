//! A disk that a test makes hang.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use timed_primitives::{Disk, DiskFile, MemoryDisk};

/// Longest time that anything is held, so that a test whose subject waits for it ends, and fails.
const HELD_MAX: Duration = Duration::from_secs(60);

/// What a held disk lets wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldOperations {
    /// Nothing.
    Nothing,
    /// Reads.
    Reads,
    /// Syncs.
    Syncs,
}

/// A disk in memory whose reads or syncs of some files can be held up, as a disk that is broken does it. Clones share it.
#[derive(Clone)]
pub struct HeldDisk {
    /// What it holds.
    pub files: MemoryDisk,
    prefix: &'static str,
    held: Arc<HeldState>,
}

struct HeldState {
    now: Mutex<HeldOperations>,
    changed: Condvar,
}

struct HeldFile {
    file: Arc<dyn DiskFile>,
    held: Option<Arc<HeldState>>,
}

impl HeldDisk {
    /// For files whose names begin so; nothing is held yet.
    pub fn new(prefix: &'static str) -> Arc<Self> {
        let held = HeldState { now: Mutex::new(HeldOperations::Nothing), changed: Condvar::new() };
        Arc::new(Self { files: MemoryDisk::default(), prefix, held: Arc::new(held) })
    }

    /// From now on this waits, and nothing else.
    pub fn hold(&self, held: HeldOperations) {
        *self.held.now.lock().unwrap_or_else(PoisonError::into_inner) = held;
        self.held.changed.notify_all();
    }
}

impl HeldFile {
    fn wait_while(&self, held: HeldOperations) {
        if let Some(state) = &self.held {
            let now = state.now.lock().unwrap_or_else(PoisonError::into_inner);
            drop(state.changed.wait_timeout_while(now, HELD_MAX, |now| *now == held));
        }
    }
}

impl Disk for HeldDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let held = name.starts_with(self.prefix).then(|| self.held.clone());
        Ok(Arc::new(HeldFile { file: self.files.open(name)?, held }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.files.rename(from, to)
    }
}

impl DiskFile for HeldFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.wait_while(HeldOperations::Reads);
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn set_len(&self, size: u64) -> io::Result<()> {
        self.file.set_len(size)
    }

    fn identity(&self) -> io::Result<Option<u128>> {
        self.file.identity()
    }

    fn sync(&self) -> io::Result<()> {
        self.wait_while(HeldOperations::Syncs);
        self.file.sync()
    }
}

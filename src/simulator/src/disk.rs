//! A node's files and store behind its gate: each call is an event, a crash tears it, and what is synced into journal and guard is
//! shown to the checker.

use crate::check::SharedChecker;
use crate::gate::{NodeGate, Passage, dead};
use rand::RngExt as _;
use rand::rngs::StdRng;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use timed_chain::{Store, StoreBatch, StoreView};
use timed_consensus::guard::GUARD_FILE;
use timed_consensus::inspect::{batches_in, guard_record};
use timed_consensus::journal::JOURNAL_FILES;
use timed_mempool::{POOL_FILE, POOL_FILE_BESIDE};
use timed_primitives::{Disk, DiskFile, MemoryDisk, Survival};
use timed_test_support::MemoryStore;

/// Batches of the store that a loss of power may take.
pub(crate) const STORE_UNDO: usize = 3;

/// The files of one life.
pub(crate) struct GatedDisk {
    pub(crate) files: MemoryDisk,
    pub(crate) gate: Arc<NodeGate>,
    pub(crate) checker: SharedChecker,
}

impl Disk for GatedDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        if self.gate.pass() != Passage::Open {
            return Err(dead());
        }
        let file = self.files.open(name)?;
        let role = Role::of(name);
        let (name, files) = (name.to_owned(), self.files.clone());
        let (gate, checker) = (self.gate.clone(), self.checker.clone());
        Ok(Arc::new(GatedFile { name, role, files, file, gate, checker, unsynced: Mutex::default() }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        match self.gate.pass() {
            Passage::Open => {
                self.gate.trace.node(self.gate.node, format_args!("renames {from} to {to}"));
                self.files.rename(from, to)
            }
            // The disk may have done it; the node never learns.
            Passage::Dying => {
                if self.gate.draw(0..=1) == 1 {
                    self.files.rename(from, to)?;
                }
                Err(dead())
            }
            Passage::Shut => Err(dead()),
        }
    }
}

/// What a file is to the checker.
#[derive(Clone, Copy)]
enum Role {
    Journal(&'static str),
    Guard,
    /// Synced by a thread of its own, which the node does not wait for.
    Pool,
    Other,
}

impl Role {
    fn of(name: &str) -> Self {
        match JOURNAL_FILES.into_iter().find(|journal| *journal == name) {
            Some(journal) => Self::Journal(journal),
            None if name == GUARD_FILE => Self::Guard,
            None if [POOL_FILE, POOL_FILE_BESIDE].contains(&name) => Self::Pool,
            None => Self::Other,
        }
    }
}

struct GatedFile {
    name: String,
    role: Role,
    files: MemoryDisk,
    file: Arc<dyn DiskFile>,
    gate: Arc<NodeGate>,
    checker: SharedChecker,
    /// What was written to journal and guard since the last sync.
    unsynced: Mutex<Vec<Vec<u8>>>,
}

impl GatedFile {
    fn unsynced(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a disk says that cannot write.
    fn fail_sync(&self) -> io::Result<()> {
        self.gate.trace.node(self.gate.node, format_args!("fails to sync {}", self.name));
        self.files.fail_syncs(&self.name);
        // A file that was renamed since is not found, and is synced though nobody learns of it.
        let _ = self.file.sync();
        self.files.allow_syncs(&self.name);
        Err(io::Error::other("the disk cannot write"))
    }

    /// Shows the checker what is durable now.
    fn show(&self) {
        for bytes in std::mem::take(&mut *self.unsynced()) {
            match self.role {
                Role::Journal(file) => {
                    let mut checker = self.checker.lock();
                    let batches = batches_in(file, &bytes, checker.payload_format());
                    for statement in batches.into_iter().flat_map(|batch| batch.statements) {
                        checker.on_statement(self.gate.node, statement);
                    }
                }
                Role::Guard => {
                    if let Some(record) = guard_record(&bytes) {
                        self.checker.lock().on_guard(self.gate.node, record);
                    }
                }
                Role::Pool | Role::Other => {}
            }
        }
    }
}

impl DiskFile for GatedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let in_part = |gate: &NodeGate| {
            let left = usize::try_from(gate.draw(0..=bytes.len() as u64)).unwrap_or_default();
            self.file.write_at(offset, &bytes[..left])
        };
        match self.gate.pass() {
            Passage::Open => {}
            Passage::Dying => return in_part(&self.gate).and(Err(dead())),
            Passage::Shut => return Err(dead()),
        }
        let grows_by = (offset + bytes.len() as u64).saturating_sub(self.file.len()?);
        if !self.gate.take_room(grows_by) {
            self.gate.trace.node(self.gate.node, format_args!("finds no room for {}", self.name));
            return in_part(&self.gate).and(Err(io::ErrorKind::StorageFull.into()));
        }
        self.gate.trace.node(self.gate.node, format_args!("writes {} bytes of {} at {offset}", bytes.len(), self.name));
        self.file.write_at(offset, bytes)?;
        if !matches!(self.role, Role::Pool | Role::Other) {
            self.unsynced().push(bytes.to_vec());
        }
        Ok(())
    }

    fn set_len(&self, size: u64) -> io::Result<()> {
        if self.gate.pass() != Passage::Open {
            return Err(dead());
        }
        self.gate.trace.node(self.gate.node, format_args!("resizes {} to {size}", self.name));
        self.file.set_len(size)
    }

    fn identity(&self) -> io::Result<Option<u128>> {
        self.file.identity()
    }

    fn sync(&self) -> io::Result<()> {
        match self.gate.pass() {
            Passage::Open if self.gate.fails_syncs() => self.fail_sync(),
            Passage::Open => {
                self.gate.trace.synced(self.gate.node, &self.name);
                if !matches!(self.role, Role::Pool) {
                    self.gate.take_sync_time();
                }
                self.file.sync()?;
                self.show();
                Ok(())
            }
            // The disk may have done it; the node never learns.
            Passage::Dying => {
                if self.gate.draw(0..=1) == 1 {
                    self.file.sync()?;
                    self.show();
                }
                Err(dead())
            }
            Passage::Shut => Err(dead()),
        }
    }
}

/// The store of one life.
pub(crate) struct GatedStore {
    pub(crate) store: MemoryStore,
    pub(crate) gate: Arc<NodeGate>,
}

impl Store for GatedStore {
    fn write(&self, batch: StoreBatch) -> io::Result<()> {
        match self.gate.pass() {
            Passage::Open => {
                self.gate.trace.node(self.gate.node, format_args!("stores {} changes", batch.len()));
                self.store.write(batch)
            }
            // All of it or nothing.
            Passage::Dying => {
                if self.gate.draw(0..=1) == 1 {
                    self.store.write(batch)?;
                }
                Err(dead())
            }
            Passage::Shut => Err(dead()),
        }
    }

    fn snapshot(&self) -> io::Result<Arc<dyn StoreView>> {
        self.store.snapshot()
    }
}

/// What a loss of power leaves of files and store.
pub(crate) fn lose_power(files: &MemoryDisk, store: &MemoryStore, rng: &mut StdRng) {
    files.crash_keeping(|_| match rng.random_range(0..5) {
        0 | 1 => Survival::Lost,
        2 => Survival::Whole,
        3 => Survival::Prefix(rng.random_range(0..4096)),
        _ => Survival::Sectors(rng.random()),
    });
    store.lose(rng.random_range(0..=STORE_UNDO));
}

//! What survives a node's lives.

use timed_primitives::MemoryDisk;
use timed_test_support::MemoryStore;

/// What survives a life.
#[derive(Clone, Default)]
pub struct KeptState {
    pub(crate) files: MemoryDisk,
    pub(crate) store: MemoryStore,
}

impl KeptState {
    /// An independent copy of what is durable now, as a backup would hold it.
    pub fn copy(&self) -> Self {
        Self { files: self.files.copy_of_durable(), store: self.store.copy() }
    }

    /// What is durable now, as a snapshot of the whole volume holds it: the same files, not copies of them.
    pub fn snapshot(&self) -> Self {
        Self { files: self.files.snapshot_of_durable(), store: self.store.copy() }
    }
}

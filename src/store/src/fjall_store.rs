//! The chain's store on fjall, a log-structured database: one keyspace per table.

use crate::remedy::remedy;
use fjall::compaction::Leveled;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot};
use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use timed_chain::{KeyValue, Store, StoreBatch, StoreView, Table};

/// Memory for blocks of tables that are read often. Unit: bytes.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// Most journal kept beside the tables; opening replays it, so it is as small as fjall allows. Unit: bytes.
const JOURNAL_BYTES: u64 = 64 * 1024 * 1024;
/// Changes that each table gathers before they go to a file, by fjall's count; in memory they are nearly twice as much, and while files are
/// written up to four times. Small, since changes come in batches from the overlay anyway. Unit: bytes.
///
/// A store keeps what it was made with.
const GATHERED_BYTES: u64 = 4 * 1024 * 1024;
/// So many files of a table wait to be merged at once. Half as many as bring fjall to slow writing down.
const FILES_AT_ONCE: u8 = 8;
/// Threads for flush and compaction. One alone could block itself: it adds to the bounded queue that it takes from.
const WORKERS: usize = 2;

/// The derived state in a folder of its own.
///
/// Each batch is synced (`fdatasync`) when it is written. The block log would bring back lost batches, but fjall writes its tables out
/// one by one: without the sync, a loss of power could keep a batch in one table and lose it in another. The ledger writes batches off
/// the path of votes, so the sync delays nobody.
pub struct FjallStore {
    database: Database,
    tables: Arc<Tables>,
}

/// One keyspace per table.
struct Tables(BTreeMap<Table, Keyspace>);

impl Tables {
    fn get(&self, table: Table) -> io::Result<&Keyspace> {
        let unknown = || io::Error::other(format!("the store was opened without the table {}", table.name()));
        self.0.get(&table).ok_or_else(unknown)
    }
}

/// The store cannot be opened. Nothing in it was changed by us.
#[derive(Debug, thiserror::Error)]
pub enum StoreOpenError {
    /// The files are not as fjall left them.
    #[error(
        "the state in {} is damaged ({source}). Move that folder aside and start again: it is rebuilt from the block log, nothing is \
         lost", path.display()
    )]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// What the database said.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("the state in {} is in use by another process; stop that one", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The system refused.
    #[error("the state in {} cannot be opened: {source}; {}", path.display(), remedy(source))]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl FjallStore {
    /// Opens the folder with these tables, or makes an empty store in it. See [`timed_chain::tables_of`].
    ///
    /// # Errors
    /// [`StoreOpenError`] says whether to move the folder aside, to stop another process, or to look after the disk.
    pub fn open(path: impl Into<PathBuf>, tables: &[Table]) -> Result<Self, StoreOpenError> {
        let path = path.into();
        // Some damaged files make the database panic where it expects its own invariants.
        match catch_unwind(AssertUnwindSafe(|| open(&path, tables))) {
            Ok(Ok(store)) => Ok(store),
            Ok(Err(error)) => Err(explain(path, error)),
            Err(_) => Err(StoreOpenError::Damaged {
                path,
                source: io::Error::other("an invariant of its files does not hold"),
            }),
        }
    }
}

fn open(path: &Path, tables: &[Table]) -> fjall::Result<FjallStore> {
    let database = Database::builder(path)
        .cache_size(CACHE_BYTES)
        .max_journaling_size(JOURNAL_BYTES)
        .worker_threads(WORKERS)
        .open()?;
    let options = || {
        let merging = Leveled::default().with_l0_threshold(FILES_AT_ONCE);
        KeyspaceCreateOptions::default().max_memtable_size(GATHERED_BYTES).compaction_strategy(Arc::new(merging))
    };
    let keyspace = |table: &Table| Ok((*table, database.keyspace(table.name(), options)?));
    let tables = tables.iter().map(keyspace).collect::<fjall::Result<_>>()?;
    Ok(FjallStore { database, tables: Arc::new(Tables(tables)) })
}

fn explain(path: PathBuf, error: fjall::Error) -> StoreOpenError {
    use io::ErrorKind as K;
    // Linux: EIO 5, EAGAIN 11 (no thread), ENFILE 23, EMFILE 24, EFBIG 27 (ulimit -f), most of which have no kind of their own.
    let is_system = |source: &io::Error| {
        matches!(source.raw_os_error(), Some(5 | 11 | 23 | 24 | 27))
            || matches!(
                source.kind(),
                K::PermissionDenied
                    | K::ReadOnlyFilesystem
                    | K::StorageFull
                    | K::QuotaExceeded
                    | K::OutOfMemory
                    | K::NotADirectory
            )
    };
    let system = |source: io::Error| {
        let path = path.clone();
        if is_system(&source) { StoreOpenError::Io { path, source } } else { StoreOpenError::Damaged { path, source } }
    };
    match error {
        fjall::Error::Locked => StoreOpenError::InUse { path },
        fjall::Error::Io(source) => system(source),
        fjall::Error::Storage(fjall::LsmError::Io(source)) => system(source),
        other => StoreOpenError::Damaged { path, source: io::Error::other(other) },
    }
}

impl Store for FjallStore {
    fn write(&self, batch: StoreBatch) -> io::Result<()> {
        let mut changes = self.database.batch().durability(Some(PersistMode::SyncData));
        for (table, key, value) in batch.into_changes() {
            match value {
                Some(value) => changes.insert(self.tables.get(table)?, key, value),
                None => changes.remove(self.tables.get(table)?, key),
            }
        }
        changes.commit().map_err(io_error)
    }

    fn snapshot(&self) -> io::Result<Arc<dyn StoreView>> {
        Ok(Arc::new(FjallView { tables: self.tables.clone(), snapshot: self.database.snapshot() }))
    }
}

struct FjallView {
    tables: Arc<Tables>,
    snapshot: Snapshot,
}

impl StoreView for FjallView {
    fn get(&self, table: Table, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let value = self.snapshot.get(self.tables.get(table)?, key).map_err(io_error)?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(&self, table: Table, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> io::Result<Vec<KeyValue>> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let mut found = Vec::new();
        for pair in self.snapshot.range::<&[u8], _>(self.tables.get(table)?, (start, Bound::Unbounded)).take(limit) {
            let (key, value) = pair.into_inner().map_err(io_error)?;
            if !key.starts_with(prefix) {
                break;
            }
            found.push((key.to_vec(), value.to_vec()));
        }
        Ok(found)
    }
}

fn io_error(error: fjall::Error) -> io::Error {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => error,
        other => io::Error::other(other),
    }
}

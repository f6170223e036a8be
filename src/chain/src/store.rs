//! Seam: where the state derived from the block log is kept. The daemon keeps it in a database, tests in memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::sync::Arc;

/// A table of the store, by its stable name in files. Keys are compared as bytes. Those of the chain itself are here; an application adds
/// its own in [`crate::Application::TABLES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Table(pub &'static str);

impl Table {
    /// Transaction id → height and index in the block.
    pub const TRANSACTIONS: Self = Self("transactions");
    /// Height, big endian → position of the block's record in the log.
    pub const BLOCKS: Self = Self("blocks");
    /// Block id → height.
    pub const BLOCK_IDS: Self = Self("block_ids");
    /// Height, big endian → the nodes of the history that come to be with its block, by level from 0 on.
    pub const HISTORY: Self = Self("history");
    /// The genesis hash and the applied state.
    pub const META: Self = Self("meta");
    /// All tables of the chain itself.
    pub const OF_CHAIN: [Self; 5] = [Self::TRANSACTIONS, Self::BLOCKS, Self::BLOCK_IDS, Self::META, Self::HISTORY];

    /// Its name in files.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

/// Changes that are written together or not at all. The last change of a key counts, so the order of writing is that of the calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreBatch {
    changes: HashMap<(Table, Vec<u8>), Option<Vec<u8>>>,
}

impl StoreBatch {
    /// Writes a value over whatever the key holds.
    pub fn put(&mut self, table: Table, key: Vec<u8>, value: Vec<u8>) {
        self.changes.insert((table, key), Some(value));
    }

    /// Removes a key, present or not.
    pub fn delete(&mut self, table: Table, key: Vec<u8>) {
        self.changes.insert((table, key), None);
    }

    /// Removes a key that is put once in all time: when this batch puts it, the store has never held it, and neither is written.
    pub fn take_back(&mut self, table: Table, key: Vec<u8>) {
        match self.changes.entry((table, key)) {
            Entry::Occupied(put) if put.get().is_some() => drop(put.remove()),
            Entry::Occupied(_) => {}
            Entry::Vacant(other) => {
                other.insert(None);
            }
        }
    }

    /// Each changed key once, with its new value, or `None` when it is removed. In order of table and key.
    pub fn into_changes(self) -> impl Iterator<Item = (Table, Vec<u8>, Option<Vec<u8>>)> {
        let mut changes: Vec<_> = self.changes.into_iter().map(|((table, key), value)| (table, key, value)).collect();
        changes.sort_unstable_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        changes.into_iter()
    }

    /// Each changed key once, in order of table and key.
    pub fn keys(&self) -> impl Iterator<Item = (Table, &[u8])> {
        let mut keys: Vec<_> = self.changes.keys().map(|(table, key)| (*table, &key[..])).collect();
        keys.sort_unstable();
        keys.into_iter()
    }

    /// How many keys change.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// True when nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// The content of a store at one moment; later writes do not show.
pub trait StoreView: Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    /// What the system says; an absent key is no error.
    fn get(&self, table: Table, key: &[u8]) -> io::Result<Option<Vec<u8>>>;

    /// At most `limit` pairs whose key starts with `prefix`, in order of keys, those above `after` only when it is given.
    ///
    /// # Errors
    /// What the system says.
    fn scan(&self, table: Table, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> io::Result<Vec<KeyValue>>;
}

/// A key and its value.
pub type KeyValue = (Vec<u8>, Vec<u8>);

/// A store with one writer and any number of readers.
///
/// It may lose its newest batches in a loss of power, whole ones and the last first: the block log brings them back. It must never
/// keep a part of a batch, nor a batch without those before it.
pub trait Store: Send + Sync {
    /// Writes a batch atomically.
    ///
    /// # Errors
    /// What the system says; the caller must stop.
    fn write(&self, batch: StoreBatch) -> io::Result<()>;

    /// What the store holds now.
    ///
    /// # Errors
    /// What the system says.
    fn snapshot(&self) -> io::Result<Arc<dyn StoreView>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_batch_puts_and_takes_back_is_not_in_it() {
        let key = |n: u8| vec![n];
        let mut batch = StoreBatch::default();
        batch.put(Table::BLOCKS, key(1), vec![9]);
        batch.take_back(Table::BLOCKS, key(1));
        assert!(batch.is_empty());
        // Put by an earlier batch.
        batch.take_back(Table::BLOCKS, key(2));
        batch.take_back(Table::BLOCKS, key(2));
        batch.put(Table::BLOCK_IDS, key(3), vec![7]);
        batch.delete(Table::BLOCKS, key(1));
        assert_eq!(batch.len(), 3);
        let keys: Vec<_> = batch.keys().map(|(table, key)| (table, key.to_vec())).collect();
        let changes: Vec<_> = batch.into_changes().collect();
        let expected =
            [(Table::BLOCK_IDS, key(3), Some(vec![7])), (Table::BLOCKS, key(1), None), (Table::BLOCKS, key(2), None)];
        assert_eq!(changes, expected, "in order of table and key");
        assert_eq!(keys, changes.into_iter().map(|(table, key, _)| (table, key)).collect::<Vec<_>>());
    }
}

//! Seam: where the state derived from the block log is kept. The daemon keeps it in a database, tests in memory.

use std::collections::BTreeMap;
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
#[derive(Clone, Debug, Default)]
pub struct StoreBatch {
    /// In the order of the calls: they are many, and sorted once.
    calls: BTreeMap<Table, Vec<(Vec<u8>, BatchChange)>>,
}

#[derive(Clone, Debug)]
enum BatchChange {
    Put(Vec<u8>),
    Delete,
    TakeBack,
}

impl StoreBatch {
    /// Writes a value over whatever the key holds.
    pub fn put(&mut self, table: Table, key: Vec<u8>, value: Vec<u8>) {
        self.add(table, key, BatchChange::Put(value));
    }

    /// Removes a key, present or not.
    pub fn delete(&mut self, table: Table, key: Vec<u8>) {
        self.add(table, key, BatchChange::Delete);
    }

    /// Removes a key that is put once in all time: when this batch puts it, the store has never held it, and neither is written.
    pub fn take_back(&mut self, table: Table, key: Vec<u8>) {
        self.add(table, key, BatchChange::TakeBack);
    }

    /// Each changed key once, with its new value, or `None` when it is removed. In order of table and key.
    pub fn into_changes(self) -> impl Iterator<Item = (Table, Vec<u8>, Option<Vec<u8>>)> {
        self.calls.into_iter().flat_map(|(table, mut calls)| {
            // Calls for one key stay in their order.
            calls.sort_by(|(a, _), (b, _)| a.cmp(b));
            let mut calls = calls.into_iter().peekable();
            std::iter::from_fn(move || {
                loop {
                    let (key, mut change) = calls.next()?;
                    let mut net = NetChange::Nothing.then(&change);
                    while let Some((_, next)) = calls.next_if(|(other, _)| *other == key) {
                        net = net.then(&next);
                        change = next;
                    }
                    match (net, change) {
                        (NetChange::Nothing, _) => {}
                        (NetChange::Put, BatchChange::Put(value)) => return Some((table, key, Some(value))),
                        (NetChange::Put | NetChange::Removed, _) => return Some((table, key, None)),
                    }
                }
            })
        })
    }

    /// Each changed key once, in order of table and key.
    pub fn keys(&self) -> impl Iterator<Item = (Table, &[u8])> {
        let mut nets: BTreeMap<(Table, &[u8]), NetChange> = BTreeMap::new();
        for (table, (key, change)) in
            self.calls.iter().flat_map(|(table, calls)| calls.iter().map(|call| (*table, call)))
        {
            let net = nets.entry((table, key)).or_default();
            *net = net.then(change);
        }
        nets.into_iter().filter(|(_, net)| *net != NetChange::Nothing).map(|(key, _)| key)
    }

    /// How many keys change.
    pub fn len(&self) -> usize {
        self.keys().count()
    }

    /// True when nothing changes.
    pub fn is_empty(&self) -> bool {
        self.keys().next().is_none()
    }

    fn add(&mut self, table: Table, key: Vec<u8>, change: BatchChange) {
        self.calls.entry(table).or_default().push((key, change));
    }
}

/// What becomes of a key by the calls so far.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum NetChange {
    #[default]
    Nothing,
    /// The last call put a value.
    Put,
    Removed,
}

impl NetChange {
    const fn then(self, change: &BatchChange) -> Self {
        match (self, change) {
            (_, BatchChange::Put(_)) => Self::Put,
            (Self::Put, BatchChange::TakeBack) => Self::Nothing,
            (_, BatchChange::Delete | BatchChange::TakeBack) => Self::Removed,
        }
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
        batch.put(Table::BLOCKS, key(4), vec![1]);
        batch.put(Table::BLOCKS, key(4), vec![2]);
        assert_eq!(batch.len(), 4);
        let keys: Vec<_> = batch.keys().map(|(table, key)| (table, key.to_vec())).collect();
        let changes: Vec<_> = batch.into_changes().collect();
        let expected = [
            (Table::BLOCK_IDS, key(3), Some(vec![7])),
            (Table::BLOCKS, key(1), None),
            (Table::BLOCKS, key(2), None),
            (Table::BLOCKS, key(4), Some(vec![2])),
        ];
        assert_eq!(changes, expected, "in order of table and key");
        assert_eq!(keys, changes.into_iter().map(|(table, key, _)| (table, key)).collect::<Vec<_>>());
    }
}

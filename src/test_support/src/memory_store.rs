//! A store in memory, for tests and simulation.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use timed_chain::{KeyValue, Store, StoreBatch, StoreView, Table};

/// A store in memory. Clones share the content; a snapshot costs nothing, and old values live as long as a snapshot needs them.
#[derive(Clone, Default)]
pub struct MemoryStore {
    shared: Arc<Mutex<Versions>>,
}

/// Values of a key by version, oldest first; `None` for removed.
type Values = Vec<(u64, Option<Vec<u8>>)>;

/// A key and its value, or `None` when it is removed.
type StoreChange = (Table, Vec<u8>, Option<Vec<u8>>);

/// Every key with its values.
#[derive(Default)]
struct Versions {
    tables: BTreeMap<Table, BTreeMap<Vec<u8>, Values>>,
    /// Number of the last batch.
    version: u64,
    /// Versions that snapshots read, with how many do.
    held: BTreeMap<u64, usize>,
    /// Keys with values that a later version made old: (that version, table, key).
    outdated: VecDeque<(u64, Table, Vec<u8>)>,
    fail_writes: bool,
    /// The newest batches turned round, oldest first.
    undo: VecDeque<Vec<StoreChange>>,
    undo_max: usize,
}

impl MemoryStore {
    /// An independent copy of the content, as a backup would hold it.
    pub fn copy(&self) -> Self {
        let state = lock(&self.shared);
        let mut tables: BTreeMap<Table, BTreeMap<_, _>> = BTreeMap::new();
        for (table, keys) in &state.tables {
            for (key, values) in keys {
                if let Some((_, Some(value))) = values.last() {
                    tables.entry(*table).or_default().insert(key.clone(), vec![(0, Some(value.clone()))]);
                }
            }
        }
        Self { shared: Arc::new(Mutex::new(Versions { tables, ..Versions::default() })) }
    }

    /// Makes [`Self::lose`] possible for so many batches from now on.
    pub fn keep_undo(&self, batches: usize) {
        lock(&self.shared).undo_max = batches;
    }

    /// Loses the newest `count` batches, as a loss of power may; no more than [`Self::keep_undo`] allows. Snapshots are not affected.
    pub fn lose(&self, count: usize) {
        let mut state = lock(&self.shared);
        for changes in (0..count).map_while(|_| state.undo.pop_back()).collect::<Vec<_>>() {
            state.apply(changes);
        }
    }

    /// Makes every later write fail, as a broken disk does.
    pub fn fail_writes(&self) {
        lock(&self.shared).fail_writes = true;
    }

    /// How many values are held, old ones included.
    pub fn values(&self) -> usize {
        lock(&self.shared).tables.values().flat_map(BTreeMap::values).map(Vec::len).sum()
    }
}

impl Versions {
    fn apply(&mut self, changes: impl IntoIterator<Item = StoreChange>) {
        self.version += 1;
        let version = self.version;
        for (table, key, value) in changes {
            self.tables.entry(table).or_default().entry(key.clone()).or_default().push((version, value));
            self.outdated.push_back((version, table, key));
        }
        self.collect();
    }

    /// What brings back the present values of what a batch changes.
    fn turned_round(&self, batch: &StoreBatch) -> Vec<StoreChange> {
        let before = |table: Table, key: &[u8]| self.tables.get(&table)?.get(key)?.last()?.1.clone();
        batch.keys().map(|(table, key)| (table, key.to_vec(), before(table, key))).collect()
    }

    /// Drops values that no snapshot can see any more.
    fn collect(&mut self) {
        let oldest = self.held.keys().next().copied().unwrap_or(self.version);
        while self.outdated.front().is_some_and(|(version, ..)| *version <= oldest) {
            let Some((_, table, key)) = self.outdated.pop_front() else { break };
            let Some(keys) = self.tables.get_mut(&table) else { continue };
            let Some(values) = keys.get_mut(&key) else { continue };
            let visible = values.iter().rposition(|(version, _)| *version <= oldest).unwrap_or(0);
            values.drain(..visible);
            if matches!(values[..], [(_, None)]) {
                keys.remove(&key);
            }
        }
    }
}

impl Store for MemoryStore {
    fn write(&self, batch: StoreBatch) -> io::Result<()> {
        let mut state = lock(&self.shared);
        if state.fail_writes {
            return Err(io::Error::other("injected write failure"));
        }
        if state.undo_max > 0 {
            if state.undo.len() == state.undo_max {
                state.undo.pop_front();
            }
            let undo = state.turned_round(&batch);
            state.undo.push_back(undo);
        }
        state.apply(batch.into_changes());
        Ok(())
    }

    fn snapshot(&self) -> io::Result<Arc<dyn StoreView>> {
        let mut state = lock(&self.shared);
        let version = state.version;
        *state.held.entry(version).or_default() += 1;
        Ok(Arc::new(MemoryView { shared: self.shared.clone(), version }))
    }
}

struct MemoryView {
    shared: Arc<Mutex<Versions>>,
    version: u64,
}

impl MemoryView {
    fn visible<'a>(&self, values: &'a [(u64, Option<Vec<u8>>)]) -> Option<&'a Vec<u8>> {
        values.iter().rev().find(|(version, _)| *version <= self.version)?.1.as_ref()
    }
}

impl StoreView for MemoryView {
    fn get(&self, table: Table, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let state = lock(&self.shared);
        let values = state.tables.get(&table).and_then(|keys| keys.get(key));
        Ok(values.and_then(|values| self.visible(values)).cloned())
    }

    fn scan(&self, table: Table, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> io::Result<Vec<KeyValue>> {
        let state = lock(&self.shared);
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let keys =
            state.tables.get(&table).into_iter().flat_map(|keys| keys.range::<[u8], _>((start, Bound::Unbounded)));
        Ok(keys
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter_map(|(key, values)| Some((key.clone(), self.visible(values)?.clone())))
            .take(limit)
            .collect())
    }
}

impl Drop for MemoryView {
    fn drop(&mut self) {
        let mut state = lock(&self.shared);
        if let Some(count) = state.held.get_mut(&self.version) {
            *count -= 1;
            if *count == 0 {
                state.held.remove(&self.version);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(changes: &[(&[u8], Option<&[u8]>)]) -> StoreBatch {
        let mut batch = StoreBatch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.put(Table::META, key.to_vec(), value.to_vec()),
                None => batch.delete(Table::META, key.to_vec()),
            }
        }
        batch
    }

    #[test]
    fn a_snapshot_keeps_what_it_saw_and_old_values_are_dropped_after_it() {
        let store = MemoryStore::default();
        store.write(batch(&[(b"a", Some(b"1")), (b"b", Some(b"1"))])).unwrap();
        let old = store.snapshot().unwrap();
        store.write(batch(&[(b"a", Some(b"2")), (b"b", None), (b"c", Some(b"2"))])).unwrap();
        store.write(batch(&[(b"a", Some(b"3"))])).unwrap();
        let new = store.snapshot().unwrap();
        let all = |view: &Arc<dyn StoreView>| view.scan(Table::META, b"", None, 10).unwrap();
        assert_eq!(all(&old), vec![(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), b"1".to_vec())]);
        assert_eq!(all(&new), vec![(b"a".to_vec(), b"3".to_vec()), (b"c".to_vec(), b"2".to_vec())]);
        assert_eq!(store.values(), 6);
        drop(old);
        store.write(batch(&[(b"d", Some(b"4"))])).unwrap();
        assert_eq!(store.values(), 3);
        assert_eq!(new.get(Table::META, b"d").unwrap(), None);
        assert_eq!(new.scan(Table::META, b"", Some(b"a"), 10).unwrap().len(), 1);
        assert_eq!(new.scan(Table::META, b"c", Some(b"a"), 10).unwrap().len(), 1);
        assert_eq!(new.scan(Table::META, b"", None, 1).unwrap().len(), 1);
        assert!(new.scan(Table("outputs"), b"", None, 1).unwrap().is_empty());
    }

    #[test]
    fn the_last_change_of_a_key_counts() {
        let store = MemoryStore::default();
        store.write(batch(&[(b"a", Some(b"1")), (b"a", None), (b"b", None), (b"b", Some(b"2"))])).unwrap();
        let view = store.snapshot().unwrap();
        assert_eq!(view.get(Table::META, b"a").unwrap(), None);
        assert_eq!(view.get(Table::META, b"b").unwrap(), Some(b"2".to_vec()));
        let copy = store.copy();
        store.write(batch(&[(b"b", None)])).unwrap();
        assert_eq!(copy.snapshot().unwrap().get(Table::META, b"b").unwrap(), Some(b"2".to_vec()));
    }

    #[test]
    fn the_newest_batches_can_be_lost_whole_and_the_last_first() {
        let store = MemoryStore::default();
        store.write(batch(&[(b"a", Some(b"1"))])).unwrap();
        store.keep_undo(2);
        store.write(batch(&[(b"a", Some(b"2")), (b"b", Some(b"2"))])).unwrap();
        store.write(batch(&[(b"a", None), (b"c", Some(b"3"))])).unwrap();
        let all = || store.snapshot().unwrap().scan(Table::META, b"", None, 10).unwrap();
        store.lose(1);
        assert_eq!(all(), vec![(b"a".to_vec(), b"2".to_vec()), (b"b".to_vec(), b"2".to_vec())]);
        store.lose(5);
        assert_eq!(all(), vec![(b"a".to_vec(), b"1".to_vec())], "what came before is not in question");
    }
}

//! What others look up in the pool without asking its owner: who consumes and who produces a resource.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use timed_chain::{PoolTransaction, Resource};
use timed_primitives::{IdMap, TxId};

/// The pool's transactions by what they consume and produce. The pool writes it, any thread reads it; the lock is held for one look-up, or for
/// the change by one transaction.
#[derive(Debug, Default)]
pub struct PoolIndex {
    tables: RwLock<IndexTables>,
}

#[derive(Debug, Default)]
struct IndexTables {
    consumers: IdMap<Resource, TxId>,
    producers: IdMap<Resource, Arc<PoolTransaction>>,
}

impl PoolIndex {
    /// The transaction of the pool that consumes this.
    pub fn consumer(&self, resource: &Resource) -> Option<TxId> {
        self.read().consumers.get(resource).copied()
    }

    /// The transaction of the pool that produces this.
    pub fn producer(&self, resource: &Resource) -> Option<Arc<PoolTransaction>> {
        self.read().producers.get(resource).cloned()
    }

    pub(crate) fn is_produced(&self, resource: &Resource) -> bool {
        self.read().producers.contains_key(resource)
    }

    /// The ids of those that produce one of these.
    pub(crate) fn producers_of(&self, resources: &[Resource]) -> impl Iterator<Item = TxId> {
        let tables = self.read();
        resources.iter().filter_map(move |resource| tables.producers.get(resource).map(|producer| producer.facts.id))
    }

    /// Everything that is consumed, in order.
    pub(crate) fn consumed(&self) -> Vec<Resource> {
        let mut consumed: Vec<Resource> = self.read().consumers.keys().copied().collect();
        consumed.sort_unstable();
        consumed
    }

    /// A transaction enters. Who produced something first counts.
    pub(crate) fn insert(&self, transaction: &Arc<PoolTransaction>) {
        let facts = &transaction.facts;
        let mut tables = self.write();
        tables.consumers.extend(facts.consumes.iter().map(|resource| (*resource, facts.id)));
        for resource in facts.produces.iter() {
            tables.producers.entry(*resource).or_insert_with(|| transaction.clone());
        }
    }

    /// A transaction leaves.
    pub(crate) fn remove(&self, transaction: &PoolTransaction) {
        let facts = &transaction.facts;
        let mut tables = self.write();
        for resource in facts.consumes.iter() {
            tables.consumers.remove(resource);
        }
        for resource in facts.produces.iter() {
            if tables.producers.get(resource).is_some_and(|producer| producer.facts.id == facts.id) {
                tables.producers.remove(resource);
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, IndexTables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, IndexTables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl PoolIndex {
    /// All pairs.
    pub(crate) fn contents(&self) -> (IdMap<Resource, TxId>, IdMap<Resource, TxId>) {
        let tables = self.read();
        let producers = tables.producers.iter().map(|(resource, producer)| (*resource, producer.facts.id));
        (tables.consumers.clone(), producers.collect())
    }
}

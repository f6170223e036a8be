//! Children that arrived before their parent.

use crate::limits::RelayLimits;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use timed_chain::{PoolTransaction, Resource};
use timed_primitives::{Instant, PublicKey, TxFullId};

#[derive(Debug)]
struct WaitingChild {
    transaction: Arc<PoolTransaction>,
    missing: Resource,
    from: PublicKey,
    until: Instant,
}

/// Children that wait for a parent. Bounds: number, bytes and time; above them the oldest is dropped.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    children: BTreeMap<TxFullId, WaitingChild>,
    by_missing: BTreeSet<(Resource, TxFullId)>,
    order: VecDeque<TxFullId>,
    bytes: usize,
}

impl Waiting {
    pub(crate) fn insert(
        &mut self,
        now: Instant,
        limits: &RelayLimits,
        transaction: Arc<PoolTransaction>,
        missing: Resource,
        from: PublicKey,
    ) {
        let (id, size) = (transaction.facts.full_id, transaction.facts.size_bytes);
        if self.children.contains_key(&id) || limits.waiting_max == 0 || size > limits.waiting_bytes_max {
            return;
        }
        while self.children.len() >= limits.waiting_max || self.bytes + size > limits.waiting_bytes_max {
            let Some(oldest) = self.order.front().copied() else { break };
            self.remove(&oldest);
        }
        self.children.insert(id, WaitingChild { transaction, missing, from, until: now + limits.waiting_for });
        self.by_missing.insert((missing, id));
        self.order.push_back(id);
        self.bytes += size;
    }

    fn remove(&mut self, id: &TxFullId) -> Option<WaitingChild> {
        let child = self.children.remove(id)?;
        self.by_missing.remove(&(child.missing, *id));
        if self.order.front() == Some(id) {
            self.order.pop_front();
        } else {
            self.order.retain(|other| other != id);
        }
        self.bytes -= child.transaction.facts.size_bytes;
        Some(child)
    }

    /// Those that waited for this.
    pub(crate) fn take(&mut self, missing: &Resource) -> Vec<(PublicKey, Arc<PoolTransaction>)> {
        let from = (*missing, TxFullId::default());
        let of_it = self.by_missing.range(from..).take_while(|(resource, _)| resource == missing);
        let ids: Vec<TxFullId> = of_it.map(|(_, child)| *child).collect();
        ids.iter().filter_map(|id| self.remove(id)).map(|child| (child.from, child.transaction)).collect()
    }

    pub(crate) fn contains(&self, id: &TxFullId) -> bool {
        self.children.contains_key(id)
    }

    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some(oldest) = self.order.front().copied() {
            if self.children.get(&oldest).is_some_and(|child| now < child.until) {
                return;
            }
            if self.remove(&oldest).is_none() {
                self.order.pop_front();
            }
        }
    }

    pub(crate) fn next_wake(&self) -> Option<Instant> {
        self.order.front().and_then(|id| self.children.get(id)).map(|child| child.until)
    }

    pub(crate) fn len(&self) -> usize {
        self.children.len()
    }
}

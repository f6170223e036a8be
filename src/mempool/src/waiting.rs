//! Children that arrived before their parent.

use crate::limits::RelayLimits;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use timed_primitives::{Instant, PublicKey, Transaction, TxFullId, TxId};

#[derive(Debug)]
struct WaitingChild {
    transaction: Arc<Transaction>,
    parent: TxId,
    from: PublicKey,
    size: usize,
    until: Instant,
}

/// Children that wait for a parent. Bounds: number, bytes and time; above them the oldest is dropped.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    children: BTreeMap<TxFullId, WaitingChild>,
    by_parent: BTreeSet<(TxId, TxFullId)>,
    order: VecDeque<TxFullId>,
    bytes: usize,
}

impl Waiting {
    pub(crate) fn insert(
        &mut self,
        now: Instant,
        limits: &RelayLimits,
        transaction: Arc<Transaction>,
        parent: TxId,
        from: PublicKey,
    ) {
        let (id, size) = (transaction.full_id(), transaction.size_bytes());
        if self.children.contains_key(&id) || limits.waiting_max == 0 || size > limits.waiting_bytes_max {
            return;
        }
        while self.children.len() >= limits.waiting_max || self.bytes + size > limits.waiting_bytes_max {
            let Some(oldest) = self.order.front().copied() else { break };
            self.remove(&oldest);
        }
        self.children.insert(id, WaitingChild { transaction, parent, from, size, until: now + limits.waiting_for });
        self.by_parent.insert((parent, id));
        self.order.push_back(id);
        self.bytes += size;
    }

    fn remove(&mut self, id: &TxFullId) -> Option<WaitingChild> {
        let child = self.children.remove(id)?;
        self.by_parent.remove(&(child.parent, *id));
        if self.order.front() == Some(id) {
            self.order.pop_front();
        } else {
            self.order.retain(|other| other != id);
        }
        self.bytes -= child.size;
        Some(child)
    }

    /// Those that waited for `parent`.
    pub(crate) fn take(&mut self, parent: &TxId) -> Vec<(PublicKey, Arc<Transaction>)> {
        let from = (*parent, TxFullId::default());
        let ids: Vec<TxFullId> =
            self.by_parent.range(from..).take_while(|(id, _)| id == parent).map(|(_, child)| *child).collect();
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

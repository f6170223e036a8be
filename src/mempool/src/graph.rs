//! The transactions of the pool, who depends on whom, and the orders kept over them.
//!
//! Invariants: at most one transaction consumes a resource; a child has a higher sequence number than its parents, so sorting by
//! sequence puts parents first; totals of ancestors and descendants include the transaction itself and follow every change.

use crate::event::Source;
use crate::fee::FeeRate;
use crate::index::PoolIndex;
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use timed_chain::{Pending, PoolTransaction, Resource, TransactionFacts};
use timed_primitives::{Amount, BlockId, Height, IdMap, Instant, PublicKey, TxFullId, TxId};

/// Sums over a set of transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SetTotals {
    pub(crate) count: usize,
    pub(crate) size: u64,
    pub(crate) fee: u64,
}

impl SetTotals {
    fn plus(self, other: Self) -> Self {
        Self { count: self.count + other.count, size: self.size + other.size, fee: self.fee.saturating_add(other.fee) }
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_sub(other.count),
            size: self.size.saturating_sub(other.size),
            fee: self.fee.saturating_sub(other.fee),
        }
    }

    pub(crate) fn rate(self) -> FeeRate {
        FeeRate::new(Amount(self.fee), self.size)
    }
}

/// Place in an order by fee rate: the last is best, the first worst. Among equals the older is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RatePosition {
    pub(crate) rate: FeeRate,
    older: Reverse<u64>,
    pub(crate) id: TxId,
}

impl RatePosition {
    pub(crate) fn new(rate: FeeRate, sequence: u64, id: TxId) -> Self {
        Self { rate, older: Reverse(sequence), id }
    }
}

/// How far the deciding of a transaction has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum DecisionStage {
    #[default]
    Waiting,
    Proposed(BlockId),
    Decided(BlockId, Height),
}

#[derive(Clone, Debug)]
pub(crate) struct PoolEntry {
    pub(crate) transaction: Arc<PoolTransaction>,
    pub(crate) id: TxId,
    pub(crate) full_id: TxFullId,
    pub(crate) own: SetTotals,
    pub(crate) weight: u64,
    pub(crate) arrived: Instant,
    pub(crate) sequence: u64,
    pub(crate) source: Source,
    pub(crate) parents: BTreeSet<TxId>,
    pub(crate) children: BTreeSet<TxId>,
    pub(crate) with_ancestors: SetTotals,
    pub(crate) with_descendants: SetTotals,
    pub(crate) stage: DecisionStage,
}

impl PoolEntry {
    pub(crate) fn consumes(&self) -> &[Resource] {
        &self.transaction.facts.consumes
    }

    fn payload_place(&self) -> RatePosition {
        RatePosition::new(self.with_ancestors.rate(), self.sequence, self.id)
    }

    /// A descendant of a high fee rate protects its ancestors, one of a low rate does not harm them.
    fn eviction_place(&self) -> RatePosition {
        RatePosition::new(self.own.rate().max(self.with_descendants.rate()), self.sequence, self.id)
    }
}

/// A transaction about to enter.
pub(crate) struct IncomingTransaction {
    pub(crate) transaction: Arc<PoolTransaction>,
    pub(crate) fee: Amount,
    pub(crate) arrived: Instant,
    pub(crate) source: Source,
}

#[derive(Debug, Default)]
pub(crate) struct Graph {
    // Their order is that of nothing: what is shown or chosen in order comes from the sets below.
    entries: IdMap<TxId, PoolEntry>,
    full_ids: IdMap<TxFullId, TxId>,
    index: Arc<PoolIndex>,
    by_payload: BTreeSet<RatePosition>,
    by_eviction: BTreeSet<RatePosition>,
    by_sequence: BTreeMap<u64, TxId>,
    peer_bytes: BTreeMap<PublicKey, usize>,
    bytes: usize,
    fees: u64,
    /// Of transactions from this node's clients, and of those from peers.
    weights: (u64, u64),
    next_sequence: u64,
}

impl Graph {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn fees(&self) -> Amount {
        Amount(self.fees)
    }

    /// Weight of what came from this node's clients, and of what came from peers.
    pub(crate) fn weights(&self) -> (u64, u64) {
        self.weights
    }

    /// Weight of what arrived before `time`, counted until `enough` is reached.
    pub(crate) fn weight_before(&self, time: Instant, enough: u64) -> u64 {
        let mut sum = 0;
        for entry in self.in_order().take_while(|entry| entry.arrived < time) {
            sum += entry.weight;
            if sum >= enough {
                break;
            }
        }
        sum
    }

    fn weight_of(&mut self, source: Source) -> &mut u64 {
        match source {
            Source::Local => &mut self.weights.0,
            Source::Peer(_) => &mut self.weights.1,
        }
    }

    pub(crate) fn peer_bytes(&self, peer: &PublicKey) -> usize {
        self.peer_bytes.get(peer).copied().unwrap_or(0)
    }

    pub(crate) fn get(&self, id: &TxId) -> Option<&PoolEntry> {
        self.entries.get(id)
    }

    pub(crate) fn set_stage(&mut self, id: &TxId, stage: DecisionStage) -> Option<&PoolEntry> {
        let entry = self.entries.get_mut(id)?;
        entry.stage = stage;
        Some(entry)
    }

    pub(crate) fn by_full_id(&self, id: &TxFullId) -> Option<&PoolEntry> {
        self.entries.get(self.full_ids.get(id)?)
    }

    pub(crate) fn consumer(&self, resource: &Resource) -> Option<TxId> {
        self.index.consumer(resource)
    }

    /// Who consumes and produces what, for any thread.
    pub(crate) const fn index(&self) -> &Arc<PoolIndex> {
        &self.index
    }

    /// Whether a transaction of the pool produces it.
    pub(crate) fn is_produced(&self, resource: &Resource) -> bool {
        self.index.is_produced(resource)
    }

    /// Parents first.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = &PoolEntry> {
        self.by_sequence.values().filter_map(|id| self.entries.get(id))
    }

    /// The same from a sequence number on.
    pub(crate) fn in_order_from(&self, first: u64) -> impl Iterator<Item = &PoolEntry> {
        self.by_sequence.range(first..).filter_map(|(_, id)| self.entries.get(id))
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    pub(crate) fn oldest(&self) -> Option<&PoolEntry> {
        self.in_order().next()
    }

    /// Best first, each by its fee rate together with its ancestors.
    pub(crate) fn payload_order(&self) -> impl Iterator<Item = &RatePosition> {
        self.by_payload.iter().rev()
    }

    /// Worst first.
    pub(crate) fn eviction_order(&self) -> impl Iterator<Item = &RatePosition> {
        self.by_eviction.iter()
    }

    /// The transactions of the pool that produce what this one consumes.
    pub(crate) fn parents(&self, facts: &TransactionFacts) -> BTreeSet<TxId> {
        self.index.producers_of(&facts.consumes).collect()
    }

    /// `parents` and everything they depend on in the pool. Stops at `max` with what was found so far.
    pub(crate) fn ancestors(&self, parents: &BTreeSet<TxId>, max: usize) -> BTreeSet<TxId> {
        let mut found = BTreeSet::new();
        let mut open: Vec<TxId> = parents.iter().copied().collect();
        while let Some(id) = open.pop() {
            if found.len() >= max {
                break;
            }
            if let (true, Some(entry)) = (found.insert(id), self.entries.get(&id)) {
                open.extend(&entry.parents);
            }
        }
        found
    }

    /// Everything that depends on `id`, without itself, parents first.
    pub(crate) fn descendants(&self, id: &TxId) -> Vec<TxId> {
        let mut found = BTreeMap::new();
        let mut open: Vec<&PoolEntry> = self.entries.get(id).into_iter().collect();
        while let Some(entry) = open.pop() {
            for child in entry.children.iter().filter_map(|child| self.entries.get(child)) {
                if found.insert(child.sequence, child.id).is_none() {
                    open.push(child);
                }
            }
        }
        found.into_values().collect()
    }

    /// Adds a transaction. The caller has checked that it is not here and conflicts with nothing.
    pub(crate) fn insert(&mut self, arrival: IncomingTransaction) {
        let facts = &arrival.transaction.facts;
        let (id, size) = (facts.id, facts.size_bytes);
        let own = SetTotals { count: 1, size: u64::try_from(size).unwrap_or(u64::MAX), fee: arrival.fee.0 };
        let parents = self.parents(facts);
        let ancestors = self.ancestors(&parents, usize::MAX);
        let mut with_ancestors = own;
        for ancestor in &ancestors {
            if let Some(entry) = self.entries.get_mut(ancestor) {
                with_ancestors = with_ancestors.plus(entry.own);
                self.by_eviction.remove(&entry.eviction_place());
                entry.with_descendants = entry.with_descendants.plus(own);
                self.by_eviction.insert(entry.eviction_place());
                if parents.contains(ancestor) {
                    entry.children.insert(id);
                }
            }
        }
        let entry = PoolEntry {
            id,
            full_id: facts.full_id,
            own,
            weight: crate::admission::weight(size, facts.signatures),
            arrived: arrival.arrived,
            sequence: self.next_sequence,
            source: arrival.source,
            parents,
            children: BTreeSet::new(),
            with_ancestors,
            with_descendants: own,
            stage: DecisionStage::Waiting,
            transaction: arrival.transaction,
        };
        self.next_sequence += 1;
        self.bytes += size;
        self.fees = self.fees.saturating_add(own.fee);
        *self.weight_of(entry.source) += entry.weight;
        if let Source::Peer(peer) = entry.source {
            *self.peer_bytes.entry(peer).or_default() += size;
        }
        self.index.insert(&entry.transaction);
        self.full_ids.insert(entry.full_id, entry.id);
        self.by_payload.insert(entry.payload_place());
        self.by_eviction.insert(entry.eviction_place());
        self.by_sequence.insert(entry.sequence, entry.id);
        self.entries.insert(entry.id, entry);
    }

    /// Takes out one transaction and leaves its relatives, who no longer count it.
    ///
    /// Called for those without ancestors here (included in a block) or without descendants here (all others, from the leaves up).
    pub(crate) fn remove(&mut self, id: &TxId) -> Option<PoolEntry> {
        let descendants = self.descendants(id);
        let entry = self.entries.remove(id)?;
        for ancestor in self.ancestors(&entry.parents, usize::MAX) {
            if let Some(ancestor) = self.entries.get_mut(&ancestor) {
                self.by_eviction.remove(&ancestor.eviction_place());
                ancestor.with_descendants = ancestor.with_descendants.minus(entry.own);
                self.by_eviction.insert(ancestor.eviction_place());
                ancestor.children.remove(id);
            }
        }
        for descendant in &descendants {
            if let Some(descendant) = self.entries.get_mut(descendant) {
                self.by_payload.remove(&descendant.payload_place());
                descendant.with_ancestors = descendant.with_ancestors.minus(entry.own);
                self.by_payload.insert(descendant.payload_place());
                descendant.parents.remove(id);
            }
        }
        self.forget(&entry);
        Some(entry)
    }

    fn forget(&mut self, entry: &PoolEntry) {
        let size = usize::try_from(entry.own.size).unwrap_or(usize::MAX);
        self.bytes = self.bytes.saturating_sub(size);
        self.fees = self.fees.saturating_sub(entry.own.fee);
        *self.weight_of(entry.source) -= entry.weight;
        if let Source::Peer(peer) = entry.source
            && let Some(bytes) = self.peer_bytes.get_mut(&peer)
        {
            *bytes = bytes.saturating_sub(size);
            if *bytes == 0 {
                self.peer_bytes.remove(&peer);
            }
        }
        self.index.remove(&entry.transaction);
        self.full_ids.remove(&entry.full_id);
        self.by_payload.remove(&entry.payload_place());
        self.by_eviction.remove(&entry.eviction_place());
        self.by_sequence.remove(&entry.sequence);
    }
}

impl Pending for Graph {
    fn producer(&self, of: &Resource) -> Option<Bytes> {
        Some(self.index.producer(of)?.bytes.clone())
    }
}

#[cfg(test)]
impl Graph {
    /// Everything that is kept beside the entries, computed anew.
    pub(crate) fn check(&self) {
        let mut peer_bytes: BTreeMap<PublicKey, usize> = BTreeMap::new();
        let (mut consumers, mut producers) = (IdMap::default(), IdMap::default());
        for (id, entry) in &self.entries {
            let facts = &entry.transaction.facts;
            assert_eq!((*id, entry.full_id), (facts.id, facts.full_id));
            assert_eq!(entry.parents, self.parents(facts));
            let sum =
                |ids: &mut dyn Iterator<Item = &TxId>| ids.fold(entry.own, |sum, id| sum.plus(self.entries[id].own));
            let ancestors = self.ancestors(&entry.parents, usize::MAX);
            assert_eq!(entry.with_ancestors, sum(&mut ancestors.iter()));
            assert_eq!(entry.with_descendants, sum(&mut self.descendants(id).iter()));
            for parent in &entry.parents {
                assert!(self.entries[parent].children.contains(id));
                assert!(self.entries[parent].sequence < entry.sequence);
            }
            assert!(entry.children.iter().all(|child| self.entries[child].parents.contains(id)));
            assert!(self.by_payload.contains(&entry.payload_place()));
            assert!(self.by_eviction.contains(&entry.eviction_place()));
            assert_eq!(self.by_sequence.get(&entry.sequence), Some(id));
            assert_eq!(self.full_ids.get(&entry.full_id), Some(id));
            for resource in facts.consumes.iter() {
                assert_eq!(consumers.insert(*resource, *id), None, "{resource} is consumed twice");
            }
            for resource in facts.produces.iter() {
                assert_eq!(producers.insert(*resource, *id), None, "{resource} is produced twice");
            }
            if let Source::Peer(peer) = entry.source {
                *peer_bytes.entry(peer).or_default() += facts.size_bytes;
            }
        }
        assert_eq!((consumers, producers), self.index.contents());
        assert_eq!(peer_bytes, self.peer_bytes);
        assert_eq!(self.bytes, self.entries.values().map(|entry| entry.transaction.facts.size_bytes).sum::<usize>());
        assert_eq!(self.fees, self.entries.values().map(|entry| entry.own.fee).sum::<u64>());
        let weight_of = |is_local: bool| {
            let entries = self.entries.values().filter(|entry| (entry.source == Source::Local) == is_local);
            entries.map(|entry| entry.weight).sum::<u64>()
        };
        assert_eq!(self.weights, (weight_of(true), weight_of(false)));
        let lengths = [self.by_payload.len(), self.by_eviction.len(), self.by_sequence.len(), self.full_ids.len()];
        assert_eq!(lengths, [self.entries.len(); 4]);
    }
}

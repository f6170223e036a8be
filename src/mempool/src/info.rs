//! What onlookers may ask of the pool.

use crate::event::Source;
use crate::event::{Conflict, PoolEvent};
use crate::graph::{DecisionStage, PoolEntry};
use crate::index::PoolIndex;
use crate::pool::Pool;
use std::sync::Arc;
use timed_chain::{PoolTransaction, Resource};
use timed_primitives::{Amount, BlockId, Height, Instant, TxFullId, TxId};

/// State of the pool, for `getmempoolinfo` and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolInfo {
    /// Transactions.
    pub count: usize,
    /// Most transactions.
    pub count_max: usize,
    /// Bytes in canonical encoding.
    pub bytes: usize,
    /// Most bytes.
    pub bytes_max: usize,
    /// Estimate of the memory used. Unit: bytes.
    pub usage: usize,
    /// Sum of the fees.
    pub fees: Amount,
    /// Fee for 1,000 bytes below which nothing is taken now.
    pub fee_floor: Amount,
    /// Height of the last block applied here.
    pub height: Height,
    /// Remembered refusals.
    pub rejects: usize,
    /// Transactions evicted since the start.
    pub evicted: u64,
    /// Transactions expired since the start.
    pub expired: u64,
    /// Second consumers seen since the start.
    pub conflicts: u64,
    /// Events dropped because nobody took them in time.
    pub events_dropped: u64,
}

/// One transaction of the pool, for lists and `getmempoolentry`.
#[derive(Clone, Debug)]
pub struct EntryInfo {
    /// The transaction.
    pub transaction: Arc<PoolTransaction>,
    /// Its id.
    pub txid: TxId,
    /// Its id with signatures.
    pub full_id: TxFullId,
    /// Its size in bytes.
    pub size: u64,
    /// Its fee.
    pub fee: Amount,
    /// When it entered.
    pub arrived: Instant,
    /// Where it came from.
    pub source: Source,
    /// How many unconfirmed transactions it needs, itself included, with their bytes and fees.
    pub ancestors: (usize, u64, Amount),
    /// How many in the pool need it, itself included, with their bytes and fees.
    pub descendants: (usize, u64, Amount),
    /// Transactions of the pool it depends on directly.
    pub depends: Vec<TxId>,
    /// Transactions of the pool that depend on it directly.
    pub spent_by: Vec<TxId>,
    /// The proposed or decided block that holds it.
    pub block: Option<BlockId>,
}

/// Memory of an entry beside its bytes: what is known of it, six indices, links. Measured order of magnitude. Unit: bytes.
const ENTRY_OVERHEAD: usize = 1_024;

impl Pool {
    /// What happened since the last call, in order.
    pub fn take_events(&mut self) -> Vec<PoolEvent> {
        self.events.drain(..).collect()
    }

    /// Second consumers seen, oldest first.
    pub fn conflicts(&self) -> impl Iterator<Item = &Conflict> {
        self.conflicts.iter()
    }

    /// The transaction, if it is here.
    pub fn transaction(&self, id: &TxId) -> Option<&Arc<PoolTransaction>> {
        self.graph.get(id).map(|entry| &entry.transaction)
    }

    /// The transaction with these signatures, if it is here: answers a peer's request.
    pub fn transaction_by_full_id(&self, id: &TxFullId) -> Option<&Arc<PoolTransaction>> {
        self.graph.by_full_id(id).map(|entry| &entry.transaction)
    }

    /// All transactions that entered as number `first` or later, parents before children, each with when it entered: to be kept over a
    /// restart.
    pub fn transactions_from(&self, first: u64) -> impl Iterator<Item = (&Arc<PoolTransaction>, TxId, Instant)> {
        self.graph.in_order_from(first).map(|entry| (&entry.transaction, entry.id, entry.arrived))
    }

    /// The transaction and when it entered, if it is here.
    pub fn transaction_and_arrival(&self, id: &TxId) -> Option<(&Arc<PoolTransaction>, Instant)> {
        self.graph.get(id).map(|entry| (&entry.transaction, entry.arrived))
    }

    /// Every resource that a transaction here consumes.
    pub fn consumed(&self) -> Vec<Resource> {
        self.graph.index().consumed()
    }

    /// Who consumes and produces what here, kept up to date for any thread.
    pub fn index(&self) -> Arc<PoolIndex> {
        self.graph.index().clone()
    }

    /// The number of the transaction that enters next.
    pub fn next_number(&self) -> u64 {
        self.graph.next_sequence()
    }

    /// Whether the transaction is here.
    pub fn contains(&self, id: &TxId) -> bool {
        self.graph.get(id).is_some()
    }

    /// Ids of all transactions, parents before children.
    pub fn ids(&self) -> Vec<TxId> {
        self.graph.in_order().map(|entry| entry.id).collect()
    }

    /// Full ids, best fee rate first: what is announced to a new peer.
    pub fn full_ids(&self) -> impl Iterator<Item = TxFullId> + '_ {
        self.graph.payload_order().filter_map(|place| self.graph.get(&place.id)).map(|entry| entry.full_id)
    }

    /// All entries, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = EntryInfo> + '_ {
        self.graph.in_order().map(entry_info)
    }

    /// One entry.
    pub fn entry(&self, id: &TxId) -> Option<EntryInfo> {
        self.graph.get(id).map(entry_info)
    }

    /// When a transaction entered, if it is here.
    pub fn arrived(&self, id: &TxId) -> Option<Instant> {
        self.graph.get(id).map(|entry| entry.arrived)
    }

    /// Weight of what this node's clients brought, and of what peers brought: see [`crate::weight`].
    pub fn weights(&self) -> (u64, u64) {
        self.graph.weights()
    }

    /// Weight of what arrived before `time`, counted until `enough` is reached.
    pub fn weight_before(&self, time: Instant, enough: u64) -> u64 {
        self.graph.weight_before(time, enough)
    }

    /// Weight that left by blocks since the start.
    pub fn included_weight(&self) -> u64 {
        self.included_weight
    }

    /// Height of the last block applied here.
    pub fn height(&self) -> Height {
        self.height
    }

    /// How many transactions wait.
    pub fn len(&self) -> usize {
        self.graph.len()
    }

    /// True when no transaction waits.
    pub fn is_empty(&self) -> bool {
        self.graph.len() == 0
    }

    /// State for onlookers.
    pub fn info(&self, now: Instant) -> PoolInfo {
        PoolInfo {
            count: self.graph.len(),
            count_max: self.limits.count_max,
            bytes: self.graph.bytes(),
            bytes_max: self.limits.bytes_max,
            usage: self.graph.bytes() + self.graph.len() * ENTRY_OVERHEAD,
            fees: self.graph.fees(),
            fee_floor: self.floor_rate(now).for_kilobyte(),
            height: self.height,
            rejects: self.rejects.len(),
            evicted: self.evicted,
            expired: self.expired,
            conflicts: self.conflicts_seen,
            events_dropped: self.events_dropped,
        }
    }
}

fn entry_info(entry: &PoolEntry) -> EntryInfo {
    EntryInfo {
        transaction: Arc::clone(&entry.transaction),
        txid: entry.id,
        full_id: entry.full_id,
        size: entry.own.size,
        fee: Amount(entry.own.fee),
        arrived: entry.arrived,
        source: entry.source,
        ancestors: (entry.with_ancestors.count, entry.with_ancestors.size, Amount(entry.with_ancestors.fee)),
        descendants: (entry.with_descendants.count, entry.with_descendants.size, Amount(entry.with_descendants.fee)),
        depends: entry.parents.iter().copied().collect(),
        spent_by: entry.children.iter().copied().collect(),
        block: match entry.stage {
            DecisionStage::Waiting => None,
            DecisionStage::Proposed(block) | DecisionStage::Decided(block, _) => Some(block),
        },
    }
}

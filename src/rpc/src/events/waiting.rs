//! The payments of the mempool by whom they concern, so that a new subscription learns what waits for it, and an old one what became of it.

use super::parts::PaymentParts;
use super::topic::EventFilter;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use timed_ledger::{KeyHash, OutPoint};
use timed_primitives::{BlockId, Height, TxId};

/// For so many blocks it is remembered what was in them: the mempool may report a payment that has just become final.
const RECENT_BLOCKS: u64 = 16;

/// A payment in the mempool.
#[derive(Clone, Debug)]
pub(crate) struct PooledPayment {
    pub(crate) parts: Arc<PaymentParts>,
    /// The proposed block that holds it.
    pub(crate) block: Option<BlockId>,
}

/// All payments of the mempool, once they were reported. Bound: the mempool's own.
#[derive(Debug, Default)]
pub(crate) struct PooledPayments {
    is_known: bool,
    by_id: HashMap<TxId, PooledPayment>,
    by_owner: HashMap<KeyHash, BTreeSet<TxId>>,
    by_spent: HashMap<OutPoint, TxId>,
    mine: BTreeSet<TxId>,
    recent: VecDeque<(Height, HashSet<TxId>)>,
}

impl PooledPayments {
    /// Whether all that waits was reported.
    pub(crate) fn is_known(&self) -> bool {
        self.is_known
    }

    /// All that waits is there now.
    pub(crate) fn set_known(&mut self) {
        self.is_known = true;
    }

    /// Nobody wants to know any more.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// A payment entered. `None` when it is known, or is in one of the last blocks.
    pub(crate) fn insert(&mut self, parts: PaymentParts, block: Option<BlockId>) -> Option<PooledPayment> {
        let txid = parts.txid;
        if self.by_id.contains_key(&txid) || self.recent.iter().any(|(_, ids)| ids.contains(&txid)) {
            return None;
        }
        for owner in parts.owners() {
            self.by_owner.entry(owner).or_default().insert(txid);
        }
        self.by_spent.extend(parts.inputs.iter().map(|input| (input.outpoint, txid)));
        if parts.is_mine() {
            self.mine.insert(txid);
        }
        let payment = PooledPayment { parts: Arc::new(parts), block };
        self.by_id.insert(txid, payment.clone());
        Some(payment)
    }

    /// A proposed block holds it, or none any more. `None` when it is not known, or that was so before.
    pub(crate) fn set_block(&mut self, txid: &TxId, block: Option<BlockId>) -> Option<PooledPayment> {
        let payment = self.by_id.get_mut(txid).filter(|payment| payment.block != block)?;
        payment.block = block;
        Some(payment.clone())
    }

    /// It has left.
    pub(crate) fn remove(&mut self, txid: &TxId) -> Option<PooledPayment> {
        let payment = self.by_id.remove(txid)?;
        for owner in payment.parts.owners() {
            if let Some(ids) = self.by_owner.get_mut(&owner) {
                ids.remove(txid);
                if ids.is_empty() {
                    self.by_owner.remove(&owner);
                }
            }
        }
        for input in &payment.parts.inputs {
            if self.by_spent.get(&input.outpoint) == Some(txid) {
                self.by_spent.remove(&input.outpoint);
            }
        }
        self.mine.remove(txid);
        Some(payment)
    }

    /// A final block holds these.
    pub(crate) fn on_block(&mut self, height: Height, ids: HashSet<TxId>) {
        for txid in &ids {
            self.remove(txid);
        }
        self.recent.push_back((height, ids));
        while self.recent.front().is_some_and(|(at, _)| at.0 + RECENT_BLOCKS <= height.0) {
            self.recent.pop_front();
        }
    }

    /// Those that are not among these.
    pub(crate) fn beside(&self, ids: &HashSet<TxId>) -> Vec<TxId> {
        self.by_id.keys().filter(|txid| !ids.contains(*txid)).copied().collect()
    }

    /// Those that concern a subscription, in order of their ids.
    pub(crate) fn of(&self, filter: &EventFilter) -> Vec<PooledPayment> {
        let mut ids: BTreeSet<TxId> = BTreeSet::new();
        if filter.wallet {
            ids.extend(&self.mine);
        }
        ids.extend(filter.owners.iter().filter_map(|owner| self.by_owner.get(owner)).flatten());
        for outpoint in &filter.outpoints {
            ids.extend(self.by_spent.get(outpoint));
        }
        ids.iter().filter_map(|txid| self.by_id.get(txid)).cloned().collect()
    }
}

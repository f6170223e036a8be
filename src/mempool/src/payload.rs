//! What goes into the next block.

use crate::graph::{PoolEntry, RatePosition, SetTotals};
use crate::pool::Pool;
use std::collections::BTreeSet;
use std::sync::Arc;
use timed_chain::PoolTransaction;
use timed_primitives::{IdMap, IdSet, TxId};

/// After so many packages in a row that do not fit, the block counts as full. Bounds the search when large ones are left.
const MISFITS_MAX: usize = 200;

/// State of one choice.
#[derive(Default)]
struct PayloadChoice {
    chosen: Vec<Arc<PoolTransaction>>,
    bytes: u64,
    taken: IdSet<TxId>,
    /// Did not fit with what they still need.
    refused: IdSet<TxId>,
    /// Descendants of taken ones: what they still need, and their place by that.
    changed: IdMap<TxId, SetTotals>,
    changed_order: BTreeSet<RatePosition>,
}

impl PayloadChoice {
    /// An ancestor of `entry` was taken.
    fn no_longer_needs(&mut self, entry: &PoolEntry, ancestor: SetTotals) {
        if self.taken.contains(&entry.id) {
            return;
        }
        let needs = self.needs(entry);
        self.changed_order.remove(&RatePosition::new(needs.rate(), entry.sequence, entry.id));
        let needs = needs.minus(ancestor);
        self.changed_order.insert(RatePosition::new(needs.rate(), entry.sequence, entry.id));
        self.changed.insert(entry.id, needs);
    }

    fn needs(&self, entry: &PoolEntry) -> SetTotals {
        self.changed.get(&entry.id).copied().unwrap_or(entry.with_ancestors)
    }

    fn take(&mut self, entry: &PoolEntry) {
        let needs = self.needs(entry);
        if self.changed.remove(&entry.id).is_some() {
            self.changed_order.remove(&RatePosition::new(needs.rate(), entry.sequence, entry.id));
        }
        self.taken.insert(entry.id);
        self.bytes += entry.own.size;
        self.chosen.push(Arc::clone(&entry.transaction));
    }
}

impl Pool {
    /// The best transactions for a block: by fee rate together with the ancestors they need, parents before children, at most
    /// `bytes_max` bytes and `count_max` transactions. The same pool gives the same answer.
    ///
    /// The order is kept up to date as transactions come and go, so the cost is about that of what is taken: it does not grow with
    /// the pool.
    pub fn build_payload(&self, bytes_max: usize, count_max: usize) -> Vec<Arc<PoolTransaction>> {
        let bytes_max = u64::try_from(bytes_max).unwrap_or(u64::MAX);
        let mut choice = PayloadChoice::default();
        let mut order = self.graph.payload_order().copied().peekable();
        let mut misfits = 0;
        while choice.chosen.len() < count_max && misfits < MISFITS_MAX {
            let passed =
                |id: &TxId| choice.taken.contains(id) || choice.refused.contains(id) || choice.changed.contains_key(id);
            while order.next_if(|place| passed(&place.id)).is_some() {}
            let Some(best) = order.peek().copied().max(choice.changed_order.last().copied()) else { break };
            let Some(entry) = self.graph.get(&best.id) else { break };
            let needs = choice.needs(entry);
            if choice.bytes + needs.size > bytes_max || choice.chosen.len() + needs.count > count_max {
                misfits += 1;
                choice.changed_order.remove(&best);
                choice.refused.insert(best.id);
                continue;
            }
            misfits = 0;
            self.take_package(&mut choice, entry);
        }
        choice.chosen
    }

    /// Takes a transaction with the ancestors it still needs, which fit.
    fn take_package(&self, choice: &mut PayloadChoice, entry: &PoolEntry) {
        let ancestors = self.graph.ancestors(&entry.parents, usize::MAX);
        let missing = ancestors.iter().filter(|id| !choice.taken.contains(id)).filter_map(|id| self.graph.get(id));
        let mut package: Vec<&PoolEntry> = missing.chain([entry]).collect();
        package.sort_by_key(|member| member.sequence);
        for member in package {
            choice.take(member);
            for id in self.graph.descendants(&member.id) {
                if let Some(descendant) = self.graph.get(&id) {
                    choice.no_longer_needs(descendant, member.own);
                }
            }
        }
    }
}

//! What waits and what is lost, from the records of a file.

use super::record::{KeptRecord, KeptTransaction};
use crate::losses::Losses;
use std::collections::BTreeMap;
use timed_chain::Resource;
use timed_primitives::TxId;

/// What the records read so far come to.
#[derive(Default)]
pub(super) struct Contents {
    waiting: BTreeMap<TxId, (u64, KeptTransaction)>,
    losses: Losses,
    next: u64,
}

impl Contents {
    pub(super) fn take(&mut self, record: KeptRecord) {
        match record {
            KeptRecord::Waiting(mut kept) => {
                let id = kept.transaction.facts.id;
                self.losses.remove(&id);
                let earlier = self.waiting.get(&id);
                kept.is_ours |= earlier.is_some_and(|(_, earlier)| earlier.is_ours);
                let number = earlier.map_or(self.next, |(number, _)| *number);
                self.waiting.insert(id, (number, kept));
                self.next += 1;
            }
            KeptRecord::Lost(loss) => {
                self.waiting.remove(&loss.txid);
                self.losses.insert(loss);
            }
        }
    }

    /// By depth, and among equals in the order of the file.
    pub(super) fn finish(self) -> (Vec<(usize, KeptTransaction)>, Losses) {
        let mut children: BTreeMap<TxId, Vec<TxId>> = BTreeMap::new();
        let mut missing: BTreeMap<TxId, usize> = BTreeMap::new();
        let producers: BTreeMap<&Resource, TxId> = self
            .waiting
            .iter()
            .flat_map(|(id, (_, kept))| kept.transaction.facts.produces.iter().map(|resource| (resource, *id)))
            .collect();
        for (id, (_, kept)) in &self.waiting {
            let consumes = kept.transaction.facts.consumes.iter();
            let mut parents: Vec<TxId> = consumes.filter_map(|resource| producers.get(resource)).copied().collect();
            parents.sort_unstable();
            parents.dedup();
            parents.retain(|parent| parent != id);
            missing.insert(*id, parents.len());
            for parent in parents {
                children.entry(parent).or_default().push(*id);
            }
        }
        let mut level: Vec<TxId> = missing.iter().filter(|(_, count)| **count == 0).map(|(id, _)| *id).collect();
        let (mut sorted, mut depth, mut waiting) = (Vec::with_capacity(self.waiting.len()), 0, self.waiting);
        while !level.is_empty() {
            let mut next = Vec::new();
            let mut members: Vec<_> = level.iter().filter_map(|id| waiting.remove(id)).collect();
            members.sort_by_key(|(number, _)| *number);
            sorted.extend(members.into_iter().map(|(_, kept)| (depth, kept)));
            for child in level.iter().filter_map(|id| children.get(id)).flatten() {
                if let Some(count) = missing.get_mut(child) {
                    *count -= 1;
                    if *count == 0 {
                        next.push(*child);
                    }
                }
            }
            (level, depth) = (next, depth + 1);
        }
        // Who depends on himself by others cannot be sorted: the check refuses what cannot be.
        let mut rest: Vec<_> = waiting.into_values().collect();
        rest.sort_by_key(|(number, _)| *number);
        sorted.extend(rest.into_iter().map(|(_, kept)| (depth, kept)));
        (sorted, self.losses)
    }
}

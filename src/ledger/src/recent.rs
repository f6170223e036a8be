//! Unspent outputs that went from the overlay into the store a short time ago, kept in memory: what was just received is what is spent
//! next, and a look into the store costs many times more.

use crate::delta::OutputChanges;
use crate::state::OutputEntry;
use crate::transaction::OutPoint;
use std::sync::{PoisonError, RwLock};
use timed_primitives::{Height, IdMap};

/// Most outputs remembered, unless one block makes more; at it the older half is forgotten, and found in the store again. Some 130 bytes each,
/// as seven eighths of a power of two fill two tables.
const OUTPUTS_MAX: usize = 57_344;

/// Shared by all views. What is here is unspent after every block that the store holds.
#[derive(Default)]
pub(crate) struct Recent {
    kept: RwLock<RecentTable>,
}

#[derive(Default)]
struct RecentTable {
    newer: IdMap<OutPoint, OutputEntry>,
    older: IdMap<OutPoint, OutputEntry>,
}

impl Recent {
    /// Takes over what these blocks did; the store holds them now. To be called before a view over that store is published.
    pub(crate) fn absorb<'a>(&self, blocks: impl Iterator<Item = (Height, &'a OutputChanges)>) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        for (height, changes) in blocks {
            for outpoint in changes.spent.keys() {
                if kept.newer.remove(outpoint).is_none() {
                    kept.older.remove(outpoint);
                }
            }
            // Between blocks only: their outputs are in no order, and all runs forget the same.
            if kept.newer.len() + changes.created.len() > OUTPUTS_MAX / 2 {
                kept.older = std::mem::take(&mut kept.newer);
            }
            let created = changes.created.iter();
            kept.newer.extend(created.map(|(outpoint, output)| (*outpoint, OutputEntry { output: *output, height })));
        }
    }

    /// An output that existed at `applied`, the height of the asking view's store, and that no block up to that height spends. Blocks above
    /// it are for the view to look through first. `None` says nothing.
    pub(crate) fn get(&self, outpoint: &OutPoint, applied: Height) -> Option<OutputEntry> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let entry = kept.newer.get(outpoint).or_else(|| kept.older.get(outpoint));
        entry.filter(|entry| entry.height <= applied).copied()
    }
}

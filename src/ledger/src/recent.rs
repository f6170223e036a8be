//! Unspent outputs that went from the overlay into the store a short time ago, kept in memory: what was just received is what is spent
//! next, and a look into the store costs many times more.

use crate::delta::OutputChanges;
use crate::state::OutputEntry;
use crate::transaction::OutPoint;
use std::collections::{HashMap, VecDeque};
use std::sync::{PoisonError, RwLock};
use timed_primitives::Height;

/// Most outputs remembered; above it the oldest is forgotten, and found in the store again. About 200 bytes each.
const OUTPUTS_MAX: usize = 65_536;

/// Shared by all views. What is here is unspent after every block that the store holds.
#[derive(Default)]
pub(crate) struct Recent {
    kept: RwLock<RecentTable>,
}

#[derive(Default)]
struct RecentTable {
    outputs: HashMap<OutPoint, OutputEntry>,
    /// Also those that are spent since.
    order: VecDeque<OutPoint>,
}

impl Recent {
    /// Takes over what these blocks did; the store holds them now. To be called before a view over that store is published.
    pub(crate) fn absorb<'a>(&self, blocks: impl Iterator<Item = (Height, &'a OutputChanges)>) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        for (height, changes) in blocks {
            for outpoint in changes.spent.keys() {
                kept.outputs.remove(outpoint);
            }
            // In an order of their own, so that all runs forget the same.
            for (_, outpoint) in &changes.owners {
                let Some(output) = changes.created.get(outpoint) else { continue };
                kept.outputs.insert(*outpoint, OutputEntry { output: *output, height });
                kept.order.push_back(*outpoint);
            }
        }
        while kept.order.len() > OUTPUTS_MAX {
            let Some(oldest) = kept.order.pop_front() else { break };
            kept.outputs.remove(&oldest);
        }
    }

    /// An output that existed at `applied`, the height of the asking view's store, and that no block up to that height spends. Blocks above
    /// it are for the view to look through first. `None` says nothing.
    pub(crate) fn get(&self, outpoint: &OutPoint, applied: Height) -> Option<OutputEntry> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.outputs.get(outpoint).filter(|entry| entry.height <= applied).copied()
    }
}

//! Seam: what is read to compute a root.

use crate::delta::OutputChanges;
use crate::state::OutputEntry;
use crate::transaction::{OutPoint, Transaction, TxOutput};
use std::sync::Arc;
use timed_chain::{Location, ReadError, StoreView};
use timed_primitives::{Hash, Height, TxId};

/// The state at a tip, as far as roots need it. Implemented by [`crate::LedgerView`].
pub(crate) trait RootSource {
    /// Height of the tip.
    fn tip_height(&self) -> Height;

    /// Height of what the store holds.
    fn rows_height(&self) -> Height;

    /// How many outputs are unspent at the tip.
    fn unspent_count(&self) -> u64;

    /// The store, to be read on after this view is gone.
    fn rows(&self) -> Arc<dyn StoreView>;

    /// The root of a boundary, when the store has it.
    fn stored_root(&self, boundary: Height) -> Result<Option<Hash>, ReadError>;

    /// What the blocks change that the store does not hold yet, oldest first.
    fn newest_changes(&self) -> impl Iterator<Item = (Height, &OutputChanges)>;

    /// The transactions of a final block.
    fn payments(&self, height: Height) -> Result<Vec<Transaction>, ReadError>;

    /// Payouts that a final block spends, when the store holds it. No transaction made them, so no block has what they were.
    fn spent_payouts(&self, height: Height) -> Result<Vec<(OutPoint, OutputEntry)>, ReadError>;

    /// Where a transaction is, when it is in a final block.
    fn location_of(&self, txid: &TxId) -> Result<Option<Location>, ReadError>;

    /// An output that was there from the start.
    fn genesis_output(&self, outpoint: &OutPoint) -> Option<TxOutput>;
}

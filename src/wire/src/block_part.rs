//! Which transactions of a block are meant.

use crate::names::WireHash;

/// Some transactions of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireBlockPart {
    /// Height of the block.
    pub height: u64,
    /// Its id.
    pub id: WireHash,
    /// Positions of the transactions, from 0. Bound: 4,096.
    pub positions: Vec<u32>,
}

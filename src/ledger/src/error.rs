//! What can go wrong around money beside what the chain says.

use crate::genesis::GenesisError;
use timed_chain::ChainOpenError;
use timed_primitives::Amount;

/// Money came or went: outputs and fees after a block do not add up to the genesis supply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("outputs of {unspent} TIME and fees of {fees} TIME do not add up to the supply of {supply} TIME")]
pub struct SupplyError {
    /// Sum of unspent outputs after the block.
    pub unspent: Amount,
    /// Fees so far.
    pub fees: Amount,
    /// What there must be.
    pub supply: Amount,
}

/// The ledger could not be opened. Nothing was overwritten.
#[derive(Debug, thiserror::Error)]
pub enum LedgerOpenError {
    /// The genesis is not valid.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// Its files cannot be used.
    #[error(transparent)]
    Chain(#[from] ChainOpenError),
}

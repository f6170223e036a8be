//! What can go wrong around money beside what the chain says.

use crate::genesis::GenesisError;
use crate::state::Supply;
use timed_chain::ChainOpenError;
use timed_primitives::Amount;

/// Money came or went: what there is after a block is not what genesis made and what was issued since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "outputs of {} TIME, fees of {} TIME and a treasury of {} TIME do not add up to the {genesis} TIME of genesis and the {} TIME issued since",
    .supply.unspent, .supply.fees, .supply.treasury, .supply.issued
)]
pub struct SupplyError {
    /// What there is after the block.
    pub supply: Supply,
    /// What genesis made.
    pub genesis: Amount,
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

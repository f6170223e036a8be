//! Where the money is, by the bodies of the blocks alone: a second way to the same sums.

use crate::genesis::{Genesis, GenesisError};
use crate::state::Supply;
use crate::transaction::{OutPoint, Transaction};
use std::collections::BTreeMap;
use timed_chain::transactions;
use timed_primitives::{Amount, Block, Height};

/// Where the money is, followed from genesis by the bodies of the blocks alone. Holds what is unspent in memory.
#[derive(Clone, Debug)]
pub struct MoneyTally {
    unspent: BTreeMap<OutPoint, Amount>,
    supply: Supply,
}

/// A block spends what is not there, or makes more than it spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "block {0} spends what is not there, or makes money: it is of another chain, or the log was made by faulty software"
)]
pub struct TallyError(pub Height);

impl MoneyTally {
    /// At genesis.
    ///
    /// # Errors
    /// [`GenesisError::SupplyOverflow`].
    pub fn new(genesis: &Genesis) -> Result<Self, GenesisError> {
        let unspent = genesis.unspent().map(|(outpoint, output)| (outpoint, output.amount)).collect();
        Ok(Self { unspent, supply: Supply { unspent: genesis.supply()?, ..Supply::default() } })
    }

    /// Applies the next block.
    ///
    /// # Errors
    /// [`TallyError`]; what is counted afterwards means nothing.
    pub fn apply(&mut self, block: &Block) -> Result<(), TallyError> {
        self.try_apply(block).ok_or(TallyError(block.height()))
    }

    fn try_apply(&mut self, block: &Block) -> Option<()> {
        for transaction in &transactions::<Transaction>(&block.payload).ok()? {
            let mut spent = Amount::ZERO;
            for input in &transaction.body.inputs {
                spent = spent.plus(self.unspent.remove(&input.previous)?)?;
            }
            let mut made = Amount::ZERO;
            for (outpoint, output) in transaction.outputs() {
                made = made.plus(output.amount)?;
                self.unspent.insert(outpoint, output.amount);
            }
            let fee = spent.minus(made)?;
            self.supply =
                Supply { unspent: self.supply.unspent.minus(fee)?, fees: self.supply.fees.plus(fee)?, ..self.supply };
        }
        Some(())
    }

    /// Where all money is. `unspent + fees` is the supply of genesis.
    pub const fn supply(&self) -> Supply {
        self.supply
    }

    /// How many outputs are unspent.
    pub fn outputs(&self) -> usize {
        self.unspent.len()
    }
}

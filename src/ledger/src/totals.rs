//! What all money amounts to after a block: totals, and the hash of the set of unspent outputs.

use crate::delta::OutputChanges;
use crate::genesis::Genesis;
use crate::lthash::LtHash;
use crate::masternodes::{MasternodeList, ValidatorSchedule};
use crate::state::Supply;
use borsh::{BorshDeserialize, BorshSerialize};
use std::sync::Arc;
use timed_primitives::{Amount, Domain, Hash, Height, ValidatorSet};

/// Totals after a block.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Totals {
    pub(crate) utxo: LtHash,
    pub(crate) outputs: u64,
    pub(crate) transactions: u64,
    pub(crate) unspent: Amount,
    pub(crate) fees: Amount,
    pub(crate) masternodes: Arc<MasternodeList>,
    pub(crate) schedule: ValidatorSchedule,
}

impl Totals {
    /// Before the first block.
    pub(crate) fn genesis(genesis: &Genesis, supply: Amount, validators: ValidatorSet) -> Self {
        let mut utxo = LtHash::default();
        let mut outputs = 0;
        for (outpoint, output) in genesis.unspent() {
            utxo.add(&outpoint, &output, Height::GENESIS);
            outputs += 1;
        }
        let masternodes = Arc::new(MasternodeList::new(genesis.masternodes()));
        let schedule = ValidatorSchedule::genesis(validators);
        Self { utxo, outputs, transactions: 0, unspent: supply, fees: Amount::ZERO, masternodes, schedule }
    }

    /// After a block at `height` with these changes; `None` when an amount leaves its range, which only a broken state can cause.
    pub(crate) fn after(&self, height: Height, changes: &OutputChanges) -> Option<Self> {
        let mut utxo = self.utxo.clone();
        let mut unspent = self.unspent;
        for (outpoint, entry) in &changes.spent {
            utxo.remove(outpoint, &entry.output, entry.height);
            unspent = unspent.minus(entry.output.amount)?;
        }
        for (outpoint, output) in &changes.created {
            utxo.add(outpoint, output, height);
            unspent = unspent.plus(output.amount)?;
        }
        let [created, spent] =
            [changes.created.len(), changes.spent.len()].map(|n| u64::try_from(n).unwrap_or(u64::MAX));
        Some(Self {
            utxo,
            unspent,
            fees: self.fees.plus(changes.fees)?,
            outputs: self.outputs.checked_sub(spent)?.checked_add(created)?,
            transactions: self.transactions.saturating_add(changes.transactions),
            masternodes: self.masternodes.clone(),
            schedule: self.schedule.clone(),
        })
    }

    /// What a header says of the state after its block: LtHash, root of the masternode list, height (big endian).
    pub(crate) fn commitment(&self, height: Height) -> Hash {
        let mut hasher = Domain::StateCommitment.hasher();
        hasher.update(&self.utxo.to_bytes());
        hasher.update(&self.masternodes.root().0);
        hasher.update(&height.0.to_be_bytes());
        Hash(hasher.finalize().into())
    }

    /// The masternodes after the block.
    pub const fn masternodes(&self) -> &Arc<MasternodeList> {
        &self.masternodes
    }

    pub(crate) const fn supply(&self) -> Supply {
        Supply { unspent: self.unspent, fees: self.fees }
    }
}

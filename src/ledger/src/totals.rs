//! What all money amounts to after a block: totals, and the hash of the set of unspent outputs.

use crate::delta::OutputChanges;
use crate::genesis::Genesis;
use crate::lthash::LtHash;
use crate::masternodes::{MasternodeList, ValidatorSchedule, VotingMasternodes};
use crate::rewards::RewardState;
use crate::state::Supply;
use borsh::{BorshDeserialize, BorshSerialize};
use std::sync::Arc;
use timed_primitives::{Amount, Domain, Hash, Height, encode};

/// Totals after a block.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Totals {
    pub(crate) utxo: LtHash,
    pub(crate) outputs: u64,
    pub(crate) transactions: u64,
    pub(crate) supply: Supply,
    pub(crate) rewards: Arc<RewardState>,
    pub(crate) masternodes: Arc<MasternodeList>,
    pub(crate) schedule: ValidatorSchedule,
}

impl Totals {
    /// Before the first block.
    pub(crate) fn genesis(genesis: &Genesis, unspent: Amount, voters: VotingMasternodes) -> Self {
        let mut utxo = LtHash::default();
        let mut outputs = 0;
        for (outpoint, output) in genesis.unspent() {
            utxo.add(&outpoint, &output, Height::GENESIS);
            outputs += 1;
        }
        let masternodes = Arc::new(MasternodeList::new(genesis.masternodes()));
        let schedule = ValidatorSchedule::genesis(voters);
        let (supply, rewards) = (Supply { unspent, ..Supply::default() }, Arc::new(RewardState::genesis()));
        Self { utxo, outputs, transactions: 0, supply, rewards, masternodes, schedule }
    }

    /// After a block at `height` with these changes; `None` when an amount leaves its range, which only a broken state can cause.
    pub(crate) fn after(&self, height: Height, changes: &OutputChanges) -> Option<Self> {
        let mut utxo = self.utxo.clone();
        let mut unspent = self.supply.unspent;
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
        let fees = self.supply.fees.plus(changes.fees)?;
        let treasury = self.supply.treasury.plus(changes.penalties)?;
        let supply = match changes.payment.as_ref().map(|payment| &payment.report) {
            Some(report) => Supply {
                unspent,
                fees: fees.minus(report.fees)?,
                treasury: treasury.plus(report.treasury)?,
                issued: self.supply.issued.plus(report.emission)?,
            },
            None => Supply { unspent, fees, treasury, issued: self.supply.issued },
        };
        Some(Self {
            utxo,
            supply,
            rewards: self.rewards.clone(),
            outputs: self.outputs.checked_sub(spent)?.checked_add(created)?,
            transactions: self.transactions.saturating_add(changes.transactions),
            masternodes: self.masternodes.clone(),
            schedule: self.schedule.clone(),
        })
    }

    /// What headers say of it: see ADR 24.
    pub(crate) fn commitment(&self, height: Height) -> Hash {
        let mut hasher = Domain::StateCommitment.hasher();
        hasher.update(&self.utxo.to_bytes());
        hasher.update(&self.masternodes.root().0);
        hasher.update(&self.accounts_root().0);
        hasher.update(&height.0.to_be_bytes());
        Hash(hasher.finalize().into())
    }

    /// Over money that is in no output, who has voters, and all that rewards and penalties depend on.
    pub fn accounts_root(&self) -> Hash {
        let Supply { fees, treasury, issued, .. } = self.supply;
        let accounts = (treasury, issued, fees, &self.schedule, &*self.rewards, self.masternodes.penalties());
        Hash::of(Domain::Accounts, &encode(&accounts))
    }

    /// The masternodes after the block.
    pub const fn masternodes(&self) -> &Arc<MasternodeList> {
        &self.masternodes
    }

    /// What rewards depend on.
    pub const fn rewards(&self) -> &Arc<RewardState> {
        &self.rewards
    }

    /// Who votes at the tip's height and the two above it.
    pub const fn schedule(&self) -> &ValidatorSchedule {
        &self.schedule
    }

    pub(crate) const fn supply(&self) -> Supply {
        self.supply
    }
}

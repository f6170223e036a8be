//! The state before the first block.

use crate::changes::of_genesis;
use crate::error::AuditFault;
use crate::power::{tier_collateral, tier_power};
use crate::state::State;
use timed_ledger::{Genesis, OutPoint, RegistrationId, Tier, TxOutput};
use timed_primitives::{Amount, Domain, Hash, Height, TxId, encode};

impl State {
    /// Of a genesis.
    pub(crate) fn of(genesis: &Genesis) -> Result<Self, AuditFault> {
        let mut state = Self::default();
        let hash = genesis.hash();
        let txid = TxId(hash);
        for (index, output) in (0..).zip(&genesis.outputs) {
            let output = TxOutput { amount: output.amount, lock: output.address.lock() };
            state.money.make(OutPoint { txid, index }, output, Height::GENESIS);
        }
        state.money.start = state.money.unspent()?;
        for (position, one) in (0_u32..).zip(&genesis.masternodes) {
            let id = RegistrationId(Hash::of(Domain::MasternodeId, &encode(&(hash, position))));
            let collateral = OutPoint { txid, index: one.collateral };
            let amount = state.money.output(&collateral).map(|output| output.amount).ok();
            let tier = amount.and_then(tier_of).ok_or(AuditFault::GenesisCollateral(position))?;
            state.masternodes.register(of_genesis(id, tier, collateral, one));
        }
        Ok(state)
    }
}

/// The tier that votes and locks so much.
fn tier_of(amount: Amount) -> Option<Tier> {
    Tier::ALL.into_iter().find(|tier| tier_power(*tier) > 0 && tier_collateral(*tier, Amount::ZERO) == amount)
}

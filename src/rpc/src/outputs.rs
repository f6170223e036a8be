//! The shapes of unspent outputs.

use crate::chain::ScriptInfo;
use crate::node::Unspent;
use crate::text::{JsonAmount, Text, address};
use serde::{Deserialize, Serialize};
use timed_ledger::{RegistrationId, payout_id};
use timed_primitives::{BlockId, Hash, Network, TxId, encode};

/// `gettxout`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TxOutInfo {
    /// The last block.
    pub bestblock: Text<BlockId>,
    /// 0 in the mempool, 1 in the last block.
    pub confirmations: u64,
    /// How much.
    pub value: JsonAmount,
    /// To whom.
    pub address: String,
    /// The same, in the form of Bitcoin's scripts.
    #[serde(rename = "scriptPubKey")]
    pub script: ScriptInfo,
    /// Whether no transaction made it, but the payment of an interval.
    pub coinbase: bool,
    /// `unspent`, `locked` while a transaction in the mempool spends it, or `collateral`.
    pub state: String,
    /// The masternode whose collateral it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub masternode: Option<Text<RegistrationId>>,
    /// Who spends it, when locked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub spent_by: Option<Text<TxId>>,
}

/// One row of `listunspent`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnspentInfo {
    /// The transaction that made it.
    pub txid: Text<TxId>,
    /// Position among its outputs.
    pub vout: u32,
    /// To whom.
    pub address: String,
    /// Always empty: addresses have no labels.
    pub label: String,
    /// The canonical encoding of the lock.
    #[serde(rename = "scriptPubKey")]
    pub script: String,
    /// How much.
    pub amount: JsonAmount,
    /// 0 in the mempool, 1 in the last block.
    pub confirmations: u64,
    /// Whether it can be spent now.
    pub spendable: bool,
    /// Whether one signature is all it takes.
    pub solvable: bool,
    /// Whether it is final, and no collateral.
    pub safe: bool,
    /// `unspent`, `locked` while a transaction in the mempool spends it, or `collateral`.
    pub state: String,
    /// The masternode whose collateral it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub masternode: Option<Text<RegistrationId>>,
}

impl Unspent {
    /// Whether a wallet can spend it now: final, not about to be spent, locked to one key, and no collateral.
    pub fn is_spendable(&self) -> bool {
        let is_free = self.spent_by.is_none() && self.collateral.is_none();
        self.confirmations > 0 && is_free && self.output.lock.key_hash().is_some()
    }

    /// Whether no transaction made it, but the payment of an interval of the chain with this genesis.
    pub fn is_payout(&self, genesis: Hash) -> bool {
        self.height.is_some_and(|height| payout_id(genesis, height) == self.outpoint.txid)
    }

    fn state(&self) -> String {
        match (self.spent_by, self.collateral) {
            (Some(_), _) => "locked",
            (None, Some(_)) => "collateral",
            (None, None) => "unspent",
        }
        .into()
    }
}

impl TxOutInfo {
    /// The output as clients of a chain with this genesis see it.
    pub fn of(unspent: &Unspent, best: BlockId, genesis: Hash, network: Network) -> Self {
        Self {
            bestblock: best.into(),
            confirmations: unspent.confirmations,
            value: unspent.output.amount.into(),
            address: address(network, unspent.output.lock),
            script: ScriptInfo::of(network, unspent.output.lock),
            coinbase: unspent.is_payout(genesis),
            state: unspent.state(),
            masternode: unspent.collateral.map(Text),
            spent_by: unspent.spent_by.map(Text),
        }
    }
}

impl UnspentInfo {
    /// The output as clients see it.
    pub fn of(unspent: &Unspent, network: Network) -> Self {
        Self {
            txid: unspent.outpoint.txid.into(),
            vout: unspent.outpoint.index,
            address: address(network, unspent.output.lock),
            label: String::new(),
            script: hex::encode(encode(&unspent.output.lock)),
            amount: unspent.output.amount.into(),
            confirmations: unspent.confirmations,
            spendable: unspent.is_spendable(),
            solvable: unspent.output.lock.key_hash().is_some(),
            safe: unspent.confirmations > 0 && unspent.collateral.is_none(),
            state: unspent.state(),
            masternode: unspent.collateral.map(Text),
        }
    }
}

//! The shapes of what transactions do beside moving money.

use crate::text::{Text, address};
use serde::{Deserialize, Serialize};
use timed_ledger::{LockOwner, Payouts, RegisterPayload, RegistrationId, Transaction, TransactionPayload, Witness};
use timed_primitives::{BlockId, Network, PublicKey, Signature, TxId, encode};

/// A payee of a masternode and its share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayeeInfo {
    /// Its address; for one that has none its lock, in the form of Bitcoin's scripts.
    pub address: String,
    /// Unit: basis points, hundredths of a percent.
    pub share: u16,
}

/// What a transaction does beside moving money. Which fields there are depends on `type`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayloadInfo {
    /// `register`, `update service`, `update registrar`, `pause`, `resume`, `revoke`, `release`, `double sign`, `late precommits` or
    /// `reachability`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The masternode that it registers or changes, or of which it says something; none for late precommits.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub registration: Option<Text<RegistrationId>>,
    /// Of a statement: for which height.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub height: Option<u64>,
    /// Of a statement: in which round.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub round: Option<u32>,
    /// Of late precommits: for which block.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub block: Option<Text<BlockId>>,
    /// Of reachability: in which interval.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub interval: Option<u64>,
    /// Of reachability: the masternode that says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub witness: Option<Text<RegistrationId>>,
    /// Of a double sign: the two statements that contradict each other, in canonical bytes, as hex.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proof: Option<String>,
    /// The change that it follows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub previous: Option<Text<TxId>>,
    /// `free`, `bronze`, `silver` or `gold`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tier: Option<String>,
    /// The key that signs what concerns money and keys.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<Text<PublicKey>>,
    /// The key that votes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub operator: Option<Text<PublicKey>>,
    /// Where the masternode is reached.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub service: Option<String>,
    /// Who gets what it earns.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub payees: Option<Vec<PayeeInfo>>,
    /// The keys that signed it beside those of the inputs, and their signatures; of late precommits, these.
    pub signatures: Vec<PayloadSignature>,
}

/// A signature of a payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayloadSignature {
    /// By this key.
    pub key: Text<PublicKey>,
    /// 128 hex digits.
    pub signature: String,
}

impl PayloadInfo {
    /// Of a transaction; `None` for one that only moves money.
    pub fn of(transaction: &Transaction, network: Network) -> Option<Self> {
        let payload = &transaction.body.payload;
        let registration = match payload {
            TransactionPayload::Transfer => return None,
            TransactionPayload::Register(_) => Some(RegistrationId(transaction.id().0)),
            TransactionPayload::UpdateService { registration, .. }
            | TransactionPayload::UpdateRegistrar { registration, .. }
            | TransactionPayload::Pause { registration, .. }
            | TransactionPayload::Resume { registration, .. }
            | TransactionPayload::Revoke { registration, .. }
            | TransactionPayload::Release { registration }
            | TransactionPayload::DoubleSign { registration, .. } => Some(*registration),
            TransactionPayload::Reachability { free, .. } => Some(*free),
            TransactionPayload::LatePrecommits(_) => None,
        };
        let witnesses = transaction.witnesses.get(transaction.body.inputs.len()..).unwrap_or_default();
        let signature = |(key, signature): (PublicKey, Signature)| PayloadSignature {
            key: key.into(),
            signature: signature.to_string(),
        };
        let info = Self {
            kind: payload.name().into(),
            registration: registration.map(Text),
            previous: payload.previous().map(Text),
            signatures: witnesses.iter().flat_map(Witness::signatures).map(signature).collect(),
            ..Self::default()
        };
        Some(match payload {
            TransactionPayload::Register(RegisterPayload { tier, owner, operator, service, payouts }) => Self {
                tier: Some(tier.to_string()),
                owner: Some((*owner).into()),
                operator: Some((*operator).into()),
                service: Some(service.to_string()),
                payees: Some(payees(payouts, network)),
                ..info
            },
            TransactionPayload::UpdateService { service, .. } => Self { service: Some(service.to_string()), ..info },
            TransactionPayload::UpdateRegistrar { operator, payouts, .. } => {
                Self { operator: Some((*operator).into()), payees: Some(payees(payouts, network)), ..info }
            }
            TransactionPayload::DoubleSign { proof, .. } => Self {
                height: Some(proof.height().0),
                round: Some(proof.round().0),
                proof: Some(hex::encode(encode(proof))),
                ..info
            },
            TransactionPayload::LatePrecommits(late) => Self {
                height: Some(late.height.0),
                round: Some(late.round.0),
                block: Some(Text(late.block)),
                signatures: late.signatures.iter().map(|one| signature((one.validator, one.signature))).collect(),
                ..info
            },
            TransactionPayload::Reachability { interval, witness, .. } => {
                Self { interval: Some(*interval), witness: Some(Text(*witness)), ..info }
            }
            TransactionPayload::Transfer
            | TransactionPayload::Pause { .. }
            | TransactionPayload::Resume { .. }
            | TransactionPayload::Revoke { .. }
            | TransactionPayload::Release { .. } => info,
        })
    }
}

/// Payees as clients see them.
pub(crate) fn payees(payouts: &Payouts, network: Network) -> Vec<PayeeInfo> {
    let shown = |to: LockOwner| match to {
        LockOwner::KeyHash(_) => address(network, to.lock()),
        LockOwner::KeySet(_) => to.lock().to_string(),
    };
    payouts.as_slice().iter().map(|payout| PayeeInfo { address: shown(payout.to), share: payout.share }).collect()
}

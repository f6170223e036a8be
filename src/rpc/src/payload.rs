//! The shapes of what transactions do beside moving money.

use crate::text::{Text, address};
use serde::{Deserialize, Serialize};
use timed_ledger::{
    Lock, LockOwner, Payouts, RegisterPayload, RegistrationId, Transaction, TransactionPayload, Witness,
};
use timed_primitives::{Network, PublicKey, Signature, TxId};

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
    /// `register`, `update service`, `update registrar`, `pause`, `resume`, `revoke` or `release`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The masternode that it registers or changes.
    pub registration: Text<RegistrationId>,
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
    /// The keys that signed it beside those of the inputs, and their signatures.
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
            TransactionPayload::Register(_) => RegistrationId(transaction.id().0),
            TransactionPayload::UpdateService { registration, .. }
            | TransactionPayload::UpdateRegistrar { registration, .. }
            | TransactionPayload::Pause { registration, .. }
            | TransactionPayload::Resume { registration, .. }
            | TransactionPayload::Revoke { registration, .. }
            | TransactionPayload::Release { registration } => *registration,
        };
        let witnesses = transaction.witnesses.get(transaction.body.inputs.len()..).unwrap_or_default();
        let signature = |(key, signature): (PublicKey, Signature)| PayloadSignature {
            key: key.into(),
            signature: signature.to_string(),
        };
        let info = Self {
            kind: payload.name().into(),
            registration: registration.into(),
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
        LockOwner::KeyHash(hash) => address(network, Lock::KeyHash(hash)),
        LockOwner::KeySet(hash) => Lock::KeySet(hash).to_string(),
    };
    payouts.as_slice().iter().map(|payout| PayeeInfo { address: shown(payout.to), share: payout.share }).collect()
}

//! Transactions that several sign: each signer puts his witnesses in their places, and what is not signed yet has an empty one.

use crate::error::RpcError;
use crate::node::NodeApi;
use serde_json::{Value, json as value_of};
use timed_ledger::{
    KeyHash, LockOwner, MasternodeList, OutPoint, RegisterPayload, RegistrationId, Transaction, TransactionBody,
    TransactionPayload, Witness,
};
use timed_primitives::{Amount, PublicKey, SecretKey, Signature, encode};

/// Stands where a signature is not there yet, so that the witnesses of the others keep their places.
const NOT_SIGNED: Witness = Witness::Key { key: PublicKey([0; 32]), signature: Signature([0; 64]) };

/// Whose signature stands in a place of the witnesses.
pub(super) enum Signer {
    /// Of whom an input spends a coin.
    Coin {
        /// The spent output.
        outpoint: OutPoint,
        /// Whose it is; `None` where the output is not known, or needs more than one signature.
        owner: Option<KeyHash>,
        /// What it has, where it is known.
        amount: Option<Amount>,
    },
    /// Of the payload.
    Payload {
        /// `owner` or `operator`.
        role: &'static str,
        /// The key; `None` where the masternode is not known.
        key: Option<PublicKey>,
    },
}

impl Signer {
    /// The hash of the key that signs.
    pub(super) fn owner(&self) -> Option<KeyHash> {
        match self {
            Self::Coin { owner, .. } => *owner,
            Self::Payload { key, .. } => key.as_ref().map(KeyHash::of),
        }
    }

    /// The signature by one of these keys, if one of them is to sign here.
    pub(super) fn signed_by(&self, keys: &[SecretKey], message: &[u8]) -> Option<Witness> {
        let owner = self.owner()?;
        let key = keys.iter().find(|key| KeyHash::of(&key.public()) == owner)?;
        Some(Witness::Key { key: key.public(), signature: key.sign(message) })
    }

    fn is_right(&self, witness: &Witness, message: &[u8]) -> bool {
        let is_good = |(key, signature): &(PublicKey, Signature)| key.verify(message, signature);
        self.owner().is_none_or(|owner| witness.owner() == LockOwner::KeyHash(owner))
            && witness.signatures().iter().all(is_good)
    }

    /// The row of an error that says whose signature is missing.
    fn missing(&self) -> Value {
        match self {
            Self::Coin { outpoint, owner, .. } => {
                let why = if owner.is_some() {
                    "none of the keys may spend it"
                } else {
                    "it does not exist, is spent, or is not locked to one key"
                };
                let (txid, vout) = (outpoint.txid.to_string(), outpoint.index);
                value_of!({
                    "txid": txid, "vout": vout, "witness": [], "scriptSig": "", "sequence": u32::MAX, "error": why,
                })
            }
            Self::Payload { role, key } => {
                let why = if key.is_some() { "none of the keys is this one" } else { "no such masternode" };
                value_of!({ "role": role, "key": key.map(|key| key.to_string()), "error": why })
            }
        }
    }
}

/// Signs with secret keys.
pub(super) async fn sign_with_keys(
    node: &dyn NodeApi,
    transaction: Transaction,
    keys: &[&str],
) -> Result<Value, RpcError> {
    let keys = keys.iter().map(|text| read_key(text)).collect::<Result<Vec<_>, _>>()?;
    let signers = signers(node, &transaction.body).await?;
    let message = transaction.body.signing_message();
    let made = signers.iter().map(|signer| signer.signed_by(&keys, &message)).collect();
    Ok(answer(transaction, &signers, made))
}

/// Signs with the keys of the node's wallet.
pub(super) async fn sign_with_wallet(node: &dyn NodeApi, transaction: Transaction) -> Result<Value, RpcError> {
    let signers = signers(node, &transaction.body).await?;
    let owners = signers.iter().map(Signer::owner).collect();
    let made = node.witnesses(transaction.body.clone(), owners).await?;
    Ok(answer(transaction, &signers, made))
}

/// A secret key, as files of keys have it.
pub(super) fn read_key(text: &str) -> Result<SecretKey, RpcError> {
    let seed = hex::decode(text.trim()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    seed.map(SecretKey::from_seed).ok_or_else(|| RpcError::Key("expected 64 hex digits for each secret key".into()))
}

/// Whose signatures a transaction needs, in order of its witnesses.
pub(super) async fn signers(node: &dyn NodeApi, body: &TransactionBody) -> Result<Vec<Signer>, RpcError> {
    let mut signers = Vec::with_capacity(body.inputs.len());
    for input in &body.inputs {
        let found = node.output(input.previous, true).await?;
        let owner = found.and_then(|unspent| unspent.output.lock.key_hash());
        let amount = found.map(|unspent| unspent.output.amount);
        signers.push(Signer::Coin { outpoint: input.previous, owner, amount });
    }
    match &body.payload {
        TransactionPayload::Transfer | TransactionPayload::Release { .. } => {}
        TransactionPayload::Register(register) => signers.extend(of_registration(register)),
        payload => {
            let all = node.chain_masternodes().await?;
            signers.extend(of_change(payload, &all.list));
        }
    }
    Ok(signers)
}

fn of_registration(register: &RegisterPayload) -> [Signer; 2] {
    let signer = |role, key| Signer::Payload { role, key: Some(key) };
    [signer("owner", register.owner), signer("operator", register.operator)]
}

/// Who signs a change of a masternode of this list.
fn of_change(payload: &TransactionPayload, list: &MasternodeList) -> Vec<Signer> {
    let owner = |id: &RegistrationId| Signer::Payload { role: "owner", key: list.get(id).map(|one| one.owner) };
    let operator = |id: &RegistrationId| {
        let key = list.get(id).map(|one| one.operator);
        Signer::Payload { role: "operator", key }
    };
    match payload {
        TransactionPayload::UpdateService { registration, .. }
        | TransactionPayload::Pause { registration, .. }
        | TransactionPayload::Resume { registration, .. } => vec![operator(registration)],
        TransactionPayload::Revoke { registration, .. } => vec![owner(registration)],
        TransactionPayload::UpdateRegistrar { registration, operator, .. } => {
            vec![owner(registration), Signer::Payload { role: "operator", key: Some(*operator) }]
        }
        TransactionPayload::Reachability { witness, .. } => vec![operator(witness)],
        TransactionPayload::Transfer
        | TransactionPayload::Register(_)
        | TransactionPayload::Release { .. }
        | TransactionPayload::DoubleSign { .. }
        | TransactionPayload::LatePrecommits(_) => vec![],
    }
}

/// The transaction with what was there and is right, and what was made; and which of its signatures are there.
pub(super) fn completed(
    transaction: Transaction,
    signers: &[Signer],
    made: Vec<Option<Witness>>,
) -> (Transaction, Vec<bool>) {
    let message = transaction.body.signing_message();
    let mut before = transaction.witnesses.into_iter();
    let mut witnesses = Vec::with_capacity(signers.len());
    for (signer, made) in signers.iter().zip(made) {
        let kept = before.next().filter(|witness| signer.is_right(witness, &message));
        witnesses.push(made.or(kept));
    }
    let is_there = witnesses.iter().map(Option::is_some).collect();
    let witnesses = witnesses.into_iter().map(|witness| witness.unwrap_or(NOT_SIGNED)).collect();
    (Transaction { body: transaction.body, witnesses }, is_there)
}

/// The answer in Bitcoin's shape.
fn answer(transaction: Transaction, signers: &[Signer], made: Vec<Option<Witness>>) -> Value {
    let (signed, is_there) = completed(transaction, signers, made);
    let missing = signers.iter().zip(is_there).filter(|(_, is_there)| !is_there);
    let errors: Vec<Value> = missing.map(|(signer, _)| signer.missing()).collect();
    let mut answer = value_of!({ "hex": hex::encode(encode(&signed)), "complete": errors.is_empty() });
    if !errors.is_empty() {
        answer["errors"] = errors.into();
    }
    answer
}

/// The signatures of all, each in its place.
pub(super) fn combine(all: Vec<Transaction>) -> Result<Transaction, RpcError> {
    let mut all = all.into_iter();
    let Some(mut whole) = all.next() else {
        return Err(RpcError::InvalidParameter("combinerawtransaction: txs: at least one is needed".into()));
    };
    whole.witnesses.resize(whole.body.inputs.len() + whole.body.payload.signers(), NOT_SIGNED);
    for other in all {
        if other.body != whole.body {
            return Err(RpcError::InvalidParameter(
                "combinerawtransaction: txs: they are different transactions, not one with different signatures".into(),
            ));
        }
        for (witness, more) in whole.witnesses.iter_mut().zip(other.witnesses) {
            if *witness == NOT_SIGNED {
                *witness = more;
            }
        }
    }
    if whole.witnesses.iter().all(|witness| *witness == NOT_SIGNED) {
        whole.witnesses.clear();
    }
    Ok(whole)
}

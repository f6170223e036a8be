//! Transactions that several sign: each signer puts his witnesses beside the inputs, and what is not signed yet has an empty one.

use crate::error::RpcError;
use crate::node::NodeApi;
use serde_json::{Value, json as value_of};
use std::collections::BTreeMap;
use timed_ledger::{KeyHash, LockOwner, Transaction, Witness};
use timed_primitives::{PublicKey, SecretKey, Signature, encode};

/// Stands where an input is not signed yet, so that the witnesses of the others keep their places.
const NOT_SIGNED: Witness = Witness::Key { key: PublicKey([0; 32]), signature: Signature([0; 64]) };

/// Signs with secret keys.
pub(super) async fn sign_with_keys(
    node: &dyn NodeApi,
    transaction: Transaction,
    keys: &[&str],
) -> Result<Value, RpcError> {
    let mut known = BTreeMap::new();
    for text in keys {
        let key = read_key(text)?;
        known.insert(KeyHash::of(&key.public()), key);
    }
    let owners = owners(node, &transaction).await?;
    let message = transaction.body.signing_message();
    let witness = |owner: &Option<KeyHash>| {
        let key = known.get(owner.as_ref()?)?;
        Some(Witness::Key { key: key.public(), signature: key.sign(&message) })
    };
    let made = owners.iter().map(witness).collect();
    Ok(signed(transaction, &owners, made))
}

/// Signs with the keys of the node's wallet.
pub(super) async fn sign_with_wallet(node: &dyn NodeApi, transaction: Transaction) -> Result<Value, RpcError> {
    let owners = owners(node, &transaction).await?;
    let made = node.witnesses(transaction.body.clone(), owners.clone()).await?;
    Ok(signed(transaction, &owners, made))
}

fn read_key(text: &str) -> Result<SecretKey, RpcError> {
    let seed = hex::decode(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    seed.map(SecretKey::from_seed).ok_or_else(|| RpcError::Key("expected 64 hex digits for each secret key".into()))
}

/// Whose signature each input needs; `None` where the output is not known, or needs more than one signature.
async fn owners(node: &dyn NodeApi, transaction: &Transaction) -> Result<Vec<Option<KeyHash>>, RpcError> {
    let mut owners = Vec::with_capacity(transaction.body.inputs.len());
    for input in &transaction.body.inputs {
        let found = node.output(input.previous, true).await?;
        owners.push(found.and_then(|unspent| unspent.output.lock.key_hash()));
    }
    Ok(owners)
}

/// The answer: what was there and is right, and what was made.
fn signed(transaction: Transaction, owners: &[Option<KeyHash>], made: Vec<Option<Witness>>) -> Value {
    let message = transaction.body.signing_message();
    let is_right = |witness: &Witness, owner: &Option<KeyHash>| {
        let is_good = |(key, signature): &(PublicKey, Signature)| key.verify(&message, signature);
        owner.is_none_or(|owner| witness.owner() == LockOwner::KeyHash(owner))
            && witness.signatures().iter().all(is_good)
    };
    let mut before = transaction.witnesses.iter();
    let (mut witnesses, mut errors) = (Vec::with_capacity(owners.len()), Vec::new());
    for ((input, owner), made) in transaction.body.inputs.iter().zip(owners).zip(made) {
        let kept = before.next().cloned().filter(|witness| is_right(witness, owner));
        let found = made.or(kept);
        let is_missing = found.is_none();
        witnesses.push(found.unwrap_or(NOT_SIGNED));
        if is_missing {
            let why = if owner.is_some() {
                "none of the keys may spend it"
            } else {
                "it does not exist, is spent, or is not locked to one key"
            };
            let (txid, vout) = (input.previous.txid.to_string(), input.previous.index);
            errors.push(value_of!({
                "txid": txid, "vout": vout, "witness": [], "scriptSig": "", "sequence": u32::MAX, "error": why,
            }));
        }
    }
    let signed = Transaction { body: transaction.body, witnesses };
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
    let inputs = whole.body.inputs.len();
    whole.witnesses.resize(inputs, NOT_SIGNED);
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

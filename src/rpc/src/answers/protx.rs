//! `protx`: registers a masternode, changes it, and gets its collateral back.

use super::masternode_status::status;
use super::protx_options::ProtxOptions;
use super::shape::json;
use super::signing::{Signer, completed, signers};
use crate::chain::transaction_from_hex;
use crate::error::RpcError;
use crate::node::{Funding, NodeApi, PaymentOrder};
use crate::params::Args;
use crate::text::{JsonAmount, Text, address};
use serde_json::{Value, json as value_of};
use std::collections::BTreeSet;
use timed_ledger::{
    Address, Lock, Masternode, OutPoint, Payouts, RegisterPayload, RegistrationId, Tier, Transaction,
    TransactionPayload as P,
};
use timed_primitives::{Amount, SecretKey, encode};

/// More than the fee of the largest transaction at the usual rate: so much beside a collateral is looked for.
const FEE_ROOM: Amount = Amount::ONE;

/// The commands, and the options that each takes.
const COMMANDS: [(&str, &[&str]); 10] = [
    ("list", &[]),
    ("info", &[]),
    ("register_prepare", &["service", "owner", "operator", "payees", "collateral", "fund_from"]),
    ("register_submit", &[]),
    ("update_service", &["service", "operator_key"]),
    ("update_registrar", &["operator", "payees", "owner_key", "operator_key"]),
    ("pause", &["operator_key"]),
    ("resume", &["operator_key"]),
    ("revoke", &["owner_key"]),
    ("release", &["to", "collateral_key"]),
];

pub(super) async fn answer(node: &dyn NodeApi, args: &Args<'_>) -> Result<Value, RpcError> {
    let (command, target) = (args.text("command")?, args.text_or("target")?.unwrap_or_default());
    args.options("options")?;
    let Some((command, known)) = COMMANDS.iter().find(|(name, _)| *name == command) else {
        let command: String = command.chars().take(40).collect();
        let names = COMMANDS.map(|(name, _)| name).join(", ");
        return Err(RpcError::InvalidParameter(format!("protx: there is no command {command:?}: choose {names}")));
    };
    let options = ProtxOptions::read(command, args, known, node.network())?;
    match *command {
        "list" => list(node, target).await,
        "register_prepare" => prepare(node, target, options).await,
        "register_submit" => submit(node, target).await,
        command => {
            let id = target.parse::<RegistrationId>().map_err(|_| {
                RpcError::InvalidParameter(format!(
                    "protx {command}: target: expected the id of a masternode, 64 hex digits; `masternodelist` lists all"
                ))
            })?;
            if command == "info" {
                return status(node, Some(id)).await;
            }
            let all = node.chain_masternodes().await?;
            let one = all.list.get(&id).ok_or(RpcError::MasternodeUnknown(id))?;
            change(node, command, one, options).await
        }
    }
}

/// Ids: of all, of those that vote, or of those whose collateral is the wallet's.
async fn list(node: &dyn NodeApi, what: &str) -> Result<Value, RpcError> {
    let ids: Vec<Text<RegistrationId>> = match what {
        "" | "registered" => node.chain_masternodes().await?.list.iter().map(|one| one.id.into()).collect(),
        "valid" => {
            let rows = node.chain_masternodes().await?.rows(node.network());
            rows.into_iter().filter(|row| row.status == "voting").map(|row| row.registration).collect()
        }
        "wallet" => {
            let found = node.unspent(Vec::new()).await?;
            found.into_iter().filter_map(|unspent| unspent.collateral).map(Text).collect()
        }
        other => {
            let other: String = other.chars().take(40).collect();
            return Err(RpcError::InvalidParameter(format!(
                "protx list: there is no {other:?}: choose registered, valid or wallet"
            )));
        }
    };
    json(ids)
}

/// `register_prepare`: a registration that nobody has signed.
async fn prepare(node: &dyn NodeApi, tier: &str, options: ProtxOptions) -> Result<Value, RpcError> {
    let refuse = |what: &str| RpcError::InvalidParameter(format!("protx register_prepare: {what}"));
    let tier: Tier = tier.parse().map_err(|error| refuse(&format!("target: {error}")))?;
    let service = options.service.ok_or_else(|| refuse("options: service: where is the masternode reached?"))?;
    let owner = options.owner.ok_or_else(|| refuse("options: owner: the public key of its owner is missing"))?;
    let operator = options.operator.or_else(|| node.consensus_key());
    let operator = operator
        .ok_or_else(|| refuse("options: operator: this node has no consensus key: give the key that will vote"))?;
    let collateral = match options.collateral {
        Some(address) => address,
        None => best_address(node).await?,
    };
    let amount = tier.collateral(node.chain_masternodes().await?.free_deposit);
    let from_wallet = options.funds_from_wallet.unwrap_or_else(|| node.is_mine(&collateral));
    let inputs = coins_of(node, collateral, amount).await?;
    let payouts = options.payouts.unwrap_or_else(|| Payouts::one(collateral.lock().owner()));
    let order = PaymentOrder {
        outputs: vec![(collateral, amount)],
        payload: P::Register(RegisterPayload { tier, owner, operator, service, payouts }),
        only_named: !from_wallet,
        ..PaymentOrder::default()
    };
    let funding = node.fund(order, inputs, Some(collateral)).await?;
    let transaction = Transaction { body: funding.body, witnesses: Vec::new() };
    let signers = signers(node, &transaction.body).await?;
    let none = signers.iter().map(|_| None).collect();
    let (transaction, is_there) = completed(transaction, &signers, none);
    draft(node, &transaction, &signers, &is_there).await
}

/// The wallet's address that can pay most with one coin.
async fn best_address(node: &dyn NodeApi) -> Result<Address, RpcError> {
    let found = node.unspent(Vec::new()).await?;
    let best = found.iter().filter(|unspent| unspent.is_spendable()).max_by_key(|unspent| unspent.output.amount);
    let key_hash = best.and_then(|unspent| unspent.output.lock.key_hash());
    key_hash.map(|key_hash| Address { network: node.network(), key_hash }).ok_or_else(|| {
        RpcError::Wallet("it has no coin: name the address of the collateral (options: collateral)".into())
    })
}

/// Coins of an address, the largest first, for a collateral and its fee. One is needed: its key signs that it is to be locked.
async fn coins_of(node: &dyn NodeApi, of: Address, amount: Amount) -> Result<Vec<OutPoint>, RpcError> {
    let mut coins = node.unspent(vec![of]).await?;
    coins.retain(|coin| coin.is_spendable() && coin.output.lock == of.lock());
    if coins.is_empty() {
        return Err(RpcError::Wallet(format!(
            "{of} has no final coin, and its key must sign that money is locked: send {amount} TIME and a little for the fee there first"
        )));
    }
    coins.sort_by_key(|coin| (std::cmp::Reverse(coin.output.amount), coin.outpoint));
    let enough = amount.plus(FEE_ROOM).unwrap_or(amount);
    let mut sum = Amount::ZERO;
    let is_needed = |coin: &&crate::node::Unspent| {
        let is_needed = sum < enough;
        sum = sum.plus(coin.output.amount).unwrap_or(Amount(u64::MAX));
        is_needed
    };
    Ok(coins.iter().take_while(is_needed).map(|coin| coin.outpoint).collect())
}

/// `register_submit`, for any transaction of `protx`: with the signatures of this node's wallet and consensus key where they are missing.
async fn submit(node: &dyn NodeApi, text: &str) -> Result<Value, RpcError> {
    node.check_room(text.len() / 2)?;
    let transaction = transaction_from_hex(text)?;
    let (signers, transaction, is_there) = sign(node, transaction, &[]).await?;
    let missing = signers.iter().zip(is_there).filter(|(_, is_there)| !is_there);
    let missing: Vec<String> = missing.map(|(signer, _)| name(node, signer)).collect();
    if missing.is_empty() {
        return json(Text(node.submit(transaction, None).await?));
    }
    Err(RpcError::InvalidParameter(format!(
        "protx register_submit: signatures are missing: {}; nothing is sent",
        missing.join(", ")
    )))
}

/// Builds a change of a masternode, signs it with what is at hand, and sends it when that is enough.
async fn change(node: &dyn NodeApi, command: &str, one: &Masternode, options: ProtxOptions) -> Result<Value, RpcError> {
    let (registration, previous) = (one.id, one.last_change);
    let payload = match command {
        "update_service" => {
            let service = options.service.unwrap_or(one.service);
            P::UpdateService { registration, previous, service }
        }
        "update_registrar" => {
            let operator = options.operator.unwrap_or(one.operator);
            let payouts = options.payouts.unwrap_or_else(|| one.payouts.clone());
            P::UpdateRegistrar { registration, previous, operator, payouts }
        }
        "pause" => P::Pause { registration, previous },
        "resume" => P::Resume { registration, previous },
        "revoke" => P::Revoke { registration, previous },
        _ => P::Release { registration },
    };
    let Funding { body, .. } = match payload {
        P::Release { .. } => release(node, one, options.to).await?,
        payload => node.fund(PaymentOrder { payload, ..PaymentOrder::default() }, Vec::new(), None).await?,
    };
    let transaction = Transaction { body, witnesses: Vec::new() };
    let (signers, transaction, is_there) = sign(node, transaction, &options.keys).await?;
    if is_there.iter().all(|is_there| *is_there) {
        return json(Text(node.submit(transaction, None).await?));
    }
    draft(node, &transaction, &signers, &is_there).await
}

/// A release pays its fee from the collateral.
async fn release(node: &dyn NodeApi, one: &Masternode, to: Option<Address>) -> Result<Funding, RpcError> {
    let unspent = node.output(one.collateral, true).await?.ok_or(RpcError::MissingInput(one.collateral))?;
    let lock = unspent.output.lock;
    let back = lock.key_hash().map(|key_hash| Address { network: node.network(), key_hash });
    let to = to.or(back).ok_or_else(|| {
        RpcError::InvalidParameter(format!(
            "protx release: options: to: the collateral is locked by {lock}: who gets it?"
        ))
    })?;
    let order = PaymentOrder {
        outputs: vec![(to, unspent.output.amount)],
        fee_from: BTreeSet::from([0]),
        payload: P::Release { registration: one.id },
        only_named: true,
    };
    let mut funding = node.fund(order, vec![one.collateral], None).await?;
    // The penalty is in no output: it goes to the treasury. It changes no size, and so no fee.
    let paid = funding.body.outputs.first_mut();
    let left = paid.as_ref().and_then(|paid| paid.amount.minus(one.penalty)).filter(|left| *left > Amount::ZERO);
    match (paid, left) {
        (Some(paid), Some(left)) => paid.amount = left,
        _ => {
            return Err(RpcError::InvalidParameter(format!(
                "protx release: the penalty of {} TIME is all of the collateral: nothing is left that could be released",
                one.penalty
            )));
        }
    }
    Ok(funding)
}

/// With the signatures of these keys, of the wallet and of this node's consensus key.
async fn sign(
    node: &dyn NodeApi,
    transaction: Transaction,
    keys: &[SecretKey],
) -> Result<(Vec<Signer>, Transaction, Vec<bool>), RpcError> {
    let signers = signers(node, &transaction.body).await?;
    let message = transaction.body.signing_message();
    let of_wallet = node.witnesses(transaction.body.clone(), signers.iter().map(Signer::owner).collect()).await?;
    let own = node.consensus_key();
    let made = signers.iter().zip(of_wallet).map(|(signer, of_wallet)| {
        let is_own = matches!(signer, Signer::Payload { key: Some(key), .. } if Some(*key) == own);
        let of_node = || is_own.then(|| node.operator_witness(&transaction.body)).flatten();
        signer.signed_by(keys, &message).or(of_wallet).or_else(of_node)
    });
    let made = made.collect();
    let (transaction, is_there) = completed(transaction, &signers, made);
    Ok((signers, transaction, is_there))
}

/// A transaction that is not complete, for those who are to sign it.
async fn draft(
    node: &dyn NodeApi,
    transaction: &Transaction,
    signers: &[Signer],
    is_there: &[bool],
) -> Result<Value, RpcError> {
    let network = node.network();
    let spent: Option<Vec<Amount>> = signers
        .iter()
        .filter_map(|signer| match signer {
            Signer::Coin { amount, .. } => Some(*amount),
            Signer::Payload { .. } => None,
        })
        .collect();
    let paid = Amount::sum(transaction.body.outputs.iter().map(|output| output.amount));
    let penalty = node.chain_masternodes().await?.list.penalty_of(transaction);
    let left = spent.and_then(Amount::sum).zip(paid).and_then(|(spent, paid)| spent.minus(paid));
    let fee = left.and_then(|left| left.minus(penalty));
    let row = |(signer, signed): (&Signer, &bool)| match signer {
        Signer::Coin { outpoint, owner, amount } => value_of!({
            "role": "coin",
            "signed": signed,
            "address": owner.map(|hash| address(network, Lock::KeyHash(hash))),
            "amount": amount.map(JsonAmount),
            "txid": Text(outpoint.txid),
            "vout": outpoint.index,
        }),
        Signer::Payload { role, key } => value_of!({ "role": role, "signed": signed, "key": key.map(Text) }),
    };
    Ok(value_of!({
        "network": network.name(),
        "txid": Text(transaction.id()),
        "complete": is_there.iter().all(|is_there| *is_there),
        "fee": fee.map(JsonAmount),
        "signers": signers.iter().zip(is_there).map(row).collect::<Vec<_>>(),
        "hex": hex::encode(encode(transaction)),
    }))
}

/// Whose signature it is, for people.
fn name(node: &dyn NodeApi, signer: &Signer) -> String {
    match signer {
        Signer::Coin { outpoint, owner: None, .. } => {
            format!("coin {outpoint}, which is unknown, spent, or has several keys")
        }
        Signer::Coin { outpoint, owner: Some(hash), .. } => {
            format!("coin {outpoint} of {}", address(node.network(), Lock::KeyHash(*hash)))
        }
        Signer::Payload { role, key: Some(key) } => format!("{role} {key}"),
        Signer::Payload { role, key: None } => format!("{role} of a masternode that does not exist"),
    }
}

//! Answers about masternodes.

use super::masternode_status::{span, status};
use super::shape::{json, object};
use super::{masternode_proof, protx, rewards};
use crate::error::RpcError;
use crate::masternodes::dash_outpoint;
use crate::methods::MasternodeCall;
use crate::node::NodeApi;
use crate::params::Args;
use crate::result::MasternodeInfo;
use crate::text::address;
use crate::text::{JsonAmount, Text};
use serde_json::{Value, json as value_of};
use timed_ledger::{OutPoint, Tier};
use timed_primitives::Amount;

/// How Dash's tools ask for the list.
const MODES: [&str; 4] = ["json", "full", "status", "addr"];

pub(super) async fn answer(node: &dyn NodeApi, call: MasternodeCall, args: &Args<'_>) -> Result<Value, RpcError> {
    match call {
        MasternodeCall::MasternodeList => list(node, args).await,
        MasternodeCall::MasternodeStatus => {
            let named = if args.is_given("registration") { Some(args.registration("registration")?) } else { None };
            status(node, named).await
        }
        MasternodeCall::GetMasternodeProof => masternode_proof::prove(node, args.registration("registration")?).await,
        MasternodeCall::VerifyMasternodeProof => masternode_proof::verify(node, args).await,
        MasternodeCall::ListLockedCollaterals => locked(node).await,
        MasternodeCall::CheckCollateral => {
            check(node, OutPoint { txid: args.txid("txid")?, index: args.index("n")? }).await
        }
        MasternodeCall::GetRewardReport => rewards::report(node, args).await,
        MasternodeCall::MasternodeWinners => rewards::winners(node, args).await,
        MasternodeCall::MasternodeRewards => rewards::rewards(node, args).await,
        MasternodeCall::MasternodeHistory => rewards::history(node, args).await,
        MasternodeCall::Protx => protx::answer(node, args).await,
    }
}

/// `masternodelist`: without a mode a list; with one an object by collateral.
async fn list(node: &dyn NodeApi, args: &Args<'_>) -> Result<Value, RpcError> {
    let filter = args.text_or("filter")?.unwrap_or_default();
    let mode = args.text_or("mode")?.unwrap_or_default();
    if !mode.is_empty() && !MODES.contains(&mode) {
        let mode: String = mode.chars().take(40).collect();
        return Err(RpcError::InvalidParameter(format!(
            "masternodelist: there is no mode {mode:?}: choose json, full, status or addr, or leave it out"
        )));
    }
    let mut rows = node.masternodes().await?;
    rows.retain(|row| names(row).iter().any(|name| name.contains(filter)));
    if mode.is_empty() {
        return json(rows);
    }
    let shown = |row: &MasternodeInfo| match mode {
        "json" => json(row),
        "status" => Ok(row.status.clone().into()),
        "addr" => Ok(row.service.clone().into()),
        _ => {
            let (status, height, key) = (row.status.replace(' ', "_"), row.registered_height, row.key.0);
            Ok(format!("{status} {} {height} {} {key}", row.tier, row.service).into())
        }
    };
    let fields = rows.iter().map(|row| Ok((row.collateral.clone(), shown(row)?)));
    Ok(object(fields.collect::<Result<Vec<_>, RpcError>>()?))
}

/// What a masternode may be looked for by.
fn names(row: &MasternodeInfo) -> [String; 7] {
    let node_key = row.node_key.as_ref().map(|key| key.0.to_string());
    [
        row.key.0.to_string(),
        node_key.unwrap_or_default(),
        row.name.clone().unwrap_or_default(),
        row.addr.clone().unwrap_or_default(),
        row.registration.0.to_string(),
        row.collateral.clone(),
        row.service.clone(),
    ]
}

/// `listlockedcollaterals`.
async fn locked(node: &dyn NodeApi) -> Result<Value, RpcError> {
    let (found, all, network) = (node.unspent(Vec::new()).await?, node.chain_masternodes().await?, node.network());
    let rows = found.iter().filter_map(|unspent| {
        let id = unspent.collateral?;
        let one = all.list.get(&id);
        Some(value_of!({
            "txid": Text(unspent.outpoint.txid),
            "vout": unspent.outpoint.index,
            "amount": JsonAmount(unspent.output.amount),
            "address": address(network, unspent.output.lock),
            "masternode": Text(id),
            "tier": one.map(|one| one.tier.name()),
            "status": one.map_or("not in a block yet", |one| one.status.name()),
            "release_time": one.and_then(|one| all.release_time(one.status)),
            "penalty": one.map(|one| JsonAmount(one.penalty)),
        }))
    });
    Ok(rows.collect())
}

/// `checkcollateral`.
async fn check(node: &dyn NodeApi, outpoint: OutPoint) -> Result<Value, RpcError> {
    let (all, network) = (node.chain_masternodes().await?, node.network());
    let state = |state: &str, tier: Option<Tier>, amount: Option<Amount>, advice: String| {
        let tier = tier.map(Tier::name);
        let amount = amount.map(JsonAmount);
        value_of!({ "collateral": dash_outpoint(&outpoint), "state": state, "tier": tier, "amount": amount, "advice": advice })
    };
    if let Some(one) = all.list.of_collateral(&outpoint) {
        let amount = one.tier.collateral(all.free_deposit);
        let (id, status) = (one.id, one.status.name());
        let advice = match all.release_time(one.status) {
            None if one.is_ended() => format!(
                "it is the collateral of masternode {id}, which has {status}: it leaves by itself when others may lose their power with it, and {} \
                 TIME go to the treasury with its release",
                one.penalty
            ),
            None => format!(
                "it is the collateral of masternode {id}, which is {status}: `protx revoke {id}` and, after the unbonding time, `protx release {id}`"
            ),
            Some(time) => format!(
                "it is the collateral of masternode {id}, which has left: `protx release {id}` in {}",
                span(time.saturating_sub(all.time.seconds()))
            ),
        };
        return Ok(state("collateral", Some(one.tier), Some(amount), advice));
    }
    let Some(found) = node.output(outpoint, true).await? else {
        let record = node.transaction(outpoint.txid).await;
        let index = usize::try_from(outpoint.index).unwrap_or(usize::MAX);
        let paid = node.payment_of(outpoint.txid).await?;
        let was_paid = paid.is_some_and(|report| report.outputs.len() > index);
        let was_there = was_paid || record.is_ok_and(|record| record.transaction.body.outputs.len() > index);
        let (name, advice) = match was_there {
            true => ("spent", "it is spent: choose another output"),
            false => ("unknown", "this node knows no such output: check the id and the position"),
        };
        return Ok(state(name, None, None, advice.into()));
    };
    let amount = found.output.amount;
    let tier = Tier::ALL.into_iter().find(|tier| tier.collateral(all.free_deposit) == amount);
    let to = address(network, found.output.lock);
    let (name, advice) = match tier {
        _ if to.is_empty() => {
            ("unusable", format!("it is locked by {}: use an output that one key can spend", found.output.lock))
        }
        _ if found.confirmations == 0 => ("waiting", "it is not in a block yet: ask again in a moment".into()),
        None => {
            let amounts = Tier::ALL.map(|tier| format!("{} ({tier})", tier.collateral(all.free_deposit)));
            let advice = format!(
                "its amount is that of no tier: a collateral has exactly {} TIME, and the fee comes from another coin of {to}",
                amounts.join(", ")
            );
            ("other amount", advice)
        }
        Some(tier) => {
            let advice = format!(
                "it can pay for a {tier} masternode, whose registration makes the collateral anew: `protx register_prepare {tier}` with \
                 collateral {to}, and a little more there for the fee"
            );
            ("usable", advice)
        }
    };
    Ok(state(name, tier, Some(amount), advice))
}

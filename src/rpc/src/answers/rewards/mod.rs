//! Answers about what masternodes earn and lose, and where all money is.

mod history;
mod paid;
mod participation;
mod reasons;
mod report;

pub(super) use history::history;
pub(super) use paid::{rewards, winners};
pub(super) use participation::participation;
pub(super) use report::report;

use super::shape::json;
use crate::error::RpcError;
use crate::node::NodeApi;
use crate::params::Args;
use crate::rewards::ChainRewards;
use crate::text::JsonAmount;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use timed_ledger::RegistrationId;

/// What masternodes are called, by their ids.
struct Names(BTreeMap<RegistrationId, String>);

impl Names {
    async fn of(node: &dyn NodeApi) -> Result<Self, RpcError> {
        let rows = node.masternodes().await?.into_iter();
        Ok(Self(rows.filter_map(|row| row.name.map(|name| (row.registration.0, name))).collect()))
    }

    /// `None` for one that is not on the list any more.
    fn get(&self, id: &RegistrationId) -> Option<String> {
        self.0.get(id).cloned()
    }
}

/// The masternode that the client names by its id or its name; without either, the one with this node's consensus key.
async fn named(node: &dyn NodeApi, args: &Args<'_>, facts: &ChainRewards) -> Result<RegistrationId, RpcError> {
    let text = args.text_or("masternode")?.unwrap_or_default();
    if text.is_empty() {
        return super::masternode_status::own(node, &facts.list);
    }
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let names = Names::of(node).await?.0.into_iter();
    let found: Vec<RegistrationId> = names.filter(|(_, name)| name == text).map(|(id, _)| id).collect();
    let shown: String = text.chars().take(80).collect();
    match found[..] {
        [id] => Ok(id),
        [] => Err(RpcError::InvalidParameter(format!(
            "no masternode is called {shown:?}: give a name of `masternodelist`, or an id (64 hex digits)"
        ))),
        _ => Err(RpcError::InvalidParameter(format!("{} masternodes are called {shown:?}: give an id", found.len()))),
    }
}

/// The last `count` intervals that are paid and whose reports are kept: the first and the last; `None` without any.
fn last_intervals(facts: &ChainRewards, count: u64) -> Option<(u64, u64)> {
    let (oldest, newest) = facts.kept?;
    (count > 0).then(|| (oldest.max((newest + 1).saturating_sub(count)), newest))
}

/// `getsupply`. Unspent outputs, fees and treasury are all there is.
#[derive(Serialize)]
struct SupplyInfo {
    /// Of the last block.
    height: u64,
    total: JsonAmount,
    /// In unspent outputs, collateral included.
    unspent: JsonAmount,
    /// Collected and not paid out yet.
    fees: JsonAmount,
    treasury: JsonAmount,
    /// Made as rewards since the genesis.
    issued: JsonAmount,
    /// Made by the genesis.
    genesis: JsonAmount,
    /// Of what is unspent: locked as collateral of masternodes.
    locked: JsonAmount,
    /// Of what is locked: charged for double signs. It goes to the treasury when the collateral is released.
    penalties: JsonAmount,
}

/// `getsupply`.
pub(super) async fn supply(node: &dyn NodeApi) -> Result<Value, RpcError> {
    let facts = node.chain_rewards().await?;
    let supply = facts.supply;
    json(SupplyInfo {
        height: facts.height.0,
        total: supply.total().unwrap_or_default().into(),
        unspent: supply.unspent.into(),
        fees: supply.fees.into(),
        treasury: supply.treasury.into(),
        issued: supply.issued.into(),
        genesis: facts.genesis_supply.into(),
        locked: facts.locked().into(),
        penalties: facts.penalties().into(),
    })
}

/// `gettreasurybalance`.
pub(super) async fn treasury(node: &dyn NodeApi) -> Result<Value, RpcError> {
    json(JsonAmount(node.chain_rewards().await?.supply.treasury))
}

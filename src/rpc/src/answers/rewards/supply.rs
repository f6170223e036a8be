//! Where all money is.

use crate::answers::shape::json;
use crate::error::RpcError;
use crate::node::NodeApi;
use crate::text::JsonAmount;
use serde::Serialize;
use serde_json::Value;

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
pub(in crate::answers) async fn supply(node: &dyn NodeApi) -> Result<Value, RpcError> {
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
pub(in crate::answers) async fn treasury(node: &dyn NodeApi) -> Result<Value, RpcError> {
    json(JsonAmount(node.chain_rewards().await?.supply.treasury))
}

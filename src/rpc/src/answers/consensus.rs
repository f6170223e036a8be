//! Answers about validators.

use super::shape::json;
use crate::error::RpcError;
use crate::methods::ConsensusCall;
use crate::node::NodeApi;
use crate::params::Args;
use crate::result::MasternodeInfo;
use serde_json::Value;

pub(super) async fn answer(node: &dyn NodeApi, call: ConsensusCall, args: &Args<'_>) -> Result<Value, RpcError> {
    match call {
        ConsensusCall::GetConsensusInfo => json(node.consensus_info().await?),
        ConsensusCall::MasternodeList => {
            let filter = args.text_or("filter")?.unwrap_or_default();
            let mut rows = node.masternodes().await?;
            rows.retain(|row| names(row).iter().any(|name| name.contains(filter)));
            json(rows)
        }
    }
}

/// What a masternode may be looked for by.
fn names(row: &MasternodeInfo) -> [String; 4] {
    let node_key = row.node_key.as_ref().map(|key| key.0.to_string());
    [
        row.key.0.to_string(),
        node_key.unwrap_or_default(),
        row.name.clone().unwrap_or_default(),
        row.addr.clone().unwrap_or_default(),
    ]
}

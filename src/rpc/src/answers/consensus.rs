//! Answers about validators.

use super::shape::json;
use crate::error::RpcError;
use crate::methods::ConsensusCall;
use crate::node::NodeApi;
use serde_json::Value;

pub(super) async fn answer(node: &dyn NodeApi, call: ConsensusCall) -> Result<Value, RpcError> {
    match call {
        ConsensusCall::GetConsensusInfo => json(node.consensus_info().await?),
    }
}

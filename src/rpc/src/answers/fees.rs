//! Answers about fees, and to what clients of a mined chain ask.

use super::shape::core_name;
use crate::chain::{BITS, TARGET};
use crate::error::RpcError;
use crate::methods::FeeCall;
use crate::node::NodeApi;
use crate::params::Args;
use serde_json::{Value, json as value_of};

pub(super) async fn answer(node: &dyn NodeApi, call: FeeCall, args: &Args<'_>) -> Result<Value, RpcError> {
    match call {
        FeeCall::EstimateSmartFee => {
            let target = args.integer("conf_target")?;
            if !(1..=1_008).contains(&target) {
                return Err(RpcError::InvalidParameter(format!(
                    "estimatesmartfee: conf_target: expected 1 to 1008, got {target}"
                )));
            }
            let info = node.mempool_info().await?;
            // What enters the mempool is in one of the next blocks.
            Ok(value_of!({ "feerate": info.mempoolminfee.max(info.minrelaytxfee), "blocks": target }))
        }
        FeeCall::GetMiningInfo => {
            let (blocks, pooled) = (node.tip().await?.0.0, node.mempool_info().await?.size);
            let next = value_of!({ "height": blocks + 1, "bits": BITS, "difficulty": 1, "target": TARGET });
            Ok(value_of!({
                "blocks": blocks, "bits": BITS, "difficulty": 1, "target": TARGET, "networkhashps": 0, "pooledtx": pooled,
                "chain": core_name(node.network()), "next": next, "warnings": node.blockchain_info().await?.warnings,
            }))
        }
        FeeCall::GetNetworkHashPs => Ok(0.into()),
        FeeCall::PrioritiseTransaction => {
            args.txid("txid")?;
            Err(RpcError::InvalidParameter(
                "prioritisetransaction: a payment is paid for by its fee alone, and all nodes order by it: pay a higher one".into(),
            ))
        }
    }
}

//! Sees payments become final as a client does: `waitfornewblock`, then the block.

use super::senders::SendSchedule;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use timed_cli::{Failure, NodeConnection};

/// How long one call waits. Unit: ms.
const WAIT_MS: u64 = 1_000;

/// The last block a client has seen.
#[derive(Clone)]
pub(super) struct LastBlock {
    pub(super) height: u64,
    hash: Value,
    /// Blocks seen that were not first proposed in round 0.
    pub(super) later_rounds: u64,
}

impl LastBlock {
    /// The tip now.
    pub(super) fn now(connection: &mut NodeConnection) -> Result<Self, Failure> {
        let info = connection.call("getblockchaininfo", json!([]))?;
        Ok(Self {
            height: info["blocks"].as_u64().unwrap_or_default(),
            hash: info["bestblockhash"].clone(),
            later_rounds: 0,
        })
    }

    /// Follows one node until `is_over`. `is_mine` says which payments were sent to it.
    pub(super) fn follow(
        mut self,
        connection: &mut NodeConnection,
        schedule: &SendSchedule,
        index_of: &BTreeMap<String, usize>,
        is_mine: impl Fn(usize) -> bool,
        is_over: &AtomicBool,
    ) -> Result<Self, Failure> {
        while !is_over.load(Ordering::Relaxed) {
            let wait = json!({ "timeout": WAIT_MS, "current_tip": self.hash });
            let tip = connection.call("waitfornewblock", wait)?;
            let height = tip["height"].as_u64().unwrap_or_default();
            for height in self.height + 1..=height {
                let block = connection.call("getblock", json!([height, 1]))?;
                for txid in block["tx"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                    if let Some(index) = index_of.get(txid).filter(|index| is_mine(**index)) {
                        schedule.set_final(*index);
                    }
                }
                self.later_rounds += u64::from(block["round"].as_u64() != Some(0));
            }
            (self.height, self.hash) = (height.max(self.height), tip["hash"].clone());
        }
        Ok(self)
    }
}

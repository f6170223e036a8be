//! Asks nodes, wherever they run, and compares what they answer.

use crate::waiting::wait_for;
use serde_json::{Value, json};
use std::sync::Arc;
use timed_cli::{Failure, NodeConnection};

type Open = dyn Fn() -> Result<NodeConnection, Failure> + Send + Sync;

/// Asks one node.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) id: u64,
    open: Arc<Open>,
}

impl Client {
    /// `open` finds the node anew for each question: after a restart it may have another port.
    pub(crate) fn new(id: u64, open: impl Fn() -> Result<NodeConnection, Failure> + Send + Sync + 'static) -> Self {
        Self { id, open: Arc::new(open) }
    }

    pub(crate) fn call(&self, method: &str, params: Value) -> Result<Value, Failure> {
        (self.open)()?.call(method, params)
    }

    /// The answer; a refusal fails the test.
    pub(crate) fn ask(&self, method: &str, params: Value) -> Value {
        self.call(method, params.clone()).unwrap_or_else(|e| panic!("node {}: {method} {params}: {e}", self.id))
    }

    pub(crate) fn height(&self) -> Option<u64> {
        self.call("getblockcount", json!([])).ok()?.as_u64()
    }

    pub(crate) fn block_id(&self, height: u64) -> String {
        self.ask("getblockhash", json!([height])).as_str().unwrap().to_owned()
    }

    /// Pays somebody, by this node; returns the transaction's id.
    pub(crate) fn pay(&self) -> Result<String, Failure> {
        let to = self.call("getnewaddress", json!([]))?;
        Ok(self.call("sendtoaddress", json!([to, "0.5"]))?.as_str().expect("an id").to_owned())
    }

    /// The block that holds a transaction, if it is final here: height and id.
    pub(crate) fn block_of(&self, txid: &str) -> Option<(u64, String)> {
        let found = self.call("gettransaction", json!([txid])).ok()?;
        let is_final = found["confirmations"].as_u64()? >= 1;
        is_final.then(|| (found["blockheight"].as_u64().unwrap(), found["blockhash"].as_str().unwrap().to_owned()))
    }
}

/// Waits until a payment is final on all of them, in the same block; returns its height.
pub(crate) fn wait_final(nodes: &[&Client], txid: &str) -> u64 {
    wait_for(&format!("payment {txid} final on every node"), || {
        let blocks: Option<Vec<_>> = nodes.iter().map(|node| node.block_of(txid)).collect();
        let blocks = blocks?;
        let first = blocks.first().expect("a node runs");
        assert!(blocks.iter().all(|block| block == first), "payment {txid} is final in different blocks: {blocks:?}");
        Some(first.0)
    })
}

/// Every block is the same on all of them, up to the lowest of their heights, which is returned.
pub(crate) fn assert_same_blocks(nodes: &[&Client]) -> u64 {
    let height = nodes.iter().map(|node| node.height().expect("the node answers")).min().expect("a node runs");
    for at in 1..=height {
        let ids: Vec<_> = nodes.iter().map(|node| (node.id, node.block_id(at))).collect();
        assert!(ids.windows(2).all(|pair| pair[0].1 == pair[1].1), "blocks of height {at} differ: {ids:?}");
    }
    height
}

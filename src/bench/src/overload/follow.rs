//! Sees blocks as a client does: `waitfornewblock`, then `getblock`, on a thread for each node.

use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use timed_cli::{Failure, NodeConnection};
use tokio::sync::mpsc;

/// How long one call waits. Unit: ms.
const WAIT_MS: u64 = 500;
/// Pause after a node that did not answer.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// A block as one node showed it.
pub(crate) struct NodeBlock {
    pub(crate) node: usize,
    pub(crate) at: Instant,
    /// The round that decided it.
    pub(crate) round: u64,
    /// Ids of its transactions.
    pub(crate) ids: Vec<[u8; 32]>,
}

/// Follows nodes until it is dropped.
pub(crate) struct Followers {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Followers {
    /// Starts above each node's tip.
    ///
    /// # Errors
    /// When a node does not answer.
    pub(crate) fn start<'a>(
        folders: impl Iterator<Item = &'a Path>,
        blocks: &mpsc::UnboundedSender<NodeBlock>,
    ) -> anyhow::Result<Self> {
        let is_over = Arc::<AtomicBool>::default();
        let mut threads = Vec::new();
        for (node, folder) in folders.enumerate() {
            let mut connection = NodeConnection::of_data_dir(folder)?;
            let tip = connection.call("getblockchaininfo", json!([]))?;
            let mut height = tip["blocks"].as_u64().unwrap_or_default();
            let (blocks, ended) = (blocks.clone(), is_over.clone());
            threads.push(std::thread::spawn(move || {
                let mut tip = tip["bestblockhash"].clone();
                while !ended.load(Ordering::Acquire) {
                    if follow(&mut connection, node, &mut height, &mut tip, &blocks).is_err() {
                        std::thread::sleep(AGAIN_AFTER);
                    }
                }
            }));
        }
        Ok(Self { is_over, threads })
    }
}

impl Drop for Followers {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            // A panic of it has been shown.
            let _ = thread.join();
        }
    }
}

fn follow(
    connection: &mut NodeConnection,
    node: usize,
    height: &mut u64,
    tip: &mut Value,
    blocks: &mpsc::UnboundedSender<NodeBlock>,
) -> Result<(), Failure> {
    let new = connection.call("waitfornewblock", json!({ "timeout": WAIT_MS, "current_tip": tip }))?;
    let newest = new["height"].as_u64().unwrap_or_default();
    while *height < newest {
        let block = connection.call("getblock", json!([*height + 1, 1]))?;
        let ids = block["tx"].as_array().into_iter().flatten().filter_map(Value::as_str).filter_map(id).collect();
        let round = block["certificate"]["round"].as_u64().unwrap_or_default();
        *height += 1;
        // Nobody listens any more at the end.
        let _ = blocks.send(NodeBlock { node, at: Instant::now(), round, ids });
    }
    *tip = new["hash"].clone();
    Ok(())
}

fn id(text: &str) -> Option<[u8; 32]> {
    let mut id = [0; 32];
    hex::decode_to_slice(text, &mut id).ok()?;
    Some(id)
}

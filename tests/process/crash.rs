//! `kill -9` at the worst moment: nothing final is lost or changed.

use crate::harness::{Network, Node, pause, wait_for};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Pays by node 1 as fast as it takes payments, while `meanwhile` runs; the ids of those it took are in the list at once.
fn under_load<T>(
    network: &mut Network,
    meanwhile: impl FnOnce(&mut Network, &Mutex<Vec<String>>) -> T,
) -> (T, Vec<String>) {
    let (taken, is_over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let payer = network.node(1).client();
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                // Refusals are expected while a node is down.
                match payer.pay() {
                    Ok(txid) => taken.lock().unwrap().push(txid),
                    Err(_) => pause(),
                }
            }
        });
        // Also when it panics, else the scope waits for ever.
        struct Over<'a>(&'a AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _over = Over(&is_over);
        meanwhile(network, &taken)
    });
    (result, taken.into_inner().unwrap())
}

/// What a node calls final: blocks by height, and the block of each payment.
struct Promise {
    blocks: Vec<String>,
    payments: BTreeMap<String, (u64, String)>,
}

impl Promise {
    fn of(node: &Node, payments: &[String]) -> Self {
        let height = node.height().expect("the node answers");
        Self {
            blocks: (1..=height).map(|at| node.block_id(at)).collect(),
            payments: payments.iter().filter_map(|txid| Some((txid.clone(), node.block_of(txid)?))).collect(),
        }
    }

    fn height(&self) -> u64 {
        u64::try_from(self.blocks.len()).unwrap()
    }

    /// It had all of this by itself when it started again, not from its peers.
    fn assert_kept_on_disk_by(&self, node: &Node) {
        let (start, promised) = (node.height_at_start(), self.height());
        assert!(start >= promised, "node {} started at height {start} and had promised {promised}", node.id);
    }

    fn assert_kept_by(&self, node: &Node) {
        wait_for("the node's own height", || (node.height()? >= self.height()).then_some(()));
        for (height, id) in (1..).zip(&self.blocks) {
            assert_eq!(&node.block_id(height), id, "node {}: block {height} is another one", node.id);
        }
        for (txid, block) in &self.payments {
            assert_eq!(node.block_of(txid).as_ref(), Some(block), "node {}: payment {txid}", node.id);
        }
    }
}

/// Waits for more blocks and takes stock the moment they are there.
fn promise_after(network: &Network, id: u64, blocks: u64, payments: &Mutex<Vec<String>>) -> Promise {
    let node = network.node(id);
    let start = node.height().unwrap();
    wait_for("blocks under load", || (node.height()? >= start + blocks).then_some(()));
    let payments = payments.lock().unwrap().clone();
    Promise::of(node, &payments)
}

#[test]
fn a_node_killed_under_load_keeps_what_is_final() {
    let mut network = Network::start(3, 0);
    let (promises, payments) = under_load(&mut network, |network, payments| {
        [3, 2, 3].map(|id| {
            let promise = promise_after(network, id, 4, payments);
            network.node_mut(id).kill();
            network.node_mut(id).start();
            promise.assert_kept_by(network.node(id));
            promise.assert_kept_on_disk_by(network.node(id));
            promise
        })
    });
    assert!(promises.iter().all(|promise| !promise.payments.is_empty()), "no payment was final before a kill");
    // All that was taken becomes final, since the node that took it never ended.
    for txid in &payments {
        network.wait_final(txid);
    }
    for node in network.running() {
        promises.iter().for_each(|promise| promise.assert_kept_by(node));
    }
    network.assert_same_blocks();
}

#[test]
fn all_nodes_killed_at_once_keep_what_is_final_and_go_on() {
    let mut network = Network::start(3, 0);
    let (promises, _) = under_load(&mut network, |network, payments| {
        let promises: Vec<_> = [1, 2, 3].map(|id| promise_after(network, id, 3, payments)).into();
        network.nodes.iter_mut().for_each(Node::kill);
        promises
    });
    assert!(promises.iter().all(|promise| !promise.payments.is_empty()), "no payment was final before the kill");
    network.nodes.iter_mut().for_each(Node::start);
    for node in &network.nodes {
        promises.iter().for_each(|promise| promise.assert_kept_by(node));
    }
    for (promise, node) in promises.iter().zip(&network.nodes) {
        promise.assert_kept_on_disk_by(node);
    }
    let before = promises.iter().map(Promise::height).max().unwrap();
    let txid = wait_for("a payment", || network.node(2).pay().ok());
    assert!(network.wait_final(&txid) > before, "heights do not go on");
    network.assert_same_blocks();
}

//! What a node took from a client survives the node, or its loss has a reason.

use crate::harness::{Client, Network, Node, pause, wait_for};
use crate::metrics::Metrics;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use timed_cli::Failure;

/// Starts a node that has no quorum, and waits until it answers.
fn start_alone(network: &mut Network, id: u64) {
    network.node_mut(id).start();
    wait_for("the node answers", || network.node(id).height());
}

/// Three payments that nobody can decide.
fn pay_three(node: &Node) -> BTreeSet<String> {
    (0..3).map(|_| node.pay().unwrap()).collect()
}

fn waiting(node: &Client) -> BTreeSet<String> {
    let found = node.ask("getrawmempool", json!([]));
    found.as_array().unwrap().iter().map(|txid| txid.as_str().unwrap().to_owned()).collect()
}

/// All of them wait, once the node has checked them again, and none is final.
fn assert_waiting(node: &Node, payments: &BTreeSet<String>) {
    wait_for("what waited waits again", || (waiting(node) == *payments).then_some(()));
    for txid in payments {
        assert_eq!(node.ask("gettransaction", json!([txid]))["confirmations"], 0);
    }
}

#[test]
fn payments_that_no_quorum_decides_survive_a_stop_and_a_kill() {
    let mut network = Network::prepare(4, 0);
    start_alone(&mut network, 1);
    let payments = pay_three(network.node(1));
    network.node_mut(1).process().signal("TERM");
    assert_eq!(network.node_mut(1).wait_end().code(), Some(0));
    start_alone(&mut network, 1);
    assert_waiting(network.node(1), &payments);

    // The moment the last one is answered.
    let more = pay_three(network.node(1));
    network.node_mut(1).kill();
    start_alone(&mut network, 1);
    let all = &payments | &more;
    assert_eq!(all.len(), 6, "each payment is one of its own");
    assert_waiting(network.node(1), &all);

    for id in 2..=4 {
        network.node_mut(id).start();
    }
    for txid in &all {
        network.wait_final(txid);
    }
    wait_for("nothing waits", || waiting(network.node(1)).is_empty().then_some(()));
}

#[test]
fn orderly_stops_under_load_lose_no_payment() {
    const STOPS: usize = 5;
    let mut network = Network::start(4, 0);
    let (taken, is_over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let payer = network.node(1).client();
    std::thread::scope(|scope| {
        struct Over<'a>(&'a AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let over = Over(&is_over);
        for _ in 0..8 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    match payer.pay() {
                        Ok(txid) => taken.lock().unwrap().push(txid),
                        Err(_) => pause(),
                    }
                }
            });
        }
        for _ in 0..STOPS {
            let before = taken.lock().unwrap().len();
            wait_for("payments", || (taken.lock().unwrap().len() > before + 20).then_some(()));
            // Nobody has what this one takes last.
            network.nodes.iter_mut().for_each(|node| node.process().signal("TERM"));
            for node in &mut network.nodes {
                assert_eq!(node.wait_end().code(), Some(0));
            }
            network.nodes.iter_mut().for_each(Node::start);
        }
        drop(over);
    });
    let taken = taken.into_inner().unwrap();
    assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), taken.len(), "one id for two payments");
    for txid in &taken {
        network.wait_final(txid);
    }
}

#[test]
fn a_payment_lost_to_another_while_its_node_was_down_is_reported_with_the_reason() {
    let mut network = Network::prepare(4, 0);
    start_alone(&mut network, 1);
    let lost = network.node(1).pay().unwrap();
    network.node_mut(1).process().signal("TERM");
    network.node_mut(1).wait_end();
    for id in 2..=4 {
        network.node_mut(id).start();
    }
    network.wait_height(1);
    // All nodes have one development wallet, which pays by the same coin first.
    let to = network.node(2).ask("getnewaddress", json!([]));
    let winner = network.node(2).ask("sendtoaddress", json!([to, "0.7"])).as_str().unwrap().to_owned();
    network.wait_final(&winner);
    network.node_mut(1).start();
    let why = |node: &Node| match node.call("gettransaction", json!([lost])) {
        Err(Failure::Rpc { code: -5, message, .. }) => message.contains("is lost").then_some(message),
        _ => None,
    };
    let message = wait_for("the loss", || why(network.node(1)));
    assert!(message.contains("conflict") && message.contains(&winner), "{message}");
    let log = network.node(1).log();
    assert!(log.contains("an accepted payment is lost") && log.contains(&lost), "{log}");
    let counted = |network: &Network| {
        let metrics = Metrics::read(&network.node(1).page("/metrics").1);
        let of = |reason: &str| metrics.get(&format!("timed_mempool_lost_total{{reason=\"{reason}\"}}"));
        (of("conflict"), metrics.sum("timed_mempool_lost_total"))
    };
    assert_eq!(wait_for("the count", || Some(counted(&network)).filter(|(_, all)| *all > 0.0)), (1.0, 1.0));
    // Also to the next life, once the file has it: the record names the winner.
    let (file, id) = (network.node(1).folder.join("mempool.log"), hex::decode(&winner).unwrap());
    wait_for("the file", || fs::read(&file).unwrap().windows(id.len()).any(|bytes| bytes == id).then_some(()));
    network.node_mut(1).kill();
    start_alone(&mut network, 1);
    assert_eq!(wait_for("the loss again", || why(network.node(1))), message);
    assert_eq!(counted(&network), (0.0, 0.0), "it was counted in the life in which it was lost");
    // Nodes that never took it know nothing of it.
    assert!(
        matches!(network.node(2).call("gettransaction", json!([lost])), Err(Failure::Rpc { code: -5, message, .. }) if !message.contains("lost"))
    );
}

#[test]
fn a_damaged_file_is_put_aside_and_the_node_starts() {
    let mut network = Network::prepare(4, 0);
    start_alone(&mut network, 1);
    let payments = pay_three(network.node(1));
    network.node_mut(1).kill();
    let file = network.node(1).folder.join("mempool.log");
    let mut bytes = std::fs::read(&file).unwrap();
    // In the midst of the first record.
    bytes[100] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    start_alone(&mut network, 1);
    wait_for("two of three", || (waiting(network.node(1)).len() == 2).then_some(()));
    assert!(waiting(network.node(1)).is_subset(&payments));
    assert!(file.with_extension("log.damaged").exists());
    assert!(network.node(1).log().contains("is damaged and put aside"));
}

#[test]
fn many_payments_at_once_take_different_coins() {
    const PAYERS: usize = 60;
    const EACH: usize = 40;
    let network = Network::start(1, 0);
    let client = network.node(1).client();
    let to = client.ask("getnewaddress", json!([]));
    // What is refused has a true reason: all coins wait for payments under way, or the node has no time. Then it is tried again.
    let pay = |_| {
        wait_for("a coin", || match client.call("sendtoaddress", json!([to, "0.5"])) {
            Ok(txid) => Some(txid.as_str().unwrap().to_owned()),
            Err(Failure::Rpc { code: -6 | -32005, .. }) => None,
            Err(failure) => panic!("{failure}"),
        })
    };
    let paid: Vec<String> = std::thread::scope(|scope| {
        let payers: Vec<_> = (0..PAYERS).map(|_| scope.spawn(|| (0..EACH).map(pay).collect::<Vec<_>>())).collect();
        payers.into_iter().flat_map(|payer| payer.join().unwrap()).collect()
    });
    let different: BTreeSet<_> = paid.iter().collect();
    assert_eq!((paid.len(), different.len()), (PAYERS * EACH, PAYERS * EACH), "two payments are one");
    network.wait_final(paid.last().unwrap());
}

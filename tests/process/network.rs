//! Three shells are a network; without all three it says what is missing.

use crate::harness::{Network, Node, cli, wait_for};
use crate::troubles::wait_for_trouble;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Ids of a node's connections by the peer's key: another id is another connection.
fn connections(node: &Node) -> BTreeMap<String, u64> {
    let peers = node.ask("getpeerinfo", json!([]));
    let row = |peer: &Value| (peer["node_key"].as_str().unwrap().to_owned(), peer["id"].as_u64().unwrap());
    peers.as_array().unwrap().iter().map(row).collect()
}

/// True when the log shows both sides of a ping at least `times` for a direction and a peer's address.
fn has_heartbeat(log: &str, direction: &str, address: &str, times: usize) -> bool {
    [
        format!("📤 [{direction}] Sent ping to {address} (nonce: "),
        format!("📨 [{direction}] Received pong from {address} (nonce: "),
        format!("✅ [{direction}] Pong matches! {address} (nonce: "),
        format!("✅ [{direction}] Sent pong to {address} (nonce: "),
    ]
    .iter()
    .all(|line| log.matches(line.as_str()).count() >= times)
}

#[test]
fn three_shells_find_each_other_and_decide() {
    const PINGS: usize = 3;
    let network = Network::start(3, 0);
    // Paid by one, received by another, final on all.
    let mut command = cli();
    let receiver = network.node(3).ask("getnewaddress", json!([]));
    command.args(["--json", "--data-dir"]).arg(&network.node(1).folder);
    let paid = command.args(["sendtoaddress", receiver.as_str().unwrap(), "12.5"]).output().unwrap();
    assert!(paid.status.success(), "{paid:?}");
    let txid: String = serde_json::from_slice(&paid.stdout).unwrap();
    let height = network.wait_final(&txid);
    assert!(height >= 2, "{height}");
    let settled = |node: &Node| {
        let connections = connections(node);
        (connections.len() == 2).then_some(connections)
    };
    let before: Vec<_> = wait_for("two connections each", || network.nodes.iter().map(settled).collect::<Option<_>>());

    // Both ends of each connection ping and are answered, in both directions somewhere.
    for node in &network.nodes {
        for peer in network.nodes.iter().filter(|peer| peer.id != node.id) {
            let address = format!("127.0.0.1:{}", peer.p2p_port);
            wait_for(&format!("{PINGS} heartbeats of node {} with {address}", node.id), || {
                let log = node.log();
                ["INBOUND", "OUTBOUND"]
                    .iter()
                    .any(|direction| has_heartbeat(&log, direction, &address, PINGS))
                    .then_some(())
            });
        }
    }
    let logs: String = network.nodes.iter().map(Node::log).collect();
    for direction in ["[INBOUND] Pong matches!", "[OUTBOUND] Pong matches!"] {
        assert!(logs.contains(direction), "no connection shows {direction}");
    }
    // When two dial each other at the same moment, one of the two connections is given up, at once and for this reason.
    let dropped = |line: &&str| line.contains("peer is gone") && !line.contains("reason=\"duplicate\"");
    let dropped: Vec<_> = logs.lines().filter(|line| line.contains("Ping timeout") || dropped(line)).collect();
    assert!(dropped.is_empty(), "a live peer was dropped: {dropped:#?}");
    let after: Vec<_> = network.nodes.iter().map(connections).collect();
    assert_eq!(after, before, "connections are made once and kept");
    network.assert_same_blocks();
}

#[test]
fn two_of_three_say_which_node_is_missing_and_go_on_when_it_returns() {
    const LINE: &str = "no quorum: 2 of 3 voting power, need 3; missing node 3";
    let mut network = Network::start(3, 0);
    wait_for("all ready", || network.running().all(|node| node.page("/ready").0 == 200).then_some(()));
    network.node_mut(3).kill();
    let count = |node: &Node| node.log().matches(LINE).count();
    for node in network.running() {
        wait_for("the quorum line", || (node.ask("getconsensusinfo", json!([]))["why"] == LINE).then_some(()));
        let consensus = node.ask("getconsensusinfo", json!([]));
        assert_eq!((&consensus["has_quorum"], &consensus["quorum_power"]), (&json!(false), &json!(3)), "{consensus}");
        assert_eq!(wait_for_trouble(node.rpc_port, "no_quorum", LINE), LINE);
        let warnings = node.ask("getnetworkinfo", json!([]))["warnings"].clone();
        assert!(warnings.as_array().unwrap().contains(&json!(LINE)), "{warnings}");
        wait_for("the line in the log", || (count(node) >= 1).then_some(()));
    }
    // A payment waits, and no block is decided without the third.
    let height = network.node(1).height();
    let txid = network.node(1).pay().unwrap();
    wait_for("the payment's proposal", || {
        network.running().all(|node| !node.ask("getconsensusinfo", json!([]))["proposal"].is_null()).then_some(())
    });
    assert_eq!((network.node(1).block_of(&txid), network.node(1).height()), (None, height));

    network.node_mut(3).start();
    assert!(network.wait_final(&txid) > height.unwrap());
    wait_for("all ready again", || network.running().all(|node| node.page("/ready").0 == 200).then_some(()));
    let consensus = network.node(1).ask("getconsensusinfo", json!([]));
    assert_eq!(consensus["has_quorum"], json!(true), "{consensus}");
    network.assert_same_blocks();
}

#[test]
fn a_network_of_one_decides() {
    let network = Network::start(1, 0);
    for _ in 0..3 {
        let txid = network.node(1).pay().unwrap();
        network.wait_final(&txid);
    }
    assert_eq!(network.node(1).page("/ready").0, 200);
}

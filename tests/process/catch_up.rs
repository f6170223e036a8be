//! Nodes that come late, or back.

use crate::harness::{Network, wait_for};
use serde_json::json;

/// Blocks made while a node is away.
const BLOCKS: u64 = 35;

/// Makes blocks, one for each payment.
fn make_blocks(network: &Network, count: u64) {
    for _ in 0..count {
        let txid = network.node(1).pay().unwrap();
        network.wait_final(&txid);
    }
}

#[test]
fn an_observer_follows_and_catches_up_after_being_away() {
    let mut network = Network::start(3, 1);
    let consensus = network.node(4).ask("getconsensusinfo", json!([]));
    assert_eq!((&consensus["validator"], &consensus["signing"]), (&json!(null), &json!(false)), "{consensus}");
    // Followed as it happens: the observer's own payment comes back to it as final.
    let txid = network.node(4).pay().unwrap();
    network.wait_final(&txid);

    network.node_mut(4).kill();
    make_blocks(&network, BLOCKS);
    let height = network.node(1).height().unwrap();
    assert!(height > BLOCKS, "{height}");
    network.node_mut(4).start();
    network.wait_height(height);
    assert!(network.assert_same_blocks() >= height);
    wait_for("the observer ready", || (network.node(4).page("/ready").0 == 200).then_some(()));
    let txid = network.node(4).pay().unwrap();
    network.wait_final(&txid);
}

#[test]
fn a_validator_that_was_away_catches_up_and_votes_again() {
    let mut network = Network::start(4, 0);
    network.node_mut(4).kill();
    make_blocks(&network, BLOCKS);
    let height = network.node(1).height().unwrap();
    network.node_mut(4).start();
    network.wait_height(height);
    // It was away for so long that its data could be an old copy, so it signs only when two heights have passed that the others
    // decided after its start.
    wait_for("the returned node signs", || {
        make_blocks(&network, 1);
        (network.node(4).ask("getconsensusinfo", json!([]))["signing"] == json!(true)).then_some(())
    });
    // Now the others need it.
    network.node_mut(3).kill();
    let txid = network.node(1).pay().unwrap();
    assert!(network.wait_final(&txid) > height);
    network.assert_same_blocks();
}

//! A second node with the key of a validator: it must stay silent and say why, and the first one must go on.
//!
//! Two starts of it; `TIMED_TWIN_STARTS=50` makes a long run.

use crate::checker::Checker;
use crate::harness::{Network, Node, run, timed, wait_for};
use crate::troubles::wait_for_trouble;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::Duration;
use timed_primitives::SecretKey;

/// Voters of the network; the twin has the next id.
const NODES: u64 = 4;
/// Payments made while a twin runs.
const PAYMENTS: u64 = 12;
/// No command here waits for a node.
const LIMIT: Duration = Duration::from_secs(15);

fn key_file(folder: &Path, purpose: &'static str) -> String {
    let file = folder.join(format!("{purpose}.key"));
    fs::write(&file, hex::encode(SecretKey::development(purpose, 1).seed())).unwrap();
    file.display().to_string()
}

/// Why it does not sign; `None` when it does, or does not answer yet.
fn reason(node: &Node) -> Option<String> {
    let info = node.call("getconsensusinfo", json!([])).ok()?;
    info["signing_off_reason"].as_str().map(str::to_owned)
}

fn resume_signing(folder: &Path) -> std::process::Output {
    let mut command = timed();
    command.args(["resume-signing", "--data-dir"]).arg(folder);
    run(command, LIMIT)
}

/// A network whose fifth node has the consensus key of the first, and its node key as well when `is_copy`.
fn network_with_twin(is_copy: bool) -> Network {
    let mut network = Network::prepare(NODES, 1);
    let folder = network.node(1).folder.parent().unwrap().to_owned();
    let mut toml = format!("[node]\nconsensus_key = {:?}\n", key_file(&folder, "consensus"));
    if is_copy {
        toml.push_str(&format!("node_key = {:?}\n", key_file(&folder, "node")));
    }
    let twin = network.node_mut(NODES + 1);
    twin.configure(&toml);
    network.nodes.iter_mut().filter(|node| node.id <= NODES).for_each(Node::start);
    network.wait_height(1);
    network
}

/// One life of a twin with an empty folder.
fn live(network: &mut Network, checker: &mut Checker, round: u64) {
    network.node_mut(NODES + 1).start();
    for number in 0..PAYMENTS {
        let txid = network.node(1 + (round + number) % NODES).pay().unwrap();
        wait_for("a final payment", || network.node(2).block_of(&txid));
    }
    let twin = network.node(NODES + 1);
    let why = wait_for("the twin's reason", || {
        reason(twin)
            .filter(|why| why.contains("our key is live elsewhere") || why.contains("another node signs with our key"))
    });
    assert!(why.contains("127.0.0.1:") && why.contains("instance"), "{why}");
    assert_eq!(network.node(1).ask("getconsensusinfo", json!([]))["signing"], json!(true), "the original signs");
    let text = wait_for_trouble(twin.rpc_port, "twin", "our key");
    assert!(text.lines().any(|line| line.starts_with("signing is ") && line.contains("127.0.0.1:")), "{text}");
    let warnings = twin.ask("getnetworkinfo", json!([]))["warnings"].to_string();
    assert!(warnings.contains("our key"), "{warnings}");
    for id in 1..=NODES + 1 {
        checker.peek(id, &network.node(id).folder).unwrap();
    }
}

/// Nobody contradicted anybody, by the files of all and the log of all.
fn check(network: &mut Network, checker: &mut Checker) {
    network.nodes.iter_mut().for_each(Node::kill);
    for node in &network.nodes {
        checker.read(node.id, &node.folder).unwrap();
        assert!(!node.log().contains("contradicted itself"), "node {} saw a validator sign twice", node.id);
        assert_eq!(node.errors(), "", "node {} failed", node.id);
    }
}

#[test]
fn a_twin_with_an_empty_folder_signs_nothing_and_says_why() {
    let starts = std::env::var("TIMED_TWIN_STARTS").ok().map_or(2, |starts| starts.parse::<u64>().expect("a number"));
    let mut network = network_with_twin(false);
    let mut checker = Checker::new(NODES);
    for round in 0..starts {
        live(&mut network, &mut checker, round);
        println!("{}/{starts}: {:?}", round + 1, checker.counts());
        if round + 1 < starts {
            network.node_mut(NODES + 1).kill();
            fs::remove_dir_all(&network.node(NODES + 1).folder).unwrap();
        }
    }
    check(&mut network, &mut checker);
}

/// Its sessions take the place of the original's at every peer, and the other way round.
#[test]
fn a_twin_with_the_same_node_key_signs_nothing() {
    let mut network = network_with_twin(true);
    let mut checker = Checker::new(NODES);
    network.node_mut(NODES + 1).start();
    // Payments may be final before it has opened its files.
    wait_for("a session of the twin", || network.node(NODES + 1).log().contains("peer is up").then_some(()));
    for number in 0..PAYMENTS {
        let txid = network.node(2 + number % 3).pay().unwrap();
        wait_for("a final payment", || network.node(2).block_of(&txid));
    }
    check(&mut network, &mut checker);
}

/// What the other signed is in the blocks: the stop outlives the twin's restart, until the operator lifts it.
#[test]
fn a_proven_twin_stays_silent_until_the_operator_lets_it_sign() {
    const PROVEN: &str = "another node signs with our key";
    let mut network = network_with_twin(false);
    network.node_mut(NODES + 1).start();
    let folder = network.node(NODES + 1).folder.clone();
    wait_for("a proof", || {
        network.node(2).pay().unwrap();
        reason(network.node(NODES + 1)).filter(|why| why.contains(PROVEN))
    });
    let refused = resume_signing(&folder);
    assert!(!refused.status.success(), "{refused:?}");
    network.node_mut(1).process().signal("TERM");
    assert!(network.node_mut(1).wait_end().success());
    network.node_mut(NODES + 1).kill();
    network.node_mut(NODES + 1).start();
    let why = wait_for("the stop after a restart", || reason(network.node(NODES + 1)));
    assert!(why.contains(PROVEN) && why.contains("timed resume-signing --data-dir"), "{why}");
    network.node_mut(NODES + 1).kill();
    let lifted = resume_signing(&folder);
    assert!(lifted.status.success(), "{lifted:?}");
    assert!(String::from_utf8(lifted.stdout).unwrap().contains(PROVEN));
    network.node_mut(NODES + 1).start();
    wait_for("signing", || {
        // Two heights have to pass.
        let _ = network.node(2).pay();
        let info = network.node(NODES + 1).call("getconsensusinfo", json!([])).ok()?;
        (info["signing"] == json!(true)).then_some(())
    });
}

//! What operators do with peers, and what they are shown: over the client, with real nodes.

use crate::harness::{Network, Node, cli, wait_for};
use serde_json::json;
use timed_cli::Failure;
use timed_primitives::SecretKey;

fn key(node: &Node) -> String {
    node.ask("getnetworkinfo", json!([]))["node_key"].as_str().unwrap().to_owned()
}

fn peers(node: &Node) -> usize {
    node.ask("getpeerinfo", json!([])).as_array().unwrap().len()
}

/// Why and by whom the last session with a peer ended.
fn last_end(node: &Node, peer: &str) -> Option<(String, String)> {
    let ends = node.ask("getpeerhistory", json!([peer, 1]));
    let end = ends.as_array().unwrap().first()?;
    Some((end["reason"].as_str().unwrap().into(), end["by"].as_str().unwrap().into()))
}

/// The same for a node that may be starting.
fn has_peers(node: &Node, count: usize) -> Option<()> {
    let found = node.call("getpeerinfo", json!([])).ok()?;
    (found.as_array()?.len() == count).then_some(())
}

fn client(node: &Node, words: &[&str]) -> String {
    let output = cli().arg("--data-dir").arg(&node.folder).args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn reason(reason: &str, by: &str) -> Option<(String, String)> {
    Some((reason.into(), by.into()))
}

#[test]
fn operators_ping_disconnect_and_ban_and_both_ends_know_why() {
    let mut network = Network::start(4, 0);
    wait_for("all connected", || network.running().all(|node| peers(node) == 3).then_some(()));
    let (first, second) = (network.node(1), network.node(2));
    let (key_1, key_2, key_4) = (key(first), key(second), key(network.node(4)));

    let pings = first.ask("pingpeer", json!([&key_2[..8]]));
    let rtt = pings[0]["rtt"].as_f64().unwrap();
    assert!(rtt > 0.0 && pings.as_array().unwrap().len() == 1, "{pings}");

    client(first, &["disconnectnode", &key_2]);
    wait_for("the end on both sides", || {
        (last_end(first, &key_2) == reason("operator", "us") && last_end(second, &key_1) == reason("operator", "them"))
            .then_some(())
    });
    wait_for("the connection to be back", || (peers(first) == 3 && peers(second) == 3).then_some(()));

    client(first, &["setban", &key_4, "add", "600"]);
    wait_for("the end on the other side", || {
        (last_end(network.node(4), &key_1) == reason("banned", "them")).then_some(())
    });
    assert_eq!(client(first, &["--json", "listbanned"]).matches(&format!("\"node_key\": \"{key_4}")).count(), 1);
    let why = client(network.node(4), &["peer", "why", &key_1]);
    assert!(why.contains("ban") && why.contains("last round trips"), "{why}");

    // A ban and the history outlive a kill.
    network.node_mut(1).kill();
    network.node_mut(1).start();
    let first = network.node(1);
    wait_for("an answer", || first.height());
    wait_for("the others", || (peers(first) == 2).then_some(()));
    let bans = first.ask("listbanned", json!([]));
    let left = bans[0]["time_remaining"].as_u64().unwrap();
    assert!(bans[0]["node_key"] == key_4[..] && (1..=600).contains(&left), "{bans}");
    let history = client(first, &["peer", "history"]);
    assert!(history.contains(&key_2[..8]) && history.contains(&key_4[..8]), "{history}");
    let txid = first.pay().unwrap();
    network.wait_final(&txid);
    assert_eq!(peers(first), 2, "the banned one is back");

    assert_eq!(client(first, &["clearbanned"]), "done\n");
    wait_for("the one that was banned", || (peers(first) == 3).then_some(()));
}

#[test]
fn texts_that_are_no_address_or_peer_are_refused_and_forge_no_line() {
    let network = Network::start(1, 0);
    let node = network.node(1);
    let forged = "127.0.0.1:1\nERROR fake log line:1";
    let code = |method: &str, params: serde_json::Value| match node.call(method, params.clone()) {
        Err(Failure::Rpc { code, message, .. }) => (code, message),
        other => panic!("{method} {params}: {other:?}"),
    };
    for text in ["::1", forged, "host", "host:0", "a b:7", "0.0.0.0:7000", "[::]:7000", "224.0.0.1:7000", "[ff02::1]:7"]
    {
        let (code, message) = code("addnode", json!([text]));
        assert_eq!(code, -8, "{text:?}");
        assert!(message.contains("expected host:port") && !message.contains('\n'), "{message:?}");
    }
    for (method, params) in
        [("setban", json!([forged, "add"])), ("disconnectnode", json!([forged])), ("pingpeer", json!([forged]))]
    {
        let (code, message) = code(method, params);
        assert_eq!(code, -29, "{method}");
        assert!(!message.contains('\n'), "{message:?}");
    }
    assert!(!node.log().lines().any(|line| line.starts_with("ERROR fake")), "{}", node.log());
}

#[test]
fn a_private_network_keeps_unknown_peers_out_and_says_why() {
    let mut network = Network::prepare(3, 1);
    let node_key = |id| SecretKey::development("node", id).public().to_string();
    let allowed = |ids: std::ops::RangeInclusive<u64>| {
        let keys: Vec<_> = ids.map(node_key).collect();
        format!("[p2p]\nallowed = {keys:?}\n")
    };
    for id in 1..=3 {
        network.node_mut(id).configure(&allowed(1..=3));
    }
    (1..=4).for_each(|id| network.node_mut(id).start());
    let (member, unknown) = (network.node(1), network.node(4));
    wait_for("blocks of the members", || member.height().filter(|height| *height >= 2));
    wait_for("the unknown peer", || unknown.height());
    // Each dials the other; whoever dials, the member refuses, and both know why.
    wait_for("the refusal on both sides", || {
        let refused = (last_end(member, &node_key(4)), last_end(unknown, &node_key(1)));
        (refused == (reason("not_allowed", "us"), reason("not_allowed", "them"))).then_some(())
    });
    assert_eq!((peers(member), peers(unknown)), (2, 0));
    assert!(client(unknown, &["peer", "why", &node_key(1)]).contains("allow-list"));
    let log = member.log();
    assert!(
        log.contains("only nodes with a key in p2p.allowed (3)")
            && log.contains("that we dialled is not in p2p.allowed")
    );

    network.node_mut(1).kill();
    network.node_mut(1).configure(&allowed(1..=4));
    network.node_mut(1).start();
    wait_for("the one that is allowed now", || has_peers(network.node(4), 1).and(has_peers(network.node(1), 3)));
}

#[test]
fn a_node_whose_configured_peer_is_gone_finds_its_neighbours_again() {
    let mut network = Network::prepare(4, 1);
    (1..=4).for_each(|id| network.node_mut(id).start());
    network.wait_height(1);
    let seed = network.node(1).p2p_port;
    network.node_mut(5).dial_only(seed);
    network.node_mut(5).start();
    wait_for("the neighbours", || has_peers(network.node(5), 4));
    network.node_mut(5).process().signal("TERM");
    assert!(network.node_mut(5).wait_end().success());
    network.node_mut(1).kill();
    // It dials its seed, which is gone, and nobody knows its new port.
    network.node_mut(5).dial_only(seed);
    network.node_mut(5).start();
    wait_for("the neighbours without the seed", || has_peers(network.node(5), 3));

    // A damaged address book is put aside, and stops nobody.
    network.node_mut(5).process().signal("TERM");
    assert!(network.node_mut(5).wait_end().success());
    let (folder, seed) = (network.node(5).folder.clone(), network.node(2).p2p_port);
    std::fs::write(folder.join("peers.json"), "[{").unwrap();
    network.node_mut(5).dial_only(seed);
    network.node_mut(5).start();
    wait_for("the neighbours by another seed", || has_peers(network.node(5), 3));
    assert!(folder.join("peers.json.damaged").exists());
    assert!(network.node(5).log().contains("the address book is damaged and put aside"));
}

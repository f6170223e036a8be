//! Whoever follows payments by events: the client, and a shop in Python, against running nodes.

use crate::harness::{Network, Process, Stopwatch, cli, run, wait_for};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Longest time for a program that ends by itself.
const LIMIT: Duration = Duration::from_secs(60);

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// The events that `subscribe` has printed.
fn events(path: &Path) -> Vec<Value> {
    let whole = std::fs::read_to_string(path).unwrap_or_default();
    whole.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn subscribe(folder: &Path, name: &str, node: &Path, words: &[&str]) -> Process {
    let mut command = cli();
    command.args(["--json", "--data-dir"]).arg(node).arg("subscribe").args(words);
    Process::start(command, folder, name)
}

#[test]
fn payments_are_followed_over_restarts_of_the_node() {
    let mut network = Network::start(1, 0);
    let folder = tempfile::tempdir().unwrap();
    let shop = network.node(1).ask("getnewaddress", json!([])).as_str().unwrap().to_owned();
    let node = network.node(1).folder.clone();
    let process = subscribe(folder.path(), "follower", &node, &["payments", "--address", &shop]);
    let seen = |what: &str, state: &str, txid: &str| {
        wait_for(what, || {
            events(&process.log)
                .into_iter()
                .find(|event| event["state"] == state && (txid.is_empty() || event["txid"] == txid))
        })
    };
    seen("the beginning", "caught_up", "");
    let pay = |network: &Network| {
        let paid = network.node(1).ask("sendtoaddress", json!([shop, "0.5"]));
        paid.as_str().unwrap().to_owned()
    };
    let first = pay(&network);
    assert_eq!(seen("a payment that waits", "mempool", &first)["received"][0]["address"], json!(shop));
    let last = seen("a final payment", "final", &first);
    assert_eq!(last["amount"].to_string(), "0.50000000");
    // What becomes final while nobody follows is sent when somebody does again.
    let follower = process;
    follower.signal("STOP");
    network.node_mut(1).kill();
    network.node_mut(1).start();
    wait_for("the node", || network.node(1).height());
    let unseen = pay(&network);
    network.wait_final(&unseen);
    follower.signal("CONT");
    let found = wait_for("the payment of the meantime", || {
        events(&follower.log).into_iter().find(|event| event["state"] == "final" && event["txid"] == unseen.as_str())
    });
    assert!(found["height"].as_u64() > last["height"].as_u64());
    let third = pay(&network);
    wait_for("a payment after it", || {
        events(&follower.log).into_iter().find(|event| event["state"] == "final" && event["txid"] == third.as_str())
    });
    let finals: Vec<Value> = events(&follower.log).into_iter().filter(|event| event["state"] == "final").collect();
    let ids: Vec<&Value> = finals.iter().map(|event| &event["txid"]).collect();
    assert_eq!(ids, [&json!(first), &json!(unseen), &json!(third)], "each once, in order");
}

#[test]
fn every_topic_of_a_running_network_says_what_happens() {
    let mut network = Network::start(4, 0);
    let folder = tempfile::tempdir().unwrap();
    let node = network.node(1).folder.clone();
    let topics =
        ["blocks", "payments", "outputs", "peers", "consensus", "masternodes", "--after", "0", "--verbosity", "2"];
    let process = subscribe(folder.path(), "follower", &node, &topics);
    let find = |what: &str, is_it: &dyn Fn(&Value) -> bool| {
        wait_for(what, || events(&process.log).into_iter().find(|event| is_it(event)))
    };
    for topic in &topics[..6] {
        find(topic, &|event| event["topic"] == *topic && event["state"] == "caught_up");
    }
    let txid = network.node(1).pay().unwrap();
    let height = network.wait_final(&txid);
    let is_in = |event: &Value| {
        let transactions = event["block"]["tx"].as_array();
        transactions.is_some_and(|all| all.iter().any(|one| one["txid"] == txid.as_str()))
    };
    let block = find("the block in full", &is_in);
    assert_eq!((block["topic"].as_str(), block["height"].as_u64()), (Some("blocks"), Some(height)));
    let first = events(&process.log).into_iter().find(|event| event["topic"] == "blocks").unwrap();
    assert_eq!((&first["height"], &first["cursor"]), (&json!(1), &json!("1-0")));
    find("the payment", &|event| {
        event["topic"] == "payments" && event["state"] == "final" && event["txid"] == txid.as_str()
    });
    find("its coin", &|event| {
        event["topic"] == "outputs" && event["state"] == "Confirmed" && event["by"] == txid.as_str()
    });
    find("what it paid", &|event| {
        event["topic"] == "outputs" && event["state"] == "Unspent" && event["txid"] == txid.as_str()
    });
    find("a step of the next height", &|event| {
        event["topic"] == "consensus" && event["height"].as_u64() > Some(height)
    });
    find("a masternode", &|event| event["topic"] == "masternodes" && event["state"] == "voting");
    find("a peer", &|event| event["topic"] == "peers" && event["state"] == "up");
    network.node_mut(4).kill();
    let down = find("a peer that is gone", &|event| event["topic"] == "peers" && event["state"] == "down");
    assert!(down["why"].as_str().is_some_and(|why| !why.is_empty()), "{down}");
}

/// The shop of docs/examples, from its first address to all orders paid, with the node killed in between.
#[test]
fn a_shop_in_python_sells_tea_and_cake() {
    if Command::new("python3").arg("--version").output().is_err() {
        println!("SKIPPED: the shop of docs/examples/shop.py was not run, since python3 is missing");
        return;
    }
    let mut network = Network::start(1, 0);
    let folder = tempfile::tempdir().unwrap();
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/shop.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(&network.node(1).folder).args(["tea=1.25", "cake=3"]);
    let mut shop = Process::start(command, folder.path(), "shop");
    let address_of = |order: &str, shop: &Process| {
        let begin = format!("{order}: pay ");
        wait_for(order, || {
            let line = lines(&shop.log).into_iter().find(|line| line.starts_with(&begin))?;
            line.rsplit(' ').next().map(str::to_owned)
        })
    };
    let (tea, cake) = (address_of("tea", &shop), address_of("cake", &shop));
    let has_line = |shop: &Process, wanted: &str| {
        wait_for(wanted, || lines(&shop.log).iter().any(|line| line == wanted).then_some(()));
    };
    network.node(1).ask("sendtoaddress", json!([tea, "1.25"]));
    let watch = Stopwatch::start();
    has_line(&shop, "tea: 1.25000000 TIME final");
    has_line(&shop, "tea: paid");
    println!("paid after {} ms", watch.elapsed().as_millis());
    // Half of the cake, and the rest while the shop has no node.
    network.node(1).ask("sendtoaddress", json!([cake, "1"]));
    has_line(&shop, "cake: 1.00000000 TIME final");
    shop.signal("STOP");
    network.node_mut(1).kill();
    network.node_mut(1).start();
    wait_for("the node", || network.node(1).height());
    let rest = network.node(1).ask("sendtoaddress", json!([cake, "2"]));
    network.wait_final(rest.as_str().unwrap());
    shop.signal("CONT");
    has_line(&shop, "cake: paid");
    assert!(shop.wait_end().success(), "{:?}", lines(&shop.errors));
    let said = lines(&shop.log);
    assert_eq!(said.iter().filter(|line| line.ends_with("TIME final")).count(), 3, "{said:?}");
}

#[test]
fn a_subscription_that_cannot_be_is_refused_with_the_reason() {
    let network = Network::start(1, 0);
    let node = &network.node(1).folder;
    let refused = |words: &[&str], part: &str| {
        let mut command = cli();
        command.arg("--data-dir").arg(node).arg("subscribe").args(words);
        let output = run(command, LIMIT);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(part), "{words:?}: {text}");
    };
    refused(&["blocks", "--after", "999999"], "no events after height 999999: blocks 1 to ");
    refused(&["payments", "--address", "nonsense"], "invalid address");
    let mut command = cli();
    command.arg("--data-dir").arg(node).args(["events", "blocks", "--after", "0", "--count", "1"]);
    let output = run(command, LIMIT);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.starts_with("1  blocks  final  ") && text.lines().count() == 1, "{text}");
}

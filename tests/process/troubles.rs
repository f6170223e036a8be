//! What is wrong with a running node, as `/ready`, the warnings and the metrics say it. The deciding functions have tests of their own, and
//! so has no quorum, in `network.rs`.

use crate::harness::{Network, Node, Process, Stopwatch, client_of, page, pause, wait_for};
use crate::metrics::Metrics;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use timed_cli::Failure;
use timed_ledger::{Genesis, TransactionBody, TxInput, TxOutput};
use timed_primitives::{Amount, SecretKey, encode};

/// Waits until `/ready` is 503 with these words, and looks whether the node is alive and the metrics agree. Returns the page.
pub(crate) fn wait_for_trouble(port: u16, name: &str, words: &str) -> String {
    let text = wait_for(&format!("/ready with {words:?}"), || {
        let (status, text) = page(port, "/ready");
        // Both were asked while it was so: what passes by itself may be over in between.
        let metrics = Metrics::read(&page(port, "/metrics").1);
        let is_so = metrics.get(&format!("timed_node_trouble{{reason=\"{name}\"}}")) == 1.0;
        (is_so && status == 503 && text.contains(words) && metrics.get("timed_node_ready") == 0.0).then_some(text)
    });
    assert_eq!(page(port, "/health").0, 200, "{name}: it will come right by itself");
    text
}

/// Waits until nothing is wrong any more.
fn wait_until_ready(port: u16) {
    wait_for("/ready again, and the metric", || {
        let is_ready = page(port, "/ready").0 == 200;
        (is_ready && Metrics::read(&page(port, "/metrics").1).get("timed_node_ready") == 1.0).then_some(())
    });
}

fn warnings(info: &Value) -> String {
    info["warnings"].to_string()
}

/// Leads one connection to a node, what the node sends as slowly as some kilobytes a second until it is asked to hurry. Returns its port.
fn slow_way(to: u16, is_fast: &Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let is_fast = is_fast.clone();
    let carry = move |mut from: TcpStream, mut to: TcpStream, is_slow: bool| {
        let mut bytes = [0; 16 << 10];
        loop {
            let most = if is_slow && !is_fast.load(Ordering::Relaxed) { 200 } else { bytes.len() };
            match from.read(&mut bytes[..most]) {
                Ok(count) if count > 0 && to.write_all(&bytes[..count]).is_ok() => {}
                _ => return,
            }
            if most < bytes.len() {
                pause();
            }
        }
    };
    let serve = move || {
        // Each end of it ends with the other, and at the latest with the nodes.
        while let Ok((client, _)) = listener.accept() {
            let Ok(node) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)) else { return };
            let (from_client, to_node) = (client.try_clone().unwrap(), node.try_clone().unwrap());
            let (up, down) = (carry.clone(), carry.clone());
            spawn(move || up(from_client, to_node, false));
            spawn(move || down(node, client, true));
        }
    };
    spawn(serve);
    port
}

#[allow(clippy::disallowed_methods, reason = "it ends with the test's process")]
fn spawn(work: impl FnOnce() + Send + 'static) {
    std::thread::spawn(work);
}

#[test]
fn a_node_that_fetches_blocks_says_how_far_behind_it_is() {
    const BLOCKS: u64 = 60;
    let mut network = Network::prepare(1, 1);
    network.node_mut(1).start();
    network.wait_height(1);
    while network.node(1).height() < Some(BLOCKS) {
        let txid = network.node(1).pay().unwrap();
        network.wait_final(&txid);
    }
    let tip = network.node(1).height().unwrap();
    let is_fast = Arc::new(AtomicBool::new(false));
    let way = slow_way(network.node(1).p2p_port, &is_fast);
    network.node_mut(2).dial_only(way);
    network.node_mut(2).start();
    let port = network.node(2).rpc_port;
    wait_for("the observer", || network.node(2).height());
    let text = wait_for_trouble(port, "behind", &format!(" of {tip}"));
    let line = text.lines().find(|line| line.starts_with("behind by ")).unwrap_or_else(|| panic!("{text}"));
    let numbers: Vec<u64> =
        line.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect();
    let [behind, at, target] = numbers[..] else { panic!("{line}") };
    assert_eq!((at + behind, target), (tip, tip), "{line}");
    // It passes at every start, so that it is no warning.
    let info = network.node(2).ask("getblockchaininfo", json!([]));
    assert!(!warnings(&info).contains("behind"), "{info}");
    is_fast.store(true, Ordering::Relaxed);
    wait_until_ready(port);
    wait_for("the tip", || (network.node(2).height() >= Some(tip)).then_some(()));
    assert!(network.assert_same_blocks() >= tip);
}

/// A validator that lost its folder may have signed, so it waits for two heights that others decide after its start.
#[test]
fn a_validator_that_does_not_sign_says_why() {
    let mut network = Network::start(4, 0);
    // Two of four decide nothing, so that it does not pass before it is seen.
    for number in [3, 4] {
        network.node_mut(number).process().signal("TERM");
        assert_eq!(network.node_mut(number).wait_end().code(), Some(0));
    }
    fs::remove_dir_all(&network.node(4).folder).unwrap();
    network.node_mut(4).start();
    wait_for("the node answers", || network.node(4).height());
    let port = network.node(4).rpc_port;
    // Whichever comes first: neighbours report their height, or a message of ours comes back.
    let text = wait_for_trouble(port, "signing_off", "this node does not sign: signing is off: ");
    assert!(text.contains("2 heights were decided by others after our start"), "{text}");
    let info = network.node(4).ask("getnetworkinfo", json!([]));
    assert!(warnings(&info).contains("this node does not sign: signing is off: "), "{info}");
    network.node_mut(3).start();
    wait_for("two heights, and signing", || {
        let _ = network.node(1).pay();
        (page(port, "/ready").0 == 200).then_some(())
    });
    wait_until_ready(port);
}

/// Whether this process may mount a file system in a namespace of its own.
fn may_mount(folder: &Path) -> bool {
    let words = "mount -t tmpfs -o size=1m tmpfs \"$0\"";
    let tried =
        Command::new("unshare").args(["-m", "--propagation", "private", "sh", "-c", words]).arg(folder).output();
    tried.is_ok_and(|output| output.status.success())
}

#[test]
fn a_disk_that_is_nearly_full_is_said_with_both_numbers() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("node-1");
    fs::create_dir(&folder).unwrap();
    if !may_mount(&folder) {
        eprintln!("SKIPPED: only root can mount the small disk that this needs");
        return;
    }
    let network = Network::prepare(1, 0);
    let own = network.node(1).command();
    let arguments: Vec<_> = own.get_args().map(|word| word.to_str().unwrap()).collect();
    let data = network.node(1).folder.to_str().unwrap();
    // Nobody but the node sees this disk, which ends with it.
    let words = "mount -t tmpfs -o size=120m tmpfs \"$0\" && shift && exec \"$@\" --exit-with-stdin";
    let mut command = Command::new("unshare");
    command.args(["-m", "--propagation", "private", "sh", "-c", words]).arg(&folder).arg("-").arg(own.get_program());
    command.args(arguments.iter().map(|word| if *word == data { folder.to_str().unwrap() } else { word }));
    let node = Process::start(command, parent.path(), "node-1");
    let port = network.node(1).rpc_port;
    wait_for("the node listens", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
    let text = wait_for_trouble(port, "disk_nearly_full", "the disk is nearly full: ");
    let left = text.split("full: ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    assert!(left.parse::<u64>().unwrap() < 120 && text.contains(" MiB left, 128 MiB are needed; make room"), "{text}");
    // The process's own view of its files.
    let client = client_of(1, Path::new(&format!("/proc/{}/root", node.pid())).join(folder.strip_prefix("/").unwrap()));
    let info = client.ask("getnetworkinfo", json!([]));
    assert!(warnings(&info).contains("the disk is nearly full"), "{info}");
    // Once, whatever later looks find.
    let inside = Path::new(&format!("/proc/{}/root", node.pid())).join(folder.strip_prefix("/").unwrap());
    fs::write(inside.join("more"), vec![0; 20 << 20]).unwrap();
    let less = left.parse::<u64>().unwrap() - 15;
    let free = |text: &str| text.split("full: ").nth(1)?.split(' ').next()?.parse::<u64>().ok();
    wait_for("another look", || free(&page(port, "/ready").1).filter(|free| *free < less));
    let log = fs::read_to_string(&node.log).unwrap();
    assert_eq!(log.matches("the disk is nearly full").count(), 1, "{log}");
    // It goes on meanwhile.
    let txid = client.pay().unwrap();
    wait_for("a final payment", || client.block_of(&txid));
}

/// Transactions of some 40 KB, each of which spends a coin of its own.
fn large_transactions(nodes: u64) -> impl Iterator<Item = String> {
    let (genesis, owner) = (Genesis::devnet(nodes), SecretKey::development("wallet", 0));
    let chain_id = genesis.chain_id;
    let coins: Vec<_> = genesis.coins().collect();
    coins.into_iter().map(move |(previous, output)| {
        let share = TxOutput { amount: Amount(output.amount.0 / 1_000 - 100), ..output };
        let body = TransactionBody::transfer(chain_id, vec![TxInput { previous }], vec![share; 1_000]);
        hex::encode(encode(&body.sign(&[&owner])))
    })
}

/// A burst is no trouble; refusals that last are.
#[test]
fn refusals_for_ten_seconds_are_overload() {
    const LASTS: Duration = Duration::from_secs(10);
    let mut network = Network::prepare(4, 0);
    network.node_mut(1).start();
    wait_for("the node answers", || network.node(1).height());
    let node = network.node(1);
    let submit = |node: &Node, hex: &str| match node.call("sendrawtransaction", json!([hex])) {
        Ok(_) => true,
        Err(Failure::Rpc { code: -32005, .. }) => false,
        Err(failure) => panic!("{failure}"),
    };
    // Without a quorum nothing is decided, and what waits has its bound.
    let mut all = large_transactions(4);
    let refused = all.find(|hex| !submit(node, hex)).expect("one too many");
    let watch = Stopwatch::start();
    let is_said = || page(node.rpc_port, "/ready").1.contains("overload: transactions have been refused for");
    assert!(!is_said(), "at once");
    let text = wait_for("overload", || {
        assert!(!submit(node, &refused), "there is room");
        is_said().then(|| page(node.rpc_port, "/ready").1)
    });
    assert!(watch.elapsed() >= LASTS, "after {:?}", watch.elapsed());
    assert!(text.contains("submit less, or elsewhere"), "{text}");
    assert!(!submit(node, &refused), "there is room");
    wait_for_trouble(node.rpc_port, "overload", "overload: transactions have been refused for 1");
    assert!(warnings(&node.ask("getnetworkinfo", json!([]))).contains("overload"));
    // Nobody submits any more: it is over.
    wait_for("the end of it", || (!is_said()).then_some(()));
}

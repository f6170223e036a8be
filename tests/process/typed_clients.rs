//! Typed clients that others wrote for Bitcoin Core, unpatched, against a running node: each call's answer is what their types hold, or a row
//! here says why it cannot be. They are built where the registry can be reached; where it cannot, the test says so and ends.

use crate::harness::Network;
use crate::stock_clients::credentials;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Their types hold bytes of Bitcoin's own blocks, headers and transactions.
const ENCODING: &str = "it decodes Bitcoin's encoding, and ours is another";
/// Their types hold addresses of Bitcoin's own networks.
const ADDRESS: &str = "it holds addresses with Bitcoin's prefixes only";

/// What it reads depends on the version, and ours is lower.
const VERSION: &str = "it takes our version for one before 0.19, whose answer had two kinds of soft forks";

/// Client, call, and why it cannot read the answer. Every other call can.
const CANNOT: &[(&str, &str, &str)] = &[
    ("bitcoincore-rpc", "get_blockchain_info", VERSION),
    ("bitcoincore-rpc", "get_block", ENCODING),
    ("bitcoincore-rpc", "get_block_header", ENCODING),
    ("bitcoincore-rpc", "get_raw_transaction", ENCODING),
    ("bitcoincore-rpc", "get_raw_transaction_info", ADDRESS),
    ("bitcoincore-rpc", "get_transaction", ADDRESS),
    ("bitcoincore-rpc", "list_transactions", ADDRESS),
    ("bitcoincore-rpc", "list_since_block", ADDRESS),
    ("bitcoincore-rpc", "list_unspent", ADDRESS),
    ("bitcoincore-rpc", "get_tx_out", ADDRESS),
    ("bitcoincore-rpc", "get_new_address", ADDRESS),
    ("bitcoincore-rpc", "get_raw_change_address", ADDRESS),
];

/// Calls that the program makes with both.
const CALLS_MIN: usize = 100;

fn cargo(words: &[&str]) -> Output {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/typed_clients");
    // Nobody waits for a registry that does not answer.
    let patience = [("CARGO_NET_RETRY", "0"), ("CARGO_HTTP_TIMEOUT", "10")];
    Command::new(program).args(words).current_dir(folder).envs(patience).output().unwrap()
}

/// The program that calls, or why there is none.
fn program() -> Result<PathBuf, String> {
    let fetched = cargo(&["fetch", "--locked"]);
    if !fetched.status.success() {
        let errors = String::from_utf8_lossy(&fetched.stderr);
        return Err(format!("the typed clients cannot be fetched: {}", errors.lines().last().unwrap_or_default()));
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("typed_clients");
    let built = cargo(&["build", "--quiet", "--locked", "--offline", "--target-dir", folder.to_str().unwrap()]);
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    Ok(folder.join("debug/typed-clients"))
}

#[test]
fn typed_clients_read_what_they_ask_for() {
    let program = match program() {
        Ok(program) => program,
        Err(why) => {
            eprintln!("skipped: {why}");
            return;
        }
    };
    let network = Network::start(1, 0);
    let node = network.node(1);
    let txid = node.pay().unwrap();
    network.wait_final(&txid);
    let (address, user, password) = credentials(node);
    let output = Command::new(program).args([&format!("http://{address}"), &user, &password, &txid]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let (mut refused, mut calls) = (BTreeSet::new(), 0);
    for line in said.lines() {
        let mut words = line.splitn(3, ' ');
        let (client, call, outcome) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        calls += 1;
        if outcome != "yes" {
            let row = CANNOT.iter().find(|(c, named, _)| *c == client && *named == call);
            assert!(row.is_some(), "{client} {call}: {outcome}");
            refused.insert((client, call));
        }
    }
    assert!(calls >= CALLS_MIN, "only {calls} calls: {said}");
    for (client, call, why) in CANNOT {
        assert!(refused.contains(&(*client, *call)), "{client} {call} is said to fail ({why}), and does not");
    }
}

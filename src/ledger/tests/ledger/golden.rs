//! Bytes and hashes that must never change for a given input: another answer is another chain.
//! After a wanted change of format: `UPDATE_GOLDEN=1 cargo test -p timed-ledger golden`.

use crate::chain::{Node, coin, commit, log_bytes, move_to, pay};
use std::fmt::Write as _;
use std::path::Path;
use timed_chain::History as _;
use timed_ledger::{Genesis, Parameters};
use timed_primitives::{Network, encode};

fn check_golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    assert_eq!(found, std::fs::read_to_string(&path).unwrap(), "{}", path.display());
}

#[test]
fn hashes_of_a_scripted_chain() {
    let mut text = String::new();
    let mut line = |name: &str, value: &dyn std::fmt::Display| writeln!(text, "{name} {value}").unwrap();
    for nodes in [1, 3, 4] {
        line(&format!("genesis of devnet({nodes})"), &Genesis::devnet(nodes).hash());
    }
    for network in [Network::Devnet, Network::Testnet, Network::Mainnet] {
        line(&format!("parameters of {network}"), &Parameters::of(network).hash());
    }
    let mut node = Node::new();
    line("state at genesis", &node.ledger.tip().state_commitment);
    let first = pay(&[coin(0), coin(1)], 0, &[(5_000_000, 1), (199_990_000_000, 2)]);
    line("txid", &first.id());
    line("full id", &first.full_id());
    let change = first.outputs().nth(1).unwrap();
    for transactions in [vec![first, move_to(coin(2), 0, 3)], vec![], vec![move_to(change, 2, 4)]] {
        let committed = commit(&mut node.ledger, transactions);
        let height = committed.block.height();
        line(&format!("block {}", height), &committed.id);
        line(&format!("state after {}", height), &committed.block.header.state_commitment);
        line(&format!("certificate of {}", height), &committed.certificate.hash());
    }
    let log = log_bytes(&node.disk);
    line("log header", &hex::encode(&log[..44]));
    line("log record header", &hex::encode(&log[44..72]));
    line("log bytes", &log.len());
    line("log crc", &format!("{:08x}", crc32fast::hash(&log)));
    line(
        "block 2 bytes",
        &hex::encode(encode(&*node.ledger.reader().block(timed_primitives::Height(2)).unwrap().unwrap())),
    );
    check_golden("chain.txt", &text);
}

#[test]
fn genesis_file() {
    check_golden("genesis.json", &crate::chain::genesis().to_json());
}

//! Bytes and hashes that must never change for a given input: another answer is another chain.
//! After a wanted change of format: `UPDATE_GOLDEN=1 cargo test -p timed-ledger golden`.

use crate::chain::{Node, block, certify, coin, commit, log_bytes, move_to, pay};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use timed_chain::History as _;
use timed_ledger::{Genesis, Parameters};
use timed_primitives::{BlockId, Hash, Header, Height, HistoryNode, HistoryPath, HistoryPeaks, Network, encode};

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

/// Roots of histories, and paths from blocks to them. The id of block n is n in each of its 32 bytes.
#[test]
fn histories() {
    let id = |height: u8| BlockId(Hash([height; 32]));
    let (mut text, mut peaks, mut nodes) = (String::new(), HistoryPeaks::default(), BTreeMap::new());
    for count in 0..=12_u8 {
        if count > 0 {
            let made = (0..).zip(peaks.append(&id(count)));
            nodes.extend(made.map(|(level, hash)| (HistoryNode { last: Height(count.into()), level }, hash)));
        }
        let root = peaks.root();
        writeln!(text, "root of {count} blocks {root}").unwrap();
        for height in 1..=count {
            let of = (u64::from(count), Height(height.into()));
            let path = HistoryPath::from_nodes(of.0, of.1, |at| Ok::<_, Infallible>(nodes[&at])).unwrap().unwrap();
            assert!(path.proves(&root, of.0, of.1, &id(height)));
            writeln!(text, "path of block {height} of {count} {}", hex::encode(encode(&path))).unwrap();
        }
    }
    check_golden("histories.txt", &text);
}

/// Headers that follow one another, what else is refused in place of the last, and why; and a proof of the first by the last.
#[test]
fn headers() {
    let mut node = Node::with_blocks(2);
    let third = block(&mut node.ledger, vec![]);
    let mut text = String::new();
    let reader = node.ledger.reader();
    for height in [Height(1), Height(2)] {
        let header = &reader.block(height).unwrap().unwrap().header;
        writeln!(text, "accept {} {}", header.id(), hex::encode(encode(header))).unwrap();
    }
    writeln!(text, "accept {} {}", third.id(), hex::encode(encode(&third.header))).unwrap();
    type Change = fn(&mut Header);
    let changes: [(&str, Change); 7] = [
        ("version 1", |h| h.version = 1),
        ("version 3", |h| h.version = 3),
        ("no history root", |h| h.history_root = Hash::ZERO),
        ("the history root of no blocks", |h| h.history_root = HistoryPeaks::default().root()),
        ("a history root with one bit turned", |h| h.history_root.0[31] ^= 1),
        ("its parent in place of the history", |h| h.history_root = h.parent.0),
        ("another state", |h| h.state_commitment = h.history_root),
    ];
    for (name, change) in changes {
        let mut other = (*third).clone();
        change(&mut other.header);
        let header = hex::encode(encode(&other.header));
        let error = node.ledger.validate(&Arc::new(other)).unwrap_err();
        writeln!(text, "reject {name}\n  {header}\n  {error}").unwrap();
    }
    node.ledger.commit(third.clone(), certify(&third)).unwrap();
    let proof = reader.history_proof(Height(1), None).unwrap();
    writeln!(text, "proof of block 1 by block 3 {}", hex::encode(encode(&proof))).unwrap();
    check_golden("headers.txt", &text);
}

#[test]
fn genesis_file() {
    check_golden("genesis.json", &crate::chain::genesis().to_json());
}

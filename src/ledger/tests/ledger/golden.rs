//! Bytes and hashes that must never change for a given input: another answer is another chain.
//! After a wanted change of format: `UPDATE_GOLDEN=1 cargo test -p timed-ledger golden`.

use crate::chain::{Node, block, certify, coin, commit, log_bytes, move_to, pay, wallet};
use crate::locks::{body, by_set, set};
use crate::output_root::{Modelled, leaves, picks};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use timed_chain::History as _;
use timed_ledger::{
    Genesis, KeyHash, Lock, LockOwner, MasternodeList, MasternodeProof, Memo, OutPoint, Parameters, Transaction,
    TransactionError, TxOutput, check_transaction,
};
use timed_primitives::{
    Amount, BlockId, Hash, Header, Height, HistoryNode, HistoryPath, HistoryPeaks, Network, TxId, decode, encode,
};

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
    let changes: [(&str, Change); 8] = [
        ("version 1", |h| h.version = 1),
        ("version 3", |h| h.version = 3),
        ("no history root", |h| h.history_root = Hash::ZERO),
        ("the history root of no blocks", |h| h.history_root = HistoryPeaks::default().root()),
        ("a history root with one bit turned", |h| h.history_root.0[31] ^= 1),
        ("its parent in place of the history", |h| h.history_root = h.parent.0),
        ("an output root where none is due", |h| h.output_root = h.history_root),
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

/// Of an interval of 4: the outputs of a boundary with their leaves and the header that holds the root over these.
#[test]
fn output_roots() {
    let (mut node, mut text) = (Modelled::new(4), String::new());
    for height in 1..=8 {
        let (block, _) = node.add(&picks(height));
        if height % 4 > 0 {
            continue;
        }
        let model = &node.models[usize::try_from(height - 4).unwrap()];
        for ((outpoint, leaf), (output, _, of)) in leaves(model).iter().zip(model.values()) {
            writeln!(text, "output {} leaf {leaf}", hex::encode(encode(&(outpoint, output, of)))).unwrap();
        }
        let header = hex::encode(encode(&block.header));
        writeln!(text, "root {} over {} outputs\n  {header}", block.header.output_root, model.len()).unwrap();
    }
    check_golden("output-roots.txt", &text);
}

/// Transactions that are valid at height 10, and the locks they spend.
fn good_transactions() -> Vec<(&'static str, Lock, Transaction)> {
    let previous = OutPoint { txid: TxId(Hash([7; 32])), index: 1 };
    let key_hash = KeyHash::of(&wallet(1).public());
    let spent = |lock| (previous, TxOutput { amount: Amount(100_000), lock });
    let of = |lock: Lock| body(&spent(lock), Lock::KeyHash(key_hash));
    let until = |owner| Lock::NotBefore { height: Height(10), owner };
    let (key, keys) = (Lock::KeyHash(key_hash), Lock::KeySet(set().hash()));
    let (key_until, keys_until) = (until(LockOwner::KeyHash(key_hash)), until(LockOwner::KeySet(set().hash())));
    let mut says = of(key);
    says.memo = Memo::new((1..=80).collect()).unwrap();
    let mut makes = of(key);
    makes.outputs = [key, keys, key_until, keys_until].map(|lock| TxOutput { amount: Amount(20_000), lock }).to_vec();
    vec![
        ("by a key", key, of(key).sign(&[&wallet(1)])),
        ("with a memo of 80 bytes", key, says.sign(&[&wallet(1)])),
        ("into every kind of lock", key, makes.sign(&[&wallet(1)])),
        ("by two of three keys", keys, by_set(of(keys), &[0, 2])),
        ("by a key, from height 10 on", key_until, of(key_until).sign(&[&wallet(1)])),
        ("by two of three keys, from height 10 on", keys_until, by_set(of(keys_until), &[1, 2])),
    ]
}

/// The first line of a vector: what it is, and what is done with it.
fn vector(text: &mut String, what: &str, lines: &[&dyn std::fmt::Display]) {
    writeln!(text, "{what}").unwrap();
    lines.iter().for_each(|line| writeln!(text, "  {line}").unwrap());
}

fn spends(lock: Lock, transaction: &Transaction, height: u64) -> Result<Amount, TransactionError> {
    let (chain_id, parameters) = (crate::chain::genesis().chain_id, Parameters::of(Network::Devnet));
    let spent = [TxOutput { amount: Amount(100_000), lock }];
    check_transaction(
        transaction,
        transaction.size_bytes(),
        chain_id,
        &parameters,
        Height(height),
        &spent,
        Amount::ZERO,
    )
}

#[test]
fn transactions_that_are_accepted() {
    let mut text = String::new();
    for (name, lock, transaction) in &good_transactions() {
        spends(*lock, transaction, 10).unwrap();
        assert!(transaction.signed_items().all(|item| item.key.verify(&item.message, &item.signature)), "{name}");
        let bytes = encode(transaction);
        assert_eq!(decode::<Transaction>(&bytes).unwrap(), *transaction);
        let lines: [&dyn std::fmt::Display; 3] = [&hex::encode(encode(lock)), &transaction.id(), &hex::encode(bytes)];
        vector(&mut text, &format!("accept {name}: lock, id, transaction"), &lines);
    }
    check_golden("transactions-accepted.txt", &text);
}

/// Bytes that are no transaction.
fn undecodable() -> Vec<(String, Vec<u8>)> {
    let good = good_transactions();
    let key = encode(&good[0].2);
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = key.clone();
        change(&mut bytes);
        bytes
    };
    // Version 2, chain id 8, payload 1, length of the memo 4, memo, ...
    let payload = |number: u8| (format!("payload {number}"), changed(&|bytes| bytes[10] = number));
    let mut found: Vec<_> = (8..=12).map(payload).collect();
    let long = |bytes: &mut Vec<u8>| {
        bytes[11] = 81;
        bytes.splice(15..15, [1; 81]);
    };
    found.push(("a memo of 81 bytes".into(), changed(&long)));
    // At the end: kind of lock 1, hash 32, number of witnesses 4, kind 1, key 32, signature 64.
    let (lock, witness) = (key.len() - (1 + 32 + 4 + 1 + 32 + 64), key.len() - (1 + 32 + 64));
    found.push(("a fourth kind of lock".into(), changed(&|bytes| bytes[lock] = 3)));
    found.push(("a third kind of witness".into(), changed(&|bytes| bytes[witness] = 2)));
    // At the end of another: threshold 1, number of keys 4, three keys, number of signatures 4, two of 1 and 64.
    let by_keys = encode(&good[3].2);
    let set = by_keys.len() - (1 + 4 + 3 * 32 + 4 + 2 * 65);
    let mut push = |name: &str, change: &dyn Fn(&mut [u8])| {
        let mut bytes = by_keys.clone();
        change(&mut bytes[set..]);
        found.push((name.into(), bytes));
    };
    push("none of three keys", &|set| set[0] = 0);
    push("four of three keys", &|set| set[0] = 4);
    push("a set of 17 keys", &|set| set[1] = 17);
    push("a key twice", &|set| set.copy_within(5..37, 37));
    push("keys that fall", &|set| set[5..69].rotate_left(32));
    push("17 signatures", &|set| set[101] = 17);
    found
}

/// Where the bytes already are no transaction, and where a rule of spending is broken.
#[test]
fn transactions_that_are_refused() {
    let mut text = String::new();
    for (name, bytes) in undecodable() {
        let error = decode::<Transaction>(&bytes).unwrap_err();
        vector(&mut text, &format!("reject {name}: bytes"), &[&hex::encode(bytes), &error]);
    }
    let good = good_transactions();
    let (key, keys) = (good[0].1, good[3].1);
    let of_set = |positions: &[u8]| by_set(good[3].2.body.clone(), positions);
    let mut version = good[0].2.clone();
    version.body.version = 1;
    let refused: [(&str, Lock, &Transaction, u64); 9] = [
        ("version 1", key, &version, 10),
        ("a key, at height 9", good[4].1, &good[4].2, 9),
        ("two of three keys, at height 9", good[5].1, &good[5].2, 9),
        ("one of three keys", keys, &of_set(&[1]), 10),
        ("three of three keys", keys, &of_set(&[0, 1, 2]), 10),
        ("one key twice", keys, &of_set(&[1, 1]), 10),
        ("keys out of order", keys, &of_set(&[2, 0]), 10),
        ("a key for a set", keys, &good[0].2, 10),
        ("a set for a key", key, &good[3].2, 10),
    ];
    for (name, lock, transaction, height) in refused {
        let error = spends(lock, transaction, height).unwrap_err();
        let lines: [&dyn std::fmt::Display; 3] =
            [&hex::encode(encode(&lock)), &hex::encode(encode(transaction)), &error];
        vector(&mut text, &format!("reject {name}: lock, transaction"), &lines);
    }
    check_golden("transactions-refused.txt", &text);
}

/// A transaction with each payload, and the entries of the list at the start.
#[test]
fn masternodes() {
    let mut text = String::new();
    for (name, transaction) in crate::masternodes::of_each_payload() {
        assert_eq!(transaction.body.payload.name(), name);
        let bytes = encode(&transaction);
        assert_eq!(decode::<Transaction>(&bytes).unwrap(), transaction);
        let payload = hex::encode(encode(&transaction.body.payload));
        let lines: [&dyn std::fmt::Display; 3] = [&payload, &transaction.id(), &hex::encode(bytes)];
        vector(&mut text, &format!("{name}: payload, id, transaction"), &lines);
    }
    let list = MasternodeList::new(crate::chain::genesis().masternodes());
    for one in list.iter() {
        vector(&mut text, "masternode, entry", &[&hex::encode(encode(one)), &hex::encode(encode(&one.entry()))]);
        let proof = MasternodeProof::of(&list, &one.id).unwrap();
        vector(&mut text, "proof", &[&hex::encode(encode(&proof))]);
    }
    vector(&mut text, "masternode root", &[&list.root()]);
    check_golden("masternodes.txt", &text);
}

#[test]
fn genesis_file() {
    check_golden("genesis.json", &crate::chain::genesis().to_json());
}

//! `timed inspect`, and that the checker of the kill loops, which reads the same files, can find a fault.

use crate::bad_starts::contents;
use crate::checker::{Checker, Fault};
use crate::harness::{Network, Node, run, timed, wait_for};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;
use timed_chain::LogWalk;
use timed_consensus::inspect::read_journal;
use timed_consensus::statement::Statement;
use timed_primitives::{BlockId, Hash, SecretKey, Vote, encode};
use timed_store::FileDisk;

/// A stopped network of one with some payments, and what it said before it ended.
fn stopped(payments: usize) -> (Network, Value, Vec<(String, u64)>) {
    let mut network = Network::start(1, 0);
    let paid = (0..payments).map(|_| {
        let txid = network.node(1).pay().unwrap();
        let height = network.wait_final(&txid);
        (txid, height)
    });
    let paid = paid.collect();
    let reported = network.node(1).ask("getblockchaininfo", json!([]));
    network.nodes.iter_mut().for_each(Node::kill);
    (network, reported, paid)
}

fn inspect(folder: &Path, more: &[&str]) -> Output {
    let mut command = timed();
    command.arg("inspect").arg("--data-dir").arg(folder).args(more);
    run(command, Duration::from_secs(30))
}

fn report(folder: &Path, more: &[&str]) -> Value {
    let output = inspect(folder, &[&["--json"], more].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
}

#[test]
fn inspect_shows_what_a_stopped_node_holds_and_touches_nothing() {
    let (network, reported, _) = stopped(5);
    let folder = &network.node(1).folder;
    let before = contents(folder, &[]);
    let found = report(folder, &["--node-id", "1"]);
    for name in ["genesis", "chain_id", "blocks", "bestblockhash", "state_commitment"] {
        assert_eq!(found[name], reported[name], "{name}");
    }
    assert_eq!(found["audit"], json!(null));
    let audit = report(folder, &["--audit"])["audit"].clone();
    assert_eq!(audit["unspent"], reported["supply"]);
    assert_eq!((&audit["blocks"], &audit["difference"]), (&reported["blocks"], &json!(null)));
    assert_eq!((&found["damage"], &found["contradictions"]), (&json!([]), &json!([])));
    let height = reported["blocks"].as_u64().unwrap();
    assert!(found["journal"]["height"].as_u64() >= Some(height), "{found}");
    let signed = found["journal"]["signed_here"].as_array().unwrap();
    let own =
        format!("precommit of height {height} round 0: block {}", &reported["bestblockhash"].as_str().unwrap()[..8]);
    assert!(signed.contains(&json!(own)), "{own} is not in {found}");
    assert!(!found["guard"].as_array().unwrap().is_empty(), "{found}");
    // Whose folder it is was not said: all votes are somebody's.
    let unnamed = report(folder, &[]);
    assert_eq!(unnamed["journal"]["signed_by"], json!([format!("node 1: {}", signed.len())]));
    let text = inspect(folder, &[]);
    assert_eq!(text.status.code(), Some(0));
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.lines().any(|line| line.starts_with("blocks ") && line.ends_with(&format!(" {height}"))), "{text}");
    assert!(contents(folder, &[]) == before, "files were touched");
}

#[test]
fn a_running_node_is_audited_by_its_blocks() {
    let network = Network::start(1, 0);
    for _ in 0..20 {
        let txid = network.node(1).pay().unwrap();
        network.wait_final(&txid);
    }
    let audit = || {
        let mut command = timed();
        command.arg("cli").arg("--data-dir").arg(&network.node(1).folder).args(["--json", "audit"]);
        run(command, Duration::from_secs(30))
    };
    let output = audit();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (reported, totals) =
        (network.node(1).ask("getblockchaininfo", json!([])), network.node(1).ask("gettxoutsetinfo", json!([])));
    assert_eq!((&found["transactions"], &found["difference"]), (&json!(20), &json!(null)));
    assert_eq!((&found["unspent"], &found["blocks"]), (&reported["supply"], &reported["blocks"]));
    assert_eq!(found["outputs"], totals["txouts"]);
}

/// Makes the first record of a block log one of another state, whole in all else. The layout is in `src/chain/src/block_log.rs`.
fn forge_first(log: &Path, folder: &Path) {
    let mut walk = LogWalk::open(&FileDisk::read_only(folder)).unwrap();
    let start = usize::try_from(walk.position()).unwrap();
    let decided = walk.step().unwrap().unwrap();
    let (mut block, mut certificate) = ((*decided.block).clone(), (*decided.certificate).clone());
    block.header.state_commitment.0[0] ^= 1;
    certificate.block = block.id();
    let certificate = encode(&certificate);
    let length = u32::try_from(certificate.len()).unwrap();
    let payload = [&length.to_be_bytes()[..], &certificate, &encode(&block)].concat();
    let mut bytes = fs::read(log).unwrap();
    bytes[start + 28..start + 28 + payload.len()].copy_from_slice(&payload);
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&bytes[start + 4..start + 8]);
    checksum.update(&bytes[start + 12..start + 28 + payload.len()]);
    bytes[start + 8..start + 12].copy_from_slice(&checksum.finalize().to_be_bytes());
    fs::write(log, bytes).unwrap();
}

#[test]
fn the_audit_names_the_first_block_that_differs() {
    let (network, _, _) = stopped(2);
    let folder = &network.node(1).folder;
    forge_first(&folder.join("blocks.log"), folder);
    let output = inspect(folder, &["--audit", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let difference = &found["audit"]["difference"];
    assert_eq!((&difference["height"], &found["audit"]["blocks"]), (&json!(1), &json!(0)), "{found}");
    let what = difference["what"].as_str().unwrap();
    assert!(what.contains("state commitment") && what.contains("the audit found"), "{what}");
}

#[test]
fn inspect_names_damage_and_shows_the_rest() {
    let (network, reported, _) = stopped(5);
    let folder = &network.node(1).folder;
    let log = folder.join("blocks.log");
    let whole = fs::read(&log).unwrap();
    let mut walk = LogWalk::open(&FileDisk::read_only(folder)).unwrap();
    walk.step().unwrap();
    let mut damaged = whole.clone();
    damaged[usize::try_from(walk.position()).unwrap() + 60] ^= 1;
    fs::write(&log, damaged).unwrap();
    let before = contents(folder, &[]);
    let output = inspect(folder, &["--json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["blocks"], json!(1));
    assert!(found["damage"][0].as_str().unwrap().contains("the record of height 2 is damaged"), "{found}");
    assert!(contents(folder, &[]) == before, "files were touched");

    // A tail that was never synced is no damage.
    fs::write(&log, &whole[..used(&whole) - 7]).unwrap();
    let found = report(folder, &[]);
    assert_eq!((&found["damage"], &found["blocks"]), (&json!([]), &json!(reported["blocks"].as_u64().unwrap() - 1)));
    assert!(found["log"]["torn_bytes"].as_u64() > Some(0), "{found}");

    let nothing = inspect(&folder.join("nothing"), &[]);
    assert_eq!(nothing.status.code(), Some(1));
    assert!(String::from_utf8(nothing.stderr).unwrap().contains("cannot read the folder"));
}

#[test]
fn inspect_shows_what_the_mempools_file_holds() {
    let mut network = Network::prepare(4, 0);
    network.node_mut(1).start();
    wait_for("the node answers", || network.node(1).height());
    // Nobody decides these.
    (0..3).for_each(|_| _ = network.node(1).pay().unwrap());
    let reported = network.node(1).ask("getmempoolinfo", json!([]));
    network.node_mut(1).kill();
    let folder = &network.node(1).folder;
    let file = folder.join("mempool.log");
    let whole = fs::read(&file).unwrap();
    let before = contents(folder, &[]);
    let found = report(folder, &["--node-id", "1"])["mempool"].clone();
    for (name, expected) in [("transactions", &json!(3)), ("of_clients", &json!(3)), ("losses", &json!(0))] {
        assert_eq!(&found[name], expected, "{found}");
    }
    assert_eq!(found["transaction_bytes"], reported["bytes"], "{found}");
    assert_eq!((&found["bytes"], &found["torn_bytes"]), (&json!(whole.len()), &json!(0)));
    assert_eq!(found["trouble"], json!(null), "{found}");

    // A torn end and a damaged record are named. Neither keeps a node from starting, so neither is damage.
    let mut damaged = whole.clone();
    damaged[100] ^= 1;
    for (bytes, words) in [(&whole[..whole.len() - 7], "were torn by a crash"), (&damaged, "damaged from byte 44 on")] {
        fs::write(&file, bytes).unwrap();
        let output = inspect(folder, &["--json"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let mempool = &found["mempool"];
        assert!(mempool["trouble"].as_str().is_some_and(|trouble| trouble.contains(words)), "{found}");
        assert_eq!((&mempool["transactions"], &found["damage"]), (&json!(2), &json!([])), "{found}");
    }
    fs::write(&file, &whole).unwrap();
    assert!(contents(folder, &[]) == before, "files were touched");
    fs::remove_file(&file).unwrap();
    assert_eq!(report(folder, &[])["mempool"], json!(null));
}

/// A vote of node 1 in the journal of a folder, and the same for nil.
fn vote_and_its_contradiction(folder: &Path) -> (Vote, Vote) {
    let journal = read_journal(&FileDisk::read_only(folder), timed_ledger::PAYLOAD_FORMAT).unwrap();
    let mut statements = journal.batches.into_iter().flat_map(|batch| batch.statements);
    let vote = statements.find_map(|statement| match statement {
        Statement::Vote(vote) => Some(vote),
        Statement::Proposal(_) => None,
    });
    let vote = vote.expect("a vote");
    let mut other = Vote { block: Some(BlockId(Hash([7; 32]))), ..vote.clone() };
    let chain = timed_ledger::Genesis::devnet(1).chain_id;
    other.signature = SecretKey::development("consensus", 1).sign(&other.signing_bytes(chain));
    (vote, other)
}

/// Where what is not zero ends in a block log.
fn used(log: &[u8]) -> usize {
    log.iter().rposition(|byte| *byte != 0).unwrap() + 1
}

/// Adds a batch with one vote behind a journal file, as a remainder of a generation before the first. The layout is in
/// `src/consensus/src/journal/pages.rs`.
fn plant(file: &Path, sequence: u64, vote: &Vote) {
    let mut payload = vec![0];
    payload.extend(encode(vote));
    let mut head = Vec::new();
    head.extend(0u64.to_le_bytes());
    head.extend(sequence.to_le_bytes());
    head.extend(vote.height.0.to_le_bytes());
    head.extend(u32::try_from(payload.len()).unwrap().to_le_bytes());
    head.extend(0u32.to_le_bytes());
    let checksum = crc32fast::hash(&[&head[..], &payload].concat());
    let mut content = fs::read(file).unwrap();
    content.resize(content.len().next_multiple_of(4096), 0);
    content.extend([&b"TIMEjrn2"[..], &head, &checksum.to_le_bytes(), &payload].concat());
    fs::write(file, content).unwrap();
}

fn folders(network: &Network, reported: &Value) -> Vec<(u64, PathBuf, Value)> {
    vec![(1, network.node(1).folder.clone(), reported.clone())]
}

#[test]
fn a_second_signature_in_a_journal_is_found() {
    let (network, reported, _) = stopped(3);
    let folder = &network.node(1).folder;
    let (vote, other) = vote_and_its_contradiction(folder);
    let mut checker = Checker::new(1);
    checker.finish(&folders(&network, &reported)).unwrap();
    checker.peek(1, folder).unwrap();

    plant(&folder.join("journal-a"), 0, &vote);
    checker.read(1, folder).unwrap();
    assert_eq!(inspect(folder, &[]).status.code(), Some(0));

    plant(&folder.join("journal-a"), 1, &other);
    let fault = checker.read(1, folder).unwrap_err();
    let Fault::SignedTwice(evidence) = &fault else { panic!("{fault}") };
    assert_eq!(**evidence, timed_primitives::DoubleSign::of_votes(vote.clone(), other));
    let output = inspect(folder, &["--json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let line = found["contradictions"][0].as_str().unwrap();
    assert!(line.starts_with("node 1: ") && line.contains(&format!("of height {} round 0", vote.height)), "{line}");
    assert_eq!(found["damage"], json!([]));
}

#[test]
fn lost_and_changed_blocks_and_payments_are_found() {
    let (network, reported, paid) = stopped(3);
    let folder = &network.node(1).folder;
    let block = (reported["blocks"].as_u64().unwrap(), reported["bestblockhash"].as_str().unwrap().to_owned());
    let mut checker = Checker::new(1);
    checker.read(1, folder).unwrap();
    let tip = timed_primitives::Height(block.0);
    checker.check_height(1, tip).unwrap();
    assert!(matches!(checker.check_height(1, tip.next()), Err(Fault::Lost { .. })));

    // Said to be final in two places.
    let (txid, height) = paid.last().unwrap();
    checker.promise_payment(1, txid, (*height, block.1.clone())).unwrap();
    checker.promise_payment(2, txid, (*height, block.1.clone())).unwrap();
    let elsewhere = checker.promise_payment(2, txid, (height + 1, block.1.clone()));
    assert!(matches!(elsewhere, Err(Fault::LostPayment { node: 2, .. })));

    // Another figure than the node gave.
    let mut other = reported.clone();
    other["supply"] = json!(1);
    let fault = checker.finish(&folders(&network, &other)).unwrap_err();
    assert!(matches!(fault, Fault::Differs { what: "supply", .. }), "{fault}");

    // The last block is gone.
    let log = folder.join("blocks.log");
    let whole = fs::read(&log).unwrap();
    fs::write(&log, &whole[..used(&whole) - 1]).unwrap();
    checker.forget_folder(1);
    checker.read(1, folder).unwrap();
    assert!(matches!(checker.check_height(1, tip), Err(Fault::Lost { .. })));

    // Another network with the same keys and genesis decided otherwise.
    let (fork, _, _) = stopped(1);
    let fault = checker.read(2, &fork.node(1).folder).unwrap_err();
    assert!(matches!(fault, Fault::SignedTwice(_) | Fault::OtherBlock { .. }), "{fault}");
    let mut checker = Checker::new(1);
    checker.read_log(1, folder).unwrap();
    let fault = checker.read_log(2, &fork.node(1).folder).unwrap_err();
    assert!(matches!(fault, Fault::OtherBlock { .. }), "{fault}");
    // A payment that no node has.
    let mut network = network;
    fs::write(&log, &whole).unwrap();
    network.node_mut(1).start();
    network.wait_height(block.0);
    checker.check_payments(network.node(1)).unwrap();
    checker.promise_payment(1, txid, (*height, network.node(1).block_id(*height))).unwrap();
    checker.check_payments(network.node(1)).unwrap();
    checker.promise_payment(1, reported["genesis"].as_str().unwrap(), block).unwrap();
    assert!(matches!(checker.check_payments(network.node(1)), Err(Fault::LostPayment { .. })));
}

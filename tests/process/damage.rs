//! Damaged files: named with what to do, and left as they are.

use crate::bad_starts::{check, contents, refusal};
use crate::harness::{Network, Node, wait_for};
use std::fs;
use std::path::Path;

/// Inverts a byte.
fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] = !bytes[at];
    fs::write(file, bytes).unwrap();
}

/// A stopped network of one with some payments.
fn stopped(blocks: u64) -> Network {
    let mut network = Network::start(1, 0);
    for _ in 0..blocks {
        let txid = network.node(1).pay().unwrap();
        network.wait_final(&txid);
    }
    network.node_mut(1).process().signal("TERM");
    assert_eq!(network.node_mut(1).wait_end().code(), Some(0));
    network
}

#[test]
fn a_damaged_block_log_is_refused_and_left_as_it_is() {
    let network = stopped(10);
    let folder = &network.node(1).folder;
    let log = folder.join("blocks.log");
    let middle = fs::read(&log).unwrap().iter().rposition(|byte| *byte != 0).unwrap() / 2;
    flip(&log, middle);
    let before = contents(folder, &["state"]);
    check(&refusal(network.node(1).command()), &["blocks.log: byte ", "of height ", "damaged", "backup", "`state/`"]);
    assert!(contents(folder, &["state"]) == before, "files were touched");
}

#[test]
fn a_damaged_store_is_refused_and_rebuilt_once_moved_aside() {
    let mut network = stopped(10);
    let folder = network.node(1).folder.clone();
    let state = folder.join("state");
    for file in contents(&state, &[]).into_keys() {
        fs::write(file, [0xA5; 5_000]).unwrap();
    }
    let before = contents(&folder, &[]);
    check(&refusal(network.node(1).command()), &["state", "is damaged", "Move that folder aside", "block log"]);
    assert!(contents(&folder, &[]) == before, "files were touched");

    fs::rename(&state, folder.join("state.aside")).unwrap();
    network.node_mut(1).start();
    network.wait_height(10);
    let txid = wait_for("a payment", || network.node(1).pay().ok());
    network.wait_final(&txid);
}

/// A batch of a journal file, which stands twice.
struct Batch {
    generation: u64,
    /// Where it starts, and where again. Unit: bytes.
    copies: [usize; 2],
}

/// The batches of the generation that a journal file holds. The layout is in `src/consensus/src/journal/pages.rs`.
fn batches(file: &Path) -> Vec<Batch> {
    let bytes = fs::read(file).unwrap();
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let mut found: Vec<Batch> = Vec::new();
    let mut at = 0;
    while bytes.get(at..at + 8) == Some(b"TIMEjrn2")
        && found.last().is_none_or(|last| last.generation == number(at + 8))
    {
        let payload = usize::try_from(u32::from_le_bytes(bytes[at + 32..at + 36].try_into().unwrap())).unwrap();
        let size = payload.div_ceil(4052) * 4096;
        found.push(Batch { generation: number(at + 8), copies: [at, at + size] });
        at += 2 * size;
    }
    found
}

#[test]
fn a_damaged_journal_is_refused_and_left_as_it_is() {
    let mut network = Network::start(3, 0);
    let folder = network.node(1).folder.clone();
    // Two batches for one height: the prevote, and, when the other votes have come, the precommit.
    let (newest, found) = wait_for("a height with two batches", || {
        let txid = network.node(1).pay().unwrap();
        network.wait_final(&txid);
        let files = ["journal-a", "journal-b"].map(|name| folder.join(name));
        let newest = files.into_iter().max_by_key(|file| batches(file).first().map(|batch| batch.generation))?;
        let found = batches(&newest);
        (found.len() >= 2).then_some((newest, found))
    });
    network.nodes.iter_mut().for_each(Node::kill);
    found[0].copies.iter().for_each(|start| flip(&newest, start + 44));
    let before = contents(&folder, &["state"]);
    let line = refusal(network.node(1).command());
    let name = newest.file_name().unwrap().to_str().unwrap();
    check(&line, &[&format!("{name} is damaged at byte 0"), "nothing was changed", "journal-a, journal-b and guard"]);
    assert!(contents(&folder, &["state"]) == before, "files were touched");

    // With one copy whole the node votes at once.
    flip(&newest, found[0].copies[1] + 44);
    network.nodes.iter_mut().for_each(Node::start);
    let txid = wait_for("a payment", || network.node(1).pay().ok());
    network.wait_final(&txid);
}

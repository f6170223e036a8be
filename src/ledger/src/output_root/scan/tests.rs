#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

use super::*;
use crate::lock::{KeyHash, Lock};
use crate::state::{OutputEntry, output_key};
use crate::transaction::{OutPoint, TxOutput};
use std::io;
use timed_chain::{KeyValue, Store as _, StoreBatch, Table};
use timed_primitives::{Amount, TxId, encode_compact, merkle};
use timed_test_support::MemoryStore;

/// Names in order of their number.
fn outpoint(number: u32) -> OutPoint {
    let mut txid = [9; 32];
    txid[..4].copy_from_slice(&(number / 2).to_be_bytes());
    OutPoint { txid: TxId(Hash(txid)), index: number % 2 }
}

fn entry(number: u32, height: u64) -> OutputEntry {
    let output = TxOutput { amount: Amount(number.into()), lock: Lock::KeyHash(KeyHash(Hash([7; 32]))) };
    OutputEntry { output, height: Height(height) }
}

/// Of which nobody reads more at once than is sensible.
struct Bounded(Arc<dyn StoreView>);

impl StoreView for Bounded {
    fn get(&self, table: Table, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.0.get(table, key)
    }

    fn scan(&self, table: Table, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> io::Result<Vec<KeyValue>> {
        assert!(limit <= 4_096, "{limit} outputs at once");
        self.0.scan(table, prefix, after, limit)
    }
}

fn scan_of(store: &MemoryStore, differences: Differences, boundary: Height, pace: usize) -> OutputScan {
    let (snapshot, spent_since) = (Arc::new(Bounded(store.snapshot().unwrap())), SpentSince::new(boundary, boundary));
    let (after, root, known_by) = (None, RootBuilder::default(), boundary);
    OutputScan { boundary, snapshot, spent_since, differences, after, root, known_by, pace }
}

/// Slices until the root; how many it took.
fn finished(mut scan: OutputScan) -> (Hash, usize) {
    let mut slices = 0;
    loop {
        slices += 1;
        if let Some(root) = scan.slice().unwrap() {
            return (root, slices);
        }
    }
}

#[test]
fn a_million_outputs_in_slices_are_those_at_once() {
    const OUTPUTS: u32 = 1_000_000;
    let store = MemoryStore::default();
    for first in (0..OUTPUTS).step_by(50_000) {
        let mut batch = StoreBatch::default();
        for number in first..first + 50_000 {
            batch.put(super::OUTPUTS, output_key(&outpoint(number)), encode_compact(&entry(number, 5)));
        }
        store.write(batch).unwrap();
    }
    let leaves: Vec<_> = (0..OUTPUTS).map(|number| output_leaf(&outpoint(number), &entry(number, 5))).collect();
    let (root, slices) = finished(scan_of(&store, Differences::new(), Height(5), 1_001));
    assert_eq!(root, merkle::root(&leaves));
    assert_eq!(slices, 1_000, "an interval of 2,000 blocks is half over");
}

/// Each number is in the store, or not, or spent by blocks in memory, or made by them, or younger than the boundary.
#[test]
fn rows_and_differences_are_one_list_wherever_a_slice_ends() {
    let (store, mut batch) = (MemoryStore::default(), StoreBatch::default());
    let (mut differences, mut leaves) = (Differences::new(), Vec::new());
    for number in 0..300 {
        let (at, old, young) = (outpoint(number), entry(number, 8), entry(number, 10));
        let mut put = |entry| batch.put(OUTPUTS, output_key(&at), encode_compact(&entry));
        match number * number % 7 {
            0 => put(old),
            1 => put(young),
            2 => {
                put(old);
                differences.insert(at, None);
                continue;
            }
            _ if number % 5 > 0 => drop(differences.insert(at, Some(old))),
            _ => continue,
        }
        if number * number % 7 != 1 {
            leaves.push(output_leaf(&at, &old));
        }
    }
    store.write(batch).unwrap();
    assert!(leaves.len() > 100 && differences.len() > 100);
    for pace in [1, 2, 3, 7, 50, 299, 300, 301, 10_000] {
        let (root, slices) = finished(scan_of(&store, differences.clone(), Height(9), pace));
        assert_eq!(root, merkle::root(&leaves), "at a pace of {pace}");
        assert!(slices <= 300 / pace + 1);
    }
}

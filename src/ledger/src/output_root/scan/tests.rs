#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

use super::*;
use crate::delta::OutputChanges;
use crate::lock::{KeyHash, Lock};
use crate::state::{OutputEntry, output_key};
use crate::transaction::{OutPoint, Transaction, TxOutput};
use std::io;
use timed_chain::{KeyValue, Location, Store as _, StoreBatch, Table};
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
    let (rows, spent_since) = (Arc::new(Bounded(store.snapshot().unwrap())), SpentSince::new(boundary, boundary));
    let (after, root, known_by, followed_to) = (None, RootBuilder::default(), boundary, boundary);
    OutputScan { boundary, rows, spent_since, differences, followed_to, after, root, known_by, pace }
}

/// Slices until the root; how many it took.
fn finished(mut scan: OutputScan) -> (Hash, usize) {
    let mut slices = 0;
    loop {
        slices += 1;
        if let Some(root) = scan.slice(scan.pace).unwrap() {
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

/// A chain whose blocks go to the store some time after they came.
struct Growing {
    store: MemoryStore,
    rows_height: Height,
    blocks: Vec<(Height, OutputChanges)>,
}

impl Growing {
    /// All but the newest blocks go to the store.
    fn flush(&mut self, newest: usize) {
        let mut batch = StoreBatch::default();
        let count = self.blocks.len().saturating_sub(newest);
        for (height, changes) in self.blocks.drain(..count) {
            for (outpoint, output) in &changes.created {
                batch.put(OUTPUTS, output_key(outpoint), encode_compact(&OutputEntry { output: *output, height }));
            }
            for outpoint in changes.spent.keys() {
                batch.delete(OUTPUTS, output_key(outpoint));
            }
            self.rows_height = height;
        }
        self.store.write(batch).unwrap();
    }
}

impl RootSource for Growing {
    fn tip_height(&self) -> Height {
        self.blocks.last().map_or(self.rows_height, |(height, _)| *height)
    }

    fn rows_height(&self) -> Height {
        self.rows_height
    }

    fn unspent_count(&self) -> u64 {
        400
    }

    fn rows(&self) -> Arc<dyn StoreView> {
        self.store.snapshot().unwrap()
    }

    fn stored_root(&self, _boundary: Height) -> Result<Option<Hash>, ReadError> {
        Ok(None)
    }

    fn newest_changes(&self) -> impl Iterator<Item = (Height, &OutputChanges)> {
        self.blocks.iter().map(|(height, changes)| (*height, changes))
    }

    fn payments(&self, _height: Height) -> Result<Vec<Transaction>, ReadError> {
        unreachable!("nothing is looked for in the log")
    }

    fn spent_payouts(&self, _height: Height) -> Result<Vec<(OutPoint, OutputEntry)>, ReadError> {
        unreachable!("nothing is looked for in the log")
    }

    fn location_of(&self, _txid: &TxId) -> Result<Option<Location>, ReadError> {
        unreachable!("nothing is looked for in the log")
    }

    fn genesis_output(&self, _outpoint: &OutPoint) -> Option<TxOutput> {
        unreachable!("nothing is looked for in the log")
    }
}

/// Each block makes outputs with names all over the place, and spends some that were made before: of the boundary, younger ones, ones that have
/// been passed and ones that are ahead.
#[test]
fn a_scan_that_goes_on_with_newer_rows_finds_the_outputs_of_the_boundary() {
    // Another name for each number.
    let name = |number: u32| outpoint(number * 7_919 % 100_003);
    let boundary = Height(9);
    for (kept_in_memory, interval) in [(0, 10), (3, 40), (7, 100), (20, 400)] {
        let (mut chain, mut unspent) =
            (Growing { store: MemoryStore::default(), rows_height: Height(0), blocks: Vec::new() }, Differences::new());
        let (mut expected, mut scan) = (None, None);
        for height in 1..=boundary.0 + interval {
            let mut changes = OutputChanges::default();
            let first = u32::try_from(height).unwrap() * 50;
            let made = (first..first + 50).map(|number| (name(number), entry(number, height)));
            changes.created.extend(made.clone().map(|(at, entry)| (at, entry.output)));
            let step = 3 + usize::try_from(height % 5).unwrap();
            let spent: Vec<_> =
                unspent.iter().step_by(step).take(45).map(|(at, entry)| (*at, entry.unwrap())).collect();
            for (at, _) in &spent {
                unspent.remove(at);
            }
            changes.spent.extend(spent);
            unspent.extend(made.map(|(at, entry)| (at, Some(entry))));
            chain.blocks.push((Height(height), changes));
            chain.flush(kept_in_memory);
            if height == boundary.0 {
                let leaves: Vec<_> = unspent.iter().map(|(at, entry)| output_leaf(at, &entry.unwrap())).collect();
                expected = Some(merkle::root(&leaves));
                scan = Some(OutputScan::new(&chain, boundary, interval));
            }
            if let Some(scanning) = &mut scan {
                match scanning.step(&chain, Height(height)).unwrap() {
                    Some(root) if expected == Some(root) => break,
                    Some(_) => panic!("another root, {kept_in_memory} blocks in memory"),
                    None => assert!(height < boundary.0 + interval, "no root in time"),
                }
            }
        }
    }
}

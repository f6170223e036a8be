//! Proofs of old blocks, from overlay, store and after each kind of start.

use crate::chain::{Node, block, certify, coin, commit, genesis, move_to};
use std::sync::Arc;
use timed_chain::{Chain, ChainOpenError, History, HistoryProofFault, ReadError, Store as _, StoreBatch, Table};
use timed_ledger::{Ledger, PaymentApplication};
use timed_primitives::{Height, MemoryDisk, history_path_max};
use timed_test_support::MemoryStore;

fn open(disk: &MemoryDisk, store: &MemoryStore) -> Result<Ledger, ChainOpenError> {
    Chain::open(PaymentApplication::new(genesis()).unwrap(), disk, Arc::new(store.clone()))
}

/// Every block is proved by every later one, and by nothing else.
#[track_caller]
fn assert_all_proved(history: &dyn History) {
    let tip = history.tip().height;
    for at in (1..=tip.0).map(Height) {
        for height in (1..at.0).map(Height) {
            let proof = history.history_proof(height, Some(at)).unwrap();
            assert_eq!(proof.check(), Ok(()), "{height} at {at}");
            assert_eq!(proof.block, history.block(height).unwrap().unwrap().header);
            assert_eq!(proof.at, history.block(at).unwrap().unwrap().header);
            assert_eq!(Some(&proof.certificate), history.certificate(at).unwrap().as_ref());
            assert!(proof.path.hashes().len() <= history_path_max(at.0 - 1) as usize);
            if at == tip {
                assert_eq!(history.history_proof(height, None).unwrap(), proof);
            }
        }
        for height in [at, tip] {
            let fault = history.history_proof(height, Some(at)).unwrap_err();
            assert!(matches!(fault, HistoryProofFault::NotBefore { height: h, at: a } if (h, a) == (height, at)));
        }
        for height in [Height(0), tip.next(), Height(u64::MAX)] {
            for (of, by) in [(height, at), (at, height)] {
                let fault = history.history_proof(of, Some(by)).unwrap_err();
                assert!(matches!(fault, HistoryProofFault::NoBlock { height: h, tip: t } if (h, t) == (height, tip)));
            }
        }
    }
}

#[test]
fn every_block_is_proved_by_every_later_one_wherever_its_nodes_are() {
    let mut node = Node::new();
    let reader = node.ledger.reader();
    assert!(matches!(reader.history_proof(Height(1), None), Err(HistoryProofFault::NoBlock { tip: Height(0), .. })));
    for height in 1..=21 {
        commit(&mut node.ledger, if height < 8 { vec![move_to(coin(height), 0, 1)] } else { vec![] });
        // All in the overlay, then the lower part in the store, then all of it.
        if [9, 16].contains(&height) {
            node.ledger.flush().unwrap();
        }
    }
    assert_eq!((reader.stats().stored_height, reader.stats().overlay_blocks), (Height(16), 5));
    assert_all_proved(&reader);
    // The store behind the log, as after a kill; lost; and up to date.
    for store in [node.store.copy(), MemoryStore::default()] {
        let mut again = open(&node.disk.copy_of_durable(), &store).unwrap();
        assert_eq!(again.tip(), node.ledger.tip());
        assert_all_proved(&again.reader());
        let next = commit(&mut again, vec![]);
        assert_eq!(block(&mut node.ledger, vec![]).header, next.block.header, "the same block follows");
    }
    node.ledger.flush().unwrap();
    assert_all_proved(&reader);
    assert_all_proved(&open(&node.disk.copy_of_durable(), &node.store.copy()).unwrap().reader());
}

#[test]
fn the_store_has_one_row_for_each_block_and_two_nodes_on_average() {
    let node = Node::with_blocks(3);
    let mut other = Node::open(node.disk.copy_of_durable(), MemoryStore::default());
    (4..=100).for_each(|_| drop(commit(&mut other.ledger, vec![])));
    other.ledger.flush().unwrap();
    let rows = other.store.snapshot().unwrap().scan(Table::HISTORY, &[], None, usize::MAX).unwrap();
    assert_eq!(rows.len(), 100);
    for (height, (key, nodes)) in (1_u64..).zip(&rows) {
        assert_eq!(key, &height.to_be_bytes());
        assert_eq!(nodes.len(), 32 * (height.trailing_zeros() as usize + 1));
    }
    assert!(rows.iter().map(|(_, nodes)| nodes.len()).sum::<usize>() < 100 * 2 * 32);
}

/// A store of 11 blocks: 8, 2 and 1 of them under the peaks.
#[test]
fn a_node_that_turned_is_found_at_the_start_or_when_it_is_needed() {
    let mut node = Node::new();
    (1..=11).for_each(|_| drop(commit(&mut node.ledger, vec![])));
    node.ledger.flush().unwrap();
    let changed = |height: u64, change: fn(&mut Vec<u8>)| {
        let (store, key) = (node.store.copy(), height.to_be_bytes().to_vec());
        let mut row = store.snapshot().unwrap().get(Table::HISTORY, &key).unwrap().unwrap();
        change(&mut row);
        let mut batch = StoreBatch::default();
        batch.put(Table::HISTORY, key, row);
        store.write(batch).unwrap();
        open(&node.disk.copy_of_durable(), &store)
    };
    let turn_last: fn(&mut Vec<u8>) = |row| *row.last_mut().unwrap() ^= 1;
    let is_named = |error: &str| assert!(error.contains("move `state/` aside"), "{error}");
    // What the next root follows from: the peaks over the first ten, and what the eleventh added.
    for height in [8, 10, 11] {
        for change in [turn_last, |row| row.truncate(row.len() - 1), Vec::clear, |row| row.push(0)] {
            let Err(error) = changed(height, change) else { panic!("block {height} turned, and was believed") };
            is_named(&error.to_string());
        }
    }
    // Whatever proof needs another node says so; what needs it not is as it was.
    let damaged = changed(4, turn_last).unwrap();
    let reader = damaged.reader();
    for height in (1..=8).map(Height) {
        let proof = reader.history_proof(height, None);
        match height.0 {
            5.. => {
                let Err(HistoryProofFault::Read(error)) = proof else { panic!("{height} is proved") };
                assert!(matches!(error, ReadError::Undecodable { table: "history" }));
                is_named(&error.to_string());
            }
            _ => assert!(proof.is_ok(), "{height}"),
        }
    }
    assert!(reader.history_proof(Height(9), None).is_ok());
    // A store that software of before the history made.
    let old = node.store.copy();
    let mut batch = StoreBatch::default();
    (1..=11_u64).for_each(|height| batch.delete(Table::HISTORY, height.to_be_bytes().to_vec()));
    old.write(batch).unwrap();
    let Err(error) = open(&node.disk.copy_of_durable(), &old) else { panic!("a store without history was opened") };
    is_named(&error.to_string());
}

/// Certified elsewhere with another history: nobody follows.
#[test]
fn a_certified_block_with_another_history_ends_the_chain() {
    let mut node = Node::with_blocks(2);
    let mut other = (*block(&mut node.ledger, vec![])).clone();
    other.header.history_root = node.ledger.reader().block(Height(2)).unwrap().unwrap().header.history_root;
    let error = node.ledger.commit(Arc::new(other.clone()), certify(&other)).unwrap_err();
    assert!(error.is_fatal());
    assert!(error.to_string().contains("which is that of the 2 blocks before it"), "{error}");
}

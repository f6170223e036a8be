//! Flushing beside commits, the overlay's bound, and what readers see meanwhile.

use crate::chain::{Node, certify, coin, commit, move_to, owner, pay};
use timed_chain::{FLUSH_CHANGES_MAX, History as _, OVERLAY_BLOCKS_MAX, OVERLAY_CHANGES_MAX};
use timed_ledger::{LedgerQueries as _, LedgerReader, OutPoint, Transaction, TxOutput, transactions_of};
use timed_primitives::{Amount, Height, TxId};
use timed_test_support::MemoryStore;

#[test]
fn a_flush_runs_beside_commits() {
    let mut node = Node::with_blocks(3);
    let reader = node.ledger.reader();
    let old = reader.view();
    let job = node.ledger.begin_flush().unwrap();
    assert_eq!(job.blocks(), 3);
    assert!(node.ledger.begin_flush().is_none(), "one at a time");
    commit(&mut node.ledger, vec![move_to(coin(3), 0, 1)]);
    let before = reader.outputs_of(&owner(1), None, 100).unwrap();
    assert_eq!((reader.stats().overlay_blocks, reader.stats().stored_height), (4, Height(0)));
    job.run().unwrap();
    assert_eq!(reader.stats().overlay_blocks, 4, "the ledger has not looked yet");
    node.ledger.finish_flush().unwrap();
    assert_eq!((reader.stats().overlay_blocks, reader.stats().stored_height), (1, Height(3)));
    assert_eq!(reader.outputs_of(&owner(1), None, 100).unwrap(), before);
    assert_eq!(before.len(), 4);
    node.ledger.flush().unwrap();
    assert_eq!((reader.stats().overlay_blocks, reader.stats().stored_height), (0, Height(4)));
    assert_eq!(reader.outputs_of(&owner(1), None, 100).unwrap(), before);
    // A view that was taken before sees what it saw.
    assert_eq!(old.tip().height, Height(3));
    assert_eq!(old.outputs_of(&owner(1), None, 100).unwrap().len(), 3);
    assert_eq!(old.output(&coin(3).0).unwrap().unwrap().output, coin(3).1);
    assert_eq!(reader.output(&coin(3).0).unwrap(), None);
}

#[test]
fn the_overlay_never_exceeds_its_bound() {
    let mut node = Node::new();
    let reader = node.ledger.reader();
    let handed_out = {
        commit(&mut node.ledger, vec![]);
        node.ledger.begin_flush().unwrap()
    };
    for _ in 0..2 * OVERLAY_BLOCKS_MAX {
        commit(&mut node.ledger, vec![]);
        assert!(reader.stats().overlay_blocks <= OVERLAY_BLOCKS_MAX);
    }
    handed_out.run().unwrap();
    assert!(reader.stats().stored_height >= Height(64));
    // A batch larger than the bound goes in parts.
    let mut copy = Node::new();
    let all: Vec<_> = (1..=reader.tip().height.0)
        .map(|height| {
            let decided = reader.decided(Height(height)).unwrap().unwrap();
            (decided.block, (*decided.certificate).clone())
        })
        .collect();
    assert_eq!(copy.ledger.commit_batch(all).unwrap().len(), 2 * OVERLAY_BLOCKS_MAX + 1);
    assert!(copy.ledger.reader().stats().overlay_blocks <= OVERLAY_BLOCKS_MAX);
    assert_eq!(copy.ledger.tip(), node.ledger.tip());
}

/// Splits every coin of a block before into many, the first of which is split next.
fn split(coins: &mut [(OutPoint, TxOutput)]) -> Vec<Transaction> {
    let split_one = |coin: &mut (OutPoint, TxOutput)| {
        let small = 10_000;
        let rest = coin.1.amount.0 - 1_199 * small - 1_000_000;
        let parts: Vec<_> = std::iter::once((rest, 0)).chain((1..1_200).map(|_| (small, 0))).collect();
        let transaction = pay(&[*coin], 0, &parts);
        *coin = transaction.outputs().next().unwrap();
        transaction
    };
    coins.iter_mut().map(split_one).collect()
}

#[test]
fn the_overlay_is_bounded_by_what_its_blocks_change() {
    let mut node = Node::new();
    let reader = node.ledger.reader();
    let mut coins: Vec<_> = (0..8).map(coin).collect();
    let changes = 8 * 1_200;
    // The last may go beyond the bound.
    let fitting = OVERLAY_CHANGES_MAX.div_ceil(changes);
    for _ in 0..=fitting {
        let transactions = split(&mut coins);
        assert_eq!(commit(&mut node.ledger, transactions).transactions.len(), 8);
        assert!(reader.stats().overlay_blocks <= fitting);
    }
    // The last found no room, and waited for one batch.
    let batch = FLUSH_CHANGES_MAX / changes;
    assert_eq!(reader.stats().overlay_blocks, fitting + 1 - batch);
    assert_eq!(reader.stats().stored_height, Height(batch as u64));
    // The same in one batch, and when the log is read again.
    let all: Vec<_> = (1..=reader.tip().height.0)
        .map(|height| {
            let decided = reader.decided(Height(height)).unwrap().unwrap();
            (decided.block, (*decided.certificate).clone())
        })
        .collect();
    let mut copy = Node::new();
    copy.ledger.commit_batch(all).unwrap();
    let reopened = Node::open(copy.disk.clone(), MemoryStore::default());
    for other in [&copy, &reopened] {
        assert_eq!(other.ledger.tip(), node.ledger.tip());
        assert!(other.ledger.reader().stats().overlay_blocks <= fitting);
    }
}

#[test]
fn readers_find_blocks_and_transactions_in_overlay_store_and_log() {
    let mut node = Node::with_blocks(2);
    node.ledger.flush().unwrap();
    let third = commit(&mut node.ledger, vec![move_to(coin(6), 0, 1), move_to(coin(7), 0, 2)]);
    let reader = node.ledger.reader();
    for height in 1..=3 {
        let decided = reader.decided(Height(height)).unwrap().unwrap();
        assert_eq!(decided.block.height(), Height(height));
        assert_eq!(reader.block_id(Height(height)).unwrap(), Some(decided.block.id()));
        assert_eq!(reader.height_of(&decided.block.id()).unwrap(), Some(Height(height)));
        assert_eq!(*decided.certificate, certify(&decided.block));
        let bytes = reader.decided_bytes(Height(height)).unwrap().unwrap();
        assert_eq!(bytes.block, timed_primitives::encode(&*decided.block));
        assert_eq!(bytes.certificate, timed_primitives::encode(&*decided.certificate));
        for (index, transaction) in (0u32..).zip(&transactions_of(&decided.block.payload)) {
            let found = reader.transaction(&transaction.id()).unwrap().unwrap();
            assert_eq!((found.height, found.index, &found.transaction), (Height(height), index, transaction));
            assert!(reader.is_confirmed(&transaction.id()).unwrap());
        }
    }
    for height in [0, 4, u64::MAX] {
        assert_eq!(reader.block(Height(height)).unwrap(), None);
        assert_eq!(reader.block_id(Height(height)).unwrap(), None);
    }
    assert_eq!(reader.transaction(&TxId::default()).unwrap(), None);
    assert_eq!(reader.height_of(&timed_primitives::BlockId::default()).unwrap(), None);
    assert_eq!(reader.block(Height(3)).unwrap(), Some(third.block.clone()));
    let totals = reader.totals();
    assert_eq!((totals.transactions, totals.outputs, reader.stats().height), (4, 12, Height(3)));
    // Pages of one owner's outputs join without gap or overlap, through store and overlay.
    let all = reader.outputs_of(&owner(1), None, 100).unwrap();
    let mut paged = Vec::new();
    while let Some(entry) = reader.view().outputs_of(&owner(1), paged.last().map(|(at, _)| at), 1).unwrap().pop() {
        paged.push(entry);
    }
    assert_eq!((paged.len(), &paged), (3, &all));
}

#[test]
fn readers_on_other_threads_always_see_one_whole_state() {
    let mut node = Node::new();
    let reader = node.ledger.reader();
    let (supply, locked) = (crate::chain::genesis().supply().unwrap(), Amount::whole(4 * 1_000));
    let look = |reader: LedgerReader| {
        let (mut seen, mut looks) = (Height(0), 0);
        while seen < Height(60) {
            let view = reader.view();
            let tip = view.tip();
            assert!(tip.height >= seen, "a reader never goes back");
            seen = tip.height;
            let outputs = (0..2).flat_map(|wallet| view.outputs_of(&owner(wallet), None, 1_000).unwrap());
            let unspent = Amount::sum(outputs.map(|(_, entry)| entry.output.amount)).unwrap();
            let unspent = unspent.plus(locked).unwrap();
            assert_eq!(unspent, view.supply().unspent);
            assert_eq!(unspent.plus(view.supply().fees), Some(supply));
            assert_eq!(view.block_id(seen).unwrap().unwrap_or_default(), tip.id);
            looks += 1;
        }
        looks
    };
    std::thread::scope(|threads| {
        let readers: Vec<_> = (0..2).map(|_| threads.spawn(|| look(reader.clone()))).collect();
        let mut coins: Vec<_> = (0..8).map(coin).collect();
        let mut jobs = Vec::new();
        for n in 0..60usize {
            // Each output goes to and fro between two wallets.
            let from = u64::try_from((n / 8) % 2).unwrap();
            let payment = move_to(coins[n % 8], from, 1 - from);
            coins[n % 8] = payment.outputs().next().unwrap();
            commit(&mut node.ledger, vec![payment]);
            if let Some(job) = node.ledger.begin_flush() {
                jobs.push(threads.spawn(move || job.run()));
            }
        }
        assert!(jobs.len() > 1);
        assert!(jobs.into_iter().all(|job| job.join().unwrap().is_ok()));
        assert!(readers.into_iter().all(|reader| reader.join().unwrap() > 0));
    });
    node.ledger.flush().unwrap();
    assert_eq!(node.ledger.reader().stats().stored_height, Height(60));
}

//! What a ledger opens after crashes, torn writes, damage and lost files.

use crate::chain::{Node, block, certify, coin, commit, genesis, log_bytes, log_file, move_to};
use std::sync::Arc;
use timed_chain::{
    BLOCK_LOG_FILE, Chain, ChainOpenError, CommitError, Damage, History as _, LogError, LogWalk, Store as _,
    StoreBatch, Table,
};
use timed_ledger::{Ledger, PaymentApplication};
use timed_primitives::{Height, MemoryDisk};
use timed_test_support::MemoryStore;

fn open(disk: &MemoryDisk, store: &MemoryStore) -> Result<Ledger, ChainOpenError> {
    Chain::open(PaymentApplication::new(genesis()).unwrap(), disk, Arc::new(store.clone()))
}

/// Three blocks; what the store held after each, and where each record ends.
fn three() -> (Node, Vec<MemoryStore>, Vec<usize>) {
    let mut node = Node::new();
    let (mut stores, mut ends) = (vec![node.store.copy()], vec![log_bytes(&node.disk).len()]);
    for n in 0..3 {
        commit(&mut node.ledger, vec![move_to(coin(n), 0, 1)]);
        node.ledger.flush().unwrap();
        stores.push(node.store.copy());
        ends.push(log_bytes(&node.disk).len());
    }
    (node, stores, ends)
}

/// A disk with this block log.
fn disk_with(log: &[u8]) -> MemoryDisk {
    let disk = MemoryDisk::default();
    timed_primitives::Disk::open(&disk, BLOCK_LOG_FILE).unwrap();
    disk.damage(BLOCK_LOG_FILE, |content| *content = log.to_vec()).unwrap();
    disk
}

#[test]
fn every_store_height_catches_up_to_the_same_state() {
    let (node, mut stores, _) = three();
    let tip = node.ledger.tip();
    stores.push(MemoryStore::default());
    for store in stores {
        let ledger = open(&node.disk.copy_of_durable(), &store).unwrap();
        assert_eq!(ledger.tip(), tip);
        assert_eq!(ledger.reader().stats(), node.ledger.reader().stats());
        assert_eq!(ledger.reader().stats().stored_height, Height(3));
        for height in [Height(2), Height(3)] {
            assert_eq!(ledger.reader().certificate(height).unwrap(), node.ledger.reader().certificate(height).unwrap());
        }
    }
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_the_chain_goes_on() {
    let (node, stores, ends) = three();
    let log = log_bytes(&node.disk);
    let rebuilt =
        block(&mut open(&disk_with(&log[..ends[2]]), &stores[2].copy()).unwrap(), vec![move_to(coin(2), 0, 1)]);
    for cut in ends[2]..ends[3] {
        let disk = disk_with(&log[..cut]);
        let mut ledger = open(&disk, &stores[2].copy()).unwrap();
        assert_eq!(ledger.tip().height, Height(2), "cut at {cut}");
        assert_eq!(log_bytes(&disk), log[..ends[2]], "cut at {cut}");
        if cut % 97 == 0 {
            ledger.commit(rebuilt.clone(), certify(&rebuilt)).unwrap();
            assert_eq!(log_bytes(&disk), log, "the same block makes the same log");
        }
    }
}

#[test]
fn a_tail_with_any_changed_byte_is_cut_too() {
    let (node, stores, ends) = three();
    let log = log_bytes(&node.disk);
    for at in ends[2]..ends[3] {
        let mut torn = log.clone();
        torn[at] ^= 0x40;
        let disk = disk_with(&torn);
        assert_eq!(open(&disk, &stores[1].copy()).unwrap().tip().height, Height(2), "changed at {at}");
        assert_eq!(log_bytes(&disk), log[..ends[2]], "changed at {at}");
    }
    let mut zeros = log.clone();
    zeros.extend([0; 5_000]);
    let disk = disk_with(&zeros);
    assert_eq!(open(&disk, &stores[3].copy()).unwrap().tip().height, Height(3));
    assert_eq!(log_bytes(&disk), log);
}

#[test]
fn small_blocks_go_into_preallocated_zeros_and_what_a_crash_leaves_there_is_cut() {
    let (mut node, stores, ends) = three();
    let size = log_file(&node.disk).len();
    assert!(size > 4 * ends[3], "{size} bytes for records up to {}", ends[3]);
    commit(&mut node.ledger, vec![move_to(coin(3), 0, 1)]);
    assert_eq!(log_file(&node.disk).len(), size, "a block that fits leaves the size");
    let whole = log_file(&node.disk);
    let end = log_bytes(&node.disk).len();
    let reopened = disk_with(&whole);
    assert_eq!(open(&reopened, &stores[3].copy()).unwrap().tip().height, Height(4));
    assert_eq!(log_file(&reopened), whole, "zeros that wait for blocks stay");
    for cut in ends[3] + 1..end {
        let mut torn = whole.clone();
        torn[cut..].fill(0);
        let disk = disk_with(&torn);
        let mut ledger = open(&disk, &stores[3].copy()).unwrap();
        assert_eq!(ledger.tip().height, Height(3), "zeros from {cut}");
        assert_eq!(log_bytes(&disk).len(), ends[3], "zeros from {cut}");
        if cut % 97 == 0 {
            let again = block(&mut ledger, vec![move_to(coin(3), 0, 1)]);
            ledger.commit(again.clone(), certify(&again)).unwrap();
            assert_eq!(log_bytes(&disk), whole[..end], "the same block makes the same log");
        }
    }
}

#[test]
fn damage_before_a_later_block_is_refused_and_nothing_is_touched() {
    let (node, stores, ends) = three();
    let log = log_bytes(&node.disk);
    for at in ends[1]..ends[2] {
        let mut damaged = log.clone();
        damaged[at] ^= 1;
        let disk = disk_with(&damaged);
        // Whether the store is behind the damage, ahead of it or lost.
        let store = if at % 3 == 0 { MemoryStore::default() } else { stores[at % 3 + 1].copy() };
        let Err(error) = open(&disk, &store) else { panic!("opened with damage at {at}") };
        let expected = u64::try_from(ends[1]).unwrap();
        assert!(
            matches!(error, ChainOpenError::Log(LogError::Damaged { offset, height: Height(2), .. }) if offset == expected),
            "at {at}: {error}"
        );
        assert_eq!(log_bytes(&disk), damaged, "at {at}");
    }
}

#[test]
fn a_batch_that_was_never_synced_is_cut_whatever_part_of_it_is_there() {
    let mut node = Node::with_blocks(1);
    let before = log_bytes(&node.disk).len();
    let store = node.store.copy();
    // Three more blocks, made elsewhere, come in one batch.
    let mut maker = Node::open(node.disk.copy_of_durable(), store.copy());
    let batch: Vec<_> = (1..4)
        .map(|n| {
            let committed = commit(&mut maker.ledger, vec![move_to(coin(n), 0, 1)]);
            (committed.block, (*committed.certificate).clone())
        })
        .collect();
    node.ledger.commit_batch(batch).unwrap();
    let log = log_bytes(&node.disk);
    // The first of the batch is damaged, the others are whole: the sync never returned, so nothing of it was final.
    let mut torn = log.clone();
    torn[before + 60] ^= 1;
    let disk = disk_with(&torn);
    assert_eq!(open(&disk, &store.copy()).unwrap().tip().height, Height(1));
    assert_eq!(log_bytes(&disk), log[..before]);
    // With a later batch behind it, the sync did return: the same damage is refused.
    commit(&mut node.ledger, vec![]);
    let mut damaged = log_file(&node.disk);
    damaged[before + 60] ^= 1;
    let disk = disk_with(&damaged);
    let Err(error) = open(&disk, &store.copy()) else { panic!("opened with damage") };
    assert!(matches!(
        error,
        ChainOpenError::Log(LogError::Damaged { height: Height(2), damage: Damage::Checksum, .. })
    ));
    assert_eq!(log_file(&disk), damaged);
}

#[test]
fn a_log_shorter_than_the_store_is_refused() {
    let (node, stores, ends) = three();
    let log = log_bytes(&node.disk);
    for cut in [ends[1], ends[2], ends[2] + 20, ends[3] - 1] {
        let disk = disk_with(&log[..cut]);
        let Err(error) = open(&disk, &stores[3].copy()) else { panic!("opened with {cut} bytes") };
        assert!(matches!(error, ChainOpenError::LogShort { applied: Height(3), .. }), "{error}");
        assert!(error.to_string().contains("from a backup"), "{error}");
        assert_eq!(log_bytes(&disk), log[..cut]);
    }
    // An old copy ends with the zeros that it was to grow into.
    let mut old = log[..ends[2]].to_vec();
    old.resize(log.len() + 5_000, 0);
    let Err(error) = open(&disk_with(&old), &stores[3].copy()) else { panic!("opened an old copy") };
    let expected = u64::try_from(ends[2]).unwrap();
    assert!(matches!(error, ChainOpenError::LogShort { log_end, .. } if log_end == expected), "{error}");
    let Err(error) = open(&MemoryDisk::default(), &stores[1].copy()) else { panic!("opened without a log") };
    assert!(matches!(error, ChainOpenError::Log(LogError::NoLog)), "{error}");
}

#[test]
fn a_file_header_cut_short_by_a_crash_is_written_again_only_while_there_are_no_blocks() {
    let (node, stores, ends) = three();
    let log = log_bytes(&node.disk);
    for cut in 0..ends[0] {
        assert_eq!(open(&disk_with(&log[..cut]), &stores[0].copy()).unwrap().tip().height, Height(0));
        assert!(matches!(open(&disk_with(&log[..cut]), &stores[1].copy()), Err(ChainOpenError::Log(LogError::NoLog))));
    }
    for at in 0..ends[0] {
        let mut damaged = log.clone();
        damaged[at] ^= 1;
        let disk = disk_with(&damaged);
        assert!(matches!(open(&disk, &stores[0].copy()), Err(ChainOpenError::Log(LogError::NoLog))), "at {at}");
        assert_eq!(log_bytes(&disk), damaged);
    }
}

/// Whole blocks of the format before, with or without a store; nothing is changed, and the message says what to do.
#[test]
fn a_log_of_another_format_is_refused_by_its_number() {
    let (node, stores, ends) = three();
    for (format, length) in [(b'1', log_bytes(&node.disk).len()), (b'1', ends[0]), (b'9', ends[0])] {
        let mut log = log_bytes(&node.disk)[..length].to_vec();
        log[7] = format;
        let crc = crc32fast::hash(&log[..40]);
        log[40..44].copy_from_slice(&crc.to_be_bytes());
        for store in [&stores[0], &stores[3], &MemoryStore::default()] {
            let disk = disk_with(&log);
            let (store, values) = (store.copy(), store.values());
            let Err(error) = open(&disk, &store) else { panic!("format {format} was opened") };
            assert!(matches!(
                error,
                ChainOpenError::Log(LogError::OtherFormat { found, expected: '2' }) if found == char::from(format)
            ));
            let text = error.to_string();
            assert!(
                text.contains("this software reads and writes format 2 only") && text.contains("--data-dir"),
                "{text}"
            );
            assert_eq!((log_bytes(&disk), store.values()), (log.clone(), values));
            assert!(matches!(LogWalk::open(&disk), Err(LogError::OtherFormat { .. })));
        }
        // One byte of it turned: damage, and no other format.
        log[12] ^= 1;
        let found = open(&disk_with(&log), &stores[3].copy());
        assert!(matches!(found, Err(ChainOpenError::Log(LogError::NoLog))), "{:?}", found.err());
    }
}

#[test]
fn another_genesis_is_refused_in_the_store_and_in_the_log() {
    let (node, stores, _) = three();
    let mut other = genesis();
    other.chain_id = timed_primitives::ChainId(77);
    let expected = other.hash();
    let found = genesis().hash();
    let open = |disk: &MemoryDisk, store: &MemoryStore| {
        Chain::open(PaymentApplication::new(other.clone()).unwrap(), disk, Arc::new(store.clone())).err()
    };
    let fresh = MemoryDisk::default();
    let in_store = open(&fresh, &stores[2].copy());
    assert!(
        matches!(in_store, Some(ChainOpenError::OtherGenesis { found: f, expected: e }) if (f, e) == (found, expected))
    );
    assert!(fresh.damage(BLOCK_LOG_FILE, |_| ()).is_none(), "no log was made for the refused store");
    let empty = MemoryStore::default();
    let in_log = open(&node.disk.copy_of_durable(), &empty);
    let refused = matches!(in_log, Some(ChainOpenError::Log(LogError::OtherGenesis { found: f, expected: e })) if (f, e) == (found, expected));
    assert!(refused && empty.values() == 0, "nothing was written into the store of the refused log");
}

#[test]
fn a_store_made_from_another_log_is_refused_and_said_to_be_replaceable() {
    let (node, _, _) = three();
    let mut other = Node::new();
    for n in 0..2 {
        commit(&mut other.ledger, vec![move_to(coin(n), 0, 5), move_to(coin(n + 4), 0, 5)]);
    }
    other.ledger.flush().unwrap();
    let Err(error) = open(&node.disk.copy_of_durable(), &other.store) else { panic!("opened a foreign store") };
    assert!(matches!(error, ChainOpenError::StoreMismatch { height: Height(2), .. }), "{error}");
    assert!(error.to_string().contains("move `state/` aside"));
}

/// The store's row of the state, from its end: where it ends in the log, fees, unspent money, transactions, outputs, the hash of the
/// outputs, time, block, and height.
#[test]
fn a_state_in_which_a_number_turned_is_refused_and_said_to_be_replaceable() {
    const KEY: &[u8] = b"applied";
    let (node, stores, _) = three();
    for (height, store) in stores.iter().enumerate() {
        let row = store.snapshot().unwrap().get(Table::META, KEY).unwrap().unwrap();
        let turned = |at: usize| {
            let (store, mut row, mut batch) = (store.copy(), row.clone(), StoreBatch::default());
            row[at] ^= 1;
            batch.put(Table::META, KEY.to_vec(), row);
            store.write(batch).unwrap();
            open(&node.disk.copy_of_durable(), &store)
        };
        // Height, id, time, hash of the outputs, their number, that of transactions, unspent, fees, masternodes, the sets of three heights,
        // the end of the log.
        let (time, fees) = (8 + 32, 8 + 32 + 8 + 2_048 + 3 * 8);
        let (masternode, sets) = (fees + 8 + 4, row.len() - 8 - 3 * (4 + 4 * 40));
        let set = |n: usize| sets + n * (4 + 4 * 40) + 4;
        for (field, at) in [
            ("fees", fees),
            ("unspent", fees - 8),
            ("hash", time + 8 + 100),
            ("time", time),
            ("a masternode", masternode),
            ("who decides it", set(0)),
            ("who decides the next", set(1)),
            ("who decides the second", set(2)),
        ] {
            let Err(error) = turned(at) else { panic!("{field} at height {height} turned, and was believed") };
            let is_named = matches!(error, ChainOpenError::StoreDamaged { height: h } if h.0 == height as u64);
            assert!(is_named, "{field} at height {height}: {error}");
            assert!(error.to_string().contains("move `state/` aside"), "{error}");
        }
        // The height itself, and where the log ends: with a block, it is the log that does not fit.
        for at in [0, row.len() - 8] {
            let Err(error) = turned(at) else { panic!("byte {at} at height {height} turned, and was believed") };
            let is_named = at == 0 || height > 0 || matches!(error, ChainOpenError::StoreDamaged { .. });
            assert!(is_named, "byte {at} at height {height}: {error}");
        }
    }
}

#[test]
fn a_failed_sync_stops_the_ledger_and_nothing_unsynced_is_final() {
    let mut node = Node::with_blocks(2);
    let reader = node.ledger.reader();
    let tip = reader.tip();
    node.disk.fail_syncs(BLOCK_LOG_FILE);
    let next = block(&mut node.ledger, vec![move_to(coin(2), 0, 1)]);
    let error = node.ledger.commit(next.clone(), certify(&next)).unwrap_err();
    assert!(matches!(&error, CommitError::Log(LogError::Io { .. })) && error.is_fatal(), "{error}");
    assert_eq!(reader.tip(), tip, "readers never see a block that is not on disk");
    assert!(matches!(node.ledger.commit(next.clone(), certify(&next)), Err(CommitError::Stopped)));
    assert!(node.ledger.begin_flush().is_none());
    node.disk.crash();
    let disk = node.disk.copy_of_durable();
    let mut again = open(&disk, &node.store.copy()).unwrap();
    assert_eq!(again.tip(), tip);
    assert_eq!(again.commit(next.clone(), certify(&next)).unwrap().block.height(), Height(3));
}

/// The process ends between the write of a block and its sync, or because the sync failed; the next one finds the block in the system's
/// memory, and calls it final.
#[test]
fn a_block_that_was_found_is_durable_before_it_is_final_and_before_the_store_has_it() {
    let (node, stores, ends) = three();
    let log = log_bytes(&node.disk);
    // None, one, two or all blocks synced; the store behind that, or lost.
    for (synced, is_failed) in [0, 1, 2].into_iter().flat_map(|synced| [(synced, false), (synced, true)]) {
        let start = if synced == 0 { 0 } else { ends[synced] };
        let found = if synced == 0 { &log[..ends[1]] } else { &log[..ends[synced + 1]] };
        for store in stores[..=synced].iter().chain([&MemoryStore::default()]).map(MemoryStore::copy) {
            let disk = disk_with(&log[..start]);
            let file = timed_primitives::Disk::open(&disk, BLOCK_LOG_FILE).unwrap();
            file.write_at(start as u64, &found[start..]).unwrap();
            if is_failed {
                disk.fail_syncs(BLOCK_LOG_FILE);
                assert!(file.sync().is_err());
                disk.allow_syncs(BLOCK_LOG_FILE);
            }
            let broken = store.copy();
            broken.fail_writes();
            assert!(open(&disk, &broken).is_err());
            let tip = open(&disk, &store).unwrap().tip();
            assert_eq!(tip.height, Height(synced as u64 + 1));
            disk.crash();
            let again = open(&disk, &store);
            assert!(
                again.as_ref().is_ok_and(|ledger| ledger.tip() == tip),
                "{synced} blocks were synced, a sync failed: {is_failed}: {:?}",
                again.err()
            );
        }
    }
}

#[test]
fn a_failed_store_stops_the_ledger_and_loses_nothing() {
    let mut node = Node::with_blocks(2);
    let good = node.store.copy();
    node.store.fail_writes();
    assert!(node.ledger.flush().is_err());
    let next = block(&mut node.ledger, vec![]);
    assert!(matches!(node.ledger.commit(next.clone(), certify(&next)), Err(CommitError::Stopped)));
    assert_eq!(node.ledger.reader().tip().height, Height(2));
    assert_eq!(open(&node.disk, &good).unwrap().tip(), node.ledger.tip());
}

#[test]
fn damage_in_an_old_record_is_named_when_it_is_read() {
    let (node, _, ends) = three();
    let reader = node.ledger.reader();
    assert_eq!(reader.verify_log().unwrap(), Height(3));
    node.disk.damage(BLOCK_LOG_FILE, |log| log[ends[1] + 100] ^= 1).unwrap();
    let expected = u64::try_from(ends[1]).unwrap();
    let is_named = |error: &LogError| matches!(error, LogError::Damaged { offset, height: Height(2), damage: Damage::Checksum } if *offset == expected);
    assert!(is_named(&reader.verify_log().unwrap_err()));
    let Err(timed_chain::ReadError::Log(error)) = reader.block(Height(2)) else { panic!("read a damaged record") };
    assert!(is_named(&error), "{error}");
    assert!(reader.block(Height(3)).unwrap().is_some());
}

/// Each bug makes a test fail that passes without it.
#[cfg(feature = "planted")]
mod planted {
    use super::*;
    use timed_primitives::planted::{Bug, is_caught};

    #[test]
    fn commit_before_sync() {
        assert!(is_caught(Bug::CommitBeforeSync, a_failed_sync_stops_the_ledger_and_nothing_unsynced_is_final));
    }

    #[test]
    fn found_is_durable() {
        let test = a_block_that_was_found_is_durable_before_it_is_final_and_before_the_store_has_it;
        assert!(is_caught(Bug::FoundIsDurable, test));
    }
}

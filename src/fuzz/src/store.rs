//! The derived state that a node finds at a start, where rows may have turned, vanished or come from elsewhere.

use std::cell::OnceCell;
use std::sync::Arc;
use timed_chain::{BLOCK_LOG_FILE, History as _, Store as _, StoreBatch, Table, tables_of};
use timed_ledger::{Genesis, LedgerQueries as _, OUTPUTS, OUTPUTS_BY_KEY, PaymentApplication};
use timed_primitives::{BlockId, Disk as _, Height, MemoryDisk};
use timed_test_support::MemoryStore;

/// The log of a short chain, of which the rows are made.
const CHAIN: &[u8] = include_bytes!("../corpus/block_log/seed-chain");
/// The outputs of genesis are many and alike, so the first few rows of each table do; a start reads no other.
const ROWS_PER_TABLE: usize = 24;

/// A sound store.
struct Sound {
    rows: Vec<(Table, Vec<u8>, Vec<u8>)>,
    /// By height from 1 on.
    ids: Vec<BlockId>,
}

fn disk() -> MemoryDisk {
    let disk = MemoryDisk::default();
    let file = disk.open(BLOCK_LOG_FILE).expect("a disk in memory opens every file");
    file.write_at(0, CHAIN).expect("a disk in memory takes every write");
    disk
}

impl Sound {
    fn make() -> Self {
        let store = Arc::new(MemoryStore::default());
        let ledger = timed_ledger::open(Genesis::devnet(4), &disk(), store.clone()).expect("the chain is sound");
        let reader = ledger.reader();
        let id = |height| reader.block_id(Height(height)).ok().flatten().expect("the chain has this block");
        let ids = (1..=ledger.tip().height.0).map(id).collect();
        let view = store.snapshot().expect("a store in memory can be read");
        let mut rows = Vec::new();
        for table in tables_of::<PaymentApplication>() {
            let found = view.scan(table, &[], None, ROWS_PER_TABLE).expect("a store in memory can be read");
            rows.extend(found.into_iter().map(|(key, value)| (table, key, value)));
        }
        Self { rows, ids }
    }

    /// The rows with these changes: which row, how, where, and with what.
    fn changed(&self, changes: &[u8]) -> MemoryStore {
        let mut rows: Vec<_> =
            self.rows.iter().map(|(table, key, value)| (*table, key.clone(), Some(value.clone()))).collect();
        let mut rest = changes;
        while let Some(([row, how, place, length], after)) = rest.split_first_chunk::<4>().map(|(a, b)| (*a, b)) {
            let (with, after) = after.split_at(after.len().min(usize::from(length)));
            rest = after;
            let Some((_, key, value)) = rows.get_mut(usize::from(row)) else {
                continue;
            };
            let Some(bytes) = value else { continue };
            let place = usize::from(place);
            match how % 6 {
                0 => bytes.iter_mut().skip(place).zip(with).for_each(|(byte, turn)| *byte ^= turn),
                1 => *bytes = with.to_vec(),
                2 => bytes.truncate(place),
                3 => key.iter_mut().skip(place).zip(with).for_each(|(byte, turn)| *byte ^= turn),
                4 => *value = None,
                _ => value.clone_from(&self.rows.get(place).map(|(_, _, other)| other.clone())),
            }
        }
        let mut batch = StoreBatch::default();
        for (table, key, value) in rows {
            if let Some(value) = value {
                batch.put(table, key, value);
            }
        }
        let store = MemoryStore::default();
        store.write(batch).expect("a store in memory takes every write");
        store
    }
}

thread_local! {
    static SOUND: OnceCell<Sound> = const { OnceCell::new() };
}

/// A store with changed rows beside a sound block log: a start refuses it or stands; whatever block it gives is the right one.
pub(crate) fn store(bytes: &[u8]) {
    SOUND.with(|sound| {
        let sound = sound.get_or_init(Sound::make);
        let store = Arc::new(sound.changed(bytes));
        let ledger = match timed_ledger::open(Genesis::devnet(4), &disk(), store) {
            Err(error) => return assert!(!error.to_string().is_empty(), "an error without words"),
            Ok(ledger) => ledger,
        };
        let (tip, reader) = (ledger.tip(), ledger.reader());
        assert_eq!(tip.height.0, sound.ids.len() as u64, "the log is whole, so all of it is there");
        for (height, id) in (1..).map(Height).zip(&sound.ids) {
            if let Ok(Some(block)) = reader.block(height) {
                assert_eq!(block.id(), *id, "another block at height {height:?}");
            }
            let _ = (
                reader.decided_bytes(height),
                reader.certificate(height),
                reader.block_id(height),
                reader.height_of(id),
                reader.history_proof(height, None),
            );
        }
        for (table, key, _) in &sound.rows {
            match *table {
                OUTPUTS => drop(timed_primitives::decode(key).map(|outpoint| reader.output(&outpoint))),
                OUTPUTS_BY_KEY => {
                    let owner = key.get(..32).and_then(|bytes| timed_primitives::decode(bytes).ok());
                    drop(owner.map(|owner| reader.outputs_of(&owner, None, 8)));
                }
                Table::TRANSACTIONS => drop(timed_primitives::decode(key).map(|txid| reader.transaction(&txid))),
                _ => {}
            }
        }
        let supply = reader.supply();
        let made = Genesis::devnet(4).supply().ok().and_then(|genesis| genesis.plus(supply.issued));
        assert_eq!(supply.total(), made, "money came or went");
        let _ = reader.stats();
        assert!(reader.verify_log().is_ok(), "the log is sound, whatever the store says");
    });
}

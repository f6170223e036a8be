//! What a node finds on its disk at a start, where bits may have turned.

use std::sync::Arc;
use timed_consensus::guard::GUARD_FILE;
use timed_consensus::inspect::{batches_in, guard_record, read_guard, read_journal};
use timed_consensus::journal::JOURNAL_FILES;
use timed_ledger::{BLOCK_LOG_FILE, Genesis, Ledger, LogWalk, MemoryStore};
use timed_primitives::{Disk as _, MemoryDisk};

/// A disk with these files.
fn disk(files: &[(&str, &[u8])]) -> MemoryDisk {
    let disk = MemoryDisk::default();
    for (name, content) in files {
        let file = disk.open(name).expect("a disk in memory opens every file");
        file.write_at(0, content).expect("a disk in memory takes every write");
        file.sync().expect("a disk in memory syncs");
    }
    disk
}

/// One of so many block logs is opened as by a node that starts, which takes a thousand times as long: the file is made ready for growth.
const OPENED: u32 = 64;

/// A block log: read record by record, and some by a node that starts. What a start accepts, the next one accepts as well.
pub(crate) fn block_log(bytes: &[u8]) {
    let files = [(BLOCK_LOG_FILE, bytes)];
    let mut records = 0;
    if let Ok(mut walk) = LogWalk::open(&disk(&files)) {
        while let Ok(Some(_)) = walk.step() {
            records += 1;
            assert!(walk.position() <= bytes.len() as u64, "a record beyond the end");
        }
    }
    if bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>() % OPENED != 0 {
        return;
    }
    let disk = disk(&files);
    let open = || Ledger::open(Genesis::devnet(4), &disk, Arc::new(MemoryStore::default()));
    if let Ok(ledger) = open() {
        let height = ledger.tip().height;
        assert!(height.0 <= records, "a height without its record");
        drop(ledger);
        let again = open().expect("what a start left, the next start opens");
        assert_eq!(again.tip().height, height);
    }
}

/// Journal files and guard: the first two bytes say where one ends and the next begins.
pub(crate) fn journal(bytes: &[u8]) {
    let Some((lengths, rest)) = bytes.split_at_checked(2) else { return };
    let share = |byte: Option<&u8>| rest.len() * usize::from(byte.copied().unwrap_or(0)) / 256;
    let (first, others) = rest.split_at(share(lengths.first()));
    let (second, guard) = others.split_at(others.len().min(share(lengths.last())));
    let [name_a, name_b] = JOURNAL_FILES;
    let disk = disk(&[(name_a, first), (name_b, second), (GUARD_FILE, guard)]);
    if let Ok(contents) = read_journal(&disk) {
        assert!(contents.newest.is_none() || !contents.batches.is_empty(), "a start from nothing");
        for batch in &contents.batches {
            assert!(batch.offset < bytes.len() as u64);
        }
    }
    let _ = batches_in(name_a, bytes);
    let _ = guard_record(guard);
    let _ = read_guard(&disk);
}

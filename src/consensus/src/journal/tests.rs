use super::*;
use pages::PAGE;
use timed_primitives::MemoryDisk;

const STEP: u64 = 8 * PAGE as u64;
const MAX: u64 = 1 << 22;
/// What a small batch takes.
const BATCH: usize = 2 * PAGE;

#[test]
fn blocks_end_where_their_payload_does() {
    let block = |height| (*crate::blocks::tests::block(height, 1, 0).1).clone();
    let entries = vec![
        JournalEntry::Block(Box::new(block(1))),
        entry(1),
        JournalEntry::Block(Box::new(block(2))),
        JournalEntry::Block(Box::new(block(3))),
    ];
    let bytes: Vec<u8> = entries.iter().flat_map(timed_primitives::encode).collect();
    assert_eq!(bytes[0], BLOCK_ENTRY);
    assert_eq!(decode_entries(&bytes, PayloadFormat::EMPTY), Some(entries));
    assert_eq!(decode_entries(&bytes[..bytes.len() - 1], PayloadFormat::EMPTY), None);
}

fn entry(round: u32) -> JournalEntry {
    JournalEntry::Timeout { step: TimeoutStep::Propose, round: Round(round) }
}

fn open(disk: &MemoryDisk) -> Result<(Journal, Option<Recovered>), JournalError> {
    Journal::open(disk, STEP, MAX, PayloadFormat::EMPTY)
}

/// So many entries as make a batch that stands once.
fn large() -> Vec<JournalEntry> {
    (0..20_000).map(entry).collect()
}

/// These batches in generation 1 (`journal-b`), for height 5.
fn with_batches(batches: &[&[JournalEntry]]) -> MemoryDisk {
    let disk = MemoryDisk::default();
    let (mut journal, recovered) = open(&disk).unwrap();
    assert!(recovered.is_none());
    journal.begin(Height(5));
    for batch in batches {
        batch.iter().for_each(|entry| journal.push(entry));
        journal.flush().unwrap();
    }
    disk
}

/// Three batches of one entry.
fn written() -> MemoryDisk {
    with_batches(&[&[entry(0)], &[entry(1)], &[entry(2)]])
}

fn entries(disk: &MemoryDisk) -> Vec<JournalEntry> {
    open(disk).unwrap().1.unwrap().entries
}

fn content(disk: &MemoryDisk) -> Vec<u8> {
    let mut content = Vec::new();
    disk.damage(JOURNAL_FILES[1], |bytes| content.clone_from(bytes)).unwrap();
    content
}

fn spoil(disk: &MemoryDisk, pages: impl IntoIterator<Item = usize>) {
    let spoil = |bytes: &mut Vec<u8>| pages.into_iter().for_each(|page| bytes[page * PAGE..][..PAGE].fill(0x5a));
    disk.damage(JOURNAL_FILES[1], spoil).unwrap();
}

#[test]
fn what_was_flushed_is_found_again() {
    let disk = written();
    disk.crash();
    let (mut journal, recovered) = open(&disk).unwrap();
    let recovered = recovered.unwrap();
    assert_eq!((recovered.height, recovered.entries), (Height(5), vec![entry(0), entry(1), entry(2)]));
    journal.push(&entry(3));
    disk.crash();
    assert_eq!(entries(&disk).len(), 3);
    journal.flush().unwrap();
    assert_eq!(entries(&disk).len(), 4);
}

#[test]
fn the_newest_generation_counts_and_an_old_one_is_kept_until_it_exists() {
    let disk = written();
    let (mut journal, _) = open(&disk).unwrap();
    journal.begin(Height(6));
    assert_eq!(open(&disk).unwrap().1.unwrap().height, Height(5));
    journal.push(&entry(7));
    journal.flush().unwrap();
    assert_eq!(entries(&disk), vec![entry(7)]);
    journal.begin(Height(7));
    journal.push(&entry(8));
    journal.flush().unwrap();
    // Generation 3 overwrote the first batch of generation 1 only; what remains of that one is ignored.
    assert_eq!(entries(&disk), vec![entry(8)]);
}

#[test]
fn a_large_batch_stands_once_and_a_small_one_twice() {
    let (many, few) = (large(), [entry(1), entry(2)]);
    let disk = with_batches(&[&few, &many, &few]);
    let all: Vec<_> = few.iter().chain(&many).chain(&few).cloned().collect();
    assert!(entries(&disk) == all);
    let found = batches(&content(&disk));
    assert_eq!(found.iter().map(|batch| batch.payload.is_empty()).collect::<Vec<_>>(), [false, false, true, false]);
    let sizes: Vec<_> = found.iter().map(|batch| batch.end - batch.offset).collect();
    assert_eq!([sizes[0], sizes[2], sizes[3]], [BATCH; 3]);
    assert!(sizes[1] < found[1].payload.len() * 102 / 100 + PAGE, "a large one stands once");
}

#[test]
fn a_torn_batch_is_cut_wherever_the_power_fails_in_its_write() {
    let whole = content(&written());
    // Of each half of the last batch nothing, a piece or all reaches the disk.
    for (first, second) in [(0, 0), (20, 0), (0, 20), (43, 45), (512, 512), (PAGE, 0), (0, PAGE), (PAGE, PAGE)] {
        let disk = written();
        disk.damage(JOURNAL_FILES[1], |bytes| {
            bytes[2 * BATCH + first.min(50)..2 * BATCH + PAGE].fill(0);
            bytes[2 * BATCH + first.min(50)..2 * BATCH + first]
                .copy_from_slice(&whole[2 * BATCH..][first.min(50)..first]);
            bytes[2 * BATCH + PAGE + second..].fill(0);
        })
        .unwrap();
        let is_there = first >= 50 || second >= 50;
        let expected = if is_there { vec![entry(0), entry(1), entry(2)] } else { vec![entry(0), entry(1)] };
        assert_eq!(entries(&disk), expected, "{first} and {second} bytes of the last batch");
        let (mut journal, _) = open(&disk).unwrap();
        journal.push(&entry(9));
        journal.flush().unwrap();
        assert_eq!(entries(&disk), [expected, vec![entry(9)]].concat());
    }
}

#[test]
fn a_torn_large_batch_is_cut_and_one_that_was_sealed_is_damage() {
    let disk = with_batches(&[&[entry(0)], &large()]);
    let seal = batches(&content(&disk))[2].offset / PAGE;
    spoil(&disk, [4]);
    let before = content(&disk);
    let error = open(&disk).err().unwrap();
    assert!(matches!(error, JournalError::Damaged { file: "journal-b", offset } if offset == BATCH as u64), "{error}");
    assert!(content(&disk) == before);
    // Without the seal the sync never returned, and what is left of the batch is not taken for another.
    disk.damage(JOURNAL_FILES[1], |bytes| bytes[seal * PAGE..].fill(0)).unwrap();
    assert_eq!(entries(&disk), [entry(0)]);
    assert_eq!(pages::scan(&content(&disk)).len(), 2);
}

/// A sector, or all sectors of a page, that are spoiled after a vote left.
#[test]
fn a_spoiled_page_of_a_small_batch_loses_nothing() {
    let long: Vec<_> = (0..2_000).map(entry).collect();
    let all: Vec<_> = [entry(0)].into_iter().chain(long.clone()).collect();
    let pages = (batches(&content(&with_batches(&[&[entry(0)], &long])))[1].end) / PAGE;
    assert!(pages > 6);
    for page in 0..pages {
        let disk = with_batches(&[&[entry(0)], &long]);
        spoil(&disk, [page]);
        assert!(entries(&disk) == all, "page {page}");
        // The last batch is whole again after the start.
        let other = (page >= 2).then(|| if page < pages / 2 + 1 { page + pages / 2 - 1 } else { page - pages / 2 + 1 });
        spoil(&disk, other);
        assert!(entries(&disk) == all, "page {page}, and later {other:?}");
    }
}

#[test]
fn journal_damage_is_refused_and_nothing_overwritten() {
    for (pages, offset) in [([0, 1], 0), ([2, 3], BATCH)] {
        let disk = written();
        spoil(&disk, pages);
        let before = content(&disk);
        let error = open(&disk).err().unwrap();
        assert!(
            matches!(error, JournalError::Damaged { file: "journal-b", offset: o } if o == offset as u64),
            "{error}"
        );
        assert!(error.to_string().contains("journal-b is damaged at byte"));
        assert!(content(&disk) == before);
    }
}

#[test]
fn a_torn_first_batch_leaves_the_generation_before_and_is_forgotten() {
    let disk = written();
    let (mut journal, _) = open(&disk).unwrap();
    journal.begin(Height(6));
    large()[..8_000].iter().for_each(|entry| journal.push(entry));
    journal.flush().unwrap();
    // Of a batch of many pages the first is lost in both copies.
    let pages = pages::scan(&journal_a(&disk)).len();
    disk.damage(JOURNAL_FILES[0], |bytes| [0, pages / 2].iter().for_each(|page| bytes[page * PAGE..][..PAGE].fill(0)))
        .unwrap();
    let (mut journal, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.unwrap().height, Height(5));
    journal.begin(Height(6));
    journal.push(&entry(1));
    journal.flush().unwrap();
    assert_eq!(entries(&disk), [entry(1)]);
    assert_eq!(pages::scan(&journal_a(&disk)).len(), 2, "nothing of the torn one is left");
}

fn journal_a(disk: &MemoryDisk) -> Vec<u8> {
    let mut content = Vec::new();
    disk.damage(JOURNAL_FILES[0], |bytes| content.clone_from(bytes)).unwrap();
    content
}

/// Whoever makes a block chooses much of what stands in the journal.
#[test]
fn a_payload_that_holds_a_batch_is_not_taken_for_one() {
    let place = BatchPlace { generation: 1_000, sequence: 0, height: Height(9) };
    let forged = pages::encode(place, &timed_primitives::encode(&entry(99))).unwrap();
    for shift in [0, 20, PAGE - 44, PAGE - 44 - 20] {
        let disk = MemoryDisk::default();
        let (mut journal, _) = open(&disk).unwrap();
        journal.begin(Height(5));
        journal.push(&entry(0));
        journal.flush().unwrap();
        journal.pending.resize(shift, 0);
        journal.pending.extend(&forged);
        journal.pending.extend(&forged);
        journal.flush().unwrap();
        spoil(&disk, [2]);
        let found = batches(&content(&disk));
        assert!(found.iter().all(|batch| batch.generation == 1), "{shift}");
    }
}

#[test]
fn it_grows_in_steps_and_says_how_much_room_is_left() {
    let disk = MemoryDisk::default();
    let (mut journal, _) = open(&disk).unwrap();
    journal.begin(Height(1));
    let before = journal.room();
    for round in 0..100 {
        journal.push(&entry(round));
        journal.flush().unwrap();
    }
    assert_eq!(disk.open(JOURNAL_FILES[1]).unwrap().len().unwrap() % STEP, 0);
    assert_eq!(before - journal.room(), 100 * BATCH as u64);
    assert_eq!(entries(&disk).len(), 100);
}

#[test]
fn what_was_found_is_durable_once_it_is_opened_whatever_became_of_its_sync() {
    let whole = content(&written());
    let last = 2 * BATCH..3 * BATCH;
    for is_failed in [false, true] {
        let disk = written();
        // The process ends between the write of the last batch and its sync, or because that failed.
        disk.damage(JOURNAL_FILES[1], |bytes| bytes[last.clone()].fill(0)).unwrap();
        let file = disk.open(JOURNAL_FILES[1]).unwrap();
        file.write_at(last.start as u64, &whole[last.clone()]).unwrap();
        if is_failed {
            disk.fail_syncs(JOURNAL_FILES[1]);
            assert!(file.sync().is_err());
            disk.allow_syncs(JOURNAL_FILES[1]);
        }
        assert_eq!(entries(&disk).len(), 3);
        disk.crash();
        assert!(content(&disk) == whole, "after a sync that failed: {is_failed}");
    }
}

#[test]
fn a_failed_sync_is_an_error() {
    let disk = MemoryDisk::default();
    let (mut journal, _) = open(&disk).unwrap();
    journal.begin(Height(1));
    journal.push(&entry(0));
    disk.fail_syncs(JOURNAL_FILES[1]);
    assert!(matches!(journal.flush(), Err(JournalError::Io { file: "journal-b", .. })));
}

/// A batch as it was written before there were pages.
fn old_batch(generation: u64, sequence: u64, height: u64, entry: &JournalEntry) -> Vec<u8> {
    let payload = timed_primitives::encode(entry);
    let mut bytes = b"TIMEjrnl".to_vec();
    [generation, sequence, height].iter().for_each(|number| bytes.extend(number.to_le_bytes()));
    bytes.extend(u32::try_from(payload.len()).unwrap().to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[8..]);
    hasher.update(&payload);
    bytes.extend(hasher.finalize().to_le_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(64), 0);
    bytes
}

/// Generation 6 of height 5 in one file, of which the last is torn if `is_torn`, and generation 7 of height 6 in the other.
fn old_journal(newest: u32) -> MemoryDisk {
    let disk = MemoryDisk::default();
    let put = |index: usize, batches: Vec<Vec<u8>>| {
        let file = disk.open(JOURNAL_FILES[index]).unwrap();
        file.write_at(0, &vec![0; 4 << 12]).unwrap();
        file.write_at(0, &batches.concat()).unwrap();
        file.sync().unwrap();
    };
    put(0, (0..3).map(|n| old_batch(6, n, 5, &entry(10))).collect());
    put(1, (0..newest).map(|n| old_batch(7, n.into(), 6, &entry(n))).collect());
    disk
}

#[test]
fn a_journal_of_the_first_format_is_read_and_written_anew_in_the_other_file() {
    let disk = old_journal(3);
    for _ in 0..2 {
        let (journal, recovered) = open(&disk).unwrap();
        let recovered = recovered.unwrap();
        assert_eq!((recovered.height, recovered.entries), (Height(6), vec![entry(0), entry(1), entry(2)]));
        assert_eq!((journal.generation, journal.is_new()), (8, false));
        disk.crash();
    }
    let (mut journal, _) = open(&disk).unwrap();
    journal.push(&entry(3));
    journal.flush().unwrap();
    journal.begin(Height(7));
    journal.push(&entry(4));
    journal.flush().unwrap();
    assert_eq!(entries(&disk), [entry(4)]);

    let torn = old_journal(3);
    torn.damage(JOURNAL_FILES[1], |bytes| bytes[128 + 41..].fill(0)).unwrap();
    assert_eq!(entries(&torn), [entry(0), entry(1)]);
    let damaged = old_journal(3);
    damaged.damage(JOURNAL_FILES[1], |bytes| bytes[64 + 41] ^= 1).unwrap();
    assert!(matches!(open(&damaged), Err(JournalError::Damaged { file: "journal-b", offset: 64 })));
}

/// The power fails while it is written anew: what was found is still there.
#[test]
fn a_torn_upgrade_leaves_the_first_format_in_force() {
    let disk = old_journal(3);
    let mut old = Vec::new();
    disk.damage(JOURNAL_FILES[0], |bytes| old.clone_from(bytes)).unwrap();
    open(&disk).unwrap();
    let upgraded = journal_a(&disk);
    for kept in [0, 100, PAGE] {
        let disk = old_journal(3);
        disk.damage(JOURNAL_FILES[0], |bytes| bytes[..kept].copy_from_slice(&upgraded[..kept])).unwrap();
        assert_eq!(entries(&disk), [entry(0), entry(1), entry(2)], "{kept} bytes");
    }
}

/// Each bug makes a test fail that passes without it.
#[cfg(feature = "planted")]
mod planted {
    use super::*;
    use timed_primitives::planted::is_caught;

    #[test]
    fn found_is_durable() {
        let test = what_was_found_is_durable_once_it_is_opened_whatever_became_of_its_sync;
        assert!(is_caught(Bug::FoundIsDurable, test));
    }

    #[test]
    fn journal_stands_once() {
        assert!(is_caught(Bug::JournalStandsOnce, a_spoiled_page_of_a_small_batch_loses_nothing));
    }
}

//! The file of what waits: written, torn, damaged, of another chain, too long.

use super::*;
use crate::{
    KeepTrouble, KeptContents, KeptRecord, KeptTransaction, LOSSES_MAX, Loss, LossReason, Losses, POOL_FILE,
    POOL_FILE_BESIDE, POOL_FILE_DAMAGED, ParseTransaction, PoolFile, PoolFileSummary,
};
use std::io;
use timed_primitives::{Disk, MemoryDisk, UnixTime};

const PARSE: ParseTransaction<'static> = &PoolTransaction::parse::<Transfer>;

fn genesis(n: u8) -> Hash {
    Hash([n; 32])
}

fn kept(transaction: &Arc<PoolTransaction>, arrived: u64, is_ours: bool) -> KeptTransaction {
    KeptTransaction { transaction: Arc::clone(transaction), arrived: UnixTime(arrived), is_ours }
}

fn waiting(n: u32) -> KeptRecord {
    KeptRecord::Waiting(kept(&spend(&[coin(n)], &[VALUE - 1]), 1_000 + u64::from(n), n.is_multiple_of(2)))
}

fn lost(n: u32) -> KeptRecord {
    let txid = spend(&[coin(n)], &[VALUE - 1]).facts.id;
    KeptRecord::Lost(Loss { txid, reason: LossReason::InputGone { resource: coin(n) }, at: UnixTime(7) })
}

fn open(disk: &MemoryDisk) -> (PoolFile, KeptContents) {
    PoolFile::open(Arc::new(disk.clone()), genesis(1), &PoolLimits::default(), PARSE)
}

/// A file with these records, synced, and its length.
fn with(records: &[KeptRecord]) -> (MemoryDisk, PoolFile, u64) {
    let disk = MemoryDisk::default();
    let (mut file, _) = open(&disk);
    file.rewrite(std::iter::empty()).unwrap();
    file.append(records).unwrap();
    let handle = file.to_sync().unwrap();
    handle.sync().unwrap();
    let length = handle.len().unwrap();
    (disk, file, length)
}

fn records(found: &KeptContents) -> Vec<KeptRecord> {
    let waiting = found.waiting.iter().map(|(_, kept)| KeptRecord::Waiting(kept.clone()));
    waiting.chain(found.losses.iter().map(|loss| KeptRecord::Lost(*loss))).collect()
}

fn exists(disk: &MemoryDisk, name: &str) -> bool {
    disk.damage(name, |_| {}).is_some()
}

#[test]
fn what_is_kept_is_found_and_a_later_record_counts() {
    let disk = MemoryDisk::default();
    let (mut file, found) = open(&disk);
    assert!(records(&found).is_empty() && found.trouble.is_none());
    assert!(file.wants_rewrite(), "there is no file yet");
    assert_eq!(file.append(&[waiting(0)]).unwrap_err().kind(), io::ErrorKind::NotFound);
    file.rewrite([waiting(0), lost(1), waiting(2)].into_iter()).unwrap();
    disk.crash();
    assert_eq!(records(&open(&disk).1), [waiting(0), waiting(2), lost(1)]);
    // One is lost, the lost one is submitted anew, and a peer's turns out to be ours.
    let theirs = spend(&[coin(3)], &[VALUE - 1]);
    let (theirs, ours) = (KeptRecord::Waiting(kept(&theirs, 5, false)), KeptRecord::Waiting(kept(&theirs, 5, true)));
    file.append(&[lost(0), waiting(1), theirs, ours.clone()]).unwrap();
    assert_eq!(records(&open(&disk).1), [waiting(2), waiting(1), ours, lost(0)]);
    assert!(!exists(&disk, POOL_FILE_BESIDE));
}

/// Transactions, those of clients among them, losses, and what is torn.
fn summary(disk: &MemoryDisk, of: Option<Hash>) -> (PoolFileSummary, [u64; 4]) {
    let found = PoolFileSummary::read(disk, of, PARSE).unwrap().expect("a file");
    let counts = [found.transactions, found.of_clients, found.losses].map(|count| u64::try_from(count).unwrap());
    let torn = found.torn_bytes();
    (found, [counts[0], counts[1], counts[2], torn])
}

#[test]
fn a_summary_says_what_opening_would_find_and_leaves_the_file_as_it_is() {
    let theirs = spend(&[coin(3)], &[VALUE - 1]);
    let size = theirs.facts.size_bytes;
    let twice = [false, true].map(|is_ours| KeptRecord::Waiting(kept(&theirs, 5, is_ours)));
    let all = [&[waiting(0), lost(0), waiting(1), lost(5), waiting(5)], &twice[..]].concat();
    let (disk, _, length) = with(&all);
    for of in [None, Some(genesis(1))] {
        let (found, counts) = summary(&disk, of);
        assert_eq!((counts, found.bytes, found.records), ([3, 1, 1, 0], length, 7));
        assert_eq!((found.transaction_bytes, found.genesis), (3 * size, Some(genesis(1))));
        assert!(found.trouble.is_none());
    }
    let (found, counts) = summary(&disk, Some(genesis(2)));
    assert!(matches!(found.trouble, Some(KeepTrouble::OtherGenesis { found }) if found == genesis(1)));
    assert_eq!((counts, found.records), ([0; 4], 0));
    // A torn end, damage before whole records, and a damaged header.
    disk.damage(POOL_FILE, |bytes| bytes.truncate(bytes.len() - 5)).unwrap();
    let (found, counts) = summary(&disk, None);
    assert!(matches!(found.trouble, Some(KeepTrouble::TornTail { .. })) && counts[3] > 5, "{found:?}");
    assert_eq!((&counts[..3], found.records), (&[3, 0, 1][..], 6));
    disk.damage(POOL_FILE, |bytes| bytes[60] ^= 1).unwrap();
    let (found, _) = summary(&disk, None);
    assert!(matches!(found.trouble, Some(KeepTrouble::Damaged { offset: 44 })), "{found:?}");
    assert!(!exists(&disk, POOL_FILE_DAMAGED), "it was put aside");
    disk.damage(POOL_FILE, |bytes| bytes[0] ^= 1).unwrap();
    let (found, counts) = summary(&disk, None);
    assert!(matches!(found.trouble, Some(KeepTrouble::Header)) && found.genesis.is_none() && counts == [0; 4]);
}

#[test]
fn parents_come_before_their_children_whatever_the_order_of_the_file() {
    let parent = spend(&[coin(0)], &[400_000, 500_000]);
    let child = spend(&[out(&parent, 0), coin(1)], &[1_300_000]);
    let grandchild = spend(&[out(&child, 0), out(&parent, 1)], &[1_000]);
    let order = [&grandchild, &child, &parent].map(|t| KeptRecord::Waiting(kept(t, 1, true)));
    let (disk, ..) = with(&[&[waiting(5)], &order[..]].concat());
    let depths: Vec<_> =
        open(&disk).1.waiting.iter().map(|(depth, kept)| (*depth, kept.transaction.facts.id)).collect();
    let other = spend(&[coin(5)], &[VALUE - 1]);
    assert_eq!(depths, [(0, other.facts.id), (0, parent.facts.id), (1, child.facts.id), (2, grandchild.facts.id)]);
}

#[test]
fn who_depends_on_each_other_in_a_circle_is_found_all_the_same() {
    let (disk, ..) = with(&[waiting(0), waiting(1), waiting(2)]);
    let in_a_circle = |bytes| {
        let mut found = PoolTransaction::parse::<Transfer>(bytes)?;
        let own = found.facts.consumes[0].index;
        let next = if own == 2 { 2 } else { 1 - own };
        found.facts.produces = [coin(next)].into();
        Ok(found)
    };
    let (_, found) = PoolFile::open(Arc::new(disk), genesis(1), &PoolLimits::default(), &in_a_circle);
    let order = found.waiting.iter().map(|(depth, kept)| (*depth, kept.transaction.facts.consumes[0].index));
    assert_eq!(
        order.collect::<Vec<_>>(),
        [(0, 2), (1, 0), (1, 1)],
        "and who produces what he consumes waits for nobody"
    );
}

#[test]
fn a_file_torn_at_any_byte_loses_only_what_was_torn() {
    let all = [waiting(0), lost(1), waiting(2)];
    let (_, _, first) = with(&all[..1]);
    let (_, _, second) = with(&all[..2]);
    let (_, _, whole) = with(&all);
    let header = 44;
    for left in 0..=whole {
        let (disk, ..) = with(&all);
        disk.damage(POOL_FILE, |bytes| bytes.truncate(usize::try_from(left).unwrap())).unwrap();
        let (mut file, found) = open(&disk);
        let whole_records = [first, second, whole].iter().filter(|end| **end <= left).count();
        let expected: Vec<_> =
            [waiting(0), waiting(2), lost(1)].into_iter().filter(|r| all[..whole_records].contains(r)).collect();
        assert_eq!(records(&found), expected, "{left} bytes left");
        match found.trouble {
            // As it is before the first write.
            None if left == 0 => {}
            None => assert!([header, first, second, whole].contains(&left), "{left}"),
            Some(KeepTrouble::Header) => assert!(left < header && found.is_put_aside),
            Some(KeepTrouble::TornTail { bytes }) => {
                assert!(left - bytes == [header, first, second][whole_records] && !found.is_put_aside);
                // The next record takes the place of the torn one.
                file.append(&[waiting(4)]).unwrap();
                assert!(records(&open(&disk).1).contains(&waiting(4)));
                assert!(open(&disk).1.trouble.is_none());
            }
            other => panic!("{left}: {other:?}"),
        }
    }
}

#[test]
fn a_turned_bit_costs_one_record_and_the_file_is_put_aside() {
    let all: Vec<_> = (0..4).map(waiting).collect();
    let (_, _, first) = with(&all[..1]);
    let (_, _, second) = with(&all[..2]);
    let start = usize::try_from(first).unwrap();
    for at in start..usize::try_from(second).unwrap() {
        let (disk, ..) = with(&all);
        disk.damage(POOL_FILE, |bytes| bytes[at] ^= 0x10).unwrap();
        let (file, found) = open(&disk);
        assert_eq!(records(&found), [waiting(0), waiting(2), waiting(3)], "byte {at}");
        assert!(
            matches!(found.trouble, Some(KeepTrouble::Damaged { offset }) if offset == first),
            "{:?}",
            found.trouble
        );
        assert!(found.is_put_aside && exists(&disk, POOL_FILE_DAMAGED) && !exists(&disk, POOL_FILE));
        assert!(file.wants_rewrite());
    }
}

#[test]
fn a_file_of_another_chain_or_version_is_put_aside_unread() {
    let (disk, ..) = with(&[waiting(0)]);
    let (_, found) = PoolFile::open(Arc::new(disk.clone()), genesis(2), &PoolLimits::default(), PARSE);
    assert!(matches!(found.trouble, Some(KeepTrouble::OtherGenesis { found }) if found == genesis(1)));
    assert!(found.is_put_aside && records(&found).is_empty() && exists(&disk, POOL_FILE_DAMAGED));
    let (disk, ..) = with(&[waiting(0)]);
    disk.damage(POOL_FILE, |bytes| bytes[7] = b'2').unwrap();
    let (mut file, found) = open(&disk);
    assert!(matches!(found.trouble, Some(KeepTrouble::Header)) && found.is_put_aside && records(&found).is_empty());
    file.rewrite([waiting(1)].into_iter()).unwrap();
    assert_eq!(records(&open(&disk).1), [waiting(1)]);
}

#[test]
fn a_file_beyond_the_bound_is_read_to_the_bound_and_put_aside() {
    let limits = PoolLimits { bytes_max: 0, count_max: 0, ..PoolLimits::default() };
    let max = 4 * LOSSES_MAX * 256 + (16 << 20);
    let (disk, ..) = with(&[waiting(0)]);
    let (_, found) = PoolFile::open(Arc::new(disk.clone()), genesis(1), &limits, PARSE);
    assert!(found.trouble.is_none());
    disk.damage(POOL_FILE, |bytes| bytes.resize(max + 1, 0)).unwrap();
    let (_, found) = PoolFile::open(Arc::new(disk.clone()), genesis(1), &limits, PARSE);
    let bytes = max as u64 + 1;
    assert!(matches!(found.trouble, Some(KeepTrouble::TooLong { bytes: b, max: m }) if b == bytes && m == bytes - 1));
    assert!(found.is_put_aside);
    assert_eq!(records(&found), [waiting(0)]);
}

#[test]
fn records_longer_than_a_chunk_together_are_read_across_its_ends() {
    // Some 60 KiB each, 5 MiB in all.
    let large = |n: u32| {
        let outputs: Vec<u64> = (0..1_450).map(|k| k + u64::from(n)).collect();
        KeptRecord::Waiting(kept(&spend(&[coin(n)], &outputs), 1, true))
    };
    let all: Vec<_> = (0..90).map(large).collect();
    let (disk, _, length) = with(&all);
    assert!(length > 5 << 20, "{length}");
    assert_eq!(records(&open(&disk).1), all);
    // Two of them are unreadable from end to end.
    disk.damage(POOL_FILE, |bytes| bytes[1_000_000..1_100_000].fill(0)).unwrap();
    let left = records(&open(&disk).1);
    assert!((87..=88).contains(&left.len()) && left.iter().all(|record| all.contains(record)), "{}", left.len());
}

#[test]
fn a_crash_while_the_file_is_written_anew_leaves_the_old_or_the_new() {
    let (disk, mut file, _) = with(&[waiting(0)]);
    disk.open(POOL_FILE_BESIDE).unwrap();
    disk.fail_syncs(POOL_FILE_BESIDE);
    assert!(file.rewrite([waiting(1)].into_iter()).is_err());
    assert!(file.wants_rewrite() && file.append(&[waiting(2)]).is_err(), "what is on the disk is not known");
    disk.crash();
    assert_eq!(records(&open(&disk).1), [waiting(0)]);
    assert_eq!(disk.open(POOL_FILE_BESIDE).unwrap().len().unwrap(), 0, "the half that was written takes no room");
}

#[test]
fn the_file_is_written_anew_when_most_of_it_is_about_what_left() {
    let (_, mut file, _) = with(&[]);
    let chunk: Vec<_> = (0..1_000).map(waiting).collect();
    let mut appends = 0;
    while !file.wants_rewrite() {
        file.append(&chunk).unwrap();
        appends += 1;
    }
    let length = file.to_sync().unwrap().len().unwrap();
    assert!(appends > 10 && (8 << 20..9 << 20).contains(&length), "{length} bytes");
    file.rewrite(chunk.into_iter()).unwrap();
    assert!(!file.wants_rewrite());
}

#[test]
fn losses_are_bounded_and_the_oldest_is_forgotten() {
    let mut losses = Losses::default();
    let loss = |n: u64| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&n.to_be_bytes());
        Loss { txid: TxId(Hash(id)), reason: LossReason::Expired, at: UnixTime(n) }
    };
    for n in 0..=LOSSES_MAX as u64 {
        losses.insert(loss(n));
    }
    assert_eq!(losses.len(), LOSSES_MAX);
    assert!(losses.get(&loss(0).txid).is_none());
    // Said again, it is the newest.
    losses.insert(loss(1));
    losses.insert(loss(LOSSES_MAX as u64 + 1));
    assert!(losses.get(&loss(1).txid).is_some() && losses.get(&loss(2).txid).is_none());
    losses.remove(&loss(1).txid);
    assert_eq!((losses.len(), losses.iter().count()), (LOSSES_MAX - 1, LOSSES_MAX - 1));
}

#[test]
fn a_kept_transaction_has_waited_since_it_came() {
    let chain = MapChain::with_coins(2);
    let mut pool = pool(PoolLimits { expiry: std::time::Duration::from_secs(100), ..PoolLimits::default() });
    let old = spend(&[coin(0)], &[VALUE - 1]);
    let candidate = pool.pre_check(at(1_000), Arc::clone(&old), Source::Local, &chain).unwrap();
    pool.admit(at(1_000), candidate.arrived_at(at(950)), &chain).unwrap();
    assert_eq!(
        pool.transactions_from(0).map(|(_, id, arrived)| (id, arrived)).collect::<Vec<_>>(),
        [(old.facts.id, at(950))]
    );
    assert_eq!(pool.transactions_from(pool.next_number()).count(), 0);
    assert_eq!(pool.next_wake(), Some(at(1_050)));
    assert_eq!(pool.on_wake(at(1_050)).len(), 1);
}

/// Header and a record, byte by byte: what one version writes, the next reads.
#[test]
fn the_form_of_the_file_is_pinned() {
    let disk = MemoryDisk::default();
    let (mut file, _) = open(&disk);
    let loss = Loss { txid: TxId(Hash([9; 32])), reason: LossReason::Expired, at: UnixTime(7) };
    file.rewrite([KeptRecord::Lost(loss)].into_iter()).unwrap();
    let mut hex = String::new();
    disk.damage(POOL_FILE, |bytes| hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect()).unwrap();
    let header = "54494d45504f4c310101010101010101010101010101010101010101010101010101010101010101ae3b5f10";
    let record =
        "504f4c520000002a23e4ad70010909090909090909090909090909090909090909090909090909090909090909040700000000000000";
    assert_eq!(hex, format!("{header}{record}"));
    // A transaction that waits: when it came, whether it is ours, and its canonical bytes.
    let (waiting, transaction) = (spend(&[coin(0)], &[1]), &spend(&[coin(0)], &[1]).bytes);
    let (_, _, length) = with(&[KeptRecord::Waiting(kept(&waiting, 5, true))]);
    assert_eq!(length, 44 + 12 + 1 + 8 + 1 + transaction.len() as u64);
}

#[cfg(feature = "planted")]
mod planted {
    use super::*;
    use timed_primitives::planted::{Bug, is_caught};

    #[test]
    fn a_pool_that_is_forgotten_is_caught() {
        let restart = || {
            let disk = MemoryDisk::default();
            let (mut file, _) = open(&disk);
            file.rewrite([waiting(0)].into_iter()).unwrap();
            assert_eq!(records(&open(&disk).1), [waiting(0)]);
        };
        assert!(is_caught(Bug::PoolForgotten, restart));
    }
}

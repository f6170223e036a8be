//! What a node finds on its disk at a start, where bits may have turned.

use std::collections::BTreeSet;
use std::sync::Arc;
use timed_chain::{BLOCK_LOG_FILE, LogWalk, PoolTransaction};
use timed_consensus::guard::GUARD_FILE;
use timed_consensus::inspect::{Statements, batches_in, guard_record, read_guard, read_journal};
use timed_consensus::journal::JOURNAL_FILES;
use timed_consensus::statement::{SignedRecord, Statement};
use timed_consensus::{ChainStart, Consensus, CoreConfig, Gossip, Input, KeyReport, Output};
use timed_ledger::{Genesis, PAYLOAD_FORMAT, Transaction};
use timed_mempool::{KeptContents, KeptRecord, POOL_FILE, POOL_FILE_DAMAGED, PoolFile, PoolLimits};
use timed_primitives::{BlockId, Disk as _, Hash, Height, Instant, MemoryDisk, SecretKey, Tip, TxId, UnixTime};
use timed_test_support::MemoryStore;

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

/// Steps that a validator takes after a start, with its peers: enough for some rounds to time out.
const STEPS: usize = 32;

/// Civil time at a start, later than every block in the corpus. Unit: milliseconds since 1970.
const NOW_MS: u64 = 1_800_000_000_000;

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
    let open = || timed_ledger::open(Genesis::devnet(4), &disk, Arc::new(MemoryStore::default()));
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
    if let Ok(contents) = read_journal(&disk, PAYLOAD_FORMAT) {
        assert!(contents.newest.is_none() || !contents.batches.is_empty(), "a start from nothing");
        for batch in &contents.batches {
            assert!(batch.offset < bytes.len() as u64);
        }
    }
    let _ = batches_in(name_a, bytes, PAYLOAD_FORMAT);
    let _ = guard_record(guard);
    let _ = read_guard(&disk);
    validate_with(&disk);
}

/// A validator starts with these files at the height of its journal, and takes every step that time alone brings. Whatever turned: it never
/// signs against what is still intact in its newest batches or its guard, and a second start finds no worse.
fn validate_with(disk: &MemoryDisk) {
    let genesis = Genesis::devnet(4);
    let Ok(validators) = genesis.validator_set() else { return };
    let Ok(before) = read_journal(disk, PAYLOAD_FORMAT) else { return };
    let newest = before.newest;
    let height = newest.map_or(1, |(_, height)| height.0).max(1);
    let (height, state_commitment) = (Height(height - 1), Hash::ZERO);
    let tip = Tip { height, id: BlockId::default(), time: genesis.time, state_commitment, certificate: None };
    let key = SecretKey::development("consensus", 1);
    let me = key.public();
    let chain = || ChainStart {
        tip: tip.clone(),
        validators: validators.clone(),
        next_validators: validators.clone(),
        tip_validators: validators.clone(),
        recent: Vec::new(),
    };
    let config = || CoreConfig {
        journal_step_bytes: 4_096,
        ..CoreConfig::new(genesis.chain_id, Some(key.clone()), PAYLOAD_FORMAT)
    };
    let mut signed = Statements::new(genesis.chain_id);
    let counted = before.batches.iter().filter(|batch| newest == Some((batch.generation, batch.height)));
    for statement in counted.flat_map(|batch| &batch.statements).filter(|statement| statement.signer() == me) {
        let _ = signed.add(statement.clone());
    }
    let guarded = read_guard(disk).ok().and_then(|[newest, _]| newest);
    for start in 0..2 {
        let mut core = match Consensus::open(config(), disk, chain()) {
            Ok(core) => core,
            Err(error) => return assert!(start == 0, "the second start refuses what the first left: {error}"),
        };
        let node = |id| SecretKey::development("node", id).public();
        let validator = |id| Some(SecretKey::development("consensus", id).public());
        let ups = (2..=4).map(|id| Input::PeerUp {
            peer: node(id),
            validator: validator(id),
            instance: id.into(),
            address: None,
        });
        let heights = (2..=4).map(|id| Input::PeerHeight { peer: node(id), height: tip.height });
        let report = Gossip::KeyReport(KeyReport { height: tip.height, other: None });
        let reports = (2..=4).map(|id| Input::Gossip { from: node(id), message: report.clone() });
        let mut begin = [Input::Start].into_iter().chain(ups).chain(heights).chain(reports);
        let mut now = Instant(0);
        for _ in 0..STEPS {
            let input = match (begin.next(), core.next_wake()) {
                (Some(input), _) => input,
                (None, None) => break,
                (None, Some(wake)) => {
                    now = wake.max(now);
                    Input::Wake
                }
            };
            let Ok(outputs) = core.handle(now, UnixTime(NOW_MS + now.0 / 1_000), input) else { return };
            for output in outputs {
                let statement = match output {
                    Output::Broadcast(Gossip::Vote(vote)) => Statement::Vote(vote),
                    Output::Broadcast(Gossip::Proposal(proposal)) => Statement::Proposal(proposal),
                    _ => continue,
                };
                if statement.signer() != me {
                    continue;
                }
                let record = statement.record();
                if let Some(guarded) = &guarded {
                    let at = |record: &SignedRecord| (record.height, record.round, record.step);
                    assert!(at(&record) != at(guarded) || record == *guarded, "signed against the guard: {record}");
                }
                assert!(matches!(signed.add(statement), Ok(None)), "signed two things: {record}");
            }
        }
    }
}

/// The mempool's file: whatever is there, a node starts; parents come before their children; what is written anew or added is found again;
/// and a file that is damaged is put aside, never overwritten.
pub(crate) fn pool_file(bytes: &[u8]) {
    let disk = Arc::new(disk(&[(POOL_FILE, bytes)]));
    let open =
        || PoolFile::open(disk.clone(), Hash([7; 32]), &PoolLimits::default(), &PoolTransaction::parse::<Transaction>);
    let (mut file, found) = open();
    let is_there = |name: &str| disk.damage(name, |content| assert_eq!(content, bytes, "a file was changed")).is_some();
    assert!(is_there(if found.is_put_aside { POOL_FILE_DAMAGED } else { POOL_FILE }));
    let mut seen = BTreeSet::new();
    for (_, kept) in &found.waiting {
        let facts = &kept.transaction.facts;
        let later = |parent: &TxId| found.waiting.iter().any(|(_, other)| other.transaction.facts.id == *parent);
        let mut parents = facts.consumes.iter().map(|resource| TxId(resource.origin));
        assert!(parents.all(|parent| seen.contains(&parent) || !later(&parent)));
        assert!(seen.insert(facts.id), "a transaction twice");
        assert!(found.losses.get(&facts.id).is_none(), "it waits and is lost");
    }
    let records = |found: &KeptContents| -> Vec<KeptRecord> {
        let losses = found.losses.iter().map(|loss| KeptRecord::Lost(*loss));
        losses.chain(found.waiting.iter().map(|(_, kept)| KeptRecord::Waiting(kept.clone()))).collect()
    };
    let all = records(&found);
    if file.wants_rewrite() {
        file.rewrite(all.iter().cloned()).expect("a disk in memory takes every write");
    }
    file.append(&all).expect("a disk in memory takes every write");
    let (_, again) = open();
    assert!(again.trouble.is_none(), "{:?}", again.trouble);
    let sorted = |found: &KeptContents| {
        let mut payloads: Vec<_> = records(found).iter().map(|record| format!("{record:?}")).collect();
        payloads.sort();
        payloads
    };
    assert_eq!(sorted(&again), sorted(&found));
}

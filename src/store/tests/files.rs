//! Real files: what a folder, a file and the database do that memory does not.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use timed_chain::{Draft, PoolTransaction, Store, StoreBatch, Table, tables_of};
use timed_ledger::{
    Genesis, KeyHash, Ledger, LedgerQueries as _, Lock, OutPoint, PaymentApplication, Transaction, TransactionBody,
    TxInput, TxOutput,
};
use timed_primitives::{Amount, CommitCertificate, Disk, Hash, MemoryDisk, Round, SecretKey, UnixTime};
use timed_store::{DataDir, DataDirError, FileDisk, FjallStore, StoreOpenError};
use timed_test_support::MemoryStore;

const GENESIS: Hash = Hash([7; 32]);

#[test]
fn a_file_reads_back_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FileDisk::new(folder.path());
    let file = disk.open("journal").unwrap();
    assert!(file.is_empty().unwrap());
    file.write_at(3, b"abc").unwrap();
    file.sync().unwrap();
    let mut bytes = [9; 6];
    disk.open("journal").unwrap().read_at(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"\0\0\0abc");
    let past_end = file.read_at(1, &mut bytes).unwrap_err();
    assert_eq!(past_end.kind(), std::io::ErrorKind::UnexpectedEof);
    file.set_len(4).unwrap();
    assert_eq!(file.len().unwrap(), 4);
    let mode = fs::metadata(folder.path().join("journal")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for name in ["", ".", "..", "../up", "a/b"] {
        assert!(disk.open(name).is_err(), "{name:?}");
    }
    assert!(FileDisk::new(folder.path().join("missing")).open("a").is_err());
}

#[test]
fn a_disk_to_look_at_makes_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FileDisk::read_only(folder.path());
    let missing = disk.open("guard").err().unwrap();
    assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    fs::write(folder.path().join("guard"), b"abc").unwrap();
    let file = disk.open("guard").unwrap();
    let mut bytes = [0; 3];
    file.read_at(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"abc");
    assert!(file.write_at(0, b"x").is_err() && file.set_len(0).is_err());
    assert_eq!(fs::read(folder.path().join("guard")).unwrap(), b"abc");
    assert!(disk.open("../guard").is_err());
}

#[test]
fn a_data_folder_serves_one_process_and_one_genesis() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("deep/node");
    let first = DataDir::open(&path, GENESIS).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&path.join("genesis")), mode(&path.join("lock"))), (0o700, 0o600, 0o600));
    drop(first.open_store(&tables()).unwrap());
    assert_eq!(mode(&path.join("state")), 0o700);
    let error = DataDir::open(&path, GENESIS).unwrap_err();
    let pid = std::process::id();
    assert!(matches!(&error, DataDirError::InUse { pid: Some(found), .. } if *found == pid), "{error}");
    let text = error.to_string();
    assert!(text.contains(&format!("in use by another timed process (pid {pid})")), "{text}");
    drop(first);
    let again = DataDir::open(&path, GENESIS).unwrap();
    assert_eq!(again.path(), path);
    drop(again);
    let other = Hash([8; 32]);
    let error = DataDir::open(&path, other).unwrap_err();
    assert!(
        matches!(&error, DataDirError::OtherGenesis { found, expected, .. } if (*found, *expected) == (GENESIS, other))
    );
    assert!(error.to_string().contains(&GENESIS.to_string()) && error.to_string().contains(&other.to_string()));
    DataDir::open(&path, GENESIS).unwrap();
    fs::write(path.join("genesis"), b"\xff\xfe nonsense").unwrap();
    assert!(matches!(DataDir::open(&path, GENESIS), Err(DataDirError::Marker { .. })));
}

#[test]
fn a_folder_that_cannot_be_used_says_so() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    fs::write(&file, b"").unwrap();
    let error = DataDir::open(file.join("node"), GENESIS).unwrap_err();
    assert!(matches!(&error, DataDirError::Create { .. }), "{error}");
    assert!(error.to_string().contains("--data-dir"));
    // Something stands in the place of its lock.
    let node = parent.path().join("node");
    fs::create_dir_all(node.join("lock")).unwrap();
    let error = DataDir::open(&node, GENESIS).unwrap_err();
    assert!(matches!(&error, DataDirError::Io { path, .. } if *path == node.join("lock")), "{error}");
    assert!(error.to_string().contains("move away what stands there"), "{error}");
}

fn tables() -> Vec<Table> {
    tables_of::<PaymentApplication>()
}

/// Small reproducible numbers.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

#[test]
fn fjall_and_memory_answer_alike() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let mut fjall = FjallStore::open(&path, &tables()).unwrap();
    let memory = MemoryStore::default();
    let mut numbers = Numbers(1);
    let mut views = Vec::new();
    for round in 0..60 {
        let mut batch = StoreBatch::default();
        for _ in 0..numbers.next(30) {
            let table = tables()[usize::try_from(numbers.next(6)).unwrap()];
            let key: Vec<u8> = (0..=numbers.next(3)).map(|_| u8::try_from(numbers.next(4)).unwrap() * 85).collect();
            if numbers.next(3) == 0 {
                batch.delete(table, key);
            } else {
                batch.put(table, key, numbers.next(1_000).to_be_bytes().to_vec());
            }
        }
        fjall.write(batch.clone()).unwrap();
        memory.write(batch).unwrap();
        views.push((fjall.snapshot().unwrap(), memory.snapshot().unwrap()));
        if round == 40 {
            views.clear();
            drop(fjall);
            fjall = FjallStore::open(&path, &tables()).unwrap();
        }
    }
    // Old snapshots too: later batches do not show in them.
    for (ours, expected) in &views {
        for table in tables() {
            let all = expected.scan(table, b"", None, 10_000).unwrap();
            assert_eq!(ours.scan(table, b"", None, 10_000).unwrap(), all);
            for (key, value) in &all {
                assert_eq!(ours.get(table, key).unwrap().as_ref(), Some(value));
            }
            assert_eq!(ours.get(table, b"absent").unwrap(), None);
            for prefix in [&b"\x55"[..], b"\xff", b"\xff\xff", b"\x00\x00"] {
                for after in [None, Some(&b"\x55\x55"[..]), Some(b"\xff\xff\x00")] {
                    let limit = 3;
                    let expected = expected.scan(table, prefix, after, limit).unwrap();
                    assert_eq!(ours.scan(table, prefix, after, limit).unwrap(), expected, "{prefix:?} {after:?}");
                }
            }
        }
    }
    assert!(!views.is_empty());
}

/// Genesis output `n`, moved to another wallet.
fn payment(genesis: &Genesis, n: usize) -> Transaction {
    let (previous, output): (OutPoint, TxOutput) = genesis.unspent().nth(n).unwrap();
    let key = SecretKey::development("wallet", 0);
    let lock = Lock::KeyHash(KeyHash::of(&SecretKey::development("wallet", 1).public()));
    let outputs = vec![TxOutput { amount: Amount(output.amount.0 - 1_000), lock }];
    TransactionBody::transfer(genesis.chain_id, vec![TxInput { previous }], outputs).sign(&[&key])
}

/// Makes and commits one more block.
fn commit(ledger: &mut Ledger, genesis: &Genesis) {
    let tip = ledger.tip();
    let n = usize::try_from(tip.height.0).unwrap();
    let draft = Draft {
        time: UnixTime(tip.time.0 + 1),
        proposer: genesis.masternodes[0].operator,
        first_round: Round::ZERO,
        parent_certificate: tip.certificate,
        transactions: vec![Arc::new(PoolTransaction::of(&payment(genesis, n)))],
        statements: vec![],
    };
    let block = ledger.assemble(draft).unwrap().block;
    let certificate =
        CommitCertificate { height: block.height(), round: Round::ZERO, block: block.id(), signatures: vec![] };
    ledger.commit(block, certificate).unwrap();
}

#[test]
fn a_ledger_on_files_is_the_ledger_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let genesis = Genesis::devnet(4);
    let mut memory =
        timed_ledger::open(genesis.clone(), &MemoryDisk::default(), Arc::new(MemoryStore::default())).unwrap();
    for round in 0..4 {
        let data = DataDir::open(folder.path().join("node"), genesis.hash()).unwrap();
        let store = Arc::new(data.open_store(&tables()).unwrap());
        let mut ledger = timed_ledger::open(genesis.clone(), &data.disk(), store).unwrap();
        assert_eq!(ledger.tip(), memory.tip(), "round {round}");
        assert_eq!(ledger.reader().totals().outputs, memory.reader().totals().outputs);
        for _ in 0..5 {
            commit(&mut ledger, &genesis);
            commit(&mut memory, &genesis);
        }
        match round {
            0 => ledger.flush().unwrap(),
            1 => {}
            _ => {
                // The state is lost: it is rebuilt from the block log.
                drop(ledger);
                fs::remove_dir_all(data.path().join("state")).unwrap();
            }
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, target).unwrap();
    }
}

#[test]
fn a_damaged_state_never_panics_and_is_said_to_be_replaceable() {
    let folder = tempfile::tempdir().unwrap();
    let sound = folder.path().join("sound");
    let store = FjallStore::open(&sound, &tables()).unwrap();
    for n in 0u64..20 {
        let mut batch = StoreBatch::default();
        for table in tables() {
            batch.put(table, n.to_be_bytes().to_vec(), vec![1; 500]);
        }
        store.write(batch).unwrap();
    }
    drop(store);
    let mut refused = 0;
    // Each kind of file once: journal, version and lock, one table's pointer and manifest, and the database's own table
    // (its number goes up with the number of tables).
    let kinds = ["0.jnl", "version", "lock", "keyspaces/0/current", "keyspaces/1/current", "keyspaces/1/v0"];
    let mut kinds: Vec<_> = kinds.map(|name| sound.join(name)).into();
    kinds.extend(files(&sound.join("keyspaces/0/tables")).into_iter().next());
    assert_eq!(kinds.len(), 7, "{:?}", files(&sound));
    assert!(kinds.iter().all(|file| files(&sound).contains(file)), "{:?}", files(&sound));
    for (n, file) in kinds.iter().enumerate() {
        let damages: [fn(&mut Vec<u8>); 3] =
            [|b| b.clear(), |b| b.truncate(b.len() / 2), |b| b.iter_mut().skip(5).take(40).for_each(|b| *b ^= 0x5a)];
        for (kind, damage) in damages.iter().enumerate() {
            let copied = folder.path().join(format!("copy{n}-{kind}"));
            copy(&sound, &copied);
            let target = copied.join(file.strip_prefix(&sound).unwrap());
            let mut bytes = fs::read(&target).unwrap();
            damage(&mut bytes);
            fs::write(&target, bytes).unwrap();
            match FjallStore::open(&copied, &tables()) {
                // Harmless damage, or a lost tail of batches.
                Ok(_) => {}
                Err(error) => {
                    refused += 1;
                    assert!(matches!(error, StoreOpenError::Damaged { .. }), "{}: {error}", target.display());
                    assert!(error.to_string().contains("Move that folder aside"), "{error}");
                }
            }
        }
    }
    assert!(refused > 0, "some of this damage must be noticed");
}

#[test]
fn an_open_store_is_not_opened_twice() {
    let folder = tempfile::tempdir().unwrap();
    let _first = FjallStore::open(folder.path().join("state"), &tables()).unwrap();
    assert!(matches!(FjallStore::open(folder.path().join("state"), &tables()), Err(StoreOpenError::InUse { .. })));
}

//! The small files of a data folder, after bits have turned or somebody has edited them: each is read or refused in words, and no reader
//! panics, hangs or shows a secret. The block log, the journal and the guard are targets in `src/fuzz`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};
use std::fs;
use std::path::Path;
use timed_config::NodeSection;
use timed_ledger::KeyHash;
use timed_node_files::{KeptAddresses, Keys, LabelFile, PeerFiles, WalletFile, WalletFolders, WalletName};
use timed_peer::addresses::{KeptAddress, RecordSource};
use timed_peer::{AddressRecord, Ban};
use timed_primitives::{ChainId, Clock, Hash, Instant, Network, SecretKey, UnixTime};
use timed_rpc::result::EndInfo;
use timed_store::DataDir;
use timed_wallet::{DerivedAddresses, KdfCost, KeystoreParts, Phrase, SealedKeys, WalletKeys};

/// Changed copies of each file.
const COPIES: usize = 400;
/// What is put where something else stood.
const SIGNS: &[u8] = b"0-9e.\"{}[],:\\ \n\0\xff";

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Instant {
        Instant(5_000_000)
    }

    fn unix(&self) -> UnixTime {
        UnixTime(1_700_000_000_000)
    }
}

/// One to four changes as disks and editors make them.
fn changed(rng: &mut StdRng, sound: &[u8]) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    for _ in 0..rng.random_range(1..=4) {
        let at = rng.random_range(0..=bytes.len());
        let end = bytes.len().min(at + rng.random_range(0..=24));
        match rng.random_range(0..5) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            1 if at < bytes.len() => bytes[at] = SIGNS[rng.random_range(0..SIGNS.len())],
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            _ => {
                let again = bytes[at..end].repeat(rng.random_range(1..=3));
                bytes.splice(at..at, again);
            }
        }
    }
    bytes
}

/// Reads many changed copies of a file and counts those that were refused; each refusal names the file.
fn refused(path: &Path, read: impl Fn() -> Result<(), String>) -> usize {
    let sound = fs::read(path).unwrap();
    assert_eq!(read(), Ok(()), "{}", path.display());
    let mut rng = StdRng::seed_from_u64(1);
    let name = path.file_name().unwrap().to_str().unwrap();
    let mut count = 0;
    for _ in 0..COPIES {
        fs::write(path, changed(&mut rng, &sound)).unwrap();
        if let Err(error) = read() {
            assert!(error.contains(name), "{name}: {error}");
            count += 1;
        }
    }
    fs::write(path, &sound).unwrap();
    assert_eq!(read(), Ok(()), "{name}, back again");
    count
}

fn observer() -> NodeSection {
    NodeSection {
        id: None,
        dev_nodes: 4,
        dev_public_keys_ok: false,
        data_dir: None,
        genesis: None,
        node_key: None,
        consensus_key: None,
        wallet_key: None,
    }
}

#[test]
fn changed_key_files_are_read_or_refused_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let load = || Keys::load(&observer(), folder.path());
    load().unwrap();
    let path = folder.path().join("node.key");
    let secret = fs::read_to_string(&path).unwrap();
    let count = refused(&path, || {
        load().map(drop).map_err(|error| {
            let text = format!("{error:#}");
            let shows = |part: &[u8]| text.as_bytes().windows(part.len()).any(|window| window == part);
            assert!(!secret.trim().as_bytes().chunks(8).any(shows), "a piece of the key is shown: {text}");
            assert!(text.contains("expected 64 hex digits"), "no advice: {text}");
            text
        })
    });
    assert!(count > COPIES / 4, "{count}");
}

#[test]
fn changed_files_of_a_wallet_are_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (phrase, network) = (Phrase::from_entropy([5; 32]), Network::Devnet);
    let (made_at, cost) = (UnixTime(1), KdfCost::LEAST);
    let parts = KeystoreParts { network, made_at, cost, salt: [1; 16], nonce: [2; 24] };
    let sealed = SealedKeys::seal(&phrase, "pass", &parts).unwrap();
    let addresses = DerivedAddresses::of(&WalletKeys::of(&phrase, network));
    let (name, kept) = (WalletName::parse("savings").unwrap(), KeptAddresses { addresses, load_on_startup: true });
    let wallet = WalletFolders::new(folder.path(), network).create(&name, &sealed, Some(&kept)).unwrap();
    let count = refused(&wallet.path().join("keys"), || match wallet.keys() {
        Ok(found) => {
            assert_eq!(found, sealed, "keys are read as they were written, or not at all");
            Ok(())
        }
        Err(error) => Err(error.to_string()),
    });
    assert!(count > COPIES * 3 / 4, "{count}");
    let count = refused(&wallet.path().join("addresses.json"), || {
        wallet.addresses().map(drop).map_err(|error| {
            let text = error.to_string();
            assert!(text.contains("derived again") || text.contains("cannot use"), "no advice: {text}");
            text
        })
    });
    assert!(count > COPIES / 2, "{count}");
}

#[test]
fn changed_lists_of_bans_are_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let files = PeerFiles::new(folder.path());
    let ban = |id, seconds: u64, offence| Ban {
        key: SecretKey::development("node", id).public(),
        until: Instant(seconds * 1_000_000),
        offence,
    };
    files.keep_bans(&[ban(1, 100, None), ban(2, 900, Some(timed_peer::Offence::InvalidBlock))], &Stopped).unwrap();
    let read = || {
        files.bans(&Stopped).map(drop).map_err(|error| {
            let text = error.to_string();
            assert!(text.contains("remove it"), "no advice: {text}");
            text
        })
    };
    let count = refused(&files.file("bans.json"), read);
    assert!(count > COPIES / 4, "{count}");
}

#[test]
fn changed_histories_lose_lines_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let files = PeerFiles::new(folder.path());
    let end = |uptime| EndInfo {
        node_key: Some(SecretKey::development("node", 1).public().into()),
        addr: "192.0.2.1:7000".into(),
        inbound: true,
        reason: "silent".into(),
        by: "us".into(),
        why: "closed by us".into(),
        ended: 1_700_000_000,
        uptime,
        silent: 15.0,
        rtt: vec![0.001; 4],
        queues: Vec::new(),
        last_messages: Vec::new(),
    };
    files.add_history(&[end(1.0), end(2.0), end(3.0)]).unwrap();
    let read = || {
        let ends = files.history().map_err(|error| error.to_string())?;
        assert!(ends.iter().all(|end| end.uptime.is_finite() && end.silent.is_finite()), "{ends:?}");
        Ok(())
    };
    assert_eq!(refused(&files.file("peer-history.jsonl"), read), 0);
}

#[test]
fn changed_address_books_are_left_out_and_never_believed() {
    let folder = tempfile::tempdir().unwrap();
    let files = PeerFiles::new(folder.path());
    let chain = ChainId(9);
    let kept = |id: u64| {
        let key = SecretKey::development("node", id);
        let record = AddressRecord::sign(&key, chain, &format!("192.0.2.{id}:7000"), UnixTime(1_700_000_000_000));
        let source = RecordSource { key: SecretKey::development("node", 9).public(), ip: [192, 0, 2, 9].into() };
        KeptAddress { record: record.unwrap(), source, reached: Some(UnixTime(1_700_000_000_000)), is_validator: true }
    };
    let sound = [kept(1), kept(2), kept(3)];
    files.keep_addresses(&sound).unwrap();
    let read = || {
        let found = files.addresses(chain).map_err(|error| error.to_string())?;
        for kept in &found.kept {
            assert!(sound.iter().any(|sound| sound.record == kept.record), "nobody signed {kept:?}");
        }
        Ok(())
    };
    assert_eq!(refused(&files.file("peers.json"), read), 0);
}

#[test]
fn changed_counts_of_wallet_addresses_are_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = WalletFile::new(folder.path());
    file.keep(12).unwrap();
    let read = || file.made(10_000).map(drop).map_err(|error| error.to_string());
    assert!(refused(&folder.path().join("wallet.addresses"), read) > COPIES / 4);
}

#[test]
fn a_changed_marker_of_the_chain_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let genesis = Hash([0x5a; 32]);
    let open = || DataDir::open(folder.path(), genesis).map(drop);
    open().unwrap();
    let path = folder.path().join("genesis");
    let count = refused(&path, || {
        // The folder is named where its chain is another.
        open().map_err(|error| format!("{error} ({})", path.display()))
    });
    assert!(count > COPIES / 2, "{count}");
}

#[test]
fn changed_labels_are_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = LabelFile::new(folder.path(), Network::Devnet);
    assert!(file.labels().unwrap().is_empty());
    let labels = (0..3).map(|id| (KeyHash(Hash([id; 32])), format!("shop {id} \"é\"\n")));
    let labels = labels.collect();
    file.keep(&labels).unwrap();
    assert_eq!(file.labels().unwrap(), labels);
    let read = || file.labels().map(drop).map_err(|error| error.to_string());
    assert!(refused(&folder.path().join("labels.json"), read) > COPIES / 4);
    file.keep(&[(KeyHash::default(), "x".repeat(256))].into()).unwrap();
    assert!(read().unwrap_err().contains("labels.json"), "longer than any label that is taken");
    file.keep(&labels).unwrap();
    let elsewhere = LabelFile::new(folder.path(), Network::Mainnet);
    assert!(elsewhere.labels().unwrap_err().to_string().contains("no label of an address of this network"));
}

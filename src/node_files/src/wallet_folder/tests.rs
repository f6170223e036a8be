//! A wallet's files after a kill, a full disk, and hands that are not ours.

use super::*;
use std::os::unix::fs::PermissionsExt as _;
use timed_primitives::UnixTime;
use timed_wallet::{KdfCost, KeystoreParts, Phrase, WalletKeys};

fn phrase() -> Phrase {
    Phrase::from_entropy([5; 32])
}

fn sealed(passphrase: &str) -> SealedKeys {
    let (network, made_at) = (Network::Devnet, UnixTime(1));
    let parts = KeystoreParts { network, made_at, cost: KdfCost::LEAST, salt: [1; 16], nonce: [2; 24] };
    SealedKeys::seal(&phrase(), passphrase, &parts).unwrap()
}

fn kept() -> KeptAddresses {
    let addresses = DerivedAddresses::of(&WalletKeys::of(&phrase(), Network::Devnet));
    KeptAddresses { addresses, load_on_startup: true }
}

fn name() -> WalletName {
    WalletName::parse("savings").unwrap()
}

/// Ends at a step, counted from 0, as a kill or a disk that is full does.
fn ends_at(step: usize) -> impl FnMut() -> io::Result<()> {
    let mut done = 0;
    move || {
        done += 1;
        if done > step { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

#[test]
fn a_wallet_is_made_once_and_comes_back_as_it_was() {
    let data = tempfile::tempdir().unwrap();
    let folders = WalletFolders::new(data.path(), Network::Devnet);
    assert_eq!(folders.names().unwrap(), []);
    let wallet = folders.create(&name(), &sealed("pass"), Some(&kept())).unwrap();
    assert_eq!((wallet.keys().unwrap(), wallet.addresses().unwrap()), (sealed("pass"), kept()));
    assert_eq!(folders.names().unwrap(), [name()]);
    let again = folders.create(&name(), &sealed("other"), Some(&kept()));
    assert!(matches!(again, Err(WalletFolderError::Exists(_))), "{again:?}");
    for (path, mode) in [("wallets", 0o700), ("wallets/savings", 0o700), ("wallets/savings/keys", 0o600)] {
        assert_eq!(fs::metadata(data.path().join(path)).unwrap().permissions().mode() & 0o777, mode, "{path}");
    }
    assert!(matches!(folders.open(&name()), Err(WalletFolderError::InUse(_))), "one process, one wallet");
    drop(wallet);
    assert!(folders.open(&name()).is_ok());
    assert!(matches!(folders.open(&WalletName::parse("x").unwrap()), Err(WalletFolderError::Missing(_))));
}

#[test]
fn a_kill_or_a_full_disk_at_any_step_leaves_no_half_of_a_wallet() {
    let mut steps = 0;
    for step in 0.. {
        let data = tempfile::tempdir().unwrap();
        let folders = WalletFolders::new(data.path(), Network::Devnet);
        let made = folders.create_by_steps(&name(), &sealed("pass"), Some(&kept()), &mut ends_at(step));
        match folders.names().unwrap().len() {
            0 => {
                assert!(made.is_err());
                assert!(matches!(folders.open(&name()), Err(WalletFolderError::Missing(_))));
                // What is left of it does not keep it from being made.
                folders.create(&name(), &sealed("pass"), Some(&kept())).unwrap();
            }
            _ => assert_eq!(folders.open(&name()).unwrap().addresses().unwrap(), kept()),
        }
        assert_eq!(folders.open(&name()).unwrap().keys().unwrap(), sealed("pass"), "step {step}");
        if made.is_ok() {
            steps = step;
            break;
        }
    }
    assert!(steps > 12, "{steps} steps");
}

#[test]
fn a_kill_or_a_full_disk_at_any_step_leaves_the_old_keys_or_the_new_ones() {
    let data = tempfile::tempdir().unwrap();
    let folders = WalletFolders::new(data.path(), Network::Devnet);
    let wallet = folders.create(&name(), &sealed("old"), Some(&kept())).unwrap();
    let (old, new) = (sealed("old"), sealed("new"));
    for step in 0.. {
        wallet.replace_keys(&old).unwrap();
        let replaced = replace(&wallet.path().join(KEYS), new.bytes(), &mut ends_at(step));
        let found = wallet.keys().unwrap();
        assert!(found == new || (found == old && replaced.is_err()), "step {step}");
        if replaced.is_ok() {
            assert_eq!((found, step > 5), (new.clone(), true));
            break;
        }
    }
    for step in 0.. {
        let file = data.path().join(format!("backup-{step}"));
        let written = wallet.backup_by_steps(&file, &mut ends_at(step));
        assert!(!file.exists() || folders.read_backup(&file).unwrap() == new, "step {step}");
        if written.is_ok() {
            break;
        }
    }
}

#[test]
fn a_backup_is_the_keys_and_overwrites_nothing() {
    let data = tempfile::tempdir().unwrap();
    let folders = WalletFolders::new(data.path(), Network::Devnet);
    let wallet = folders.create(&name(), &sealed("pass"), Some(&kept())).unwrap();
    let file = wallet.backup(data.path()).unwrap();
    assert_eq!(file, data.path().join("savings.timed-wallet"));
    assert!(matches!(wallet.backup(&file), Err(WalletFolderError::BackupExists(_))));
    let restored = folders.create(&WalletName::parse("again").unwrap(), &folders.read_backup(&file).unwrap(), None);
    let restored = restored.unwrap();
    assert_eq!((restored.keys().unwrap(), restored.addresses().unwrap()), (sealed("pass"), KeptAddresses::default()));
    let elsewhere = WalletFolders::new(data.path(), Network::Mainnet);
    let error = elsewhere.read_backup(&file).unwrap_err().to_string();
    assert!(error.ends_with("its keys are for devnet, and this node is of mainnet"), "{error}");
}

#[test]
fn files_that_are_none_are_named_and_left_alone() {
    let data = tempfile::tempdir().unwrap();
    let folders = WalletFolders::new(data.path(), Network::Devnet);
    let wallet = folders.create(&name(), &sealed("pass"), Some(&kept())).unwrap();
    let keys = wallet.path().join(KEYS);
    let bytes = fs::read(&keys).unwrap();
    let long = vec![b'x'; 65 * 1024];
    for (bad, words) in
        [(&bytes[..60], "cut off"), (b"{}", "no file of wallet keys"), (&long, "no file of wallet keys")]
    {
        fs::write(&keys, bad).unwrap();
        let error = wallet.keys().unwrap_err().to_string();
        assert!(error.contains("savings/keys") && error.contains(words), "{error}");
        assert_eq!(fs::read(&keys).unwrap(), bad);
    }
    let file = wallet.path().join(ADDRESSES);
    let text = fs::read_to_string(&file).unwrap();
    for (bad, words) in [
        (text[..200].to_owned(), "does not hold addresses"),
        (text.replacen("\"format\": 1", "\"format\": 2", 1), "\"format 2\""),
        (text.replacen("dtime1", "dtime2", 1), "dtime2"),
        (text.replacen("\"handed_out\": 0", "\"handed_out\": 101", 1), "handed_out 101 of 100"),
    ] {
        fs::write(&file, &bad).unwrap();
        let error = wallet.addresses().unwrap_err().to_string();
        assert!(
            error.contains("addresses.json") && error.contains(words) && error.contains("derived again"),
            "{error}"
        );
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(wallet.addresses().unwrap(), KeptAddresses::default());
}

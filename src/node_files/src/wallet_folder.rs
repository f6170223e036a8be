//! Wallets with a phrase, each in a folder of its own.
//!
//! ```text
//! <data folder>/wallets/      0700
//!   NAME/                     0700
//!     lock                    held while a process has the wallet loaded
//!     keys                    the sealed keys: written when the wallet is made and when its passphrase changes; this is what a backup is
//!     addresses.json          which addresses are known and handed out; derived from the keys, no secret
//!     labels.json             what the operator calls addresses
//!   NAME.new/                 a wallet that was not made to the end; the next one of this name takes its place
//! ```

use crate::durable::{StepGate, go_on, make_folder, remove_folder, replace, sync_folder, sync_parent, write_new};
use crate::wallet_name::{WalletName, WalletNameError};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use timed_ledger::{Address, KeyHash};
use timed_primitives::Network;
use timed_store::{read_bounded, read_text_bounded};
use timed_wallet::{
    BRANCH_ADDRESSES_MAX, BranchAddresses, DerivedAddresses, KEYSTORE_BYTES, KeystoreError, SealedKeys,
};

/// Folder of all wallets in the data folder.
const FOLDER: &str = "wallets";
/// The sealed keys.
const KEYS: &str = "keys";
/// What is known of the addresses.
const ADDRESSES: &str = "addresses.json";
/// Held while the wallet is in use.
const LOCK: &str = "lock";
/// Only version of [`ADDRESSES`].
const ADDRESSES_FORMAT: u32 = 1;
/// Longest [`ADDRESSES`]: 20,000 addresses of some 70 bytes. Unit: bytes.
const ADDRESSES_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// As much of a file of keys as is read: one that is longer is none. Unit: bytes.
const KEYS_BYTES_MAX: u64 = 64 * 1024;
/// Most wallets of a node.
pub const WALLETS_MAX: usize = 100;

/// The wallets of a data folder.
#[derive(Clone, Debug)]
pub struct WalletFolders {
    root: PathBuf,
    network: Network,
}

/// What is kept of a wallet beside its keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptAddresses {
    /// Which are known.
    pub addresses: DerivedAddresses,
    /// Whether the node loads the wallet when it starts.
    pub load_on_startup: bool,
}

/// A wallet's folder, locked for this process while this value lives.
#[derive(Debug)]
pub struct WalletFolder {
    name: WalletName,
    path: PathBuf,
    network: Network,
    /// The system frees the lock when the file is closed, also by a kill.
    _lock: File,
}

/// Files of a wallet cannot be used. What was there is there.
#[derive(Debug, thiserror::Error)]
pub enum WalletFolderError {
    /// See there.
    #[error(transparent)]
    Name(#[from] WalletNameError),
    /// The system refused.
    #[error("cannot use {file}: {source}; {}", timed_store::remedy(source))]
    Io {
        /// The file or folder.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// There is one of this name.
    #[error("there is a wallet {0} already, and none is ever overwritten: choose another name, or load that one")]
    Exists(WalletName),
    /// There is none of this name.
    #[error("there is no wallet {0} in this node's data folder; `listwalletdir` lists all")]
    Missing(WalletName),
    /// Another process has it.
    #[error("another process uses the wallet {0}: end that one first")]
    InUse(WalletName),
    /// There are as many as there may be.
    #[error("there are {WALLETS_MAX} wallets, which is as many as there may be: move the folder of one away")]
    Many,
    /// The file of keys is none, or of something else.
    #[error("{file}: {source}")]
    Keys {
        /// The file.
        file: String,
        /// What is wrong.
        source: KeystoreError,
    },
    /// The file of addresses is none.
    #[error(
        "{file} does not hold addresses of a wallet: {source}; remove it, and give the passphrase: they are derived again"
    )]
    Addresses {
        /// The file.
        file: String,
        /// Where it goes wrong.
        source: serde_json::Error,
    },
    /// The file of addresses holds what cannot be.
    #[error(
        "{file} holds {found:?}, which is not what a wallet of this network has; remove it, and give the passphrase: all is derived again"
    )]
    Address {
        /// The file.
        file: String,
        /// What it holds, shortened.
        found: String,
    },
    /// Where the backup is to be, something is.
    #[error("{0} is there already, and nothing is ever overwritten: choose another file")]
    BackupExists(String),
}

/// The file of addresses.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AddressesFile {
    format: u32,
    load_on_startup: bool,
    receive: BranchFile,
    change: BranchFile,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BranchFile {
    handed_out: u32,
    addresses: Vec<String>,
}

fn failed(file: &Path) -> impl FnOnce(io::Error) -> WalletFolderError + '_ {
    move |source| WalletFolderError::Io { file: file.display().to_string(), source }
}

impl WalletFolders {
    /// Those of this data folder; nothing is read or written yet.
    pub fn new(data_folder: &Path, network: Network) -> Self {
        Self { root: data_folder.join(FOLDER), network }
    }

    /// All that there are, in order. Bound: more than [`WALLETS_MAX`] are never made.
    ///
    /// # Errors
    /// [`WalletFolderError::Io`].
    pub fn names(&self) -> Result<Vec<WalletName>, WalletFolderError> {
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed(&self.root))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed(&self.root))?;
            let name = entry.file_name().to_str().and_then(|name| WalletName::parse(name).ok());
            names.extend(name.filter(|_| entry.path().join(KEYS).is_file()));
        }
        names.sort();
        Ok(names)
    }

    /// Makes a wallet: all of it is there, or nothing is.
    ///
    /// # Errors
    /// [`WalletFolderError`].
    pub fn create(
        &self,
        name: &WalletName,
        keys: &SealedKeys,
        kept: Option<&KeptAddresses>,
    ) -> Result<WalletFolder, WalletFolderError> {
        self.create_by_steps(name, keys, kept, &mut go_on)?;
        self.open(name)
    }

    fn create_by_steps(
        &self,
        name: &WalletName,
        keys: &SealedKeys,
        kept: Option<&KeptAddresses>,
        gate: StepGate<'_>,
    ) -> Result<(), WalletFolderError> {
        if self.names()?.len() >= WALLETS_MAX {
            return Err(WalletFolderError::Many);
        }
        let (folder, beside) = (self.root.join(name.as_str()), self.root.join(format!("{name}.new")));
        if folder.exists() {
            return Err(WalletFolderError::Exists(name.clone()));
        }
        let mut write = || {
            make_folder(&self.root, gate)?;
            remove_folder(&beside, gate)?;
            make_folder(&beside, gate)?;
            write_new(&beside.join(KEYS), keys.bytes(), gate)?;
            if let Some(kept) = kept {
                write_new(&beside.join(ADDRESSES), self.text(kept)?.as_bytes(), gate)?;
            }
            sync_folder(&beside, gate)?;
            gate()?;
            // Refused by the system where a folder with files is.
            fs::rename(&beside, &folder)?;
            sync_parent(&folder, gate)
        };
        write().map_err(failed(&folder))
    }

    fn text(&self, kept: &KeptAddresses) -> io::Result<String> {
        text_of(kept, self.network)
    }

    /// Opens a wallet and locks it for this process.
    ///
    /// # Errors
    /// [`WalletFolderError`].
    pub fn open(&self, name: &WalletName) -> Result<WalletFolder, WalletFolderError> {
        let path = self.root.join(name.as_str());
        if !path.join(KEYS).is_file() {
            return Err(WalletFolderError::Missing(name.clone()));
        }
        let lock = path.join(LOCK);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&lock).map_err(failed(&lock))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(WalletFolderError::InUse(name.clone())),
            Err(TryLockError::Error(source)) => return Err(failed(&lock)(source)),
        }
        Ok(WalletFolder { name: name.clone(), path, network: self.network, _lock: file })
    }

    /// Reads a file of keys from anywhere: a backup.
    ///
    /// # Errors
    /// [`WalletFolderError`] says what the file is instead.
    pub fn read_backup(&self, file: &Path) -> Result<SealedKeys, WalletFolderError> {
        read_keys(file, self.network)
    }
}

fn read_keys(file: &Path, network: Network) -> Result<SealedKeys, WalletFolderError> {
    let refused = |source| WalletFolderError::Keys { file: file.display().to_string(), source };
    let bytes = match read_bounded(file, KEYS_BYTES_MAX) {
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => return Err(refused(KeystoreError::Foreign)),
        bytes => bytes.map_err(failed(file))?,
    };
    let keys = SealedKeys::read(&bytes).map_err(refused)?;
    keys.check_network(network).map_err(refused)?;
    Ok(keys)
}

impl WalletFolder {
    /// The wallet's name.
    pub const fn name(&self) -> &WalletName {
        &self.name
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The sealed keys.
    ///
    /// # Errors
    /// [`WalletFolderError`] says what the file is instead.
    pub fn keys(&self) -> Result<SealedKeys, WalletFolderError> {
        read_keys(&self.path.join(KEYS), self.network)
    }

    /// Puts keys in place of those: the same, sealed with another passphrase.
    ///
    /// # Errors
    /// [`WalletFolderError::Io`]; the old ones are there.
    pub fn replace_keys(&self, keys: &SealedKeys) -> Result<(), WalletFolderError> {
        let file = self.path.join(KEYS);
        replace(&file, keys.bytes(), &mut go_on).map_err(failed(&file))
    }

    /// What is known of the addresses; nothing without the file.
    ///
    /// # Errors
    /// [`WalletFolderError`].
    pub fn addresses(&self) -> Result<KeptAddresses, WalletFolderError> {
        let file = self.path.join(ADDRESSES);
        let text = match read_text_bounded(&file, ADDRESSES_BYTES_MAX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(KeptAddresses::default()),
            text => text.map_err(failed(&file))?,
        };
        let name = || file.display().to_string();
        let read: AddressesFile =
            serde_json::from_str(&text).map_err(|source| WalletFolderError::Addresses { file: name(), source })?;
        let wrong = |found: &str| {
            let found = found.chars().take(100).collect();
            WalletFolderError::Address { file: name(), found }
        };
        if read.format != ADDRESSES_FORMAT {
            return Err(wrong(&format!("format {}", read.format)));
        }
        let branch = |read: BranchFile| {
            let count = u32::try_from(read.addresses.len()).unwrap_or(u32::MAX);
            if count > BRANCH_ADDRESSES_MAX || read.handed_out > count {
                return Err(wrong(&format!("handed_out {} of {count}", read.handed_out)));
            }
            let owner = |text: &String| match Address::parse_for(text, self.network) {
                Ok(address) => Ok(address.key_hash),
                Err(_) => Err(wrong(text)),
            };
            let known = read.addresses.iter().map(owner).collect::<Result<Vec<KeyHash>, _>>()?;
            Ok(BranchAddresses { known, handed_out: read.handed_out })
        };
        let addresses = DerivedAddresses { receive: branch(read.receive)?, change: branch(read.change)? };
        Ok(KeptAddresses { addresses, load_on_startup: read.load_on_startup })
    }

    /// Keeps these in place of those.
    ///
    /// # Errors
    /// [`WalletFolderError::Io`]; the old ones are there.
    pub fn keep_addresses(&self, kept: &KeptAddresses) -> Result<(), WalletFolderError> {
        let file = self.path.join(ADDRESSES);
        let text = text_of(kept, self.network).map_err(failed(&file))?;
        replace(&file, text.as_bytes(), &mut go_on).map_err(failed(&file))
    }

    /// Writes a copy of the file of keys, which is all that a restore needs beside the passphrase. Into a folder it is written as `NAME.timed-wallet`.
    /// The file that was written.
    ///
    /// # Errors
    /// [`WalletFolderError`]; nothing is overwritten.
    pub fn backup(&self, destination: &Path) -> Result<PathBuf, WalletFolderError> {
        self.backup_by_steps(destination, &mut go_on)
    }

    fn backup_by_steps(&self, destination: &Path, gate: StepGate<'_>) -> Result<PathBuf, WalletFolderError> {
        let keys = self.keys()?;
        let file = match destination.is_dir() {
            true => destination.join(format!("{}.timed-wallet", self.name)),
            false => destination.to_owned(),
        };
        if file.exists() {
            return Err(WalletFolderError::BackupExists(file.display().to_string()));
        }
        replace(&file, keys.bytes(), gate).map_err(failed(&file))?;
        Ok(file)
    }
}

fn text_of(kept: &KeptAddresses, network: Network) -> io::Result<String> {
    let branch = |branch: &BranchAddresses| BranchFile {
        handed_out: branch.handed_out,
        addresses: branch.known.iter().map(|key_hash| Address { network, key_hash: *key_hash }.to_string()).collect(),
    };
    let KeptAddresses { addresses, load_on_startup } = kept;
    let (receive, change) = (branch(&addresses.receive), branch(&addresses.change));
    let file = AddressesFile { format: ADDRESSES_FORMAT, load_on_startup: *load_on_startup, receive, change };
    Ok(serde_json::to_string_pretty(&file)?)
}

const _: () = assert!(KEYSTORE_BYTES < 64 * 1024, "a file of keys is read as a whole");

#[cfg(test)]
mod tests;

//! Wallets with a phrase: what the server asks the daemon for them, and why it may say no.

use crate::error::{RpcError, WALLET_NAME};
use async_trait::async_trait;
use std::fmt;
use std::time::Duration;
use timed_ledger::Address;
use timed_primitives::{Height, UnixTime};
use zeroize::Zeroizing;

/// A passphrase or the words of a wallet: wiped from memory when dropped, and never shown by `Debug`. What of the request is elsewhere in memory is
/// not wiped.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Of a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text. Handle with care.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText")
    }
}

/// Where the keys of a new wallet come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WalletSource {
    /// Fresh random bytes.
    Fresh,
    /// The words of another wallet, and after how many unused addresses none further on is looked for.
    Phrase(SecretText, u32),
    /// A file that `backupwallet` wrote, at this path of the node's machine.
    Backup(String),
}

/// A wallet to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewWallet {
    /// Its name.
    pub name: String,
    /// Where its keys come from.
    pub source: WalletSource,
    /// What its file of keys is sealed with; of a backup, that is so already and this is empty.
    pub passphrase: SecretText,
    /// Whether the node loads it when it starts.
    pub load_on_startup: bool,
}

/// A wallet that was made or loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadedWallet {
    /// Its name.
    pub name: String,
    /// The words that it comes back from: of a fresh one only, and never again.
    pub words: Option<SecretText>,
    /// What its owner should know.
    pub warnings: Vec<String>,
}

/// How a wallet is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WalletStatus {
    /// Its name.
    pub name: String,
    /// Addresses that are known and not handed out, to receive money and for change; 0 for the node's own, which makes them as they are asked for.
    pub ahead: [u32; 2],
    /// `None` for the node's own wallet, which is not encrypted; else until when it is open: 0 while it is locked. Unit: seconds since 1970.
    pub open_until: Option<u64>,
    /// When its keys were made, where that is known.
    pub made_at: Option<UnixTime>,
    /// How far a scan of the chain is, while one runs.
    pub scan: Option<ScanProgress>,
}

/// How far a scan of the chain is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanProgress {
    /// Since when it runs.
    pub duration: Duration,
    /// The first height of it.
    pub first: Height,
    /// The last block that was read.
    pub reached: Height,
    /// The last height of it.
    pub last: Height,
}

/// That a name is that of the node's own wallet, or none.
pub(crate) fn is_own_wallet(name: Option<&str>) -> Result<(), RpcError> {
    match name {
        None | Some("" | WALLET_NAME) => Ok(()),
        Some(name) => Err(RpcError::WalletUnknown(name.chars().take(60).collect())),
    }
}

/// Wallets beside the node's own.
#[async_trait]
pub trait WalletsApi: Send + Sync {
    /// `listwallets`: those that are loaded, in order; the node's own has an empty name.
    fn loaded_wallets(&self) -> Vec<String> {
        vec![String::new()]
    }

    /// `listwalletdir`: those that are in the data folder, in order, beside the node's own.
    async fn stored_wallets(&self) -> Result<Vec<String>, RpcError> {
        Err(RpcError::NotOffered)
    }

    /// `createwallet` and `restorewallet`: makes a wallet and loads it.
    async fn make_wallet(&self, _order: NewWallet) -> Result<LoadedWallet, RpcError> {
        Err(RpcError::NotOffered)
    }

    /// `loadwallet`. Whether it is to be loaded at a start is changed when it is given.
    async fn load_wallet(&self, _name: String, _at_startup: Option<bool>) -> Result<LoadedWallet, RpcError> {
        Err(RpcError::NotOffered)
    }

    /// `unloadwallet`: forgets its keys. The node's own has an empty name.
    async fn unload_wallet(&self, _name: String, _at_startup: Option<bool>) -> Result<(), RpcError> {
        Err(RpcError::NotOffered)
    }

    /// `walletpassphrase`: opens the chosen wallet for so long.
    async fn open_wallet(&self, _passphrase: SecretText, _time: Duration) -> Result<(), RpcError> {
        Err(RpcError::NotOffered)
    }

    /// `walletlock`: forgets the keys of the chosen wallet.
    fn lock_wallet(&self) -> Result<(), RpcError> {
        Err(RpcError::NotOffered)
    }

    /// `walletpassphrasechange`, of the chosen wallet.
    async fn change_passphrase(&self, _old: SecretText, _new: SecretText) -> Result<(), RpcError> {
        Err(RpcError::NotOffered)
    }

    /// `backupwallet`: writes the sealed keys of the chosen wallet to a file of the node's machine.
    async fn back_up_wallet(&self, _destination: String) -> Result<(), RpcError> {
        Err(RpcError::NotOffered)
    }

    /// `keypoolrefill`: derives as many addresses of the chosen wallet ahead of those handed out.
    async fn derive_ahead(&self, _ahead: u32) -> Result<(), RpcError> {
        Err(RpcError::NotOffered)
    }

    /// `rescanblockchain`: looks through blocks for addresses of the chosen wallet that were used, and gives the heights that it went through.
    async fn rescan(&self, _first: Height, _last: Option<Height>) -> Result<(Height, Height), RpcError> {
        Err(RpcError::NotOffered)
    }

    /// `abortrescan`: whether there was one.
    fn abort_rescan(&self) -> bool {
        false
    }

    /// `getrawchangeaddress`: of a wallet with a phrase one that only change goes to.
    async fn new_change_address(&self) -> Result<Address, RpcError> {
        Err(RpcError::NotOffered)
    }

    /// Whether it is an address of the chosen wallet that only change goes to.
    fn is_change(&self, _address: &Address) -> bool {
        false
    }

    /// How the chosen wallet is.
    fn wallet_status(&self) -> WalletStatus {
        WalletStatus { name: WALLET_NAME.into(), ..WalletStatus::default() }
    }
}

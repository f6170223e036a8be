//! A wallet of the node, its coins that are on their way, and its files.

use crate::scan::Scan;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use timed_ledger::{Address, Genesis, KeyHash, OutPoint};
use timed_node_files::{
    KeptAddresses, LABEL_CHARS_MAX, LABELS_MAX, LabelFile, LabelFileError, WalletFile, WalletFileError, WalletFolder,
    WalletFolderError,
};
use timed_primitives::{Clock, Height, Instant, Network, SecretKey, UnixTime};
use timed_rpc::{RpcError, WALLET_NAME, WalletStatus};
use timed_wallet::{Fees, KEYS_MAX, KeyUse, KeystoreError, Wallet, WalletError, WalletKeys};

/// Most outputs that are held back.
const HELD_MAX: usize = 10_000;

/// Where a wallet keeps what it must not forget.
enum WalletFiles {
    /// The node's own: how many addresses it made.
    Own(WalletFile),
    /// One with a phrase.
    Folder(Arc<WalletFolder>),
}

/// What is to be written of a wallet.
enum WalletRecord {
    Count(WalletFile, usize),
    Addresses(Arc<WalletFolder>, KeptAddresses),
}

impl WalletRecord {
    fn write(self) -> Result<(), NodeWalletError> {
        match self {
            Self::Count(file, made) => Ok(file.keep(made)?),
            Self::Addresses(folder, kept) => Ok(folder.keep_addresses(&kept)?),
        }
    }
}

/// Until when a wallet signs.
struct Opening {
    clock: Arc<dyn Clock>,
    until: Instant,
    /// The same as people read it. Unit: seconds since 1970.
    until_unix: u64,
}

/// The wallet and where it keeps how many addresses it made.
pub struct NodeWallet {
    /// Empty for the node's own.
    name: String,
    wallet: Mutex<Wallet>,
    /// Coins of payments whose outcome is not known yet, and until when they are reserved at most, if nobody waits for it any more. Locked
    /// after `wallet`, never before it.
    in_flight: Mutex<BTreeMap<OutPoint, Option<Instant>>>,
    /// Height of the chain when locks of spent coins were forgotten last: coins read at a lower one are out of date.
    read_at: Mutex<Height>,
    /// Outputs that the operator wants no payment to spend, until the node ends. Bound: [`HELD_MAX`].
    held: Mutex<BTreeSet<OutPoint>>,
    /// What the operator calls addresses. Bound: [`LABELS_MAX`].
    labels: Arc<Mutex<BTreeMap<KeyHash, String>>>,
    files: WalletFiles,
    /// Whether the node loads it when it starts.
    at_startup: AtomicBool,
    /// While it is open. Locked after `wallet`, never before it.
    opening: Mutex<Option<Opening>>,
    is_timed: AtomicBool,
    scan: Mutex<Option<Arc<Scan>>>,
    made_at: Option<UnixTime>,
    network: Network,
    label_file: LabelFile,
    /// Held by the one that writes the files, on a thread that no client waits for.
    writing: Arc<tokio::sync::Mutex<()>>,
    fees: Fees,
}

/// The wallet cannot be opened, or has no further address.
#[derive(Debug, thiserror::Error)]
pub enum NodeWalletError {
    /// See there.
    #[error(transparent)]
    File(#[from] WalletFileError),
    /// See there.
    #[error(transparent)]
    Labels(#[from] LabelFileError),
    /// See there.
    #[error(transparent)]
    Folder(#[from] WalletFolderError),
    /// See there.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// A label is too long.
    #[error("the label has {0} characters, at most {LABEL_CHARS_MAX} are kept")]
    LongLabel(usize),
    /// There are as many labels as there may be.
    #[error("{LABELS_MAX} addresses have a label, which is as many as there may be: set others to \"\" first")]
    ManyLabels,
    /// The thread that was to write the file did not come back.
    #[error("the wallet's file was not written: {0}")]
    NotWritten(#[from] tokio::task::JoinError),
    /// See there.
    #[error(transparent)]
    Wallet(#[from] WalletError),
}

impl NodeWallet {
    /// The wallet of `key`, with as many addresses as it had when the node last ran.
    ///
    /// # Errors
    /// [`NodeWalletError`].
    pub fn open(folder: &Path, key: SecretKey, genesis: &Genesis) -> Result<Self, NodeWalletError> {
        let file = WalletFile::new(folder);
        let mut wallet = Wallet::from_key(key, genesis.network, genesis.chain_id);
        for _ in 1..file.made(KEYS_MAX)? {
            wallet.next_address()?;
        }
        Self::with_files(
            String::new(),
            wallet,
            WalletFiles::Own(file),
            LabelFile::new(folder, genesis.network),
            genesis,
        )
    }

    /// A wallet with a phrase, locked.
    ///
    /// # Errors
    /// [`NodeWalletError`].
    pub(crate) fn of_folder(folder: WalletFolder, genesis: &Genesis) -> Result<Self, NodeWalletError> {
        let (made_at, kept) = (folder.keys()?.made_at(), folder.addresses()?);
        let wallet = Wallet::derived(kept.addresses, genesis.network, genesis.chain_id);
        let label_file = LabelFile::new(folder.path(), genesis.network);
        let (name, files) = (folder.name().to_string(), WalletFiles::Folder(Arc::new(folder)));
        let wallet = Self::with_files(name, wallet, files, label_file, genesis)?;
        wallet.at_startup.store(kept.load_on_startup, Ordering::Relaxed);
        Ok(Self { made_at: Some(made_at), ..wallet })
    }

    fn with_files(
        name: String,
        wallet: Wallet,
        files: WalletFiles,
        label_file: LabelFile,
        genesis: &Genesis,
    ) -> Result<Self, NodeWalletError> {
        let parameters = &genesis.parameters;
        let fees = Fees {
            per_byte: parameters.fee_per_byte_min,
            dust_min: parameters.dust_min,
            transaction_bytes_max: parameters.transaction_bytes_max.into(),
            payload_bytes: 0,
        };
        let labels = Arc::new(Mutex::new(label_file.labels()?));
        Ok(Self {
            name,
            wallet: Mutex::new(wallet),
            in_flight: Mutex::default(),
            read_at: Mutex::default(),
            held: Mutex::default(),
            labels,
            files,
            at_startup: AtomicBool::default(),
            opening: Mutex::default(),
            is_timed: AtomicBool::default(),
            scan: Mutex::default(),
            made_at: None,
            network: genesis.network,
            label_file,
            writing: Arc::default(),
            fees,
        })
    }

    /// Its name; empty for the node's own.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its folder; `None` for the node's own.
    pub(crate) const fn folder(&self) -> Option<&Arc<WalletFolder>> {
        match &self.files {
            WalletFiles::Own(_) => None,
            WalletFiles::Folder(folder) => Some(folder),
        }
    }

    /// What the chain demands of payments.
    pub(crate) const fn fees(&self) -> Fees {
        self.fees
    }

    /// The height below which coins that were read are out of date.
    pub(crate) fn read_at(&self) -> MutexGuard<'_, Height> {
        self.read_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn labels(&self) -> MutexGuard<'_, BTreeMap<KeyHash, String>> {
        self.labels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Labels an address; that is on disk before it is so.
    pub(crate) async fn set_label(&self, of: KeyHash, label: String) -> Result<(), NodeWalletError> {
        let length = label.chars().count();
        if length > LABEL_CHARS_MAX {
            return Err(NodeWalletError::LongLabel(length));
        }
        let turn = self.writing.clone().lock_owned().await;
        let mut labels = self.labels().clone();
        if label.is_empty() {
            labels.remove(&of)
        } else {
            labels.insert(of, label)
        };
        if labels.len() > LABELS_MAX {
            return Err(NodeWalletError::ManyLabels);
        }
        let (file, shared) = (self.label_file.clone(), self.labels.clone());
        let write = move || {
            let _turn = turn;
            file.keep(&labels)?;
            *shared.lock().unwrap_or_else(PoisonError::into_inner) = labels;
            Ok::<(), LabelFileError>(())
        };
        Ok(tokio::task::spawn_blocking(write).await??)
    }

    /// The wallet; one whose time is over is locked first.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Wallet> {
        let mut wallet = self.wallet.lock().unwrap_or_else(PoisonError::into_inner);
        let mut opening = self.opening();
        if opening.as_ref().is_some_and(|opening| opening.clock.now() >= opening.until) {
            wallet.close_keys(KeyUse::Sign);
            *opening = None;
        }
        drop(opening);
        wallet
    }

    fn opening(&self) -> MutexGuard<'_, Option<Opening>> {
        self.opening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys by their passphrase. Takes memory and time; `None` for the node's own.
    pub(crate) fn unsealed(&self, passphrase: &str) -> Result<Option<WalletKeys>, NodeWalletError> {
        let Some(folder) = self.folder() else { return Ok(None) };
        let phrase = folder.keys()?.open(passphrase)?;
        Ok(Some(WalletKeys::of(&phrase, self.network)))
    }

    /// Signs with these keys for so long. Whether more addresses are known now.
    pub(crate) fn open_for(
        &self,
        keys: WalletKeys,
        time: Duration,
        clock: &Arc<dyn Clock>,
    ) -> Result<bool, NodeWalletError> {
        let mut wallet = self.lock();
        let has_more = wallet.open_keys(keys, KeyUse::Sign)?;
        let until_unix = clock.unix().seconds().saturating_add(time.as_secs());
        *self.opening() = Some(Opening { clock: clock.clone(), until: clock.now() + time, until_unix });
        Ok(has_more)
    }

    /// Forgets the keys, unless a scan derives addresses with them.
    pub(crate) fn close(&self) {
        self.lock().close_keys(KeyUse::Sign);
        *self.opening() = None;
    }

    /// Whether somebody watches that it is locked in time.
    pub(crate) const fn is_timed(&self) -> &AtomicBool {
        &self.is_timed
    }

    /// How long it is open still; `None` when it is locked, which this does when the time is over. Nobody watches it then.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        drop(self.lock());
        let opening = self.opening();
        if opening.is_none() {
            self.is_timed.store(false, Ordering::Relaxed);
        }
        opening.as_ref().map(|opening| opening.until.since(opening.clock.now()))
    }

    pub(crate) fn status(&self, now: Instant) -> WalletStatus {
        let ahead = self.lock().derived_addresses().map(|addresses| {
            [&addresses.receive, &addresses.change]
                .map(|branch| u32::try_from(branch.known.len()).unwrap_or(u32::MAX).saturating_sub(branch.handed_out))
        });
        let open_until = || self.opening().as_ref().map_or(0, |opening| opening.until_unix);
        WalletStatus {
            name: if self.name.is_empty() { WALLET_NAME.into() } else { self.name.clone() },
            ahead: ahead.unwrap_or_default(),
            open_until: self.folder().map(|_| open_until()),
            made_at: self.made_at,
            scan: self.scan().as_ref().map(|scan| scan.progress(now)),
        }
    }

    /// The scan that runs.
    pub(crate) fn scan(&self) -> MutexGuard<'_, Option<Arc<Scan>>> {
        self.scan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be written of it as it is.
    fn record(&self, wallet: &Wallet) -> WalletRecord {
        match &self.files {
            WalletFiles::Own(file) => WalletRecord::Count(file.clone(), wallet.addresses().len()),
            WalletFiles::Folder(folder) => {
                let addresses = wallet.derived_addresses().cloned().unwrap_or_default();
                let load_on_startup = self.at_startup.load(Ordering::Relaxed);
                WalletRecord::Addresses(folder.clone(), KeptAddresses { addresses, load_on_startup })
            }
        }
    }

    /// That change has a new address is on disk when this returns. The node's own wallet has one address for all change.
    pub(crate) async fn keep_change(&self) -> Result<(), NodeWalletError> {
        if self.folder().is_some() { self.keep().await } else { Ok(()) }
    }

    /// What of it changed is on disk when this returns.
    pub(crate) async fn keep(&self) -> Result<(), NodeWalletError> {
        self.change_and_keep(|_| Ok(())).await
    }

    /// Changes the wallet; that is on disk when this returns. A disk that hangs holds up those who want that, and nobody else.
    pub(crate) async fn change_and_keep<T>(
        &self,
        change: impl FnOnce(&mut Wallet) -> Result<T, WalletError>,
    ) -> Result<T, NodeWalletError> {
        // Given to the thread that writes: who asks may have gone away before the disk answers.
        let turn = self.writing.clone().lock_owned().await;
        let (changed, record) = {
            let mut wallet = self.lock();
            (change(&mut wallet)?, self.record(&wallet))
        };
        let write = move || {
            let _turn = turn;
            record.write()
        };
        tokio::task::spawn_blocking(write).await??;
        Ok(changed)
    }

    /// Whether the node loads it when it starts, from now on.
    pub(crate) async fn set_at_startup(&self, at_startup: bool) -> Result<(), NodeWalletError> {
        self.at_startup.store(at_startup, Ordering::Relaxed);
        self.keep().await
    }

    /// These addresses were used: the next ones come after them.
    pub(crate) async fn saw(&self, used: &BTreeSet<KeyHash>) -> Result<(), NodeWalletError> {
        if self.mark_used(used) { self.keep().await } else { Ok(()) }
    }

    /// As [`Self::saw`], and writes nothing. Whether one of them was news.
    pub(crate) fn mark_used(&self, used: &BTreeSet<KeyHash>) -> bool {
        let mut wallet = self.lock();
        used.iter().filter(|owner| wallet.mark_used(owner)).count() > 0
    }

    pub(crate) fn in_flight(&self) -> MutexGuard<'_, BTreeMap<OutPoint, Option<Instant>>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next address; that it was made is on disk before it is handed out. A disk that hangs holds up those who want one, and nobody else.
    pub(crate) async fn new_address(&self) -> Result<Address, NodeWalletError> {
        self.change_and_keep(Wallet::next_address).await
    }

    /// As [`Self::new_address`], for change.
    pub(crate) async fn new_change_address(&self) -> Result<Address, NodeWalletError> {
        self.change_and_keep(Wallet::next_change_address).await
    }

    pub(crate) fn held(&self) -> MutexGuard<'_, BTreeSet<OutPoint>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds outputs back from payments, or gives them back; giving back none means all.
    pub(crate) fn hold_back(&self, outputs: Vec<OutPoint>, is_held: bool) -> Result<(), RpcError> {
        let mut held = self.held();
        if !is_held && outputs.is_empty() {
            held.clear();
            return Ok(());
        }
        // All or nothing, as Bitcoin's server does it.
        if let Some(output) = outputs.iter().find(|output| held.contains(output) == is_held) {
            let state = if is_held { "is held back already" } else { "is not held back" };
            return Err(RpcError::InvalidParameter(format!("lockunspent: output {output} {state}")));
        }
        if is_held && held.len() + outputs.len() > HELD_MAX {
            return Err(RpcError::Wallet(format!("at most {HELD_MAX} outputs are held back")));
        }
        for output in outputs {
            if is_held {
                held.insert(output)
            } else {
                held.remove(&output)
            };
        }
        Ok(())
    }

    pub(crate) fn key_hashes(&self) -> Vec<KeyHash> {
        self.lock().key_hashes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path) -> NodeWallet {
        NodeWallet::open(folder, SecretKey::development("wallet", 1), &Genesis::devnet(1)).unwrap()
    }

    #[tokio::test]
    async fn addresses_and_labels_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let wallet = open(folder.path());
        let address = wallet.new_address().await.unwrap();
        wallet.set_label(address.key_hash, "shop".into()).await.unwrap();
        let other = KeyHash::default();
        wallet.set_label(other, "supplier".into()).await.unwrap();
        wallet.set_label(other, String::new()).await.unwrap();
        let again = open(folder.path());
        assert!(again.lock().owns(&address.key_hash));
        assert_eq!(*again.labels(), BTreeMap::from([(address.key_hash, "shop".to_owned())]));
        let long = "é".repeat(LABEL_CHARS_MAX + 1);
        assert!(matches!(again.set_label(other, long).await, Err(NodeWalletError::LongLabel(256))));
        again.set_label(other, "é".repeat(LABEL_CHARS_MAX)).await.unwrap();
    }

    #[tokio::test]
    async fn labels_have_a_bound() {
        let folder = tempfile::tempdir().unwrap();
        let wallet = open(folder.path());
        let owner = |n: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&n.to_be_bytes());
            KeyHash(timed_primitives::Hash(bytes))
        };
        wallet.labels().extend((0..LABELS_MAX).map(|n| (owner(n), "x".to_owned())));
        assert!(matches!(wallet.set_label(owner(LABELS_MAX), "y".into()).await, Err(NodeWalletError::ManyLabels)));
        wallet.set_label(owner(1), "y".into()).await.unwrap();
        assert_eq!(open(folder.path()).labels().len(), LABELS_MAX);
    }
}

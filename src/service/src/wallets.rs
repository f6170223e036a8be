//! The wallets of a node: its own, and those with a phrase.

use crate::Service;
use crate::node_wallet::{NodeWallet, NodeWalletError};
use crate::rescan::{mark_unspent, run_scan};
use crate::scan::Scan;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use timed_ledger::{Address, Genesis, KeyHash};
use timed_node_files::{KeptAddresses, WalletFolder, WalletFolderError, WalletFolders, WalletName};
use timed_primitives::{Height, UnixTime};
use timed_rpc::{
    LoadedWallet, NewWallet, NodeApi, RpcError, SecretText, WALLET_NAME, WalletFault, WalletSource, WalletStatus,
    WalletsApi,
};
use timed_wallet::{
    ADDRESSES_AHEAD, DerivedAddresses, ENTROPY_BYTES, GAP_LIMIT, KdfCost, KeyState, KeyUse, KeystoreError,
    KeystoreParts, Phrase, SealedKeys, WalletError, WalletKeys,
};
use zeroize::Zeroizing;

/// How long a call waits for a scan that it began; then the scan goes on by itself. Below the time that a call may take.
const SCAN_WAIT: Duration = Duration::from_secs(8);

/// How often it is checked whether the time of an open wallet is over.
const LOCK_LOOK: Duration = Duration::from_secs(1);

/// What new wallets are made with.
#[derive(Clone, Copy, Debug)]
pub struct WalletSecrets {
    /// Fills bytes that nobody can guess.
    pub fill_random: fn(&mut [u8]),
    /// What it costs to try a passphrase.
    pub cost: KdfCost,
}

/// The wallets of a node.
pub struct Wallets {
    own: Arc<NodeWallet>,
    folders: WalletFolders,
    genesis: Arc<Genesis>,
    secrets: WalletSecrets,
    /// By name; the node's own has an empty one.
    loaded: Mutex<BTreeMap<String, Arc<NodeWallet>>>,
    /// One passphrase is tried at a time, and one wallet made: each takes memory as [`KdfCost`] says.
    unsealing: Arc<tokio::sync::Mutex<()>>,
}

impl Wallets {
    /// The node's own wallet, and those of the data folder that it loads when it starts. One that cannot be loaded is in the log and keeps no node
    /// from its work.
    pub fn open(data_folder: &Path, own: Arc<NodeWallet>, genesis: &Genesis, secrets: WalletSecrets) -> Self {
        let folders = WalletFolders::new(data_folder, genesis.network);
        let genesis = Arc::new(genesis.clone());
        let mut loaded = BTreeMap::from([(String::new(), own.clone())]);
        match folders.names() {
            Ok(names) => {
                for name in names {
                    match at_startup(&folders, &name, &genesis) {
                        Ok(Some(wallet)) => drop(loaded.insert(name.to_string(), Arc::new(wallet))),
                        Ok(None) => {}
                        Err(error) => tracing::error!(%error, wallet = %name, "wallet not loaded"),
                    }
                }
            }
            Err(error) => tracing::error!(%error, "no wallet of the data folder is loaded"),
        }
        Self { own, folders, genesis, secrets, loaded: Mutex::new(loaded), unsealing: Arc::default() }
    }

    pub(crate) const fn own(&self) -> &Arc<NodeWallet> {
        &self.own
    }

    /// Whether a wallet that is loaded has the key of this owner.
    pub(crate) fn has_owner(&self, owner: &KeyHash) -> bool {
        self.loaded().values().any(|wallet| wallet.lock().owns(owner))
    }

    fn loaded(&self) -> MutexGuard<'_, BTreeMap<String, Arc<NodeWallet>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one that a client names, or the only one.
    fn chosen(&self, name: Option<&str>) -> Result<Arc<NodeWallet>, RpcError> {
        let loaded = self.loaded();
        match name {
            Some(name) => {
                let key = if name == WALLET_NAME { "" } else { name };
                let found = loaded.get(key).cloned();
                found.ok_or_else(|| RpcError::WalletUnknown(name.chars().take(60).collect()))
            }
            None if loaded.len() > 1 => Err(WalletFault::Unspecified(loaded.keys().cloned().collect()).into()),
            None => loaded.values().next().cloned().ok_or_else(|| WalletFault::NoneLoaded.into()),
        }
    }

    fn add(&self, wallet: NodeWallet) -> Arc<NodeWallet> {
        let wallet = Arc::new(wallet);
        self.loaded().insert(wallet.name().to_owned(), wallet.clone());
        wallet
    }

    fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.secrets.fill_random)(&mut bytes);
        bytes
    }

    fn parts(&self, made_at: UnixTime) -> KeystoreParts {
        let (network, cost) = (self.genesis.network, self.secrets.cost);
        KeystoreParts { network, made_at, cost, salt: self.random(), nonce: self.random() }
    }
}

/// The wallet, when it is to be loaded at a start.
fn at_startup(
    folders: &WalletFolders,
    name: &WalletName,
    genesis: &Genesis,
) -> Result<Option<NodeWallet>, NodeWalletError> {
    let folder = folders.open(name)?;
    if !folder.addresses()?.load_on_startup {
        return Ok(None);
    }
    NodeWallet::of_folder(folder, genesis).map(Some)
}

/// A wallet whose files are made, and its keys as far as they are at hand.
struct MadeWallet {
    folder: WalletFolder,
    keys: Option<WalletKeys>,
}

/// Makes the files. Takes memory and time.
fn make_files(
    folders: &WalletFolders,
    name: &WalletName,
    source: &PhraseSource,
    (passphrase, load_on_startup): (&SecretText, bool),
    parts: &KeystoreParts,
) -> Result<MadeWallet, NodeWalletError> {
    let (phrase, ahead) = match source {
        PhraseSource::Words(phrase, gap) => (phrase, (*gap).max(ADDRESSES_AHEAD)),
        PhraseSource::Backup(file) => {
            let kept = KeptAddresses { load_on_startup, ..KeptAddresses::default() };
            let folder = folders.create(name, &folders.read_backup(file)?, Some(&kept))?;
            return Ok(MadeWallet { folder, keys: None });
        }
    };
    let sealed = SealedKeys::seal(phrase, passphrase.expose(), parts)?;
    let keys = WalletKeys::of(phrase, parts.network);
    let mut addresses = DerivedAddresses::default();
    addresses.derive_ahead(&keys, ahead);
    let folder = folders.create(name, &sealed, Some(&KeptAddresses { addresses, load_on_startup }))?;
    Ok(MadeWallet { folder, keys: Some(keys) })
}

/// Where keys come from, once the client's words are read.
enum PhraseSource {
    /// A phrase, and how large a gap ends the search.
    Words(Phrase, u32),
    Backup(PathBuf),
}

/// The error as clients see it.
pub(crate) fn wallet_error(error: NodeWalletError) -> RpcError {
    match error {
        NodeWalletError::Wallet(WalletError::Locked) => WalletFault::Locked.into(),
        NodeWalletError::Wallet(WalletError::NoAddress) => WalletFault::NoAddress.into(),
        NodeWalletError::Keystore(KeystoreError::WrongPassphrase) => WalletFault::WrongPassphrase.into(),
        NodeWalletError::Keystore(error @ (KeystoreError::EmptyPassphrase | KeystoreError::LongPassphrase(_))) => {
            RpcError::InvalidParameter(error.to_string())
        }
        NodeWalletError::Folder(error @ WalletFolderError::Exists(_)) => WalletFault::Exists(error.to_string()).into(),
        NodeWalletError::Folder(error @ WalletFolderError::Missing(_)) => {
            WalletFault::Missing(error.to_string()).into()
        }
        NodeWalletError::Folder(error @ (WalletFolderError::Name(_) | WalletFolderError::BackupExists(_))) => {
            RpcError::InvalidParameter(error.to_string())
        }
        error => RpcError::Wallet(error.to_string()),
    }
}

/// On a thread that may wait, and need memory.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NodeWalletError> + Send + 'static,
) -> Result<T, RpcError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(NodeWalletError::NotWritten).and_then(|result| result).map_err(wallet_error)
}

fn name_of(text: &str) -> Result<WalletName, RpcError> {
    WalletName::parse(text).map_err(|error| RpcError::InvalidParameter(error.to_string()))
}

impl Service {
    /// That the chosen wallet is encrypted.
    fn check_encrypted(&self) -> Result<(), RpcError> {
        match self.wallet.folder() {
            Some(_) => Ok(()),
            None => Err(WalletFault::EncryptionState(
                "the node's own wallet is a file with one key that is not encrypted: it is always open. Name another by --wallet NAME or the path /wallet/NAME".into(),
            )
            .into()),
        }
    }

    /// Begins a scan and waits a while for its end. Whether it has ended.
    async fn scanned(&self, wallet: &Arc<NodeWallet>, first: Height, last: Height) -> Result<bool, RpcError> {
        let scan = Arc::new(Scan::new(first, last, self.clock.now()));
        {
            let mut running = wallet.scan();
            if running.is_some() {
                return Err(RpcError::Wallet(
                    "the wallet is being scanned already: `getwalletinfo` shows how far, `abortrescan` ends it".into(),
                ));
            }
            *running = Some(scan.clone());
        }
        let (chain, scanned) = (self.chain.clone(), wallet.clone());
        let task = tokio::spawn(async move {
            let result = run_scan(&scan, &chain, &scanned).await;
            scanned.lock().close_keys(KeyUse::Derive);
            *scanned.scan() = None;
            let kept = scanned.keep().await.map_err(wallet_error);
            if let Err(error) = &result {
                tracing::warn!(%error, wallet = scanned.name(), "scan of a wallet ended early");
            }
            result.and(kept)
        });
        match tokio::time::timeout(SCAN_WAIT, task).await {
            Err(_) => Ok(false),
            Ok(Ok(result)) => result.map(|()| true),
            Ok(Err(fault)) => Err(RpcError::Internal(format!("the scan ended by a fault of its own: {fault}"))),
        }
    }

    /// The node for a client that chose this wallet; `None` when that is the node as it is.
    pub(crate) fn choose(&self, name: Option<&str>) -> Result<Option<Arc<dyn NodeApi>>, RpcError> {
        let wallet = self.wallets.chosen(name)?;
        let is_own = Arc::ptr_eq(&wallet, &self.wallet);
        Ok((!is_own).then(|| Arc::new(Self { wallet, ..self.clone() }) as Arc<dyn NodeApi>))
    }

    fn is_behind(&self) -> bool {
        self.chain.tip().height == Height::GENESIS
            || self.handles.sync.borrow().as_ref().is_some_and(|s| s.progress.leads)
    }

    /// What the owner of a wallet that is not fresh should know.
    async fn restored(&self, wallet: &Arc<NodeWallet>, keys: Option<WalletKeys>) -> Result<Vec<String>, RpcError> {
        let Some(keys) = keys else {
            return Ok(vec![
                "the wallet is locked and its addresses are not known before it is opened once: give its passphrase (walletpassphrase), then all is looked for".into(),
            ]);
        };
        let opened = wallet.lock().open_keys(keys, KeyUse::Derive);
        opened.map_err(|error| wallet_error(error.into()))?;
        let mut warnings = Vec::new();
        if !self.scanned(wallet, Height::GENESIS, self.chain.tip().height).await? {
            warnings.push("the chain is still being looked through: `getwalletinfo` shows how far (scanning)".into());
        }
        if self.is_behind() {
            warnings.push(
                "this node has not all blocks yet: when it has, open the wallet and call `rescanblockchain`, so that all is found".into(),
            );
        }
        Ok(warnings)
    }

    /// Locks a wallet when its time is over, if nobody asks for it meanwhile.
    fn lock_in_time(wallet: &Arc<NodeWallet>) {
        if wallet.is_timed().swap(true, Ordering::Relaxed) {
            return;
        }
        let wallet = Arc::downgrade(wallet);
        tokio::spawn(async move {
            // Its time may be cut short meanwhile.
            while let Some(left) = wallet.upgrade().and_then(|wallet| wallet.time_left()) {
                tokio::time::sleep(left.min(LOCK_LOOK)).await;
            }
        });
    }
}

#[async_trait]
impl WalletsApi for Service {
    fn loaded_wallets(&self) -> Vec<String> {
        self.wallets.loaded().keys().cloned().collect()
    }

    async fn stored_wallets(&self) -> Result<Vec<String>, RpcError> {
        let folders = self.wallets.folders.clone();
        let names = aside(move || Ok(folders.names()?)).await?;
        Ok(names.iter().map(WalletName::to_string).collect())
    }

    async fn make_wallet(&self, order: NewWallet) -> Result<LoadedWallet, RpcError> {
        let name = name_of(&order.name)?;
        let source = match order.source {
            WalletSource::Fresh => {
                let entropy: Zeroizing<[u8; ENTROPY_BYTES]> = Zeroizing::new(self.wallets.random());
                PhraseSource::Words(Phrase::from_entropy(*entropy), GAP_LIMIT)
            }
            WalletSource::Phrase(ref words, gap) => {
                let phrase = Phrase::parse(words.expose());
                PhraseSource::Words(phrase.map_err(|error| WalletFault::Phrase(error.to_string()))?, gap)
            }
            WalletSource::Backup(ref file) => PhraseSource::Backup(file.into()),
        };
        let words = match (&order.source, &source) {
            (WalletSource::Fresh, PhraseSource::Words(phrase, _)) => Some(SecretText::new(phrase.words().as_str())),
            _ => None,
        };
        let is_fresh = order.source == WalletSource::Fresh;
        let turn = self.wallets.unsealing.clone().lock_owned().await;
        let (folders, parts) = (self.wallets.folders.clone(), self.wallets.parts(self.clock.unix()));
        let (genesis, with) = (self.wallets.genesis.clone(), (order.passphrase, order.load_on_startup));
        let made = aside(move || {
            let _turn = turn;
            let made = make_files(&folders, &name, &source, (&with.0, with.1), &parts)?;
            Ok((NodeWallet::of_folder(made.folder, &genesis)?, made.keys))
        });
        let (wallet, keys) = made.await?;
        let wallet = self.wallets.add(wallet);
        let warnings = if is_fresh { Vec::new() } else { self.restored(&wallet, keys).await? };
        Ok(LoadedWallet { name: wallet.name().to_owned(), words, warnings })
    }

    async fn load_wallet(&self, name: String, at_startup: Option<bool>) -> Result<LoadedWallet, RpcError> {
        let is_own = ["", WALLET_NAME].contains(&&name[..]);
        let key = if is_own { String::new() } else { name.clone() };
        if self.wallets.loaded().contains_key(&key) {
            return Err(WalletFault::AlreadyLoaded(key).into());
        }
        if is_own {
            self.wallets.loaded().insert(String::new(), self.wallets.own().clone());
            return Ok(LoadedWallet::default());
        }
        let (folders, genesis, parsed) = (self.wallets.folders.clone(), self.wallets.genesis.clone(), name_of(&name)?);
        let wallet = aside(move || NodeWallet::of_folder(folders.open(&parsed)?, &genesis)).await?;
        let wallet = self.wallets.add(wallet);
        if let Some(at_startup) = at_startup {
            wallet.set_at_startup(at_startup).await.map_err(wallet_error)?;
        }
        mark_unspent(&self.chain, &wallet).await?;
        wallet.keep().await.map_err(wallet_error)?;
        Ok(LoadedWallet { name, ..LoadedWallet::default() })
    }

    async fn unload_wallet(&self, name: String, at_startup: Option<bool>) -> Result<(), RpcError> {
        let wallet = self.wallets.chosen(Some(&name))?;
        if let (Some(at_startup), Some(_)) = (at_startup, wallet.folder()) {
            wallet.set_at_startup(at_startup).await.map_err(wallet_error)?;
        }
        self.wallets.loaded().remove(wallet.name());
        if let Some(scan) = &*wallet.scan() {
            scan.abort();
        }
        wallet.close();
        Ok(())
    }

    async fn open_wallet(&self, passphrase: SecretText, time: Duration) -> Result<(), RpcError> {
        self.check_encrypted()?;
        let (wallet, clock) = (self.wallet.clone(), self.clock.clone());
        let was_empty = wallet.key_hashes().is_empty();
        let turn = self.wallets.unsealing.clone().lock_owned().await;
        let opened = aside(move || {
            let _turn = turn;
            match wallet.unsealed(passphrase.expose())? {
                Some(keys) => wallet.open_for(keys, time, &clock),
                None => Ok(false),
            }
        });
        let has_more = opened.await?;
        Self::lock_in_time(&self.wallet);
        if has_more {
            self.wallet.keep().await.map_err(wallet_error)?;
        }
        if was_empty {
            // Of a backup, whose addresses nobody knew.
            self.scanned(&self.wallet, Height::GENESIS, self.chain.tip().height).await?;
            return Ok(());
        }
        mark_unspent(&self.chain, &self.wallet).await?;
        self.wallet.keep().await.map_err(wallet_error)
    }

    fn lock_wallet(&self) -> Result<(), RpcError> {
        self.check_encrypted()?;
        self.wallet.close();
        Ok(())
    }

    async fn change_passphrase(&self, old: SecretText, new: SecretText) -> Result<(), RpcError> {
        self.check_encrypted()?;
        let (wallet, turn) = (self.wallet.clone(), self.wallets.unsealing.clone().lock_owned().await);
        let parts = self.wallets.parts(self.clock.unix());
        aside(move || {
            let _turn = turn;
            let Some(folder) = wallet.folder() else { return Ok(()) };
            let sealed = folder.keys()?;
            let phrase = sealed.open(old.expose())?;
            let parts = KeystoreParts { made_at: sealed.made_at(), ..parts };
            Ok(folder.replace_keys(&SealedKeys::seal(&phrase, new.expose(), &parts)?)?)
        })
        .await
    }

    async fn back_up_wallet(&self, destination: String) -> Result<(), RpcError> {
        let wallet = self.wallet.clone();
        let written = aside(move || match wallet.folder() {
            Some(folder) => Ok(Some(folder.backup(Path::new(&destination))?)),
            None => Ok(None),
        });
        match written.await? {
            Some(_) => Ok(()),
            None => Err(RpcError::Wallet(
                "the node's own wallet is the key in wallet.key of the data folder, or one that everybody knows on a devnet: copy that file".into(),
            )),
        }
    }

    async fn derive_ahead(&self, ahead: u32) -> Result<(), RpcError> {
        self.wallet.change_and_keep(|wallet| wallet.derive_ahead(ahead)).await.map(drop).map_err(wallet_error)
    }

    async fn rescan(&self, first: Height, last: Option<Height>) -> Result<(Height, Height), RpcError> {
        let tip = self.chain.tip().height;
        let last = last.unwrap_or(tip);
        if first > last || last > tip {
            return Err(RpcError::HeightUnknown { height: first.max(last), tip });
        }
        if !self.scanned(&self.wallet, first, last).await? {
            return Err(RpcError::Wallet(
                "the scan takes longer than a call may, and goes on: `getwalletinfo` shows how far (scanning), `abortrescan` ends it".into(),
            ));
        }
        let few = self.wallet.status(self.clock.now()).ahead.iter().any(|ahead| *ahead < GAP_LIMIT);
        if few && self.wallet.lock().key_state() == KeyState::Locked {
            // Nobody can say whether more was used.
            return Err(WalletFault::Locked.into());
        }
        Ok((first, last))
    }

    fn abort_rescan(&self) -> bool {
        let wallets: Vec<_> = self.wallets.loaded().values().cloned().collect();
        wallets.iter().fold(false, |was, wallet| {
            let scan = wallet.scan().clone();
            if let Some(scan) = &scan {
                scan.abort();
            }
            was || scan.is_some()
        })
    }

    async fn new_change_address(&self) -> Result<Address, RpcError> {
        self.wallet.new_change_address().await.map_err(wallet_error)
    }

    fn is_change(&self, address: &Address) -> bool {
        self.wallet.lock().is_change(&address.key_hash)
    }

    fn wallet_status(&self) -> WalletStatus {
        self.wallet.status(self.clock.now())
    }
}

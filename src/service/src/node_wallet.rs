//! The wallet of the node, its coins that are on their way, and its files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use timed_ledger::{Address, Genesis, KeyHash, OutPoint};
use timed_node_files::{LABEL_CHARS_MAX, LABELS_MAX, LabelFile, LabelFileError, WalletFile, WalletFileError};
use timed_primitives::{Height, Instant, SecretKey};
use timed_rpc::RpcError;
use timed_wallet::{Fees, KEYS_MAX, Wallet, WalletError};

/// Most outputs that are held back.
const HELD_MAX: usize = 10_000;

/// The wallet and where it keeps how many addresses it made.
pub struct NodeWallet {
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
    file: WalletFile,
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
        let parameters = &genesis.parameters;
        let fees = Fees {
            per_byte: parameters.fee_per_byte_min,
            dust_min: parameters.dust_min,
            transaction_bytes_max: parameters.transaction_bytes_max.into(),
            payload_bytes: 0,
        };
        let file = WalletFile::new(folder);
        let mut wallet = Wallet::from_key(key, genesis.network, genesis.chain_id);
        for _ in 1..file.made(KEYS_MAX)? {
            wallet.next_address()?;
        }
        let label_file = LabelFile::new(folder, genesis.network);
        let labels = Arc::new(Mutex::new(label_file.labels()?));
        let (in_flight, read_at, held) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (wallet, writing) = (Mutex::new(wallet), Arc::default());
        Ok(Self { wallet, in_flight, read_at, held, labels, file, label_file, writing, fees })
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

    pub(crate) fn lock(&self) -> MutexGuard<'_, Wallet> {
        self.wallet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn in_flight(&self) -> MutexGuard<'_, BTreeMap<OutPoint, Option<Instant>>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next address; that it was made is on disk before it is handed out. A disk that hangs holds up those who want one, and nobody else.
    pub(crate) async fn new_address(&self) -> Result<Address, NodeWalletError> {
        // Given to the thread that writes: who asks may have gone away before the disk answers.
        let turn = self.writing.clone().lock_owned().await;
        let (address, made) = {
            let mut wallet = self.lock();
            (wallet.next_address()?, wallet.addresses().len())
        };
        let file = self.file.clone();
        let write = move || {
            let _turn = turn;
            file.keep(made)
        };
        tokio::task::spawn_blocking(write).await??;
        Ok(address)
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
        self.lock().key_hashes().copied().collect()
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

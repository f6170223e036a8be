//! A node's keys: development keys by number, or files of 64 hex digits.

use anyhow::{Context as _, bail};
use rand::rand_core::UnwrapErr;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use timed_config::Node;
use timed_primitives::SecretKey;

/// Number of the wallet key that owns a devnet's money.
const DEVNET_WALLET: u64 = 0;

/// The three keys of a node.
pub(crate) struct Keys {
    /// By which peers know it.
    pub node: SecretKey,
    /// With which it votes; without one it observes.
    pub consensus: Option<SecretKey>,
    /// Which owns its money.
    pub wallet: SecretKey,
}

impl Keys {
    /// Development keys for a numbered node; else the configured files, or those of the usual names in the data folder. A missing node
    /// key or wallet key is made; a missing consensus key makes an observer.
    ///
    /// # Errors
    /// When a file cannot be read or written, or holds no key.
    pub(crate) fn load(node: &Node, folder: &Path) -> anyhow::Result<Self> {
        if let Some(id) = node.id {
            return Ok(Self {
                node: SecretKey::development("node", id),
                consensus: Some(SecretKey::development("consensus", id)),
                wallet: SecretKey::development("wallet", DEVNET_WALLET),
            });
        }
        let file = |configured: &Option<_>, usual| configured.clone().unwrap_or_else(|| folder.join(usual));
        let consensus = match read(&file(&node.consensus_key, "consensus.key"))? {
            None if node.consensus_key.is_some() => bail!("the file that node.consensus_key names does not exist"),
            found => found,
        };
        Ok(Self {
            node: read_or_make(&file(&node.node_key, "node.key"))?,
            consensus,
            wallet: read_or_make(&file(&node.wallet_key, "wallet.key"))?,
        })
    }
}

fn read(file: &Path) -> anyhow::Result<Option<SecretKey>> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read the key file {}", file.display())),
    };
    let mut seed = [0; 32];
    hex::decode_to_slice(text.trim(), &mut seed)
        .map_err(|_| anyhow::anyhow!("{} does not hold a key: expected 64 hex digits", file.display()))?;
    Ok(Some(SecretKey::from_seed(seed)))
}

fn read_or_make(file: &Path) -> anyhow::Result<SecretKey> {
    if let Some(key) = read(file)? {
        return Ok(key);
    }
    let key = SecretKey::generate(&mut UnwrapErr(rand::rngs::SysRng));
    let make = || -> std::io::Result<()> {
        let mut handle = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
        writeln!(handle, "{}", hex::encode(key.seed()))?;
        handle.sync_all()
    };
    make().with_context(|| format!("cannot make the key file {}", file.display()))?;
    Ok(key)
}

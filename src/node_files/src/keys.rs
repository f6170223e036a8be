//! A node's keys: development keys by number, or files of 64 hex digits.

use anyhow::Context as _;
use rand::rand_core::UnwrapErr;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use timed_config::NodeSection;
use timed_primitives::{PublicKey, SecretKey};
use timed_store::write_durably;

/// Usual name of the file of the key that votes.
const CONSENSUS_KEY: &str = "consensus.key";
/// Number of the wallet key that owns a devnet's money.
const DEVNET_WALLET: u64 = 0;
/// Longest file that may hold a key: 64 digits, and room for ends of lines. Unit: bytes.
const KEY_FILE_BYTES_MAX: u64 = 256;

/// The three keys of a node.
pub struct Keys {
    /// By which peers know it.
    pub node: SecretKey,
    /// With which it votes; without one it observes.
    pub consensus: Option<SecretKey>,
    /// Which owns its money.
    pub wallet: SecretKey,
}

impl Keys {
    /// Each key from the file that is configured for it; else a numbered node's development key; else the file of the usual name in the
    /// data folder, where a missing node key or wallet key is made, and a missing consensus key makes an observer.
    ///
    /// # Errors
    /// When a file cannot be read or written, or holds no key.
    pub fn load(node: &NodeSection, folder: &Path) -> anyhow::Result<Self> {
        let own_or_made =
            |configured: &Option<PathBuf>, usual, (purpose, number): (&str, Option<u64>)| match (configured, number) {
                (None, Some(number)) => Ok(SecretKey::development(purpose, number)),
                (None, None) => read_or_make(&folder.join(usual)),
                (Some(file), _) => read_or_make(file),
            };
        let consensus = match (&node.consensus_key, node.id) {
            (None, Some(id)) => Some(SecretKey::development("consensus", id)),
            (None, None) => read(&folder.join(CONSENSUS_KEY))?,
            (Some(file), _) => Some(read_configured_voter(file)?),
        };
        Ok(Self {
            node: own_or_made(&node.node_key, "node.key", ("node", node.id))?,
            consensus,
            wallet: own_or_made(&node.wallet_key, "wallet.key", ("wallet", node.id.map(|_| DEVNET_WALLET)))?,
        })
    }

    /// Whether [`Self::load`] would find keys in the files that are configured. Nothing is made.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn check(node: &NodeSection) -> anyhow::Result<()> {
        for file in [&node.node_key, &node.wallet_key].into_iter().flatten() {
            read(file)?;
        }
        node.consensus_key.as_deref().map_or(Ok(()), |file| read_configured_voter(file).map(drop))
    }
}

fn read_configured_voter(file: &Path) -> anyhow::Result<SecretKey> {
    read(file)?.with_context(|| {
        format!("the file {} does not exist: correct node.consensus_key, or remove it to observe", file.display())
    })
}

/// The key that votes by the file of the usual name in a data folder; `None` without that file.
///
/// # Errors
/// When the file cannot be read or holds no key.
pub fn voter(folder: &Path) -> anyhow::Result<Option<PublicKey>> {
    Ok(read(&folder.join(CONSENSUS_KEY))?.map(|key| key.public()))
}

fn read(file: &Path) -> anyhow::Result<Option<SecretKey>> {
    let failed = || format!("cannot read the key file {}", file.display());
    let open = match File::open(file) {
        Ok(open) => open,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(failed),
    };
    let mut text = Vec::new();
    open.take(KEY_FILE_BYTES_MAX + 1).read_to_end(&mut text).with_context(failed)?;
    let digits = if text.len() as u64 > KEY_FILE_BYTES_MAX { &[] } else { text.trim_ascii() };
    let mut seed = [0; 32];
    hex::decode_to_slice(digits, &mut seed)
        .map_err(|_| anyhow::anyhow!("{} does not hold a key: expected 64 hex digits", file.display()))?;
    Ok(Some(SecretKey::from_seed(seed)))
}

fn read_or_make(file: &Path) -> anyhow::Result<SecretKey> {
    if let Some(key) = read(file)? {
        return Ok(key);
    }
    let key = SecretKey::generate(&mut UnwrapErr(rand::rngs::SysRng));
    write_durably(file, &format!("{}\n", hex::encode(key.seed())))
        .with_context(|| format!("cannot make the key file {}", file.display()))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn none() -> NodeSection {
        NodeSection {
            id: None,
            dev_nodes: 3,
            dev_public_keys_ok: false,
            data_dir: None,
            genesis: None,
            node_key: None,
            consensus_key: None,
            wallet_key: None,
        }
    }

    fn publics(keys: &Keys) -> [Option<timed_primitives::PublicKey>; 3] {
        [Some(keys.node.public()), keys.consensus.as_ref().map(SecretKey::public), Some(keys.wallet.public())]
    }

    #[test]
    fn a_configured_file_wins_over_the_number_and_made_keys_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (own, development) =
            (SecretKey::from_seed([7; 32]), |purpose, id| SecretKey::development(purpose, id).public());
        let file = folder.path().join("own.key");
        fs::write(&file, hex::encode(own.seed())).unwrap();

        let numbered = NodeSection { id: Some(2), ..none() };
        let all = [development("node", 2), development("consensus", 2), development("wallet", DEVNET_WALLET)].map(Some);
        assert_eq!(publics(&Keys::load(&numbered, folder.path()).unwrap()), all);
        let configured = NodeSection { node_key: Some(file.clone()), consensus_key: Some(file), ..numbered };
        let found = publics(&Keys::load(&configured, folder.path()).unwrap());
        assert_eq!(found, [Some(own.public()), Some(own.public()), all[2]]);

        let made = publics(&Keys::load(&none(), folder.path()).unwrap());
        assert_eq!(made[1], None, "without a consensus key it observes");
        assert_eq!(publics(&Keys::load(&none(), folder.path()).unwrap()), made);
    }
    #[test]
    fn a_file_without_a_key_is_refused_by_name_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("node.key");
        let digits = hex::encode([7; 32]);
        let padded = |blanks: u64| format!("{digits}{}", " ".repeat(usize::try_from(blanks).unwrap())).into_bytes();
        for spare in [0, KEY_FILE_BYTES_MAX - 64] {
            fs::write(&file, padded(spare)).unwrap();
            assert_eq!(read(&file).unwrap().unwrap().seed(), SecretKey::from_seed([7; 32]).seed());
        }
        let (short, odd) = (digits.as_bytes()[..63].to_vec(), digits.replace('7', "g").into_bytes());
        let bad = [
            Vec::new(),
            short,
            odd,
            vec![0xff; 64],
            padded(KEY_FILE_BYTES_MAX - 63),
            [digits.as_bytes(), b"00"].concat(),
        ];
        for bytes in bad {
            fs::write(&file, &bytes).unwrap();
            let error = format!("{:#}", Keys::load(&none(), folder.path()).map(drop).unwrap_err());
            assert!(error.contains("node.key does not hold a key: expected 64 hex digits"), "{error}");
            assert_eq!(fs::read(&file).unwrap(), bytes, "no new key takes its place");
        }
    }
}

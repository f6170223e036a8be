//! What the operator calls addresses: a small JSON file of names by address.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use timed_ledger::{Address, KeyHash};
use timed_primitives::Network;
use timed_store::{read_text_bounded, write_durably};

/// File in the data folder with the labels of addresses.
const FILE: &str = "labels.json";
/// Longest file: an address has some 60 characters, and JSON may write six bytes for one of a label. Unit: bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Most addresses with a label.
pub const LABELS_MAX: usize = 10_000;
/// Longest label. Unit: characters.
pub const LABEL_CHARS_MAX: usize = 255;

/// The file of a node's labels.
#[derive(Clone, Debug)]
pub struct LabelFile {
    path: PathBuf,
    network: Network,
}

/// The file of labels cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LabelFileError {
    /// It cannot be read or written.
    #[error("cannot use {file}: {source}; {}", timed_store::remedy(source))]
    Io {
        /// The file.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// It is no object of labels by address.
    #[error("{file} does not hold labels: {source}; correct it, or remove it to forget all labels")]
    Content {
        /// The file.
        file: String,
        /// Where it goes wrong.
        source: serde_json::Error,
    },
    /// It names an address that is none, or has more or longer labels than there may be.
    #[error(
        "{file} holds {found:?}, which is no label of an address of this network; correct it, or remove it to forget all labels"
    )]
    Label {
        /// The file.
        file: String,
        /// The address, shortened.
        found: String,
    },
}

impl LabelFile {
    /// In this folder, for addresses of this network; nothing is read or written yet.
    pub fn new(folder: &Path, network: Network) -> Self {
        Self { path: folder.join(FILE), network }
    }

    /// All labels; none without the file.
    ///
    /// # Errors
    /// [`LabelFileError`].
    pub fn labels(&self) -> Result<BTreeMap<KeyHash, String>, LabelFileError> {
        let text = match read_text_bounded(&self.path, FILE_BYTES_MAX) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(self.failed(error)),
        };
        let kept: BTreeMap<String, String> =
            serde_json::from_str(&text).map_err(|source| LabelFileError::Content { file: self.name(), source })?;
        let mut labels = BTreeMap::new();
        for (address, label) in kept {
            let is_short = label.chars().count() <= LABEL_CHARS_MAX && labels.len() < LABELS_MAX;
            let Some(address) = Address::parse_for(&address, self.network).ok().filter(|_| is_short) else {
                let found = address.chars().take(100).collect();
                return Err(LabelFileError::Label { file: self.name(), found });
            };
            labels.insert(address.key_hash, label);
        }
        Ok(labels)
    }

    /// Keeps these labels in place of all others.
    ///
    /// # Errors
    /// [`LabelFileError::Io`]; the file is as it was.
    pub fn keep(&self, labels: &BTreeMap<KeyHash, String>) -> Result<(), LabelFileError> {
        let text = |key_hash: &KeyHash| Address { network: self.network, key_hash: *key_hash }.to_string();
        let kept: BTreeMap<String, &String> = labels.iter().map(|(owner, label)| (text(owner), label)).collect();
        let text = serde_json::to_string_pretty(&kept).map_err(|error| self.failed(error.into()))?;
        write_durably(&self.path, &text).map_err(|error| self.failed(error))
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn failed(&self, source: io::Error) -> LabelFileError {
        LabelFileError::Io { file: self.name(), source }
    }
}

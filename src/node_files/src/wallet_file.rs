//! How many addresses the wallet has handed out: their keys follow from the wallet's key and a number.

use std::io;
use std::path::{Path, PathBuf};
use timed_store::{read_text_bounded, write_durably};

/// File in the data folder with the number of addresses handed out.
const FILE: &str = "wallet.addresses";
/// Longest file: a number. Unit: bytes.
const FILE_BYTES_MAX: u64 = 4_096;

/// The file of a node's wallet.
#[derive(Clone, Debug)]
pub struct WalletFile(PathBuf);

/// The wallet's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WalletFileError {
    /// It cannot be read or written.
    #[error("cannot use {file}: {source}; {}", timed_store::remedy(source))]
    Io {
        /// The file.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// It holds no number that a wallet can have.
    #[error(
        "{file} holds {found:?} instead of a number up to {made_max}; put the number of addresses ever made there (a larger one does no \
         harm)"
    )]
    Content {
        /// The file.
        file: String,
        /// What it holds, shortened.
        found: String,
        /// Most addresses that a wallet can have.
        made_max: u32,
    },
}

impl WalletFile {
    /// In this folder; nothing is read or written yet.
    pub fn new(folder: &Path) -> Self {
        Self(folder.join(FILE))
    }

    /// How many addresses were handed out, at most so many; 0 without the file.
    ///
    /// # Errors
    /// [`WalletFileError`].
    pub fn made(&self, made_max: u32) -> Result<u32, WalletFileError> {
        let text = match read_text_bounded(&self.0, FILE_BYTES_MAX) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(self.failed(error)),
        };
        text.trim().parse().ok().filter(|made: &u32| *made <= made_max).ok_or_else(|| {
            let found = text.chars().take(40).collect();
            WalletFileError::Content { file: self.name(), found, made_max }
        })
    }

    /// From now on so many are.
    ///
    /// # Errors
    /// [`WalletFileError::Io`]; the file is as it was.
    pub fn keep(&self, made: usize) -> Result<(), WalletFileError> {
        write_durably(&self.0, &made.to_string()).map_err(|error| self.failed(error))
    }

    fn name(&self) -> String {
        self.0.display().to_string()
    }

    fn failed(&self, source: io::Error) -> WalletFileError {
        WalletFileError::Io { file: self.name(), source }
    }
}

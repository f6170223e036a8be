//! The small files of a node's data folder beside the chain: keys, bans, ends of sessions, the address book, the wallet's count, labels of
//! addresses, the folders of wallets with a phrase, and the genesis file.
//!
//! Knows: their names, formats and bounds, and what to say of one that is damaged. Must not know: actors, sockets, when they are written.

mod address_file;
mod durable;
mod genesis_file;
mod keys;
mod label_file;
mod peer_files;
mod wallet_file;
mod wallet_folder;
mod wallet_name;

pub use address_file::FoundAddresses;
pub use genesis_file::read_genesis;
pub use keys::{Keys, voter};
pub use label_file::{LABEL_CHARS_MAX, LABELS_MAX, LabelFile, LabelFileError};
pub use peer_files::{PeerFileError, PeerFiles};
pub use wallet_file::{WalletFile, WalletFileError};
pub use wallet_folder::{KeptAddresses, WALLETS_MAX, WalletFolder, WalletFolderError, WalletFolders};
pub use wallet_name::{WalletName, WalletNameError};

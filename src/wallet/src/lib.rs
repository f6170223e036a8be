//! Keys, and transactions built and signed with them.
//!
//! Knows: how keys are derived from words and kept sealed, which coins to spend, what a transaction of given shape costs. Must not know: a node, a
//! network, where the coins were looked up, where files are.
//!
//! ```text
//! 24 words (phrase) ── entropy ──► sealed with a passphrase (keystore)
//!        └─ seed ─► keys of two branches (derive) ─► addresses (addresses) ─► wallet: coins, payments, signatures
//! ```
//!
//! Beside it is the development wallet, whose keys come from one seed by a plain hash, without passwords or words to write down.
//! Start reading in [`wallet`]; [`mod@select`] chooses the coins, [`keystore`] has the format of the file.

pub mod keystore;
pub mod select;
pub mod wallet;

mod addresses;
mod derive;
mod key_ring;
mod phrase;

pub use addresses::{ADDRESSES_AHEAD, BRANCH_ADDRESSES_MAX, BranchAddresses, DerivedAddresses, GAP_LIMIT};
pub use derive::WalletKeys;
pub use key_ring::{KEYS_MAX, KeyState, KeyUse, WalletError};
pub use keystore::{KEYSTORE_BYTES, KdfCost, KeystoreError, KeystoreParts, PASSPHRASE_BYTES_MAX, SealedKeys};
pub use phrase::{ENTROPY_BYTES, PHRASE_WORDS, Phrase, PhraseError};
pub use select::{Coin, CoinTarget, Fees, InsufficientFunds, Selection, select};
pub use wallet::{BuildError, Funded, Payment, Reservation, Wallet};

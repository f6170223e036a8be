//! Keys, and transactions built and signed with them.
//!
//! Knows: how keys are derived, which coins to spend, what a transaction of given shape costs. Must not know: a node, a network, where
//! the coins were looked up.
//!
//! This is the development wallet: its keys come from one seed by a plain hash, without passwords, words to write down, or hardware.
//! Start reading in [`wallet`]; [`mod@select`] chooses the coins.

pub mod select;
pub mod wallet;

pub use select::{Coin, CoinTarget, Fees, InsufficientFunds, Selection, select};
pub use wallet::{BuildError, Funded, KEYS_MAX, Payment, Reservation, Wallet, WalletError};

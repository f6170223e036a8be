//! Names of wallets, which are names of folders.

use std::fmt;
use timed_rpc::WALLET_NAME;

/// Longest name. Unit: characters.
const CHARS_MAX: usize = 64;

/// A name that a wallet can have: 1 to 64 letters, digits, `-` and `_`, the first of them no `-`. No path can be written with these.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WalletName(String);

/// The text is no name of a wallet. It is not repeated as it is: it may hold anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalletNameError {
    /// It is empty, too long, or has other characters.
    #[error(
        "{0:?} can be no wallet's name: 1 to {CHARS_MAX} letters (a to z), digits, - and _ can, if the first is no -"
    )]
    Characters(String),
    /// It is that of the node's own wallet.
    #[error("{WALLET_NAME:?} is the name of the node's own wallet: choose another")]
    OwnWallet,
}

impl WalletName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`WalletNameError`].
    pub fn parse(text: &str) -> Result<Self, WalletNameError> {
        let is_one = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let is_good = (1..=CHARS_MAX).contains(&text.len()) && !text.starts_with('-') && text.chars().all(is_one);
        if !is_good {
            return Err(WalletNameError::Characters(text.chars().take(CHARS_MAX).collect()));
        }
        if text.eq_ignore_ascii_case(WALLET_NAME) {
            return Err(WalletNameError::OwnWallet);
        }
        Ok(Self(text.to_owned()))
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WalletName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_folder() {
        for good in ["a", "savings-2", "My_Wallet", "0", &"x".repeat(64)] {
            assert_eq!(WalletName::parse(good).unwrap().as_str(), good);
        }
        let long = "x".repeat(65);
        for bad in ["", ".", "..", "a/b", "/etc", "a\\b", "a.new", "-x", "a b", "a\0", "ä", "a\u{202e}b", &long] {
            assert!(matches!(WalletName::parse(bad), Err(WalletNameError::Characters(_))), "{bad:?}");
        }
        assert_eq!(WalletName::parse("wallet"), Err(WalletNameError::OwnWallet));
        assert_eq!(WalletName::parse("WALLET"), Err(WalletNameError::OwnWallet));
        let shown = WalletName::parse("a\u{202e}\u{1b}[2J").unwrap_err().to_string();
        assert!(!shown.contains(['\u{202e}', '\u{1b}']), "{shown:?}");
    }
}

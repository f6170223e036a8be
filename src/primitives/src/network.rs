//! Which network a node belongs to.

use std::fmt;

/// Which network an address, a genesis or a preset belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Network {
    /// Money of value.
    Mainnet,
    /// Public rehearsal.
    Testnet,
    /// One machine, known keys.
    Devnet,
}

impl Network {
    /// The human-readable part of addresses.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Mainnet => "time",
            Self::Testnet => "ttime",
            Self::Devnet => "dtime",
        }
    }

    /// Lower-case name, as in configuration and RPC.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Testnet => "testnet",
            Self::Devnet => "devnet",
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Text is no network's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown network {0:?}: expected mainnet, testnet or devnet")]
pub struct NetworkError(String);

impl std::str::FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Mainnet, Self::Testnet, Self::Devnet]
            .into_iter()
            .find(|n| n.name() == text)
            .ok_or_else(|| NetworkError(text.chars().take(40).collect()))
    }
}

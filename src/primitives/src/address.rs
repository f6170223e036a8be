//! Addresses people type: bech32m (BIP 350) with a prefix per network.

use crate::hash::Hash;
use crate::transaction::{KeyHash, Lock};
use bech32::{Bech32m, Hrp};
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

/// A lock together with the network whose prefix shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// Where it is valid.
    pub network: Network,
    /// What it pays to.
    pub key_hash: KeyHash,
}

/// Version byte ahead of the key hash, so that other locks can have addresses later.
const VERSION_KEY_HASH: u8 = 0;

impl Address {
    /// The lock that pays this address.
    pub const fn lock(&self) -> Lock {
        Lock::KeyHash(self.key_hash)
    }

    /// Reads an address of any of our networks.
    ///
    /// # Errors
    /// [`AddressError`] says whether checksum, prefix, version or length is wrong.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let checked =
            bech32::primitives::decode::CheckedHrpstring::new::<Bech32m>(text).map_err(|_| AddressError::Checksum)?;
        let prefix = checked.hrp().to_lowercase();
        let network = [Network::Mainnet, Network::Testnet, Network::Devnet]
            .into_iter()
            .find(|n| n.prefix() == prefix)
            .ok_or(AddressError::Prefix(prefix))?;
        let bytes: Vec<u8> = checked.byte_iter().collect();
        match bytes.split_first() {
            Some((&VERSION_KEY_HASH, hash)) => match hash.try_into() {
                Ok(hash) => Ok(Self { network, key_hash: KeyHash(Hash(hash)) }),
                Err(_) => Err(AddressError::Length { bytes: hash.len() }),
            },
            Some((&version, _)) => Err(AddressError::Version(version)),
            None => Err(AddressError::Length { bytes: 0 }),
        }
    }

    /// Reads an address and insists on its network.
    ///
    /// # Errors
    /// As [`Address::parse`], and [`AddressError::Network`] for an address of another network.
    pub fn parse_for(text: &str, network: Network) -> Result<Self, AddressError> {
        let address = Self::parse(text)?;
        if address.network == network {
            Ok(address)
        } else {
            Err(AddressError::Network { found: address.network, expected: network })
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![VERSION_KEY_HASH];
        bytes.extend(self.key_hash.0.0);
        let prefix = Hrp::parse_unchecked(self.network.prefix());
        f.write_str(&bech32::encode::<Bech32m>(prefix, &bytes).map_err(|_| fmt::Error)?)
    }
}

/// The text is not an address we can pay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Mistyped, or not bech32m at all.
    #[error("not an address: the checksum does not match (mistyped?)")]
    Checksum,
    /// Another system's address.
    #[error("unknown address prefix {0:?}: expected time, ttime or dtime")]
    Prefix(String),
    /// A kind of lock this version does not know.
    #[error("address version {0} is not known to this version of the software")]
    Version(u8),
    /// Right checksum, wrong size.
    #[error("address holds {bytes} bytes, expected 32")]
    Length {
        /// How many there were.
        bytes: usize,
    },
    /// A good address of another network.
    #[error("address belongs to {found}, this node runs {expected}")]
    Network {
        /// The address's network.
        found: Network,
        /// Ours.
        expected: Network,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SecretKey;

    #[test]
    fn text_both_ways_and_its_errors() {
        let key_hash = KeyHash::of(&SecretKey::development("wallet", 1).public());
        for network in [Network::Mainnet, Network::Testnet, Network::Devnet] {
            let address = Address { network, key_hash };
            let text = address.to_string();
            assert!(text.starts_with(&format!("{}1", network.prefix())), "{text}");
            assert_eq!(Address::parse(&text), Ok(address));
            assert_eq!(Address::parse(&text.to_uppercase()), Ok(address));
        }
        let text = Address { network: Network::Mainnet, key_hash }.to_string();
        let typo = text.replacen('q', "p", 1);
        assert_eq!(Address::parse(&typo), Err(AddressError::Checksum));
        assert!(matches!(Address::parse_for(&text, Network::Devnet), Err(AddressError::Network { .. })));
        let other = bech32::encode::<Bech32m>(Hrp::parse_unchecked("bc"), &[0; 33]).unwrap();
        assert_eq!(Address::parse(&other), Err(AddressError::Prefix("bc".into())));
        let version = bech32::encode::<Bech32m>(Hrp::parse_unchecked("time"), &[9; 33]).unwrap();
        assert_eq!(Address::parse(&version), Err(AddressError::Version(9)));
        let short = bech32::encode::<Bech32m>(Hrp::parse_unchecked("time"), &[0; 5]).unwrap();
        assert_eq!(Address::parse(&short), Err(AddressError::Length { bytes: 4 }));
    }
}

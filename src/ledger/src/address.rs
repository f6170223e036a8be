//! Addresses people type: bech32m (BIP 350) with a prefix per network.

use crate::lock::{KeyHash, Lock};
use bech32::primitives::decode::{CharError, CheckedHrpstring, CheckedHrpstringError, UncheckedHrpstringError};
use bech32::{Bech32, Bech32m, Hrp};
use std::fmt;
use timed_primitives::{Hash, Network};

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

    /// Reads an address of any of our networks, by all rules of BIP 350. An address has one text, in small letters or in capitals: what
    /// decodes to the same bytes by other padding is refused, so that a text can stand for its address.
    ///
    /// # Errors
    /// [`AddressError`] says whether form, checksum, prefix, version, length or padding is wrong.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let checked = CheckedHrpstring::new::<Bech32m>(text).map_err(|error| AddressError::of(&error, text))?;
        let prefix = checked.hrp().to_lowercase();
        let network = [Network::Mainnet, Network::Testnet, Network::Devnet]
            .into_iter()
            .find(|n| n.prefix() == prefix)
            .ok_or(AddressError::Prefix(prefix))?;
        let bytes: Vec<u8> = checked.byte_iter().collect();
        match bytes.split_first() {
            Some((&VERSION_KEY_HASH, hash)) => match hash.try_into() {
                Ok(hash) => {
                    let address = Self { network, key_hash: KeyHash(Hash(hash)) };
                    if address.to_string().eq_ignore_ascii_case(text) {
                        Ok(address)
                    } else {
                        Err(AddressError::Padding)
                    }
                }
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
    /// Mistyped.
    #[error("not an address: the checksum does not match (mistyped?)")]
    Checksum,
    /// The checksum of bech32 (BIP 173), which ours are not.
    #[error("not an address: its checksum is that of bech32, expected bech32m")]
    OldChecksum,
    /// No separator, or nothing behind it, or a prefix of wrong characters.
    #[error("not an address: expected one such as time1...")]
    Form,
    /// Not a character of bech32.
    #[error("not an address: it has the character {0:?}")]
    Character(char),
    /// Small letters and capitals.
    #[error("not an address: it mixes small letters and capitals")]
    MixedCase,
    /// Another text of an address.
    #[error("not an address: its padding is wrong (mistyped?)")]
    Padding,
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

impl AddressError {
    /// What is wrong with a text that is not bech32m.
    fn of(error: &CheckedHrpstringError, text: &str) -> Self {
        match error {
            CheckedHrpstringError::Parse(UncheckedHrpstringError::Char(CharError::MixedCase)) => Self::MixedCase,
            CheckedHrpstringError::Parse(UncheckedHrpstringError::Char(CharError::InvalidChar(c))) => {
                Self::Character(*c)
            }
            CheckedHrpstringError::Parse(_) => Self::Form,
            CheckedHrpstringError::Checksum(_) if CheckedHrpstring::new::<Bech32>(text).is_ok() => Self::OldChecksum,
            _ => Self::Checksum,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_primitives::SecretKey;

    #[test]
    fn an_address_has_one_text() {
        const GOOD: &str = "dtime1qrh05rx8ae8us96vej4z5hd27ek4g6a3gslg7x5lef0apv9w3qwzyef8uhl";
        let address = Address::parse(GOOD).unwrap();
        assert_eq!(address.to_string(), GOOD);
        // One bit of padding set; a symbol of padding too many, of zeros and of others.
        for data in ["9ylnf2d", "yq34x5gy", "ylmeasz0"] {
            let text = format!("dtime1qrh05rx8ae8us96vej4z5hd27ek4g6a3gslg7x5lef0apv9w3qwz{data}");
            assert_eq!(Address::parse(&text), Err(AddressError::Padding), "{text}");
            assert_eq!(Address::parse(&text.to_uppercase()), Err(AddressError::Padding), "{text}");
        }
    }

    #[test]
    fn bip_350_rules() {
        let check = |text: &str, expected: AddressError| assert_eq!(Address::parse(text), Err(expected), "{text}");
        // Invalid bech32m of BIP 350.
        check("\u{20}1xj0phk", AddressError::Form);
        check("\u{7f}1g6xzxy", AddressError::Form);
        check("\u{80}1vctc34", AddressError::Form);
        check("qyrz8wqd2c9m", AddressError::Form);
        check("1qyrz8wqd2c9m", AddressError::Form);
        check("y1b0jsk6g", AddressError::Character('b'));
        check("lt1igcx5c0", AddressError::Character('i'));
        check("in1muywd", AddressError::Checksum);
        check("mm1crxm3i", AddressError::Character('i'));
        check("au1s5cgom", AddressError::Character('o'));
        check("M1VUXWEZ", AddressError::Checksum);
        check("16plkw9", AddressError::Form);
        check("1p2gdwpf", AddressError::Form);
        // Valid bech32m of BIP 350, which is no address of ours.
        for (text, prefix) in
            [("A1LQFN3A", "a"), ("abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx", "abcdef"), ("?1v759aa", "?")]
        {
            check(text, AddressError::Prefix(prefix.into()));
        }
        let key_hash = KeyHash::of(&SecretKey::development("wallet", 1).public());
        let good = Address { network: Network::Devnet, key_hash }.to_string();
        check(&good.replacen('d', "D", 1), AddressError::MixedCase);
        let data: Vec<u8> = [VERSION_KEY_HASH].into_iter().chain(key_hash.0.0).collect();
        let old = bech32::encode::<Bech32>(Hrp::parse_unchecked("dtime"), &data).unwrap();
        check(&old, AddressError::OldChecksum);
        let long = bech32::encode::<Bech32m>(Hrp::parse_unchecked("dtime"), &[0; 34]).unwrap();
        check(&long, AddressError::Length { bytes: 33 });
        let huge = bech32::encode::<Bech32m>(Hrp::parse_unchecked("dtime"), &[0; 500]).unwrap();
        check(&huge, AddressError::Length { bytes: 499 });
        check(&format!("{good} "), AddressError::Character(' '));
        check(&format!(" {good}"), AddressError::Form);
        check("", AddressError::Form);
    }

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

//! Keys from a phrase: SLIP-10 for ed25519, where every step of a path is a hardened one.
//!
//! ```text
//! m / 44' / coin' / 0' / 0' / n'     address n to receive money
//! m / 44' / coin' / 0' / 1' / n'     address n for change
//! ```
//!
//! BIP 44 has these five steps, with hardened ones in the first three places only; ed25519 knows no others. No public key derives another one, so
//! whoever is to know the next addresses needs the phrase, or was given a list of them.

use crate::phrase::Phrase;
use hmac::{Hmac, Mac};
use sha2::Sha512;
use std::fmt;
use timed_ledger::KeyHash;
use timed_primitives::{Network, SecretKey};
use zeroize::Zeroizing;

/// Key of the hash that the first step is made by (SLIP-10, "master key generation").
const MASTER: &[u8] = b"ed25519 seed";
/// Added to the number of a hardened step (BIP 32).
const HARDENED: u32 = 1 << 31;
/// The purpose of BIP 44.
const PURPOSE: u32 = 44;
/// The number of coins of all test networks (SLIP-44).
const TEST_COIN: u32 = 1;
/// The number of this coin: "TIME" in ASCII. It is not registered in SLIP-44 and far from the numbers given out there.
const COIN: u32 = u32::from_be_bytes(*b"TIME");
/// The only account.
const ACCOUNT: u32 = 0;

/// What the addresses of a branch are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Branch {
    /// Given to those who pay.
    Receive,
    /// Where what is left of a payment comes back to.
    Change,
}

impl Branch {
    /// Its step in the path.
    const fn number(self) -> u32 {
        match self {
            Self::Receive => 0,
            Self::Change => 1,
        }
    }
}

/// A key and what its children are derived with.
struct ExtendedKey {
    key: Zeroizing<[u8; 32]>,
    chain_code: Zeroizing<[u8; 32]>,
}

impl ExtendedKey {
    fn master(seed: &[u8]) -> Self {
        Self::hashed(MASTER, &[seed])
    }

    /// The child behind a hardened step: `number` is without the mark of one.
    fn child(&self, number: u32) -> Self {
        Self::hashed(&*self.chain_code, &[&[0], &*self.key, &(number | HARDENED).to_be_bytes()])
    }

    fn hashed(key: &[u8], parts: &[&[u8]]) -> Self {
        let mut mac = Hmac::<Sha512>::new_from_slice(key).expect("HMAC takes keys of any length");
        for part in parts {
            mac.update(part);
        }
        let mut hash = mac.finalize().into_bytes();
        let (mut key, mut chain_code) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
        let (left, right) = hash.split_at(32);
        key.copy_from_slice(left);
        chain_code.copy_from_slice(right);
        zeroize::Zeroize::zeroize(&mut hash[..]);
        Self { key, chain_code }
    }
}

/// The keys of a wallet, as far as its two branches: every address is one step from here. Wiped from memory when dropped.
pub struct WalletKeys {
    receive: ExtendedKey,
    change: ExtendedKey,
}

impl WalletKeys {
    /// Those of a phrase, on a network. Takes some milliseconds: BIP 39 makes guessing slow.
    pub fn of(phrase: &Phrase, network: Network) -> Self {
        let coin = if network == Network::Mainnet { COIN } else { TEST_COIN };
        let master = ExtendedKey::master(phrase.seed("").as_slice());
        let account = master.child(PURPOSE).child(coin).child(ACCOUNT);
        let branch = |branch: Branch| account.child(branch.number());
        Self { receive: branch(Branch::Receive), change: branch(Branch::Change) }
    }

    /// The key of an address.
    pub(crate) fn key(&self, branch: Branch, number: u32) -> SecretKey {
        let parent = match branch {
            Branch::Receive => &self.receive,
            Branch::Change => &self.change,
        };
        SecretKey::from_seed(*parent.child(number).key)
    }

    /// What outputs to that address are locked to.
    pub(crate) fn key_hash(&self, branch: Branch, number: u32) -> KeyHash {
        KeyHash::of(&self.key(branch, number).public())
    }
}

impl fmt::Debug for WalletKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WalletKeys(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seed, then for each step of the path: its number, the private key, the chain code (SLIP-10, test vectors for ed25519).
    type Vector = (&'static str, &'static [(u32, &'static str, &'static str)]);

    const VECTORS: [Vector; 2] = [
        (
            "000102030405060708090a0b0c0d0e0f",
            &[
                (
                    0,
                    "68e0fe46dfb67e368c75379acec591dad19df3cde26e63b93a8e704f1dade7a3",
                    "8b59aa11380b624e81507a27fedda59fea6d0b779a778918a2fd3590e16e9c69",
                ),
                (
                    1,
                    "b1d0bad404bf35da785a64ca1ac54b2617211d2777696fbffaf208f746ae84f2",
                    "a320425f77d1b5c2505a6b1b27382b37368ee640e3557c315416801243552f14",
                ),
                (
                    2,
                    "92a5b23c0b8a99e37d07df3fb9966917f5d06e02ddbd909c7e184371463e9fc9",
                    "2e69929e00b5ab250f49c3fb1c12f252de4fed2c1db88387094a0f8c4c9ccd6c",
                ),
                (
                    2,
                    "30d1dc7e5fc04c31219ab25a27ae00b50f6fd66622f6e9c913253d6511d1e662",
                    "8f6d87f93d750e0efccda017d662a1b31a266e4a6f5993b15f5c1f07f74dd5cc",
                ),
                (
                    1_000_000_000,
                    "8f94d394a8e8fd6b1bc2f3f49f5c47e385281d5c17e65324b0f62483e37e8793",
                    "68789923a0cac2cd5a29172a475fe9e0fb14cd6adb5ad98a3fa70333e7afa230",
                ),
            ],
        ),
        (
            "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a29f9c999693908d8a8784817e7b7875726f6c696663605d5a5754514e4b484542",
            &[
                (
                    0,
                    "1559eb2bbec5790b0c65d8693e4d0875b1747f4970ae8b650486ed7470845635",
                    "0b78a3226f915c082bf118f83618a618ab6dec793752624cbeb622acb562862d",
                ),
                (
                    2_147_483_647,
                    "ea4f5bfe8694d8bb74b7b59404632fd5968b774ed545e810de9c32a4fb4192f4",
                    "138f0b2551bcafeca6ff2aa88ba8ed0ed8de070841f0c4ef0165df8181eaad7f",
                ),
                (
                    1,
                    "3757c7577170179c7868353ada796c839135b3d30554bbb74a4b1e4a5a58505c",
                    "73bd9fff1cfbde33a1b846c27085f711c0fe2d66fd32e139d3ebc28e5a4a6b90",
                ),
                (
                    2_147_483_646,
                    "5837736c89570de861ebc173b1086da4f505d4adb387c6a1b1342d5e4ac9ec72",
                    "0902fe8a29f9140480a00ef244bd183e8a13288e4412d8389d140aac1794825a",
                ),
                (
                    2,
                    "551d333177df541ad876a60ea71f00447931c0a9da16f227c11ea080d7391b8d",
                    "5d70af781f3a37b829f0d060924d5e960bdc02e85423494afc0b1a41bbe196d4",
                ),
            ],
        ),
    ];

    #[test]
    fn the_vectors_of_slip_10() {
        for (seed, steps) in VECTORS {
            let mut key = ExtendedKey::master(&hex::decode(seed).unwrap());
            for (number, secret, chain_code) in steps {
                key = key.child(*number);
                assert_eq!(
                    (hex::encode(*key.key), hex::encode(*key.chain_code)),
                    ((*secret).into(), (*chain_code).into())
                );
            }
        }
        let master = ExtendedKey::master(&hex::decode(VECTORS[0].0).unwrap());
        assert_eq!(hex::encode(*master.key), "2b4be7f19ee27bbf30c667b642d5f4aa69fd169872f8fc3059c08ebae2eb19e7");
        let public = SecretKey::from_seed(*master.child(0).key).public().to_string();
        assert_eq!(public, "8c8a13df77a28f3445213a0f432fde644acaa215fc72dcdf300d5efaa85d350c");
    }

    #[test]
    fn branches_and_networks_have_keys_of_their_own() {
        let phrase = Phrase::from_entropy([0; 32]);
        let of = |network| {
            let keys = WalletKeys::of(&phrase, network);
            [Branch::Receive, Branch::Change].map(|branch| keys.key_hash(branch, 0))
        };
        let (main, test) = (of(Network::Mainnet), of(Network::Testnet));
        assert_eq!(test, of(Network::Devnet), "SLIP-44 has one number for all test networks");
        assert!(main[0] != main[1] && !main.contains(&test[0]) && !main.contains(&test[1]));
        // The documented path, step by step.
        let by_hand =
            [44, 1, 0, 1, 5].iter().fold(ExtendedKey::master(phrase.seed("").as_slice()), |key, n| key.child(*n));
        let keys = WalletKeys::of(&phrase, Network::Devnet);
        assert_eq!(keys.key(Branch::Change, 5).seed(), *by_hand.key);
        assert_eq!(format!("{keys:?}"), "WalletKeys(secret)");
    }
}

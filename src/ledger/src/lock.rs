//! Who may spend an output, and from when on.
//!
//! An output holds the hash of a key, or of a set of keys with the number that must sign; who spends it shows the key or the set. So all outputs
//! are about as large, and a set is seen by others when it is used first.

use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;
use std::io;
use timed_primitives::{Domain, Hash, Height, PublicKey, encode, hash_newtype};

/// Most keys of a [`KeySet`].
pub const KEY_SET_MAX: usize = 16;

hash_newtype! {
    /// Hash of a public key, or of a [`KeySet`], to which an output can be locked. The domains differ, so that neither is ever the other.
    KeyHash
}

impl KeyHash {
    /// The hash that locks outputs to `key`.
    pub fn of(key: &PublicKey) -> Self {
        Self(Hash::of(Domain::KeyHash, &key.0))
    }
}

/// Keys of which so many must sign: 1 ≤ threshold ≤ number of keys ≤ 16, the keys distinct and in ascending order, so that a set has one encoding
/// and one hash.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize)]
pub struct KeySet {
    threshold: u8,
    keys: Vec<PublicKey>,
}

/// The keys are no set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// None, or too many.
    #[error("a set of keys has 1 to {KEY_SET_MAX} keys, not {0}")]
    Number(usize),
    /// Nobody would have to sign, or more than there are.
    #[error("of {keys} keys 1 to {keys} can be demanded, not {threshold}")]
    Threshold {
        /// How many are demanded.
        threshold: u8,
        /// How many there are.
        keys: usize,
    },
    /// Twice the same, or not in order.
    #[error("key {0} does not come after the one before it: the keys of a set ascend, each once")]
    Order(PublicKey),
}

impl KeySet {
    /// So many of these keys.
    ///
    /// # Errors
    /// [`KeySetError`] names the first rule that is broken.
    pub fn new(threshold: u8, keys: Vec<PublicKey>) -> Result<Self, KeySetError> {
        if keys.is_empty() || keys.len() > KEY_SET_MAX {
            return Err(KeySetError::Number(keys.len()));
        }
        if threshold == 0 || usize::from(threshold) > keys.len() {
            return Err(KeySetError::Threshold { threshold, keys: keys.len() });
        }
        let pairs = keys.iter().zip(keys.iter().skip(1));
        if let Some((_, late)) = pairs.into_iter().find(|(before, after)| before >= after) {
            return Err(KeySetError::Order(*late));
        }
        Ok(Self { threshold, keys })
    }

    /// How many must sign.
    pub const fn threshold(&self) -> u8 {
        self.threshold
    }

    /// All keys, ascending.
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// The hash that locks outputs to the set.
    pub fn hash(&self) -> KeyHash {
        KeyHash(Hash::of(Domain::KeySet, &encode(self)))
    }
}

/// Refuses what is no set, before more than 16 keys are read.
impl BorshDeserialize for KeySet {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let (threshold, count) = (u8::deserialize_reader(reader)?, u32::deserialize_reader(reader)?);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let refused = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        if count > KEY_SET_MAX {
            return Err(refused(KeySetError::Number(count)));
        }
        let keys = (0..count).map(|_| PublicKey::deserialize_reader(reader)).collect::<io::Result<_>>()?;
        Self::new(threshold, keys).map_err(refused)
    }
}

/// Who may spend an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub enum LockOwner {
    /// 0: who has the key with this hash.
    KeyHash(KeyHash),
    /// 1: enough of the keys of the set with this hash.
    KeySet(KeyHash),
}

/// Condition for spending an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub enum Lock {
    /// 0: a signature by the key with this hash. The only lock with an address.
    KeyHash(KeyHash),
    /// 1: signatures by as many keys as the [`KeySet`] with this hash demands.
    KeySet(KeyHash),
    /// 2: one of these, in a block of this height or a higher one.
    NotBefore {
        /// The lowest height of a block that may spend it. Unit: blocks.
        height: Height,
        /// Who may then.
        owner: LockOwner,
    },
}

impl LockOwner {
    /// The lock of an output that it may spend at any height.
    pub const fn lock(self) -> Lock {
        match self {
            Self::KeyHash(hash) => Lock::KeyHash(hash),
            Self::KeySet(hash) => Lock::KeySet(hash),
        }
    }
}

impl Lock {
    /// Who may spend it, whenever.
    pub const fn owner(&self) -> LockOwner {
        match *self {
            Self::KeyHash(hash) => LockOwner::KeyHash(hash),
            Self::KeySet(hash) => LockOwner::KeySet(hash),
            Self::NotBefore { owner, .. } => owner,
        }
    }

    /// By which it is found: the hash of the key or of the set.
    pub const fn owner_hash(&self) -> KeyHash {
        match self.owner() {
            LockOwner::KeyHash(hash) | LockOwner::KeySet(hash) => hash,
        }
    }

    /// The key's hash when one signature by it is all that is needed.
    pub const fn key_hash(&self) -> Option<KeyHash> {
        match *self {
            Self::KeyHash(hash) => Some(hash),
            Self::KeySet(_) | Self::NotBefore { .. } => None,
        }
    }

    /// The lowest height of a block that may spend it; 0 for any.
    pub const fn not_before(&self) -> Height {
        match *self {
            Self::KeyHash(_) | Self::KeySet(_) => Height::GENESIS,
            Self::NotBefore { height, .. } => height,
        }
    }
}

/// As clients see it, in the manner of a script: `OP_KEYHASH`, `OP_KEYSET`, or a height and `OP_NOTBEFORE` ahead of one of them.
impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::NotBefore { height, .. } = self {
            write!(f, "{height} OP_NOTBEFORE ")?;
        }
        match self.owner() {
            LockOwner::KeyHash(hash) => write!(f, "OP_KEYHASH {hash}"),
            LockOwner::KeySet(hash) => write!(f, "OP_KEYSET {hash}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_primitives::decode;

    fn keys(count: u8) -> Vec<PublicKey> {
        (1..=count).map(|n| PublicKey([n; 32])).collect()
    }

    #[test]
    fn a_set_is_what_its_bounds_and_its_order_say() {
        use KeySetError as E;
        for count in 1..=16 {
            for threshold in 1..=count {
                let set = KeySet::new(threshold, keys(count)).unwrap();
                assert_eq!(decode::<KeySet>(&encode(&set)).unwrap(), set);
            }
            let number = usize::from(count);
            for threshold in [0, count + 1, u8::MAX] {
                assert_eq!(KeySet::new(threshold, keys(count)), Err(E::Threshold { threshold, keys: number }));
            }
        }
        assert_eq!(KeySet::new(1, keys(0)), Err(E::Number(0)));
        assert_eq!(KeySet::new(1, keys(17)), Err(E::Number(17)));
        let of = |order: [u8; 3]| KeySet::new(2, order.map(|n| PublicKey([n; 32])).to_vec());
        assert_eq!(of([1, 3, 2]), Err(E::Order(PublicKey([2; 32]))));
        assert_eq!(of([1, 1, 2]), Err(E::Order(PublicKey([1; 32]))));
    }

    #[test]
    fn bytes_that_are_no_set_are_refused_by_the_rule_they_break() {
        let refused = |threshold: u8, keys: Vec<PublicKey>| {
            decode::<KeySet>(&encode(&(threshold, keys))).unwrap_err().to_string()
        };
        assert!(refused(1, keys(0)).contains("1 to 16 keys, not 0"));
        assert!(refused(1, keys(17)).contains("1 to 16 keys, not 17"));
        assert!(refused(0, keys(3)).contains("can be demanded, not 0"));
        assert!(refused(4, keys(3)).contains("can be demanded, not 4"));
        assert!(refused(1, vec![PublicKey([2; 32]), PublicKey([1; 32])]).contains("ascend"));
        let endless = [&[1][..], &u32::MAX.to_le_bytes()].concat();
        assert!(decode::<KeySet>(&endless).unwrap_err().to_string().contains("not 4294967295"));
    }

    #[test]
    fn no_set_is_locked_like_a_key_or_another_set() {
        let one = keys(1);
        let set = |threshold, count| KeySet::new(threshold, keys(count)).unwrap().hash();
        let mut all = vec![KeyHash::of(&one[0]), set(1, 1), set(1, 2), set(2, 2), set(2, 3), set(3, 3)];
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 6);
    }
}

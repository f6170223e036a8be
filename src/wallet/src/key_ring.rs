//! The keys of a wallet, wherever they come from.

use crate::addresses::{ADDRESSES_AHEAD, BRANCH_ADDRESSES_MAX, DerivedAddresses};
use crate::derive::{Branch, WalletKeys};
use std::collections::BTreeMap;
use timed_ledger::KeyHash;
use timed_primitives::SecretKey;

/// Context of key derivation (BLAKE3 paper, section 2.3).
const DERIVATION: &str = "timed v1 development wallet key";

/// Most keys of one wallet. Each lookup of coins costs the node one search per key.
pub const KEYS_MAX: u32 = 10_000;

/// The wallet cannot do this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalletError {
    /// It has as many keys as it can have.
    #[error("the wallet has {KEYS_MAX} addresses, the most it can have: use one again")]
    TooManyKeys,
    /// Its keys are not at hand.
    #[error("the wallet is locked: its passphrase is needed first")]
    Locked,
    /// It is locked and all addresses that it knows are handed out.
    #[error("the wallet is locked and knows no further address: with its passphrase it derives more")]
    NoAddress,
    /// What is kept of its addresses belongs to another phrase.
    #[error("the addresses that are kept of the wallet are not of its keys: somebody changed their file")]
    OtherKeys,
    /// It has no phrase.
    #[error("the wallet is the development wallet, whose key is a file that is not encrypted")]
    AlwaysOpen,
}

/// Whether a wallet can sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Always: its key is a file that is not encrypted.
    Plain,
    /// When its passphrase is given.
    Locked,
    /// Now, until it is locked.
    Open,
}

/// What the keys of a phrase are at hand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUse {
    /// Its owner gave the passphrase, to sign.
    Sign,
    /// The chain is looked through for what it had, which needs further addresses. Nothing is signed meanwhile.
    Derive,
}

/// Either kind.
pub(crate) enum KeyRing {
    Development(DevelopmentKeys),
    Derived(DerivedKeys),
}

/// Key 0 is the one it was made from, key n is derived from that one's seed by BLAKE3.
pub(crate) struct DevelopmentKeys {
    keys: Vec<SecretKey>,
    index_of: BTreeMap<KeyHash, usize>,
}

/// Of a phrase.
pub(crate) struct DerivedKeys {
    addresses: DerivedAddresses,
    /// Of those that are known.
    places: BTreeMap<KeyHash, (Branch, u32)>,
    /// While there is a use for them.
    keys: Option<WalletKeys>,
    signs: bool,
    derives: bool,
    /// So many addresses are derived ahead of those handed out.
    ahead: u32,
}

impl KeyRing {
    pub(crate) fn development(key: SecretKey) -> Self {
        let index_of = BTreeMap::from([(KeyHash::of(&key.public()), 0)]);
        Self::Development(DevelopmentKeys { keys: vec![key], index_of })
    }

    pub(crate) fn derived(addresses: DerivedAddresses) -> Self {
        let places = addresses.places();
        Self::Derived(DerivedKeys {
            addresses,
            places,
            keys: None,
            signs: false,
            derives: false,
            ahead: ADDRESSES_AHEAD,
        })
    }

    pub(crate) const fn state(&self) -> KeyState {
        match self {
            Self::Development(_) => KeyState::Plain,
            Self::Derived(DerivedKeys { signs: true, .. }) => KeyState::Open,
            Self::Derived(DerivedKeys { signs: false, .. }) => KeyState::Locked,
        }
    }

    pub(crate) fn owns(&self, owner: &KeyHash) -> bool {
        match self {
            Self::Development(ring) => ring.index_of.contains_key(owner),
            Self::Derived(ring) => ring.places.contains_key(owner),
        }
    }

    pub(crate) fn is_change(&self, owner: &KeyHash) -> bool {
        matches!(self, Self::Derived(ring) if matches!(ring.places.get(owner), Some((Branch::Change, _))))
    }

    /// All to look for coins by.
    pub(crate) fn all(&self) -> Vec<KeyHash> {
        match self {
            Self::Development(ring) => ring.index_of.keys().copied().collect(),
            Self::Derived(ring) => ring.places.keys().copied().collect(),
        }
    }

    /// Those that were given to people, in order.
    pub(crate) fn handed_out(&self) -> Vec<KeyHash> {
        match self {
            Self::Development(ring) => ring.keys.iter().map(|key| KeyHash::of(&key.public())).collect(),
            Self::Derived(ring) => {
                let count = usize::try_from(ring.addresses.receive.handed_out).unwrap_or(usize::MAX);
                ring.addresses.receive.known.iter().take(count).copied().collect()
            }
        }
    }

    /// The key of one of ours; `None` for a foreign one.
    pub(crate) fn key(&self, owner: &KeyHash) -> Result<Option<SecretKey>, WalletError> {
        match self {
            Self::Development(ring) => Ok(ring.index_of.get(owner).and_then(|index| ring.keys.get(*index)).cloned()),
            Self::Derived(ring) => match (ring.places.get(owner), &ring.keys) {
                (None, _) => Ok(None),
                (Some((branch, number)), Some(keys)) if ring.signs => Ok(Some(keys.key(*branch, *number))),
                (Some(_), _) => Err(WalletError::Locked),
            },
        }
    }

    /// Hands out the next address to receive money.
    pub(crate) fn next(&mut self) -> Result<KeyHash, WalletError> {
        match self {
            Self::Development(ring) => ring.next(),
            Self::Derived(ring) => ring.hand_out(Branch::Receive),
        }
    }

    /// Hands out the next address for change that somebody asks for himself.
    pub(crate) fn next_change(&mut self) -> Result<KeyHash, WalletError> {
        match self {
            Self::Development(ring) => ring.next(),
            Self::Derived(ring) => ring.hand_out(Branch::Change),
        }
    }

    /// Where change goes: the first address of a development wallet, a fresh one else. Where there can be no fresh one, the last again.
    pub(crate) fn change(&self) -> Result<KeyHash, WalletError> {
        match self {
            Self::Development(ring) => Ok(KeyHash::of(&ring.first().public())),
            Self::Derived(ring) => {
                let change = &ring.addresses.change;
                let next = usize::try_from(change.handed_out).unwrap_or(usize::MAX);
                let found = change.known.get(next).or(change.known.last());
                found.copied().ok_or(WalletError::NoAddress)
            }
        }
    }

    /// Somebody has this address: the next one comes after it. Whether that is news.
    pub(crate) fn mark_used(&mut self, owner: &KeyHash) -> bool {
        let Self::Derived(ring) = self else { return false };
        let Some((branch, number)) = ring.places.get(owner).copied() else { return false };
        let addresses = ring.addresses.branch_mut(branch);
        let is_news = number >= addresses.handed_out;
        if is_news {
            addresses.handed_out = number + 1;
            ring.derive_ahead(0);
        }
        is_news
    }

    /// The payment whose change was to go here was not made: the address is the next one again, unless a later one was handed out since.
    pub(crate) fn give_back_change(&mut self, owner: &KeyHash) {
        let Self::Derived(ring) = self else { return };
        if let Some((Branch::Change, number)) = ring.places.get(owner).copied()
            && ring.addresses.change.handed_out == number + 1
        {
            ring.addresses.change.handed_out = number;
        }
    }

    pub(crate) const fn derived_ring(&self) -> Option<&DerivedKeys> {
        match self {
            Self::Development(_) => None,
            Self::Derived(ring) => Some(ring),
        }
    }

    pub(crate) const fn derived_ring_mut(&mut self) -> Option<&mut DerivedKeys> {
        match self {
            Self::Development(_) => None,
            Self::Derived(ring) => Some(ring),
        }
    }
}

impl DevelopmentKeys {
    fn first(&self) -> &SecretKey {
        self.keys.first().expect("made with one key, and keys are only added")
    }

    fn next(&mut self) -> Result<KeyHash, WalletError> {
        let number = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        if number >= KEYS_MAX {
            return Err(WalletError::TooManyKeys);
        }
        let mut hasher = blake3::Hasher::new_derive_key(DERIVATION);
        hasher.update(&self.first().seed()).update(&number.to_be_bytes());
        let key = SecretKey::from_seed(hasher.finalize().into());
        let key_hash = KeyHash::of(&key.public());
        self.index_of.insert(key_hash, self.keys.len());
        self.keys.push(key);
        Ok(key_hash)
    }
}

impl DerivedKeys {
    pub(crate) const fn addresses(&self) -> &DerivedAddresses {
        &self.addresses
    }

    fn hand_out(&mut self, branch: Branch) -> Result<KeyHash, WalletError> {
        let addresses = self.addresses.branch_mut(branch);
        let next = usize::try_from(addresses.handed_out).unwrap_or(usize::MAX);
        let Some(found) = addresses.known.get(next).copied() else {
            return Err(match addresses.handed_out >= BRANCH_ADDRESSES_MAX {
                true => WalletError::TooManyKeys,
                false => WalletError::NoAddress,
            });
        };
        addresses.handed_out += 1;
        self.derive_ahead(0);
        Ok(found)
    }

    /// Brings the keys; the addresses that were known must be of these. Whether more are known now.
    pub(crate) fn open(&mut self, keys: WalletKeys, to: KeyUse) -> Result<bool, WalletError> {
        if !self.addresses.are_of(&keys) {
            return Err(WalletError::OtherKeys);
        }
        self.keys = Some(keys);
        *self.is_used(to) = true;
        Ok(self.derive_ahead(0))
    }

    /// Ends a use; with the last one the keys are forgotten.
    pub(crate) fn close(&mut self, of: KeyUse) {
        *self.is_used(of) = false;
        if !self.signs && !self.derives {
            self.keys = None;
        }
    }

    const fn is_used(&mut self, to: KeyUse) -> &mut bool {
        match to {
            KeyUse::Sign => &mut self.signs,
            KeyUse::Derive => &mut self.derives,
        }
    }

    pub(crate) const fn has_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// As many ahead as this from now on, or as before if that is more, as far as the keys are at hand. Whether more are known now.
    pub(crate) fn derive_ahead(&mut self, ahead: u32) -> bool {
        self.ahead = self.ahead.max(ahead.min(BRANCH_ADDRESSES_MAX));
        let (Some(keys), ahead) = (&self.keys, self.ahead) else { return false };
        let before = [&self.addresses.receive, &self.addresses.change].map(|branch| branch.known.len());
        let has_more = self.addresses.derive_ahead(keys, ahead);
        for (branch, known) in [Branch::Receive, Branch::Change].into_iter().zip(before) {
            let new = (0u32..).zip(&self.addresses.branch(branch).known).skip(known);
            self.places.extend(new.map(|(number, owner)| (*owner, (branch, number))));
        }
        has_more
    }
}

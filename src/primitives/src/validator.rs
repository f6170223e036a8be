//! Who votes, with which weight.

use crate::hash::{Domain, Hash};
use crate::keys::PublicKey;
use borsh::{BorshDeserialize, BorshSerialize};
use std::sync::Arc;

/// A voter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Validator {
    /// Consensus key.
    pub key: PublicKey,
    /// Voting power; more than 0.
    pub power: u64,
}

/// The validators of one height: sorted by key, unique, each with power. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatorSet {
    validators: Arc<[Validator]>,
    total: u64,
}

/// The validators cannot form a set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValidatorSetError {
    /// Nobody would vote.
    #[error("a validator set needs at least one validator with voting power")]
    Empty,
    /// The same key twice.
    #[error("validator {0} is listed twice")]
    Duplicate(PublicKey),
    /// A validator without power.
    #[error("validator {0} has no voting power")]
    NoPower(PublicKey),
    /// Three times the total must fit 64 bits.
    #[error("the total voting power is too large")]
    TooMuchPower,
}

impl ValidatorSet {
    /// Sorts and checks.
    ///
    /// # Errors
    /// [`ValidatorSetError`] names what is wrong. The total is bounded by `u64::MAX / 3`, so that thirds can be computed.
    pub fn new(mut validators: Vec<Validator>) -> Result<Self, ValidatorSetError> {
        if validators.is_empty() {
            return Err(ValidatorSetError::Empty);
        }
        validators.sort_by_key(|v| v.key);
        let mut total = 0u64;
        for (i, v) in validators.iter().enumerate() {
            if v.power == 0 {
                return Err(ValidatorSetError::NoPower(v.key));
            }
            if i > 0 && validators[i - 1].key == v.key {
                return Err(ValidatorSetError::Duplicate(v.key));
            }
            total = total.checked_add(v.power).ok_or(ValidatorSetError::TooMuchPower)?;
        }
        if total > u64::MAX / 3 {
            return Err(ValidatorSetError::TooMuchPower);
        }
        Ok(Self { validators: validators.into(), total })
    }

    /// All, sorted by key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Validator> {
        self.validators.iter()
    }

    /// As a slice, sorted by key.
    pub fn as_slice(&self) -> &[Validator] {
        &self.validators
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.validators.len()
    }

    /// Never true: a set has at least one validator.
    pub fn is_empty(&self) -> bool {
        self.validators.is_empty()
    }

    /// Sum of all voting power.
    pub fn total_power(&self) -> u64 {
        self.total
    }

    /// Position of a key, also its bit in bitmaps of votes held.
    pub fn index_of(&self, key: &PublicKey) -> Option<usize> {
        self.validators.binary_search_by_key(key, |v| v.key).ok()
    }

    /// The validator with this key.
    pub fn get(&self, key: &PublicKey) -> Option<&Validator> {
        self.index_of(key).map(|i| &self.validators[i])
    }

    /// Hash for headers.
    pub fn hash(&self) -> Hash {
        Hash::of(Domain::ValidatorSet, &crate::encode(&self.validators.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_set() {
        let v = |k: u8, power| Validator { key: PublicKey([k; 32]), power };
        assert_eq!(ValidatorSet::new(vec![]), Err(ValidatorSetError::Empty));
        assert_eq!(ValidatorSet::new(vec![v(1, 0)]), Err(ValidatorSetError::NoPower(PublicKey([1; 32]))));
        assert_eq!(ValidatorSet::new(vec![v(1, 1), v(1, 2)]), Err(ValidatorSetError::Duplicate(PublicKey([1; 32]))));
        assert_eq!(ValidatorSet::new(vec![v(1, u64::MAX / 2)]), Err(ValidatorSetError::TooMuchPower));
        let set = ValidatorSet::new(vec![v(2, 5), v(1, 3)]).unwrap();
        assert_eq!(set.total_power(), 8);
        assert_eq!(set.index_of(&PublicKey([2; 32])), Some(1));
        assert_eq!(set, ValidatorSet::new(vec![v(1, 3), v(2, 5)]).unwrap());
    }
}

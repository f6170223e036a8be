//! Who votes, and for which masternode.

use crate::masternodes::registration::RegistrationId;
use crate::masternodes::tier::Tier;
use borsh::{BorshDeserialize, BorshSerialize};
use std::io;
use std::sync::Arc;
use timed_primitives::{PublicKey, Validator, ValidatorSet, ValidatorSetError};

/// A validator and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Seat {
    /// The key that votes, and its effective power.
    pub validator: (PublicKey, u64),
    /// The masternode.
    pub registration: RegistrationId,
    /// Its tier.
    pub tier: Tier,
}

/// The validators of a height with their masternodes, in ascending order of keys. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Seats {
    set: ValidatorSet,
    seats: Arc<[Seat]>,
}

impl Seats {
    /// Sorts and checks.
    ///
    /// # Errors
    /// What [`ValidatorSet::new`] refuses.
    pub fn new(mut seats: Vec<Seat>) -> Result<Self, ValidatorSetError> {
        let validators = seats.iter().map(|seat| Validator { key: seat.validator.0, power: seat.validator.1 });
        let set = ValidatorSet::new(validators.collect())?;
        seats.sort_by_key(|seat| seat.validator.0);
        Ok(Self { set, seats: seats.into() })
    }

    /// The validators alone. A seat has the position of its validator.
    pub const fn validators(&self) -> &ValidatorSet {
        &self.set
    }

    /// All, in ascending order of keys.
    pub fn as_slice(&self) -> &[Seat] {
        &self.seats
    }

    /// The greatest effective power among them.
    pub fn power_max(&self) -> u64 {
        self.seats.iter().map(|seat| seat.validator.1).max().unwrap_or_default()
    }
}

impl PartialEq for Seats {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.seats, &other.seats) || self.seats == other.seats
    }
}

impl Eq for Seats {}

/// The seats in order.
impl BorshSerialize for Seats {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        self.as_slice().serialize(writer)
    }
}

/// Refuses what is no set of validators.
impl BorshDeserialize for Seats {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let seats = Vec::deserialize_reader(reader)?;
        Self::new(seats).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

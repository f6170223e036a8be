//! What the chain remembers of keys that were replaced, double signs and power that went, each for the unbonding time.

use crate::masternodes::registration::RegistrationId;
use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::BTreeMap;
use timed_primitives::{Amount, Height, PublicKey, UnixTime};

/// Most replaced keys of one masternode that are kept: another change of its key waits until the oldest is forgotten.
pub const RETIRED_KEYS_MAX: usize = 16;

/// What penalties depend on beside the list. Entries whose `until` is not above the time of a block count no more, and are removed when the
/// next of their kind is added.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PenaltyState {
    /// Voting keys that were replaced.
    pub retired: BTreeMap<PublicKey, RetiredKey>,
    /// Double signs, in order of the blocks.
    pub offences: Vec<DoubleSignRecord>,
    /// Power that was taken from who was jailed or ended, in order of the blocks.
    pub removals: Vec<Removal>,
}

/// A voting key that was replaced, and the heights it could vote at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RetiredKey {
    /// Whose it was.
    pub registration: RegistrationId,
    /// First height it could vote at.
    pub first: Height,
    /// Last height.
    pub last: Height,
    /// Until when it is kept.
    pub until: UnixTime,
}

/// A double sign that was punished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DoubleSignRecord {
    /// Whose.
    pub registration: RegistrationId,
    /// Its power when it was found.
    pub power: u64,
    /// Until when it counts against others.
    pub until: UnixTime,
}

/// Power that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Removal {
    /// How much.
    pub power: u64,
    /// Until when it counts against further removals.
    pub until: UnixTime,
}

/// What a double sign does to the list, found to be proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Punishment {
    /// Who did it.
    pub registration: RegistrationId,
    /// All double signs of the unbonding time, this one last.
    pub offences: Vec<DoubleSignRecord>,
    /// What each of those who did one is charged, in order of the offences.
    pub penalties: Vec<(RegistrationId, Amount)>,
}

impl PenaltyState {
    /// The replaced key, as long as it is kept.
    pub fn retired_key(&self, key: &PublicKey, time: UnixTime) -> Option<&RetiredKey> {
        self.retired.get(key).filter(|one| one.until > time)
    }

    /// How many replaced keys of a masternode are kept.
    pub fn retired_of(&self, registration: &RegistrationId, time: UnixTime) -> usize {
        self.retired.values().filter(|one| one.registration == *registration && one.until > time).count()
    }

    pub(super) fn retire(&mut self, key: PublicKey, retired: RetiredKey, time: UnixTime) {
        self.retired.retain(|_, one| one.until > time);
        self.retired.insert(key, retired);
    }

    pub(super) fn remove_power(&mut self, removal: Removal, time: UnixTime) {
        self.removals.retain(|one| one.until > time);
        self.removals.push(removal);
    }

    /// Power that was taken within the unbonding time before this moment.
    pub fn removed(&self, time: UnixTime) -> u64 {
        self.removals.iter().filter(|one| one.until > time).map(|one| one.power).sum()
    }
}

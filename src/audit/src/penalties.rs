//! What is kept for the unbonding time: replaced keys, double signs, and power that was taken.

use crate::place::AuditedBlock;
use crate::power::{Voters, tier_power};
use borsh::BorshSerialize;
use std::collections::BTreeMap;
use timed_ledger::{Masternode, RegistrationId};
use timed_primitives::{Height, PublicKey, UnixTime};

/// What is kept for the unbonding time. In this order it is part of the accounts root.
#[derive(Clone, Debug, Default, BorshSerialize)]
pub(crate) struct Penalties {
    replaced: BTreeMap<PublicKey, ReplacedKey>,
    offences: Vec<AuditedOffence>,
    removals: Vec<AuditedRemoval>,
}

#[derive(Clone, Copy, Debug, BorshSerialize)]
pub(crate) struct ReplacedKey {
    pub(crate) registration: RegistrationId,
    pub(crate) first: Height,
    pub(crate) last: Height,
    until: UnixTime,
}

#[derive(Clone, Copy, Debug, BorshSerialize)]
pub(crate) struct AuditedOffence {
    pub(crate) registration: RegistrationId,
    pub(crate) power: u64,
    until: UnixTime,
}

#[derive(Clone, Copy, Debug, BorshSerialize)]
struct AuditedRemoval {
    power: u64,
    until: UnixTime,
}

impl Penalties {
    /// A replaced key that is still kept.
    pub(crate) fn replaced(&self, key: &PublicKey, now: UnixTime) -> Option<&ReplacedKey> {
        self.replaced.get(key).filter(|one| one.until > now)
    }

    /// How many of one masternode are kept.
    pub(crate) fn replaced_of(&self, registration: &RegistrationId, now: UnixTime) -> usize {
        self.replaced.values().filter(|one| one.registration == *registration && one.until > now).count()
    }

    /// Keeps the key that a masternode has, because it gets another.
    pub(crate) fn replace(&mut self, one: &Masternode, place: AuditedBlock<'_>) {
        self.replaced.retain(|_, kept| kept.until > place.time);
        let (first, last) = (counts_from(one.operator_since), place.height.next());
        let kept = ReplacedKey { registration: one.id, first, last, until: place.unbonds_at() };
        self.replaced.insert(one.operator, kept);
    }

    /// Adds a double sign; all of the unbonding time.
    pub(crate) fn offend(
        &mut self,
        registration: RegistrationId,
        power: u64,
        place: AuditedBlock<'_>,
    ) -> &[AuditedOffence] {
        self.offences.retain(|offence| offence.until > place.time);
        self.offences.push(AuditedOffence { registration, power, until: place.unbonds_at() });
        &self.offences
    }

    /// Power of those that were jailed or ended in the unbonding time.
    pub(crate) fn removed(&self, now: UnixTime) -> u64 {
        self.removals.iter().filter(|one| one.until > now).map(|one| one.power).sum()
    }

    pub(crate) fn remove_power(&mut self, power: u64, place: AuditedBlock<'_>) {
        self.removals.retain(|one| one.until > place.time);
        self.removals.push(AuditedRemoval { power, until: place.unbonds_at() });
    }

    /// Changes a number: of a replaced key, an offence, a removal.
    #[cfg(test)]
    pub(crate) fn tamper(&mut self, kind: u8) -> bool {
        match kind {
            0 => self.replaced.values_mut().next().map(|one| one.last.0 += 1),
            1 => self.offences.first_mut().map(|one| one.power += 1),
            _ => self.removals.first_mut().map(|one| one.power += 1),
        }
        .is_some()
    }

    /// The least of a masternode's own power and the largest effective one.
    pub(crate) fn power(one: &Masternode, voters: &Voters) -> u64 {
        tier_power(one.tier).min(voters.largest())
    }
}

/// The first height at which an operator key counts.
pub(crate) fn counts_from(since: Height) -> Height {
    if since == Height::GENESIS { Height::FIRST } else { since.plus(2) }
}

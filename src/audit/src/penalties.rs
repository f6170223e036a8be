//! Double signs: whose key it was, what it costs, and how much power may go.

use crate::error::TransactionFault as Fault;
use crate::list::{Masternodes, Place};
use crate::power::{Seats, has_claim, has_ended, tier_collateral, tier_power};
use borsh::BorshSerialize;
use std::collections::BTreeMap;
use timed_ledger::{Masternode, MasternodeStatus as Status, RegistrationId};
use timed_primitives::{Amount, DoubleSign, Height, PublicKey, UnixTime};

/// Basis points of a double sign that nobody else comes with.
const ALONE_BP: u128 = 500;
/// All.
const WHOLE_BP: u128 = 10_000;

/// What is kept for the unbonding time. In this order it is part of the accounts root.
#[derive(Clone, Debug, Default, BorshSerialize)]
pub(crate) struct Penalties {
    replaced: BTreeMap<PublicKey, ReplacedKey>,
    offences: Vec<Offence>,
    removals: Vec<Removal>,
}

#[derive(Clone, Copy, Debug, BorshSerialize)]
pub(crate) struct ReplacedKey {
    pub(crate) registration: RegistrationId,
    first: Height,
    last: Height,
    until: UnixTime,
}

#[derive(Clone, Copy, Debug, BorshSerialize)]
struct Offence {
    registration: RegistrationId,
    power: u64,
    until: UnixTime,
}

#[derive(Clone, Copy, Debug, BorshSerialize)]
struct Removal {
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
    pub(crate) fn replace(&mut self, one: &Masternode, place: Place<'_>) {
        self.replaced.retain(|_, kept| kept.until > place.time);
        let (first, last) = (counts_from(one.operator_since), place.height.next());
        let kept = ReplacedKey { registration: one.id, first, last, until: place.unbonds_at() };
        self.replaced.insert(one.operator, kept);
    }

    /// Power of those that were jailed or ended in the unbonding time.
    pub(crate) fn removed(&self, now: UnixTime) -> u64 {
        self.removals.iter().filter(|one| one.until > now).map(|one| one.power).sum()
    }

    pub(crate) fn remove_power(&mut self, power: u64, place: Place<'_>) {
        self.removals.retain(|one| one.until > place.time);
        self.removals.push(Removal { power, until: place.unbonds_at() });
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
    pub(crate) fn power(one: &Masternode, seats: &Seats) -> u64 {
        tier_power(one.tier).min(seats.largest())
    }
}

impl Masternodes {
    /// A double sign: whether it is one, of a key that was this masternode's. Signatures apart.
    pub(crate) fn check_double_sign(
        &self,
        registration: RegistrationId,
        proof: &DoubleSign,
        place: Place<'_>,
    ) -> Result<(), Fault> {
        let (key, height) = contradiction(proof).ok_or(Fault::NoConflict)?;
        let one = self.list.get(&registration).ok_or(Fault::NoMasternode(registration))?;
        if has_ended(one) {
            return Err(Fault::PunishedAlready(registration));
        }
        let (first, last) = if one.operator == key {
            let last = match one.status {
                Status::Left { at, .. } => at.next(),
                _ => Height(u64::MAX),
            };
            (counts_from(one.operator_since), last)
        } else {
            let kept = self.penalties.replaced(&key, place.time).filter(|kept| kept.registration == registration);
            kept.map(|kept| (kept.first, kept.last)).ok_or(Fault::NotItsKey { registration, key, height })?
        };
        if first <= height && height <= last { Ok(()) } else { Err(Fault::NotItsKey { registration, key, height }) }
    }

    /// Punishes one that was checked.
    pub(crate) fn punish(&mut self, registration: RegistrationId, place: Place<'_>) {
        let Some(one) = self.list.get_mut(&registration) else { return };
        let power = Penalties::power(one, place.next_seats);
        let had_claim = has_claim(one);
        one.status = match one.status {
            _ if had_claim => Status::Ended { at: place.height },
            left @ Status::Left { .. } => left,
            _ => Status::Left { at: place.height, time: place.time },
        };
        let offences = &mut self.penalties.offences;
        offences.retain(|offence| offence.until > place.time);
        offences.push(Offence { registration, power, until: place.unbonds_at() });
        let all: u128 = offences.iter().map(|offence| u128::from(offence.power)).sum();
        let whole = u128::from(place.next_seats.total()).max(1);
        for offence in offences {
            let Some(one) = self.list.get_mut(&offence.registration) else { continue };
            let others = all - u128::from(offence.power);
            let share = ALONE_BP + ((WHOLE_BP - ALONE_BP) * 3 * others / whole).min(WHOLE_BP - ALONE_BP);
            let collateral = u128::from(tier_collateral(one.tier, place.parameters.free_deposit).0);
            let charge = u64::try_from(collateral * share / WHOLE_BP).unwrap_or(u64::MAX);
            one.penalty = one.penalty.max(Amount(charge));
        }
    }
}

/// The first height at which an operator key counts.
fn counts_from(since: Height) -> Height {
    if since == Height::GENESIS { Height::FIRST } else { since.plus(2) }
}

/// Who contradicts itself at which height, when the two are for one place and different blocks, the lesser first.
fn contradiction(proof: &DoubleSign) -> Option<(PublicKey, Height)> {
    let (is_one_place, differ, in_order, key, height) = match proof {
        DoubleSign::Votes(a, b) => (
            (a.kind, a.height, a.round, a.validator) == (b.kind, b.height, b.round, b.validator),
            a.block != b.block,
            a < b,
            a.validator,
            a.height,
        ),
        DoubleSign::Proposals(a, b) => (
            (a.height, a.round, a.proposer) == (b.height, b.round, b.proposer),
            a.block != b.block,
            a < b,
            a.proposer,
            a.height,
        ),
    };
    (is_one_place && differ && in_order).then_some((key, height))
}

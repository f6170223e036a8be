//! The masternodes, and what happens to them at the end of a block.

use crate::penalties::Penalties;
use crate::place::AuditedBlock;
use crate::power::{VOTERS_MIN, has_claim};
use std::collections::BTreeMap;
use timed_ledger::{ListEntry, Masternode, MasternodeStatus as Status, OutPoint, RegistrationId, Tier};
use timed_primitives::{Domain, Hash, Height, TxId, encode, merkle};

/// The list, and what is kept about keys, offences and removals.
#[derive(Clone, Debug, Default)]
pub(crate) struct Masternodes {
    pub(crate) list: BTreeMap<RegistrationId, Masternode>,
    pub(crate) collaterals: BTreeMap<OutPoint, RegistrationId>,
    pub(crate) penalties: Penalties,
}

impl Masternodes {
    /// One more.
    pub(crate) fn register(&mut self, one: Masternode) {
        self.collaterals.insert(one.collateral, one.id);
        self.list.insert(one.id, one);
    }

    /// The masternode is gone, and its collateral is money like any other.
    pub(crate) fn release(&mut self, registration: &RegistrationId) -> Option<Masternode> {
        let one = self.list.remove(registration)?;
        self.collaterals.remove(&one.collateral);
        Some(one)
    }

    /// How many have a claim to vote.
    pub(crate) fn claims(&self) -> usize {
        self.list.values().filter(|one| has_claim(one)).count()
    }

    fn status(&mut self, registration: &RegistrationId, status: Status) {
        if let Some(one) = self.list.get_mut(registration) {
            one.status = status;
        }
    }

    /// The end of a block: power is taken from who has ended and from who missed too much, then those go that asked to, then free ones whose
    /// time is over. Says who goes, and how many of them missed too much.
    pub(crate) fn end_block(
        &mut self,
        place: AuditedBlock<'_>,
        missing: &[RegistrationId],
    ) -> (Vec<RegistrationId>, u64) {
        let left = Status::Left { at: place.height, time: place.time };
        let before = self.penalties.removed(place.time);
        let mut gone = Vec::new();
        for registration in self.in_order(|one| match one.status {
            Status::Ended { at } => Some(at),
            _ => None,
        }) {
            if self.take_power(place, before, &registration) {
                self.status(&registration, left);
                gone.push(registration);
            }
        }
        let mut jailed = 0;
        for registration in missing {
            // A double sign in the same block counts for more.
            let status = match self.list.get(registration).map(|one| one.status) {
                Some(Status::Active) => Status::Jailed { at: place.height },
                Some(Status::Leaving { .. }) => left,
                _ => continue,
            };
            if self.take_power(place, before, registration) {
                self.status(registration, status);
                gone.push(*registration);
                jailed += 1;
            }
        }
        for registration in self.in_order(|one| match one.status {
            Status::Leaving { asked_at } => Some(asked_at),
            _ => None,
        }) {
            // A free one waits for nobody, but for the end of the block.
            let waits = self.list.get(&registration).is_some_and(has_claim);
            if !waits || self.claims() > VOTERS_MIN {
                self.status(&registration, left);
                gone.push(registration);
            }
        }
        let is_over = |one: &&mut Masternode| {
            one.tier == Tier::Free && !matches!(one.status, Status::Left { .. }) && one.expires <= place.time
        };
        for one in self.list.values_mut().filter(is_over) {
            one.status = left;
            gone.push(one.id);
        }
        self.drop_free(place);
        (gone, jailed)
    }

    /// Free ones that left long enough ago are on the list no longer, and their deposits are money like any other.
    fn drop_free(&mut self, place: AuditedBlock<'_>) {
        let over = self.list.values().filter(|one| one.tier == Tier::Free).filter_map(|one| match one.status {
            Status::Left { time, .. } if place.unbonded(time) => Some(one.id),
            _ => None,
        });
        for registration in over.collect::<Vec<_>>() {
            self.release(&registration);
        }
    }

    /// Those with such a height, in order of it and of their names.
    fn in_order(&self, height: impl Fn(&Masternode) -> Option<Height>) -> Vec<RegistrationId> {
        let mut found: Vec<_> = self.list.values().filter_map(|one| Some((height(one)?, one.id))).collect();
        found.sort();
        found.into_iter().map(|(_, id)| id).collect()
    }

    /// Whether so much power may go. If so, it is written down.
    fn take_power(&mut self, place: AuditedBlock<'_>, before: u64, registration: &RegistrationId) -> bool {
        let Some(one) = self.list.get(registration) else { return false };
        let power = Penalties::power(one, place.next_voters);
        let now = self.penalties.removed(place.time);
        let fits =
            3 * (u128::from(now) + u128::from(power)) <= u128::from(place.next_voters.total()) + u128::from(before);
        if self.claims() <= VOTERS_MIN || !fits {
            return false;
        }
        self.penalties.remove_power(power, place);
        true
    }

    /// The root in headers.
    pub(crate) fn root(&self) -> Hash {
        let leaf = |one: &Masternode| {
            let entry = ListEntry {
                id: one.id,
                operator: one.operator,
                service: one.service,
                tier: one.tier,
                status: number(one.status),
                details: Hash::of(Domain::MasternodeDetails, &encode(one)),
            };
            Hash::of(Domain::MasternodeEntry, &encode(&entry))
        };
        merkle::root(&self.list.values().map(leaf).collect::<Vec<_>>())
    }

    /// How many do what.
    pub(crate) fn by_status(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        for one in self.list.values() {
            *counts.entry(name(one.status)).or_default() += 1;
        }
        counts
    }
}

/// Number of a status in canonical bytes.
const fn number(status: Status) -> u8 {
    match status {
        Status::Active => 0,
        Status::Paused => 1,
        Status::Leaving { .. } => 2,
        Status::Left { .. } => 3,
        Status::Jailed { .. } => 4,
        Status::Ended { .. } => 5,
    }
}

/// Its name.
pub(crate) const fn name(status: Status) -> &'static str {
    match status {
        Status::Active => "active",
        Status::Paused => "paused",
        Status::Leaving { .. } => "leaving",
        Status::Left { .. } => "left",
        Status::Jailed { .. } => "jailed",
        Status::Ended { .. } => "ended",
    }
}

/// The name of a masternode that a transaction registers.
pub(crate) const fn registration_of(txid: TxId) -> RegistrationId {
    RegistrationId(txid.0)
}

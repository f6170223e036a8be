//! Who votes, and with which power.

use borsh::BorshSerialize;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use timed_ledger::{Masternode, MasternodeStatus, RegistrationId, Tier};
use timed_primitives::{Amount, Domain, Hash, PublicKey, encode};

/// Most voters.
const VOTERS_MAX: usize = 150;
/// From so many voters on, powers are capped.
pub(crate) const VOTERS_MIN: usize = 4;

/// Voting power of a tier before it is capped.
pub(crate) const fn tier_power(tier: Tier) -> u64 {
    match tier {
        Tier::Free => 0,
        Tier::Bronze => 1,
        Tier::Silver => 10,
        Tier::Gold => 100,
    }
}

/// What one of a tier locks.
pub(crate) const fn tier_collateral(tier: Tier, deposit: Amount) -> Amount {
    match tier {
        Tier::Free => deposit,
        Tier::Bronze => Amount::whole(1_000),
        Tier::Silver => Amount::whole(10_000),
        Tier::Gold => Amount::whole(100_000),
    }
}

/// Whether it has a claim to vote: of a tier that votes, and active or on its way out.
pub(crate) const fn has_claim(one: &Masternode) -> bool {
    use MasternodeStatus as S;
    tier_power(one.tier) > 0 && matches!(one.status, S::Active | S::Leaving { .. } | S::Ended { .. })
}

/// Whether it was punished for a double sign.
pub(crate) fn has_ended(one: &Masternode) -> bool {
    one.penalty > Amount::ZERO || matches!(one.status, MasternodeStatus::Ended { .. })
}

/// A key that votes at a height, whose it is, and its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize)]
pub(crate) struct Voter {
    pub(crate) key: PublicKey,
    pub(crate) power: u64,
    pub(crate) registration: RegistrationId,
    pub(crate) tier: Tier,
}

/// The voters of a height, in order of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Voters(Arc<Vec<Voter>>);

impl BorshSerialize for Voters {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        self.0.as_slice().serialize(writer)
    }
}

impl Voters {
    /// By the list: the longest registered first.
    pub(crate) fn of(list: &BTreeMap<RegistrationId, Masternode>) -> Self {
        let mut voters: Vec<&Masternode> = list.values().filter(|one| has_claim(one)).collect();
        voters.sort_by_key(|one| (one.registered_at, one.id));
        voters.truncate(VOTERS_MAX);
        let powers: Vec<u64> = voters.iter().map(|one| tier_power(one.tier)).collect();
        let powers = effective_powers(&powers);
        let voter = |(one, power): (&&Masternode, u64)| {
            (one.operator, Voter { key: one.operator, power, registration: one.id, tier: one.tier })
        };
        let by_key: BTreeMap<PublicKey, Voter> = voters.iter().zip(powers).map(voter).collect();
        Self(Arc::new(by_key.into_values().collect()))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Voter> {
        self.0.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn of_key(&self, key: &PublicKey) -> Option<&Voter> {
        let position = self.0.binary_search_by_key(key, |voter| voter.key).ok()?;
        self.0.get(position)
    }

    /// Sum of all power.
    pub(crate) fn total(&self) -> u64 {
        self.iter().map(|voter| voter.power).sum()
    }

    /// The largest power of one.
    pub(crate) fn largest(&self) -> u64 {
        self.iter().map(|voter| voter.power).max().unwrap_or_default()
    }

    /// What headers say of it.
    pub(crate) fn hash(&self) -> Hash {
        let validators: Vec<(PublicKey, u64)> = self.iter().map(|voter| (voter.key, voter.power)).collect();
        Hash::of(Domain::ValidatorSet, &encode(&validators))
    }
}

/// The largest cap under which nobody holds a third of the sum; none that matters with fewer than four.
fn cap_of(all: &[u64]) -> u64 {
    let largest = all.iter().copied().max().unwrap_or_default();
    if all.len() < VOTERS_MIN {
        return largest;
    }
    let is_safe = |cap: &u64| 3 * largest.min(*cap) < all.iter().map(|power| (*power).min(*cap)).sum();
    (1..=largest).rev().find(is_safe).unwrap_or(largest)
}

/// The powers of these voters: of each the least of its own and that cap.
pub fn effective_powers(all: &[u64]) -> Vec<u64> {
    let cap = cap_of(all);
    all.iter().map(|own| cap.min(*own)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_primitives::SecretKey;

    #[test]
    fn nobody_holds_a_third_from_four_on_as_in_the_ledger() {
        let mut random = 1_u64;
        for _ in 0..2_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let count = 1 + (random >> 33) % 12;
            let powers: Vec<u64> = (0..count).map(|n| [1, 10, 100][((random >> (2 * n)) % 3) as usize]).collect();
            let ours = effective_powers(&powers);
            assert_eq!(ours, timed_ledger::effective_powers(&powers), "{powers:?}");
        }
        assert!(SecretKey::development("test", 1).public().is_valid());
    }
}

//! Double signs: whose key it was, and what it costs.

use crate::error::BrokenRule as Fault;
use crate::list::Masternodes;
use crate::penalties::{Penalties, counts_from};
use crate::place::AuditedBlock;
use crate::power::{has_claim, has_ended, tier_collateral};
use timed_ledger::{MasternodeStatus as Status, RegistrationId, Tier};
use timed_primitives::{Amount, DoubleSign, Height, PublicKey};

/// Basis points of a double sign that nobody else comes with.
const ALONE_BP: u128 = 500;
/// All.
const WHOLE_BP: u128 = 10_000;

impl Masternodes {
    /// A double sign: whether it is one, of a key that was this masternode's. Signatures apart.
    pub(crate) fn check_double_sign(
        &self,
        registration: RegistrationId,
        proof: &DoubleSign,
        place: AuditedBlock<'_>,
    ) -> Result<(), Fault> {
        let (key, height) = contradiction(proof).ok_or(Fault::NoConflict)?;
        let one = self.list.get(&registration).ok_or(Fault::NoMasternode(registration))?;
        if one.tier == Tier::Free {
            return Err(Fault::NeverVotes(registration));
        }
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
    pub(crate) fn punish(&mut self, registration: RegistrationId, place: AuditedBlock<'_>) {
        let Some(one) = self.list.get_mut(&registration) else { return };
        let power = Penalties::power(one, place.next_voters);
        let had_claim = has_claim(one);
        one.status = match one.status {
            _ if had_claim => Status::Ended { at: place.height },
            left @ Status::Left { .. } => left,
            _ => Status::Left { at: place.height, time: place.time },
        };
        let offences = self.penalties.offend(registration, power, place);
        let all: u128 = offences.iter().map(|offence| u128::from(offence.power)).sum();
        let whole = u128::from(place.next_voters.total()).max(1);
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

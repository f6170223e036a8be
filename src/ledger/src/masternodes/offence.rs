//! What a double sign costs, and whom.

use crate::masternodes::entry::{Masternode, MasternodeStatus};
use crate::masternodes::error::MasternodeError;
use crate::masternodes::list::{MasternodeList, RuleContext};
use crate::masternodes::penalties::{DoubleSignRecord, Punishment};
use crate::masternodes::registration::RegistrationId;
use crate::masternodes::tier::Tier;
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::{Amount, DoubleSign, Height, PublicKey, UnixTime};

/// What a lone double sign costs. Unit: basis points of the collateral.
const ALONE: u64 = 500;
/// All of it.
const WHOLE: u64 = 10_000;

impl MasternodeList {
    /// Whether two statements cost a masternode its place, and what it and others are charged. Signatures are checked apart.
    ///
    /// # Errors
    /// [`MasternodeError`] names the rule.
    pub fn punishment(
        &self,
        registration: RegistrationId,
        proof: &DoubleSign,
        rules: RuleContext<'_>,
    ) -> Result<Punishment, MasternodeError> {
        if !proof.is_conflict() {
            return Err(MasternodeError::NoConflict);
        }
        let one = self.get(&registration).ok_or(MasternodeError::Unknown(registration))?;
        if one.tier == Tier::Free {
            return Err(MasternodeError::NeverVotes(registration));
        }
        if one.is_ended() {
            return Err(MasternodeError::EndedAlready(registration));
        }
        self.check_key_height(one, &proof.key(), proof.height(), rules)?;
        let mut offences = self.penalties.offences.clone();
        offences.retain(|offence| offence.until > rules.time);
        offences.push(DoubleSignRecord {
            registration,
            power: self.power_of(one, rules),
            until: rules.unbonding_ends(),
        });
        let penalties = offences.iter().filter_map(|offence| {
            let offender = self.get(&offence.registration)?;
            let others = offences.iter().filter(|other| other.registration != offence.registration);
            let others: u128 = others.map(|other| u128::from(other.power)).sum();
            let total = u128::from(rules.voters.validators().total_power());
            let more = u128::from(WHOLE - ALONE) * 3 * others / total.max(1);
            let share = u128::from(ALONE) + more.min(u128::from(WHOLE - ALONE));
            let collateral = offender.tier.collateral(rules.parameters.free_deposit);
            let penalty = u128::from(collateral.0) * share / u128::from(WHOLE);
            let penalty = Amount(u64::try_from(penalty).unwrap_or(u64::MAX));
            Some((offence.registration, offender.penalty.max(penalty)))
        });
        let penalties = penalties.collect();
        Ok(Punishment { registration, offences, penalties })
    }

    /// Whose key signed both, when that can still be punished.
    pub fn accused(&self, proof: &DoubleSign, time: UnixTime) -> Option<RegistrationId> {
        let retired = self.penalties.retired_key(&proof.key(), time).map(|retired| retired.registration);
        let accused = retired.or_else(|| self.of_operator(&proof.key()).map(|one| one.id))?;
        self.get(&accused).filter(|one| one.tier != Tier::Free && !one.is_ended()).map(|one| one.id)
    }

    /// Charges all of them, and ends the one.
    pub(super) fn punish(&mut self, punishment: Punishment, rules: RuleContext<'_>) {
        for (registration, penalty) in punishment.penalties {
            self.alter(&registration, |one| one.penalty = penalty);
        }
        self.alter(&punishment.registration, |one| {
            one.status = match one.status {
                left @ MasternodeStatus::Left { .. } => left,
                _ if one.wants_to_vote() => MasternodeStatus::Ended { at: rules.height },
                // Without a claim to vote it has no power that must be taken: one that is paused or jailed.
                _ => MasternodeStatus::Left { at: rules.height, time: rules.time },
            };
        });
        self.penalties.offences = punishment.offences;
    }

    /// Whether the key was this masternode's at that height.
    fn check_key_height(
        &self,
        one: &Masternode,
        key: &PublicKey,
        height: Height,
        rules: RuleContext<'_>,
    ) -> Result<(), MasternodeError> {
        if is_planted(Bug::PenaltyFollowsKey) && one.operator == *key {
            return Ok(());
        }
        let retired = self.penalties.retired_key(key, rules.time).filter(|retired| retired.registration == one.id);
        let span = match retired {
            Some(retired) => Some((retired.first, retired.last)),
            None if one.operator == *key => {
                let last = match one.status {
                    MasternodeStatus::Left { at, .. } => at.next(),
                    _ => Height(u64::MAX),
                };
                Some((one.votes_from(), last))
            }
            None => None,
        };
        match span {
            Some((first, last)) if (first..=last).contains(&height) => Ok(()),
            _ => Err(MasternodeError::NotItsKey { registration: one.id, key: *key, height }),
        }
    }
}

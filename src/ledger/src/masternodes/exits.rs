//! Who loses its place at the end of a block: who contradicted itself, who missed too much, who asked to, and who expired.

use crate::masternodes::entry::{Masternode, MasternodeStatus};
use crate::masternodes::list::{MasternodeList, RuleContext};
use crate::masternodes::penalties::Removal;
use crate::masternodes::power::VOTERS_MIN;
use crate::masternodes::registration::RegistrationId;
use crate::masternodes::tier::Tier;
use std::sync::Arc;
use timed_primitives::Height;
use timed_primitives::planted::{Bug, is_planted};

/// What the end of a block makes of a masternode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Which.
    pub registration: RegistrationId,
    /// What it is from now on.
    pub status: MasternodeStatus,
    /// The power that is taken, when that is bounded.
    pub removed: Option<u64>,
}

impl MasternodeList {
    /// Who goes at the end of a block, in this order: ended ones and those that are to be jailed, as far as enough power stays; who asked to
    /// leave, in order of asking, while enough others vote; free ones that expire. `missing`, in order of names, took too little part.
    pub fn exits(&self, rules: RuleContext<'_>, missing: &[RegistrationId]) -> Vec<Exit> {
        let left = MasternodeStatus::Left { at: rules.height, time: rules.time };
        let mut ended: Vec<(Height, &Masternode)> = Vec::new();
        let mut leaving = ended.clone();
        let mut exits = Vec::new();
        for one in self.iter() {
            match one.status {
                MasternodeStatus::Ended { at } => ended.push((at, one)),
                MasternodeStatus::Leaving { asked_at } => leaving.push((asked_at, one)),
                MasternodeStatus::Active | MasternodeStatus::Paused if one.expires <= rules.time => {
                    exits.push(Exit { registration: one.id, status: left, removed: None });
                }
                _ => {}
            }
        }
        if ended.is_empty() && leaving.is_empty() && missing.is_empty() {
            return exits;
        }
        let mut candidates = self.candidates().len();
        ended.sort_unstable_by_key(|(at, one)| (*at, one.id));
        let jailed = missing.iter().filter_map(|id| self.get(id));
        let jailed = jailed.filter(|one| one.wants_to_vote() && !one.is_ended());
        let (before, mut removed) = (self.penalties.removed(rules.time), self.penalties.removed(rules.time));
        for one in ended.into_iter().map(|(_, one)| one).chain(jailed) {
            let power = self.power_of(one, rules);
            let total = u128::from(rules.voters.validators().total_power()) + u128::from(before);
            let is_bounded = candidates > VOTERS_MIN && 3 * (u128::from(removed) + u128::from(power)) <= total;
            if !is_bounded && !is_planted(Bug::JailedBelowQuorum) {
                continue;
            }
            let status = match one.status {
                MasternodeStatus::Active => MasternodeStatus::Jailed { at: rules.height },
                _ => left,
            };
            exits.push(Exit { registration: one.id, status, removed: Some(power) });
            candidates -= 1;
            removed = removed.saturating_add(power);
        }
        leaving.sort_unstable_by_key(|(asked_at, one)| (*asked_at, one.id));
        for (_, one) in leaving {
            let goes_already = exits.iter().any(|exit| exit.registration == one.id);
            if !goes_already && (!one.wants_to_vote() || candidates > VOTERS_MIN) {
                candidates -= usize::from(one.wants_to_vote());
                exits.push(Exit { registration: one.id, status: left, removed: None });
            }
        }
        exits
    }

    /// These go.
    pub fn carry_out_exits(&mut self, exits: &[Exit], rules: RuleContext<'_>) {
        let until = rules.unbonding_ends();
        for exit in exits {
            if let Some(one) = self.all.get_mut(&exit.registration) {
                Arc::make_mut(one).status = exit.status;
            }
            if let Some(power) = exit.removed {
                self.penalties.remove_power(Removal { power, until }, rules.time);
            }
        }
    }

    /// Free ones that left, and whose unbonding time is over: their deposits are coins again without a release, since they owe nothing and would
    /// keep others out.
    pub fn forgettable(&self, rules: RuleContext<'_>) -> Vec<RegistrationId> {
        let is_over = |one: &&Masternode| match one.status {
            MasternodeStatus::Left { time, .. } => rules.time >= rules.unbonded_from(time),
            _ => false,
        };
        self.iter().filter(|one| one.tier == Tier::Free).filter(is_over).map(|one| one.id).collect()
    }

    /// Nothing is left of these.
    pub fn forget(&mut self, forgotten: &[RegistrationId]) {
        forgotten.iter().for_each(|id| self.remove(id));
    }

    /// The power of a masternode as penalties count it, whether it has a place or not: that of its tier, capped as that of the voters is.
    pub fn power_of(&self, one: &Masternode, rules: RuleContext<'_>) -> u64 {
        one.tier.power().min(rules.voters.power_max())
    }
}

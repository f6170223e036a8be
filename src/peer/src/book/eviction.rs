//! Whose place a newcomer takes when all inbound places are taken.
//!
//! Never that of a validator, of a configured peer, or of those who are hard to imitate: the shortest round trips, the longest lives,
//! and who last brought something new. Of the rest the youngest of the most crowded network group (a /24 or /48) goes.
//!
//! A newcomer that is neither validator nor configured takes a place only from a group that holds more than an eighth of all places and
//! that stays larger than its own: one subnet never takes all places, and never one place of a smaller group. On one machine or one
//! local network all are of one group, and such a newcomer is refused.

use super::{CompletedHandshake, PeerBook, Session};
use crate::Direction;
use crate::subnet::subnet_of;
use core::cmp::Reverse;
use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use timed_primitives::{Instant, PublicKey};

/// Inbound sessions with the shortest round trip that are never evicted.
const PROTECTED_BY_RTT: usize = 4;

/// Inbound sessions that last brought something new that are never evicted.
const PROTECTED_BY_USE: usize = 4;

/// Inbound sessions with the longest life that are never evicted.
const PROTECTED_BY_AGE: usize = 4;

/// A group with at most this part of all inbound places loses none to a newcomer that does not matter more.
const SMALL_GROUP: usize = 8;

type Group = Option<IpAddr>;

impl PeerBook {
    /// A peer brought a transaction that we did not have.
    pub fn on_useful(&mut self, now: Instant, key: &PublicKey) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.useful_at = Some(now);
        }
    }

    /// The validators changed: whether this peer is one now.
    pub fn on_role(&mut self, key: &PublicKey, is_validator: bool) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.is_validator = is_validator;
        }
    }

    /// Who finds room whatever the limits say: there are few.
    pub(super) fn matters(&self, arrival: &CompletedHandshake) -> bool {
        arrival.is_validator || self.targets.configured_keys().contains(&arrival.key)
    }

    /// The session that gives its place to this arrival, if any does.
    pub(super) fn victim(&self, arrival: &CompletedHandshake) -> Option<(PublicKey, u64)> {
        let configured = self.targets.configured_keys();
        let is_plain =
            |s: &&Session| s.direction == Direction::Inbound && !s.is_validator && !configured.contains(&s.key);
        let plain: Vec<&Session> = self.sessions.values().filter(is_plain).collect();
        let mut crowds: BTreeMap<Group, usize> = BTreeMap::new();
        for session in &plain {
            let count = crowds.entry(session.group()).or_default();
            *count = count.saturating_add(1);
        }
        let crowd = |group: Group| crowds.get(&group).copied().unwrap_or(0);
        let protected = protected(&plain);
        let matters = self.matters(arrival);
        let own = crowd(arrival.observed.map(subnet_of)).saturating_add(1);
        let may_lose = |s: &&&Session| {
            let crowd = crowd(s.group());
            matters || (crowd > own && crowd > self.config.inbound_max / SMALL_GROUP)
        };
        let candidates = plain.iter().filter(|s| !protected.contains(&s.key)).filter(may_lose);
        candidates.max_by_key(|s| (crowd(s.group()), s.since, s.generation)).map(|s| (s.key, s.generation))
    }
}

impl Session {
    /// Where it comes from; all of whom we do not know are one group.
    fn group(&self) -> Group {
        self.observed.map(subnet_of)
    }
}

/// Those that are hard to imitate.
fn protected(plain: &[&Session]) -> BTreeSet<PublicKey> {
    let mut rest = plain.to_vec();
    let mut protected = BTreeSet::new();
    let mut protect = |rest: &mut Vec<&Session>, most: usize, is_meant: fn(&Session) -> bool| {
        let chosen: BTreeSet<PublicKey> = rest.iter().filter(|s| is_meant(s)).take(most).map(|s| s.key).collect();
        rest.retain(|s| !chosen.contains(&s.key));
        protected.extend(chosen);
    };
    rest.sort_by_key(|s| s.rtt.unwrap_or(Duration::MAX));
    protect(&mut rest, PROTECTED_BY_RTT, |_| true);
    rest.sort_by_key(|s| Reverse(s.useful_at));
    protect(&mut rest, PROTECTED_BY_USE, |s| s.useful_at.is_some());
    rest.sort_by_key(|s| (s.since, s.generation));
    protect(&mut rest, PROTECTED_BY_AGE, |_| true);
    protected
}

#[cfg(test)]
mod tests;

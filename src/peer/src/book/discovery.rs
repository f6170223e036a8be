//! Dials to nodes that nobody configured, made from the address book as they are needed.
//!
//! While outbound places are free, addresses are drawn to fill them. When none is free, about every two minutes one untried address is
//! dialled by a *feeler*, only to learn whether its node answers there: so the tried part of the address book fills with nodes that
//! exist, whatever unknown peers send.

use super::pace::Pace;
use super::targets::DIAL_LOST;
use super::{Dial, PeerBook};
use crate::addresses::{AddressBook, AddressRecord, CandidateKind};
use crate::backoff::uniform;
use rand::Rng;
use std::time::Duration;
use timed_primitives::{Instant, PublicKey};

/// Wait between two feelers, at least and at most.
const FEELER_WAIT: (Duration, Duration) = (Duration::from_secs(90), Duration::from_secs(150));

/// How soon an address book that had nothing fitting is asked again.
const REFILL_WAIT: Duration = Duration::from_secs(15);

#[derive(Clone, Debug)]
struct Feeler {
    address: String,
    key: PublicKey,
    since: Option<Instant>,
}

/// The feeler, and when to look again.
#[derive(Clone, Debug, Default)]
pub(super) struct Discovery {
    feeler: Option<Feeler>,
    /// The next one; none while outbound places are free.
    feeler_at: Option<Instant>,
    refill_at: Option<Instant>,
}

impl Discovery {
    /// How many feelers are under way: at most one.
    pub(super) fn dialling(&self) -> usize {
        usize::from(self.feeler.as_ref().is_some_and(|feeler| feeler.since.is_some()))
    }

    /// A feeler about which nobody reported has ended.
    pub(super) fn expire(&mut self, now: Instant) {
        self.feeler.take_if(|feeler| feeler.since.is_some_and(|since| now >= since + DIAL_LOST));
    }

    pub(super) fn on_ended(&mut self, address: &str) {
        self.feeler.take_if(|feeler| feeler.since.is_some() && feeler.address == address);
    }

    pub(super) fn start_feeler(&mut self, now: Instant, pace: &mut Pace) -> Option<Dial> {
        let feeler = self.feeler.as_mut().filter(|feeler| feeler.since.is_none())?;
        if !pace.take_place(now, &feeler.address) {
            self.feeler = None;
            return None;
        }
        feeler.since = Some(now);
        Some(Dial { address: feeler.address.clone(), key: Some(feeler.key), is_feeler: true, is_configured: false })
    }

    pub(super) fn next_wake(&self) -> Option<Instant> {
        let lost = self.feeler.as_ref().and_then(|feeler| feeler.since).map(|since| since + DIAL_LOST);
        [lost, self.refill_at].into_iter().flatten().min()
    }
}

impl PeerBook {
    /// Draws from the address book what dials need now. Call it before [`PeerBook::wants_dial`].
    pub fn refill(&mut self, now: Instant, addresses: &mut AddressBook, rng: &mut dyn Rng) {
        self.discovery.refill_at = None;
        if addresses.is_empty() {
            return;
        }
        let (blocked, outbound) = (self.blocked(), self.discovered_outbound());
        if outbound >= self.config.outbound_max {
            return self.plan_feeler(now, addresses, rng);
        }
        self.discovery.feeler_at = None;
        let taken = outbound.saturating_add(self.targets.discovered_dials());
        let room = self.config.outbound_max.saturating_sub(taken);
        let hearsay_at = self.pace.ready_at(now, self.has_enough(outbound));
        // Where somebody was met before comes first, and does not wait behind hearsay.
        for want in [CandidateKind::Tried, CandidateKind::Untried] {
            if want == CandidateKind::Untried && now < hearsay_at {
                self.discovery.refill_at = Some(hearsay_at);
                break;
            }
            while self.targets.waiting(&blocked, want) < room {
                let may_dial = |record: &AddressRecord| !blocked.contains(&record.key) && self.may_draw(now, record);
                let Some(candidate) = addresses.draw(now, want, may_dial, rng) else {
                    self.discovery.refill_at = Some(now + REFILL_WAIT);
                    break;
                };
                self.targets.add_candidate(now, candidate);
            }
        }
    }

    /// A feeler met a node.
    pub fn on_tested(&mut self, address: &str) {
        self.discovery.on_ended(address);
    }

    fn plan_feeler(&mut self, now: Instant, addresses: &mut AddressBook, rng: &mut dyn Rng) {
        let wait = |rng: &mut dyn Rng| now + uniform(rng, FEELER_WAIT.0, FEELER_WAIT.1);
        let at = self.discovery.feeler_at.unwrap_or_else(|| wait(rng));
        if now < at || self.discovery.feeler.is_some() {
            self.discovery.feeler_at = Some(at);
        } else {
            self.discovery.feeler_at = Some(wait(rng));
            let blocked = self.blocked();
            let may_dial = |record: &AddressRecord| !blocked.contains(&record.key) && self.may_draw(now, record);
            let drawn = addresses.draw(now, CandidateKind::Untried, may_dial, rng);
            self.discovery.feeler = drawn.map(|drawn| Feeler { address: drawn.address, key: drawn.key, since: None });
        }
        self.discovery.refill_at = self.discovery.feeler_at.map(|at| at.max(now));
    }

    fn may_draw(&self, now: Instant, record: &AddressRecord) -> bool {
        !self.targets.knows(&record.address) && !self.pace.is_capped(now, &record.address)
    }

    /// Half of the outbound places are taken: there is no hurry.
    pub(super) const fn has_enough(&self, outbound: usize) -> bool {
        outbound.saturating_mul(2) >= self.config.outbound_max
    }
}

#[cfg(test)]
mod tests;

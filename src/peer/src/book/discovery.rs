//! Dials to nodes that nobody configured, made from the address book as they are needed.
//!
//! While outbound places are free, addresses are drawn to fill them. When none is free, about every two minutes one untried address is
//! dialled by a *feeler*, only to learn whether its node answers there: so the tried part of the address book fills with nodes that
//! exist, whatever unknown peers send.

use super::PeerBook;
use super::feelers::Feeler;
use crate::addresses::{AddressBook, AddressRecord, CandidateKind};
use crate::backoff::uniform;
use rand::Rng;
use std::time::Duration;
use timed_primitives::Instant;

/// Wait between two feelers, at least and at most.
const FEELER_WAIT: (Duration, Duration) = (Duration::from_secs(90), Duration::from_secs(150));

/// How soon an address book that had nothing fitting is asked again.
const REFILL_WAIT: Duration = Duration::from_secs(15);

impl PeerBook {
    /// Draws from the address book what dials need now. Call it before [`PeerBook::wants_dial`].
    pub fn refill(&mut self, now: Instant, addresses: &mut AddressBook, rng: &mut dyn Rng) {
        self.feelers.refill_at = None;
        if addresses.is_empty() {
            return;
        }
        let (blocked, outbound) = (self.blocked(), self.discovered_outbound());
        if outbound >= self.config.outbound_max {
            return self.plan_feeler(now, addresses, rng);
        }
        self.feelers.feeler_at = None;
        let taken = outbound.saturating_add(self.targets.discovered_dials());
        let room = self.config.outbound_max.saturating_sub(taken);
        let hearsay_at = self.pace.ready_at(now, self.has_enough(outbound));
        // Where somebody was met before comes first, and does not wait behind hearsay.
        for want in [CandidateKind::Tried, CandidateKind::Untried] {
            if want == CandidateKind::Untried && now < hearsay_at {
                self.feelers.refill_at = Some(hearsay_at);
                break;
            }
            while self.targets.waiting(&blocked, want) < room {
                let may_dial = |record: &AddressRecord| !blocked.contains(&record.key) && self.may_draw(now, record);
                let Some(candidate) = addresses.draw(now, want, may_dial, rng) else {
                    self.feelers.refill_at = Some(now + REFILL_WAIT);
                    break;
                };
                self.targets.add_candidate(now, candidate);
            }
        }
    }

    /// A feeler met a node.
    pub fn on_tested(&mut self, address: &str) {
        self.feelers.on_ended(address);
    }

    fn plan_feeler(&mut self, now: Instant, addresses: &mut AddressBook, rng: &mut dyn Rng) {
        let wait = |rng: &mut dyn Rng| now + uniform(rng, FEELER_WAIT.0, FEELER_WAIT.1);
        let at = self.feelers.feeler_at.unwrap_or_else(|| wait(rng));
        if now < at || self.feelers.feeler.is_some() {
            self.feelers.feeler_at = Some(at);
        } else {
            self.feelers.feeler_at = Some(wait(rng));
            let blocked = self.blocked();
            let may_dial = |record: &AddressRecord| !blocked.contains(&record.key) && self.may_draw(now, record);
            let drawn = addresses.draw(now, CandidateKind::Untried, may_dial, rng);
            self.feelers.feeler = drawn.map(|drawn| Feeler { address: drawn.address, key: drawn.key, since: None });
        }
        self.feelers.refill_at = self.feelers.feeler_at.map(|at| at.max(now));
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

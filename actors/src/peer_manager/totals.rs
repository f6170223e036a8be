//! Sums over all sessions since the start, those that are over included: what a program that looks now and then must not miss.

use super::PeerManager;
use crate::peer::TrafficTally;
use std::collections::BTreeMap;
use timed_peer::{EndReason, SessionEnd, Side};

/// Sums over all sessions since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeerTotals {
    /// What they carried.
    pub tally: TrafficTally,
    /// Sessions that were up and ended, by reason and by who closed.
    pub ended: BTreeMap<(EndReason, Side), u64>,
    /// Dials that led to no session, by reason.
    pub failed_dials: BTreeMap<EndReason, u64>,
}

impl PeerTotals {
    pub(super) fn on_end(&mut self, end: SessionEnd) {
        *self.ended.entry((end.reason, end.by)).or_default() += 1;
    }

    pub(super) fn on_failed_dial(&mut self, reason: EndReason) {
        *self.failed_dials.entry(reason).or_default() += 1;
    }
}

impl PeerManager {
    /// What this session has counted until now.
    pub(super) fn tally(&self, number: u64) -> Option<TrafficTally> {
        let session = self.sessions.get(&number)?;
        let mut tally = session.stats.lock().tally.clone();
        tally.dropped_outbound = session.outbound.dropped();
        Some(tally)
    }

    /// Past sessions and present ones.
    pub(super) fn totals(&self) -> PeerTotals {
        let mut totals = self.past.clone();
        self.sessions.keys().filter_map(|number| self.tally(*number)).for_each(|tally| totals.tally.add(&tally));
        totals
    }
}

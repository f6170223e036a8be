//! Dials that only test whether a node answers: one at a time.

use super::dial::{DIAL_LOST, Dial};
use super::pace::Pace;
use timed_primitives::{Instant, PublicKey};

/// A dial that only tests an address.
#[derive(Clone, Debug)]
pub(super) struct Feeler {
    pub(super) address: String,
    pub(super) key: PublicKey,
    pub(super) since: Option<Instant>,
}

/// The feeler, and when to look again.
#[derive(Clone, Debug, Default)]
pub(super) struct Feelers {
    pub(super) feeler: Option<Feeler>,
    /// The next one; none while outbound places are free.
    pub(super) feeler_at: Option<Instant>,
    pub(super) refill_at: Option<Instant>,
}

impl Feelers {
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

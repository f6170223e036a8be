//! Whose clock is wrong: the validators' are compared with ours.

use super::PeerManager;
use crate::messages::{NetworkTime, SubscribeClock};
use actix::{Context, Handler, Recipient};
use timed_peer::{ClockChange, OwnClock, OwnClockOff, Reading, median_offset};
use timed_primitives::{Instant, UnixTime};

/// Changes of the median that consensus need not know: its blocks may be seconds off. Unit: milliseconds.
const NOTICED_MS: u64 = 20;

/// What is known of our clock.
#[derive(Default)]
pub(super) struct Clocks {
    pub(super) own: OwnClock,
    pub(super) median_ms: Option<i64>,
    reported: Option<i64>,
    listener: Option<Recipient<NetworkTime>>,
}

impl Clocks {
    fn report(&mut self) {
        let is_same = match (self.reported, self.median_ms) {
            (Some(reported), Some(median)) => reported.abs_diff(median) < NOTICED_MS,
            (reported, median) => reported == median,
        };
        if let Some(listener) = self.listener.as_ref().filter(|_| !is_same) {
            listener.do_send(NetworkTime { offset_ms: self.median_ms });
            self.reported = self.median_ms;
        }
    }
}

impl PeerManager {
    /// Compares our clock with those of the validators that are connected, and says so when ours is wrong.
    pub(super) fn compare_clocks(&mut self, now: Instant, unix: UnixTime) {
        self.clocks.median_ms = self.median_clock(now, unix);
        self.clocks.report();
        match self.clocks.own.on_median(self.clocks.median_ms) {
            Some(ClockChange::Off { offset_ms }) => tracing::warn!(offset_ms, "{}", OwnClockOff { offset_ms }),
            Some(ClockChange::Agrees { offset_ms }) => {
                tracing::info!(offset_ms, "the clock of this machine agrees with the other validators' again");
            }
            None => {}
        }
    }

    /// Civil time for records that others check against theirs: our clock's, or the validators' while ours is known to be wrong.
    pub(super) fn network_time(&self) -> UnixTime {
        let unix = self.clock.unix();
        let offset_ms = self.clocks.median_ms.filter(|_| self.clocks.own.is_off());
        offset_ms.map_or(unix, |offset_ms| UnixTime(unix.0.saturating_add_signed(offset_ms)))
    }

    fn median_clock(&self, now: Instant, unix: UnixTime) -> Option<i64> {
        let (own, quorum) = self.validators.own_and_quorum()?;
        let readings = self.validators.others().filter_map(|(node, power)| {
            let session = self.sessions.get(self.up.get(&node)?)?;
            Some(Reading { offset_ms: session.stats.lock().clock.measured_ms(now, unix)?, power })
        });
        median_offset(own, quorum, &readings.collect::<Vec<_>>())
    }
}

impl Handler<SubscribeClock> for PeerManager {
    type Result = ();

    fn handle(&mut self, SubscribeClock(listener): SubscribeClock, _ctx: &mut Context<Self>) {
        self.clocks.listener = Some(listener);
        self.clocks.reported = None;
        self.clocks.report();
    }
}

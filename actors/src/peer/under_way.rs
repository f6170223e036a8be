//! What one connection has under way: kept so low for bulk that what a slow link holds up stays short, however large its queues are.
//!
//! A byte that has left for the kernel cannot be overtaken any more. So bulk waits in its lane while what is written and not acknowledged fills the way
//! and a few milliseconds of queue ([`LinkRate::flight_max`]); votes and pings never wait for this. Where nobody tells what is under way, as with connections in
//! memory, bulk is not held.

use super::line::Line;
use std::time::Duration;
use timed_peer::LinkRate;
use timed_primitives::Instant;

#[derive(Debug, Default)]
pub(super) struct UnderWay {
    pub(super) rate: LinkRate,
    /// Bytes written so far.
    written: u64,
    /// Those that were acknowledged when we last looked.
    carried: u64,
    /// Bytes under way, at most: between two looks they only become fewer, but for what is written.
    at_most: usize,
    /// Whether the connection tells what is under way.
    is_told: bool,
}

impl UnderWay {
    /// How long until bulk may join what is under way, or `None` when it may. The kernel is asked only when what was written since the last look
    /// may be too much.
    pub(super) fn look(&mut self, line: &Line, now: Instant) -> Option<Duration> {
        if self.at_most < self.rate.flight_max(Duration::ZERO) {
            return None;
        }
        let flight = line.flight();
        self.is_told = flight.is_some();
        let Some(flight) = flight else {
            self.at_most = 0;
            return None;
        };
        self.at_most = flight.bytes;
        // Encryption adds a little to what is under way, and nothing to what we count.
        let under_way = u64::try_from(flight.bytes).unwrap_or(u64::MAX);
        let carried = self.written.saturating_sub(under_way).max(self.carried);
        self.rate.on_carried(now, now, usize::try_from(carried - self.carried).unwrap_or(usize::MAX));
        self.carried = carried;
        let over = flight.bytes.checked_sub(self.rate.flight_max(flight.round_trip))?;
        Some(self.rate.time_of(over))
    }

    /// A batch was taken by the kernel.
    pub(super) fn on_written(&mut self, started: Instant, now: Instant, bytes: usize) {
        self.written = self.written.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        self.at_most = self.at_most.saturating_add(bytes);
        if !self.is_told {
            self.rate.on_carried(started, now, bytes);
        }
    }
}

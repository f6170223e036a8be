//! The time of the present input, and what it makes of the times in blocks.

use crate::idle::CLOCK_GRACE;
use timed_primitives::{Instant, UnixTime};

/// What the clocks say. The core reads none itself.
pub(crate) struct CoreClock {
    now: Instant,
    unix: UnixTime,
    /// How far other validators' clocks are from ours. Unit: milliseconds, negative when ours is ahead.
    network_offset_ms: Option<i64>,
}

impl CoreClock {
    /// Before the first input.
    pub(crate) const fn new() -> Self {
        Self { now: Instant::START, unix: UnixTime(0), network_offset_ms: None }
    }

    /// An input comes at this time.
    pub(crate) fn set(&mut self, now: Instant, unix: UnixTime) {
        self.now = now;
        self.unix = unix;
    }

    /// Other validators' clocks were measured.
    pub(crate) fn set_network_offset(&mut self, offset_ms: Option<i64>) {
        self.network_offset_ms = offset_ms;
    }

    /// Monotonic time: all that decides.
    pub(crate) const fn now(&self) -> Instant {
        self.now
    }

    /// Civil time: for the times in blocks only.
    pub(crate) const fn unix(&self) -> UnixTime {
        self.unix
    }

    /// Our clock's time for a block of ours, lowered to the network's when ours is ahead: others would refuse what is more than
    /// [`CLOCK_GRACE`] ahead of theirs, and each of our turns would cost a round. It is lowered only. Whoever falsified the measure could
    /// make us name an earlier time, down to the parent's, which every proposer may name anyway; a later one never.
    pub(crate) fn block_time(&self, earliest: UnixTime) -> UnixTime {
        let ahead_ms = self.network_offset_ms.map_or(0, |offset| offset.min(0).unsigned_abs());
        UnixTime(self.unix.0.saturating_sub(ahead_ms)).max(earliest)
    }

    /// The latest time that a freshly proposed block may have. A block may always be a moment later than its parent: nodes whose clocks
    /// were turned back accept each other's blocks.
    pub(crate) fn latest_block_time(&self, earliest: UnixTime) -> UnixTime {
        self.unix.plus(CLOCK_GRACE).max(earliest)
    }
}

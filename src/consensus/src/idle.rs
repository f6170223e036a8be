//! When round 0 of a height leaves its hold.
//!
//! A height is started as soon as its parent is committed, but until it leaves the hold neither is a block built nor does anyone wait
//! for one: an idle network is quiet, and no round is burnt. All validators must wake within each other's time-outs, so those who only
//! wait for the leader allow for its clock and for the mempool's relay:
//!
//! | reason | the leader builds | the others begin to wait |
//! |---|---|---|
//! | a message of the height came | at once | at once |
//! | a payload waits | at once | a grace for relay after it began to wait here: see [`crate::timeouts`] |
//! | the empty block is due | parent time + empty interval | [`CLOCK_GRACE`] later (at most half the interval) |
//!
//! Nothing happens before parent time + minimum interval. From round 1 nothing is held.

use std::time::Duration;
use timed_primitives::{Instant, UnixTime};

/// How far apart the clocks of honest validators may be: also the tolerance for block times.
pub const CLOCK_GRACE: Duration = Duration::from_secs(5);

/// Longest time in which a transaction reaches the leader: the mempool asks the next announcer after 500 ms.
pub const RELAY_GRACE: Duration = Duration::from_millis(500);

/// What decides when a height leaves its hold.
pub(crate) struct Idle {
    pub(crate) parent_time: UnixTime,
    pub(crate) min_interval: Duration,
    pub(crate) empty_interval: Duration,
    pub(crate) is_leader: bool,
    /// Time in which a transaction reaches the leader. At most [`RELAY_GRACE`].
    pub(crate) relay_grace: Duration,
}

impl Idle {
    /// When the hold ends, seen from `now`; earlier than `now` means at once.
    pub(crate) fn release_at(
        &self,
        now: Instant,
        unix: UnixTime,
        payload_since: Option<Instant>,
        is_active: bool,
    ) -> Instant {
        let at = |due: UnixTime| now + due.since(unix);
        let earliest = at(self.parent_time.plus(self.min_interval));
        if is_active {
            return earliest;
        }
        let clock_grace = CLOCK_GRACE.min(self.empty_interval / 2);
        let (relay, clock) = match self.is_leader {
            true => (Duration::ZERO, Duration::ZERO),
            false => (self.relay_grace, clock_grace),
        };
        let empty = at(self.parent_time.plus(self.empty_interval).plus(clock));
        let payload = payload_since.map(|since| since + relay);
        payload.map_or(empty, |p| p.min(empty)).max(earliest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant(1_000_000);

    fn idle(is_leader: bool) -> Idle {
        Idle {
            parent_time: UnixTime(100_000),
            min_interval: Duration::from_millis(250),
            empty_interval: Duration::from_secs(10),
            is_leader,
            relay_grace: RELAY_GRACE,
        }
    }

    /// Milliseconds from `NOW` at which the hold ends, `unix` ms after the parent.
    fn wait(is_leader: bool, unix: u64, payload_since: Option<Instant>, is_active: bool) -> i64 {
        let at = idle(is_leader).release_at(NOW, UnixTime(100_000 + unix), payload_since, is_active);
        (at.0 as i64 - NOW.0 as i64) / 1000
    }

    #[test]
    fn leaders_build_when_due_and_the_others_allow_for_clocks_and_relay() {
        assert_eq!([true, false].map(|l| wait(l, 1_000, None, false)), [9_000, 14_000]);
        assert_eq!([true, false].map(|l| wait(l, 20_000, None, false)), [0, 0]);
        assert_eq!([true, false].map(|l| wait(l, 1_000, Some(NOW), false)), [0, 500]);
        assert_eq!(
            [true, false].map(|l| wait(l, 1_000, Some(Instant::START), false)),
            [-1000, -500].map(|w: i64| w.max(0))
        );
        assert_eq!([true, false].map(|l| wait(l, 1_000, None, true)), [0, 0]);
        assert_eq!([true, false].map(|l| wait(l, 50, Some(Instant::START), true)), [200, 200]);
    }
}

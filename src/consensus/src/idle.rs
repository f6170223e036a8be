//! When round 0 of a height leaves its hold.
//!
//! A height is started as soon as its parent is committed, but until it leaves the hold neither is a block built nor does anyone wait
//! for one: an idle network is quiet, and no round is burnt. All validators must wake within each other's time-outs, so those who only
//! wait for the leader allow for what separates them, and for the mempool's relay:
//!
//! | reason | the leader builds | the others begin to wait |
//! |---|---|---|
//! | a message of the height came | at once | at once |
//! | a payload waits | at once | a grace for relay after it began to wait here: see [`crate::timeouts`] |
//! | the empty block is due: the parent was decided here | commit + empty interval | [`COMMIT_GRACE`] later (at most half the interval) |
//! | the parent was committed elsewhere at an unknown time: a restart, a catch-up | at once | a whole interval and the grace later |
//! | the parent is genesis, which lies in the past | at once | the grace later |
//!
//! Nothing happens before the commit + minimum interval. From round 1 nothing is held.
//!
//! All of it counts monotonic time from the commit **on this node**. Civil time decides nothing: honest validators commit within
//! moments of each other, while their clocks may differ by any amount, and be turned back.

use std::time::Duration;
use timed_primitives::Instant;

/// How far ahead of our clock the time of a fresh proposal may be.
pub const CLOCK_GRACE: Duration = Duration::from_secs(5);

/// How far apart honest validators may learn that a height is committed.
pub const COMMIT_GRACE: Duration = Duration::from_secs(5);

/// Longest time in which a transaction reaches the leader: the mempool asks the next announcer after 500 ms.
pub const RELAY_GRACE: Duration = Duration::from_millis(500);

/// When a height's parent was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParentCommit {
    /// Genesis: long ago.
    Genesis,
    /// Elsewhere, before we knew: at a time that only a civil clock could say.
    Unknown,
    /// Decided while we took part, at this moment or a little later.
    At(Instant),
}

/// What decides when a height leaves its hold.
pub(crate) struct IdleRule {
    /// When the height began here, which is when its parent was committed here, or our start.
    pub(crate) began: Instant,
    pub(crate) parent: ParentCommit,
    pub(crate) min_interval: Duration,
    pub(crate) empty_interval: Duration,
    pub(crate) is_leader: bool,
    /// Time in which a transaction reaches the leader. At most [`RELAY_GRACE`].
    pub(crate) relay_grace: Duration,
}

impl IdleRule {
    /// Nothing happens before.
    pub(crate) fn earliest(&self) -> Instant {
        match self.parent {
            ParentCommit::Genesis => self.began,
            ParentCommit::Unknown | ParentCommit::At(_) => self.began + self.min_interval,
        }
    }

    /// When the hold ends; earlier than now means at once.
    pub(crate) fn release_at(&self, payload_since: Option<Instant>, is_active: bool) -> Instant {
        let earliest = self.earliest();
        if is_active {
            return earliest;
        }
        let grace = COMMIT_GRACE.min(self.empty_interval / 2);
        let (relay, empty) = match (self.is_leader, self.parent) {
            (true, ParentCommit::Genesis | ParentCommit::Unknown) => (Duration::ZERO, self.began),
            (true, ParentCommit::At(committed)) => (Duration::ZERO, committed + self.empty_interval),
            (false, ParentCommit::Genesis) => (self.relay_grace, self.began + grace),
            (false, ParentCommit::Unknown | ParentCommit::At(_)) => {
                (self.relay_grace, self.began + self.empty_interval + grace)
            }
        };
        let payload = payload_since.map(|since| since + relay);
        payload.map_or(empty, |p| p.min(empty)).max(earliest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: Instant = Instant(100_000_000);

    /// Milliseconds from the height's begin at which the hold ends, for the leader and for the others.
    fn waits(parent: ParentCommit, payload_ms: Option<i64>, is_active: bool) -> [i64; 2] {
        let payload = payload_ms.map(|ms| Instant(BEGAN.0.saturating_add_signed(ms * 1000)));
        [true, false].map(|is_leader| {
            let idle = IdleRule {
                began: BEGAN,
                parent,
                min_interval: Duration::from_millis(250),
                empty_interval: Duration::from_secs(10),
                is_leader,
                relay_grace: RELAY_GRACE,
            };
            (idle.release_at(payload, is_active).0 as i64 - BEGAN.0 as i64) / 1000
        })
    }

    #[test]
    fn leaders_build_when_due_and_the_others_allow_for_late_commits_and_relay() {
        let decided = ParentCommit::At(BEGAN);
        assert_eq!(waits(decided, None, false), [10_000, 15_000]);
        assert_eq!(waits(decided, Some(1_000), false), [1_000, 1_500]);
        assert_eq!(waits(decided, Some(-900), false), [250, 250], "not before the shortest interval");
        assert_eq!(waits(decided, Some(9_900), false), [9_900, 10_400]);
        assert_eq!(waits(decided, Some(60_000), false), [10_000, 15_000]);
        assert_eq!(waits(decided, None, true), [250, 250]);
    }

    #[test]
    fn who_does_not_know_when_the_parent_was_committed_leads_at_once_and_waits_longest_for_others() {
        assert_eq!(waits(ParentCommit::Unknown, None, false), [250, 15_000]);
        assert_eq!(waits(ParentCommit::Unknown, Some(1_000), false), [250, 1_500]);
        // Seen while it was decided, two seconds before it was known to be committed.
        assert_eq!(waits(ParentCommit::At(Instant(BEGAN.0 - 2_000_000)), None, false), [8_000, 15_000]);
        assert_eq!(waits(ParentCommit::Genesis, None, false), [0, 5_000]);
        assert_eq!(waits(ParentCommit::Genesis, Some(0), true), [0, 0]);
    }
}

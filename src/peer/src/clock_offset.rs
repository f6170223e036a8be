//! How far other nodes' clocks are from ours, and whether ours is the one that is wrong.
//!
//! Each pong carries its sender's time, which is true of some moment of the round trip; the shorter that was, the better it is known. Of
//! the last round trips the shortest counts, as in NTP's clock filter. Times are kept relative to our **monotonic** clock, so that a
//! step of our own civil clock shows at once, and not as a step of all others.
//!
//! ```text
//!  Hello, Pong ──► ClockOffset, one a session ──► median by power ──► OwnClock ──► warning, log
//! ```
//!
//! **Who can falsify it.** The median is that of validators who are present, ourselves included, by voting power, and exists only while
//! they have a quorum. Less than a third of the whole power is less than half of that, so what it says lies between the clocks of two
//! honest validators, whatever the others report; nodes without power report nothing. Between two equally likely values the one nearer to
//! our clock counts, so that doubt raises no alarm.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;
use timed_primitives::{Instant, UnixTime};

/// Samples kept of a session: what lies further back than this many pings says nothing of the clock now. Source: RFC 5905, clock filter.
const SAMPLES_MAX: usize = 8;

/// Error of the time in a handshake, which was read at an unknown moment of the connection's setup.
const HANDSHAKE_ERROR: Duration = crate::handshake::HANDSHAKE_TIMEOUT;

/// Clocks count milliseconds.
const RESOLUTION_MS: u64 = 1;

/// Our clock is called wrong when it differs by more than this from the others. Honest clocks that are kept by NTP differ by some ten
/// milliseconds, and blocks are refused from five seconds on.
pub const OWN_CLOCK_LIMIT: Duration = Duration::from_millis(500);

/// What one message said of the peer's clock.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// Its civil time when our monotonic clock stood at its start. Unit: milliseconds.
    base_ms: i64,
    /// At most this far from the truth, if its answer is true. Unit: milliseconds.
    error_ms: u64,
    is_from_handshake: bool,
}

/// The clock of the other end of a session.
#[derive(Clone, Debug, Default)]
pub struct ClockOffset {
    samples: VecDeque<Sample>,
}

impl ClockOffset {
    /// The handshake carried its sender's time.
    pub fn on_hello(&mut self, now: Instant, theirs: UnixTime) {
        if self.samples.is_empty() {
            self.add(Sample {
                base_ms: millis(theirs).saturating_sub(monotonic_ms(now)),
                error_ms: whole_ms(HANDSHAKE_ERROR),
                is_from_handshake: true,
            });
        }
    }

    /// A pong carried its sender's time, `rtt` after its ping had left.
    pub fn on_pong(&mut self, now: Instant, rtt: Duration, theirs: UnixTime) {
        let half = rtt / 2;
        let read_at = monotonic_ms(now).saturating_sub(i64::try_from(half.as_millis()).unwrap_or(i64::MAX));
        self.samples.retain(|sample| !sample.is_from_handshake);
        self.add(Sample {
            base_ms: millis(theirs).saturating_sub(read_at),
            error_ms: whole_ms(half).saturating_add(RESOLUTION_MS),
            is_from_handshake: false,
        });
    }

    fn add(&mut self, sample: Sample) {
        // What contradicts the newest was read before that clock was set.
        let agrees =
            |other: &Sample| other.base_ms.abs_diff(sample.base_ms) <= other.error_ms.saturating_add(sample.error_ms);
        self.samples.retain(agrees);
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// Their clock minus ours, which stands at `ours`. Unit: milliseconds; `None` before anything was reported.
    pub fn offset_ms(&self, now: Instant, ours: UnixTime) -> Option<i64> {
        let best = self.samples.iter().min_by_key(|sample| sample.error_ms)?;
        Some(best.base_ms.saturating_add(monotonic_ms(now)).saturating_sub(millis(ours)))
    }

    /// The same, when a round trip of no more than a second was measured: what the handshake says may be seconds old.
    pub fn measured_ms(&self, now: Instant, ours: UnixTime) -> Option<i64> {
        let error_max = whole_ms(OWN_CLOCK_LIMIT);
        self.samples.iter().any(|sample| sample.error_ms <= error_max).then(|| self.offset_ms(now, ours)).flatten()
    }
}

fn millis(time: UnixTime) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

fn monotonic_ms(at: Instant) -> i64 {
    i64::try_from(at.0 / 1000).unwrap_or(i64::MAX)
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What a validator's clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reading {
    /// Its clock minus ours. Unit: milliseconds.
    pub offset_ms: i64,
    /// Its voting power.
    pub power: u64,
}

/// The median by power of the validators' clocks minus ours, ours included with `own_power`. `None` while those who are present have
/// less power than `quorum`. Unit: milliseconds; negative when our clock is ahead.
pub fn median_offset(own_power: u64, quorum: u64, readings: &[Reading]) -> Option<i64> {
    let mut all: Vec<_> = readings.iter().copied().filter(|reading| reading.power > 0).collect();
    if own_power > 0 {
        all.push(Reading { offset_ms: 0, power: own_power });
    }
    let present: u128 = all.iter().map(|reading| u128::from(reading.power)).sum();
    if all.is_empty() || present < u128::from(quorum) {
        return None;
    }
    all.sort_unstable();
    let (mut below, mut low, mut high) = (0u128, None, None);
    for reading in all {
        below += u128::from(reading.power);
        if below * 2 >= present {
            low = low.or(Some(reading.offset_ms));
        }
        if below * 2 > present {
            high = high.or(Some(reading.offset_ms));
        }
    }
    let (low, high) = (low?, high?);
    Some(if low > 0 { low } else { high.min(0) })
}

/// What changed in what is known of our own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockChange {
    /// It is off by so much. Unit: milliseconds, others minus ours.
    Off {
        /// How far the others are from it.
        offset_ms: i64,
    },
    /// It agrees again.
    Agrees {
        /// How far the others are from it.
        offset_ms: i64,
    },
}

/// Our own clock is the wrong one, in words for its operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnClockOff {
    /// How far the others are from it. Unit: milliseconds, negative when ours is ahead.
    pub offset_ms: i64,
}

impl fmt::Display for OwnClockOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (far, side) = (self.offset_ms.unsigned_abs(), if self.offset_ms < 0 { "ahead of" } else { "behind" });
        write!(
            f,
            "the clock of this machine is {}.{} s {side} the other validators': set it, and keep it with NTP (chrony, \
             systemd-timesyncd)",
            far / 1000,
            far % 1000 / 100
        )
    }
}

/// Whether our own clock is the wrong one.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnClock {
    reported: Option<i64>,
}

impl OwnClock {
    /// What [`median_offset`] gave. Gives a change to report: when the clock goes beyond [`OWN_CLOCK_LIMIT`], when that has doubled or
    /// halved, and when it is back within half of it. Without a quorum nothing is known, and nothing is said.
    pub fn on_median(&mut self, median: Option<i64>) -> Option<ClockChange> {
        let limit = whole_ms(OWN_CLOCK_LIMIT);
        let Some(offset_ms) = median else {
            self.reported = None;
            return None;
        };
        let (far, before) = (offset_ms.unsigned_abs(), self.reported.map(i64::unsigned_abs));
        match before {
            Some(_) if far <= limit / 2 => {
                self.reported = None;
                Some(ClockChange::Agrees { offset_ms })
            }
            None if far > limit => {
                self.reported = Some(offset_ms);
                Some(ClockChange::Off { offset_ms })
            }
            Some(before) if far > limit && (far / 2 > before || before / 2 > far) => {
                self.reported = Some(offset_ms);
                Some(ClockChange::Off { offset_ms })
            }
            _ => None,
        }
    }

    /// Whether our clock is called wrong.
    pub const fn is_off(&self) -> bool {
        self.reported.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    /// Our monotonic clock, and what our civil clock says then when it is `ahead_ms` ahead.
    fn at(ms: u64, ahead_ms: i64) -> (Instant, UnixTime) {
        (Instant(ms * 1000), UnixTime((1_700_000_000_000 + ms).saturating_add_signed(ahead_ms)))
    }

    #[test]
    fn the_shortest_round_trip_counts_and_a_step_of_either_clock_shows_at_once() {
        let mut clock = ClockOffset::default();
        assert_eq!(clock.offset_ms(at(0, 0).0, at(0, 0).1), None);
        // Read 80 ms before it came, seen as 80 ms behind: not good enough to rely on.
        clock.on_hello(at(1_080, 0).0, at(1_000, 0).1);
        assert_eq!(clock.offset_ms(at(1_080, 0).0, at(1_080, 0).1), Some(-80));
        assert_eq!(clock.measured_ms(at(1_080, 0).0, at(1_080, 0).1), None);
        // A ping that took 400 ms there and 20 ms back, and one of 40 ms in both directions together.
        clock.on_pong(at(2_420, 0).0, 420 * MS, at(2_400, 0).1);
        assert_eq!(clock.measured_ms(at(2_420, 0).0, at(2_420, 0).1), Some(190), "half of the difference");
        clock.on_pong(at(7_040, 0).0, 40 * MS, at(7_020, 0).1);
        clock.on_pong(at(12_300, 0).0, 300 * MS, at(12_010, 0).1);
        assert_eq!(clock.measured_ms(at(12_300, 0).0, at(12_300, 0).1), Some(0));
        // Our clock is set forward by 90 s: they are behind at once, without another ping.
        assert_eq!(clock.measured_ms(at(12_301, 0).0, at(12_301, 90_000).1), Some(-90_000));
        // Theirs is turned back by a second: the next pong shows it, though its round trip is longer.
        clock.on_pong(at(17_100, 0).0, 100 * MS, at(17_050, -1_000).1);
        assert_eq!(clock.measured_ms(at(17_100, 0).0, at(17_100, 0).1), Some(-1_000));
    }

    #[test]
    fn what_is_reported_is_taken_as_it_is_and_bounded() {
        let mut clock = ClockOffset::default();
        for time in [0, u64::MAX, 1_700_000_000_000].into_iter().cycle().take(100) {
            clock.on_hello(Instant(u64::MAX), UnixTime(time));
            clock.on_pong(Instant(u64::MAX), Duration::MAX, UnixTime(time));
            clock.on_pong(Instant(0), MS, UnixTime(time));
            assert!(clock.offset_ms(Instant(0), UnixTime(u64::MAX)).is_some());
            assert!(clock.samples.len() <= SAMPLES_MAX);
        }
    }

    fn median(own: u64, quorum: u64, readings: &[(i64, u64)]) -> Option<i64> {
        let readings: Vec<_> =
            readings.iter().map(|(offset_ms, power)| Reading { offset_ms: *offset_ms, power: *power }).collect();
        median_offset(own, quorum, &readings)
    }

    #[test]
    fn the_median_is_that_of_the_power_that_is_present() {
        assert_eq!(median(1, 3, &[(-2_000, 1), (-1_990, 1), (-2_010, 1)]), Some(-1_990), "we are 2 s ahead");
        assert_eq!(median(1, 3, &[(-2_000, 1), (-1_990, 1)]), Some(-1_990));
        assert_eq!(median(1, 3, &[(-2_000, 1)]), None, "no quorum");
        assert_eq!(median(1, 3, &[(9_000, 1), (10, 1), (20, 1)]), Some(10));
        assert_eq!(median(1, 3, &[(9_000, 1), (2_000, 1)]), Some(2_000));
        assert_eq!(median(1, 3, &[(9_000, 1), (-9_000, 1), (30, 1)]), Some(0));
        assert_eq!(median(1, 2, &[(-2_000, 1)]), Some(0), "one against one: nobody knows");
        assert_eq!(median(0, 3, &[(700, 1), (800, 1), (900, 1)]), Some(800), "an observer");
        assert_eq!(median(0, 3, &[(9_000, 0), (9_000, 0), (9_000, 0), (0, 1)]), None, "without power");
        assert_eq!(median(1, 1, &[(9_000, 0); 9]), Some(0));
        assert_eq!(median(0, 0, &[]), None);
        assert_eq!(median(u64::MAX, u64::MAX, &[(5, u64::MAX), (6, u64::MAX)]), Some(5));
    }

    proptest! {
        /// Byzantine validators with less than a third of the power never move it beyond what honest clocks say, ours among them.
        #[test]
        fn a_byzantine_minority_moves_it_within_honest_bounds_only(
            honest in prop::collection::vec((-3_000i64..3_000, 1u64..100), 1..12),
            lies in prop::collection::vec((any::<i64>(), 1u64..200), 0..8),
            own_power in 0u64..100,
            absent in 0u64..100,
        ) {
            let power = |of: &[(i64, u64)]| of.iter().map(|(_, power)| power).sum::<u64>();
            let total = own_power + power(&honest) + power(&lies) + absent;
            prop_assume!(power(&lies) * 3 < total);
            let all: Vec<_> = honest.iter().chain(&lies).copied().collect();
            let (quorum, present) = (total * 2 / 3 + 1, total - absent);
            let found = median(own_power, quorum, &all);
            prop_assert_eq!(found.is_some(), present >= quorum);
            if let Some(found) = found {
                let clocks = honest.iter().map(|(offset, _)| *offset).chain((own_power > 0).then_some(0));
                let (low, high) = (clocks.clone().min().unwrap(), clocks.max().unwrap());
                prop_assert!((low..=high).contains(&found), "{} is not within {}..={}", found, low, high);
            }
        }
    }

    #[test]
    fn our_clock_is_named_once_and_again_when_that_changes_a_lot_or_is_over() {
        use ClockChange::{Agrees, Off};
        let mut own = OwnClock::default();
        let mut changes = |medians: &[i64]| medians.iter().filter_map(|m| own.on_median(Some(*m))).collect::<Vec<_>>();
        assert_eq!(changes(&[0, 499, -500, 500]), []);
        assert_eq!(changes(&[-2_000, -2_010, -1_500, -3_990]), [Off { offset_ms: -2_000 }]);
        assert_eq!(changes(&[-90_000, -90_010]), [Off { offset_ms: -90_000 }]);
        assert_eq!(changes(&[600, 450, 251]), [Off { offset_ms: 600 }], "within the limit, but not clearly");
        assert_eq!(changes(&[250, 600]), [Agrees { offset_ms: 250 }, Off { offset_ms: 600 }]);
        assert!(own.is_off());
        let words = |offset_ms| OwnClockOff { offset_ms }.to_string();
        assert!(words(-2_040).starts_with("the clock of this machine is 2.0 s ahead of the other validators': set it"));
        assert!(words(3_600_700).starts_with("the clock of this machine is 3600.7 s behind the other validators'"));
        assert_eq!(own.on_median(None), None);
        assert!(!own.is_off(), "without a quorum nothing is known");
    }
}

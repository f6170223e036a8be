//! A node's clock: off by some, running too fast or too slow, and moved by its operator.

use crate::gate::NodeGate;
use rand::RngExt as _;
use rand::rngs::StdRng;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use timed_primitives::{Clock, Instant, UnixTime};

/// How wrong a clock is. It stays so over restarts.
#[derive(Debug, Default)]
pub struct Skew {
    /// Added to civil time. Unit: milliseconds.
    pub offset_ms: AtomicI64,
    /// How much too fast it runs. Unit: millionths.
    pub drift_ppm: i64,
}

/// Farther than any clock of a machine that somebody looks after. Unit: milliseconds.
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// How wrong the clocks of a run are, drawn once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClockOffsets {
    /// By a second at most.
    Near,
    /// Those of these nodes by up to a day, each by another time.
    FewFarOff(BTreeMap<u64, i64>),
    /// All by the same, up to a day.
    AllFarOff(i64),
}

impl ClockOffsets {
    /// Near as often as not. `few_max`: so many validators may be far off when the others are not.
    pub(crate) fn drawn(mut rng: StdRng, voters: u64, nodes: u64, few_max: u64) -> Self {
        let mut far = || rng.random_range(-DAY_MS..=DAY_MS);
        let by_ms: Vec<_> = (0..=nodes).map(|_| far()).collect();
        match rng.random_range(0..4) {
            0 => Self::AllFarOff(by_ms[0]),
            1 => {
                let first = rng.random_range(0..voters.max(1));
                let few = (0..few_max).map(|next| (first + next) % voters.max(1) + 1);
                // Who only follows may be as wrong as it likes.
                let followers = (voters + 1..=nodes).filter(|_| rng.random());
                Self::FewFarOff(few.chain(followers).zip(by_ms).collect())
            }
            _ => Self::Near,
        }
    }

    /// By how much that of a node is off, beside a second. Unit: milliseconds.
    pub(crate) fn offset_ms(&self, node: u64) -> i64 {
        match self {
            Self::Near => 0,
            Self::FewFarOff(few) => few.get(&node).copied().unwrap_or_default(),
            Self::AllFarOff(by_ms) => *by_ms,
        }
    }

    /// Who is far from the others.
    pub(crate) fn far_off(&self) -> BTreeSet<u64> {
        match self {
            Self::FewFarOff(few) => few.keys().copied().collect(),
            Self::Near | Self::AllFarOff(_) => BTreeSet::new(),
        }
    }
}

impl fmt::Display for ClockOffsets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Near => f.write_str("near each other"),
            Self::FewFarOff(few) => write!(f, "far off at {few:?}"),
            Self::AllFarOff(by_ms) => write!(f, "all off by {by_ms} ms"),
        }
    }
}

/// The clock of one life.
pub(crate) struct NodeClock {
    pub(crate) gate: Arc<NodeGate>,
    pub(crate) skew: Arc<Skew>,
    /// When the world began, and the civil time then.
    pub(crate) origin: tokio::time::Instant,
    pub(crate) started: UnixTime,
}

impl NodeClock {
    /// Time since the world began, as this clock counts it.
    fn elapsed(&self) -> Duration {
        let micros = i128::try_from(self.gate.now().duration_since(self.origin).as_micros()).unwrap_or(i128::MAX);
        let counted = micros + micros * i128::from(self.skew.drift_ppm) / 1_000_000;
        Duration::from_micros(u64::try_from(counted).unwrap_or_default())
    }
}

impl Clock for NodeClock {
    fn now(&self) -> Instant {
        Instant::START + self.elapsed()
    }

    fn unix(&self) -> UnixTime {
        let unix = self.started.plus(self.elapsed()).0;
        UnixTime(unix.saturating_add_signed(self.skew.offset_ms.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::DiskPace;
    use crate::trace::Trace;
    use rand::SeedableRng as _;

    #[test]
    fn few_clocks_or_all_are_far_off_in_half_of_all_runs() {
        let drawn: Vec<_> = (0..400).map(|seed| ClockOffsets::drawn(StdRng::seed_from_u64(seed), 7, 9, 2)).collect();
        let near = drawn.iter().filter(|clocks| **clocks == ClockOffsets::Near).count();
        assert!((160..240).contains(&near), "{near} of 400");
        for clocks in &drawn {
            let far_off = clocks.far_off();
            assert!(
                far_off.iter().filter(|id| **id <= 7).count() <= 2 && far_off.iter().all(|id| (1..=9).contains(id))
            );
            assert!((1..=9).all(|id| clocks.offset_ms(id).abs() <= DAY_MS));
        }
        let all = drawn.iter().filter(|clocks| matches!(clocks, ClockOffsets::AllFarOff(_))).count();
        assert!((60..140).contains(&all), "{all} of 400");
        assert!(
            drawn.iter().any(|clocks| clocks.far_off().contains(&8)) && drawn.iter().any(|c| c.far_off().contains(&1))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_runs_too_fast_and_stands_elsewhere_and_a_sync_takes_time_on_it() {
        let disk = DiskPace { sync_micros: 7_000..=7_000, room_bytes: None };
        let gate = NodeGate::new(1, Trace::new(None), StdRng::seed_from_u64(1), &disk);
        let skew = Arc::new(Skew { offset_ms: AtomicI64::new(-2_000), drift_ppm: 100 });
        let origin = tokio::time::Instant::now();
        let clock = NodeClock { gate: gate.clone(), skew: skew.clone(), origin, started: UnixTime(1_000_000) };
        assert_eq!((clock.now(), clock.unix()), (Instant(0), UnixTime(998_000)));
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!((clock.now(), clock.unix()), (Instant(100_010_000), UnixTime(1_098_010)));
        gate.take_sync_time();
        assert_eq!(clock.now(), Instant(100_017_000), "0.7 µs of drift are below what is counted");
        skew.offset_ms.store(60_000, Ordering::Relaxed);
        assert_eq!(clock.unix(), UnixTime(1_160_017));
    }
}

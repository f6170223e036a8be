//! A node's clock: off by some, running too fast or too slow, and moved by its operator.

use crate::gate::NodeGate;
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
    use rand::rngs::StdRng;

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

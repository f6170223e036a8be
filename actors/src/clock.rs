//! The clocks behind the `Clock` seam.

use std::time::Duration;
use timed_primitives::{Clock, Instant, UnixTime};

/// Follows tokio's clock, which is the machine's monotonic clock, or the virtual one while time is paused.
///
/// Civil time is the start's plus what tokio's clock has moved since, so that it never goes back; a step of the machine's clock is
/// followed by [`SystemClock`] only.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    origin: tokio::time::Instant,
    started: UnixTime,
}

impl TokioClock {
    /// A clock that says `started` now.
    pub fn starting_at(started: UnixTime) -> Self {
        Self { origin: tokio::time::Instant::now(), started }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Instant {
        Instant::START + self.origin.elapsed()
    }

    fn unix(&self) -> UnixTime {
        self.started.plus(self.origin.elapsed())
    }
}

/// What happened so long before the process started still has its own [`Instant`]: what an earlier run left in the mempool has waited since.
const BEFORE_START: Duration = Duration::from_secs(30 * 86_400);

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: tokio::time::Instant,
}

impl SystemClock {
    /// A clock that starts now, `BEFORE_START` after its zero.
    pub fn start() -> Self {
        Self { origin: tokio::time::Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::START + BEFORE_START + self.origin.elapsed()
    }

    #[allow(clippy::disallowed_methods, reason = "this is the one place where the daemon reads civil time")]
    fn unix(&self) -> UnixTime {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        UnixTime::default().plus(since_epoch)
    }
}

//! Waits with a deadline: for processes and containers, which announce nothing when they change.

use std::time::{Duration, Instant};

/// Longest wait for anything: far more than it takes, since machines that test are often busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long something takes.
pub(crate) struct Stopwatch(Instant);

#[allow(clippy::disallowed_methods, reason = "other processes live in real time and announce nothing when they change")]
impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The time between two looks at something that is not ready.
#[allow(clippy::disallowed_methods, reason = "as for the stopwatch")]
pub(crate) fn pause() {
    std::thread::sleep(LOOK_EVERY);
}

/// Looks until there is something to see; panics after a minute without.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let watch = Stopwatch::start();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(watch.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain: {what}");
        pause();
    }
}

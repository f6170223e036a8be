//! How long to wait before the next dial.

use rand::Rng;
use std::time::Duration;

/// Shortest wait after a failure, and the unit that doubles. Unit: time.
pub const BACKOFF_MIN: Duration = Duration::from_millis(500);

/// Longest wait: a peer that was away for days is back within this plus one dial.
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// Longest wait between two validators, whose absence costs the network its tolerance.
pub const BACKOFF_MAX_VALIDATORS: Duration = Duration::from_secs(5);

/// Exponential back-off with full jitter: uniform between [`BACKOFF_MIN`] and a ceiling of 1 s, 2 s, 4 s … up to the cap.
///
/// Full jitter, because nodes that lost each other at the same moment must not knock at the same moment again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Failures since the last session that was stable.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Forgets all failures.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Counts a failure and draws the wait before the next dial, at most `cap`.
    pub fn fail(&mut self, cap: Duration, rng: &mut dyn Rng) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let ceiling = BACKOFF_MIN.saturating_mul(1 << self.failures.min(16)).min(cap);
        uniform(rng, BACKOFF_MIN.min(cap), ceiling)
    }

    /// Draws a wait of the first length without counting a failure: both ends of a collision must not retry in step.
    pub fn soon(rng: &mut dyn Rng) -> Duration {
        uniform(rng, BACKOFF_MIN / 2, BACKOFF_MIN.saturating_mul(2))
    }
}

/// Uniform between both, inclusive; `low` when `high` is not above it. Unit of the draw: microseconds.
pub(crate) fn uniform(rng: &mut dyn Rng, low: Duration, high: Duration) -> Duration {
    let span = u64::try_from(high.saturating_sub(low).as_micros()).unwrap_or(u64::MAX);
    low + Duration::from_micros(below(rng, span.saturating_add(1)))
}

/// Uniform in `0..bound`; 0 for a bound of 0. Multiplication method; its bias is below bound / 2⁶⁴.
pub(crate) fn below(rng: &mut dyn Rng, bound: u64) -> u64 {
    let wide = u128::from(rng.next_u64()) * u128::from(bound);
    u64::try_from(wide >> 64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{SeedableRng, rngs::StdRng};

    #[test]
    fn grows_to_the_cap_and_stays_within_bounds() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut longest = [Duration::ZERO; 12];
        for _ in 0..400 {
            let mut backoff = Backoff::default();
            for (n, longest) in longest.iter_mut().enumerate() {
                let wait = backoff.fail(BACKOFF_MAX, &mut rng);
                let ceiling = (BACKOFF_MIN * 2u32.pow(n as u32 + 1)).min(BACKOFF_MAX);
                assert!((BACKOFF_MIN..=ceiling).contains(&wait), "failure {n}: {wait:?}");
                *longest = wait.max(*longest);
            }
        }
        assert!(longest[0] > Duration::from_millis(950), "{:?}", longest[0]);
        assert!(longest[11] > Duration::from_secs(28), "{:?}", longest[11]);
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..100).map(|_| backoff.fail(BACKOFF_MAX_VALIDATORS, &mut rng)).collect();
        assert!(waits.iter().all(|w| *w <= BACKOFF_MAX_VALIDATORS));
        backoff.reset();
        assert!(backoff.fail(BACKOFF_MAX, &mut rng) <= Duration::from_secs(1));
        assert!((0..100).all(|_| Backoff::soon(&mut rng) <= Duration::from_secs(1)));
    }
}

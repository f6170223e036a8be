//! What is known of one peer: its claims, its speed, its failures.

use crate::limits::SyncLimits;
use std::time::Duration;
use timed_primitives::{Height, Instant};

/// A request may take so many times longer than the peer's speed suggests.
const SLACK: u128 = 3;
/// Time a request should take; sets how many blocks a peer is asked for at once.
const REQUEST_AIM: Duration = Duration::from_secs(2);
/// Blocks asked for at once from a peer whose speed is not known.
const FIRST_BLOCKS: u64 = 8;
/// Doublings stop here: 2^6 pauses and time-outs are above every bound of ours.
const DOUBLINGS_MAX: u32 = 6;

#[derive(Clone, Debug, Default)]
pub(crate) struct PeerRecord {
    /// Height it says it has.
    pub(crate) claimed: Height,
    /// Lowest height it says it serves.
    pub(crate) earliest: Height,
    /// Highest block it delivered.
    pub(crate) proven: Height,
    /// Measured. Unit: bytes per second.
    pub(crate) speed: Option<u64>,
    /// Requests in a row that brought no block.
    pub(crate) failures: u32,
    /// Not asked before.
    pub(crate) ask_after: Instant,
    /// It delivered something provably false: not asked again in this session.
    pub(crate) is_blamed: bool,
}

impl PeerRecord {
    /// The height it is believed to have: its claim, or after a failure only what it has shown.
    pub(crate) fn plausible(&self) -> Height {
        match (self.is_blamed, self.failures) {
            (true, _) => Height::GENESIS,
            (false, 0) => self.claimed,
            (false, _) => self.claimed.min(self.proven),
        }
    }

    pub(crate) fn claims(&self, height: Height) -> bool {
        !self.is_blamed && self.earliest <= height && height <= self.claimed
    }

    /// A block of `bytes` arrived, the last of `total` bytes in `elapsed`. The wait for the first byte counts, so the speed is
    /// underestimated rather than overestimated.
    pub(crate) fn on_block(&mut self, height: Height, total: usize, elapsed: Duration) {
        self.failures = 0;
        self.proven = self.proven.max(height);
        let micros = elapsed.as_micros().max(1_000);
        let sample = u128::try_from(total).unwrap_or(u128::MAX >> 64) * 1_000_000 / micros;
        let sample = u64::try_from(sample).unwrap_or(u64::MAX).max(1);
        self.speed = Some(self.speed.map_or(sample, |old| old / 4 * 3 + old % 4 * 3 / 4 + sample / 4).max(1));
    }

    /// A request brought nothing. Those that fail together count once.
    pub(crate) fn on_failure(&mut self, now: Instant, limits: &SyncLimits) {
        if self.failures > 0 && now < self.ask_after {
            return;
        }
        let pause = limits.pause_start * (1 << self.failures.min(DOUBLINGS_MAX));
        self.ask_after = now + pause.min(limits.pause_max);
        self.failures = self.failures.saturating_add(1);
    }

    /// Time allowed from now for so many blocks of this size; doubles with each failure.
    pub(crate) fn timeout(&self, limits: &SyncLimits, blocks: usize, block_bytes: u64) -> Duration {
        let base = match self.speed {
            None => limits.timeout_start,
            Some(speed) => {
                let bytes = u128::try_from(blocks).unwrap_or(u128::MAX >> 64) * u128::from(block_bytes);
                let micros = SLACK * bytes * 1_000_000 / u128::from(speed.max(1));
                Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
            }
        };
        let base = base.clamp(limits.timeout_min, limits.timeout_max);
        (base * (1 << self.failures.min(DOUBLINGS_MAX))).min(limits.timeout_max)
    }

    /// How many blocks of this size to ask for at once.
    pub(crate) fn blocks_at_once(&self, limits: &SyncLimits, block_bytes: u64) -> u64 {
        let max = u64::from(limits.request_blocks_max).max(1);
        let wish = match (self.failures, self.speed) {
            (0, None) => FIRST_BLOCKS,
            (0, Some(speed)) => speed.saturating_mul(REQUEST_AIM.as_secs()) / block_bytes.max(1),
            _ => 1,
        };
        wish.clamp(1, max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_follow_the_measured_speed_within_bounds() {
        let limits = SyncLimits::default();
        let mut peer = PeerRecord::default();
        assert_eq!(peer.timeout(&limits, 16, 1 << 20), Duration::from_secs(2));
        peer.on_block(Height(1), 1_000_000, Duration::from_secs(1));
        assert_eq!(peer.speed, Some(1_000_000));
        assert_eq!(peer.timeout(&limits, 1, 1_000_000), Duration::from_secs(3));
        assert_eq!(peer.timeout(&limits, 1, 1_000), Duration::from_secs(1));
        assert_eq!(peer.timeout(&limits, 1_000, 1_000_000), Duration::from_secs(20));
        assert_eq!(peer.blocks_at_once(&limits, 1_000_000), 2);
        assert_eq!(peer.blocks_at_once(&limits, 10), 16);
        peer.on_failure(Instant(0), &limits);
        assert_eq!(peer.timeout(&limits, 1, 1_000), Duration::from_secs(2));
        assert_eq!(peer.blocks_at_once(&limits, 10), 1);
        assert_eq!(peer.ask_after, Instant(500_000));
        peer.on_failure(Instant(499_999), &limits);
        assert_eq!((peer.failures, peer.ask_after), (1, Instant(500_000)), "both of two requests at once");
        for _ in 0..100 {
            peer.on_failure(peer.ask_after, &limits);
        }
        let last = peer.ask_after;
        peer.on_failure(last, &limits);
        assert_eq!(peer.ask_after.since(last), Duration::from_secs(10));
        assert_eq!(peer.timeout(&limits, 1, 1_000), Duration::from_secs(20));
    }

    #[test]
    fn a_claim_counts_until_it_fails() {
        let mut peer = PeerRecord { claimed: Height(1_000_000), ..PeerRecord::default() };
        assert_eq!(peer.plausible(), Height(1_000_000));
        peer.on_failure(Instant(0), &SyncLimits::default());
        assert_eq!(peer.plausible(), Height(0));
        peer.on_block(Height(7), 1, Duration::ZERO);
        assert_eq!(peer.plausible(), Height(1_000_000));
    }
}

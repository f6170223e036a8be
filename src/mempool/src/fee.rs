//! Fee rates, compared exactly, and the floor that rises when the pool is full.

use std::cmp::Ordering;
use std::time::Duration;
use timed_primitives::{Amount, Instant};

/// A fee for a number of bytes. Ordered by the exact quotient: 1 for 2 bytes equals 2 for 4.
#[derive(Clone, Copy, Debug)]
pub struct FeeRate {
    fee: u64,
    size: u64,
}

impl FeeRate {
    /// `fee` for `size` bytes; a size of 0 counts as 1.
    pub fn new(fee: Amount, size: u64) -> Self {
        Self { fee: fee.0, size: size.max(1) }
    }

    /// `fee` for 1,000 bytes.
    pub fn per_kilobyte(fee: Amount) -> Self {
        Self::new(fee, 1_000)
    }

    /// The fee for 1,000 bytes, rounded down.
    pub fn for_kilobyte(self) -> Amount {
        Amount(u64::try_from(u128::from(self.fee) * 1_000 / u128::from(self.size)).unwrap_or(u64::MAX))
    }

    /// The least fee for `size` bytes at this rate, rounded up.
    pub fn fee_for(self, size: usize) -> Amount {
        let size = u128::try_from(size).unwrap_or(u128::MAX >> 64);
        Amount(u64::try_from((u128::from(self.fee) * size).div_ceil(u128::from(self.size))).unwrap_or(u64::MAX))
    }
}

impl Ord for FeeRate {
    fn cmp(&self, other: &Self) -> Ordering {
        (u128::from(self.fee) * u128::from(other.size)).cmp(&(u128::from(other.fee) * u128::from(self.size)))
    }
}

impl PartialOrd for FeeRate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for FeeRate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for FeeRate {}

/// The fee rate below which nothing is taken. Rises to just above each evicted transaction, halves in each half-life.
///
/// Without it, a stream of cheap transactions would enter and be evicted again, and be relayed by everybody each time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FeeFloor {
    raised_to: u64,
    raised_at: Instant,
}

impl FeeFloor {
    /// The floor now, for 1,000 bytes: halved for each whole half-life, a straight line within one.
    pub(crate) fn at(&self, now: Instant, half_life: Duration) -> u64 {
        let half_life = half_life.as_micros().max(1);
        let elapsed = now.since(self.raised_at).as_micros();
        let halvings = u32::try_from(elapsed / half_life).unwrap_or(u32::MAX);
        let value = u128::from(self.raised_to.checked_shr(halvings).unwrap_or(0));
        let fallen = value * (elapsed % half_life) / (2 * half_life);
        u64::try_from(value - fallen).unwrap_or(u64::MAX)
    }

    pub(crate) fn raise(&mut self, now: Instant, half_life: Duration, to: u64) {
        if to > self.at(now, half_life) {
            *self = Self { raised_to: to, raised_at: now };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_compare_exactly() {
        let rate = |fee, size| FeeRate::new(Amount(fee), size);
        assert_eq!(rate(1, 2), rate(2, 4));
        assert!(rate(u64::MAX, 3) > rate(u64::MAX - 1, 3));
        assert!(rate(1, 3) < rate(334, 1_000));
        assert_eq!(rate(1, 3).for_kilobyte(), Amount(333));
        assert_eq!(rate(1, 3).fee_for(4), Amount(2));
    }

    #[test]
    fn the_floor_halves_and_never_falls_by_raising() {
        let hour = Duration::from_secs(3600);
        let at = |seconds: u64| Instant(seconds * 1_000_000);
        let mut floor = FeeFloor::default();
        floor.raise(at(0), hour, 1_000);
        assert_eq!(floor.at(at(0), hour), 1_000);
        assert_eq!(floor.at(at(1_800), hour), 750);
        assert_eq!(floor.at(at(3_600), hour), 500);
        floor.raise(at(3_600), hour, 400);
        assert_eq!(floor.at(at(3_600), hour), 500);
        assert_eq!(floor.at(at(3_600 * 100), hour), 0);
        assert_eq!(floor.at(Instant(u64::MAX), Duration::ZERO), 0);
    }
}

//! How long payments take from acceptance by this node to finality on this node.

use std::collections::VecDeque;
use std::time::Duration;

/// Upper bounds of the histogram. Unit: milliseconds. Chosen around the aim of 25 ms at the median and 150 ms at the 99th percentile.
pub const BOUNDS_MS: [u64; 12] = [5, 10, 15, 25, 50, 75, 100, 150, 250, 500, 1_000, 5_000];

/// How many of the last values the percentiles look at; older ones are forgotten.
const RECENT_MAX: usize = 1_000;

/// Times from acceptance to finality.
#[derive(Clone, Debug, Default)]
pub struct Finality {
    /// Values at most [`BOUNDS_MS`] of the same position, not cumulated; the last counts those above all bounds.
    buckets: [u64; BOUNDS_MS.len() + 1],
    sum: Duration,
    count: u64,
    recent: VecDeque<Duration>,
}

/// What onlookers see of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FinalitySummary {
    /// Values per bucket, not cumulated.
    pub buckets: [u64; BOUNDS_MS.len() + 1],
    /// Sum of all values.
    pub sum: Duration,
    /// Number of all values.
    pub count: u64,
    /// The last value.
    pub last: Option<Duration>,
    /// Median of the last 1,000.
    pub p50: Option<Duration>,
    /// 99th percentile of the last 1,000.
    pub p99: Option<Duration>,
}

impl Finality {
    /// Records one payment.
    pub fn record(&mut self, took: Duration) {
        let bucket =
            BOUNDS_MS.iter().position(|bound| took <= Duration::from_millis(*bound)).unwrap_or(BOUNDS_MS.len());
        self.buckets[bucket] += 1;
        self.sum += took;
        self.count += 1;
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(took);
    }

    /// The figures now.
    pub fn summary(&self) -> FinalitySummary {
        let mut sorted: Vec<_> = self.recent.iter().copied().collect();
        sorted.sort_unstable();
        let at =
            |percent: usize| sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied();
        FinalitySummary {
            buckets: self.buckets,
            sum: self.sum,
            count: self.count,
            last: self.recent.back().copied(),
            p50: at(50),
            p99: at(99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_sums_and_forgets() {
        let mut finality = Finality::default();
        assert_eq!(finality.summary().p50, None);
        for ms in 1..=2_000 {
            finality.record(Duration::from_millis(ms));
        }
        let summary = finality.summary();
        assert_eq!(summary.count, 2_000);
        assert_eq!(summary.buckets.iter().sum::<u64>(), 2_000);
        assert_eq!(summary.buckets[0], 5);
        assert_eq!(summary.last, Some(Duration::from_secs(2)));
        assert_eq!(summary.p50, Some(Duration::from_millis(1_501)));
        assert_eq!(summary.p99, Some(Duration::from_millis(1_991)));
    }
}

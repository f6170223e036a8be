//! How long payments take from acceptance by this node to finality on this node.

use prometheus_client::metrics::histogram::Histogram;
use std::collections::VecDeque;
use std::time::Duration;

/// How many of the last values the percentiles look at; older ones are forgotten.
const RECENT_MAX: usize = 1_000;

/// Times from acceptance to finality.
#[derive(Debug)]
pub struct Finality {
    /// The node's.
    all: Histogram,
    recent: VecDeque<Duration>,
}

/// What onlookers see of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FinalitySummary {
    /// The last value.
    pub last: Option<Duration>,
    /// Median of the last 1,000.
    pub p50: Option<Duration>,
    /// 99th percentile of the last 1,000.
    pub p99: Option<Duration>,
}

impl Finality {
    /// None yet. All that come are counted in this histogram too.
    pub const fn new(all: Histogram) -> Self {
        Self { all, recent: VecDeque::new() }
    }

    /// Records one payment.
    pub fn record(&mut self, took: Duration) {
        self.all.observe(took.as_secs_f64());
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
        FinalitySummary { last: self.recent.back().copied(), p50: at(50), p99: at(99) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::times::NodeTimes;

    #[test]
    fn counts_sums_and_forgets() {
        let times = NodeTimes::default();
        let mut finality = Finality::new(times.finality.clone());
        assert_eq!(finality.summary().p50, None);
        for ms in 1..=2_000 {
            finality.record(Duration::from_millis(ms));
        }
        let summary = finality.summary();
        assert_eq!(times.finality.count(), 2_000);
        assert!((times.finality.sum() - 2_001.0).abs() < 1e-6, "{}", times.finality.sum());
        assert_eq!(summary.last, Some(Duration::from_secs(2)));
        assert_eq!(summary.p50, Some(Duration::from_millis(1_501)));
        assert_eq!(summary.p99, Some(Duration::from_millis(1_991)));
    }
}

//! Durations counted below fixed bounds, as Prometheus' histograms want them.

use std::time::Duration;

/// Upper bounds of the buckets. Unit: milliseconds. The same for all histograms: fine around the aims for finality (25 ms at the median, 150
/// at the 99th percentile) and for round trips, coarse up to the deadline of a silent peer.
const BOUNDS_MS: [u64; 16] = [1, 2, 5, 10, 15, 25, 50, 75, 100, 150, 250, 500, 1_000, 2_500, 5_000, 15_000];

/// How many durations fell below each bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Values up to the bound of the same position and above the one before.
    buckets: [u64; BOUNDS_MS.len()],
    sum: Duration,
    count: u64,
}

impl Histogram {
    /// Counts one.
    pub fn record(&mut self, value: Duration) {
        let place = BOUNDS_MS.partition_point(|bound| Duration::from_millis(*bound) < value);
        if let Some(bucket) = self.buckets.get_mut(place) {
            *bucket += 1;
        }
        self.sum = self.sum.saturating_add(value);
        self.count += 1;
    }

    /// Counts all that the other has counted.
    pub fn add(&mut self, other: &Self) {
        for (bucket, more) in self.buckets.iter_mut().zip(other.buckets) {
            *bucket += more;
        }
        self.sum = self.sum.saturating_add(other.sum);
        self.count += other.count;
    }

    /// Each bound with the number of values not above it. Values above the last bound are in [`Histogram::count`] only.
    pub fn cumulated(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let mut below = 0;
        BOUNDS_MS.iter().zip(self.buckets).map(move |(bound, count)| {
            below += count;
            (Duration::from_millis(*bound), below)
        })
    }

    /// Sum of all values.
    pub const fn sum(&self) -> Duration {
        self.sum
    }

    /// Number of all values.
    pub const fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values_ms: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        values_ms.iter().for_each(|ms| histogram.record(Duration::from_millis(*ms)));
        histogram
    }

    #[test]
    fn values_on_a_bound_are_below_it_and_those_above_all_are_counted_too() {
        let histogram = of(&[0, 1, 2, 3, 5, 15_000, 15_001]);
        let counts: Vec<_> = histogram.cumulated().map(|(bound, count)| (bound.as_millis(), count)).collect();
        assert_eq!(counts[..4], [(1, 2), (2, 3), (5, 5), (10, 5)]);
        assert_eq!(counts.last(), Some(&(15_000, 6)));
        assert_eq!((histogram.count(), histogram.sum()), (7, Duration::from_millis(30_012)));
    }

    #[test]
    fn histograms_add_up() {
        let mut one = of(&[1, 7]);
        one.add(&of(&[2, 20_000]));
        assert_eq!(one, of(&[1, 2, 7, 20_000]));
    }
}

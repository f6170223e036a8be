//! How long things took, in histograms of `prometheus-client`: each time is counted once, where it ends, and `/metrics` shows them.

use prometheus_client::metrics::histogram::Histogram;
use timed_wire::Lane;

/// Upper bounds of the buckets. Unit: seconds. The same for all histograms: fine around the aims for finality (25 ms at the median, 150
/// at the 99th percentile) and for round trips, coarse up to the deadline of a silent peer.
const BOUNDS_SECONDS: [f64; 16] =
    [0.001, 0.002, 0.005, 0.01, 0.015, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];

/// The histograms of one node. Clones are the same.
#[derive(Clone, Debug)]
pub struct NodeTimes {
    /// Round trips of pings, of all sessions since the start.
    pub round_trips: Histogram,
    /// From being queued until the last byte was given to the system, by lane: control, consensus, bulk; of all sessions since the start.
    pub waits: [Histogram; Lane::ALL.len()],
    /// From acceptance of a payment by this node to its finality on this node.
    pub finality: Histogram,
}

impl Default for NodeTimes {
    fn default() -> Self {
        let empty = || Histogram::new(BOUNDS_SECONDS);
        Self { round_trips: empty(), waits: std::array::from_fn(|_| empty()), finality: empty() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    #[test]
    fn values_on_a_bound_are_below_it_and_those_above_all_are_counted_too() {
        let times = NodeTimes::default();
        [0.0, 0.001, 0.002, 0.003, 0.005, 15.0, 15.001]
            .into_iter()
            .for_each(|seconds| times.clone().finality.observe(seconds));
        let (mut registry, mut page) = (Registry::default(), String::new());
        registry.register("took", "Times", times.finality);
        encode(&mut page, &registry).unwrap();
        let counts = ["0.001\"} 2", "0.002\"} 3", "0.005\"} 5", "0.01\"} 5", "15.0\"} 6", "+Inf\"} 7"];
        for count in counts {
            assert!(page.contains(&format!("took_bucket{{le=\"{count}\n")), "{count}: {page}");
        }
        assert_eq!(page.matches("_bucket").count(), BOUNDS_SECONDS.len() + 1);
    }
}

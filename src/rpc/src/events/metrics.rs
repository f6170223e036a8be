//! What the page `/metrics` says of subscribers.

use super::hub::EventHub;
use super::subscriber::SubscriberEnd;
use crate::metric_set;
use crate::metrics::{ConstCounter, ConstGauge, Registry, Series, counter, level};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use std::fmt;

metric_set! {
    /// Clients of `/ws`.
    struct EventMetrics, "timed_rpc" {
        /// Clients that are connected to `/ws`.
        subscribers: ConstGauge<u64>,
        /// Events that were queued for clients, counted for each subscription.
        events: ConstCounter<u64>,
        /// Clients of `/ws` that the node closed.
        subscribers_closed: Series<SubscriberEndLabels, ConstCounter<u64>>,
    }
}

/// Why it was closed.
#[derive(Debug, EncodeLabelSet)]
struct SubscriberEndLabels {
    reason: SubscriberEnd,
}

impl EncodeLabelValue for SubscriberEnd {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.name().encode(encoder)
    }
}

impl EventHub {
    /// Puts its numbers on the page.
    pub(crate) fn register_metrics(&self, registry: &mut Registry) {
        let metrics = self.with(|table, _| EventMetrics {
            subscribers: level(u64::try_from(table.count()).unwrap_or(u64::MAX)),
            events: counter(table.events()),
            subscribers_closed: SubscriberEnd::ALL
                .map(|reason| (SubscriberEndLabels { reason }, counter(table.ended(reason))))
                .into_iter()
                .collect(),
        });
        metrics.register(registry);
    }
}

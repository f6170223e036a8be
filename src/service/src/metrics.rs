//! `/metrics`: the published state as sets of metrics, one set for each component. Names are `timed_<component>_<noun>_<unit>`; labels come
//! from closed sets only ([`labels`]), never an address, a key or a text.

mod chain;
mod labels;
mod mempool;
mod peers;
mod rewards;

use self::labels::{Label, Reason};
use crate::Service;
use prometheus_client::encoding::EncodeLabelSet;
use timed_actors::Component;
use timed_rpc::metrics::{ConstCounter, ConstGauge, Registry, Series, counter, flag};
use timed_rpc::{Severity, Trouble, metric_set};

metric_set! {
    /// How the node is as a whole.
    struct HealthMetrics, "timed_node" {
        /// 1 while it is so, as /health, /ready and the warnings say.
        trouble: Series<Reason, ConstGauge<u64>>,
        /// 1 while /ready is 200.
        ready: ConstGauge<u64>,
        /// How long a part of the node has given no sign of life; above 10 it hangs.
        silent_seconds: Series<ComponentLabels, ConstGauge<f64>>,
        /// Time since the start.
        uptime_seconds: ConstGauge<u64>,
    }
}

metric_set! {
    /// What became of the log.
    struct LogMetrics, "timed_log" {
        /// Lines of the log that were dropped because standard output was not read.
        dropped_lines: ConstCounter<u64>,
    }
}

/// A part of the node that gives signs of life.
#[derive(Debug, EncodeLabelSet)]
struct ComponentLabels {
    component: Label<Component>,
}

impl Service {
    /// Registers everything that is known now.
    pub(crate) fn register_metrics(&self, registry: &mut Registry) {
        self.node_metrics().register(registry);
        LogMetrics { dropped_lines: counter(self.log.dropped().all) }.register(registry);
        self.register_chain_metrics(registry);
        self.register_reward_metrics(registry);
        self.register_peer_metrics(registry);
        self.register_mempool_metrics(registry);
    }

    fn node_metrics(&self) -> HealthMetrics {
        let troubles = self.all_troubles();
        let is_so = |name: &str| troubles.iter().any(|trouble| trouble.name() == name);
        let silence = |component| ConstGauge::new(self.handles.pulses.silence(component).as_secs_f64());
        let components = Component::ALL.into_iter();
        HealthMetrics {
            trouble: Trouble::NAMES.into_iter().map(|reason| (Reason { reason }, flag(is_so(reason)))).collect(),
            ready: flag(troubles.iter().all(|trouble| trouble.severity() < Severity::NotReady)),
            silent_seconds: components
                .map(|component| (ComponentLabels { component: Label(component) }, silence(component)))
                .collect(),
            uptime_seconds: ConstGauge::new(self.clock.now().since(self.started).as_secs()),
        }
    }
}

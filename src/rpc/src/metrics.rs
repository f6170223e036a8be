//! What `/metrics` is made of: sets of typed metrics, filled anew for each page from what is published, and written in the OpenMetrics text
//! format by `prometheus-client`. Nothing is counted here.

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::{MetricType, TypedMetric};
use std::fmt;

pub use prometheus_client::metrics::counter::ConstCounter;
pub use prometheus_client::metrics::gauge::ConstGauge;
pub use prometheus_client::metrics::histogram::Histogram;
pub use prometheus_client::registry::Registry;

/// The type of the page.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The page of what was registered.
pub fn page(registry: &Registry) -> String {
    let mut page = String::new();
    encode(&mut page, registry).expect("a text takes all that is written, and labels are names");
    page
}

/// Declares a set of metrics. Each field is the metric of that name below the prefix, and its comment is what the page says of it; the name of
/// a counter has `_total` on the page. A set is made in one piece, so that nothing can be forgotten, and then registered.
#[macro_export]
macro_rules! metric_set {
    ($(#[$about:meta])* $visibility:vis struct $set:ident, $prefix:literal {
        $($(#[doc = $help:literal])+ $metric:ident: $kind:ty,)+
    }) => {
        $(#[$about])*
        #[derive(Debug)]
        $visibility struct $set {
            $($(#[doc = $help])+ $visibility $metric: $kind,)+
        }

        impl $set {
            /// Puts all of it on the page.
            $visibility fn register(self, registry: &mut $crate::metrics::Registry) {
                $(registry.register(
                    concat!($prefix, "_", stringify!($metric)),
                    $crate::metrics::help(concat!($($help),+)),
                    self.$metric,
                );)+
            }
        }
    };
}

/// A comment as the page has it; the registry adds the full stop.
#[doc(hidden)]
pub fn help(comment: &str) -> &str {
    comment.trim().trim_end_matches('.')
}

/// One sample for each label set, in the order given; without any, the page has nothing of it.
#[derive(Debug)]
pub struct Series<L, M>(Vec<(L, M)>);

impl<L, M> FromIterator<(L, M)> for Series<L, M> {
    fn from_iter<I: IntoIterator<Item = (L, M)>>(samples: I) -> Self {
        Self(samples.into_iter().collect())
    }
}

impl<L: EncodeLabelSet, M: EncodeMetric + TypedMetric> EncodeMetric for Series<L, M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(labels, metric)| metric.encode(encoder.encode_family(labels)?))
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A metric without labels that is not always known; while it is not, the page has nothing of it.
#[derive(Debug)]
pub struct OptionalMetric<M>(pub Option<M>);

impl<M: EncodeMetric + TypedMetric> EncodeMetric for OptionalMetric<M> {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |metric| metric.encode(encoder))
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }

    fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

/// A level that counts something.
pub fn level(count: impl TryInto<u64>) -> ConstGauge<u64> {
    ConstGauge::new(count.try_into().unwrap_or(u64::MAX))
}

/// Whether something is so: 1 or 0.
pub fn flag(is_so: bool) -> ConstGauge<u64> {
    ConstGauge::new(is_so.into())
}

/// How many since the start.
pub fn counter(count: u64) -> ConstCounter<u64> {
    ConstCounter::new(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
    struct Color {
        color: &'static str,
    }

    metric_set! {
        /// A set.
        struct Sample, "timed_sample" {
            /// What waits.
            waiting: ConstGauge<u64>,
            /// What came, by color:
            /// in two lines.
            came: Series<Color, ConstCounter<u64>>,
            /// Nothing yet.
            unseen: Series<Color, ConstCounter<u64>>,
            /// Not known.
            offset_seconds: OptionalMetric<ConstGauge<f64>>,
            /// How long it took.
            wait_seconds: Series<Color, Histogram>,
        }
    }

    #[test]
    fn a_set_is_written_as_openmetrics() {
        let took = Histogram::new([0.001, 1.0]);
        [0.001, 0.25, 7.0].into_iter().for_each(|seconds| took.observe(seconds));
        let set = Sample {
            waiting: level(3_usize),
            came: [("red", 1), ("blue", 2)]
                .map(|(color, count)| (Color { color }, counter(count)))
                .into_iter()
                .collect(),
            unseen: Series::from_iter([]),
            offset_seconds: OptionalMetric(None),
            wait_seconds: [(Color { color: "red" }, took)].into_iter().collect(),
        };
        let mut registry = Registry::default();
        set.register(&mut registry);
        let expected = "# HELP timed_sample_waiting What waits.\n\
                        # TYPE timed_sample_waiting gauge\n\
                        timed_sample_waiting 3\n\
                        # HELP timed_sample_came What came, by color: in two lines.\n\
                        # TYPE timed_sample_came counter\n\
                        timed_sample_came_total{color=\"red\"} 1\n\
                        timed_sample_came_total{color=\"blue\"} 2\n\
                        # HELP timed_sample_wait_seconds How long it took.\n\
                        # TYPE timed_sample_wait_seconds histogram\n\
                        timed_sample_wait_seconds_sum{color=\"red\"} 7.251\n\
                        timed_sample_wait_seconds_count{color=\"red\"} 3\n\
                        timed_sample_wait_seconds_bucket{le=\"0.001\",color=\"red\"} 1\n\
                        timed_sample_wait_seconds_bucket{le=\"1.0\",color=\"red\"} 2\n\
                        timed_sample_wait_seconds_bucket{le=\"+Inf\",color=\"red\"} 3\n\
                        # EOF\n";
        assert_eq!(page(&registry), expected);
    }
}

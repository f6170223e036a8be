//! The page for Prometheus, held to the OpenMetrics text format (1.0.0) and to our own rules for names and labels.

use std::collections::{BTreeMap, BTreeSet};

/// Longest label value: they come from closed sets of short names.
const LABEL_MAX: usize = 24;

/// Samples by name and labels, as they stand on the page.
pub(crate) struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Reads a page.
    ///
    /// # Panics
    /// At the first line that breaks a rule.
    pub(crate) fn read(page: &str) -> Self {
        let (mut kinds, mut samples) = (BTreeMap::new(), BTreeMap::new());
        let mut helped = BTreeSet::new();
        let page = page.trim_end().strip_suffix("# EOF").expect("the page ends with its mark");
        for line in page.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, text) = help.split_once(' ').unwrap();
                assert!(text.ends_with('.') && helped.insert(name), "{line}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert!(helped.contains(name), "no help before: {line}");
                assert!(!name.ends_with("_total"), "a counter's samples end so, not its name: {line}");
                kinds.insert(name, kind);
            } else {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                let name = sample.split('{').next().unwrap();
                let kind_without = |end: &str| name.strip_suffix(end).and_then(|name| kinds.get(name)).copied();
                let is_part = |end| kind_without(end) == Some("histogram");
                let is_known = kinds.get(name) == Some(&"gauge")
                    || kind_without("_total") == Some("counter")
                    || ["_bucket", "_sum", "_count"].into_iter().any(is_part);
                assert!(is_known, "no head before: {line}");
                assert!(name.starts_with("timed_"), "{line}");
                check_labels(sample);
                assert!(samples.insert(sample.to_owned(), value.parse().unwrap()).is_none(), "twice: {line}");
            }
        }
        let metrics = Self(samples);
        for (name, _) in kinds.iter().filter(|(_, kind)| **kind == "histogram") {
            metrics.check_histograms(name);
        }
        metrics
    }

    /// The sum over all labels.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let of_it = self.0.iter().filter(|(sample, _)| sample.split('{').next() == Some(name));
        of_it.map(|(_, value)| value).sum()
    }

    /// The sample with these labels.
    pub(crate) fn get(&self, sample: &str) -> f64 {
        *self.0.get(sample).unwrap_or_else(|| panic!("no {sample}"))
    }

    /// Buckets ascend, and the last holds all.
    fn check_histograms(&self, name: &str) {
        let mut series: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        for (sample, count) in &self.0 {
            let Some(labels) = sample.strip_prefix(&format!("{name}_bucket")) else { continue };
            let labels = labels.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
            let (bounds, others): (Vec<_>, Vec<_>) = labels.split(',').partition(|label| label.starts_with("le="));
            let bound = bounds[0].trim_start_matches("le=").trim_matches('"').parse().unwrap();
            series.entry(others.join(",")).or_default().push((bound, *count));
        }
        assert!(!series.is_empty(), "{name} has no buckets");
        for (labels, mut buckets) in series {
            buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
            assert!(buckets.is_sorted_by_key(|(_, count)| *count), "{name} {labels}: {buckets:?}");
            let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
            assert_eq!(buckets.last(), Some(&(f64::INFINITY, self.get(&format!("{name}_count{labels}")))));
            assert!(self.get(&format!("{name}_sum{labels}")) >= 0.0);
        }
    }
}

fn check_labels(sample: &str) {
    let Some((_, labels)) = sample.split_once('{') else { return };
    for label in labels.strip_suffix('}').unwrap().split(',') {
        let (name, value) = label.split_once('=').unwrap();
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap();
        assert!(!name.is_empty() && value.len() <= LABEL_MAX, "{sample}");
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.+".contains(&byte);
        assert!(value.bytes().all(is_plain), "a label may be an address or a text: {sample}");
    }
}

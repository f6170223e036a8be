//! Payments: what was sent and what became of it.

use crate::{bench, report};
use serde_json::Value;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn payments_are_counted_and_their_finality_is_reported() {
    let report = report(&["--nodes", "4", "--tps", "25", "--duration", "4s"], LIMIT);
    for (field, expected) in [("scheduled", 100), ("submitted", 100), ("finalized", 100)] {
        assert_eq!(report[field], expected, "{field}: {report:#}");
    }
    for field in ["refused", "unanswered", "unsent", "finalized_unanswered", "finalized_refused", "lost"] {
        assert_eq!(report[field], 0, "{field}: {report:#}");
    }
    let number = |value: &Value| value.to_string().parse::<f64>().unwrap_or_else(|_| panic!("no number: {value}"));
    let [p50, p95, p99] = ["p50", "p95", "p99"].map(|name| number(&report["finality_ms"][name]));
    assert!(0.0 < p50 && p50 <= p95 && p95 <= p99, "{report:#}");
    assert!(number(&report["achieved_tps"]) > 0.0 && number(&report["blocks"]) >= 1.0, "{report:#}");
    let cost = ["payment_us", "payment_signature_checks", "height_ms", "signature_check_us"];
    assert!(cost.iter().all(|name| number(&report[*name]) > 0.0), "{report:#}");
    for field in ["cpu_s_per_node", "rss_mb_per_node"] {
        let values = report[field].as_array().unwrap();
        assert_eq!(values.len(), 4);
        assert!(values.iter().all(|value| number(value) > 0.0), "{field}: {report:#}");
    }
    assert!(report["setting"]["command"].as_str().unwrap().starts_with("timed-bench --nodes 4"), "{report:#}");
}

#[test]
fn what_cannot_be_measured_is_refused_in_words() {
    let cases: [(&[&str], &str); 3] = [
        (&["--tps", "fast"], "expected a number above 0"),
        (&["--data-dir", "/proc/none", "--duration", "1s"], "cannot make the folder /proc/none"),
        (&["sync", "--timed", "/nowhere/timed"], "there is no program /nowhere/timed"),
    ];
    for (arguments, expected) in cases {
        let output = bench(arguments, LIMIT);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains(expected), "{errors}");
    }
}

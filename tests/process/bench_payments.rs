//! `timed bench`: real nodes, real payments, figures that add up. How fast it is, is not for a test to say.

use crate::harness::{run, timed};
use serde_json::Value;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);

fn bench(arguments: &[&str]) -> (bool, String, String) {
    let home = tempfile::tempdir().unwrap();
    let mut command = timed();
    command.arg("bench").args(arguments).env("HOME", home.path());
    let output = run(command, LIMIT);
    let left: Vec<_> = std::fs::read_dir(home.path().join(".timed")).into_iter().flatten().flatten().collect();
    assert!(left.is_empty(), "temporary folders are left: {left:?}");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn payments_are_counted_and_their_finality_is_reported() {
    let (is_good, out, errors) = bench(&["--nodes", "4", "--tps", "25", "--duration", "4s", "--json"]);
    assert!(is_good, "{errors}");
    let report: Value = serde_json::from_str(&out).unwrap();
    for (field, expected) in [("scheduled", 100), ("submitted", 100), ("finalized", 100), ("refused", 0), ("lost", 0)] {
        assert_eq!(report[field], expected, "{field}: {report:#}");
    }
    let number = |value: &Value| value.to_string().parse::<f64>().unwrap_or_else(|_| panic!("no number: {value}"));
    let [p50, p95, p99] = ["p50", "p95", "p99"].map(|name| number(&report["finality_ms"][name]));
    assert!(0.0 < p50 && p50 <= p95 && p95 <= p99, "{report:#}");
    assert!(number(&report["achieved_tps"]) > 0.0 && number(&report["blocks"]) >= 1.0, "{report:#}");
    for field in ["cpu_s_per_node", "rss_mb_per_node"] {
        let values = report[field].as_array().unwrap();
        assert_eq!(values.len(), 4);
        assert!(values.iter().all(|value| number(value) > 0.0), "{field}: {report:#}");
    }
    assert!(report["setting"]["command"].as_str().unwrap().starts_with("timed bench --nodes 4"), "{report:#}");
}

#[test]
fn what_cannot_be_measured_is_refused_in_words() {
    let (is_good, _, errors) = bench(&["--tps", "fast"]);
    assert!(!is_good && errors.contains("expected a number above 0"), "{errors}");
    let (is_good, _, errors) = bench(&["--data-dir", "/proc/none", "--duration", "1s"]);
    assert!(!is_good && errors.contains("cannot make the folder /proc/none"), "{errors}");
}

//! Numbers for people and for programs.

use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Display;
use std::io::Write as _;
use std::time::Duration;

/// How values are distributed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Percentiles {
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

impl Percentiles {
    /// Of values in any order, by nearest rank; zeros when there are none.
    pub(super) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |percent: usize| {
            let rank = (values.len() * percent).div_ceil(100).max(1);
            values.get(rank - 1).copied().unwrap_or_default()
        };
        Self { p50: at(50), p95: at(95), p99: at(99), max: at(100) }
    }
}

/// The middle of repeated measurements; the mean of the two middle ones of an even number, 0 of none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// Milliseconds with fractions.
pub(super) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// Rounded to so many digits, so that reports are short.
pub(super) fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

/// A count as a number with fractions.
#[allow(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

/// What a figure was measured on and with.
pub(super) fn setting() -> Value {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = text.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "build": if cfg!(debug_assertions) { "debug" } else { "release" },
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "cpu": cpu.unwrap_or("unknown"),
        "system": format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        "command": std::env::args().skip(1).fold(String::from("timed-bench"), |all, word| all + " " + &word),
    })
}

/// Prints one object for programs.
pub(super) fn print_json(report: &Value) {
    print(report);
}

/// Prints rows of name, value and remark for people.
pub(super) fn print_rows(rows: &[(&str, String, &str)]) {
    let width = |of: fn(&(&str, String, &str)) -> usize| rows.iter().map(of).max().unwrap_or(0);
    let (names, values) = (width(|row| row.0.len()), width(|row| row.1.len()));
    for (name, value, remark) in rows {
        print(format!("{name:names$}  {value:>values$}  {remark}").trim_end());
    }
}

/// Prints text for people.
pub(super) fn print_text(text: &str) {
    print(text.trim_end());
}

/// A line on standard output; a reader that has seen enough (`| head`) is no error.
fn print(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A line of progress, beside the result.
pub(super) fn progress(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let values = (1..=200).rev().map(f64::from).collect();
        assert_eq!(Percentiles::of(values), Percentiles { p50: 100.0, p95: 190.0, p99: 198.0, max: 200.0 });
        assert_eq!(Percentiles::of(vec![7.0]), Percentiles { p50: 7.0, p95: 7.0, p99: 7.0, max: 7.0 });
        assert_eq!(Percentiles::of(Vec::new()), Percentiles::default());
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_ones() {
        assert!((median(vec![9.0, 1.0, 2.0, 4.0]) - 3.0).abs() < 1e-9);
        assert!((median(vec![9.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!(median(Vec::new()).abs() < 1e-9);
    }
}

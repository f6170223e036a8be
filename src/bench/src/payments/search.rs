//! The highest rate that the nodes sustain.

use super::network::PaymentNetwork;
use super::run::{PaymentFigures, measure};
use crate::report;
use std::time::Duration;

/// How long one trial sends.
const TRIAL: Duration = Duration::from_secs(10);
/// The first trial. Unit: payments per second.
const FIRST: f64 = 500.0;
/// Highest trial.
const LAST: f64 = 16_000.0;
/// The search ends when the bounds are this close.
const CLOSE: f64 = 1.08;

/// Doubles the rate until the nodes fall behind, then halves the distance; the highest good rate is then played in full. When they do not
/// sustain it that long, the next lower ones are tried, each 8 % below. Returns the full run and all trials.
pub(super) fn highest(
    network: &mut PaymentNetwork,
    duration: Duration,
) -> anyhow::Result<(PaymentFigures, Vec<PaymentFigures>)> {
    let mut trials = Vec::new();
    let (mut good, mut bad) = (0.0, f64::INFINITY);
    let mut rate = FIRST;
    while bad / good > CLOSE && rate <= LAST {
        if try_rate(network, rate, TRIAL.min(duration), &mut trials)? {
            good = rate;
        } else {
            bad = rate;
        }
        rate = match (good > 0.0, bad.is_finite()) {
            (_, false) => good * 2.0,
            (false, true) => bad / 2.0,
            (true, true) => (good * bad).sqrt(),
        };
        anyhow::ensure!(rate >= 1.0, "the nodes do not sustain one payment per second; their logs say why");
        rate = rate.round();
    }
    let mut rate = good;
    loop {
        let measured = measure(network, rate, duration)?;
        if measured.is_sustained() || rate < FIRST / 10.0 {
            return Ok((measured, trials));
        }
        trials.push(measured);
        rate = (rate / CLOSE).round();
    }
}

fn try_rate(
    network: &mut PaymentNetwork,
    rate: f64,
    duration: Duration,
    trials: &mut Vec<PaymentFigures>,
) -> anyhow::Result<bool> {
    let measured = measure(network, rate, duration)?;
    let is_good = measured.is_sustained();
    report::progress(format!(
        "{rate} per second: {}, {:.0} per second became final",
        if is_good { "sustained" } else { "not sustained" },
        measured.achieved()
    ));
    trials.push(measured);
    Ok(is_good)
}

//! What payments and heights cost a node, in units that say something on any machine.

use crate::report::float;
use crate::verify::{signatures_per_second, signed_items};
use std::time::Duration;

/// Signatures in a batch of the unit.
const BATCH: usize = 64;
/// How long signatures are checked to measure the unit.
const TIME: Duration = Duration::from_millis(200);

/// All processor time of the nodes, by payments and by heights. Under a light load a payment bears its height's cost, near the highest rate a
/// height bears its payments': each figure says most at its own end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cost {
    /// Processor time per payment and node. Unit: seconds.
    pub(super) payment: f64,
    /// Processor time per height and node. Unit: seconds.
    pub(super) height: f64,
    /// Processor time of checking one signature in a batch of 64. Unit: seconds.
    pub(super) signature_check: f64,
}

impl Cost {
    /// Of the processor time of each node in seconds; `None` when nothing became final.
    pub(super) fn of(nodes: &[f64], payments: usize, heights: u64, signature_check: f64) -> Option<Self> {
        if nodes.is_empty() || payments == 0 || heights == 0 {
            return None;
        }
        let each = nodes.iter().sum::<f64>() / float(nodes.len() as u64);
        Some(Self { payment: each / float(payments as u64), height: each / float(heights), signature_check })
    }

    /// A payment's cost in signature checks.
    pub(super) fn payment_in_checks(&self) -> f64 {
        self.payment / self.signature_check.max(f64::EPSILON)
    }

    /// For people.
    pub(super) fn line(&self) -> String {
        format!(
            "a payment costs {:.1} signature checks of {:.0} us, a height {:.2} ms (processor time per node)",
            self.payment_in_checks(),
            1e6 * self.signature_check,
            1e3 * self.height
        )
    }
}

/// Processor time of checking one signature in a batch of 64, measured now on this thread. Unit: seconds.
///
/// # Errors
/// When a valid signature is refused.
pub(super) fn signature_check() -> anyhow::Result<f64> {
    Ok(1.0 / signatures_per_second(&signed_items(BATCH), BATCH, TIME)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_per_node_payment_and_height() {
        let cost = Cost::of(&[2.0, 4.0], 30_000, 1_000, 20e-6).unwrap();
        let expected = Cost { payment: 100e-6, height: 3e-3, signature_check: 20e-6 };
        assert!((cost.payment - expected.payment).abs() < 1e-9 && (cost.height - expected.height).abs() < 1e-9);
        assert_eq!(
            cost.line(),
            "a payment costs 5.0 signature checks of 20 us, a height 3.00 ms (processor time per node)"
        );
        assert_eq!([Cost::of(&[], 1, 1, 1.0), Cost::of(&[1.0], 0, 1, 1.0), Cost::of(&[1.0], 1, 0, 1.0)], [None; 3]);
    }
}

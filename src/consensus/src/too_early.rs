//! Blocks that this node does not vote for because of their time, in words for the operator.

use std::time::Duration;
use timed_primitives::{BlockId, Instant, PublicKey};

/// Shortest time between two lines in the log: a clock that is wrong makes a block too early whenever its node proposes.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// A proposed block that is refused because its time is more than [`crate::idle::CLOCK_GRACE`] ahead of our clock. When a quorum prevotes it, it is
/// accepted all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooEarly {
    /// The block.
    pub block: BlockId,
    /// Who made it.
    pub proposer: PublicKey,
    /// How far its time was ahead of our clock when it was first refused.
    pub ahead: Duration,
}

/// When refusals were reported.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    last: Option<Instant>,
    unreported: u64,
}

impl Reports {
    /// A block was refused. Gives how many were before it without a report, when a report is due.
    pub(crate) fn on_refused(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.since(last) < REPORT_INTERVAL) {
            self.unreported += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unreported))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_reported_once_in_a_minute_with_a_count_of_the_others() {
        let mut reports = Reports::default();
        let at = |seconds: u64| Instant(seconds * 1_000_000);
        let found = [100, 101, 159, 160, 161, 400].map(|seconds| reports.on_refused(at(seconds)));
        assert_eq!(found, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}

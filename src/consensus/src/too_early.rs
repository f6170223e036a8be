//! Blocks that this node does not vote for because of their time, in words for the operator.

use crate::blocks::BlockValidity;
use crate::consensus::Consensus;
use crate::idle::CLOCK_GRACE;
use crate::messages::Output;
use std::time::Duration;
use timed_primitives::{Block, BlockId, Instant, PublicKey, Round};

/// Shortest time between two lines in the log: a clock that is wrong makes a block too early whenever its node proposes.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// A proposed block that is refused because its time is more than [`CLOCK_GRACE`] ahead of our clock. When a quorum prevotes it, it is
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
    fn on_refused(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.since(last) < REPORT_INTERVAL) {
            self.unreported += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unreported))
    }
}

impl Consensus {
    /// The clock rule: a block from the future is not accepted while it is freshly proposed, unless a quorum found it acceptable. It is
    /// withheld from the engine and not called invalid, since others may accept it. A block may always be a moment later than its
    /// parent: nodes whose clocks were turned back accept each other's blocks.
    pub(crate) fn is_too_early(&self, id: &BlockId, block: &Block) -> bool {
        let latest = self.unix.plus(CLOCK_GRACE).max(self.earliest_time());
        block.header.time > latest && !self.polkas.contains(id) && !self.votes.has_quorum_for(*id)
    }

    /// Reports a block that is refused, once, and not more often than each [`REPORT_INTERVAL`].
    pub(crate) fn report_too_early(&mut self, id: &BlockId) {
        let (now, unix) = (self.now, self.unix);
        let Some(held) = self.blocks.get_mut(id).filter(|held| held.too_early.is_none()) else { return };
        let header = &held.block.header;
        let refused = TooEarly { block: *id, proposer: header.proposer, ahead: header.time.since(unix) };
        held.too_early = Some(refused);
        if let Some(others) = self.too_early.on_refused(now) {
            let more = if others > 0 { format!(" ({others} more since the last such line)") } else { String::new() };
            let line = format!("{}; check the clocks of both machines{more}", self.too_early_line(&refused));
            self.outputs.push(Output::BlockTooEarly { line });
        }
    }

    /// The block proposed in `round` that is refused at present.
    pub(crate) fn too_early_in(&self, round: Round) -> Option<TooEarly> {
        let held = self.votes.proposals(round).iter().filter_map(|proposal| self.blocks.get(&proposal.block));
        held.filter(|held| matches!(held.validity, BlockValidity::Validated(_))).find_map(|held| held.too_early)
    }

    pub(crate) fn too_early_line(&self, refused: &TooEarly) -> String {
        format!(
            "block {} proposed by {} is refused: its time is {:.1} s ahead of this node's clock, {} s are allowed",
            refused.block.short(),
            self.label(&refused.proposer),
            refused.ahead.as_secs_f64(),
            CLOCK_GRACE.as_secs()
        )
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

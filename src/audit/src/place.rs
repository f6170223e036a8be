//! The block under way, and what rules need of it.

use crate::power::Voters;
use timed_ledger::Parameters;
use timed_primitives::{ChainId, Height, UnixTime};

/// The block under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AuditedBlock<'a> {
    pub(crate) chain: ChainId,
    pub(crate) parameters: &'a Parameters,
    pub(crate) height: Height,
    pub(crate) time: UnixTime,
    /// Those of the next height, as they were given before this block.
    pub(crate) next_voters: &'a Voters,
}

impl AuditedBlock<'_> {
    /// Until when what happens now is in the unbonding time.
    pub(crate) fn unbonds_at(&self) -> UnixTime {
        unbonds_at(self.time, self.parameters)
    }

    /// Whether what happened at a moment is the unbonding time ago.
    pub(crate) fn unbonded(&self, moment: UnixTime) -> bool {
        self.time >= unbonds_at(moment, self.parameters)
    }
}

/// Until when what happened at a moment is in the unbonding time.
pub(crate) fn unbonds_at(moment: UnixTime, parameters: &Parameters) -> UnixTime {
    UnixTime(moment.0.saturating_add(parameters.unbonding_ms))
}

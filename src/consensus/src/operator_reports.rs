//! What was reported to the operator last, so that only changes are reported.

use crate::messages::Output;
use crate::quorum_watch::QuorumWatch;
use crate::signing::SigningOff;
use crate::too_early::Reports;
use timed_primitives::Instant;

/// See the module.
#[derive(Default)]
pub(crate) struct OperatorReports {
    quorum: QuorumWatch,
    signing: Option<SigningOff>,
    too_early: Reports,
}

impl OperatorReports {
    /// Who is connected or who votes may have changed.
    pub(crate) fn on_change(&mut self) {
        self.quorum.is_stale = true;
    }

    /// Whether [`Self::on_quorum`] wants to know who is missing.
    pub(crate) fn is_quorum_stale(&self) -> bool {
        self.quorum.is_stale
    }

    /// See [`QuorumWatch::look`].
    pub(crate) fn on_quorum(&mut self, now: Instant, line: Option<Option<String>>) -> Option<Output> {
        self.quorum.look(now, line)
    }

    /// Why this node does not sign; `None` when it does, or has no key. Whether that is to be reported, which is done then.
    pub(crate) fn is_signing_news(&mut self, off: Option<SigningOff>) -> bool {
        let kind = |off: SigningOff| (std::mem::discriminant(&off), off.is_twin());
        let is_news = off.map(kind) != self.signing.map(kind);
        if is_news {
            self.signing = off;
        }
        is_news
    }

    /// A block was refused because of its time. Gives how many were before it without a report, when a report is due.
    pub(crate) fn on_too_early(&mut self, now: Instant) -> Option<u64> {
        self.too_early.on_refused(now)
    }
}

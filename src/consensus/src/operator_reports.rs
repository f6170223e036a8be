//! What was reported to the operator last, so that only changes are reported.

use crate::messages::Output;
use crate::quorum_watch::QuorumWatch;
use crate::signing::{SigningOff, SigningStatus};
use crate::too_early::Reports;
use std::mem::Discriminant;
use timed_primitives::Instant;

/// What of [`SigningStatus`] is news when it changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum SigningKind {
    #[default]
    On,
    NotValidator,
    Off(Discriminant<SigningOff>, bool),
}

/// See the module.
#[derive(Default)]
pub(crate) struct OperatorReports {
    quorum: QuorumWatch,
    signing: SigningKind,
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

    /// Whether this node signs. Whether that is to be reported, which is done then; at first signing counts as on.
    pub(crate) fn is_signing_news(&mut self, status: &SigningStatus) -> bool {
        let kind = match status {
            SigningStatus::Observer | SigningStatus::On => SigningKind::On,
            SigningStatus::NotValidator => SigningKind::NotValidator,
            SigningStatus::Off { reason, .. } => SigningKind::Off(std::mem::discriminant(reason), reason.is_twin()),
        };
        std::mem::replace(&mut self.signing, kind) != kind
    }

    /// A block was refused because of its time. Gives how many were before it without a report, when a report is due.
    pub(crate) fn on_too_early(&mut self, now: Instant) -> Option<u64> {
        self.too_early.on_refused(now)
    }
}
